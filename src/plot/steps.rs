//! Percentiles of a benchmark's steps over its rate, on two logarithmic axes.
//!
//! Runs on:  main thread (pure).
use super::chart::{self, LEFT, Legend, RIGHT, WIDTH};
use super::scale::{Scale, count, duration};
use super::svg::{Anchor, STROKES, Svg, number};
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
    #[must_use]
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
        let mut legend = Legend::new(TOP);
        for (curve, stroke) in self.curves.iter().zip(STROKES) {
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
                svg.path(
                    "mark",
                    &format!("M{across} {up}m-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z"),
                    &title,
                );
            }
            legend.curve(&mut svg, stroke, curve.name);
        }
        if let Some((rate, why)) = &self.limit {
            let at = x.at(*rate);
            svg.line("limit", (at, TOP - 6.0), (at, BOTTOM));
            let label = format!("{}: {why}", count(*rate));
            svg.text("limittext", (at, TOP - 10.0), Anchor::End, &label);
        }
        Some(svg.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::svg::tests::{numbers, texts};

    fn steps(rates: &[f64], ns: &[u64]) -> Steps {
        let curve = |name, factor: u64| Curve {
            name,
            values_ns: ns.iter().map(|ns| ns.saturating_mul(factor)).collect(),
        };
        Steps {
            title: "From the venue's intended send to the book",
            lines: ["AT&T <1>\u{7}\"x\"".into(), String::new()],
            axis: "level changes a second",
            rates: rates.to_vec(),
            curves: vec![curve("max", 40), curve("p99", 3), curve("p50", 1)],
            limit: None,
        }
    }

    #[test]
    fn any_run_gives_a_well_formed_drawing_within_its_frame() {
        assert_eq!(steps(&[], &[]).render(), None);
        for (rates, ns) in [
            (&[1.0][..], &[0][..]),
            (&[1_000.0, 1_001.0], &[21_000, 21_001]),
            (&[10.0, 1_000.0, 20_000.0, 1e6], &[20_010, 21_000, 40_000, 1]),
            (&[1_000.0, 3_000.0], &[1, 900_000_000_000]),
        ] {
            let mut drawn = steps(rates, ns);
            drawn.limit = Some((rates[0], "venue late".into()));
            let svg = drawn.render().unwrap();
            let texts = texts(&svg);
            assert!(texts.iter().any(|text| text == "AT&amp;T &lt;1&gt; &quot;x&quot;"));
            assert!(texts.iter().any(|text| text.ends_with(": venue late")));
            for (attribute, most) in [("x", WIDTH), ("x1", WIDTH), ("y", HEIGHT), ("y2", HEIGHT)] {
                let all = numbers(&svg, attribute);
                assert!(
                    all.iter().all(|value| (0.0..=most).contains(value)),
                    "{attribute} {all:?}"
                );
            }
            let marks = svg.split("class=\"mark\" d=\"M").skip(1);
            let places = marks.map(|mark| mark.split('m').next().unwrap().split_once(' ').unwrap());
            let ys: Vec<f64> = places.map(|(_, y)| y.parse().unwrap()).collect();
            assert_eq!(ys.len(), 3 * rates.len());
            assert!(ys.iter().all(|y| (TOP..=BOTTOM).contains(y)), "{ys:?}");
        }
    }

    #[test]
    fn names_stand_apart_beside_the_data() {
        let svg = steps(&[1_000.0, 5_000.0], &[900, 900]).render().unwrap();
        let names: Vec<&str> = svg.split("<text class=\"legend\"").skip(1).collect();
        let of = |name: &&str, attribute: &str| numbers(name, attribute)[0];
        let ys: Vec<f64> = names.iter().map(|name| of(name, "y")).collect();
        assert_eq!(ys.len(), 3);
        assert!(ys.windows(2).all(|pair| pair[1] - pair[0] >= 16.0), "{ys:?}");
        assert!(names.iter().all(|name| of(name, "x") > RIGHT));
    }
}
