//! The values of one file, and the places where something of it is missing.
//!
//! Runs on:  a plain thread; blocks on the disk. Bounds: one value.
use super::detect::{foreign, looks_binary};
use super::lines::{Condition, Lines, Value};
use crate::io::file::{self, Damage, Source};
use std::io::BufRead;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Why a part of a file is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Missing {
    /// NUL bytes in place of data, as after a power failure.
    Nuls,
    /// A line that is not UTF-8.
    NotUtf8,
    /// A line longer than `REPLAY_VALUE_BYTES_MAX`.
    TooLong,
    /// A line that ends within its JSON.
    Torn,
    /// A damaged place of the compression.
    Damaged,
    /// The rest of the file cannot be read.
    Unreadable,
}

impl Missing {
    /// What is missing, for a line to a person.
    #[must_use]
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Nuls => "places with NUL bytes, as after a power failure",
            Self::NotUtf8 => "lines that are not UTF-8",
            Self::TooLong => "lines longer than a record can be",
            Self::Torn => "lines that end within their JSON",
            Self::Damaged => "damaged places of the compression",
            Self::Unreadable => "files that cannot be read to their end",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileValue<'a> {
    /// What is missing before it.
    pub(crate) missing: Option<Missing>,
    /// The value: one line, or JSON over several; `None` where only something is missing.
    pub(crate) text: Option<&'a str>,
    pub(crate) line: u64,
}

/// Reads a file of any form that `ringbook replay` takes.
pub(crate) struct Values {
    lines: Lines<Box<dyn BufRead>>,
    text: String,
    ended: bool,
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Values").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Values {
    /// Opens the file, or `part` of its stored bytes. Setting `stop` ends it.
    ///
    /// # Errors
    /// One line: it cannot be opened, or is no text.
    pub(crate) fn open(
        source: &Source,
        stop: &Arc<AtomicBool>,
        part: Range<u64>,
    ) -> Result<Self, String> {
        let mut reader = file::open_part(source, stop, part)?.reader;
        let head = reader.fill_buf().unwrap_or_default();
        if let Some(what) = foreign(head) {
            return Err(format!("{source} is {what}"));
        }
        if looks_binary(head) {
            return Err(format!("{source} is not text"));
        }
        Ok(Self { lines: Lines::new(reader), text: String::new(), ended: false })
    }

    /// The next value; `None` at the end.
    pub(crate) fn next_value(&mut self) -> Option<FileValue<'_>> {
        if self.ended {
            return None;
        }
        self.text.clear();
        let (missing, line) = match self.lines.next() {
            Ok(Some(value)) => (take(&value, &mut self.text), value.line),
            Ok(None) => {
                self.ended = true;
                (Some((self.lines.nuls() > 0).then_some(Missing::Nuls)?), self.lines.count())
            }
            Err(error) => {
                self.ended = error.get_ref().is_none_or(|error| !error.is::<Damage>());
                let missing = if self.ended { Missing::Unreadable } else { Missing::Damaged };
                (Some(missing), self.lines.count())
            }
        };
        let text = (!self.text.is_empty()).then_some(self.text.as_str());
        Some(FileValue { missing, text, line })
    }
}

/// Copies a readable value to `text`; returns what is missing before it or in its place.
fn take(value: &Value<'_>, text: &mut String) -> Option<Missing> {
    match (value.condition, std::str::from_utf8(value.bytes)) {
        (Condition::Whole, Ok(whole)) => {
            text.push_str(whole);
            (value.nuls > 0).then_some(Missing::Nuls)
        }
        (Condition::Whole, Err(_)) => Some(Missing::NotUtf8),
        (Condition::TooLong, _) => Some(Missing::TooLong),
        (Condition::Torn, _) => Some(Missing::Torn),
        (Condition::Cut, _) => Some(Missing::Nuls),
    }
}
