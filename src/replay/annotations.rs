//! Applies the annotation records of an engine's capture.
//!
//! Runs on:  replay shards (pure; time is that of the record).
//!
//! A live shard records every input of its books besides frames, and its housekeeping. Applied at the same points,
//! they produce the same books; digest checkpoints in the capture verify that.
use crate::base::id::{MarketId, TokenId};
use crate::base::limits::CHECKS_PER_HOUSEKEEPING;
use crate::base::policy::HashChecks;
use crate::base::routing::shard_of;
use crate::base::time::Now;
use crate::capture::line::{AnnotationRecord, Record, What};
use crate::market::book::BookOpening;
use crate::shard::books::{Books, ConnectionSlot, HandoverProgress, ImageOutcome, StoredBook};
use crate::shard::publish::Handler;
use serde::Deserialize;

/// The keys before `k`, and `k`, take no more.
const PREFIX_BYTES_MAX: usize = 96;
const KIND_BOOKS: &[u8] = br#""k":"m""#;

#[derive(Debug, Default, Deserialize)]
struct Keys {
    #[serde(default)]
    d: u16,
    #[serde(default)]
    shards: u16,
    #[serde(default)]
    hashes: String,
    #[serde(default)]
    race: bool,
    #[serde(default)]
    books: Vec<StoredBook>,
    #[serde(default)]
    a: Tokens,
    #[serde(default)]
    z: String,
    #[serde(default)]
    owing: u32,
    #[serde(default)]
    first: Option<u64>,
    #[serde(default)]
    newest: u64,
    #[serde(default)]
    read: Option<u64>,
    #[serde(default)]
    q: u32,
}

/// Keys of an image.
#[derive(Debug, Deserialize)]
struct Image {
    shards: u16,
    hashes: String,
    /// The books continue from it, whatever they were before.
    #[serde(default)]
    merged: bool,
    books: Vec<StoredBook>,
}

/// One token or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Tokens {
    One(String),
    Many(Vec<String>),
}

impl Default for Tokens {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Keys {
    fn tokens(&self) -> Vec<TokenId> {
        match &self.a {
            Tokens::One(token) => TokenId::new(token).into_iter().collect(),
            Tokens::Many(tokens) => tokens.iter().filter_map(|t| TokenId::new(t)).collect(),
        }
    }
}

/// The time and the books of a record of opened books; `None` for other records.
pub(crate) fn openings(line: &str) -> Option<(u64, Vec<StoredBook>)> {
    // The fixed prefix of a capture; most records are frames.
    let prefix = &line.as_bytes()[..PREFIX_BYTES_MAX.min(line.len())];
    if !prefix.windows(KIND_BOOKS.len()).any(|part| part == KIND_BOOKS) {
        return None;
    }
    let record = Record::read(line.trim_end());
    let What::Annotation(AnnotationRecord::Books) = record.what else { return None };
    Some((record.receive_ns?, books_in(line)?))
}

/// The books of a record that lists some.
pub(crate) fn books_in(line: &str) -> Option<Vec<StoredBook>> {
    sonic_rs::from_str::<Keys>(line).ok().map(|keys| keys.books)
}

/// The market that has this slug, token or id in a record of opened books.
pub(super) fn market_named(line: &str, name: &str) -> Option<MarketId> {
    books_in(line)?.iter().find(|book| book.is_named(name))?.market()
}

/// The slug of each market in a record of books; none in captures of earlier versions.
pub(super) fn slugs(line: &str) -> Vec<(MarketId, String)> {
    let books = books_in(line).unwrap_or_default();
    let named = books.into_iter().filter(|book| !book.s.is_empty());
    named.filter_map(|book| Some((book.market()?, book.s))).collect()
}

/// Results of the digest checkpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Checkpoints {
    /// Equal digests.
    pub(super) equal: u64,
    /// Different digests.
    pub(super) different: u64,
    /// Not comparable: the book is not live here, because frames are missing in the capture or outside the range.
    pub(super) skipped: u64,
}

impl Checkpoints {
    /// Sum of both.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            equal: self.equal + other.equal,
            different: self.different + other.different,
            skipped: self.skipped + other.skipped,
        }
    }
}

/// State of one shard.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Annotations {
    pub(super) checkpoints: Checkpoints,
    /// Number of shards of the capturing engine.
    recorded_shards: u16,
    /// The start of the engine was read: all its books are known.
    has_start: bool,
    /// Frames are missing: a book may differ for that reason.
    pub(super) has_gaps: bool,
}

/// What the worker has to do after an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Followup {
    Nothing,
    /// Compare these hashes from now on.
    Check(HashChecks),
    Unreadable,
    /// Report a different checkpoint.
    Different,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct AnnotationContext {
    /// The replay's shard and their number.
    pub(super) shard: u16,
    pub(super) shards: u16,
    pub(super) connection: ConnectionSlot,
    /// The connection that it replaces.
    pub(super) from: Option<ConnectionSlot>,
    pub(super) at: Now,
}

impl Annotations {
    /// Within the capture of an engine with so many shards.
    pub(super) fn within(recorded_shards: u16) -> Self {
        Self { recorded_shards, ..Self::default() }
    }

    /// The input is read again.
    pub(super) const fn begin_pass(&mut self) {
        self.has_start = false;
    }

    /// Whether the input read last is an engine's capture.
    pub(super) const fn is_engine_capture(&self) -> bool {
        self.recorded_shards > 0
    }

    pub(super) fn apply<H: Handler>(
        &mut self,
        note: AnnotationRecord,
        line: &str,
        place: AnnotationContext,
        books: &mut Books<H>,
    ) -> Followup {
        if note == AnnotationRecord::Image {
            return self.on_image(line, place, books);
        }
        let Ok(keys) = sonic_rs::from_str::<Keys>(line) else { return Followup::Unreadable };
        let AnnotationContext { shard, shards, connection, from, at } = place;
        // Each live shard did housekeeping of its own books; here only some of them may be present.
        let recorded = self.recorded_shards.max(1);
        let recorded_here = |market: &MarketId| shard_of(market.as_bytes(), recorded).0 == keys.d;
        match note {
            AnnotationRecord::Begun => {
                (self.recorded_shards, self.has_start) = (keys.shards, true);
                books.set_races(keys.race);
                return HashChecks::of(&keys.hashes).map_or(Followup::Nothing, Followup::Check);
            }
            AnnotationRecord::Books => {
                let mine =
                    |opening: &BookOpening| shard_of(opening.market.as_bytes(), shards).0 == shard;
                for opening in keys.books.iter().filter_map(StoredBook::opening).filter(mine) {
                    // Over the bound: the live shard refused it too.
                    let _ = books.open(&opening, connection);
                }
            }
            AnnotationRecord::Described => {
                keys.books.iter().filter_map(StoredBook::opening).for_each(|o| books.describe(&o));
            }
            AnnotationRecord::Dropped => {
                keys.tokens().iter().for_each(|token| books.close_on(token, connection));
            }
            AnnotationRecord::Closed => {
                books.on_closed(connection, at);
                keys.tokens().iter().for_each(|token| books.close_on(token, connection));
            }
            AnnotationRecord::Opened => {
                if let Some(from) = from {
                    let here = |token: &TokenId| books.find(token.as_str()).is_some();
                    let tokens: Vec<TokenId> = keys.tokens().into_iter().filter(here).collect();
                    books.begin_handover(from, connection, &tokens);
                }
            }
            AnnotationRecord::Switch => books.switch(connection, at.mono_ns),
            AnnotationRecord::Progress => {
                let (first_ms, newest_ms) = (keys.first, keys.newest);
                let progress = HandoverProgress { owing: keys.owing, first_ms, newest_ms };
                books.on_recorded_progress(connection, progress);
            }
            AnnotationRecord::Matched => {
                while books.poll_some_handover(at, recorded_here).is_some() {}
            }
            AnnotationRecord::TakenOver => books.on_recorded_end(connection, at),
            AnnotationRecord::Asked => {
                keys.tokens().iter().for_each(|token| books.on_asked(token, keys.q, at.mono_ns));
            }
            AnnotationRecord::Housekeeping => {
                let read_wall_ns = keys.read.unwrap_or(at.wall_ns);
                books.settle_some(CHECKS_PER_HOUSEKEEPING, read_wall_ns, recorded_here);
                while books.poll_some_behind(at.mono_ns, recorded_here).is_some() {}
            }
            // Each connection has a record of its end.
            AnnotationRecord::Stopping | AnnotationRecord::Image => {}
            AnnotationRecord::Proof => return self.on_checkpoint(&keys, shards, books),
        }
        Followup::Nothing
    }

    /// Books that are open are compared. Others are opened where the replay continues from images.
    fn on_image<H: Handler>(
        &mut self,
        line: &str,
        place: AnnotationContext,
        books: &mut Books<H>,
    ) -> Followup {
        let Ok(image) = sonic_rs::from_str::<Image>(line) else { return Followup::Unreadable };
        let AnnotationContext { shard, shards, connection, .. } = place;
        // In a part of a capture without its start connections are not those of the engine.
        let opens = (!self.has_start || image.merged) && books.is_listed();
        if opens {
            self.recorded_shards = image.shards;
            if let Some(hashes) = HashChecks::of(&image.hashes) {
                books.set_hash_checks(hashes);
            }
        }
        let mine = |stored: &&StoredBook| {
            stored.market().is_none_or(|of| shard_of(of.as_bytes(), shards).0 == shard)
        };
        let mut followup = Followup::Nothing;
        for stored in image.books.iter().filter(mine) {
            let outcome = match image.merged && opens {
                true => books.on_merged_image(stored, connection),
                false => books.on_image(stored, connection, opens),
            };
            match outcome {
                ImageOutcome::Opened => {}
                ImageOutcome::Equal => self.checkpoints.equal += 1,
                ImageOutcome::NotLive if self.has_gaps || self.recorded_shards == 0 => {
                    self.checkpoints.skipped += 1;
                }
                ImageOutcome::NotLive | ImageOutcome::Different => {
                    self.checkpoints.different += 1;
                    followup = Followup::Different;
                }
                ImageOutcome::Unusable => return Followup::Unreadable,
            }
        }
        followup
    }

    fn on_checkpoint<H: Handler>(
        &mut self,
        keys: &Keys,
        shards: u16,
        books: &Books<H>,
    ) -> Followup {
        let (Tokens::One(token), Ok(recorded)) = (&keys.a, u64::from_str_radix(&keys.z, 16)) else {
            return Followup::Unreadable;
        };
        let continues = !self.has_start && books.is_listed();
        if (shards > 1 || continues) && books.find(token).is_none() {
            // A book of another shard, or one whose image is yet to come.
            return Followup::Nothing;
        }
        match books.digest(token) {
            Some(ours) if ours == recorded => self.checkpoints.equal += 1,
            // A replay of a part of the capture has no book before its first snapshot.
            None if self.has_gaps || self.recorded_shards == 0 => self.checkpoints.skipped += 1,
            _ => {
                self.checkpoints.different += 1;
                return Followup::Different;
            }
        }
        Followup::Nothing
    }
}

#[cfg(test)]
mod tests;
