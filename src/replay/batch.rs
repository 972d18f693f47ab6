//! Batches of frames from the reader to a shard.
//!
//! Runs on:  the reader (sends), a shard (receives); batches circulate through two rings.
//! Bounds:   `REPLAY_BATCH_BYTES` or one longer frame, `REPLAY_BATCH_FRAMES`, `REPLAY_DEPTH`.
use crate::base::limits::{
    REPLAY_BATCH_BYTES, REPLAY_BATCH_FRAMES, REPLAY_BATCH_KEPT_BYTES, REPLAY_DEPTH,
};
use crate::capture::line::AnnotationRecord;
use crate::ring::{Consumer, Producer, ring};
use crate::shard::books::ConnectionSlot;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A position in the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) file: u32,
    pub(super) line: u64,
    /// Byte offset in the decompressed file.
    pub(super) offset: u64,
}

/// Where an item comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The slot of its connection or subscription.
    pub(super) slot: ConnectionSlot,
    /// Wall clock, nanoseconds; 0 without a receive time.
    pub(super) receive_ns: u64,
    pub(super) position: Position,
}

impl Origin {
    /// Of no connection.
    pub(super) const fn nowhere(receive_ns: u64, position: Position) -> Self {
        Self { slot: ConnectionSlot(0), receive_ns, position }
    }

    /// The same on another slot.
    pub(super) const fn on(self, slot: ConnectionSlot) -> Self {
        Self { slot, ..self }
    }
}

/// What the shard does with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Frame,
    /// Apply the frame without counting it; another shard counts it.
    FrameUncounted,
    /// The connection ended.
    Ended,
    /// The connection ended in an engine's capture, where a replacement may have taken over.
    EndedInCapture,
    /// An engine starts: no connection is open and no book is held.
    Begin,
    /// Apply the annotation; the connection may replace another one.
    Annotation(AnnotationRecord, Option<ConnectionSlot>),
    /// Apply books of a REST answer, sent after the question with this number.
    Answer(u32),
    /// A text of the connection that cannot be decoded.
    Damaged,
    SequenceGap,
    /// Frames of the connection are missing.
    FramesLost,
    /// Frames of an unknown connection are missing.
    FramesLostAnywhere,
}

/// A task and the range of its text in the batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) task: Task,
    pub(super) origin: Origin,
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
    pub(super) fn push(&mut self, task: Task, frame: &str, origin: Origin) {
        let (start, len) = (self.text.len() as u32, frame.len() as u32);
        self.text.push_str(frame);
        self.items.push(Item { task, origin, start, len });
    }

    /// Items with their texts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Item, &str)> {
        (0..self.items.len()).filter_map(|place| self.get(place))
    }

    pub(super) fn get(&self, place: usize) -> Option<(&Item, &str)> {
        let item = self.items.get(place)?;
        let start = item.start as usize;
        Some((item, &self.text[start..start + item.len as usize]))
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

/// Commands from the reader to a shard.
#[derive(Debug)]
pub(super) enum WorkerCommand {
    /// Process a batch.
    Batch(Batch),
    /// End of a pass: drop all books.
    Reset,
    /// The books are those of the range's beginning.
    Ready,
    /// End of the input.
    Finish,
}

/// The reader's end of the channel to one shard.
#[derive(Debug)]
pub(super) struct BatchSender {
    commands: Producer<WorkerCommand>,
    empties: Consumer<Batch>,
    open: Batch,
    closed: Arc<AtomicBool>,
}

/// The shard's end.
#[derive(Debug)]
pub(super) struct BatchReceiver {
    commands: Consumer<WorkerCommand>,
    empties: Producer<Batch>,
    closed: Arc<AtomicBool>,
}

pub(super) fn batch_channel() -> (BatchSender, BatchReceiver) {
    let (commands, receiver) = ring(REPLAY_DEPTH);
    let (empties, returned) = ring(REPLAY_DEPTH);
    let closed = Arc::new(AtomicBool::new(false));
    let sender = BatchSender {
        commands,
        empties: returned,
        open: Batch::default(),
        closed: Arc::clone(&closed),
    };
    (sender, BatchReceiver { commands: receiver, empties, closed })
}

impl BatchSender {
    /// The batch being filled.
    pub(super) fn open(&mut self) -> &mut Batch {
        if self.open.is_full() {
            self.flush();
        }
        &mut self.open
    }

    /// Sends the batch being filled. Blocks while the ring is full.
    pub(super) fn flush(&mut self) {
        if self.open.items.is_empty() {
            return;
        }
        let next = self.empties.try_receive().unwrap_or_default();
        let full = std::mem::replace(&mut self.open, next);
        self.send(WorkerCommand::Batch(full));
    }

    pub(super) fn send(&mut self, mut command: WorkerCommand) {
        let mut backoff = Backoff::default();
        while let Err(back) = self.commands.try_send(command) {
            // The shard has panicked; joining its thread reports it.
            if self.closed.load(Ordering::Relaxed) {
                return;
            }
            command = back;
            backoff.wait();
        }
    }
}

impl BatchReceiver {
    /// The next command; `Finish` if the reader is gone.
    pub(super) fn wait(&mut self) -> WorkerCommand {
        self.wait_with(|| {})
    }

    /// The same, with `idle` called at each look in vain.
    pub(super) fn wait_with(&mut self, mut idle: impl FnMut()) -> WorkerCommand {
        let mut backoff = Backoff::default();
        loop {
            if let Some(command) = self.poll() {
                return command;
            }
            idle();
            backoff.wait();
        }
    }

    /// The next command, if there is one; `Finish` if the reader is gone.
    pub(super) fn poll(&mut self) -> Option<WorkerCommand> {
        let closed = self.closed.load(Ordering::Acquire);
        self.commands.try_receive().or(closed.then_some(WorkerCommand::Finish))
    }

    /// Returns an empty batch for reuse.
    pub(super) fn give_back(&mut self, mut batch: Batch) {
        batch.clear();
        // The ring is full: the batch is dropped.
        let _ = self.empties.try_send(batch);
    }
}

impl Drop for BatchSender {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
    }
}

impl Drop for BatchReceiver {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
    }
}

/// Backoff while a ring is full or empty: up to 50 us per wait, far less than a full ring lasts; 500 us after a while,
/// as in a replay at recorded speed.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    turns: u32,
}

impl Backoff {
    pub(super) fn wait(&mut self) {
        match self.next_ns() {
            0 => std::thread::yield_now(),
            ns => std::thread::sleep(Duration::from_nanos(ns)),
        }
    }

    /// Length of the next wait, nanoseconds; 0 only yields.
    pub(super) fn next_ns(&mut self) -> u64 {
        self.turns = self.turns.saturating_add(1);
        match self.turns {
            0..8 => 0,
            8..400 => 50_000,
            _ => 500_000,
        }
    }
}
