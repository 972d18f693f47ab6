//! What the plots share: a frame with axes, step curves, gaps, and a legend beside the data.
//!
//! Runs on:  any (pure).
use super::scale::{Scale, Tick};
use super::svg::{Anchor, Stroke, Svg, number};
use std::fmt::Write as _;

/// Width of a plot.
pub const WIDTH: f64 = 1040.0;
/// Left end of the data.
pub const LEFT: f64 = 80.0;
/// Right end of the data; the legend is beside it.
pub const RIGHT: f64 = 820.0;
const LEGEND_GAP: f64 = 18.0;

/// Draws the box of a panel: a grid at the ticks of both axes, and names at those of `y`.
pub fn frame(svg: &mut Svg, (x, x_ticks): (&Scale, &[Tick]), (y, y_ticks): (&Scale, &[Tick])) {
    let ((left, right), (bottom, top)) = (x.places(), y.places());
    for tick in y_ticks {
        let at = y.at(tick.value);
        if tick.is_major {
            svg.line("grid", (left, at), (right, at));
        }
        svg.line("axis", (left - if tick.is_major { 6.0 } else { 3.0 }, at), (left, at));
        if !tick.label.is_empty() {
            svg.text("y-tick", (left - 9.0, at + 4.0), Anchor::End, &tick.label);
        }
    }
    for tick in x_ticks {
        let at = x.at(tick.value);
        if tick.is_major {
            svg.line("grid", (at, top), (at, bottom));
        }
        svg.line("axis", (at, bottom), (at, bottom + if tick.is_major { 6.0 } else { 3.0 }));
    }
    svg.rect("edge", (left, top), (right - left, bottom - top));
}

/// Names the ticks below a panel whose lower end is `bottom`, and the axis.
pub fn x_labels(svg: &mut Svg, x: &Scale, ticks: &[Tick], bottom: f64, name: &str) {
    for tick in ticks {
        let at = x.at(tick.value);
        svg.text("x-tick", (at, bottom + 20.0), Anchor::Middle, &tick.label);
        if !tick.date.is_empty() {
            svg.text("small date", (at, bottom + 35.0), Anchor::Middle, &tick.date);
        }
    }
    let (left, right) = x.places();
    let below = if ticks.iter().any(|tick| !tick.date.is_empty()) { 53.0 } else { 39.0 };
    svg.text("x-name", (left.midpoint(right), bottom + below), Anchor::Middle, name);
}

/// Names the vertical axis of a panel.
pub fn y_name(svg: &mut Svg, y: &Scale, name: &str) {
    let (bottom, top) = y.places();
    svg.text_upwards("y-name", (16.0, bottom.midpoint(top)), name);
}

/// Marks times without data across a panel; each is at least one unit wide.
pub fn gaps(svg: &mut Svg, x: &Scale, y: &Scale, gaps: &[(u64, u64)]) {
    let (bottom, top) = y.places();
    for &(from_ns, to_ns) in gaps {
        let (left, right) = (x.at(from_ns as f64), x.at(to_ns as f64));
        svg.rect("gap", (left, top), ((right - left).max(1.0), bottom - top));
    }
}

/// The beginning of a step, and its value; `None` where there is none from then on.
pub type Step = (f64, Option<f64>);

/// Path of a value that stays until the next step; ends at `end`.
pub fn step_path(steps: &[Step], end: f64, x: &Scale, y: &Scale) -> String {
    let mut out = String::new();
    let mut is_down = false;
    for &(at, value) in steps {
        let (across, up) = (number(x.at(at)), value.map(|value| number(y.at(value))));
        let _ = match (is_down, up) {
            (true, Some(up)) => write!(out, "H{across}V{up}"),
            (true, None) => write!(out, "H{across}"),
            (false, Some(up)) => write!(out, "M{across} {up}"),
            (false, None) => Ok(()),
        };
        is_down = value.is_some();
    }
    if is_down {
        let _ = write!(out, "H{}", number(x.at(end)));
    }
    out
}

/// Area between the lower end of a panel and a value that stays until the next step.
pub fn step_area(steps: &[Step], end: f64, x: &Scale, y: &Scale) -> String {
    let bottom = number(y.places().0);
    let mut out = String::new();
    let nexts = steps.iter().skip(1).map(|step| step.0).chain([end]);
    for (&(at, value), next) in steps.iter().zip(nexts) {
        let Some(value) = value else { continue };
        let [left, right, up] = [x.at(at), x.at(next), y.at(value)].map(number);
        let _ = write!(out, "M{left} {bottom}V{up}H{right}V{bottom}z");
    }
    out
}

/// Lines beside the data, from the top down.
#[derive(Debug)]
pub struct Legend {
    left: f64,
    y: f64,
}

impl Legend {
    /// Beside a panel whose upper end is `top`.
    pub const fn new(top: f64) -> Self {
        Self { left: RIGHT + 16.0, y: top + 8.0 }
    }

    /// A curve.
    pub fn curve(&mut self, svg: &mut Svg, stroke: Stroke, name: &str) {
        let data = format!("M{} {}h34", number(self.left), number(self.y));
        svg.curve("key", &data, stroke);
        self.name(svg, 42.0, name);
    }

    /// A mark: its class, and its path from its middle.
    pub fn mark(&mut self, svg: &mut Svg, class: &str, shape: &str, name: &str) {
        let data = format!("M{} {}{shape}", number(self.left + 17.0), number(self.y));
        svg.path(&format!("key {class}"), &data, "");
        self.name(svg, 42.0, name);
    }

    /// An area.
    pub fn area(&mut self, svg: &mut Svg, class: &str, name: &str) {
        svg.rect(class, (self.left, self.y - 6.0), (34.0, 12.0));
        self.name(svg, 42.0, name);
    }

    /// A text alone.
    pub fn line(&mut self, svg: &mut Svg, name: &str) {
        self.name(svg, 0.0, name);
    }

    fn name(&mut self, svg: &mut Svg, inset: f64, name: &str) {
        svg.text("legend", (self.left + inset, self.y + 4.0), Anchor::Start, name);
        self.y += LEGEND_GAP;
    }

    /// Where the next line is.
    pub const fn place(&self) -> (f64, f64) {
        (self.left, self.y)
    }

    /// Leaves room.
    pub fn skip(&mut self, height: f64) {
        self.y += height;
    }
}

#[cfg(test)]
mod tests;
