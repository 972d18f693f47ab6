//! `serve_bus`: the records of every book and trade, on their way to the broker.
//!
//! And back: which books are to be published as a whole again.
//!
//! Runs on:  the serve core fills chunks, the thread `bus` empties them at least every `SINK_LOOK_NS`.
//! Depth: `BUS_CHUNKS` chunks of about `BUS_CHUNK_BYTES`, which go round: full ones one way, empty ones back;
//! `BUS_REPEATS_DEPTH` books. When no chunk is empty: records wait in the hub's outbox, by its rules. When too many
//! books are asked for: all of them are.
use crate::base::id::TokenId;
use crate::base::limits::{BUS_CHUNKS, BUS_REPEATS_DEPTH};
use crate::counter::bus::BusBoard;
use crate::io::wake::TaskWaker;
use crate::ring::{Consumer, Producer, ring};
use std::sync::Arc;

/// What is to be published as a whole again, because a record did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// The book of a token.
    Book(TokenId),
    /// Every book.
    All,
}

/// How the records come to be.
#[derive(Clone, Copy, Debug)]
pub struct BusFeed {
    /// Bytes that may wait in the serve core.
    pub buffer_bytes: usize,
    /// Interval in which each book is published as a whole, nanoseconds.
    pub snapshot_ns: u64,
    /// Shortest interval between best prices of a book, nanoseconds.
    pub tops_ns: u64,
}

/// The serve core's end.
#[derive(Debug)]
pub struct BusSender {
    /// How the records come to be.
    pub feed: BusFeed,
    /// The figures.
    pub board: Arc<BusBoard>,
    full: Producer<Vec<u8>>,
    empty: Consumer<Vec<u8>>,
    repeats: Consumer<Repeat>,
    spare: Vec<Vec<u8>>,
}

/// The end of the thread `bus`.
#[derive(Debug)]
pub struct BusReceiver {
    full: Consumer<Vec<u8>>,
    empty: Producer<Vec<u8>>,
    repeats: Producer<Repeat>,
    /// `Repeat::All` did not fit.
    repeats_all: bool,
    waker: TaskWaker,
}

/// Both ends; `waker` wakes the serve core.
#[must_use]
pub fn link(feed: BusFeed, board: Arc<BusBoard>, waker: TaskWaker) -> (BusSender, BusReceiver) {
    let (full, filled) = ring(BUS_CHUNKS);
    let (emptied, empty) = ring(BUS_CHUNKS);
    let (asked, repeats) = ring(BUS_REPEATS_DEPTH);
    let spare = vec![Vec::new(); BUS_CHUNKS];
    let sender = BusSender { feed, board, full, empty, repeats, spare };
    let receiver =
        BusReceiver { full: filled, empty: emptied, repeats: asked, repeats_all: false, waker };
    (sender, receiver)
}

impl BusSender {
    /// The length of the next chunk that the bus has taken; the chunk is empty again.
    pub fn take_back(&mut self) -> Option<usize> {
        let mut chunk = self.empty.try_receive()?;
        let length = chunk.len();
        chunk.clear();
        self.spare.push(chunk);
        Some(length)
    }

    /// An empty chunk, to be returned with [`BusSender::send`] or [`BusSender::put_back`].
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        self.spare.pop()
    }

    /// An unused chunk.
    pub fn put_back(&mut self, chunk: Vec<u8>) {
        self.spare.push(chunk);
    }

    /// Sends a chunk. There is room for all that go round.
    pub fn send(&mut self, chunk: Vec<u8>) {
        if let Err(mut chunk) = self.full.try_send(chunk) {
            chunk.clear();
            self.spare.push(chunk);
        }
    }

    /// The next books to publish as a whole.
    pub fn poll_repeat(&mut self) -> Option<Repeat> {
        self.repeats.try_receive()
    }
}

impl BusReceiver {
    /// The next chunk, to be returned with [`BusReceiver::give_back`].
    pub fn try_receive(&mut self) -> Option<Vec<u8>> {
        self.full.try_receive()
    }

    /// The chunk was taken: its bytes count no more.
    pub fn give_back(&mut self, chunk: Vec<u8>) {
        // There is room for all that go round.
        let _ = self.empty.try_send(chunk);
        self.waker.wake();
    }

    /// Asks for a book, or all of them, as a whole.
    pub fn repeat(&mut self, repeat: Repeat) {
        self.repeats_all |= repeat == Repeat::All || self.repeats.try_send(repeat).is_err();
        self.retry();
    }

    /// Asks again where there was no room.
    pub fn retry(&mut self) {
        if self.repeats_all && self.repeats.try_send(Repeat::All).is_ok() {
            self.repeats_all = false;
        }
        self.waker.wake();
    }
}

#[cfg(test)]
mod tests;
