//! What a replay measured over the recorded time: message rate, lag and latency, gaps and losses.
//!
//! Runs on:  a replay's shards (aggregation, pure); the starting thread (plot). Bounds: [`COLUMNS`] columns of two
//!           histograms with one significant digit, 3 MB a shard; [`GAPS_MAX`] gaps.
use super::chart::{self, LEFT, Legend, RIGHT, Step, WIDTH};
use super::columns::{Columns, Merge};
use super::scale::{Scale, count, duration};
use super::svg::{Anchor, STROKES, Svg, number};
use crate::base::time::{MICROSECOND_NS, SECOND_NS};
use hdrhistogram::Histogram;
use std::fmt::Write as _;

/// Columns of a day: with more, percentiles are of too few messages.
pub const COLUMNS: u64 = 300;
/// Gaps that are marked; the first ones.
pub const GAPS_MAX: usize = 1_000;
/// Longest value kept, nanoseconds; longer ones count as this.
const VALUE_MAX_NS: u64 = 24 * 3600 * SECOND_NS;
/// Venues have times in milliseconds: below a tenth of one, lags are drawn at the lower end.
const LAG_MIN_NS: f64 = 100.0 * MICROSECOND_NS as f64;

/// Values of one column, in buckets of at most 6 % of their values.
#[derive(Clone, Debug, Default)]
struct Values(Option<Box<Histogram<u32>>>);

impl Values {
    fn record(&mut self, ns: u64) {
        let new = || Histogram::new_with_bounds(1, VALUE_MAX_NS, 1).map(Box::new).ok();
        if self.0.is_none() {
            self.0 = new();
        }
        if let Some(values) = &mut self.0 {
            values.saturating_record(ns.max(1));
        }
    }

    /// The value that this share of all does not exceed, at most the highest one.
    fn quantile(&self, share: f64) -> Option<u64> {
        let values = self.0.as_ref()?;
        Some(values.value_at_quantile(share).min(values.max()))
    }
}

impl Merge for Values {
    fn merge(&mut self, later: Self) {
        match (&mut self.0, later.0) {
            (Some(values), Some(later)) => _ = values.add(&*later),
            (None, later) => self.0 = later,
            (Some(_), None) => {}
        }
    }
}

/// One column of time.
#[derive(Clone, Debug, Default)]
struct Span {
    messages: u64,
    lag: Values,
    latency: Values,
    /// Connections that ended while the engine ran.
    connections_lost: u32,
    /// Places where frames are missing.
    losses: u32,
}

impl Merge for Span {
    fn merge(&mut self, later: Self) {
        self.messages += later.messages;
        self.lag.merge(later.lag);
        self.latency.merge(later.latency);
        self.connections_lost += later.connections_lost;
        self.losses += later.losses;
    }
}

/// A recorded time as one shard of a replay sees it; days of shards are [joined](Day::join).
#[derive(Clone, Debug)]
pub struct Day {
    columns: Columns<Span>,
    first_ns: u64,
    last_ns: u64,
    /// Times without a recording: the last record before, the first one behind.
    gaps: Vec<(u64, u64)>,
    /// Something is missing before the next record.
    is_gap_open: bool,
}

impl Default for Day {
    fn default() -> Self {
        let (columns, gaps) = (Columns::new(COLUMNS), Vec::new());
        Self { columns, first_ns: u64::MAX, last_ns: 0, gaps, is_gap_open: false }
    }
}

/// A frame as a replay measured it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// When it was received, nanoseconds since the Unix epoch; 0 without a time.
    pub receive_ns: u64,
    /// Messages in it.
    pub messages: u64,
    /// Venue time to receive time.
    pub lag_ns: Option<u64>,
    /// Begin of its processing to the books changed, in this replay.
    pub latency_ns: Option<u64>,
}

impl Day {
    /// Adds a frame; nothing without a receive time.
    pub fn on_frame(&mut self, frame: &Measured) {
        if frame.receive_ns == 0 {
            return;
        }
        self.see(frame.receive_ns);
        let span = self.columns.at(frame.receive_ns);
        span.messages += frame.messages;
        frame.lag_ns.inspect(|&ns| span.lag.record(ns));
        frame.latency_ns.inspect(|&ns| span.latency.record(ns));
    }

    /// A connection has ended while the engine ran.
    pub fn on_connection_lost(&mut self, at_ns: u64) {
        if at_ns > 0 {
            self.see(at_ns);
            self.columns.at(at_ns).connections_lost += 1;
        }
    }

    /// Frames are missing here; the recording goes on.
    pub fn on_frames_lost(&mut self, at_ns: u64) {
        if at_ns > 0 {
            self.see(at_ns);
            self.columns.at(at_ns).losses += 1;
        }
    }

    /// The recording pauses: between the last record and the next one nothing is known.
    pub fn on_gap(&mut self) {
        self.is_gap_open = self.last_ns > 0;
    }

    fn see(&mut self, at_ns: u64) {
        if std::mem::take(&mut self.is_gap_open)
            && at_ns > self.last_ns
            && self.gaps.len() < GAPS_MAX
        {
            self.gaps.push((self.last_ns, at_ns));
        }
        self.first_ns = self.first_ns.min(at_ns);
        self.last_ns = self.last_ns.max(at_ns);
    }

    /// Adds the day of another shard of the same replay. Gaps concern all shards, each knows its own records: a gap is
    /// what all of them have in common.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        self.columns.join(other.columns);
        let gaps = match (self.last_ns, other.last_ns) {
            (_, 0) => self.gaps,
            (0, _) => other.gaps,
            _ => common(&self.gaps, &other.gaps),
        };
        let first_ns = self.first_ns.min(other.first_ns);
        let last_ns = self.last_ns.max(other.last_ns);
        Self { columns: self.columns, first_ns, last_ns, gaps, is_gap_open: false }
    }

    /// Whether nothing with a receive time was added.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// `value` of each column as steps, `empty` where there is no record; none in a gap.
    fn steps(&self, empty: Option<f64>, value: impl Fn(&Span) -> Option<f64>) -> Vec<Step> {
        let width_ns = self.columns.width_ns();
        let begin = |place: u64| (place * width_ns).max(self.first_ns);
        let mut steps = Vec::new();
        let mut next = None;
        for (place, span) in self.columns.iter() {
            if let Some(next) = next.filter(|&next| next < place) {
                let (from_ns, to_ns) = (begin(next), begin(place));
                let is_gap = self.gaps.iter().any(|gap| gap.0 < to_ns && gap.1 > from_ns);
                steps.push((from_ns as f64, empty.filter(|_| !is_gap)));
            }
            steps.push((begin(place) as f64, value(span)));
            next = Some(place + 1);
        }
        steps
    }

    fn sum(&self, value: impl Fn(&Span) -> u64) -> u64 {
        self.columns.iter().map(|(_, span)| value(span)).sum()
    }
}

/// The intersections of two lists of intervals, each ascending.
fn common(a: &[(u64, u64)], b: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let pairs = a.iter().flat_map(|a| b.iter().map(move |b| (a.0.max(b.0), a.1.min(b.1))));
    pairs.filter(|(from_ns, to_ns)| from_ns < to_ns).collect()
}

const PANEL: f64 = 150.0;
const PANEL_GAP: f64 = 26.0;
/// Above the first panel of a venue: its name and the marks.
const HEAD: f64 = 42.0;
const TITLE: f64 = 44.0;
const FOOT: f64 = 66.0;
/// What the panels show.
const LAG: &[&str] = &["venue time to receive time"];
const LATENCY: &[&str] = &["this replay: frame taken up", "to books changed"];
/// Marks and their shapes, from the middle.
const LOST_CONNECTION: &str = "m-5 -4h10l-5 8z";
const LOST_FRAMES: &str = "m-4 -4l8 8m-8 0l8 -8";

/// The plot of each venue's day, one below the other over one time axis: `None` where no record has a time.
pub fn render(days: &[(String, Day)], title: &str) -> Option<String> {
    let shown: Vec<&(String, Day)> = days.iter().filter(|(_, day)| !day.is_empty()).collect();
    let from_ns = shown.iter().map(|(_, day)| day.first_ns).min()?;
    let to_ns = shown.iter().map(|(_, day)| day.last_ns).max()?;
    let of_venue = HEAD + 3.0 * (PANEL + PANEL_GAP);
    let height = TITLE + of_venue * shown.len() as f64 + FOOT;
    let mut svg = Svg::new(WIDTH, height, "message rate, lag and latency over the recorded time");
    svg.text("title", (24.0, 30.0), Anchor::Start, title);
    let x = Scale::time(from_ns, to_ns, (LEFT, RIGHT));
    let mut top = TITLE;
    for (venue, day) in &shown {
        draw(&mut svg, day, venue, &x, top);
        top += of_venue;
    }
    let bottom = top - PANEL_GAP;
    chart::x_labels(&mut svg, &x, &x.ticks(count), bottom, "receive time, UTC");
    Some(svg.finish())
}

fn draw(svg: &mut Svg, day: &Day, venue: &str, x: &Scale, top: f64) {
    svg.text("name", (LEFT, top + 14.0), Anchor::Start, venue);
    marks(svg, day, x, top + HEAD - 10.0);
    let mut top = top + HEAD;
    let width_s = day.columns.width_ns() as f64 / SECOND_NS as f64;
    let rate = day.steps(Some(0.0), |span| Some(span.messages as f64 / width_s));
    let highest = rate.iter().filter_map(|step| step.1).fold(0.0, f64::max);
    let y = Scale::linear(0.0, highest, 4.0, (top + PANEL, top));
    let rate = [("rate", rate)];
    let mut legend = panel(svg, day, (x, &y), "messages / s", count, &rate);
    let name = format!("mean of {}", duration(day.columns.width_ns() as f64));
    legend.curve(svg, STROKES[0], &name);
    legend.skip(8.0);
    losses(svg, day, &mut legend);
    for (name, lowest_ns, value, what) in [
        ("lag", LAG_MIN_NS, (|span| &span.lag) as fn(&Span) -> &Values, LAG),
        ("latency", 1.0, |span| &span.latency, LATENCY),
    ] {
        top += PANEL + PANEL_GAP;
        let curves = [("max", 1.0), ("p99", 0.99), ("p50", 0.5)].map(|(name, share)| {
            let value = |span: &Span| value(span).quantile(share).map(|ns| ns as f64);
            (name, day.steps(None, value))
        });
        let all = || curves.iter().flat_map(|(_, steps)| steps).filter_map(|step| step.1);
        let lowest = all().fold(f64::INFINITY, f64::min).max(lowest_ns);
        let highest = all().fold(lowest_ns, f64::max);
        let y = Scale::log(lowest.min(highest), highest, (top + PANEL, top));
        let mut legend = panel(svg, day, (x, &y), name, duration, &curves);
        if all().next().is_none() {
            legend.line(svg, "no message has one");
            continue;
        }
        legend.area(svg, "highest", "max");
        legend.curve(svg, STROKES[1], "p99");
        legend.curve(svg, STROKES[0], "p50");
        legend.skip(4.0);
        what.iter().for_each(|line| legend.line(svg, line));
    }
}

/// One panel with its curves, the maximum as an area; gives the legend beside it.
fn panel(
    svg: &mut Svg,
    day: &Day,
    (x, y): (&Scale, &Scale),
    name: &str,
    label: fn(f64) -> String,
    curves: &[(&str, Vec<Step>)],
) -> Legend {
    let end = day.last_ns as f64;
    for (_, steps) in curves.iter().filter(|(name, _)| *name == "max") {
        svg.path("highest", &chart::step_area(steps, end, x, y), "");
    }
    chart::frame(svg, (x, &x.ticks(label)), (y, &y.ticks(label)));
    chart::gaps(svg, x, y, &day.gaps);
    chart::y_name(svg, y, name);
    for (name, steps) in curves.iter().filter(|(name, _)| *name != "max") {
        let stroke = STROKES[usize::from(*name == "p99")];
        svg.curve(name, &chart::step_path(steps, end, x, y), stroke);
    }
    Legend::new(y.places().1)
}

/// Connections and frames that were lost, above the panels.
fn marks(svg: &mut Svg, day: &Day, x: &Scale, y: f64) {
    let width_ns = day.columns.width_ns();
    for (class, shape, value) in [
        ("mark lost-connection", LOST_CONNECTION, (|s| s.connections_lost) as fn(&Span) -> u32),
        ("lost-frames axis", LOST_FRAMES, |s| s.losses),
    ] {
        let mut data = String::new();
        for (place, _) in day.columns.iter().filter(|(_, span)| value(span) > 0) {
            let at = (place as f64 + 0.5) * width_ns as f64;
            let _ = write!(data, "M{} {}{shape}", number(x.at(at)), number(y));
        }
        if !data.is_empty() {
            svg.path(class, &data, "");
        }
    }
}

fn losses(svg: &mut Svg, day: &Day, legend: &mut Legend) {
    let connections = day.sum(|span| span.connections_lost.into());
    let frames = day.sum(|span| span.losses.into());
    if connections > 0 {
        let name = format!("connection lost: {connections}");
        legend.mark(svg, "mark", LOST_CONNECTION, &name);
    }
    if frames > 0 {
        legend.mark(svg, "axis", LOST_FRAMES, &format!("frames lost: {frames}"));
    }
    if !day.gaps.is_empty() {
        legend.area(svg, "gap", &format!("not recorded: {}", day.gaps.len()));
    }
}

#[cfg(test)]
mod tests;
