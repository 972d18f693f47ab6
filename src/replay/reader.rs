//! Reads the files, understands their lines, and hands frames to the shards that own them.
//!
//! Runs on:  the starting thread; waits for slow shards, pipes and recorded times.
//! Bounds:   one value and one open batch a shard; connections as `REPLAY_CONNECTIONS_MAX` says.
use super::batch::{Lane, Order, Place, Task};
use super::connections::Connections;
use super::expected::{self, Missing};
use super::lines::{Condition, Lines, Value};
use super::numbers::{Found, Held, Numbers};
use super::pace::Pace;
use super::plan::Plan;
use super::progress::Progress;
use super::worker::BadPlace;
use crate::base::limits::{FRAME_BYTES_MAX, REPLAY_ERRORS_SHOWN, REPLAY_VALUE_BYTES_MAX};
use crate::base::time::{Clock, MILLISECOND_NS};
use crate::capture::index;
use crate::capture::line::{Note, Record, What};
use crate::capture::outline::{Route, route};
use crate::io::clock::HostClock;
use crate::io::file::{self, Damage, Form, Source};
use crate::shard::books::ConnectionSlot;
use crate::venue::{MessageFault, Verdict};
use std::io::{BufRead, ErrorKind};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What the reader itself counts, over all passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ReaderCounts {
    /// Frames that no shard counts: binary, too long, not UTF-8.
    pub(super) frames: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Lines that could not be understood.
    pub(super) errors: u64,
    /// Texts that are not UTF-8 and do not look like JSON.
    pub(super) unknown_texts: u64,
    /// Binary frames.
    pub(super) binary_frames: u64,
    /// Connections opened.
    pub(super) opened: u64,
    /// Connections ended.
    pub(super) ended: u64,
    /// Frames that a capture says were lost.
    pub(super) frames_lost: u64,
    /// Texts sent by us.
    pub(super) sent: u64,
    /// Records of unknown kind.
    pub(super) unknown_kinds: u64,
    /// Frames that the live engine passed over.
    pub(super) passed: u64,
    /// Places where numbered messages are missing.
    pub(super) holes: u64,
    /// Messages that are missing there.
    pub(super) missing: u64,
    /// Messages whose number had been there.
    pub(super) duplicates: u64,
    /// Sessions that began anew on a connection whose end the input does not show.
    pub(super) restarts: u64,
}

/// Why a replay gave no results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// The input cannot be used: *say it, exit code 1*.
    Input(String),
    /// The flags do not fit the input: *say it, exit code 2*.
    Usage(String),
}

/// What a reader found in all files.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) counts: ReaderCounts,
    pub(super) bad: Vec<BadPlace>,
    pub(super) troubles: Vec<String>,
    pub(super) firsts: Vec<FirstValue>,
}

/// What stands in the way of a line that has no receive time.
const NO_TIME: &str = "a frame without receive time; only captures can be replayed at recorded \
                       speed: use --speed max";

/// Reads everything that the plan names.
pub(super) struct Reader<'a> {
    plan: &'a Plan,
    stop: &'a Arc<AtomicBool>,
    clock: HostClock,
    lanes: Vec<Lane>,
    progress: Progress,
    pace: Option<Pace>,
    connections: Connections,
    /// Where messages are numbered.
    numbers: Option<Numbers>,
    /// Shards of the engine at hand that have begun; empty where no engine captured.
    begun: Vec<u64>,
    pass: u32,
    /// A range of times was asked for, and something was in it.
    in_range: bool,
    /// Lines without a time, where a range of times was asked for.
    untimed: u64,
    /// Frames read from the file at hand.
    file_frames: u64,
    counts: ReaderCounts,
    /// The first lines of the first pass that could not be understood.
    bad: Vec<BadPlace>,
    /// Files that could not be read to their end, one line each.
    troubles: Vec<String>,
    /// Something is missing before the value that comes next.
    hole: bool,
    missing: Missing,
    /// The first value of each file, and whether an engine captured it.
    firsts: Vec<FirstValue>,
}

/// What a file begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FirstValue {
    pub(super) line: u64,
    /// Its beginning, for people; empty where the file holds nothing.
    pub(super) text: String,
    /// There are notes of an engine.
    pub(super) noted: bool,
    /// Something that is neither frame nor record.
    pub(super) strange: bool,
}

/// What is wrong with one file, told once at its end.
#[derive(Clone, Copy, Debug, Default)]
struct FileTroubles {
    values: u64,
    /// NUL bytes, the places where they stand, and the line of the first.
    nuls: u64,
    nul_places: u64,
    nul_line: u64,
    /// Values that are too long; line and length of the first.
    long: u64,
    long_line: u64,
    long_bytes: u64,
    /// Damaged places, and whether one was told.
    damages: u64,
    /// Its end is missing or cannot be read.
    faulty: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        stop: &'a Arc<AtomicBool>,
        clock: HostClock,
        lanes: Vec<Lane>,
        progress: Progress,
    ) -> Self {
        Self {
            plan,
            stop,
            clock,
            lanes,
            progress,
            pace: Pace::of(plan.speed()),
            connections: Connections::default(),
            numbers: Numbers::of(plan.feed()),
            begun: Vec::new(),
            pass: 0,
            in_range: false,
            untimed: 0,
            file_frames: 0,
            counts: ReaderCounts::default(),
            bad: Vec::new(),
            troubles: Vec::new(),
            hole: false,
            missing: Missing::default(),
            firsts: vec![FirstValue::default(); plan.files().len()],
        }
    }

    /// Reads all files as often as planned, until stopped. Ends the shards' input.
    pub(super) fn run(&mut self) -> Result<(), ReplayError> {
        self.missing = expected::missing(self.plan);
        self.troubles.append(&mut self.missing.troubles);
        for pass in 0..self.plan.repeat() {
            self.pass = pass;
            self.pace = Pace::of(self.plan.speed());
            self.connections = Connections::default();
            self.numbers = Numbers::of(self.plan.feed());
            self.begun.clear();
            self.hole = false;
            if pass > 0 {
                self.lanes.iter_mut().for_each(|lane| lane.send(Order::Reset));
            }
            for number in 0..self.plan.files().len() {
                self.read_file(number)?;
            }
            self.give_up_held();
            self.lanes.iter_mut().for_each(Lane::flush);
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
                "{untimed} lines without receive time are left out by --from and --to: only captures have times"
            ));
        }
        self.lanes.iter_mut().for_each(|lane| lane.send(Order::Finish));
        self.progress.finish();
        Ok(())
    }

    /// What was found, once the lanes are closed.
    pub(super) fn into_findings(self) -> Findings {
        let Self { counts, bad, troubles, firsts, .. } = self;
        Findings { counts, bad, troubles, firsts }
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
                // Damage at the very beginning; what is behind it may be readable.
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
                    let place =
                        Place { file: number as u32, line: value.line, offset: value.offset };
                    self.take_value(&value, place, source, &mut file)?;
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
                    if damage.unproven {
                        // What was read already may be wrong, whether anything comes behind it or not.
                        let place = Place { file: number as u32, line: lines.count(), offset: 0 };
                        self.tell_all(Task::LostAnywhere, "", ConnectionSlot(0), 0, place);
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
        place: Place,
        source: &Source,
        file: &mut FileTroubles,
    ) -> Result<(), ReplayError> {
        match value.condition {
            Condition::Whole => self.on_value(value.bytes, place)?,
            Condition::TooLong => {
                self.on_frame_lost(value.bytes, place, TOO_LONG);
                self.tell_all(Task::LostAnywhere, "", ConnectionSlot(0), 0, place);
            }
            Condition::Cut => {
                self.on_frame_lost(value.bytes, place, "cut off by NUL bytes");
            }
            Condition::Torn => {
                file.faulty = true;
                self.hole = true;
                self.on_trouble(format!(
                    "{source}: the last line ({}) is torn: the file ends within its \
                     JSON; {} frames before it were replayed",
                    place.line, self.file_frames
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

    /// What is wrong with a file as a whole, one line for each kind.
    fn on_file_end(&mut self, number: usize, file: &FileTroubles) {
        let source = &self.plan.files()[number];
        if file.nuls > 0 {
            let FileTroubles { nuls, nul_places, nul_line, .. } = file;
            self.on_trouble(format!(
                "{source}: {nuls} NUL bytes in {nul_places} places, the first near line {nul_line}: what \
                 was to be there is lost, as after a power cut; books are stale from there to their next snapshot"
            ));
        }
        if file.long > 0 {
            let FileTroubles { long, long_line, long_bytes, .. } = file;
            self.on_trouble(format!(
                "{source}: {long} lines longer than {REPLAY_VALUE_BYTES_MAX} bytes are left out, the first is line \
                 {long_line} with {long_bytes} bytes: give one frame or record a line"
            ));
        }
        if file.damages > DAMAGES_SHOWN {
            let more = file.damages - DAMAGES_SHOWN;
            self.on_trouble(format!("{source}: {more} more damaged places"));
        }
        let told = file.nuls > 0 || file.damages > 0 || file.faulty;
        let cut = self.missing.cut.contains(&number);
        self.hole |= cut;
        if file.values == 0 && !told && !cut && self.plan.range().is_none() && !self.stopped() {
            self.hole = true;
            self.on_trouble(format!("{source}: the file is empty: nothing of it was replayed"));
        }
    }

    /// The file cannot be read on.
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

    /// A file that gives nothing: fatal if it is all there is.
    fn on_unreadable(&mut self, why: String) -> Result<(), ReplayError> {
        if self.plan.files().len() == 1 {
            return Err(ReplayError::Input(why));
        }
        self.on_trouble(why);
        Ok(())
    }

    fn on_trouble(&mut self, why: String) {
        if self.pass == 0 {
            self.troubles.push(why);
        }
    }

    fn on_value(&mut self, bytes: &[u8], place: Place) -> Result<(), ReplayError> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let offset = place.offset + error.valid_up_to() as u64;
                self.on_frame_lost(bytes, Place { offset, ..place }, "not UTF-8");
                self.on_damaged(&String::from_utf8_lossy(bytes), place);
                return Ok(());
            }
        };
        let record = Record::read(text);
        if self.is_outside(&record, text) {
            return Ok(());
        }
        if std::mem::take(&mut self.hole) {
            self.give_up_held();
            let receive_ns = record.receive_ns.unwrap_or(0);
            self.tell_all(Task::LostAnywhere, "", ConnectionSlot(0), receive_ns, place);
        }
        self.wait_until_due(&record, place)?;
        match record.what {
            What::Text(frame) if frame.len() > FRAME_BYTES_MAX => {
                self.on_frame_lost(frame.as_bytes(), place, TOO_LONG);
                let slot = self.connections.slot_of(record.connection);
                self.tell_all(Task::Lost, "", slot, record.receive_ns.unwrap_or(0), place);
            }
            What::Text(frame) => {
                self.file_frames += 1;
                // Where the frame stands in the line as it is, so does its first byte.
                let inset = (frame.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
                let inset = if inset < text.len() { inset as u64 } else { 0 };
                let place = Place { offset: place.offset + inset, ..place };
                let slot = self.connections.slot_of(record.connection);
                self.on_text(&frame, slot, record.receive_ns.unwrap_or(0), place);
            }
            What::Binary(bytes) => {
                self.file_frames += 1;
                self.counts.frames += 1;
                self.counts.binary_frames += 1;
                self.counts.bytes += bytes.len() as u64;
                self.counts.errors += 1;
                self.note_bad(place, &MessageFault::Binary.to_string());
                let slot = self.connections.slot_of(record.connection);
                let frame = String::from_utf8_lossy(&bytes);
                self.on_unreadable_frame(&frame, slot, record.receive_ns.unwrap_or(0), place);
            }
            What::Passed => {
                self.file_frames += 1;
                self.counts.passed += 1;
            }
            What::Sent => self.counts.sent += 1,
            What::Header => {}
            What::UnknownKind => {
                self.firsts[place.file as usize].strange = true;
                self.counts.unknown_kinds += 1;
            }
            What::Broken(why) => {
                self.firsts[place.file as usize].strange = true;
                self.counts.errors += 1;
                self.note_bad(place, why);
                if text.contains(['{', '}']) {
                    self.on_damaged(text, place);
                }
            }
            _ => self.on_turn(&record, text, place),
        }
        Ok(())
    }

    /// Whether a range of times was asked for and this is not in it.
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

    /// A turn in the life of connections and books, beside what the stream says.
    fn on_turn(&mut self, record: &Record<'_>, text: &str, place: Place) {
        self.give_up_held();
        let receive_ns = record.receive_ns.unwrap_or(0);
        let known = record.connection.is_none_or(|c| self.connections.is_known(c));
        let slot = self.connections.slot_of(record.connection);
        if let (What::Opened { .. } | What::Ended, Some(numbers)) =
            (&record.what, &mut self.numbers)
        {
            for slot in numbers.begin(slot) {
                self.tell_all(Task::Ended, "", slot, receive_ns, place);
            }
        }
        match &record.what {
            What::Opened { from } if self.is_engines() => {
                self.counts.opened += 1;
                let from = from.map(|from| self.connections.slot(from));
                self.tell_all(Task::Note(Note::Opened, from), text, slot, receive_ns, place);
            }
            What::Opened { .. } => {
                self.counts.opened += 1;
                // Its end is missing, as when the capturing process was killed.
                if known {
                    self.tell_all(Task::Ended, "", slot, receive_ns, place);
                }
            }
            What::Ended => {
                self.counts.ended += 1;
                let task = if self.is_engines() { Task::HungUp } else { Task::Ended };
                // In an engine's capture a connection lives until it is closed for good, and then it has no
                // books any more.
                if !self.is_engines() || known {
                    self.tell_all(task, "", slot, receive_ns, place);
                }
                if !self.is_engines() || !known {
                    record.connection.inspect(|&c| self.connections.ended(c));
                }
            }
            What::Lost(frames) => {
                self.counts.frames_lost = self.counts.frames_lost.saturating_add(*frames);
                let task = record.connection.map_or(Task::LostAnywhere, |_| Task::Lost);
                for slot in self.numbers.as_ref().map_or_else(Vec::new, |n| n.places(slot)) {
                    self.tell_all(task, "", slot, receive_ns, place);
                }
                self.tell_all(task, "", slot, receive_ns, place);
            }
            What::Answer(answer) => self.tell_all(Task::Answer, answer, slot, receive_ns, place),
            What::Note(note) => {
                self.firsts[place.file as usize].noted = true;
                if *note == Note::Begun {
                    self.begin(text, receive_ns, place);
                }
                self.tell_all(Task::Note(*note, None), text, slot, receive_ns, place);
                if *note == Note::Closed {
                    record.connection.inspect(|&c| self.connections.ended(c));
                }
            }
            _ => {}
        }
    }

    fn on_text(&mut self, frame: &str, slot: ConnectionSlot, receive_ns: u64, place: Place) {
        if let Some(numbers) = &mut self.numbers {
            let whole = !self.begun.is_empty();
            let at = (receive_ns, place);
            let found = numbers.look(frame, slot, whole, self.plan.shards(), at);
            return self.on_numbered(found, frame, slot, receive_ns, place);
        }
        match route(frame.as_bytes(), self.plan.shards()) {
            Route::One(shard) => {
                let open = self.lanes[usize::from(shard.0)].open();
                open.push(Task::Frame, frame, slot, receive_ns, place);
            }
            Route::All => {
                let mut task = Task::Frame;
                for lane in &mut self.lanes {
                    lane.open().push(task, frame, slot, receive_ns, place);
                    task = Task::Echo;
                }
            }
        }
    }

    /// A frame of a venue that numbers its messages. One shard has it all, and all hear of holes.
    fn on_numbered(
        &mut self,
        found: Found,
        frame: &str,
        slot: ConnectionSlot,
        receive_ns: u64,
        place: Place,
    ) {
        self.counts.restarts += u64::from(found.restarted);
        self.count_repeated(&found.repeated);
        for &place_over in &found.over {
            self.tell_all(Task::Ended, "", place_over, receive_ns, place);
        }
        for held in &found.released {
            let Held { slot, shard, receive_ns, place, .. } = *held;
            let open = self.lanes[usize::from(shard.0)].open();
            open.push(Task::Frame, &held.frame, slot, receive_ns, place);
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
                self.tell_all(Task::Hole, "", found.slot, receive_ns, place);
            }
        }
        if found.broken {
            // Whichever subscription it belonged to.
            let places = self.numbers.as_ref().map_or_else(Vec::new, |n| n.places(slot));
            for slot in places.into_iter().chain([slot]) {
                self.tell_all(Task::Hole, "", slot, receive_ns, place);
            }
        }
        let slot = found.slot;
        let open = self.lanes[usize::from(found.shard.0)].open();
        open.push(Task::Frame, frame, slot, receive_ns, place);
    }

    fn count_duplicate(&mut self, frame: &str) {
        self.counts.duplicates += 1;
        self.counts.frames += 1;
        self.counts.bytes += frame.len() as u64;
    }

    fn count_repeated(&mut self, repeated: &[Held]) {
        repeated.iter().for_each(|held| self.count_duplicate(&held.frame));
    }

    /// Whatever tells what frames are that are held back comes too late: what they were to say is not known.
    fn give_up_held(&mut self) {
        let Some(numbers) = self.numbers.as_mut().filter(|numbers| numbers.holds()) else { return };
        let (held, places) = numbers.give_up();
        self.count_repeated(&held);
        let Some(Held { receive_ns, place, .. }) = held.last() else { return };
        for slot in places {
            self.tell_all(Task::Ended, "", slot, *receive_ns, *place);
        }
    }

    /// Whether an engine captured what is at hand: then books are opened and closed by its notes.
    fn is_engines(&self) -> bool {
        !self.begun.is_empty()
    }

    /// A shard of an engine begins; if it did before, it is another engine.
    fn begin(&mut self, line: &str, receive_ns: u64, place: Place) {
        let shard = shard_in(line);
        if self.begun.is_empty() || self.begun.contains(&shard) {
            self.begun.clear();
            self.connections = Connections::default();
            self.tell_all(Task::Begin, "", ConnectionSlot(0), receive_ns, place);
        }
        self.begun.push(shard);
    }

    fn tell_all(
        &mut self,
        task: Task,
        text: &str,
        slot: ConnectionSlot,
        receive_ns: u64,
        place: Place,
    ) {
        for lane in &mut self.lanes {
            lane.open().push(task, text, slot, receive_ns, place);
        }
    }

    /// A frame that no decoder can be given.
    fn on_frame_lost(&mut self, bytes: &[u8], place: Place, why: &str) {
        self.file_frames += 1;
        self.counts.frames += 1;
        self.counts.bytes += bytes.len() as u64;
        self.firsts[place.file as usize].strange = true;
        if matches!(bytes.first(), Some(b'{' | b'[')) {
            self.counts.errors += 1;
            self.note_bad(place, why);
        } else {
            self.counts.unknown_texts += 1;
        }
    }

    /// A line that cannot be read as it stands: the books that it names may have missed a change.
    fn on_damaged(&mut self, line: &str, place: Place) {
        let record = Record::read(line);
        let receive_ns = record.receive_ns.unwrap_or(0);
        if record.connection.is_none() && self.connections.any() {
            // A capture: whichever connection it was.
            self.tell_all(Task::LostAnywhere, "", ConnectionSlot(0), receive_ns, place);
            return;
        }
        let slot = self.connections.slot_of(record.connection);
        let frame = match &record.what {
            What::Text(frame) => frame,
            _ => line,
        };
        self.on_unreadable_frame(frame, slot, receive_ns, place);
    }

    /// A frame that says nothing that can be read. Where messages are numbered, its number is lost too.
    fn on_unreadable_frame(
        &mut self,
        frame: &str,
        slot: ConnectionSlot,
        receive_ns: u64,
        place: Place,
    ) {
        self.give_up_held();
        if let Some(numbers) = &self.numbers {
            for slot in numbers.places(slot).into_iter().chain([slot]) {
                self.tell_all(Task::Hole, "", slot, receive_ns, place);
            }
        }
        self.tell_all(Task::Damaged, frame, slot, receive_ns, place);
    }

    fn note_bad(&mut self, place: Place, why: &str) {
        if self.pass == 0 && self.bad.len() < REPLAY_ERRORS_SHOWN {
            self.bad.push(BadPlace { place, why: why.to_owned() });
        }
    }

    fn wait_until_due(&mut self, record: &Record<'_>, place: Place) -> Result<(), ReplayError> {
        let Some(pace) = &mut self.pace else { return Ok(()) };
        let Some(receive_ns) = record.receive_ns else {
            // A text such as `PONG` between frames goes with them.
            let json = matches!(&record.what, What::Text(text) if text.starts_with(['{', '[']));
            let source = &self.plan.files()[place.file as usize];
            let why = format!("{source}, line {}: {NO_TIME}", place.line);
            return if json { Err(ReplayError::Usage(why)) } else { Ok(()) };
        };
        let due_ns = pace.due_ns(receive_ns, self.clock.mono_ns());
        if due_ns > self.clock.mono_ns() {
            self.lanes.iter_mut().for_each(Lane::flush);
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

/// The part of a file that has a range of times in it, as far as its index says.
fn part(source: &Source, range: &Range<u64>) -> Range<u64> {
    let blocks = index::read(&file::read_index(source).unwrap_or_default());
    let Some(last) = blocks.last() else { return 0..u64::MAX };
    let end = last.offset + last.bytes;
    let start = index::begin(&blocks, range.start).unwrap_or(end);
    // What stands behind the index's end may be of any time.
    let later = blocks.iter().rev().take_while(|block| block.from >= range.end);
    let cut = later.last().map_or(u64::MAX, |block| block.offset);
    start..cut.max(start)
}

/// The number of the shard in a note.
fn shard_in(line: &str) -> u64 {
    let rest = line.split_once(r#","d":"#).map_or("", |(_, rest)| rest);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest[..digits].parse().unwrap_or(0)
}

/// Damaged places of one file that are told one by one.
const DAMAGES_SHOWN: u64 = 5;
/// Bytes of a file's first value that are shown.
const FIRST_BYTES_SHOWN: usize = 120;
const TOO_LONG: &str = "longer than a frame can be";

/// True for what no text begins with. Looks at the first 4 KiB at most.
fn looks_binary(head: &[u8]) -> bool {
    let head = &head[..head.len().min(4096)];
    let pieces = || head.split(|byte| matches!(byte, b'\n' | 0)).filter(|piece| !piece.is_empty());
    let line = pieces().next().unwrap_or_default();
    let odd = std::str::from_utf8(line).is_err_and(|error| error.error_len().is_some());
    let begins = line.trim_ascii_start().first();
    if odd && !matches!(begins, Some(b'{' | b'[')) {
        return true;
    }
    // Runs of NUL bytes stand where data was lost; single ones between letters are another encoding.
    let nuls = head.iter().filter(|&&byte| byte == 0).count();
    let runs = head.chunk_by(|a, b| (*a == 0) == (*b == 0)).filter(|run| run[0] == 0).count();
    let is_json = matches!(begins, Some(b'{' | b'[' | b'"' | b'0'..=b'9') | None);
    nuls > 0 && (!is_json || (runs > 4 && nuls < 4 * runs))
}

#[cfg(test)]
mod tests;
