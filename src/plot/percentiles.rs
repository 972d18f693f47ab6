//! Latency histograms: a row for each stage over one logarithmic axis, with percentiles.
//!
//! Runs on:  the starting thread (pure).
use super::chart::{self, LEFT, RIGHT, WIDTH};
use super::scale::{Scale, count, duration};
use super::svg::{Anchor, MARKS, Svg, number};
use crate::counter::latency::{Latencies, LatencySummary, Stage};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const TOP: f64 = 92.0;
const ROW: f64 = 78.0;
const ROW_GAP: f64 = 36.0;
const FOOT: f64 = 56.0;
const BARS: f64 = 20.0;
/// Percentiles, in the order of their marks.
const NAMES: [&str; 5] = ["p50", "p90", "p99", "p99.9", "max"];

/// The plot of all stages with values; `None` without any.
pub fn render(latencies: &Latencies, title: &str) -> Option<String> {
    let shown: Vec<(Stage, &Histogram<u64>)> = Stage::ALL
        .into_iter()
        .map(|stage| (stage, latencies.stage(stage)))
        .filter(|(_, histogram)| !histogram.is_empty())
        .collect();
    let lowest = shown.iter().map(|(_, histogram)| histogram.min()).min()?.max(1);
    let highest = shown.iter().map(|(_, histogram)| histogram.max()).max()?.max(1);
    let x = Scale::log(lowest as f64, highest as f64, (LEFT, RIGHT));
    let rows = shown.len() as f64;
    let bottom = TOP + rows * ROW + (rows - 1.0) * ROW_GAP;
    let mut svg = Svg::new(WIDTH, bottom + FOOT, "latency histograms");
    svg.text("title", (24.0, 30.0), Anchor::Start, title);
    key(&mut svg);
    let x_ticks = x.ticks(duration);
    for (place, (stage, histogram)) in shown.iter().enumerate() {
        let top = TOP + place as f64 * (ROW + ROW_GAP);
        row(&mut svg, &x, (*stage, histogram), top);
    }
    chart::x_labels(&mut svg, &x, &x_ticks, bottom, "latency, logarithmic");
    Some(svg.finish())
}

/// The marks' names, in one line below the title.
fn key(svg: &mut Svg) {
    for (place, (name, (class, shape))) in NAMES.into_iter().zip(MARKS).enumerate() {
        let at = LEFT + 8.0 + 90.0 * place as f64;
        svg.path(&format!("key {class}"), &format!("M{} 54{shape}", number(at)), "");
        svg.text("legend", (at + 12.0, 58.0), Anchor::Start, name);
    }
}

fn row(svg: &mut Svg, x: &Scale, (stage, histogram): (Stage, &Histogram<u64>), top: f64) {
    let mut bars: BTreeMap<i64, u64> = BTreeMap::new();
    for value in histogram.iter_recorded() {
        let bar = ((value.value_iterated_to().max(1) as f64).log10() * BARS).floor() as i64;
        *bars.entry(bar).or_default() += value.count_at_value();
    }
    let most = bars.values().max().copied().unwrap_or(1);
    let bottom = top + ROW;
    let y = Scale::log(0.8, most as f64, (bottom, top));
    let mut y_ticks = y.ticks(count);
    // As many labels as have room, and none for quarters.
    let decades = y_ticks.iter().filter(|tick| tick.is_major).count();
    for (place, tick) in y_ticks.iter_mut().filter(|tick| tick.is_major).enumerate() {
        if place % decades.div_ceil(4) != 0 {
            tick.label.clear();
        }
    }
    y_ticks.iter_mut().filter(|tick| !tick.is_major).for_each(|tick| tick.label.clear());
    chart::frame(svg, (x, &x.ticks(duration)), (&y, &y_ticks));
    chart::y_name(svg, &y, "values");
    let mut data = String::new();
    for (bar, values) in bars {
        let edge = |bar: i64| x.at(10f64.powf(bar as f64 / BARS));
        let (left, right, up) = (edge(bar), edge(bar + 1), y.at(values as f64));
        let [left, right, up, bottom] = [left, right, up, bottom].map(number);
        let _ = write!(data, "M{left} {bottom}V{up}H{right}V{bottom}z");
    }
    svg.path("bars", &data, "");
    svg.text("name", (LEFT + 2.0, top - 6.0), Anchor::Start, stage.name());
    let LatencySummary { count: values, p50_ns, p90_ns, p99_ns, p999_ns, max_ns, .. } =
        LatencySummary::of(stage.name(), histogram);
    svg.text("small", (RIGHT, top - 6.0), Anchor::End, &format!("{values} values"));
    let all = [p50_ns, p90_ns, p99_ns, p999_ns, max_ns];
    for (place, ((name, (class, shape)), ns)) in NAMES.into_iter().zip(MARKS).zip(all).enumerate() {
        let at = number(x.at(ns as f64));
        let data = format!("M{at} {}{shape}", number(bottom));
        svg.path(&format!("percentile {class}"), &data, &format!("{name} {}", duration(ns as f64)));
        let line = top + 10.0 + 16.0 * place as f64;
        svg.text("legend", (RIGHT + 16.0, line), Anchor::Start, name);
        svg.text("legend", (RIGHT + 130.0, line), Anchor::End, &duration(ns as f64));
    }
}

#[cfg(test)]
mod tests;
