//! What an engine's capture says of its books besides frames, done again.
//!
//! Runs on:  replay shards (pure; time is the record's).
//!
//! A live shard writes down what others than the stream told its books, and when it looked after them. Done
//! again in the same places, the same books come of it, and the proofs in the capture must hold.
use crate::base::condition;
use crate::base::id::{MarketId, TokenId};
use crate::base::limits::CHECKS_PER_HOUSEKEEPING;
use crate::base::policy::HashChecks;
use crate::base::price::{Price, Quantity};
use crate::base::routing::shard_of;
use crate::base::time::Now;
use crate::capture::line::Note;
use crate::market::book::BookOpening;
use crate::shard::books::{Books, ConnectionSlot};
use crate::shard::publish::Handler;
use serde::Deserialize;

/// The keys of a note that matter.
#[derive(Debug, Default, Deserialize)]
struct Keys {
    #[serde(default)]
    d: u16,
    #[serde(default)]
    shards: u16,
    #[serde(default)]
    hashes: String,
    #[serde(default)]
    books: Vec<Opening>,
    #[serde(default)]
    a: Tokens,
    #[serde(default)]
    z: String,
}

#[derive(Debug, Deserialize)]
struct Opening {
    m: String,
    a: String,
    #[serde(default)]
    t: Option<String>,
    #[serde(default)]
    o: Option<String>,
    #[serde(default)]
    n: bool,
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

impl Opening {
    fn read(&self) -> Option<BookOpening> {
        Some(BookOpening {
            market: condition::market_id(&self.m)?,
            token: TokenId::new(&self.a)?,
            tick_size: self.t.as_ref().and_then(|text| Price::parse(text.as_bytes())),
            min_order_size: self.o.as_ref().and_then(|text| Quantity::parse(text.as_bytes())),
            neg_risk: self.n,
        })
    }
}

/// What the proofs in a capture said of the books of the replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Proofs {
    /// The same.
    pub(super) equal: u64,
    /// Not the same.
    pub(super) different: u64,
    /// The book is not live here, because frames of it are not in the capture, or not in the range.
    pub(super) untold: u64,
}

impl Proofs {
    /// Both together.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            equal: self.equal + other.equal,
            different: self.different + other.different,
            untold: self.untold + other.untold,
        }
    }
}

/// One shard's view of the notes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Notes {
    pub(super) proofs: Proofs,
    /// Shards of the engine that captured.
    recorded_shards: u16,
    /// Frames are missing: a book may lack what it had.
    pub(super) lossy: bool,
}

/// What only the worker can do about a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    /// Have these hashes compared from now on.
    Check(HashChecks),
    /// It cannot be read.
    Broken,
    /// A proof failed.
    Different,
}

/// Who looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The shard of the replay and the number of them.
    pub(super) shard: u16,
    pub(super) shards: u16,
    /// The connection of the note.
    pub(super) connection: ConnectionSlot,
    /// The connection that it replaces.
    pub(super) from: Option<ConnectionSlot>,
    pub(super) at: Now,
}

impl Notes {
    /// Whether an engine captured what was read last.
    pub(super) const fn is_engines(&self) -> bool {
        self.recorded_shards > 0
    }

    /// Does what the line says to those books that are here.
    pub(super) fn on_note<H: Handler>(
        &mut self,
        note: Note,
        line: &str,
        place: Place,
        books: &mut Books<H>,
    ) -> Left {
        let Ok(keys) = sonic_rs::from_str::<Keys>(line) else { return Left::Broken };
        let Place { shard, shards, connection, from, at } = place;
        match note {
            Note::Begun => {
                self.recorded_shards = keys.shards;
                return HashChecks::of(&keys.hashes).map_or(Left::Nothing, Left::Check);
            }
            Note::Books => {
                let mine =
                    |opening: &BookOpening| shard_of(opening.market.as_bytes(), shards).0 == shard;
                for opening in keys.books.iter().filter_map(Opening::read).filter(mine) {
                    // Too many: the live shard had no room for it either.
                    let _ = books.open(&opening, connection);
                }
            }
            Note::Described => {
                keys.books.iter().filter_map(Opening::read).for_each(|o| books.describe(&o));
            }
            Note::Dropped => {
                keys.tokens().iter().for_each(|token| books.close_on(token, connection));
            }
            Note::Closed => {
                books.on_closed(connection, at);
                keys.tokens().iter().for_each(|token| books.close_on(token, connection));
            }
            Note::Opened => {
                if let Some(from) = from {
                    let here = |token: &TokenId| books.find(token.as_str()).is_some();
                    let tokens: Vec<TokenId> = keys.tokens().into_iter().filter(here).collect();
                    books.begin_handover(from, connection, &tokens);
                }
            }
            Note::Switch => books.switch(connection, at.mono_ns),
            Note::Matched => while books.poll_handover(at).is_some() {},
            Note::Asked => {
                keys.tokens().iter().for_each(|token| books.on_asked(token, at.mono_ns));
            }
            Note::House => {
                // Each shard kept the house of its own books, however many of them are here.
                let recorded = self.recorded_shards.max(1);
                let mine = |market: &MarketId| shard_of(market.as_bytes(), recorded).0 == keys.d;
                books.settle_some(CHECKS_PER_HOUSEKEEPING, at.wall_ns, mine);
                while books.poll_some_behind(at.mono_ns, mine).is_some() {}
            }
            Note::Proof => return self.on_proof(&keys, shards, books),
        }
        Left::Nothing
    }

    fn on_proof<H: Handler>(&mut self, keys: &Keys, shards: u16, books: &Books<H>) -> Left {
        let (Tokens::One(token), Ok(said)) = (&keys.a, u64::from_str_radix(&keys.z, 16)) else {
            return Left::Broken;
        };
        if shards > 1 && books.find(token).is_none() {
            // Another shard's.
            return Left::Nothing;
        }
        match books.digest(token) {
            Some(ours) if ours == said => self.proofs.equal += 1,
            // Without the beginning, a book is not here before its next snapshot.
            None if self.lossy || self.recorded_shards == 0 => self.proofs.untold += 1,
            _ => {
                self.proofs.different += 1;
                return Left::Different;
            }
        }
        Left::Nothing
    }
}
