//! What the engine must know of a venue to follow it: one value a venue.
//!
//! Runs on:  any (pure).
use crate::base::id::Venue;

/// How messages change a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updates {
    /// A message says what a level is now: any connection may speak for a book.
    Absolute,
    /// A message says by how much a level changed, and has a number: only the connection that a book hangs on may speak
    /// for it, and a message that is missing is found by its number.
    Sequenced,
}

/// What a venue's protocol is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// How messages change a book.
    pub updates: Updates,
    /// Markets open at their start without a message: the engine opens them by its clock.
    pub opens_by_clock: bool,
    /// Some connections carry a stream of all markets, so that an event may concern a book of any shard.
    pub shared_streams: bool,
}

impl Capabilities {
    /// Those of a venue.
    #[must_use]
    pub const fn of(venue: Venue) -> Self {
        match venue {
            Venue::Polymarket => {
                let updates = Updates::Absolute;
                Self { updates, opens_by_clock: false, shared_streams: false }
            }
            Venue::Kalshi => {
                let updates = Updates::Sequenced;
                Self { updates, opens_by_clock: true, shared_streams: true }
            }
        }
    }

    /// Whether messages are numbered and say by how much a level changed.
    #[must_use]
    pub const fn is_sequenced(self) -> bool {
        matches!(self.updates, Updates::Sequenced)
    }
}
