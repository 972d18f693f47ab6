//! Frames on their way from the reader to a shard, many at a time.
//!
//! Runs on:  the reader (fills), a shard (empties); batches go round in two rings.
//! Bounds:   `REPLAY_BATCH_BYTES` or one longer frame, `REPLAY_BATCH_FRAMES`, `REPLAY_DEPTH`.
use crate::base::limits::{
    REPLAY_BATCH_BYTES, REPLAY_BATCH_FRAMES, REPLAY_BATCH_KEPT_BYTES, REPLAY_DEPTH,
};
use crate::capture::line::Note;
use crate::ring::{Consumer, Producer, ring};
use crate::shard::books::ConnectionSlot;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Where something stands in the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Number of the file, from 0.
    pub(super) file: u32,
    /// Line, from 1.
    pub(super) line: u64,
    /// Bytes before it in the decompressed file.
    pub(super) offset: u64,
}

/// What the shard is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Apply the frame and count it.
    Frame,
    /// Apply the frame; another shard counts it.
    Echo,
    /// The connection ended.
    Ended,
    /// The same, in the capture of an engine: a replacement may have taken over.
    HungUp,
    /// Nothing is open: an engine begins.
    Begin,
    /// Do what the note says; the connection replaces that one.
    Note(Note, Option<ConnectionSlot>),
    /// Apply books of the REST interface.
    Answer,
    /// A text of the connection that cannot be decoded.
    Damaged,
    /// Messages of the connection are missing, by their numbers.
    Hole,
    /// Frames of the connection are missing.
    Lost,
    /// Frames of no matter which connection are missing.
    LostAnywhere,
}

/// One task, with its text as a place in the batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) task: Task,
    pub(super) connection: ConnectionSlot,
    pub(super) receive_ns: u64,
    pub(super) place: Place,
    start: u32,
    len: u32,
}

/// Tasks for one shard, in order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    text: String,
    items: Vec<Item>,
}

impl Batch {
    pub(super) fn push(
        &mut self,
        task: Task,
        frame: &str,
        connection: ConnectionSlot,
        receive_ns: u64,
        place: Place,
    ) {
        let (start, len) = (self.text.len() as u32, frame.len() as u32);
        self.text.push_str(frame);
        self.items.push(Item { task, connection, receive_ns, place, start, len });
    }

    /// Tasks with their frames.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Item, &str)> {
        self.items.iter().map(|item| {
            let start = item.start as usize;
            (item, &self.text[start..start + item.len as usize])
        })
    }

    fn is_full(&self) -> bool {
        self.text.len() >= REPLAY_BATCH_BYTES || self.items.len() >= REPLAY_BATCH_FRAMES
    }

    fn clear(&mut self) {
        if self.text.capacity() > REPLAY_BATCH_KEPT_BYTES {
            self.text = String::new();
        }
        self.text.clear();
        self.items.clear();
    }
}

/// What the reader tells a shard.
#[derive(Debug)]
pub(super) enum Order {
    /// Do these.
    Batch(Batch),
    /// A pass is over: forget all books.
    Reset,
    /// The input is over.
    Finish,
}

/// The reader's end of the way to one shard.
#[derive(Debug)]
pub(super) struct Lane {
    orders: Producer<Order>,
    empties: Consumer<Batch>,
    open: Batch,
    gone: Arc<AtomicBool>,
}

/// The shard's end.
#[derive(Debug)]
pub(super) struct Inbox {
    orders: Consumer<Order>,
    empties: Producer<Batch>,
    gone: Arc<AtomicBool>,
}

/// Both ends of a new way.
pub(super) fn lane() -> (Lane, Inbox) {
    let (orders, inbox) = ring(REPLAY_DEPTH);
    let (empties, returned) = ring(REPLAY_DEPTH);
    let gone = Arc::new(AtomicBool::new(false));
    let lane = Lane { orders, empties: returned, open: Batch::default(), gone: Arc::clone(&gone) };
    (lane, Inbox { orders: inbox, empties, gone })
}

impl Lane {
    /// The batch that is being filled.
    pub(super) fn open(&mut self) -> &mut Batch {
        if self.open.is_full() {
            self.flush();
        }
        &mut self.open
    }

    /// Sends what is there. Waits while the shard is behind: the reader is no hot core.
    pub(super) fn flush(&mut self) {
        if self.open.items.is_empty() {
            return;
        }
        let next = self.empties.try_receive().unwrap_or_default();
        let full = std::mem::replace(&mut self.open, next);
        self.send(Order::Batch(full));
    }

    pub(super) fn send(&mut self, mut order: Order) {
        let mut patience = Patience::default();
        while let Err(back) = self.orders.try_send(order) {
            // A shard that is gone has panicked; whoever joins it will say so.
            if self.gone.load(Ordering::Relaxed) {
                return;
            }
            order = back;
            patience.wait();
        }
    }
}

impl Inbox {
    /// The next order; `Finish` also when the reader is gone.
    pub(super) fn wait(&mut self) -> Order {
        let mut patience = Patience::default();
        loop {
            let gone = self.gone.load(Ordering::Acquire);
            match self.orders.try_receive() {
                Some(order) => return order,
                None if gone => return Order::Finish,
                None => patience.wait(),
            }
        }
    }

    /// Gives an empty batch back for another use.
    pub(super) fn give_back(&mut self, mut batch: Batch) {
        batch.clear();
        // No room: one batch fewer to use again.
        let _ = self.empties.try_send(batch);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Release);
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Release);
    }
}

/// Waits a little longer each time, at most 50 us: far less than a full ring lasts.
#[derive(Debug, Default)]
struct Patience {
    turns: u32,
}

impl Patience {
    fn wait(&mut self) {
        self.turns += 1;
        if self.turns < 8 {
            std::thread::yield_now();
        } else {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}
