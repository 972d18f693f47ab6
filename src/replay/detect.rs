//! Whose frames a recording holds.
//!
//! Runs on:  the starting thread.
//! Bounds:   `VALUES_LOOKED_AT` values of the first file.
use super::lines::{Condition, Lines};
use crate::base::id::Venue;
use crate::capture::line::{Record, What};
use crate::io::file::{self, Source};
use crate::venue::Decoder;
use std::sync::Arc;

/// Values that are looked at before it is given up.
const VALUES_LOOKED_AT: usize = 10_000;

/// The venue of the first message that one venue alone can have sent; `None` where there is none, and for standard
/// input and pipes, which can be read once only.
#[must_use]
pub fn venue_of(files: &[Source]) -> Option<Venue> {
    let mut kalshi = Decoder::of(Venue::Kalshi);
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
            if frame.contains(r#""event_type""#) && !frame.contains(r#""msg""#) {
                return Some(Venue::Polymarket);
            }
            let outline = kalshi.outline(&frame);
            let is_kalshi = outline.sequence.is_some() || outline.subscription.is_some();
            if is_kalshi || outline.market.is_some() {
                return Some(Venue::Kalshi);
            }
        }
    }
    None
}
