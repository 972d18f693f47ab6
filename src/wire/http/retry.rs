//! `Retry-After`: seconds, or a date in one of the three HTTP forms (RFC 9110, 5.6.7 and 10.2.3).
//!
//! Runs on:  any (pure).
use crate::base::time::SECOND_NS;
use jiff::{civil::DateTime, fmt::rfc2822::DateTimeParser, tz::TimeZone};

/// The pause that a server requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Duration in seconds; saturates.
    Seconds(u64),
    /// End in seconds since the Unix epoch; 0 for earlier dates.
    Date(u64),
}

impl RetryAfter {
    /// Parses the header value; `None` if it is neither a number nor a date.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        // Fractions are invalid, but some servers send them.
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if !whole.is_empty()
            && [whole, fraction].iter().all(|t| t.bytes().all(|b| b.is_ascii_digit()))
        {
            let seconds = whole.parse().unwrap_or(u64::MAX);
            let begun = u64::from(fraction.bytes().any(|digit| digit != b'0'));
            return Some(Self::Seconds(seconds.saturating_add(begun)));
        }
        date(text).map(Self::Date)
    }

    /// Whole seconds from `wall_ns` (since the Unix epoch), rounded up; 0 for a past date.
    #[must_use]
    pub const fn seconds_from(self, wall_ns: u64) -> u64 {
        match self {
            Self::Seconds(seconds) => seconds,
            Self::Date(unix_s) => unix_s.saturating_sub(wall_ns / SECOND_NS),
        }
    }
}

/// A date as seconds since the Unix epoch: `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT`,
/// `Sun Nov  6 08:49:37 1994`.
fn date(text: &str) -> Option<u64> {
    const OLD_FORMS: [&str; 2] = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let parser = DateTimeParser::new().relaxed_weekday(true);
    let at = parser.parse_timestamp(text).or_else(|error| {
        let date = OLD_FORMS.into_iter().find_map(|form| DateTime::strptime(form, text).ok());
        date.ok_or(error)?.to_zoned(TimeZone::UTC).map(|date| date.timestamp())
    });
    Some(u64::try_from(at.ok()?.as_second()).unwrap_or(0))
}

#[cfg(test)]
mod tests;
