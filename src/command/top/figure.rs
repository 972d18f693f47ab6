//! Figures as people read them, and styles of the terminal.
//!
//! Runs on:  main thread (pure).
use indicatif::{HumanBytes, HumanCount};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Well,
    Notice,
    Fault,
    Neither,
}

impl Level {
    /// The shape that stands beside the colour.
    pub(super) const fn mark(self) -> &'static str {
        match self {
            Self::Well => "●",
            Self::Notice => "▲",
            Self::Fault => "■",
            Self::Neither => "○",
        }
    }

    pub(super) fn of_connection(state: &str) -> Self {
        match state {
            "active" => Self::Well,
            "dialing" => Self::Notice,
            "waiting" => Self::Fault,
            _ => Self::Neither,
        }
    }

    pub(super) fn of_book(state: &str) -> Self {
        match state {
            "live" => Self::Well,
            "awaiting_snapshot" => Self::Notice,
            _ if state.starts_with("stale") => Self::Fault,
            _ => Self::Neither,
        }
    }
}

/// Styles: colours, or only bold, dim and reversed with `NO_COLOR`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theme {
    pub(super) coloured: bool,
}

impl Theme {
    fn colour(self, style: Style, colour: Color) -> Style {
        if self.coloured { style.fg(colour) } else { style }
    }

    pub(super) fn level(self, level: Level) -> Style {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        match level {
            Level::Well => self.colour(Style::new(), Color::Green),
            Level::Notice => self.colour(bold, Color::Yellow),
            Level::Fault => self.colour(bold, Color::Red),
            Level::Neither => self.quiet(),
        }
    }

    pub(super) const fn quiet(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(super) fn title(self) -> Style {
        self.colour(Style::new().add_modifier(Modifier::BOLD), Color::Cyan)
    }

    pub(super) const fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub(super) fn bar(self, is_bid: bool) -> Style {
        self.colour(Style::new(), if is_bid { Color::Green } else { Color::Red })
    }

    /// Mark and text in the style of their level.
    pub(super) fn marked(self, level: Level, text: &str) -> Span<'static> {
        Span::styled(format!("{} {text}", level.mark()), self.level(level))
    }

    /// The title of a part of a view.
    pub(super) fn heading(self, text: &str) -> Line<'static> {
        Line::styled(text.to_owned(), self.title())
    }
}

/// Digits in groups of three.
pub(super) fn count(value: u64) -> String {
    HumanCount(value).to_string()
}

/// Bytes in binary units.
pub(super) fn bytes(value: u64) -> String {
    HumanBytes(value).to_string()
}

/// A rate a second: whole from 10 on.
pub(super) fn rate(value: f64) -> String {
    if value >= 10.0 || value == 0.0 { count(value.round() as u64) } else { format!("{value:.1}") }
}

/// A share from 0 to 1. It reads 100 % only when it is.
pub(super) fn percent(share: Option<f64>) -> String {
    match share {
        None => "–".into(),
        Some(1.0) => "100 %".into(),
        Some(share) => format!("{:.2} %", (share * 10_000.0).floor() / 100.0),
    }
}

/// A duration in nanoseconds, with three digits.
pub(super) fn duration(ns: u64) -> String {
    let (scale, unit) = match ns {
        0 => return "–".into(),
        1..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (1e3, "µs"),
        1_000_000..1_000_000_000 => (1e6, "ms"),
        1_000_000_000..60_000_000_000 => (1e9, "s"),
        _ => return age(ns / 1_000_000_000),
    };
    let value = ns as f64 / scale;
    let digits = if value >= 100.0 { 0 } else { 2 - usize::from(value >= 10.0) };
    format!("{value:.digits$} {unit}")
}

/// Seconds in their two largest units, in at most 7 characters up to 1,000 days.
pub(super) fn age(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes}m {:02}s", seconds % 60),
        3_600..86_400 => format!("{hours}h {minutes:02}m"),
        _ => format!("{days}d {hours:02}h"),
    }
}

/// The age of a time in nanoseconds since the Unix epoch; a dash for never.
pub(super) fn since(then_wall_ns: u64, now_wall_ns: u64) -> String {
    if then_wall_ns == 0 {
        return "–".into();
    }
    age(now_wall_ns.saturating_sub(then_wall_ns) / 1_000_000_000)
}

/// The last values as a row of bars.
pub(super) fn bars(values: impl DoubleEndedIterator<Item = f64>, width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let mut last: Vec<f64> = values.rev().take(width).collect();
    last.reverse();
    let most = last.iter().copied().fold(0.0, f64::max);
    let bar = |value: f64| {
        if most > 0.0 { BARS[((value / most * 7.0).round() as usize).min(7)] } else { BARS[0] }
    };
    last.into_iter().map(bar).collect()
}

/// Breaks text at spaces into lines of at most so many characters; a longer word is cut into several.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        while !word.is_empty() {
            let last = lines.last_mut().expect("there is always a line");
            let used = last.chars().count();
            let gap = usize::from(used > 0);
            if used + gap + word.len() <= width || used == 0 {
                last.push_str(if gap > 0 { " " } else { "" });
                last.extend(word.drain(..word.len().min(width)));
            } else {
                lines.push(String::new());
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests;
