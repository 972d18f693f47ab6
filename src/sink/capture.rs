//! The thread that writes a capture: chunks of records from the shards to lines in zstd frames.
//!
//! Runs on:  the thread `capture`, not pinned. Owns: the capture's files.
//! Bounds:   `CAPTURE_WAITING_BYTES_MAX` of text while writing fails; then chunks stay in their
//!           rings, and shards drop frames, count them and mark the place.
//!
//! A failed write is retried after its partial output was truncated, so a segment always consists of complete zstd
//! frames.
mod hook;
pub(crate) mod retention;
pub(crate) mod segment;

use crate::base::id::ConnectionId;
use crate::base::limits::{
    CAPTURE_BLOCK_BYTES, CAPTURE_CHECK_NS, CAPTURE_RETRY_NS, CAPTURE_WAITING_BYTES_MAX,
    SINK_DRAIN_NS, SINK_END_NS, SINK_LOOK_NS,
};
use crate::base::time::Now;
use crate::capture::line::{self, AnnotationRecord, Stamp};
use crate::capture::manifest::Entry as Event;
use crate::counter::capture::{CaptureBoard, CaptureReport};
use crate::counter::loss::FrameCount;
use crate::io::{
    clock::HostClock,
    executor::no_thread,
    threads::{ends_within, lower_priority},
};
use crate::link::shard_capture::{CaptureReceiver, Entry, Kind};
use hook::{CloseHook, ClosedFiles};
use log::{error, info, warn};
use retention::Retention;
use segment::{Folder, Missing, Rotation};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Configuration of a capture.
#[derive(Clone, Debug)]
pub struct CaptureOptions {
    /// The folder; created if missing.
    pub folder: PathBuf,
    /// Longest wait of a record before it is written, nanoseconds: what a killed process loses.
    pub flush_ns: u64,
    /// A segment ends at this compressed size, bytes.
    pub segment_bytes: u64,
    /// A segment ends after this time, nanoseconds.
    pub segment_ns: u64,
    /// Each live book has an image once in so long, nanoseconds; 0 is never.
    pub image_round_ns: u64,
    /// How much of the folder is kept.
    pub retention: Retention,
    /// A command of the shell that is run for each closed segment.
    pub on_close: Option<String>,
}

/// The running capture.
#[derive(Debug)]
pub struct CaptureSink {
    stop: Arc<AtomicBool>,
    board: Arc<CaptureBoard>,
    thread: JoinHandle<()>,
    hook: Option<CloseHook>,
}

impl CaptureSink {
    /// Opens the folder and starts the thread.
    ///
    /// # Errors
    /// One line: the folder cannot be used, or no thread can be started.
    pub fn start(
        options: &CaptureOptions,
        receivers: Vec<CaptureReceiver>,
        url: &str,
        clock: HostClock,
    ) -> Result<Self, String> {
        let shown = options.folder.display().to_string();
        let rotation = Rotation { bytes: options.segment_bytes, ns: options.segment_ns };
        let now = clock.now();
        let shards = receivers.len() as u16;
        if options.folder.is_file() {
            return Err(format!("{shown} is a file: name a folder, new or of earlier captures"));
        }
        let (folder, found) = Folder::open(&options.folder, rotation, now.wall_ns, shards)
            .map_err(|error| format!("{shown}: {error}"))?;
        if let Some(gap) = found {
            info!("{shown}: appending to an earlier capture; gap: {gap}");
        }
        let board = Arc::new(CaptureBoard::new(shown));
        let stop = Arc::new(AtomicBool::new(false));
        let command = options.on_close.clone();
        let hook = command.map(|command| CloseHook::start(command, Arc::clone(&board)));
        let (hook, closed) = hook.transpose()?.unzip();
        let writer = Writer {
            receivers,
            turn: 0,
            folder,
            url: url.to_owned(),
            sequences: HashMap::new(),
            down: HashMap::new(),
            retention: options.retention,
            closed,
            flush_ns: options.flush_ns,
            begun_ns: now.mono_ns,
            retry_ns: 0,
            checked_ns: 0,
            board: Arc::clone(&board),
            stop: Arc::clone(&stop),
            clock,
        };
        let thread = std::thread::Builder::new()
            .name("capture".into())
            .spawn(move || writer.run())
            .map_err(|error| no_thread("capture", &error).to_string())?;
        Ok(Self { stop, board, thread, hook })
    }

    /// The figures for the status report.
    pub fn board(&self) -> Arc<CaptureBoard> {
        Arc::clone(&self.board)
    }

    /// Empties the rings and completes the files. Call it after the shards have ended.
    #[must_use]
    pub fn stop(self) -> CaptureReport {
        self.stop.store(true, Ordering::Release);
        if ends_within(self.thread, SINK_DRAIN_NS + SINK_END_NS) {
            if let Some(hook) = self.hook {
                hook.finish(SINK_END_NS);
            }
            return self.board.read();
        }
        error!("the capture did not end in time");
        let mut report = self.board.read();
        report.waiting_bytes = report.waiting_bytes.max(1);
        if report.loss.is_empty() {
            report.loss = "its thread did not end in time".into();
        }
        report
    }
}

/// The thread's state.
struct Writer {
    receivers: Vec<CaptureReceiver>,
    /// The receiver that is next.
    turn: usize,
    folder: Folder,
    url: String,
    /// Number of records per connection.
    sequences: HashMap<ConnectionId, u64>,
    /// Connections that ended: time and cause, until they are open again.
    down: HashMap<ConnectionId, (u64, String)>,
    retention: Retention,
    /// With a command for closed segments.
    closed: Option<ClosedFiles>,
    flush_ns: u64,
    /// Start of the current block, monotonic.
    begun_ns: u64,
    retry_ns: u64,
    /// Last check of the files, monotonic.
    checked_ns: u64,
    board: Arc<CaptureBoard>,
    stop: Arc<AtomicBool>,
    clock: HostClock,
}

impl Writer {
    fn run(mut self) {
        lower_priority();
        self.remove_old(self.clock.now());
        let mut stop_ns = None;
        loop {
            let now = self.clock.now();
            let stopping = self.stop.load(Ordering::Acquire);
            if stopping {
                stop_ns.get_or_insert(now.mono_ns);
            }
            let taken = self.take_chunks();
            if now.mono_ns >= self.checked_ns + CAPTURE_CHECK_NS {
                self.check(now);
            }
            if self.folder.waiting() == 0 {
                self.begun_ns = now.mono_ns;
            }
            let full = self.folder.waiting() >= CAPTURE_BLOCK_BYTES;
            let due = now.mono_ns >= self.begun_ns + self.flush_ns;
            if self.folder.waiting() > 0
                && (full || due || stopping)
                && now.mono_ns >= self.retry_ns
            {
                self.write(now);
            }
            let late = stop_ns.is_some_and(|at_ns| now.mono_ns >= at_ns + SINK_DRAIN_NS);
            if stopping && (late || taken == 0 && self.folder.waiting() == 0) {
                self.finish(now);
                return;
            }
            self.publish();
            if taken == 0 {
                std::thread::sleep(Duration::from_nanos(SINK_LOOK_NS));
            }
        }
    }

    /// Takes chunks in turn, one of a shard, so that the backlog of one delays no other.
    fn take_chunks(&mut self) -> usize {
        let failing = self.board.failing_since_wall_ns.get() > 0;
        let most = if failing { CAPTURE_WAITING_BYTES_MAX } else { CAPTURE_BLOCK_BYTES };
        let (mut taken, mut empty) = (0, 0);
        while empty < self.receivers.len() && self.folder.waiting() < most {
            let place = self.turn % self.receivers.len();
            self.turn = place + 1;
            if self.take_chunk(place) {
                (taken, empty) = (taken + 1, 0);
            } else {
                empty += 1;
            }
        }
        taken
    }

    fn take_chunk(&mut self, place: usize) -> bool {
        let Self { receivers, folder, url, sequences, down, board, .. } = self;
        let receiver = &mut receivers[place];
        let Some(mut chunk) = receiver.full.try_receive() else { return false };
        let shard = receiver.shard.0;
        for entry in chunk.iter() {
            let sequence = sequences.entry(entry.connection).or_insert(0);
            let stamp = Stamp {
                receive_ns: entry.wall_ns,
                connection: entry.connection.0,
                sequence: *sequence,
            };
            *sequence += 1;
            write_line(folder.text(entry.wall_ns), stamp, shard, url, &entry);
            record_event(folder, down, board, shard, &entry);
        }
        chunk.clear();
        // At most as many chunks are in circulation as the ring holds.
        let _ = receiver.empty.try_send(chunk);
        true
    }

    /// Checks that the files were not deleted or truncated externally.
    fn check(&mut self, now: Now) {
        self.checked_ns = now.mono_ns;
        if let Some(Missing { count, cause }) = self.folder.check() {
            self.board.lose(count, &cause);
            let (frames, trades) = (count.frames, count.with_trades());
            error!("{}: {cause}; {frames} frames{trades} are lost", self.board.folder());
        }
    }

    fn write(&mut self, now: Now) {
        // Do not write to a deleted file.
        self.check(now);
        let result = self.folder.flush(now.wall_ns);
        let board = &self.board;
        match result {
            Ok(()) => {
                if board.failing_since_wall_ns.get() > 0 {
                    info!("{}: can be written again", board.folder());
                    board.failing_since_wall_ns.set(0);
                    board.set_error("");
                }
                self.begun_ns = now.mono_ns;
                self.on_closed(now);
            }
            Err(error) => {
                let line = error.to_string();
                if board.failing_since_wall_ns.get() == 0 {
                    warn!("{}: cannot be written: {line}; records wait in memory", board.folder());
                    board.failing_since_wall_ns.set(now.wall_ns);
                }
                board.set_error(&line);
                self.retry_ns = now.mono_ns + CAPTURE_RETRY_NS;
            }
        }
    }

    /// Hands closed segments to the user's command, and removes old ones.
    fn on_closed(&mut self, now: Now) {
        let closed = self.folder.take_closed();
        if closed.is_empty() {
            return;
        }
        if let Some(files) = &self.closed {
            closed.into_iter().for_each(|path| files.push(path));
        }
        self.remove_old(now);
    }

    fn remove_old(&mut self, now: Now) {
        for (removed, why) in self.folder.remove_surplus(self.retention, now.wall_ns) {
            self.board.removed.add(1);
            self.board.removed_bytes.add(removed.bytes);
            info!("{} is removed ({} bytes): {why}", removed.path.display(), removed.bytes);
        }
    }

    fn publish(&self) {
        let board = &self.board;
        let totals = self.folder.totals();
        board.records.set(totals.records);
        board.segments.set(totals.segments);
        board.text_bytes.set(totals.text_bytes);
        board.bytes.set(totals.bytes);
        board.waiting_bytes.set(self.folder.waiting() as u64);
        board.last_write_wall_ns.set(totals.written_wall_ns);
    }

    fn finish(mut self, now: Now) {
        self.check(now);
        let mut unsent = FrameCount::default();
        for receiver in &mut self.receivers {
            while let Some(chunk) = receiver.full.try_receive() {
                unsent += chunk.count();
            }
            unsent += receiver.unsent();
        }
        if self.folder.waiting() > 0 || unsent.frames > 0 {
            let why = self.board.read().error;
            let cause = match why.is_empty() {
                true => "the process ended before the records were written".to_owned(),
                false => format!("every write failed until the process ended: {why}"),
            };
            let count = self.folder.discard(unsent, now.wall_ns, &cause);
            let (frames, trades) = (count.frames, count.with_trades());
            error!("{}: {cause}; {frames} frames{trades} are lost", self.board.folder());
            self.board.lose(count, &cause);
        }
        if let Err(error) = self.folder.finish(now.wall_ns) {
            let line = format!("cannot be finished: {error}; its end may be missing");
            error!("{}: {line}", self.board.folder());
            self.board.set_error(&line);
            self.board.failing_since_wall_ns.set(now.wall_ns);
        }
        self.on_closed(now);
        self.publish();
    }
}

/// One record as a line.
pub fn write_line(out: &mut Vec<u8>, stamp: Stamp, shard: u16, url: &str, entry: &Entry<'_>) {
    let payload = &*entry.text();
    match entry.kind {
        Kind::Text => line::write_text(out, stamp, payload),
        Kind::TextSkipped => line::write_text_skipped(out, stamp, payload),
        Kind::Binary => line::write_base64(out, stamp, payload, false),
        Kind::BinarySkipped => line::write_base64(out, stamp, payload, true),
        Kind::Sent => line::write_sent(out, stamp, payload),
        Kind::Ended => line::write_ended(out, stamp, payload),
        Kind::Answer => {
            let (question, answer) = payload.split_once(' ').unwrap_or(("0", payload));
            line::write_answer(out, stamp, (shard, question), answer);
        }
        Kind::Lost => line::write_lost(out, stamp, entry.count().frames),
        Kind::Annotation(AnnotationRecord::Opened) => {
            let rest = format!(",\"url\":\"{url}\"{payload}");
            line::write_annotation(out, stamp, AnnotationRecord::Opened, shard, &rest);
        }
        Kind::Annotation(record_event) => {
            line::write_annotation(out, stamp, record_event, shard, payload)
        }
    }
}

/// Updates manifest and figures for a record.
fn record_event(
    folder: &mut Folder,
    down: &mut HashMap<ConnectionId, (u64, String)>,
    board: &CaptureBoard,
    shard: u16,
    entry: &Entry<'_>,
) {
    let Entry { kind, connection, wall_ns, payload, .. } = *entry;
    match kind {
        _ if kind.is_frame() => {
            board.frames.add(1);
            folder.count_frame(entry.count());
        }
        Kind::Ended => {
            down.insert(connection, (wall_ns, payload.to_owned()));
        }
        Kind::Annotation(AnnotationRecord::Closed) => {
            down.remove(&connection);
        }
        Kind::Annotation(AnnotationRecord::Opened) => {
            if let Some((from, cause)) = down.remove(&connection) {
                let connection = Some(connection.0);
                let (to, shard, frames, trades) = (wall_ns, None, None, None);
                folder.add_entry(Event::Gap { from, to, connection, shard, frames, trades, cause });
            }
        }
        Kind::Lost => {
            let count = entry.count();
            let cause =
                "the capture thread was slower than the shards: it got no CPU, or its disk is slow";
            let (frames, trades) = (count.frames, count.with_trades());
            warn!("{frames} frames{trades} of shard-{shard} are not in the capture: {cause}");
            board.lose(count, cause);
            folder.add_entry(Event::Gap {
                from: folder.latest(),
                to: wall_ns,
                connection: None,
                shard: Some(shard),
                frames: Some(frames),
                trades: Some(count.trades),
                cause: cause.into(),
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
