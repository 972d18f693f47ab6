//! The numbers of the records of each connection of a capture.
//!
//! Runs on:  the replay's reader (pure), in the order of the files. Bounds: `REPLAY_CONNECTIONS_MAX` connections.
//!
//! Records are counted from 0 on each connection of a process. A number that is left out is a record that somebody
//! removed; a smaller one begins another process. What is written by other tools is not judged, and neither is a part
//! of a capture with some markets only: its files say so in their first record.
use crate::base::limits::REPLAY_CONNECTIONS_MAX;
use crate::capture::line::{AnnotationRecord, Record, What, is_part, number};
use std::collections::HashMap;

/// The next number of each connection.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    next: HashMap<u64, u64>,
    is_judged: bool,
}

impl Numbers {
    /// What was read so far says nothing about what comes.
    pub(super) fn forget(&mut self) {
        self.next.clear();
    }

    /// A file is read that may not be read from its beginning.
    pub(super) fn begin_part(&mut self) {
        *self = Self::default();
    }

    /// How many records of its connection are missing before this one.
    pub(super) fn missing_before(&mut self, record: &Record<'_>, line: &str) -> u64 {
        if record.what == What::Header {
            self.is_judged = !is_part(line);
            return 0;
        }
        if !self.is_judged {
            return 0;
        }
        let Some((connection, number)) = number(line) else { return 0 };
        if number == 0 && record.what == What::Annotation(AnnotationRecord::Begun) {
            self.next.clear();
        }
        // Losses of unknown connections are numbered with connection 0 and do not name it.
        if connection == 0 || self.next.len() >= REPLAY_CONNECTIONS_MAX as usize {
            return 0;
        }
        let next = self.next.insert(connection, number + 1).unwrap_or(number);
        number.saturating_sub(next)
    }
}

#[cfg(test)]
mod tests;
