//! Percentiles by rate on two logarithmic axes, as SVG.
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

/// A line: name, colour, dashes, value of a step.
struct Curve {
    name: &'static str,
    colour: &'static str,
    dashes: &'static str,
    value_ns: fn(&Step) -> u64,
}

const CURVES: [Curve; 5] = [
    Curve { name: "max", colour: "#8e5ea2", dashes: "", value_ns: |step| step.latency.max_ns },
    Curve { name: "p99.9", colour: "#d1603d", dashes: "", value_ns: |step| step.latency.p999_ns },
    Curve { name: "p99", colour: "#c99a1b", dashes: "", value_ns: |step| step.latency.p99_ns },
    Curve { name: "p50", colour: "#2a7f62", dashes: "", value_ns: |step| step.latency.p50_ns },
    Curve {
        name: "venue late, p99",
        colour: "#5b7db1",
        dashes: "2 4",
        value_ns: |step| step.venue_late.p99_ns,
    },
];

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

/// Plot of a run; a text if it has no step.
pub(super) fn svg(outcome: &Outcome) -> String {
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"latency percentiles by rate\"><style>{STYLE}</style>\
         <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\" fill=\"#fbfcfe\" \
         stroke=\"#cfd5df\"/>",
        WIDTH - 1.0,
        HEIGHT - 1.0
    );
    text(&mut out, (24.0, 30.0), "title", "start", "From the venue's intended send to the book");
    let [machine, layout] = outcome.setting.lines();
    text(&mut out, (24.0, 50.0), "small", "start", &layout);
    text(&mut out, (24.0, HEIGHT - 12.0), "small", "start", &machine);
    let steps: Vec<&Step> = outcome.steps.iter().filter(|step| step.latency.count > 0).collect();
    if steps.is_empty() {
        text(&mut out, (WIDTH / 2.0, HEIGHT / 2.0), "", "middle", "nothing was measured");
    } else {
        let (rates, times) = axes(&steps);
        grid(&mut out, &rates, &times);
        curves(&mut out, &steps, &rates, &times);
        limit(&mut out, &steps, &rates);
    }
    out.push_str("</svg>\n");
    out
}

fn axes(steps: &[&Step]) -> (Axis, Axis) {
    let lowest_rate = steps.iter().map(|step| step.rate).min().unwrap_or(1) as f64;
    let highest_rate = steps.iter().map(|step| step.rate).max().unwrap_or(1) as f64;
    let values = || CURVES.iter().flat_map(|c| steps.iter().map(|s| (c.value_ns)(s).max(1) as f64));
    let lowest = values().fold(f64::INFINITY, f64::min);
    let highest = values().fold(1.0, f64::max);
    // Whole thirds of a decade, so that a line never runs on the frame.
    let rates = Axis { from: lowest_rate / 1.25, to: highest_rate * 1.25, place: (LEFT, RIGHT) };
    let times = Axis { from: below(lowest), to: above(highest), place: (BOTTOM, TOP) };
    (rates, times)
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

fn grid(out: &mut String, rates: &Axis, times: &Axis) {
    for (value, labelled) in times.ticks(2.5) {
        let y = times.at(value);
        line(out, "grid", (LEFT, y), (RIGHT, y));
        if labelled {
            text(out, (LEFT - 8.0, y + 4.0), "", "end", &round_duration(value));
        }
    }
    for (value, labelled) in rates.ticks(4.5) {
        let x = rates.at(value);
        line(out, "grid", (x, TOP), (x, BOTTOM));
        if labelled {
            text(out, (x, BOTTOM + 18.0), "", "middle", &round_count(value));
        }
    }
    line(out, "axis", (LEFT, BOTTOM), (RIGHT, BOTTOM));
    line(out, "axis", (LEFT, TOP), (LEFT, BOTTOM));
    let middle = LEFT.midpoint(RIGHT);
    text(out, (middle, BOTTOM + 36.0), "small", "middle", "level changes a second");
}

fn curves(out: &mut String, steps: &[&Step], rates: &Axis, times: &Axis) {
    let mut ends: Vec<(f64, &Curve)> = Vec::new();
    for curve in &CURVES {
        let place = |step: &&Step| {
            (rates.at(step.rate as f64), times.at((curve.value_ns)(step).max(1) as f64))
        };
        let places: Vec<(f64, f64)> = steps.iter().map(place).collect();
        let points: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
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
        for ((x, y), step) in places.iter().zip(steps) {
            let value = duration((curve.value_ns)(step));
            let _ = write!(
                out,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{}\"><title>{} at {}: \
                 {value}</title></circle>",
                curve.colour, curve.name, step.rate
            );
        }
        ends.extend(places.last().map(|&(_, y)| (y, curve)));
    }
    legend(out, ends);
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

/// Mark of the first rate not kept up with.
fn limit(out: &mut String, steps: &[&Step], rates: &Axis) {
    let Some(step) = steps.iter().find(|step| step.verdict != Verdict::KeptUp) else { return };
    let x = rates.at(step.rate as f64);
    line(out, "limit", (x, TOP - 6.0), (x, BOTTOM));
    let label = format!("{}: {}", round_count(step.rate as f64), step.verdict.text());
    text(out, (x, TOP - 10.0), "limittext", "end", &label);
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
