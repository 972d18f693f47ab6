//! `Retry-After`: seconds, or a date in one of the three HTTP forms (RFC 9110, 5.6.7 and 10.2.3).
//!
//! Runs on:  any (pure).
use crate::base::time::SECOND_NS;

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
    #[must_use]
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

/// A date as seconds since the Unix epoch.
fn date(text: &str) -> Option<u64> {
    http_date(text).or_else(|| {
        let date = jiff::fmt::rfc2822::parse(text).ok()?;
        Some(u64::try_from(date.timestamp().as_second()).unwrap_or(0))
    })
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT`, `Sun Nov  6 08:49:37 1994`.
fn http_date(text: &str) -> Option<u64> {
    let (mut day, mut month, mut year, mut time) = (None, None, None, None);
    for part in text.split([' ', ',', '-']).filter(|part| !part.is_empty()) {
        if part.contains(':') {
            time = Some(clock(part)?);
        } else if let Some(number) = month_of(part) {
            month = Some(number);
        } else if part.bytes().all(|b| b.is_ascii_digit()) {
            match (day, year) {
                (None, _) => day = Some(part.parse().ok()?),
                (Some(_), None) => year = Some(year_of(part)?),
                _ => return None,
            }
        } else if !part.bytes().all(|b| b.is_ascii_alphabetic())
            || (time.is_some() && !["GMT", "UTC", "UT", "Z"].contains(&part))
        {
            return None;
        }
    }
    let (hour, minute, second) = time?;
    let date = jiff::civil::DateTime::new(year?, month?, day?, hour, minute, second, 0).ok()?;
    let at = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(u64::try_from(at.timestamp().as_second()).unwrap_or(0))
}

fn month_of(part: &str) -> Option<i8> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let place = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(part))?;
    Some(place as i8 + 1)
}

/// Two-digit years are 1970 to 2069.
fn year_of(part: &str) -> Option<i16> {
    let year: i16 = part.parse().ok()?;
    Some(match (part.len(), year) {
        (2, ..70) => 2000 + year,
        (2, _) => 1900 + year,
        _ => year,
    })
}

fn clock(part: &str) -> Option<(i8, i8, i8)> {
    let mut numbers = part.split(':').map(|number| number.parse::<i8>().ok());
    let (hour, minute) = (numbers.next()??, numbers.next()??);
    // A leap second counts as second 59.
    let second = numbers.next().unwrap_or(Some(0))?.min(59);
    numbers.next().is_none().then_some((hour, minute, second))
}

#[cfg(test)]
mod tests;
