//! SVG elements as text: escaped, with one decimal, in the order of the calls.
//!
//! Runs on:  any (pure).
use std::fmt::Write as _;

const STYLE: &str = "\
text{font-family:system-ui,'DejaVu Sans',sans-serif;font-size:12px;fill:#000}\
.title{font-size:16px;font-weight:600}\
.name{font-weight:600}\
.small{font-size:11px;fill:#333}\
.grid{stroke:#d0d0d0;stroke-width:.6}\
.axis{stroke:#000;stroke-width:1}\
.edge{fill:none;stroke:#000;stroke-width:1}\
.limit{stroke:#b00020;stroke-width:1.5;stroke-dasharray:5 4}\
.limittext{fill:#b00020}\
.gap{fill:url(#hatch);stroke:#777;stroke-width:.5}\
.halo{fill:none;stroke:#fff;stroke-width:3.4;stroke-linejoin:round;opacity:.75}\
.line{fill:none;stroke-width:1.5;stroke-linejoin:round}\
.mark{fill:#000;stroke:#fff;stroke-width:.6}\
.highest{fill:#d0d0d0}\
.bars{fill:#9db7d6;stroke:#345;stroke-width:.5}\
.hollow{fill:#fff;stroke:#000;stroke-width:1}";

/// How a curve is drawn: dashes and a colour of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stroke {
    /// `stroke-dasharray`; empty for a solid line.
    pub dashes: &'static str,
    /// Colour.
    pub colour: &'static str,
}

/// Distinct in print and for the colour-blind.
pub const STROKES: [Stroke; 5] = [
    Stroke { dashes: "", colour: "#000000" },
    Stroke { dashes: "7 3", colour: "#0055a4" },
    Stroke { dashes: "2 3", colour: "#b03a00" },
    Stroke { dashes: "9 3 2 3", colour: "#00705a" },
    Stroke { dashes: "1 5", colour: "#6a3d9a" },
];

/// Class and shape, from its middle, of marks that are distinct in print.
pub const MARKS: [(&str, &str); 5] = [
    ("mark", "m-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z"),
    ("mark", "m-4 -4h8v8h-8z"),
    ("mark", "m-5 4h10l-5 -9z"),
    ("hollow", "m0 -5.5l5 5.5l-5 5.5l-5 -5.5z"),
    ("axis", "m-4 -4l8 8m-8 0l8 -8"),
];

/// Where a text stands to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// A plot that is being drawn.
#[derive(Clone, Debug)]
pub struct Svg {
    out: String,
}

impl Svg {
    /// A white page of so many pixels; `label` is for readers without the plot.
    pub fn new(width: f64, height: f64, label: &str) -> Self {
        let mut out = String::new();
        let (width, height) = (number(width), number(height));
        let _ = writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\"><style>{STYLE}</style>\
             <defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
             patternTransform=\"rotate(45)\"><rect width=\"6\" height=\"6\" fill=\"#fff\"/>\
             <line x1=\"0\" y1=\"0\" x2=\"0\" y2=\"6\" stroke=\"#999\" stroke-width=\"1.6\"/></pattern></defs>\
             <rect x=\"0\" y=\"0\" width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>",
            escaped(label)
        );
        Self { out }
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(number);
        let _ = writeln!(
            self.out,
            "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"
        );
    }

    /// A rectangle of a corner and a size.
    pub fn rect(&mut self, class: &str, corner: (f64, f64), size: (f64, f64)) {
        let [x, y, width, height] = [corner.0, corner.1, size.0, size.1].map(number);
        let _ = writeln!(
            self.out,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        );
    }

    /// A text on one line.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, content: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let _ = writeln!(
            self.out,
            "<text class=\"{class}\" x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            number(x),
            number(y),
            escaped(content)
        );
    }

    /// A text that reads upwards, with its middle at the place.
    pub fn text_upwards(&mut self, class: &str, (x, y): (f64, f64), content: &str) {
        let (x, y) = (number(x), number(y));
        let _ = writeln!(
            self.out,
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" \
             transform=\"rotate(-90 {x} {y})\">{}</text>",
            escaped(content)
        );
    }

    /// A path of a class; `title` is shown where a pointer rests, unless it is empty.
    pub fn path(&mut self, class: &str, data: &str, title: &str) {
        let title = match title {
            "" => String::new(),
            title => format!("<title>{}</title>", escaped(title)),
        };
        let _ = writeln!(self.out, "<path class=\"{class}\" d=\"{data}\">{title}</path>");
    }

    /// A curve.
    pub fn curve(&mut self, class: &str, data: &str, stroke: Stroke) {
        let dashes = match stroke.dashes {
            "" => String::new(),
            dashes => format!(" stroke-dasharray=\"{dashes}\""),
        };
        let _ = writeln!(
            self.out,
            "<path class=\"line {class}\" d=\"{data}\" stroke=\"{}\"{dashes}/>",
            stroke.colour
        );
    }

    /// Thick lines of one colour.
    pub fn strip(&mut self, class: &str, data: &str, colour: &str, width: f64) {
        let width = number(width);
        let _ = writeln!(
            self.out,
            "<path class=\"{class}\" d=\"{data}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>"
        );
    }

    /// A group with these attributes, which are written as they are, around what `draw` draws.
    pub fn group(&mut self, attributes: &str, draw: impl FnOnce(&mut Self)) {
        let _ = writeln!(self.out, "<g {attributes}>");
        draw(self);
        self.out.push_str("</g>\n");
    }

    /// An area to clip to, by `clip-path="url(#ID)"`.
    pub fn clip(&mut self, id: &str, corner: (f64, f64), size: (f64, f64)) {
        let [x, y, width, height] = [corner.0, corner.1, size.0, size.1].map(number);
        let _ = writeln!(
            self.out,
            "<clipPath id=\"{id}\"><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/></clipPath>"
        );
    }

    /// The whole text.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.out.push_str("</svg>\n");
        self.out
    }
}

/// With one decimal, and none where it is 0.
pub fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    match text.strip_suffix(".0") {
        Some("-0") => "0".to_owned(),
        Some(whole) => whole.to_owned(),
        None => text,
    }
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
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                out.push(' ');
            }
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod tests;
