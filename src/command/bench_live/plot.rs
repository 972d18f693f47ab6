//! Percentiles on two logarithmic axes, as SVG.
//!
//! Runs on:  main thread (pure).
//! Bounds:   900 x 500 units; it draws its own background.
use super::ladder::Verdict;
use super::step::Step;
use super::table::Outcome;
use crate::command::histograms::duration;
use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 500.0;
/// Area between the axes.
const LEFT: f64 = 78.0;
const RIGHT: f64 = 766.0;
const TOP: f64 = 78.0;
const BOTTOM: f64 = 436.0;
/// Distance of labels at the right end of lines.
const LABEL_GAP: f64 = 16.0;

const STYLE: &str = "\
text{font-family:system-ui,'DejaVu Sans',sans-serif;font-size:12px;fill:#3b4252}\
.title{font-size:16px;font-weight:600;fill:#1d2330}\
.small{font-size:11px;fill:#5b6474}\
.grid{stroke:#dfe3ea;stroke-width:1}\
.axis{stroke:#8a93a3;stroke-width:1}\
.limit{stroke:#c0392b;stroke-width:1.5;stroke-dasharray:5 4}\
.limittext{fill:#c0392b}\
.line{fill:none;stroke-width:2;stroke-linejoin:round}";

/// One line of a plot.
pub(super) struct Curve {
    pub name: &'static str,
    pub colour: &'static str,
    pub dashes: &'static str,
    /// Values in nanoseconds, one for each place of the plot.
    pub values_ns: Vec<u64>,
}

/// What a plot shows.
pub(super) struct Plot {
    pub title: &'static str,
    /// Machine and layout.
    pub lines: [String; 2],
    /// Name of the horizontal axis.
    pub axis: &'static str,
    /// Places on it, rising.
    pub places: Vec<f64>,
    pub curves: Vec<Curve>,
    /// The first place that was not kept up with, and why.
    pub limit: Option<(f64, String)>,
}

/// A logarithmic axis.
struct Axis {
    from: f64,
    to: f64,
    /// Positions of `from` and `to`.
    place: (f64, f64),
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        let share = (value / self.from).ln() / (self.to / self.from).ln();
        self.place.0 + share * (self.place.1 - self.place.0)
    }

    /// 1, 2 and 5 times powers of ten in its range, and whether each has a label; above `decades_max` decades powers of
    /// ten only.
    fn ticks(&self, decades_max: f64) -> Vec<(f64, bool)> {
        let decades = (self.to / self.from).log10();
        let lowest = self.from.log10().floor() as i32;
        let all = (lowest..=self.to.log10().ceil() as i32)
            .flat_map(|power| [1.0, 2.0, 5.0].map(|digit| (digit, digit * 10f64.powi(power))));
        all.filter(|&(_, value)| value >= self.from * 0.999 && value <= self.to * 1.001)
            .map(|(digit, value)| (value, digit == 1.0 || decades < decades_max))
            .collect()
    }
}

impl Plot {
    /// Percentiles by rate.
    pub(super) fn of_ladder(outcome: &Outcome) -> Self {
        let steps: Vec<&Step> = outcome.steps.iter().filter(|s| s.latency.count > 0).collect();
        let curve = |name, colour, dashes, value_ns: fn(&Step) -> u64| Curve {
            name,
            colour,
            dashes,
            values_ns: steps.iter().map(|step| value_ns(step)).collect(),
        };
        let late = steps.iter().find(|step| step.verdict != Verdict::KeptUp);
        Self {
            title: "From the venue's intended send to the book",
            lines: outcome.setting.lines(),
            axis: "level changes a second",
            places: steps.iter().map(|step| step.rate as f64).collect(),
            curves: vec![
                curve("max", "#8e5ea2", "", |step| step.latency.max_ns),
                curve("p99.9", "#d1603d", "", |step| step.latency.p999_ns),
                curve("p99", "#c99a1b", "", |step| step.latency.p99_ns),
                curve("p50", "#2a7f62", "", |step| step.latency.p50_ns),
                curve("venue late, p99", "#5b7db1", "2 4", |step| step.venue_late.p99_ns),
            ],
            limit: late.map(|step| (step.rate as f64, step.verdict.text().to_owned())),
        }
    }

    /// As SVG; a text if there is no place.
    pub(super) fn svg(&self) -> String {
        let mut out = String::new();
        let _ = write!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"latency percentiles\"><style>{STYLE}</style>\
             <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\" fill=\"#fbfcfe\" \
             stroke=\"#cfd5df\"/>",
            WIDTH - 1.0,
            HEIGHT - 1.0
        );
        text(&mut out, (24.0, 30.0), "title", "start", self.title);
        let [machine, layout] = &self.lines;
        text(&mut out, (24.0, 50.0), "small", "start", layout);
        text(&mut out, (24.0, HEIGHT - 12.0), "small", "start", machine);
        if self.places.is_empty() {
            text(&mut out, (WIDTH / 2.0, HEIGHT / 2.0), "", "middle", "nothing was measured");
        } else {
            let (across, times) = self.axes();
            grid(&mut out, &across, &times, self.axis);
            self.draw_curves(&mut out, &across, &times);
            if let Some((place, why)) = &self.limit {
                limit(&mut out, across.at(*place), &format!("{}: {why}", round_count(*place)));
            }
        }
        out.push_str("</svg>\n");
        out
    }

    fn axes(&self) -> (Axis, Axis) {
        let lowest_place = self.places.iter().copied().fold(f64::INFINITY, f64::min);
        let highest_place = self.places.iter().copied().fold(1.0, f64::max);
        let values =
            || self.curves.iter().flat_map(|c| c.values_ns.iter().map(|&ns| ns.max(1) as f64));
        let lowest = values().fold(f64::INFINITY, f64::min);
        let highest = values().fold(1.0, f64::max);
        // Whole thirds of a decade, so that a line never runs on the frame.
        let (from, to) = (lowest_place / 1.25, highest_place * 1.25);
        let across = Axis { from, to, place: (LEFT, RIGHT) };
        let times = Axis { from: below(lowest), to: above(highest), place: (BOTTOM, TOP) };
        (across, times)
    }

    fn draw_curves(&self, out: &mut String, across: &Axis, times: &Axis) {
        let mut ends: Vec<(f64, &Curve)> = Vec::new();
        for curve in &self.curves {
            let place =
                |(&place, &ns): (&f64, &u64)| (across.at(place), times.at(ns.max(1) as f64));
            let places: Vec<(f64, f64)> =
                self.places.iter().zip(&curve.values_ns).map(place).collect();
            let points: Vec<String> =
                places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let dashes = match curve.dashes {
                "" => String::new(),
                dashes => format!(" stroke-dasharray=\"{dashes}\""),
            };
            let _ = write!(
                out,
                "<polyline class=\"line\" points=\"{}\" stroke=\"{}\"{dashes}/>",
                points.join(" "),
                curve.colour
            );
            for (((x, y), ns), at) in places.iter().zip(&curve.values_ns).zip(&self.places) {
                let _ = write!(
                    out,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{}\"><title>{} at {at:.0}: \
                     {}</title></circle>",
                    curve.colour,
                    curve.name,
                    duration(*ns)
                );
            }
            ends.extend(places.last().map(|&(_, y)| (y, curve)));
        }
        legend(out, ends);
    }
}

/// Next lower 1, 2 or 5 times a power of ten.
fn below(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let fitting = [5.0, 2.0, 1.0].into_iter().find(|digit| digit * power < value * 0.95);
    fitting.map_or(power / 2.0, |digit| digit * power)
}

/// Next higher 1, 2 or 5 times a power of ten.
fn above(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let fitting = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power > value * 1.05);
    fitting.map_or(power * 10.0, |digit| digit * power)
}

fn grid(out: &mut String, across: &Axis, times: &Axis, name: &str) {
    for (value, labelled) in times.ticks(2.5) {
        let y = times.at(value);
        line(out, "grid", (LEFT, y), (RIGHT, y));
        if labelled {
            text(out, (LEFT - 8.0, y + 4.0), "", "end", &round_duration(value));
        }
    }
    for (value, labelled) in across.ticks(4.5) {
        let x = across.at(value);
        line(out, "grid", (x, TOP), (x, BOTTOM));
        if labelled {
            text(out, (x, BOTTOM + 18.0), "", "middle", &round_count(value));
        }
    }
    line(out, "axis", (LEFT, BOTTOM), (RIGHT, BOTTOM));
    line(out, "axis", (LEFT, TOP), (LEFT, BOTTOM));
    let middle = LEFT.midpoint(RIGHT);
    text(out, (middle, BOTTOM + 36.0), "small", "middle", name);
}

/// Names at the right ends of the lines, moved apart.
fn legend(out: &mut String, mut ends: Vec<(f64, &Curve)>) {
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut floor = TOP - LABEL_GAP;
    for end in &mut ends {
        end.0 = end.0.max(floor + LABEL_GAP);
        floor = end.0;
    }
    let mut ceiling = BOTTOM + LABEL_GAP;
    for end in ends.iter_mut().rev() {
        end.0 = end.0.min(ceiling - LABEL_GAP);
        ceiling = end.0;
    }
    for (y, Curve { name, colour, .. }) in ends {
        let x = RIGHT + 10.0;
        let _ = write!(
            out,
            "<text x=\"{x:.1}\" y=\"{:.1}\" style=\"fill:{colour};font-weight:600\">{}</text>",
            y + 4.0,
            escaped(name)
        );
    }
}

/// Mark of the first place that was not kept up with.
fn limit(out: &mut String, x: f64, label: &str) {
    line(out, "limit", (x, TOP - 6.0), (x, BOTTOM));
    text(out, (x, TOP - 10.0), "limittext", "end", label);
}

fn line(out: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let _ = write!(
        out,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(out: &mut String, (x, y): (f64, f64), class: &str, anchor: &str, content: &str) {
    let _ = write!(
        out,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
        escaped(content)
    );
}

fn escaped(content: &str) -> String {
    let mut out = String::with_capacity(content.len());
    for letter in content.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // What XML has no way to say.
            letter if letter.is_control() => out.push(' '),
            letter => out.push(letter),
        }
    }
    out
}

fn round_duration(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 999.5 => (ns, "ns"),
        ns if ns < 999.5e3 => (ns / 1e3, "µs"),
        ns if ns < 999.5e6 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    format!("{} {unit}", value.round())
}

fn round_count(count: f64) -> String {
    match count {
        count if count >= 999_999.5 => format!("{}M", (count / 1e5).round() / 10.0),
        count if count >= 999.95 => format!("{}k", (count / 100.0).round() / 10.0),
        count => format!("{}", count.round()),
    }
}

#[cfg(test)]
mod tests;
