//! Reads the files, parses their lines and passes each record to the dispatcher when it is due.
//!
//! Runs on:  the starting thread; blocks on slow shards, pipes and recorded times. Bounds: one value.
use super::batch::{BatchSender, Position};
use super::detect::{damage_text, foreign, looks_binary};
use super::dispatch::{DispatchOutput, Dispatcher};
use super::expected::{self, Missing, part};
use super::lines::{Condition, Lines, Value};
use super::market_filter::{Kept, MarketFilter};
use super::numbers::Numbers;
use super::order::{ReceiveOrder, Waiting};
use super::pace::Pace;
use super::plan::Plan;
use crate::base::limits::REPLAY_VALUE_BYTES_MAX;
use crate::base::time::{Clock, MILLISECOND_NS};
use crate::capture::line::{AnnotationRecord, Record, What};
use crate::io::clock::HostClock;
use crate::io::file::{self, Damage, Form, Input, Source};
use crate::io::progress::Progress;
use crate::link::replay_gate::ReplayGate;
use std::collections::BTreeSet;
use std::io::{BufRead, Cursor};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Why a replay has no results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// The input cannot be used; exit code 1.
    Input(String),
    /// The flags do not fit the input; exit code 2.
    Usage(String),
}

/// Part of the error for a line without receive time.
const NO_TIME: &str = "a frame without receive time; only captures can be replayed at recorded \
                       speed: use --speed max";

/// Reads all files of the plan.
pub(super) struct Reader<'a> {
    plan: &'a Plan,
    stop: &'a Arc<AtomicBool>,
    clock: HostClock,
    dispatcher: Dispatcher,
    progress: Progress,
    pace: Option<Pace>,
    /// Where the order of records matters beyond one shard.
    order: Option<ReceiveOrder>,
    pass: u32,
    /// With a range of times: a record was within it.
    in_range: bool,
    /// The first image was read, of a plan that continues from some.
    has_resumed: bool,
    /// When what is counted began, on the clock of this host; 0 with the first record.
    begun_mono_ns: u64,
    /// With a range of times: lines without a time.
    untimed: u64,
    /// One line per file that could not be read to its end.
    failures: Vec<String>,
    /// Something is missing before the next value.
    hole: bool,
    numbers: Numbers,
    missing: Missing,
    /// Files (by number) without a record in the range.
    outside: BTreeSet<usize>,
    /// Until the range of a subscriber begins.
    start: Option<Start>,
    /// Where only some markets are wanted.
    filter: Option<MarketFilter>,
}

/// The beginning of a subscriber's range: what was received before only prepares the books.
#[derive(Debug)]
pub(super) struct Start {
    /// Receive time, nanoseconds since the Unix epoch; 0 is the first record.
    pub(super) from_ns: u64,
    /// Opened by the subscriber, if there is one.
    pub(super) gate: Option<Arc<ReplayGate>>,
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
            dispatcher: Dispatcher::new(senders, plan.feed(), plan.files().len()),
            progress,
            pace: None,
            order: None,
            pass: 0,
            in_range: false,
            has_resumed: false,
            begun_mono_ns: 0,
            untimed: 0,
            failures: Vec::new(),
            hole: false,
            numbers: Numbers::default(),
            missing: Missing::default(),
            outside: BTreeSet::new(),
            start: None,
            filter: None,
        }
    }

    /// The same, stopped at the beginning of a range until the subscriber is ready.
    pub(super) fn starting(self, start: Start) -> Self {
        Self { start: Some(start), ..self }
    }

    /// Reads all files as often as planned or until stopped, then ends the input of the shards.
    pub(super) fn run(&mut self) -> Result<(), ReplayError> {
        self.missing = expected::missing(self.plan);
        self.outside = expected::outside(self.plan);
        let text = self.plan.text().filter(|_| self.missing == Missing::default());
        self.failures.append(&mut self.missing.failures);
        for pass in 0..self.plan.repeat() {
            self.pass = pass;
            let pace = Pace::of(self.plan.speed());
            let is_ordered = self.plan.is_ordered() || self.start.is_some() || pace.is_some();
            let resumes = self.plan.resumes();
            self.order = is_ordered.then(|| ReceiveOrder::begun(resumes.map(|of| of.shards)));
            if let (Some(from_ns), None) = (resumes.and_then(|of| of.counts_from_ns), &self.start) {
                self.start = Some(Start { from_ns, gate: None });
            }
            self.pace = if self.start.is_none() { pace } else { None };
            (self.hole, self.has_resumed) = (false, false);
            self.numbers = Numbers::default();
            self.filter = self.filter();
            self.dispatcher.begin_pass(pass == 0);
            if let Some(resumes) = resumes {
                self.dispatcher.resume(resumes);
            }
            if let Some(text) = text {
                let (reader, form) = (Box::new(Cursor::new(Arc::clone(text))), Form::Plain);
                let input = Input { reader, form, taken: Arc::default() };
                self.read_input(self.plan.files().len() - 1, input)?;
            }
            for number in (0..self.plan.files().len()).filter(|_| text.is_none()) {
                self.hole |= self.missing.before.contains(&number);
                if !self.outside.contains(&number) {
                    self.read_file(number)?;
                }
            }
            self.on_all_waiting()?;
            self.dispatcher.end_pass();
            self.start_at(None);
            if self.stopped() {
                break;
            }
        }
        if self.plan.range().is_some() && !self.in_range && self.untimed == 0 {
            self.failures.push("no record was received between --from and --to".to_owned());
        }
        if self.untimed > 0 {
            self.failures.push(format!(
                "{} lines without receive time are skipped by --from and --to: only captures have times",
                self.untimed
            ));
        }
        self.dispatcher.finish();
        self.progress.finish();
        Ok(())
    }

    /// When what is counted began, on the clock of this host; `None` if with the first record.
    pub(super) fn begun_mono_ns(&self) -> Option<u64> {
        (self.begun_mono_ns > 0).then_some(self.begun_mono_ns)
    }

    /// The results of the dispatcher, and one line per fault; afterwards the channels are closed.
    pub(super) fn into_output(self) -> (DispatchOutput, Vec<String>) {
        (self.dispatcher.into_output(), self.failures)
    }

    /// Of a plan for some markets.
    fn filter(&self) -> Option<MarketFilter> {
        let markets = self.plan.markets();
        (!markets.is_empty()).then(|| {
            let mut filter = MarketFilter::new(markets);
            filter.begin(self.plan.feed().capabilities().is_sequenced());
            if self.plan.resumes().is_some() {
                filter.resume();
            }
            filter
        })
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn read_file(&mut self, number: usize) -> Result<(), ReplayError> {
        let source = &self.plan.files()[number];
        let part = self.part_of(source);
        match file::open_part(source, self.stop, part) {
            Ok(input) => self.read_input(number, input),
            Err(why) => self.on_unreadable(why),
        }
    }

    fn read_input(&mut self, number: usize, mut input: Input) -> Result<(), ReplayError> {
        let source = &self.plan.files()[number];
        self.dispatcher.file_frames = 0;
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
        if let Some(what) = foreign(head) {
            let holds = if input.form == Form::Plain { "is" } else { "holds, compressed," };
            return self.on_unreadable(format!("{source} {holds} {what}"));
        }
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
                        self.on_all_waiting()?;
                        // Data before a damaged place may be wrong, even if nothing follows it.
                        let position =
                            Position { file: number as u32, line: lines.count(), offset: 0 };
                        self.dispatcher.on_frames_lost_anywhere(0, position);
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

    /// The bytes of a file that are read.
    fn part_of(&mut self, source: &Source) -> Range<u64> {
        let Some(range) = self.plan.range() else { return 0..u64::MAX };
        self.numbers.begin_part();
        part(source, range)
    }

    fn take_value(
        &mut self,
        value: &Value<'_>,
        position: Position,
        source: &Source,
        file: &mut FileTroubles,
    ) -> Result<(), ReplayError> {
        if value.condition != Condition::Whole {
            self.numbers.forget();
            self.on_all_waiting()?;
        }
        match value.condition {
            Condition::Whole => self.on_value(value.bytes, position)?,
            Condition::TooLong => self.dispatcher.on_too_long(value.bytes, position),
            Condition::Cut => {
                self.dispatcher.on_frame_lost(value.bytes, position, "cut off by NUL bytes");
            }
            Condition::Torn => {
                file.faulty = true;
                self.hole = true;
                self.on_trouble(format!(
                    "{source}: the last line ({}) is torn: the file ends within its \
                     JSON; {} frames before it were replayed",
                    position.line, self.dispatcher.file_frames
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
        let first = &mut self.dispatcher.firsts[number];
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
        let what = damage_text(error);
        if !self.stopped() {
            self.on_trouble(format!(
                "{source}: the {} stream is {what}; {} frames before that were replayed",
                form.name(),
                self.dispatcher.file_frames
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
                self.numbers.forget();
                self.on_all_waiting()?;
                self.dispatcher.on_not_utf8(bytes, error.valid_up_to(), position);
                return Ok(());
            }
        };
        let record = Record::read(text);
        if self.hole {
            self.numbers.forget();
        }
        let missing = self.numbers.missing_before(&record, text);
        if self.is_outside(&record, text) {
            return Ok(());
        }
        if let (1.., Some(at_ns), Some(connection)) =
            (missing, record.receive_ns, record.connection)
        {
            let lost = format!(r#"{{"t":{at_ns},"c":{connection},"k":"l","n":{missing}}}"#);
            self.pass(Record::read(&lost), &lost, position)?;
        }
        self.pass(record, text, position)
    }

    /// Passes a record on, unless it concerns other markets only.
    fn pass(
        &mut self,
        record: Record<'_>,
        text: &str,
        position: Position,
    ) -> Result<(), ReplayError> {
        let part;
        let (record, text) = match self.filter.as_mut().map(|filter| filter.keep(&record, text)) {
            None | Some(Kept::Whole) => (record, text),
            Some(Kept::Nothing) => return Ok(()),
            Some(Kept::Part(line)) => {
                part = line;
                (Record::read(&part), part.as_str())
            }
        };
        if std::mem::take(&mut self.hole) {
            self.on_all_waiting()?;
            self.dispatcher.discard_held();
            self.dispatcher.on_frames_lost_anywhere(record.receive_ns.unwrap_or(0), position);
        }
        let order = self.order.as_mut();
        if !order.is_some_and(|order| order.push_unless_next(&record, text, position)) {
            return self.on_record(&record, text, position);
        }
        while let Some(next) = self.order.as_mut().and_then(ReceiveOrder::poll) {
            self.on_waiting(next)?;
        }
        Ok(())
    }

    fn on_record(
        &mut self,
        record: &Record<'_>,
        text: &str,
        position: Position,
    ) -> Result<(), ReplayError> {
        self.start_at(Some(record.receive_ns));
        self.wait_until_due(record, position)?;
        self.dispatcher.on_record(record, text, position);
        Ok(())
    }

    fn on_waiting(&mut self, next: Waiting) -> Result<(), ReplayError> {
        self.on_record(&next.record(), &next.text, next.position)?;
        if let Some(order) = &mut self.order {
            order.give_back(next.text);
        }
        Ok(())
    }

    /// Passes on what waits for records of other shards, before something that has no time.
    fn on_all_waiting(&mut self) -> Result<(), ReplayError> {
        // What waits when the replay is stopped is later than its end.
        while !self.stopped()
            && let Some(next) = self.order.as_mut().and_then(ReceiveOrder::pop)
        {
            self.on_waiting(next)?;
        }
        Ok(())
    }

    /// Waits for the subscriber before the first record of its range, or at the end of the input (`None`).
    fn start_at(&mut self, record: Option<Option<u64>>) {
        let is_before = |start: &Start| {
            record.is_some_and(|at_ns| at_ns.is_some_and(|at_ns| at_ns < start.from_ns))
        };
        if self.start.as_ref().is_none_or(is_before) {
            return;
        }
        let Some(Start { gate, .. }) = self.start.take() else { return };
        self.progress.finish();
        self.dispatcher.ready();
        while gate.as_ref().is_some_and(|gate| !gate.has_begun()) && !self.stopped() {
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.pass == 0 {
            self.begun_mono_ns = self.clock.mono_ns();
        }
        self.pace = Pace::of(self.plan.speed());
    }

    /// Whether a range of times was given and the record is outside it.
    fn is_outside(&mut self, record: &Record<'_>, text: &str) -> bool {
        let Some(range) = self.plan.range() else { return false };
        match record.receive_ns {
            Some(at_ns) => {
                let resumes = self.plan.resumes();
                let is_inside = match resumes.map(|resumes| resumes.counts_from_ns) {
                    // The clock may have been set back behind the image.
                    Some(_) if self.has_resumed => at_ns < range.end,
                    Some(None) => range.start == at_ns && is_image(record),
                    Some(Some(_)) | None => range.contains(&at_ns),
                };
                self.has_resumed |= is_inside;
                let counts_from_ns = resumes.and_then(|of| of.counts_from_ns).unwrap_or(0);
                self.in_range |= is_inside && at_ns >= counts_from_ns;
                !is_inside
            }
            None => {
                self.untimed += u64::from(text.starts_with(['{', '[']));
                true
            }
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
            self.dispatcher.flush();
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

/// Whether books can continue from a record.
fn is_image(record: &Record<'_>) -> bool {
    matches!(record.what, What::Annotation(AnnotationRecord::Image))
}

/// Damaged places of a file that are reported one by one.
const DAMAGES_SHOWN: u64 = 5;
/// Bytes of a file's first value in error messages.
const FIRST_BYTES_SHOWN: usize = 120;
