//! The books of one token: one for each engine that publishes it, of which consumers have one.
//!
//! Runs on:  a reader's thread (pure).
use super::Applied;
use super::book::{BusBook, BusState};
use crate::base::id::TokenId;
use crate::base::limits::{BUS_CLOSED_NS, BUS_SILENT_NS};
use crate::bus::races::bit;
use std::sync::Arc;

/// The books of one token.
#[derive(Debug, Default)]
pub(super) struct Feeds {
    pub(super) books: Vec<BusBook>,
    /// Place of the one that consumers have.
    pub(super) followed: usize,
    /// Slice of the market.
    pub(super) slice: u8,
}

impl Feeds {
    pub(super) fn followed(&self) -> Option<&BusBook> {
        self.books.get(self.followed)
    }

    pub(super) fn place(&self, engine: &Arc<str>) -> Option<usize> {
        self.books.iter().position(|book| book.engine == *engine)
    }

    /// Takes the best book; what that changes for consumers, who have had the one before as it was before.
    pub(super) fn choose(&mut self, token: TokenId) -> Option<Applied> {
        let before = self.books.get(self.followed)?;
        let better = self.books.iter().enumerate().filter(|(_, b)| b.rank() > before.rank());
        let (place, book) = better.max_by_key(|(_, book)| book.rank())?;
        let applied = match before.changes_to(book) {
            Some(levels) if levels.is_empty() => Applied::State(token),
            Some(levels) => Applied::Changes { token, levels },
            None => Applied::Image { token, gap: false, is_known: false },
        };
        self.followed = place;
        Some(applied)
    }

    /// The bits of the engines that should have what the venue has sent at this time: their books are live since
    /// before.
    pub(super) fn expected(&self, venue_ms: u64) -> u32 {
        let should = |book: &&BusBook| {
            !book.is_fenced && book.state == BusState::Live && book.begun_ms < venue_ms
        };
        self.books.iter().filter(should).fold(0, |all, book| all | bit(book.racer))
    }

    /// Whether two engines that are live have had the same last venue time for a while, and different levels.
    pub(super) fn differ(&self, now_ns: u64) -> bool {
        let Some(one) = self.followed() else { return false };
        let is_quiet = |book: &BusBook| now_ns.saturating_sub(book.read_ns) > BUS_SILENT_NS;
        self.books.iter().any(|other| {
            is_quiet(one)
                && is_quiet(other)
                && one.position.venue_ms == other.position.venue_ms
                && one.changes_to(other).is_some_and(|changes| !changes.is_empty())
        })
    }

    /// Drops books that are closed, and those of engines that have left the slice; whether there is any left.
    pub(super) fn forget(&mut self, now_ns: u64) -> bool {
        let followed = self.followed().map(|book| Arc::clone(&book.engine));
        self.books.retain(|book| {
            let is_fenced = book.is_fenced && Some(&book.engine) != followed.as_ref();
            let is_over = book.state == BusState::Closed || is_fenced;
            !is_over || now_ns.saturating_sub(book.read_ns) <= BUS_CLOSED_NS
        });
        self.followed = followed.and_then(|engine| self.place(&engine)).unwrap_or(0);
        !self.books.is_empty()
    }
}
