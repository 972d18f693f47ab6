//! Recordings of other tools as a capture.
//!
//! Runs on:  the starting thread. Bounds: one value, one block.
//!
//! Frames are kept byte for byte. What a recording does not have is reported, and what is missing in it is a loss, so
//! that the books are stale there.
use super::folder::{ROTATION, new_folder};
use super::levels;
use crate::base::limits::CAPTURE_BLOCK_BYTES;
use crate::capture::line::{
    Record, Stamp, What, write_binary, write_ended, write_lost, write_opened, write_text,
};
use crate::io::file;
use crate::io::output::{complain, print_line};
use crate::io::progress::Progress;
use crate::replay::{Missing, Recording, Values, VenueTimes};
use crate::sink::capture::segment::Folder;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a capture is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum From {
    /// Files of one venue, in order.
    Recording(Recording),
    /// Parquet files of levels of one venue, as `ringbook export` writes them.
    Levels(Vec<PathBuf>),
}

/// What is imported, and where to.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// The input.
    pub from: From,
    /// A new or empty folder.
    pub out: PathBuf,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Frames written.
    pub frames: u64,
    /// Stored bytes written.
    pub bytes: u64,
    /// What the recordings do not have; one line each.
    pub notes: Vec<String>,
    /// What is missing in them; one line each.
    pub faults: Vec<String>,
}

/// Imports for the command line: one line to standard output, one for each note and fault to standard error. The exit
/// code: 0; 1 with a fault; 130 when stopped.
#[must_use]
pub fn execute(import: &Import, stop: &Arc<AtomicBool>) -> u8 {
    let say = |line: &str| complain(format_args!("ringbook import: {line}"));
    let imported = match run(import, stop) {
        Ok(imported) => imported,
        Err(fault) => {
            say(&fault);
            return 1;
        }
    };
    let out = import.out.display();
    if stop.load(Ordering::Relaxed) {
        say(&format!("{out}: interrupted; it is not complete"));
        return 130;
    }
    let Imported { frames, bytes, notes, faults } = &imported;
    notes.iter().chain(faults).for_each(|line| say(line));
    print_line(format_args!("{out}: {frames} frames, {bytes} bytes"));
    u8::from(!faults.is_empty())
}

/// Writes the capture. Setting `stop` ends it early.
///
/// # Errors
/// One line: the output folder is not empty or cannot be written, a file cannot be read or is a capture already, or no
/// line has a time.
pub fn run(import: &Import, stop: &Arc<AtomicBool>) -> Result<Imported, String> {
    let Import { from, out } = import;
    match from {
        From::Recording(recording) => run_recording(recording, out, stop),
        From::Levels(files) => levels::import(files, out, stop),
    }
}

fn run_recording(
    recording: &Recording,
    out: &Path,
    stop: &Arc<AtomicBool>,
) -> Result<Imported, String> {
    let shown = out.display();
    new_folder(out)?;
    let mut times = VenueTimes::new(recording.feed);
    let Some(start_ns) = first_time(recording, &mut times, stop)? else {
        return Err("no line has a receive time or a message with the venue's: nothing says when \
                    this was"
            .to_owned());
    };
    let failed = |error: std::io::Error| format!("{shown}: {error}");
    let (folder, _) = Folder::open(out, ROTATION, start_ns, 1).map_err(failed)?;
    let mut writer = Writer {
        folder,
        times,
        latest_ns: start_ns,
        connections: HashMap::new(),
        missing: BTreeMap::new(),
        unreadable: Places::default(),
        unknown: Places::default(),
        untimed: Places::default(),
        frames: 0,
    };
    let sizes =
        recording.files.iter().map(|source| Some(file::look(source).ok()?.len.unwrap_or(0)));
    let mut progress = Progress::of_bytes(sizes.sum());
    for source in &recording.files {
        let mut values = Values::open(source, stop, 0..u64::MAX)?;
        while !stop.load(Ordering::Relaxed)
            && let Some(value) = values.next_value()
        {
            let place = || format!("{source}, line {}", value.line);
            if let Some(missing) = value.missing {
                writer.lose();
                writer.missing.entry(missing).or_default().add(place);
            }
            if let Some(text) = value.text {
                writer.write(text, place)?;
            }
            if writer.folder.waiting() >= CAPTURE_BLOCK_BYTES {
                writer.folder.flush(writer.folder.latest()).map_err(failed)?;
            }
        }
        progress.file_done(file::look(source).ok().and_then(|found| found.len).unwrap_or(0));
    }
    progress.finish();
    writer.finish().map_err(failed)
}

/// Values looked at for records of an engine.
const VALUES_LOOKED_AT: usize = 10_000;

fn refuse(place: &str) -> String {
    format!("{place}: this is a capture of ringbook already: `ringbook capture cut` copies it")
}

const fn is_of_engine(what: &What<'_>) -> bool {
    matches!(what, What::Annotation(_) | What::Skipped | What::Answer(..))
}

/// The time of the first line that has one, nanoseconds since the Unix epoch.
///
/// # Errors
/// One line: a file cannot be read, or its first lines are records of an engine.
fn first_time(
    recording: &Recording,
    times: &mut VenueTimes,
    stop: &Arc<AtomicBool>,
) -> Result<Option<u64>, String> {
    let (mut first, mut count) = (None, 0);
    for source in &recording.files {
        let mut values = Values::open(source, stop, 0..u64::MAX)?;
        while let Some(value) = values.next_value() {
            count += 1;
            if let Some(record) = value.text.map(Record::read) {
                if is_of_engine(&record.what) {
                    return Err(refuse(&format!("{source}, line {}", value.line)));
                }
                first = first.or_else(|| match (record.receive_ns, &record.what) {
                    (None, What::Text(frame)) => times.of(frame),
                    (time, _) => time,
                });
            }
            if first.is_some() && count >= VALUES_LOOKED_AT {
                return Ok(first);
            }
        }
    }
    Ok(first)
}

/// How often, and where first.
#[derive(Debug, Default)]
struct Places {
    count: u64,
    first: String,
}

impl Places {
    fn add(&mut self, place: impl FnOnce() -> String) {
        if self.count == 0 {
            self.first = place();
        }
        self.count += 1;
    }

    /// `what` with the count and the first place; nothing for none.
    fn line(&self, what: &str) -> Option<String> {
        let Self { count, first } = self;
        (*count > 0).then(|| format!("{what}: {count}, first in {first}"))
    }
}

struct Writer {
    folder: Folder,
    times: VenueTimes,
    /// Latest time so far, nanoseconds since the Unix epoch.
    latest_ns: u64,
    /// Number and next sequence of each connection of the recordings; `None` is the one of lines that name none.
    connections: HashMap<Option<u64>, (u32, u64)>,
    missing: BTreeMap<Missing, Places>,
    unreadable: Places,
    unknown: Places,
    untimed: Places,
    frames: u64,
}

impl Writer {
    fn write(&mut self, text: &str, place: impl Fn() -> String) -> Result<(), String> {
        let record = Record::read(text);
        let time = match (record.receive_ns, &record.what) {
            (None, What::Text(frame)) => {
                self.untimed.add(&place);
                self.times.of(frame).map(|ns| ns.max(self.latest_ns))
            }
            (time, _) => time,
        };
        let receive_ns = time.unwrap_or(self.latest_ns);
        self.latest_ns = self.latest_ns.max(receive_ns);
        match record.what {
            What::Text(frame) => {
                let stamp = self.stamp(receive_ns, record.connection);
                write_text(self.folder.text(receive_ns), stamp, &frame);
                self.frames += 1;
            }
            What::Binary(frame) => {
                let stamp = self.stamp(receive_ns, record.connection);
                write_binary(self.folder.text(receive_ns), stamp, &frame);
                self.frames += 1;
            }
            What::Opened { .. } => {
                let stamp = self.stamp(receive_ns, record.connection);
                write_opened(self.folder.text(receive_ns), stamp, "");
            }
            What::Ended => {
                let stamp = self.stamp(receive_ns, record.connection);
                write_ended(self.folder.text(receive_ns), stamp, "");
            }
            What::Lost(frames) => {
                let stamp = match record.connection {
                    Some(connection) => self.stamp(receive_ns, Some(connection)),
                    None => Stamp { receive_ns, connection: 0, sequence: 0 },
                };
                write_lost(self.folder.text(receive_ns), stamp, frames);
            }
            What::Broken(_) => {
                self.lose();
                self.unreadable.add(place);
            }
            What::UnknownKind => self.unknown.add(place),
            What::Sent | What::Header => {}
            What::Annotation(_) | What::Skipped | What::Answer(..) => {
                return Err(refuse(&place()));
            }
        }
        Ok(())
    }

    fn stamp(&mut self, receive_ns: u64, connection: Option<u64>) -> Stamp {
        let next = self.connections.len() as u32 + 1;
        let (connection, sequence) = self.connections.entry(connection).or_insert((next, 0));
        let stamp = Stamp { receive_ns, connection: *connection, sequence: *sequence };
        *sequence += 1;
        stamp
    }

    /// Something is missing here: books are stale until their next snapshot.
    fn lose(&mut self) {
        let receive_ns = self.latest_ns;
        let stamp = Stamp { receive_ns, connection: 0, sequence: 0 };
        write_lost(self.folder.text(receive_ns), stamp, 0);
    }

    fn finish(mut self) -> std::io::Result<Imported> {
        if self.folder.waiting() > 0 {
            self.folder.flush(self.folder.latest())?;
        }
        let bytes = self.folder.totals().bytes;
        self.folder.finish(self.latest_ns)?;
        let untimed = "lines without receive time, for which the venue's time or that of the line before stands";
        let unknown = "records of an unknown kind, which are left out";
        let mut faults: Vec<String> = (self.missing.iter())
            .filter_map(|(missing, places)| places.line(missing.text()))
            .collect();
        faults.extend(self.unreadable.line("records that cannot be read"));
        faults.extend(self.unknown.line(unknown));
        let notes = self.untimed.line(untimed).into_iter().collect();
        Ok(Imported { frames: self.frames, bytes, notes, faults })
    }
}
