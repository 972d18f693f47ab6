//! Where a shard's books lie: in blocks that never move.
//!
//! Runs on:  any (pure). Bounds: as many places as there were ever books at once; the last block
//! is the only one with places to spare. One growing array would wait for 100 MB to be copied.
use super::{ConnectionSlot, group::Group, updates::Mark};
use crate::base::id::{BookIndex, MarketId, TokenId};
use crate::link::shard_updates::SubscriptionKey;
use crate::market::book::{
    Book, BookState,
    image::{BookFacts, BookProof},
};
use crate::market::event::Snapshot;
use std::ops::{Index, IndexMut};

/// One book and all that belongs to it, in the order in which an update needs it: two cache lines
/// that find the book and hold its state, three with the best levels of both sides, two
/// that note what changed it. The market is read only where books are implied. Not aligned to
/// cache lines: that was no faster, and allocators waste a quarter on aligned blocks.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Slot {
    pub(super) token: TokenId,
    pub(super) occupancy: Occupancy,
    /// Another book of the same market; this one if there is none.
    pub(super) sibling: BookIndex,
    pub(super) connection: ConnectionSlot,
    pub(super) snapshot_ms: u64,
    pub(super) state: BookState,
    pub(super) group: Group,
    pub(super) book: Book,
    pub(super) facts: BookFacts,
    pub(super) market: MarketId,
    /// Whether the image of a subscribed book must be sent.
    pub(super) mark: Mark,
    /// The subscriber's number of a subscribed book.
    pub(super) subscription: SubscriptionKey,
}

/// What a place holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occupancy {
    Free,
    Open,
    /// A book whose updates the serve core receives.
    Subscribed,
}

const _: () = assert!(size_of::<Slot>() <= 512);

/// Places of one block: 122 KB.
const BLOCK: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Slots {
    /// All but the last are full.
    blocks: Vec<Vec<Slot>>,
    len: usize,
    free: Vec<BookIndex>,
    /// When each book last equalled what the venue reports; beside the places, which have no room for it.
    proofs: Vec<BookProof>,
}

impl Slot {
    /// Whether there is a book.
    pub(super) fn is_open(&self) -> bool {
        self.occupancy != Occupancy::Free
    }

    /// Whether the serve core receives its updates.
    #[inline]
    pub(super) fn is_subscribed(&self) -> bool {
        self.occupancy == Occupancy::Subscribed
    }

    /// Takes over the fields of a snapshot other than its levels.
    pub(super) fn take_facts(&mut self, event: &Snapshot<'_>, wall_ns: u64) {
        self.snapshot_ms = event.timestamp_ms;
        let facts = &mut self.facts;
        facts.timestamp_ms = event.timestamp_ms;
        facts.hash = event.hash;
        facts.tick_size = event.tick_size.or(facts.tick_size);
        facts.last_trade = event.last_trade.or(facts.last_trade);
        facts.min_order_size = event.min_order_size.or(facts.min_order_size);
        facts.neg_risk = event.neg_risk.unwrap_or(facts.neg_risk);
        facts.updates += 1;
        facts.updated_wall_ns = wall_ns;
    }

    /// The same for a snapshot of the stream, which may be older than the tick size of a live book (`tick_ms`).
    pub(super) fn take_stream_facts(&mut self, event: &Snapshot<'_>, tick_ms: u64, wall_ns: u64) {
        let known = self.facts.tick_size;
        self.take_facts(event, wall_ns);
        if self.state == BookState::Live && event.timestamp_ms < tick_ms && known.is_some() {
            self.facts.tick_size = known;
        }
    }
}

impl Slots {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Puts a book, its own sibling, in a free place or in a new one.
    pub(super) fn insert(&mut self, mut slot: Slot) -> BookIndex {
        if let Some(index) = self.free.pop() {
            slot.sibling = index;
            // The place may still stand in the verifier's queue.
            slot.group.queued = self[index].group.queued;
            // And among the books whose image is to be sent.
            slot.mark = self[index].mark;
            self[index] = slot;
            self.proofs[index.0 as usize] = BookProof::default();
            return index;
        }
        let index = BookIndex(self.len as u32);
        slot.sibling = index;
        if self.len.is_multiple_of(BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        self.blocks[self.len / BLOCK].push(slot);
        self.proofs.push(BookProof::default());
        self.len += 1;
        index
    }

    /// What a book was compared with.
    pub(super) fn proof(&self, index: BookIndex) -> BookProof {
        self.proofs.get(index.0 as usize).copied().unwrap_or_default()
    }

    /// The same, to be changed.
    pub(super) fn proof_mut(&mut self, index: BookIndex) -> &mut BookProof {
        &mut self.proofs[index.0 as usize]
    }

    /// Frees a place and the levels of its book.
    pub(super) fn remove(&mut self, index: BookIndex) {
        let slot = &mut self[index];
        (slot.occupancy, slot.sibling) = (Occupancy::Free, index);
        slot.book = Book::default();
        self.free.push(index);
    }

    /// Calls `apply` with each book of a market; `first` is one of them.
    pub(super) fn for_market(&mut self, first: BookIndex, mut apply: impl FnMut(&mut Slot)) {
        let mut at = first;
        loop {
            let slot = &mut self[at];
            apply(slot);
            at = slot.sibling;
            if at == first {
                return;
            }
        }
    }

    /// Every place, free ones too.
    pub(super) fn indices(&self) -> impl Iterator<Item = BookIndex> + use<> {
        (0..self.len as u32).map(BookIndex)
    }

    pub(super) fn get(&self, index: BookIndex) -> Option<&Slot> {
        let at = index.0 as usize;
        self.blocks.get(at / BLOCK)?.get(at % BLOCK)
    }

    pub(super) fn get_mut(&mut self, index: BookIndex) -> Option<&mut Slot> {
        let at = index.0 as usize;
        self.blocks.get_mut(at / BLOCK)?.get_mut(at % BLOCK)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (BookIndex, &Slot)> {
        (0..).map(BookIndex).zip(self.blocks.iter().flatten())
    }

    /// Bytes of the blocks, in use and in reserve.
    pub(super) fn heap_bytes(&self) -> usize {
        self.blocks.len() * BLOCK * size_of::<Slot>()
            + self.blocks.capacity() * size_of::<Vec<Slot>>()
            + self.proofs.capacity() * size_of::<BookProof>()
    }
}

/// Visits all live books in turn, some at each call.
#[derive(Debug, Default)]
pub(super) struct Rotation {
    last: usize,
}

impl Rotation {
    /// The next `count` live books, or all where there are fewer.
    pub(super) fn next_live(&mut self, slots: &Slots, count: usize, mut each: impl FnMut(&Slot)) {
        let mut left = count;
        for _ in 0..slots.len() {
            if left == 0 {
                return;
            }
            let slot = &slots[self.advance(slots)];
            if slot.is_open() && slot.state == BookState::Live {
                each(slot);
                left -= 1;
            }
        }
    }

    /// The next place; there is at least one.
    pub(super) const fn peek(&self, slots: &Slots) -> BookIndex {
        BookIndex(((self.last + 1) % slots.len()) as u32)
    }

    /// The same, and turns to it.
    pub(super) const fn advance(&mut self, slots: &Slots) -> BookIndex {
        let next = self.peek(slots);
        self.last = next.0 as usize;
        next
    }
}

impl Index<BookIndex> for Slots {
    type Output = Slot;

    fn index(&self, index: BookIndex) -> &Slot {
        let at = index.0 as usize;
        &self.blocks[at / BLOCK][at % BLOCK]
    }
}

impl IndexMut<BookIndex> for Slots {
    fn index_mut(&mut self, index: BookIndex) -> &mut Slot {
        let at = index.0 as usize;
        &mut self.blocks[at / BLOCK][at % BLOCK]
    }
}
