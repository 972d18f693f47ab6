//! Percentiles of a benchmark's steps over its rate, on two logarithmic axes.
//!
//! Runs on:  main thread (pure).
use super::chart::{self, LEFT, Legend, RIGHT, WIDTH};
use super::scale::{Scale, count, duration};
use super::svg::{Anchor, MARKS, STROKES, Svg, number};
use std::fmt::Write as _;

const TOP: f64 = 96.0;
const BOTTOM: f64 = 446.0;
const HEIGHT: f64 = 524.0;

/// One curve.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Its name.
    pub name: &'static str,
    /// Values in nanoseconds, one for each rate.
    pub values_ns: Vec<u64>,
}

/// What is drawn.
#[derive(Clone, Debug)]
pub struct Steps {
    /// Heading.
    pub title: &'static str,
    /// Machine and layout.
    pub lines: [String; 2],
    /// Name of the horizontal axis.
    pub axis: &'static str,
    /// Rates, rising.
    pub rates: Vec<f64>,
    /// At most as many as there are strokes.
    pub curves: Vec<Curve>,
    /// The first rate that was not kept up with, and why.
    pub limit: Option<(f64, String)>,
}

impl Steps {
    /// The plot: `None` without a rate.
    pub fn render(&self) -> Option<String> {
        let bounds = |values: &mut dyn Iterator<Item = f64>| {
            values.fold(None, |all: Option<(f64, f64)>, value| {
                let (low, high) = all.unwrap_or((value, value));
                Some((low.min(value), high.max(value)))
            })
        };
        let (slowest, fastest) = bounds(&mut self.rates.iter().map(|rate| rate.max(1.0)))?;
        let values = self.curves.iter().flat_map(|curve| &curve.values_ns);
        let (lowest, highest) = bounds(&mut values.map(|&ns| ns.max(1) as f64))?;
        let x = Scale::log(slowest, fastest, (LEFT, RIGHT));
        let y = Scale::log(lowest, highest, (BOTTOM, TOP));
        let mut svg = Svg::new(WIDTH, HEIGHT, "latency percentiles");
        svg.text("title", (24.0, 30.0), Anchor::Start, self.title);
        let [machine, layout] = &self.lines;
        svg.text("small", (24.0, 50.0), Anchor::Start, layout);
        svg.text("small", (24.0, HEIGHT - 12.0), Anchor::Start, machine);
        let (x_ticks, y_ticks) = (x.ticks(count), y.ticks(duration));
        chart::frame(&mut svg, (&x, &x_ticks), (&y, &y_ticks));
        chart::x_labels(&mut svg, &x, &x_ticks, BOTTOM, self.axis);
        chart::y_name(&mut svg, &y, "latency");
        if let Some((rate, why)) = &self.limit {
            let at = x.at(*rate);
            svg.line("limit", (at, TOP - 6.0), (at, BOTTOM));
            let label = format!("{}: {why}", count(*rate));
            svg.text("limittext", (at, TOP - 10.0), Anchor::End, &label);
        }
        let mut legend = Legend::new(TOP);
        for (curve, (stroke, (class, shape))) in
            self.curves.iter().zip(STROKES.into_iter().zip(MARKS))
        {
            let mut data = String::new();
            let points = || self.rates.iter().zip(&curve.values_ns);
            for (&rate, &ns) in points() {
                let letter = if data.is_empty() { 'M' } else { 'L' };
                let [across, up] = [x.at(rate), y.at(ns.max(1) as f64)].map(number);
                let _ = write!(data, "{letter}{across} {up}");
            }
            svg.curve("percentile", &data, stroke);
            for (&rate, &ns) in points() {
                let [across, up] = [x.at(rate), y.at(ns.max(1) as f64)].map(number);
                let title = format!("{} at {rate:.0}: {}", curve.name, duration(ns as f64));
                svg.path(&format!("value {class}"), &format!("M{across} {up}{shape}"), &title);
            }
            let (left, y) = legend.place();
            svg.path(class, &format!("M{} {}{shape}", number(left + 17.0), number(y)), "");
            legend.curve(&mut svg, stroke, curve.name);
        }
        Some(svg.finish())
    }
}

#[cfg(test)]
mod tests;
