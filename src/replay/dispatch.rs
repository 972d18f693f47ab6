//! Sends each record of the input to the shards that own its books.
//!
//! Runs on:  the replay's reader; blocks on slow shards.
//! Bounds:   one open batch per shard; `REPLAY_CONNECTIONS_MAX` connections.
use super::batch::{BatchSender, Origin, Position, Task, WorkerCommand};
use super::connections::Connections;
use super::engines::{Engines, number_in};
use super::plan::Resumption;
use super::sequence::{FrameInfo, Held, SequenceTracker};
use super::worker::InputError;
use crate::base::id::ShardId;
use crate::base::limits::{FRAME_BYTES_MAX, REPLAY_ERRORS_SHOWN};
use crate::capture::line::{AnnotationRecord, Record, What};
use crate::capture::outline::{Route, route};
use crate::shard::books::ConnectionSlot;
use crate::venue::{Feed, MessageFault, Verdict};

const TOO_LONG: &str = "longer than a frame can be";

/// Counters over all passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DispatchCounts {
    /// Frames that no shard counts: binary, too long, not UTF-8.
    pub(super) frames: u64,
    pub(super) bytes: u64,
    /// Unparsable lines.
    pub(super) errors: u64,
    /// Texts that are not UTF-8 and do not look like JSON.
    pub(super) unknown_texts: u64,
    pub(super) binary_frames: u64,
    /// Connections opened.
    pub(super) opened: u64,
    /// Connections ended.
    pub(super) ended: u64,
    /// Lost frames recorded in a capture.
    pub(super) frames_lost: u64,
    /// Texts sent by the capturing engine.
    pub(super) sent: u64,
    /// Records of unknown kind.
    pub(super) unknown_kinds: u64,
    /// Frames that the live engine skipped.
    pub(super) frames_skipped: u64,
    /// Gaps in sequence numbers.
    pub(super) holes: u64,
    /// Messages missing in these gaps.
    pub(super) missing: u64,
    /// Messages with a repeated number.
    pub(super) duplicates: u64,
    /// Restarted sessions on a connection whose end is not in the input.
    pub(super) restarts: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FirstValue {
    pub(super) line: u64,
    /// Its beginning, for error messages; empty for an empty file.
    pub(super) text: String,
    /// The file has annotation records of an engine.
    pub(super) has_annotations: bool,
    /// The file has a value that is neither a frame nor a record.
    pub(super) unrecognized: bool,
}

/// Results of all passes.
#[derive(Debug)]
pub(super) struct DispatchOutput {
    pub(super) counts: DispatchCounts,
    pub(super) errors_shown: Vec<InputError>,
    pub(super) firsts: Vec<FirstValue>,
}

/// Decides for each record which shards receive it, and as what.
pub(super) struct Dispatcher {
    senders: Vec<BatchSender>,
    feed: Feed,
    connections: Connections,
    /// If the venue numbers its messages.
    sequence: Option<SequenceTracker>,
    engines: Engines,
    is_first_pass: bool,
    /// What was received before this time is not counted.
    counts_from_ns: u64,
    pub(super) file_frames: u64,
    counts: DispatchCounts,
    /// The first unparsable lines of the first pass.
    errors_shown: Vec<InputError>,
    pub(super) firsts: Vec<FirstValue>,
}

impl Dispatcher {
    /// For one sender per shard and so many files.
    pub(super) fn new(senders: Vec<BatchSender>, feed: Feed, files: usize) -> Self {
        Self {
            senders,
            feed,
            connections: Connections::default(),
            sequence: None,
            engines: Engines::default(),
            is_first_pass: true,
            counts_from_ns: 0,
            file_frames: 0,
            counts: DispatchCounts::default(),
            errors_shown: Vec::new(),
            firsts: vec![FirstValue::default(); files],
        }
    }

    /// Forgets connections and numbers; the shards drop their books.
    pub(super) fn begin_pass(&mut self, is_first: bool) {
        self.connections = Connections::default();
        self.sequence = SequenceTracker::of(self.feed);
        self.engines = Engines::default();
        self.is_first_pass = is_first;
        if !is_first {
            self.senders.iter_mut().for_each(|sender| sender.send(WorkerCommand::Reset));
        }
    }

    /// The input begins within the records of an engine.
    pub(super) fn resume(&mut self, resumes: Resumption) {
        self.engines = Engines::running(resumes.shards);
        self.counts_from_ns = resumes.counts_from_ns.unwrap_or(0);
        self.send_to_all(Task::Begin, "", Origin::nowhere(0, Position::default()));
    }

    pub(super) fn end_pass(&mut self) {
        self.discard_held();
        self.flush();
    }

    pub(super) fn flush(&mut self) {
        self.senders.iter_mut().for_each(BatchSender::flush);
    }

    /// All that was sent so far is before the range's beginning.
    pub(super) fn ready(&mut self) {
        self.flush();
        self.senders.iter_mut().for_each(|sender| sender.send(WorkerCommand::Ready));
    }

    /// Ends the input of the shards.
    pub(super) fn finish(&mut self) {
        self.senders.iter_mut().for_each(|sender| sender.send(WorkerCommand::Finish));
    }

    /// The results; afterwards the channels are closed.
    pub(super) fn into_output(self) -> DispatchOutput {
        let Self { counts, errors_shown, firsts, .. } = self;
        DispatchOutput { counts, errors_shown, firsts }
    }

    const fn shards(&self) -> u16 {
        self.senders.len() as u16
    }

    fn origin(&mut self, record: &Record<'_>, position: Position) -> Origin {
        let slot = self.connections.slot_of(record.connection);
        Origin { slot, receive_ns: record.receive_ns.unwrap_or(0), position }
    }

    /// A record that is due, and its line.
    pub(super) fn on_record(&mut self, record: &Record<'_>, text: &str, position: Position) {
        let counts = self.counts;
        self.on_due(record, text, position);
        if record.receive_ns.is_some_and(|at_ns| at_ns < self.counts_from_ns) {
            self.counts = counts;
        }
    }

    fn on_due(&mut self, record: &Record<'_>, text: &str, position: Position) {
        match &record.what {
            What::Text(frame) if frame.len() > FRAME_BYTES_MAX => {
                self.on_frame_lost(frame.as_bytes(), position, TOO_LONG);
                let origin = self.origin(record, position);
                self.send_to_all(Task::FramesLost, "", origin);
            }
            What::Text(frame) => {
                self.file_frames += 1;
                // The frame is a part of the line at an offset of its own.
                let inset = (frame.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
                let inset = if inset < text.len() { inset as u64 } else { 0 };
                let position = Position { offset: position.offset + inset, ..position };
                let origin = self.origin(record, position);
                self.on_text(frame, origin);
            }
            What::Binary(bytes) => {
                let origin = self.origin(record, position);
                self.on_binary(bytes, origin);
            }
            What::Skipped => {
                self.file_frames += 1;
                self.counts.frames_skipped += 1;
            }
            What::Sent => self.counts.sent += 1,
            What::Header => {}
            What::UnknownKind => {
                self.firsts[position.file as usize].unrecognized = true;
                self.counts.unknown_kinds += 1;
            }
            What::Broken(why) => {
                self.firsts[position.file as usize].unrecognized = true;
                self.counts.errors += 1;
                self.add_error(position, why);
                if text.contains(['{', '}']) {
                    self.on_damaged(text, position);
                }
            }
            _ => self.on_lifecycle(record, text, position),
        }
    }

    fn on_binary(&mut self, bytes: &[u8], origin: Origin) {
        self.file_frames += 1;
        self.counts.frames += 1;
        self.counts.binary_frames += 1;
        self.counts.bytes += bytes.len() as u64;
        self.counts.errors += 1;
        self.add_error(origin.position, &MessageFault::Binary.to_string());
        self.on_unreadable_frame(&String::from_utf8_lossy(bytes), origin);
    }

    /// A line that is not UTF-8 from byte `valid` on.
    pub(super) fn on_not_utf8(&mut self, bytes: &[u8], valid: usize, position: Position) {
        let offset = position.offset + valid as u64;
        self.on_frame_lost(bytes, Position { offset, ..position }, "not UTF-8");
        self.on_damaged(&String::from_utf8_lossy(bytes), position);
    }

    /// A line longer than the bound.
    pub(super) fn on_too_long(&mut self, bytes: &[u8], position: Position) {
        self.on_frame_lost(bytes, position, TOO_LONG);
        self.on_frames_lost_anywhere(0, position);
    }

    /// Frames of unknown connections are missing here.
    pub(super) fn on_frames_lost_anywhere(&mut self, receive_ns: u64, position: Position) {
        self.send_to_all(Task::FramesLostAnywhere, "", Origin::nowhere(receive_ns, position));
    }

    /// A lifecycle record of a connection or book.
    fn on_lifecycle(&mut self, record: &Record<'_>, text: &str, position: Position) {
        self.discard_held();
        let known = record.connection.is_none_or(|c| self.connections.is_known(c));
        let origin = self.origin(record, position);
        let slot = origin.slot;
        if let (What::Opened { .. } | What::Ended, Some(sequence)) =
            (&record.what, &mut self.sequence)
        {
            for slot in sequence.begin(slot) {
                self.send_to_all(Task::Ended, "", origin.on(slot));
            }
        }
        match &record.what {
            What::Opened { from } if self.is_engine_capture() => {
                self.counts.opened += 1;
                let from = from.map(|from| self.connections.slot(from));
                self.send_to_all(Task::Annotation(AnnotationRecord::Opened, from), text, origin);
            }
            What::Opened { .. } => {
                self.counts.opened += 1;
                // Its end is missing, as after a killed process.
                if known {
                    self.send_to_all(Task::Ended, "", origin);
                }
            }
            What::Ended => {
                self.counts.ended += 1;
                let task =
                    if self.is_engine_capture() { Task::EndedInCapture } else { Task::Ended };
                // In an engine's capture a connection exists until it is closed for good, and then has no
                // books.
                if !self.is_engine_capture() || known {
                    self.send_to_all(task, "", origin);
                }
                if !self.is_engine_capture() || !known {
                    record.connection.inspect(|&c| self.connections.ended(c));
                }
            }
            What::Lost(frames) => {
                self.counts.frames_lost = self.counts.frames_lost.saturating_add(*frames);
                let task = record.connection.map_or(Task::FramesLostAnywhere, |_| Task::FramesLost);
                self.send_to_subscriptions(task, origin);
                self.send_to_all(task, "", origin);
            }
            What::Answer(answer, question) => {
                self.send_to_all(Task::Answer(*question), answer, origin);
            }
            What::Annotation(note) => {
                self.firsts[position.file as usize].has_annotations = true;
                match note {
                    AnnotationRecord::Begun => self.begin(text, origin),
                    AnnotationRecord::Image => self.on_image(text, slot),
                    _ => {}
                }
                self.send_to_all(Task::Annotation(*note, None), text, origin);
                if *note == AnnotationRecord::Closed {
                    record.connection.inspect(|&c| self.connections.ended(c));
                }
            }
            _ => {}
        }
    }

    fn on_text(&mut self, frame: &str, origin: Origin) {
        let shards = self.shards();
        if let Some(sequence) = &mut self.sequence {
            let found = sequence.classify(frame, origin, self.engines.is_any(), shards);
            return self.on_numbered(found, frame, origin);
        }
        match route(frame.as_bytes(), shards) {
            Route::One(shard) => self.send_frame(shard, frame, origin),
            Route::All => {
                let mut task = self.task_of_frame(&origin);
                for sender in &mut self.senders {
                    sender.open().push(task, frame, origin);
                    task = Task::FrameUncounted;
                }
            }
        }
    }

    fn send_frame(&mut self, shard: ShardId, frame: &str, origin: Origin) {
        let task = self.task_of_frame(&origin);
        self.senders[usize::from(shard.0)].open().push(task, frame, origin);
    }

    const fn task_of_frame(&self, origin: &Origin) -> Task {
        match origin.receive_ns < self.counts_from_ns {
            true => Task::FrameUncounted,
            false => Task::Frame,
        }
    }

    /// A frame of a venue with sequence numbers. One shard applies it; gaps go to all.
    fn on_numbered(&mut self, found: FrameInfo, frame: &str, origin: Origin) {
        self.counts.restarts += u64::from(found.restarted);
        self.count_repeated(&found.repeated);
        for &stale_slot in &found.stale_slots {
            self.send_to_all(Task::Ended, "", origin.on(stale_slot));
        }
        for held in &found.released {
            self.send_frame(held.shard, &held.frame, held.origin);
        }
        match found.verdict {
            _ if found.held => return,
            Verdict::Next => {}
            Verdict::Duplicate => return self.count_duplicate(frame),
            Verdict::Hole(missing) => {
                self.counts.holes += 1;
                self.counts.missing += missing;
                self.send_to_all(Task::SequenceGap, "", origin.on(found.slot));
            }
        }
        if found.broken {
            // The subscription is unknown.
            self.send_to_subscriptions(Task::SequenceGap, origin);
            self.send_to_all(Task::SequenceGap, "", origin);
        }
        self.send_frame(found.shard, frame, origin.on(found.slot));
    }

    fn count_duplicate(&mut self, frame: &str) {
        self.counts.duplicates += 1;
        self.counts.frames += 1;
        self.counts.bytes += frame.len() as u64;
    }

    fn count_repeated(&mut self, repeated: &[Held]) {
        repeated.iter().for_each(|held| self.count_duplicate(&held.frame));
    }

    /// The held frames cannot be decided about: their books are stale.
    pub(super) fn discard_held(&mut self) {
        let Some(sequence) = self.sequence.as_mut().filter(|sequence| sequence.holds()) else {
            return;
        };
        let (held, slots) = sequence.discard_held();
        self.count_repeated(&held);
        let Some(Held { origin, .. }) = held.last() else { return };
        for slot in slots {
            self.send_to_all(Task::Ended, "", origin.on(slot));
        }
    }

    /// Whether the input is an engine's capture, in which annotations open and close books.
    fn is_engine_capture(&self) -> bool {
        self.engines.is_any()
    }

    /// A shard of an engine starts.
    fn begin(&mut self, line: &str, origin: Origin) {
        if self.engines.on_shard_start(line) {
            self.connections = Connections::default();
            if let Some(sequence) = &mut self.sequence {
                sequence.set_merged(is_merged(line));
            }
            self.send_to_all(Task::Begin, "", origin.on(ConnectionSlot(0)));
        }
    }

    /// Books continue behind the last message before their image.
    fn on_image(&mut self, line: &str, slot: ConnectionSlot) {
        let position = (number_in(line, r#","sid":"#), number_in(line, r#","seq":"#));
        let Some(sequence) = &mut self.sequence else { return };
        if is_merged(line) {
            sequence.set_merged(true);
        } else if position.1 > 0 {
            sequence.resume(slot, position);
        }
    }

    fn send_to_all(&mut self, task: Task, text: &str, origin: Origin) {
        for sender in &mut self.senders {
            sender.open().push(task, text, origin);
        }
    }

    /// To the slots of a connection's subscriptions, where messages are numbered.
    fn send_to_subscriptions(&mut self, task: Task, origin: Origin) {
        for slot in self.sequence.as_ref().map_or_else(Vec::new, |n| n.slots(origin.slot)) {
            self.send_to_all(task, "", origin.on(slot));
        }
    }

    /// A frame that cannot be given to a decoder.
    pub(super) fn on_frame_lost(&mut self, bytes: &[u8], position: Position, why: &str) {
        self.file_frames += 1;
        self.counts.frames += 1;
        self.counts.bytes += bytes.len() as u64;
        self.firsts[position.file as usize].unrecognized = true;
        if matches!(bytes.first(), Some(b'{' | b'[')) {
            self.counts.errors += 1;
            self.add_error(position, why);
        } else {
            self.counts.unknown_texts += 1;
        }
    }

    /// An unparsable line: the books named in it may have missed a change.
    fn on_damaged(&mut self, line: &str, position: Position) {
        let record = Record::read(line);
        if record.connection.is_none() && self.connections.any() {
            // In a capture the connection of the line is unknown.
            return self.on_frames_lost_anywhere(record.receive_ns.unwrap_or(0), position);
        }
        let origin = self.origin(&record, position);
        let frame = match &record.what {
            What::Text(frame) => frame,
            _ => line,
        };
        self.on_unreadable_frame(frame, origin);
    }

    /// An unparsable frame. If messages are numbered, its number is lost too.
    fn on_unreadable_frame(&mut self, frame: &str, origin: Origin) {
        self.discard_held();
        if self.sequence.is_some() {
            self.send_to_subscriptions(Task::SequenceGap, origin);
            self.send_to_all(Task::SequenceGap, "", origin);
        }
        self.send_to_all(Task::Damaged, frame, origin);
    }

    fn add_error(&mut self, position: Position, why: &str) {
        if self.is_first_pass && self.errors_shown.len() < REPLAY_ERRORS_SHOWN {
            self.errors_shown.push(InputError { position, why: why.to_owned() });
        }
    }
}

/// Whether a record is of a merged capture, whose connections have some messages of the venue's.
fn is_merged(line: &str) -> bool {
    line.contains(r#","merged":true"#)
}
