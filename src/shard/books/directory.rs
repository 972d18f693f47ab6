//! From tokens and markets to books.
//!
//! Runs on:  any (pure). Owns: two hash indices; the books themselves are in `slots`.
use super::index::Index;
use super::slots::{Slot, Slots};
use crate::base::id::BookIndex;
use foldhash::quality::RandomState;
use std::hash::BuildHasher as _;

/// Finds books by token and by market, and links the books of a market as a ring of siblings.
#[derive(Debug, Default)]
pub(super) struct Directory {
    hasher: RandomState,
    by_token: Index,
    by_market: Index,
}

impl Directory {
    /// Half a hash is enough: 2^20 books share one 128 times or so, and then their texts differ. The end of a long id,
    /// 32 digits, distinguishes it.
    #[inline]
    pub(super) fn hash(&self, text: &[u8]) -> u32 {
        let hash = match text.last_chunk::<32>() {
            Some(end) => {
                let word =
                    |at: usize| end[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
                self.hasher.hash_one((word(0), word(8), word(16), word(24)))
            }
            None => self.hasher.hash_one(text),
        };
        (hash >> 32) as u32
    }

    /// All 64 bits.
    pub(super) fn hash_whole(&self, text: &str) -> u64 {
        self.hasher.hash_one(text)
    }

    #[inline]
    pub(super) fn find(&self, slots: &Slots, token: &[u8]) -> Option<BookIndex> {
        let same = |place: u32| slots[BookIndex(place)].token.is(token);
        self.by_token.find(self.hash(token), same).map(BookIndex)
    }

    /// The first place whose token has this hash: most probably that of the token.
    #[inline]
    pub(super) fn place_of(&self, hash: u32) -> Option<BookIndex> {
        self.by_token.find(hash, |_| true).map(BookIndex)
    }

    /// Has the index entry of a token with this hash fetched.
    #[inline]
    pub(super) fn prefetch(&self, hash: u32) {
        self.by_token.prefetch(hash);
    }

    pub(super) fn find_in(&self, slots: &Slots, market: &[u8], token: &[u8]) -> Option<BookIndex> {
        let same = |place: u32| {
            let slot = &slots[BookIndex(place)];
            slot.token.is(token) && slot.market.is(market)
        };
        self.by_token.find(self.hash(token), same).map(BookIndex)
    }

    pub(super) fn find_market(&self, slots: &Slots, market: &[u8]) -> Option<BookIndex> {
        let same = |place: u32| slots[BookIndex(place)].market.is(market);
        self.by_market.find(self.hash(market), same).map(BookIndex)
    }

    /// Every book of a token: one a market where books are implied.
    pub(super) fn find_all(&self, slots: &Slots, token: &[u8]) -> Vec<BookIndex> {
        let mut found = Vec::new();
        self.by_token.find(self.hash(token), |place| {
            let index = BookIndex(place);
            if slots[index].token.as_bytes() == token {
                found.push(index);
            }
            false
        });
        found
    }

    /// Enters a book that is its own sibling.
    pub(super) fn insert(&mut self, slots: &mut Slots, index: BookIndex) {
        let Slot { token, market, .. } = slots[index];
        self.by_token.insert(self.hash(token.as_bytes()), index.0);
        match self.find_market(slots, market.as_bytes()) {
            None => self.by_market.insert(self.hash(market.as_bytes()), index.0),
            Some(sibling) => {
                let next = std::mem::replace(&mut slots[sibling].sibling, index);
                slots[index].sibling = next;
            }
        }
    }

    /// Takes a book out, and out of the ring of its siblings.
    pub(super) fn remove(&mut self, slots: &mut Slots, index: BookIndex) {
        let Slot { token, market, sibling: next, .. } = slots[index];
        self.by_token.remove(self.hash(token.as_bytes()), index.0);
        let market_hash = self.hash(market.as_bytes());
        if next == index {
            self.by_market.remove(market_hash, index.0);
            return;
        }
        // Nothing happens where another book of the ring stands for the market.
        self.by_market.replace(market_hash, index.0, next.0);
        let mut before = next;
        while slots[before].sibling != index {
            before = slots[before].sibling;
        }
        slots[before].sibling = next;
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.by_token.heap_bytes() + self.by_market.heap_bytes()
    }
}
