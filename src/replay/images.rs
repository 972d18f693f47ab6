//! The last images before a time of a capture.
//!
//! Runs on:  the starting thread; blocks on the disk. Bounds: one block.
use super::annotations::books_in;
use super::engines::number_in;
use crate::capture::index::{self, Block};
use crate::capture::line::{AnnotationRecord, Record, What};
use crate::io::file::{self, Source};
use memchr::memmem;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The kind of an image behind the keys before it; `d` follows.
const KIND: &str = r#""k":"c","d":"#;

/// The key of an image without books.
const SINCE: &str = r#","since":"#;

/// An image that a replay can begin at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ImageAt {
    /// Receive time of the last message before it, or later; nanoseconds since the Unix epoch.
    pub(super) at_ns: u64,
    /// Shards of the engine.
    pub(super) shards: u16,
    /// Id of the market or ticker; the token if that was wanted.
    pub(super) name: String,
}

/// The last images of all markets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Round {
    /// Every market that was open has an image at this time or later, nanoseconds since the Unix epoch.
    pub(super) since_ns: u64,
    /// Shards of the engine.
    pub(super) shards: u16,
}

/// The last image within `times` of the market with this slug, id, ticker or token.
pub(super) fn last_image(
    files: &[&Source],
    name: &str,
    times: &RangeInclusive<u64>,
    stop: &Arc<AtomicBool>,
) -> Option<ImageAt> {
    let quoted = sonic_rs::to_string(name).ok()?;
    backwards(files, times, stop, |line| image(line, name, &quoted, times))
}

/// The last images within `times` of all markets; `None` if those of a shard were never complete.
pub(super) fn last_round(
    files: &[&Source],
    times: &RangeInclusive<u64>,
    stop: &Arc<AtomicBool>,
) -> Option<Round> {
    let mut since_of = BTreeMap::new();
    backwards(files, times, stop, |line| {
        if !line.contains(SINCE) || !is_image_within(&Record::read(line), times) {
            return None;
        }
        let shards: u16 = number_in(line, r#","shards":"#).try_into().ok()?;
        since_of.entry(number_in(line, r#","d":"#)).or_insert_with(|| number_in(line, SINCE));
        let since_ns = since_of.values().copied().min()?;
        (since_of.len() == usize::from(shards)).then_some(Round { since_ns, shards })
    })
}

/// The first find among the lines that look like images, the last line first. Blocks are read backwards, by their
/// indices; damaged ones are passed over.
fn backwards<T>(
    files: &[&Source],
    times: &RangeInclusive<u64>,
    stop: &Arc<AtomicBool>,
    mut find: impl FnMut(&str) -> Option<T>,
) -> Option<T> {
    for source in files.iter().rev() {
        let blocks = index::read(&file::read_index(source).unwrap_or_default());
        let may_have = |block: &&Block| block.from <= *times.end() && block.to >= *times.start();
        for block in blocks.iter().rev().filter(may_have) {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            let Some(text) = read(source, block, stop) else { continue };
            // Backwards there is no fast search.
            let places: Vec<usize> = memmem::find_iter(text.as_bytes(), KIND).collect();
            let found = places.into_iter().rev().find_map(|place| {
                let start = text[..place].rfind('\n').map_or(0, |end| end + 1);
                let end = text[place..].find('\n').map_or(text.len(), |end| place + end);
                find(&text[start..end])
            });
            if found.is_some() {
                return found;
            }
        }
    }
    None
}

fn is_image_within(record: &Record<'_>, times: &RangeInclusive<u64>) -> bool {
    matches!(record.what, What::Annotation(AnnotationRecord::Image))
        && record.receive_ns.is_some_and(|at_ns| times.contains(&at_ns))
}

fn read(source: &Source, block: &Block, stop: &Arc<AtomicBool>) -> Option<String> {
    let mut input = file::open_part(source, stop, block.offset..block.offset + block.bytes).ok()?;
    let mut text = Vec::with_capacity(block.text_bytes as usize);
    input.reader.read_to_end(&mut text).ok()?;
    String::from_utf8(text).ok()
}

/// The image of a line that has one of the market, within these times.
fn image(line: &str, name: &str, quoted: &str, times: &RangeInclusive<u64>) -> Option<ImageAt> {
    if !line.contains(quoted) {
        return None;
    }
    let record = Record::read(line);
    let at_ns = record.receive_ns.filter(|_| is_image_within(&record, times))?;
    let book = books_in(line)?.into_iter().find(|book| book.is_named(name))?;
    let name = if book.a == name { book.a } else { book.m };
    let shards = number_in(line, r#","shards":"#).try_into().ok()?;
    Some(ImageAt { at_ns, shards, name })
}

#[cfg(test)]
mod tests;
