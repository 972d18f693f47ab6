//! Core lists such as `1-3,5`.
//!
//! Runs on:  the main thread (pure).

/// Highest core number accepted.
const CORE_MAX: u32 = 4095;

/// An invalid core list, with the invalid part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoreListError {
    /// An empty part.
    #[error("part {part} of the core list is empty")]
    Empty {
        /// Position of the part, from 1.
        part: usize,
    },
    /// A part is neither a number nor a range.
    #[error("{part:?} is neither a core nor a range such as 1-3")]
    NotANumber {
        /// The part.
        part: String,
    },
    /// A range whose end is below its start.
    #[error("the range {part:?} ends before it begins")]
    Backwards {
        /// The part.
        part: String,
    },
    /// A core number above 4095.
    #[error("{part:?}: cores are numbered 0 to {CORE_MAX}")]
    TooHigh {
        /// The part.
        part: String,
    },
}

/// Parses `1-3,5` as 1, 2, 3, 5, in the given order; duplicates are allowed.
///
/// # Errors
/// [`CoreListError`] for the first invalid part.
pub fn parse_cores(text: &str) -> Result<Vec<u32>, CoreListError> {
    let mut cores = Vec::new();
    for (i, part) in text.split(',').map(str::trim).enumerate() {
        if part.is_empty() {
            return Err(CoreListError::Empty { part: i + 1 });
        }
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first, part)?, number(last, part)?);
        if first > last {
            return Err(CoreListError::Backwards { part: part.to_owned() });
        }
        cores.extend(first..=last);
    }
    Ok(cores)
}

fn number(text: &str, part: &str) -> Result<u32, CoreListError> {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(CoreListError::NotANumber { part: part.to_owned() });
    }
    let core = text.parse::<u32>().ok().filter(|&core| core <= CORE_MAX);
    core.ok_or_else(|| CoreListError::TooHigh { part: part.to_owned() })
}

/// Formats a list for [`parse_cores`]: `1-3,5`.
#[must_use]
pub fn format_cores(cores: &[u32]) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for &core in cores {
        match parts.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(core) => *last = core,
            _ => parts.push((core, core)),
        }
    }
    let show = |&(first, last): &(u32, u32)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    parts.iter().map(show).collect::<Vec<_>>().join(",")
}
