//! Reads the files, parses their lines, sends frames to the shards that own them.
//!
//! Runs on:  the starting thread; blocks on slow shards, pipes and recorded times.
//! Bounds:   one value, one open batch per shard; `REPLAY_CONNECTIONS_MAX` connections.
use super::batch::{BatchSender, Position, Task, WorkerCommand};
use super::connections::Connections;
use super::detect::looks_binary;
use super::expected::{self, Missing, part};
use super::lines::{Condition, Lines, Value};
use super::pace::Pace;
use super::plan::Plan;
use super::progress::Progress;
use super::sequence::{FrameInfo, Held, SequenceTracker};
use super::worker::InputError;
use crate::base::limits::{FRAME_BYTES_MAX, REPLAY_ERRORS_SHOWN, REPLAY_VALUE_BYTES_MAX};
use crate::base::time::{Clock, MILLISECOND_NS};
use crate::capture::line::{AnnotationRecord, Record, What};
use crate::capture::outline::{Route, route};
use crate::io::clock::HostClock;
use crate::io::file::{self, Damage, Form, Source};
use crate::shard::books::ConnectionSlot;
use crate::venue::{MessageFault, Verdict};
use std::io::{BufRead, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Counters of the reader over all passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ReaderCounts {
    /// Frames that no shard counts: binary, too long, not UTF-8.
    pub(super) frames: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Unparsable lines.
    pub(super) errors: u64,
    /// Texts that are not UTF-8 and do not look like JSON.
    pub(super) unknown_texts: u64,
    /// Binary frames.
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

/// Why a replay has no results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// The input cannot be used; exit code 1.
    Input(String),
    /// The flags do not fit the input; exit code 2.
    Usage(String),
}

/// Results of the reader.
#[derive(Debug)]
pub(super) struct ReaderOutput {
    pub(super) counts: ReaderCounts,
    pub(super) errors_shown: Vec<InputError>,
    pub(super) failures: Vec<String>,
    pub(super) firsts: Vec<FirstValue>,
}

/// Part of the error for a line without receive time.
const NO_TIME: &str = "a frame without receive time; only captures can be replayed at recorded \
                       speed: use --speed max";

/// Reads all files of the plan.
pub(super) struct Reader<'a> {
    plan: &'a Plan,
    stop: &'a Arc<AtomicBool>,
    clock: HostClock,
    senders: Vec<BatchSender>,
    progress: Progress,
    pace: Option<Pace>,
    connections: Connections,
    /// If the venue numbers its messages.
    sequence: Option<SequenceTracker>,
    /// Shards of the current engine that have started; empty if no engine captured the input.
    begun: Vec<u64>,
    pass: u32,
    /// With a range of times: a record was within it.
    in_range: bool,
    /// With a range of times: lines without a time.
    untimed: u64,
    /// Frames read from the current file.
    file_frames: u64,
    counts: ReaderCounts,
    /// The first unparsable lines of the first pass.
    errors_shown: Vec<InputError>,
    /// One line per file that could not be read to its end.
    failures: Vec<String>,
    /// Something is missing before the next value.
    hole: bool,
    missing: Missing,
    /// The first value of each file.
    firsts: Vec<FirstValue>,
}

/// The first value of a file.
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

/// Faults of one file, reported once at its end.
#[derive(Clone, Copy, Debug, Default)]
struct FileTroubles {
    values: u64,
    /// NUL bytes, the number of runs, and the line of the first run.
    nuls: u64,
    nul_places: u64,
    nul_line: u64,
    /// Values longer than the bound; line and length of the first.
    long: u64,
    long_line: u64,
    long_bytes: u64,
    /// Damaged places.
    damages: u64,
    /// Its end is missing or unreadable.
    faulty: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        stop: &'a Arc<AtomicBool>,
        clock: HostClock,
        senders: Vec<BatchSender>,
        progress: Progress,
    ) -> Self {
        Self {
            plan,
            stop,
            clock,
            senders,
            progress,
            pace: Pace::of(plan.speed()),
            connections: Connections::default(),
            sequence: SequenceTracker::of(plan.feed()),
            begun: Vec::new(),
            pass: 0,
            in_range: false,
            untimed: 0,
            file_frames: 0,
            counts: ReaderCounts::default(),
            errors_shown: Vec::new(),
            failures: Vec::new(),
            hole: false,
            missing: Missing::default(),
            firsts: vec![FirstValue::default(); plan.files().len()],
        }
    }

    /// Reads all files as often as planned or until stopped, then ends the input of the shards.
    pub(super) fn run(&mut self) -> Result<(), ReplayError> {
        self.missing = expected::missing(self.plan);
        self.failures.append(&mut self.missing.failures);
        for pass in 0..self.plan.repeat() {
            self.pass = pass;
            self.pace = Pace::of(self.plan.speed());
            self.connections = Connections::default();
            self.sequence = SequenceTracker::of(self.plan.feed());
            self.begun.clear();
            self.hole = false;
            if pass > 0 {
                self.senders.iter_mut().for_each(|sender| sender.send(WorkerCommand::Reset));
            }
            for number in 0..self.plan.files().len() {
                self.read_file(number)?;
            }
            self.discard_held();
            self.senders.iter_mut().for_each(BatchSender::flush);
            if self.stopped() {
                break;
            }
        }
        if self.plan.range().is_some() && !self.in_range && self.untimed == 0 {
            self.pass = 0;
            self.on_trouble("no record was received between --from and --to".to_owned());
        }
        if self.untimed > 0 {
            let untimed = self.untimed;
            self.pass = 0;
            self.on_trouble(format!(
                "{untimed} lines without receive time are skipped by --from and --to: only captures have times"
            ));
        }
        self.senders.iter_mut().for_each(|sender| sender.send(WorkerCommand::Finish));
        self.progress.finish();
        Ok(())
    }

    /// The results, after the channels are closed.
    pub(super) fn into_output(self) -> ReaderOutput {
        let Self { counts, errors_shown, failures, firsts, .. } = self;
        ReaderOutput { counts, errors_shown, failures, firsts }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn read_file(&mut self, number: usize) -> Result<(), ReplayError> {
        let source = &self.plan.files()[number];
        self.file_frames = 0;
        self.hole |= self.missing.before.contains(&number);
        let part = self.plan.range().map_or(0..u64::MAX, |range| part(source, range));
        let mut input = match file::open_part(source, self.stop, part) {
            Ok(input) => input,
            Err(why) => return self.on_unreadable(why),
        };
        let mut file = FileTroubles::default();
        let head = match input.reader.fill_buf() {
            Ok(head) => head,
            Err(error) => {
                // Damaged at the beginning; the rest may be readable.
                self.on_fault(source, input.form, &error);
                self.hole = true;
                file.faulty = true;
                match input.reader.fill_buf() {
                    Ok(head) => head,
                    Err(_) => return Ok(()),
                }
            }
        };
        if looks_binary(head) {
            let inside = if input.form == Form::Plain { "" } else { " inside its compression" };
            return self.on_unreadable(format!(
                "{source} is not text{inside}: give frames or capture lines, one a line, plain or \
                 as .zst or .gz"
            ));
        }
        let taken = Arc::clone(&input.taken);
        let mut lines = Lines::new(input.reader);
        while !self.stopped() {
            match lines.next() {
                Ok(Some(value)) => {
                    self.note_value(&value, number, &mut file);
                    let position =
                        Position { file: number as u32, line: value.line, offset: value.offset };
                    self.take_value(&value, position, source, &mut file)?;
                }
                Ok(None) => break,
                Err(error) => {
                    self.hole = true;
                    file.damages += 1;
                    if file.damages <= DAMAGES_SHOWN {
                        self.on_fault(source, input.form, &error);
                    }
                    let damage = error.get_ref().and_then(|error| error.downcast_ref::<Damage>());
                    let Some(damage) = damage else {
                        file.faulty = true;
                        break;
                    };
                    if damage.unverified {
                        // Data before a damaged place may be wrong, even if nothing follows it.
                        let position =
                            Position { file: number as u32, line: lines.count(), offset: 0 };
                        self.send_to_all(
                            Task::FramesLostAnywhere,
                            "",
                            ConnectionSlot(0),
                            0,
                            position,
                        );
                    }
                }
            }
            self.progress.at(taken.load(Ordering::Relaxed));
        }
        self.progress.file_done(taken.load(Ordering::Relaxed));
        self.note_nuls(lines.nuls(), lines.count(), &mut file);
        self.on_file_end(number, &file);
        Ok(())
    }

    fn take_value(
        &mut self,
        value: &Value<'_>,
        position: Position,
        source: &Source,
        file: &mut FileTroubles,
    ) -> Result<(), ReplayError> {
        match value.condition {
            Condition::Whole => self.on_value(value.bytes, position)?,
            Condition::TooLong => {
                self.on_frame_lost(value.bytes, position, TOO_LONG);
                self.send_to_all(Task::FramesLostAnywhere, "", ConnectionSlot(0), 0, position);
            }
            Condition::Cut => {
                self.on_frame_lost(value.bytes, position, "cut off by NUL bytes");
            }
            Condition::Torn => {
                file.faulty = true;
                self.hole = true;
                self.on_trouble(format!(
                    "{source}: the last line ({}) is torn: the file ends within its \
                     JSON; {} frames before it were replayed",
                    position.line, self.file_frames
                ));
            }
        }
        Ok(())
    }

    fn note_value(&mut self, value: &Value<'_>, number: usize, file: &mut FileTroubles) {
        self.note_nuls(value.nuls, value.line, file);
        file.values += 1;
        if value.condition == Condition::TooLong {
            if file.long == 0 {
                (file.long_line, file.long_bytes) = (value.line, value.len);
            }
            file.long += 1;
        }
        let first = &mut self.firsts[number];
        if first.text.is_empty() {
            let shown = &value.bytes[..value.bytes.len().min(FIRST_BYTES_SHOWN)];
            let more = if shown.len() < value.bytes.len() { "…" } else { "" };
            first.line = value.line;
            first.text = format!("{}{more}", String::from_utf8_lossy(shown).escape_debug());
        }
    }

    fn note_nuls(&mut self, nuls: u64, line: u64, file: &mut FileTroubles) {
        if nuls == 0 {
            return;
        }
        self.hole = true;
        if file.nul_places == 0 {
            file.nul_line = line;
        }
        file.nuls += nuls;
        file.nul_places += 1;
    }

    /// Reports the faults of a file, one line per kind.
    fn on_file_end(&mut self, number: usize, file: &FileTroubles) {
        let source = &self.plan.files()[number];
        if file.nuls > 0 {
            let FileTroubles { nuls, nul_places, nul_line, .. } = file;
            self.on_trouble(format!(
                "{source}: {nuls} NUL bytes in {nul_places} places, the first near line {nul_line}: what \
                 the data there is lost, as after a power failure; books are stale from there to their next snapshot"
            ));
        }
        if file.long > 0 {
            let FileTroubles { long, long_line, long_bytes, .. } = file;
            self.on_trouble(format!(
                "{source}: {long} lines longer than {REPLAY_VALUE_BYTES_MAX} bytes are skipped, the first is line \
                 {long_line} with {long_bytes} bytes: give one frame or record a line"
            ));
        }
        if file.damages > DAMAGES_SHOWN {
            let more = file.damages - DAMAGES_SHOWN;
            self.on_trouble(format!("{source}: {more} more damaged places"));
        }
        let reported = file.nuls > 0 || file.damages > 0 || file.faulty;
        let cut = self.missing.cut.contains(&number);
        self.hole |= cut;
        if file.values == 0 && !reported && !cut && self.plan.range().is_none() && !self.stopped() {
            self.hole = true;
            self.on_trouble(format!("{source}: the file is empty"));
        }
    }

    /// The file cannot be read further.
    fn on_fault(&mut self, source: &Source, form: Form, error: &std::io::Error) {
        let what = match error.kind() {
            ErrorKind::UnexpectedEof => "truncated: its end is missing".to_owned(),
            _ => format!("damaged ({error})"),
        };
        if !self.stopped() {
            self.on_trouble(format!(
                "{source}: the {} stream is {what}; {} frames before that were replayed",
                form.name(),
                self.file_frames
            ));
        }
    }

    /// An unreadable file: fatal if it is the only one.
    fn on_unreadable(&mut self, why: String) -> Result<(), ReplayError> {
        if self.plan.files().len() == 1 {
            return Err(ReplayError::Input(why));
        }
        self.on_trouble(why);
        Ok(())
    }

    fn on_trouble(&mut self, why: String) {
        if self.pass == 0 {
            self.failures.push(why);
        }
    }

    fn on_value(&mut self, bytes: &[u8], position: Position) -> Result<(), ReplayError> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let offset = position.offset + error.valid_up_to() as u64;
                self.on_frame_lost(bytes, Position { offset, ..position }, "not UTF-8");
                self.on_damaged(&String::from_utf8_lossy(bytes), position);
                return Ok(());
            }
        };
        let record = Record::read(text);
        if self.is_outside(&record, text) {
            return Ok(());
        }
        if std::mem::take(&mut self.hole) {
            self.discard_held();
            let receive_ns = record.receive_ns.unwrap_or(0);
            self.send_to_all(Task::FramesLostAnywhere, "", ConnectionSlot(0), receive_ns, position);
        }
        self.wait_until_due(&record, position)?;
        match record.what {
            What::Text(frame) if frame.len() > FRAME_BYTES_MAX => {
                self.on_frame_lost(frame.as_bytes(), position, TOO_LONG);
                let slot = self.connections.slot_of(record.connection);
                let receive_ns = record.receive_ns.unwrap_or(0);
                self.send_to_all(Task::FramesLost, "", slot, receive_ns, position);
            }
            What::Text(frame) => {
                self.file_frames += 1;
                // The frame is a part of the line at an offset of its own.
                let inset = (frame.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
                let inset = if inset < text.len() { inset as u64 } else { 0 };
                let position = Position { offset: position.offset + inset, ..position };
                let slot = self.connections.slot_of(record.connection);
                self.on_text(&frame, slot, record.receive_ns.unwrap_or(0), position);
            }
            What::Binary(bytes) => {
                let slot = self.connections.slot_of(record.connection);
                self.on_binary(&bytes, slot, record.receive_ns.unwrap_or(0), position);
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
            _ => self.on_lifecycle(&record, text, position),
        }
        Ok(())
    }

    fn on_binary(
        &mut self,
        bytes: &[u8],
        slot: ConnectionSlot,
        receive_ns: u64,
        position: Position,
    ) {
        self.file_frames += 1;
        self.counts.frames += 1;
        self.counts.binary_frames += 1;
        self.counts.bytes += bytes.len() as u64;
        self.counts.errors += 1;
        self.add_error(position, &MessageFault::Binary.to_string());
        self.on_unreadable_frame(&String::from_utf8_lossy(bytes), slot, receive_ns, position);
    }

    /// Whether a range of times was given and the record is outside it.
    fn is_outside(&mut self, record: &Record<'_>, text: &str) -> bool {
        let Some(range) = self.plan.range() else { return false };
        match record.receive_ns {
            Some(at_ns) => {
                let inside = range.contains(&at_ns);
                self.in_range |= inside;
                !inside
            }
            None => {
                self.untimed += u64::from(text.starts_with(['{', '[']));
                true
            }
        }
    }

    /// A lifecycle record of a connection or book.
    fn on_lifecycle(&mut self, record: &Record<'_>, text: &str, position: Position) {
        self.discard_held();
        let receive_ns = record.receive_ns.unwrap_or(0);
        let known = record.connection.is_none_or(|c| self.connections.is_known(c));
        let slot = self.connections.slot_of(record.connection);
        if let (What::Opened { .. } | What::Ended, Some(sequence)) =
            (&record.what, &mut self.sequence)
        {
            for slot in sequence.begin(slot) {
                self.send_to_all(Task::Ended, "", slot, receive_ns, position);
            }
        }
        match &record.what {
            What::Opened { from } if self.is_engine_capture() => {
                self.counts.opened += 1;
                let from = from.map(|from| self.connections.slot(from));
                self.send_to_all(
                    Task::Annotation(AnnotationRecord::Opened, from),
                    text,
                    slot,
                    receive_ns,
                    position,
                );
            }
            What::Opened { .. } => {
                self.counts.opened += 1;
                // Its end is missing, as after a killed process.
                if known {
                    self.send_to_all(Task::Ended, "", slot, receive_ns, position);
                }
            }
            What::Ended => {
                self.counts.ended += 1;
                let task =
                    if self.is_engine_capture() { Task::EndedInCapture } else { Task::Ended };
                // In an engine's capture a connection exists until it is closed for good, and then has no
                // books.
                if !self.is_engine_capture() || known {
                    self.send_to_all(task, "", slot, receive_ns, position);
                }
                if !self.is_engine_capture() || !known {
                    record.connection.inspect(|&c| self.connections.ended(c));
                }
            }
            What::Lost(frames) => {
                self.counts.frames_lost = self.counts.frames_lost.saturating_add(*frames);
                let task = record.connection.map_or(Task::FramesLostAnywhere, |_| Task::FramesLost);
                for slot in self.sequence.as_ref().map_or_else(Vec::new, |n| n.slots(slot)) {
                    self.send_to_all(task, "", slot, receive_ns, position);
                }
                self.send_to_all(task, "", slot, receive_ns, position);
            }
            What::Answer(answer) => {
                self.send_to_all(Task::Answer, answer, slot, receive_ns, position)
            }
            What::Annotation(note) => {
                self.firsts[position.file as usize].has_annotations = true;
                if *note == AnnotationRecord::Begun {
                    self.begin(text, receive_ns, position);
                }
                self.send_to_all(Task::Annotation(*note, None), text, slot, receive_ns, position);
                if *note == AnnotationRecord::Closed {
                    record.connection.inspect(|&c| self.connections.ended(c));
                }
            }
            _ => {}
        }
    }

    fn on_text(&mut self, frame: &str, slot: ConnectionSlot, receive_ns: u64, position: Position) {
        if let Some(sequence) = &mut self.sequence {
            let whole = !self.begun.is_empty();
            let at = (receive_ns, position);
            let found = sequence.classify(frame, slot, whole, self.plan.shards(), at);
            return self.on_numbered(found, frame, slot, receive_ns, position);
        }
        match route(frame.as_bytes(), self.plan.shards()) {
            Route::One(shard) => {
                let open = self.senders[usize::from(shard.0)].open();
                open.push(Task::Frame, frame, slot, receive_ns, position);
            }
            Route::All => {
                let mut task = Task::Frame;
                for sender in &mut self.senders {
                    sender.open().push(task, frame, slot, receive_ns, position);
                    task = Task::FrameUncounted;
                }
            }
        }
    }

    /// A frame of a venue with sequence numbers. One shard applies it; gaps go to all.
    fn on_numbered(
        &mut self,
        found: FrameInfo,
        frame: &str,
        slot: ConnectionSlot,
        receive_ns: u64,
        position: Position,
    ) {
        self.counts.restarts += u64::from(found.restarted);
        self.count_repeated(&found.repeated);
        for &stale_slot in &found.stale_slots {
            self.send_to_all(Task::Ended, "", stale_slot, receive_ns, position);
        }
        for held in &found.released {
            let Held { slot, shard, receive_ns, position, .. } = *held;
            let open = self.senders[usize::from(shard.0)].open();
            open.push(Task::Frame, &held.frame, slot, receive_ns, position);
        }
        match found.verdict {
            _ if found.held => return,
            Verdict::Next => {}
            Verdict::Duplicate => {
                self.count_duplicate(frame);
                return;
            }
            Verdict::Hole(missing) => {
                self.counts.holes += 1;
                self.counts.missing += missing;
                self.send_to_all(Task::SequenceGap, "", found.slot, receive_ns, position);
            }
        }
        if found.broken {
            // The subscription is unknown.
            let slots = self.sequence.as_ref().map_or_else(Vec::new, |n| n.slots(slot));
            for slot in slots.into_iter().chain([slot]) {
                self.send_to_all(Task::SequenceGap, "", slot, receive_ns, position);
            }
        }
        let slot = found.slot;
        let open = self.senders[usize::from(found.shard.0)].open();
        open.push(Task::Frame, frame, slot, receive_ns, position);
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
    fn discard_held(&mut self) {
        let Some(sequence) = self.sequence.as_mut().filter(|sequence| sequence.holds()) else {
            return;
        };
        let (held, slots) = sequence.discard_held();
        self.count_repeated(&held);
        let Some(Held { receive_ns, position, .. }) = held.last() else { return };
        for slot in slots {
            self.send_to_all(Task::Ended, "", slot, *receive_ns, *position);
        }
    }

    /// Whether the input is an engine's capture, in which annotations open and close books.
    fn is_engine_capture(&self) -> bool {
        !self.begun.is_empty()
    }

    /// A shard of an engine starts. If the same shard started before, it is another engine.
    fn begin(&mut self, line: &str, receive_ns: u64, position: Position) {
        let shard = shard_in(line);
        if self.begun.is_empty() || self.begun.contains(&shard) {
            self.begun.clear();
            self.connections = Connections::default();
            self.send_to_all(Task::Begin, "", ConnectionSlot(0), receive_ns, position);
        }
        self.begun.push(shard);
    }

    fn send_to_all(
        &mut self,
        task: Task,
        text: &str,
        slot: ConnectionSlot,
        receive_ns: u64,
        position: Position,
    ) {
        for sender in &mut self.senders {
            sender.open().push(task, text, slot, receive_ns, position);
        }
    }

    /// A frame that cannot be given to a decoder.
    fn on_frame_lost(&mut self, bytes: &[u8], position: Position, why: &str) {
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
        let receive_ns = record.receive_ns.unwrap_or(0);
        if record.connection.is_none() && self.connections.any() {
            // In a capture the connection of the line is unknown.
            self.send_to_all(Task::FramesLostAnywhere, "", ConnectionSlot(0), receive_ns, position);
            return;
        }
        let slot = self.connections.slot_of(record.connection);
        let frame = match &record.what {
            What::Text(frame) => frame,
            _ => line,
        };
        self.on_unreadable_frame(frame, slot, receive_ns, position);
    }

    /// An unparsable frame. If messages are numbered, its number is lost too.
    fn on_unreadable_frame(
        &mut self,
        frame: &str,
        slot: ConnectionSlot,
        receive_ns: u64,
        position: Position,
    ) {
        self.discard_held();
        if let Some(sequence) = &self.sequence {
            for slot in sequence.slots(slot).into_iter().chain([slot]) {
                self.send_to_all(Task::SequenceGap, "", slot, receive_ns, position);
            }
        }
        self.send_to_all(Task::Damaged, frame, slot, receive_ns, position);
    }

    fn add_error(&mut self, position: Position, why: &str) {
        if self.pass == 0 && self.errors_shown.len() < REPLAY_ERRORS_SHOWN {
            self.errors_shown.push(InputError { position, why: why.to_owned() });
        }
    }

    fn wait_until_due(
        &mut self,
        record: &Record<'_>,
        position: Position,
    ) -> Result<(), ReplayError> {
        let Some(pace) = &mut self.pace else { return Ok(()) };
        let Some(receive_ns) = record.receive_ns else {
            // A text without time such as `PONG` belongs to the frames around it.
            let json = matches!(&record.what, What::Text(text) if text.starts_with(['{', '[']));
            let source = &self.plan.files()[position.file as usize];
            let why = format!("{source}, line {}: {NO_TIME}", position.line);
            return if json { Err(ReplayError::Usage(why)) } else { Ok(()) };
        };
        let due_ns = pace.due_ns(receive_ns, self.clock.mono_ns());
        if due_ns > self.clock.mono_ns() {
            self.senders.iter_mut().for_each(BatchSender::flush);
        }
        while !self.stopped() {
            let left_ns = due_ns.saturating_sub(self.clock.mono_ns());
            if left_ns == 0 {
                break;
            }
            std::thread::sleep(Duration::from_nanos(left_ns.min(50 * MILLISECOND_NS)));
            self.progress.tick();
        }
        Ok(())
    }
}

/// The shard number of an annotation.
fn shard_in(line: &str) -> u64 {
    let rest = line.split_once(r#","d":"#).map_or("", |(_, rest)| rest);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest[..digits].parse().unwrap_or(0)
}

/// Damaged places of a file that are reported one by one.
const DAMAGES_SHOWN: u64 = 5;
/// Bytes of a file's first value in error messages.
const FIRST_BYTES_SHOWN: usize = 120;
const TOO_LONG: &str = "longer than a frame can be";

#[cfg(test)]
mod tests;
