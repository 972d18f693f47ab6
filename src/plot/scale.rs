//! From values to places on an axis, with the ticks: linear, logarithmic, time.
//!
//! Runs on:  any (pure).
use crate::base::time::{MICROSECOND_NS, MILLISECOND_NS, MINUTE_NS, SECOND_NS};
use jiff::Timestamp;

const HOUR_NS: u64 = 60 * MINUTE_NS;
const DAY_NS: u64 = 24 * HOUR_NS;
const TIMES_MAX: u64 = 8;
const TIME_STEPS: [u64; 24] = [
    MILLISECOND_NS,
    2 * MILLISECOND_NS,
    5 * MILLISECOND_NS,
    10 * MILLISECOND_NS,
    20 * MILLISECOND_NS,
    50 * MILLISECOND_NS,
    100 * MILLISECOND_NS,
    200 * MILLISECOND_NS,
    500 * MILLISECOND_NS,
    SECOND_NS,
    2 * SECOND_NS,
    5 * SECOND_NS,
    10 * SECOND_NS,
    30 * SECOND_NS,
    MINUTE_NS,
    2 * MINUTE_NS,
    5 * MINUTE_NS,
    10 * MINUTE_NS,
    30 * MINUTE_NS,
    HOUR_NS,
    2 * HOUR_NS,
    3 * HOUR_NS,
    6 * HOUR_NS,
    12 * HOUR_NS,
];

/// A mark on an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// Its value.
    pub value: f64,
    /// Empty for a mark between two labelled ones.
    pub label: String,
    /// On a logarithmic axis a whole decade, on others every tick.
    pub is_major: bool,
    /// On a time axis the date, where it is another than at the tick before.
    pub date: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Its step.
    Linear(f64),
    Log,
    Time,
}

/// An axis: values from `from` to `to`, and where they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    kind: Kind,
    from: f64,
    to: f64,
    places: (f64, f64),
}

impl Scale {
    /// Linear, from and to a multiple of a step of 1, 2 or 5 times a power of ten; about `steps` of them.
    pub fn linear(lowest: f64, highest: f64, steps: f64, places: (f64, f64)) -> Self {
        let span = if highest > lowest { highest - lowest } else { lowest.abs().max(1.0) };
        let step = nice(span / steps);
        let from = (lowest / step + 1e-9).floor() * step;
        let to = (highest / step - 1e-9).ceil() * step;
        let to = if to > from { to } else { from + step };
        Self { kind: Kind::Linear(step), from, to, places }
    }

    /// Linear between exactly these values, with about `steps` ticks.
    pub fn between(from: f64, to: f64, steps: f64, places: (f64, f64)) -> Self {
        Self { kind: Kind::Linear(nice((to - from) / steps)), from, to, places }
    }

    /// Logarithmic, of positive values, from and to a quarter of a decade, with room at both ends.
    pub fn log(lowest: f64, highest: f64, places: (f64, f64)) -> Self {
        let from = 10f64.powf((4.0 * (lowest / 1.05).log10()).floor() / 4.0);
        let to = 10f64.powf((4.0 * (highest * 1.05).log10()).ceil() / 4.0);
        Self { kind: Kind::Log, from, to, places }
    }

    /// Time in nanoseconds since the Unix epoch, in UTC; at least a millisecond.
    pub fn time(from_ns: u64, to_ns: u64, places: (f64, f64)) -> Self {
        let to_ns = to_ns.max(from_ns + MILLISECOND_NS);
        Self { kind: Kind::Time, from: from_ns as f64, to: to_ns as f64, places }
    }

    /// The place of a value; of one beyond the axis, its end.
    pub fn at(&self, value: f64) -> f64 {
        self.beyond(value.clamp(self.from, self.to))
    }

    /// The place of a value, also beyond the axis.
    pub fn beyond(&self, value: f64) -> f64 {
        let share = match self.kind {
            Kind::Log => (value / self.from).ln() / (self.to / self.from).ln(),
            _ => (value - self.from) / (self.to - self.from),
        };
        self.places.0 + share * (self.places.1 - self.places.0)
    }

    /// Places of the lowest and the highest value.
    pub const fn places(&self) -> (f64, f64) {
        self.places
    }

    /// The marks, ascending; `label` names a value of a linear or logarithmic axis. A logarithmic axis has decades and
    /// their quarters; the quarters have labels where there are less than two decades.
    pub fn ticks(&self, label: impl Fn(f64) -> String) -> Vec<Tick> {
        match self.kind {
            Kind::Linear(step) => self.linear_ticks(step, label),
            Kind::Log => self.log_ticks(label),
            Kind::Time => self.time_ticks(),
        }
    }

    fn linear_ticks(&self, step: f64, label: impl Fn(f64) -> String) -> Vec<Tick> {
        let first = (self.from / step - 1e-6).ceil() as i64;
        let last = (self.to / step + 1e-6).floor() as i64;
        let tick = |place: i64| {
            let value = place as f64 * step;
            Tick { value, label: label(value), is_major: true, date: String::new() }
        };
        (first..=last).map(tick).collect()
    }

    fn log_ticks(&self, label: impl Fn(f64) -> String) -> Vec<Tick> {
        let quarters = |value: f64| 4.0 * value.log10();
        let first = (quarters(self.from) - 1e-6).ceil() as i32;
        let last = (quarters(self.to) + 1e-6).floor() as i32;
        let tick = |quarter: i32| {
            let value = 10f64.powf(f64::from(quarter) / 4.0);
            let is_major = quarter % 4 == 0;
            let is_labelled = is_major || last - first < 8;
            let label = if is_labelled { label(value) } else { String::new() };
            Tick { value, label, is_major, date: String::new() }
        };
        (first..=last).map(tick).collect()
    }

    fn time_ticks(&self) -> Vec<Tick> {
        let (from_ns, to_ns) = (self.from as u64, self.to as u64);
        let span_ns = to_ns - from_ns;
        let fits = |step_ns: &u64| span_ns / step_ns <= TIMES_MAX;
        let days = |power: u32| DAY_NS << power;
        let step_ns = TIME_STEPS.into_iter().find(|step_ns| fits(step_ns));
        let step_ns = step_ns.or_else(|| (0..24).map(days).find(fits)).unwrap_or(days(24));
        let format = match step_ns {
            MINUTE_NS.. => "%H:%M",
            SECOND_NS.. => "%H:%M:%S",
            _ => "%H:%M:%S%.3f",
        };
        let mut date_before = String::new();
        let tick = |place: u64| {
            let at_ns = place * step_ns;
            let at = Timestamp::from_nanosecond(i128::from(at_ns)).unwrap_or_default();
            let date = at.strftime("%Y-%m-%d").to_string();
            let is_new = date != date_before;
            date_before.clone_from(&date);
            let date = if is_new { date } else { String::new() };
            let label = at.strftime(format).to_string();
            Tick { value: at_ns as f64, label, is_major: true, date }
        };
        (from_ns.div_ceil(step_ns)..=to_ns / step_ns).map(tick).collect()
    }
}

/// The next 1, 2 or 5 times a power of ten.
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let digits = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= step * 0.999);
    digits.unwrap_or(10.0) * power
}

/// Nanoseconds with their unit and two digits, as in `1.8 µs`.
pub fn duration(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 999.5 => (ns, "ns"),
        ns if ns < 999.5e3 => (ns / MICROSECOND_NS as f64, "µs"),
        ns if ns < 999.5e6 => (ns / MILLISECOND_NS as f64, "ms"),
        ns => (ns / SECOND_NS as f64, "s"),
    };
    format!("{} {unit}", two_digits(value))
}

/// A number with two digits and a letter for thousands, as in `1.8k`.
pub fn count(value: f64) -> String {
    match value {
        value if value >= 999.5e6 => format!("{}G", two_digits(value / 1e9)),
        value if value >= 999.5e3 => format!("{}M", two_digits(value / 1e6)),
        value if value >= 999.5 => format!("{}k", two_digits(value / 1e3)),
        value => two_digits(value),
    }
}

/// At least two digits, and no zeros behind the point.
fn two_digits(value: f64) -> String {
    let text = match value {
        value if value >= 9.95 => format!("{value:.0}"),
        value if value >= 0.995 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests;
