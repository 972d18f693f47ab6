//! Detects the venue of a recording.
//!
//! Runs on:  the starting thread.
//! Bounds:   `VALUES_LOOKED_AT` values of the first file.
use super::lines::{Condition, Lines};
use crate::capture::line::{Record, What};
use crate::io::file::{self, Source};
use crate::venue::{self, Feed};
use std::sync::Arc;

/// Values read before giving up.
const VALUES_LOOKED_AT: usize = 10_000;

/// The venue of the first message that only one venue can have sent; `None` if there is none, and for standard
/// input and pipes, which can be read only once.
#[must_use]
pub fn venue_of(files: &[Source]) -> Option<Feed> {
    for source in files {
        if *source == Source::Stdin || file::look(source).ok()?.len.is_none() {
            return None;
        }
        let mut lines = Lines::new(file::open(source, &Arc::default()).ok()?.reader);
        for _ in 0..VALUES_LOOKED_AT {
            let Ok(Some(value)) = lines.next() else { break };
            let Ok(text) = std::str::from_utf8(value.bytes) else { continue };
            if value.condition != Condition::Whole {
                continue;
            }
            let What::Text(frame) = Record::read(text).what else { continue };
            let certain = venue::ALL.into_iter().find(|feed| feed.is_certain_of(&frame));
            if certain.is_some() {
                return certain;
            }
        }
    }
    None
}
