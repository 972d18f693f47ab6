//! The last images before a time of a capture.
//!
//! Runs on:  the starting thread, with threads of its own that read blocks; blocks on the disk.
//! Bounds:   `TEXT_BYTES_MAX` and a block for each of these threads.
use super::annotations::books_in;
use super::engines::number_in;
use super::market_filter::MarketFilter;
use crate::capture::index::{self, Block};
use crate::capture::line::{AnnotationRecord, Record, What};
use crate::io::file::{self, Source};
use memchr::{memchr_iter, memmem};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc::sync_channel};
use std::thread::{Builder, scope};

/// The kind of an image behind the keys before it; `d` follows.
const KIND: &str = r#""k":"c","d":"#;

/// The key of an image without books.
const SINCE: &str = r#","since":"#;

/// Text that is kept for the replay: more is read again.
const TEXT_BYTES_MAX: usize = 256 << 20;

/// Threads that read blocks.
const READERS: usize = 2;

/// An image that a replay can begin at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ImageAt {
    /// Receive time of the last message before it, or later; nanoseconds since the Unix epoch.
    pub(super) at_ns: u64,
    /// Shards of the engine.
    pub(super) shards: u16,
    /// Id of the market or ticker; the token if that was wanted.
    pub(super) name: String,
    /// The records up to the end of the times, from the block of the image on, without those of other markets; `None`
    /// where something of them may be missing.
    pub(super) text: Option<Arc<[u8]>>,
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
    let find = |line: &str| image(line, name, &quoted, times);
    let ((image, filter), texts) = backwards(files, times, stop, true, find)?;
    Some(ImageAt { text: texts.and_then(|texts| about(&filter, &texts)), ..image })
}

/// The last images within `times` of all markets; `None` if those of a shard were never complete.
pub(super) fn last_round(
    files: &[&Source],
    times: &RangeInclusive<u64>,
    stop: &Arc<AtomicBool>,
) -> Option<Round> {
    let mut since_of = BTreeMap::new();
    let found = backwards(files, times, stop, false, |line| {
        if !line.contains(SINCE) || !is_image_within(&Record::read(line), times) {
            return None;
        }
        let shards: u16 = number_in(line, r#","shards":"#).try_into().ok()?;
        since_of.entry(number_in(line, r#","d":"#)).or_insert_with(|| number_in(line, SINCE));
        let since_ns = since_of.values().copied().min()?;
        (since_of.len() == usize::from(shards)).then_some(Round { since_ns, shards })
    });
    Some(found?.0)
}

/// The first find among the lines that look like images, the last line first, with the texts of all blocks up to there
/// if they are kept and nothing may be missing between them. Blocks are read backwards, by their indices; damaged ones
/// are passed over.
fn backwards<T>(
    files: &[&Source],
    times: &RangeInclusive<u64>,
    stop: &Arc<AtomicBool>,
    keeps_texts: bool,
    mut find: impl FnMut(&str) -> Option<T>,
) -> Option<(T, Option<Vec<String>>)> {
    let (mut blocks, mut is_whole) = (Vec::new(), keeps_texts);
    for &source in files.iter().rev() {
        let indexed = index::read(&file::read_index(source).unwrap_or_default());
        is_whole &= is_gapless(source, &indexed, *times.end());
        let may_have = |block: &Block| block.from <= *times.end() && block.to >= *times.start();
        let wanted = indexed.into_iter().rev().filter(may_have);
        blocks.extend(wanted.map(|block| (source, block)));
    }
    let (mut texts, mut bytes) = (Vec::new(), 0);
    let found = scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|first| {
                let (sender, receiver) = sync_channel(1);
                let mut own = blocks.iter().skip(first).step_by(READERS);
                // Without the thread its blocks cannot be read. It ends when nobody receives.
                let reader = Builder::new().name("read-blocks".to_owned());
                let _ = reader.spawn_scoped(scope, move || {
                    own.all(|(source, block)| sender.send(read(source, block, stop)).is_ok())
                });
                receiver
            })
            .collect();
        let mut receivers = readers.iter().cycle();
        (0..blocks.len()).find_map(|_| {
            let text = receivers.next()?.recv().ok().flatten();
            let Some(text) = text.filter(|_| !stop.load(Ordering::Relaxed)) else {
                is_whole = false;
                return None;
            };
            let found = last_in(&text, &mut find);
            bytes += text.len();
            is_whole &= text.ends_with('\n') && bytes <= TEXT_BYTES_MAX;
            texts.push(text);
            if !is_whole {
                texts.clear();
            }
            found
        })
    })?;
    Some((found, is_whole.then_some(texts)))
}

/// The last find among the lines of a text that look like images.
fn last_in<T>(text: &str, find: &mut impl FnMut(&str) -> Option<T>) -> Option<T> {
    // Backwards there is no fast search.
    let places: Vec<usize> = memmem::find_iter(text.as_bytes(), KIND).collect();
    places.into_iter().rev().find_map(|place| {
        let start = text[..place].rfind('\n').map_or(0, |end| end + 1);
        let end = text[place..].find('\n').map_or(text.len(), |end| place + end);
        find(&text[start..end])
    })
}

/// Whether the blocks of a file have all of it that was received up to a time.
fn is_gapless(source: &Source, blocks: &[Block], until_ns: u64) -> bool {
    let mut end = 0;
    let is_next =
        |block: &Block| std::mem::replace(&mut end, block.offset + block.bytes) == block.offset;
    blocks.iter().all(is_next)
        && (blocks.last().is_some_and(|last| last.from > until_ns)
            || file::look(source).is_ok_and(|facts| facts.len == Some(end)))
}

/// The lines of texts, the last one first, that may be about the markets of a filter, in their order.
fn about(filter: &MarketFilter, texts: &[String]) -> Option<Arc<[u8]>> {
    let lines_in = |texts: &[String]| {
        let mut lines = Vec::new();
        for text in texts.iter().rev() {
            let mut start = 0;
            for end in memchr_iter(b'\n', text.as_bytes()) {
                let line = &text[start..=end];
                if !filter.is_of_others(line) {
                    lines.extend_from_slice(line.as_bytes());
                }
                start = end + 1;
            }
        }
        lines
    };
    let parts = scope(|scope| {
        let parts = texts.chunks(texts.len().div_ceil(READERS).max(1));
        let threads = parts.map(|part| Builder::new().spawn_scoped(scope, move || lines_in(part)));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().rev().map(|thread| thread.ok()?.join().ok()).collect::<Option<Vec<_>>>()
    });
    Some(parts?.concat().into())
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

/// The image of a line that has one of the market, within these times, and the filter of its books.
fn image(
    line: &str,
    name: &str,
    quoted: &str,
    times: &RangeInclusive<u64>,
) -> Option<(ImageAt, MarketFilter)> {
    if !line.contains(quoted) {
        return None;
    }
    let record = Record::read(line);
    let at_ns = record.receive_ns.filter(|_| is_image_within(&record, times))?;
    let book = books_in(line)?.into_iter().find(|book| book.is_named(name))?;
    let name = if book.a == name { book.a } else { book.m };
    let shards = number_in(line, r#","shards":"#).try_into().ok()?;
    let mut filter = MarketFilter::new(std::slice::from_ref(&name));
    // It learns the ids.
    filter.keep(&record, line);
    Some((ImageAt { at_ns, shards, name, text: None }, filter))
}

#[cfg(test)]
mod tests;
