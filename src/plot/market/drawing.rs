//! The plot of one market's recorded book.
//!
//! Runs on:  the starting thread (pure).
use super::{DepthLevel, MarketDay, MarketSide, Point, ROWS_MAX, SHADES, Series, TradeMark};
use crate::plot::chart::{self, LEFT, Legend, RIGHT, Step, WIDTH};
use crate::plot::scale::{Scale, count};
use crate::plot::svg::{Anchor, STROKES, Stroke, Svg, number};
use jiff::Timestamp;
use std::fmt::Write as _;

const TOP: f64 = 88.0;
const BOTTOM: f64 = 558.0;
const HEIGHT: f64 = 630.0;
/// Units of 1e-6 of a dollar.
const DOLLAR: f64 = 1e6;
/// Sizes below this share of the largest have the lightest shade.
const SIZES_SHOWN: f64 = 1e-4;
/// Largest price step of a venue, units of 1e-6.
const PRICE_STEP_MAX: u32 = 10_000;
/// Marks of trades that have their full size; more are smaller.
const MARKS_LARGE: f64 = 200.0;
/// From light to dark: the best prices, and what is between, stay readable on all of them.
const BUY_SHADES: (u32, u32) = (0xe9_f1_fb, 0x3f_74_b5);
const SELL_SHADES: (u32, u32) = (0xfc_ec_e2, 0xc4_6a_2c);
const BID: Stroke = Stroke { dashes: "", colour: "#0b3d7a" };
const ASK: Stroke = Stroke { dashes: "6 2", colour: "#7a2a00" };
const MID: Stroke = Stroke { dashes: "1.5 2.5", ..STROKES[0] };

/// What stands above the plot.
#[derive(Clone, Debug, Default)]
pub struct Caption {
    /// The question, or the id.
    pub title: String,
    /// Market and token, two lines.
    pub lines: [String; 2],
    /// The price step, units of 1e-6.
    pub tick: Option<u32>,
}

/// Rows of the heat map: prices from the middle of the lowest to that of the highest.
#[derive(Clone, Copy, Debug)]
struct Rows {
    lowest: u32,
    height: u32,
    count: u32,
}

impl Rows {
    /// Of the best prices and the trades, with half as many prices beside them. Where the price step is not known it is
    /// what all of them are multiples of.
    fn of(day: &MarketDay, tick: Option<u32>) -> Option<Self> {
        let values = |series: &Series| {
            let points = series.points().into_iter();
            points
                .filter_map(|point| point.1)
                .filter_map(|value| u32::try_from(value).ok())
                .collect()
        };
        let [bids, asks]: [Vec<u32>; 2] = [values(&day.bid), values(&day.ask)];
        let prices = || {
            let traded = day.trades.iter().map(|trade| trade.price);
            bids.iter().chain(&asks).copied().chain(traded)
        };
        let (lowest, highest) = (prices().min()?, prices().max()?);
        let common = prices().chain([PRICE_STEP_MAX]).fold(0, gcd);
        let tick = tick.unwrap_or(common).max(1);
        let margin = ((highest - lowest) / 2).max(8 * tick);
        let (lowest, highest) = (lowest.saturating_sub(margin), (highest + margin).min(1_000_000));
        let mut height = tick;
        let mut factors = [2, 5, 10].into_iter().cycle();
        let mut decade = tick;
        while (highest - lowest) / height >= ROWS_MAX {
            let factor = factors.next().unwrap_or(10);
            height = decade.saturating_mul(factor);
            if factor == 10 {
                decade = height;
            }
        }
        let lowest = lowest / height * height;
        Some(Self { lowest, height, count: (highest - lowest) / height + 1 })
    }

    fn row(&self, price: u32) -> Option<u32> {
        let row = (price + self.height / 2).checked_sub(self.lowest)? / self.height;
        (row < self.count).then_some(row)
    }

    fn scale(&self) -> Scale {
        let half = f64::from(self.height) / 2.0;
        let from = f64::from(self.lowest) - half;
        let to = from + f64::from(self.count * self.height);
        Scale::between(from / DOLLAR, to / DOLLAR, 8.0, (BOTTOM, TOP))
    }
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The plot, up to the end of the recording: `None` for a book that was never live and had no trade.
pub fn render(day: &MarketDay, caption: &Caption, end_ns: u64) -> Option<String> {
    let rows = Rows::of(day, caption.tick)?;
    let first = day.live.points().first().map(|point| point.0);
    let from_ns = first.into_iter().chain(day.trades.first().map(|trade| trade.at_ns)).min()?;
    let end_ns = end_ns.max(day.now_ns);
    let x = Scale::time(from_ns, end_ns, (LEFT, RIGHT));
    let y = rows.scale();
    let mut svg = Svg::new(WIDTH, HEIGHT, "price, depth and trades of one market");
    svg.text("title", (24.0, 30.0), Anchor::Start, &shortened(&caption.title, 96));
    for (line, y) in caption.lines.iter().zip([50.0, 66.0]) {
        svg.text("small", (24.0, y), Anchor::Start, &shortened(line, 140));
    }
    svg.clip("data", (LEFT, TOP), (RIGHT - LEFT, BOTTOM - TOP));
    let heat = Heat::of(day, &rows, end_ns);
    heat.draw(&mut svg, &x, &rows);
    let price = price_label(&y);
    let x_ticks = x.ticks(&price);
    chart::frame(&mut svg, (&x, &x_ticks), (&y, &y.ticks(&price)));
    let gaps = day.live.gaps(end_ns);
    chart::gaps(&mut svg, &x, &y, &gaps);
    svg.group("clip-path=\"url(#data)\"", |svg| {
        for (class, series, stroke, scale) in [
            ("bid", &day.bid, BID, DOLLAR),
            ("ask", &day.ask, ASK, DOLLAR),
            ("mid", &day.mid, MID, 2.0 * DOLLAR),
        ] {
            let steps: Vec<Step> = series.points().iter().map(|point| step(point, scale)).collect();
            let data = chart::step_path(&steps, end_ns as f64, &x, &y);
            if class != "mid" {
                svg.path("halo", &data, "");
            }
            svg.curve(class, &data, stroke);
        }
        let share = (MARKS_LARGE / day.trades.len().max(1) as f64).sqrt().clamp(0.5, 1.0);
        day.trades.iter().for_each(|trade| mark(svg, trade, share, (&x, &y)));
    });
    chart::x_labels(&mut svg, &x, &x_ticks, BOTTOM, "receive time, UTC");
    chart::y_name(&mut svg, &y, "price, dollars");
    legend(&mut svg, day, &heat, !gaps.is_empty());
    Some(svg.finish())
}

/// Prices with as many decimals as the ticks need, at least two.
fn price_label(y: &Scale) -> impl Fn(f64) -> String {
    let decimals = |label: String| {
        let fraction = label.split_once('.').map_or("", |(_, fraction)| fraction);
        fraction.trim_end_matches('0').len()
    };
    let ticks = y.ticks(|value| format!("{value:.6}")).into_iter();
    let decimals = ticks.map(|tick| decimals(tick.label)).max().unwrap_or(0).max(2);
    move |value| format!("{value:.decimals$}")
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn step(&(at_ns, value): &Point, scale: f64) -> Step {
    (at_ns as f64, value.map(|value| value as f64 / scale))
}

/// A trade: a filled triangle upwards is a buyer that took, a hollow one downwards a seller. Its area grows with the
/// size.
fn mark(svg: &mut Svg, trade: &TradeMark, share: f64, (x, y): (&Scale, &Scale)) {
    let at = x.at(trade.at_ns as f64);
    let up = y.beyond(f64::from(trade.price) / DOLLAR);
    let shares = trade.size as f64 / 1e6;
    let radius = share * (2.6 + 0.9 * shares.max(1.0).log10()).min(7.0);
    let (class, word) = match trade.side {
        MarketSide::Buy => ("trade buy mark", "buy"),
        MarketSide::Sell => ("trade sell hollow", "sell"),
    };
    let time = Timestamp::from_nanosecond(i128::from(trade.at_ns)).unwrap_or_default();
    let several = if trade.count > 1 { format!(", {} trades", trade.count) } else { String::new() };
    let title = format!(
        "{} {word} {} at {}{several}",
        time.strftime("%H:%M:%S%.3f"),
        number(shares),
        f64::from(trade.price) / DOLLAR
    );
    let data = format!("M{} {}{}", number(at), number(up), triangle(trade.side, radius));
    svg.path(class, &data, &title);
}

/// From its middle.
fn triangle(side: MarketSide, radius: f64) -> String {
    let [half, whole, height] = [radius, 2.0 * radius, 1.8 * radius].map(number);
    match side {
        MarketSide::Buy => format!("m-{half} {}h{whole}l-{half} -{height}z", number(0.8 * radius)),
        MarketSide::Sell => format!("m-{half} -{}h{whole}l-{half} {height}z", number(0.8 * radius)),
    }
}

/// The heat map: paths of cells, a column and a row each one unit.
struct Heat {
    /// By side and shade: runs of cells in a row.
    shades: [[String; SHADES]; 2],
    first_column: u64,
    width_ns: u64,
    /// Sizes of the lightest and the darkest shade, units of 1e-6.
    sizes: (f64, f64),
}

impl Heat {
    fn of(day: &MarketDay, rows: &Rows, end_ns: u64) -> Self {
        let samples = day.depth.samples();
        let width_ns = samples.width_ns();
        let columns: Vec<(u64, Vec<u64>)> = samples
            .iter()
            .map(|(place, sample)| (place, cells(sample.0.as_deref(), rows)))
            .collect();
        let sizes = || columns.iter().flat_map(|(_, cells)| cells).filter(|&&size| size > 0);
        let largest = sizes().max().copied().unwrap_or(1) as f64;
        let smallest = sizes().min().copied().unwrap_or(1) as f64;
        let sizes = (smallest.max(largest * SIZES_SHOWN), largest);
        let first_column = columns.first().map_or(0, |(place, _)| *place);
        let mut heat = Self { shades: Default::default(), first_column, width_ns, sizes };
        let cells = rows.count as usize;
        // For each cell of the column before: its shade, and where its run began.
        let mut runs: Vec<Option<(usize, u64)>> = vec![None; 2 * cells];
        for (place, sizes) in &columns {
            for (cell, &size) in sizes.iter().enumerate() {
                let shade = (size > 0).then(|| heat.shade(size as f64));
                if runs[cell].map(|(shade, _)| shade) != shade {
                    heat.end_run(runs[cell].take(), (cell, cells), *place);
                    runs[cell] = shade.map(|shade| (shade, *place));
                }
            }
        }
        for (cell, run) in runs.into_iter().enumerate() {
            heat.end_run(run, (cell, cells), end_ns / width_ns + 1);
        }
        heat
    }

    fn end_run(&mut self, run: Option<(usize, u64)>, (cell, cells): (usize, usize), end: u64) {
        let Some((shade, begin)) = run.filter(|(_, begin)| *begin < end) else { return };
        let (side, row) = (cell / cells, cell % cells);
        let data = &mut self.shades[side][shade];
        // The line is one row thick: its middle is half a row up.
        let _ = write!(data, "M{} {}.5h{}", begin - self.first_column, row, end - begin);
    }

    /// Logarithmic.
    fn shade(&self, size: f64) -> usize {
        let (lowest, highest) = self.sizes;
        let share = (size / lowest).ln() / (highest / lowest).ln().max(1e-9);
        ((share * SHADES as f64) as usize).min(SHADES - 1)
    }

    fn draw(&self, svg: &mut Svg, x: &Scale, rows: &Rows) {
        let left = x.beyond((self.first_column * self.width_ns) as f64);
        let right = x.beyond(((self.first_column + 1) * self.width_ns) as f64);
        let row = (BOTTOM - TOP) / f64::from(rows.count);
        let place = format!(
            "class=\"depth\" fill=\"none\" shape-rendering=\"crispEdges\" \
             transform=\"matrix({:.6} 0 0 {:.6} {left:.3} {BOTTOM})\"",
            right - left,
            -row
        );
        svg.group("clip-path=\"url(#data)\"", |svg| {
            svg.group(&place, |svg| {
                for (side, shades) in [BUY_SHADES, SELL_SHADES].into_iter().zip(&self.shades) {
                    for (shade, data) in shades.iter().enumerate() {
                        if !data.is_empty() {
                            svg.strip("cells", data, &colour(side, shade), 1.0);
                        }
                    }
                }
            });
        });
    }
}

/// Sizes by row, buyers before sellers.
fn cells(levels: Option<&[DepthLevel]>, rows: &Rows) -> Vec<u64> {
    let mut cells = vec![0u64; 2 * rows.count as usize];
    for &(side, price, size) in levels.unwrap_or_default() {
        let first = if side == MarketSide::Buy { 0 } else { rows.count };
        if let Some(row) = rows.row(price) {
            let cell = &mut cells[(first + row) as usize];
            *cell = cell.saturating_add(size);
        }
    }
    cells
}

fn colour((light, dark): (u32, u32), shade: usize) -> String {
    let channel = |shift: u32| {
        let [light, dark] = [light, dark].map(|colour| f64::from(colour >> shift & 0xff));
        let share = shade as f64 / (SHADES - 1) as f64;
        (light + (dark - light) * share).round() as u32
    };
    format!("#{:02x}{:02x}{:02x}", channel(16), channel(8), channel(0))
}

fn legend(svg: &mut Svg, day: &MarketDay, heat: &Heat, has_gaps: bool) {
    let mut legend = Legend::new(TOP);
    legend.curve(svg, ASK, "best ask");
    legend.curve(svg, MID, "mid");
    legend.curve(svg, BID, "best bid");
    legend.skip(8.0);
    let of = |side| {
        let trades = day.trades.iter().filter(|trade| trade.side == side);
        trades.map(|trade| trade.count).sum::<u64>()
    };
    let [buys, sells] = [MarketSide::Buy, MarketSide::Sell].map(of);
    legend.mark(svg, "mark", &triangle(MarketSide::Buy, 4.5), &format!("bought: {buys}"));
    legend.mark(svg, "hollow", &triangle(MarketSide::Sell, 4.5), &format!("sold: {sells}"));
    if day.joined_ns > 0 {
        legend.line(svg, &format!("{} marks: near ones of", day.trades.len()));
        legend.line(svg, "one price are joined");
    }
    if has_gaps {
        legend.area(svg, "gap", "book not live");
    }
    legend.skip(8.0);
    legend.line(svg, "size at a price");
    let (left, y) = legend.place();
    let (lowest, highest) = heat.sizes;
    for shade in 0..SHADES {
        let up = y + 12.0 * (SHADES - 1 - shade) as f64;
        for (column, side) in [BUY_SHADES, SELL_SHADES].into_iter().enumerate() {
            let data = format!("M{} {}h22", number(left + 24.0 * column as f64), number(up));
            svg.strip("key", &data, &colour(side, shade), 12.0);
        }
        if shade % 3 == 0 {
            let size = lowest * (highest / lowest).powf(shade as f64 / SHADES as f64) / 1e6;
            let label = format!("from {}", count(size));
            svg.text("small", (left + 54.0, up + 4.0), Anchor::Start, &label);
        }
    }
    legend.skip(12.0 * SHADES as f64 + 6.0);
    legend.line(svg, "bids       asks");
}
