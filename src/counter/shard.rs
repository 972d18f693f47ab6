//! Counters of a shard: input, books, checks, repairs. One writer; copied into heartbeats.
//!
//! Runs on:  any (pure).
use super::fold::Fold;
use serde::{Deserialize, Serialize};

/// A counter of a shard, or a gauge, as `/metrics` and `ringbook counters` show it.
#[derive(Debug)]
pub struct CounterRow<T: 'static> {
    /// Name in `/metrics`, without the suffix `_total`.
    pub name: &'static str,
    /// It may fall.
    pub is_gauge: bool,
    /// Unit.
    pub unit: &'static str,
    /// What it measures.
    pub meaning: &'static str,
    /// What to do when it rises (or falls, if stated).
    pub when_it_rises: &'static str,
    /// The value.
    pub read: fn(&T) -> u64,
}

/// Declares a structure of counters, each with its place in `/stats` and its metric:
/// `Counter field as "key of /stats": metric, unit, meaning, advice`; those under `unlisted` have no metric.
macro_rules! counters {
    (
        $(#[$meta:meta])*
        $type:ident {
            $($kind:ident $field:ident $(as $key:literal)?: $name:literal, $unit:literal, $meaning:literal,
                $advice:literal;)*
        } $(unlisted { $($(#[$attribute:meta])* $unlisted:ident;)* })?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $type {
            $(
                #[doc = concat!($meaning, ".")]
                $(#[serde(rename = $key)])?
                pub $field: u64,
            )*
            $($($(#[$attribute])* pub $unlisted: u64,)*)?
        }

        impl $type {
            /// The metrics of its counters.
            pub const ROWS: &[CounterRow<Self>] = &[$(CounterRow {
                name: $name,
                is_gauge: counters!(@is_gauge $kind),
                unit: $unit,
                meaning: $meaning,
                when_it_rises: $advice,
                read: |counts| counts.$field,
            }),*];

            /// The sum of both.
            pub const fn plus(&self, other: &Self) -> Self {
                Self {
                    $($field: self.$field + other.$field,)*
                    $($($unlisted: self.$unlisted + other.$unlisted,)*)?
                }
            }

            /// The difference; 0 where the other one is larger.
            pub const fn minus(&self, other: &Self) -> Self {
                Self {
                    $($field: self.$field.saturating_sub(other.$field),)*
                    $($($unlisted: self.$unlisted.saturating_sub(other.$unlisted),)*)?
                }
            }
        }

        impl Fold for $type {
            fn fold(&mut self, other: Self) {
                *self = self.plus(&other);
            }
        }
    };
    (@is_gauge Gauge) => { true };
    (@is_gauge Counter) => { false };
}

counters! {
    /// Counters of input; single writer.
    IntakeCounts {
        Counter frames: "ringbook_shard_frames", "frames",
            "WebSocket frames received",
            "nothing";
        Counter binary_frames: "ringbook_shard_binary_frames", "frames",
            "Binary frames received, which are not decoded",
            "the venue changed its format; books of the connection are stale until repaired";
        Counter messages: "ringbook_shard_messages", "messages",
            "Venue messages decoded",
            "nothing";
        Counter decode_errors: "ringbook_shard_decode_errors", "messages",
            "Frames or messages that could not be decoded",
            "the venue changed its format; the log shows samples";
        Counter unknown_events: "ringbook_shard_unknown_events", "messages",
            "Messages of an unknown event type",
            "the venue added an event type; known events are not affected";
        Counter unknown_keys: "ringbook_shard_unknown_keys", "messages",
            "Messages of a known type with unknown keys",
            "the venue added a field; such messages use the slower parser";
        Counter unknown_texts: "ringbook_shard_unknown_texts", "frames",
            "Text frames that are neither JSON nor PONG",
            "the log shows samples: often error texts of the venue";
    } unlisted {
        /// Of these, the ones about a book that could be decoded.
        #[serde(skip)]
        events;
        /// Sum of the times from read to applied, nanoseconds, over all frames.
        #[serde(skip)]
        frame_ns;
    }
}

counters! {
    /// Counters of all books of a shard; single writer.
    BookCounts {
        Counter updates: "ringbook_shard_updates", "levels",
            "Level changes applied",
            "nothing";
        Counter snapshots: "ringbook_shard_snapshots", "books",
            "Snapshots applied",
            "nothing";
        Counter snapshots_refused: "ringbook_shard_snapshots_refused", "snapshots",
            "Snapshots older than their live book, or with a future timestamp",
            "check the clock of the host, or the venue's timestamps";
        Counter snapshots_at_switch: "ringbook_shard_snapshots_at_switch", "snapshots",
            "Snapshots of a replacement applied because the old connection ended within their millisecond",
            "nothing; the connection was replaced while messages of one millisecond arrived";
        Counter trades: "ringbook_shard_trades", "trades",
            "Trades received",
            "nothing";
        Counter changes_before_snapshot: "ringbook_shard_changes_before_snapshot", "changes",
            "Changes of a book without a snapshot, not applied",
            "steadily: snapshots do not arrive; use fewer tokens per connection";
        Counter changes_stale: "ringbook_shard_changes_stale", "changes",
            "Changes older than their book, not applied",
            "nothing; the venue repeats changes around snapshots";
        Counter unknown_instruments: "ringbook_shard_unknown_instruments", "messages",
            "Messages about tokens that the shard does not hold",
            "steadily: a subscription outlives its book";
        Counter trades_without_book: "ringbook_shard_trades_without_book", "trades",
            "Trades of markets without a book; stored if their book opens within a minute",
            "nothing; a trade stream may cover all markets";
        Gauge books: "ringbook_shard_books", "books",
            "Books held",
            "nothing";
        Gauge live as "books_live": "ringbook_shard_books_live", "books",
            "Live books",
            "when it falls: see books_awaiting and books_stale";
        Gauge awaiting as "books_awaiting": "ringbook_shard_books_awaiting", "books",
            "Books waiting for their first snapshot",
            "if it stays up: snapshots do not arrive; use fewer tokens per connection";
        Gauge stale as "books_stale": "ringbook_shard_books_stale", "books",
            "Stale books",
            "if it stays up: connections are lost or messages cannot be decoded";
        Gauge stale_disconnected as "books_stale_disconnected": "ringbook_shard_books_stale_disconnected", "books",
            "Stale books whose connection was lost",
            "see connections: they are dialed again by themselves";
        Gauge stale_frames_lost as "books_stale_frames_lost": "ringbook_shard_books_stale_frames_lost", "books",
            "Stale books that miss messages",
            "sequence numbers are missing; they are repaired by a snapshot";
        Gauge stale_too_many_levels as "books_stale_too_many_levels": "ringbook_shard_books_stale_too_many_levels", "books",
            "Stale books with more levels than a book may have",
            "the venue or a proxy is faulty; see the log";
        Gauge stale_undecoded as "books_stale_undecoded": "ringbook_shard_books_stale_undecoded", "books",
            "Stale books with a message that could not be decoded",
            "the venue changed its format; the log shows samples";
        Gauge stale_disproved as "books_stale_disproved": "ringbook_shard_books_stale_disproved", "books",
            "Stale books that differ from the venue-reported best prices or hash",
            "a change was lost or misread; they are repaired over REST";
        Gauge stale_behind as "books_stale_behind": "ringbook_shard_books_stale_behind", "books",
            "Stale books that are older than the REST interface",
            "the venue loses messages; they are repaired over REST";
        Gauge stale_moving as "books_stale_moving": "ringbook_shard_books_stale_moving", "books",
            "Stale books that move to another connection",
            "nothing; if it stays up: snapshots do not arrive";
        Gauge stale_times_disagree as "books_stale_times_disagree": "ringbook_shard_books_stale_times_disagree", "books",
            "Stale books with times that cannot all be right",
            "check the clock of the host, or the timestamps of the venue";
    } unlisted {
        /// Trades that another connection had delivered already.
        #[serde(skip)]
        trades_repeated;
    }
}

counters! {
    /// Comparisons of books with venue-reported values; single writer.
    CheckCounts {
        Counter tops_matched: "ringbook_shard_tops_matched", "checks",
            "Checks in which the book's best prices equal the venue-reported ones",
            "nothing";
        Counter tops_mismatched: "ringbook_shard_tops_mismatched", "checks",
            "Checks in which they differ",
            "a change was lost or misread; a book that stays different becomes stale:disproved";
        Counter tops_unverifiable: "ringbook_shard_tops_unverifiable", "checks",
            "Changes without best prices, or out of order",
            "steadily: the venue stopped sending best prices";
        Counter hashes_matched: "ringbook_shard_hashes_matched", "checks",
            "Checks in which the book's hash equals the venue-reported one",
            "nothing";
        Counter hashes_explained: "ringbook_shard_hashes_explained", "checks",
            "Hashes that matched after a later trade",
            "nothing; the venue hashes a trade before it publishes it";
        Counter hashes_mismatched: "ringbook_shard_hashes_mismatched", "checks",
            "Checks in which the hashes differ",
            "a change was lost or misread, or the venue changed its hash";
        Counter hashes_unverifiable: "ringbook_shard_hashes_unverifiable", "checks",
            "Hashes with an unknown input, or of Protocol V2 and different",
            "nothing; the catalog has no tick size or minimum order, or V2 hashes differently";
    }
}

/// Result of one handover: messages of two connections while both carried the same tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandoverCounts {
    /// Tokens that moved.
    pub tokens: u64,
    /// Markets that moved.
    pub markets: u64,
    /// Books that were live when they moved and are held at the end.
    pub live: u64,
    /// Of these, live at the end.
    pub live_after: u64,
    /// Messages of both connections while both carried the tokens.
    pub messages: u64,
    /// Messages that both delivered: the second one was removed.
    pub duplicates: u64,
    /// Messages that the new connection delivered first, applied at the switch.
    pub ahead: u64,
    /// Messages of the old connection after the switch: not applied.
    pub after_switch: u64,
    /// Messages that only one of them delivered: lost on the other.
    pub differences: u64,
    /// From the order to switch until no message was outstanding, nanoseconds.
    pub switch_ns: u64,
    /// The old connection ended before the switch was ordered, and nothing was lost by that.
    pub cut_short: bool,
}

counters! {
    /// Books requested over the venue's REST interface; single writer.
    RepairCounts {
        Counter asked: "ringbook_shard_books_asked", "books",
            "Books requested over REST because they were not live",
            "snapshots do not arrive, or books are disproved";
        Counter repaired: "ringbook_shard_books_repaired", "books",
            "Books made live by a REST answer",
            "as books_asked";
        Counter answers_old: "ringbook_shard_rest_answers_old", "books",
            "REST answers older than the stream",
            "the venue's REST interface serves old books";
        Counter answers_ahead: "ringbook_shard_rest_answers_ahead", "books",
            "REST answers with a future timestamp",
            "the host's clock is behind, or the venue's is ahead";
        Counter answers_broken: "ringbook_shard_rest_answers_broken", "books",
            "REST answers that do not match their own hash",
            "the venue changed its hash, or a proxy alters its answers";
        Counter audits_matched: "ringbook_shard_audits_matched", "books",
            "Live books whose levels equal the REST answer",
            "nothing";
        Counter audits_mismatched: "ringbook_shard_audits_mismatched", "books",
            "Live books with other levels at the same hash",
            "a bug: report it with a capture";
        Counter audits_behind: "ringbook_shard_audits_behind", "books",
            "Live books that missed a message of the stream",
            "the venue loses messages; the book is repaired";
        Counter mirrors_matched: "ringbook_shard_mirrors_matched", "markets",
            "Unchanging markets whose two books mirror each other",
            "nothing";
        Counter mirrors_mismatched: "ringbook_shard_mirrors_mismatched", "markets",
            "Unchanging markets whose two books do not",
            "one of them missed a message; both are compared over REST";
        Counter polls_matched: "ringbook_shard_polls_matched", "books",
            "Live books of numbered streams whose levels equal the REST answer",
            "nothing";
        Counter polls_undecided: "ringbook_shard_polls_undecided", "books",
            "Such comparisons during which the book changed",
            "nothing";
        Counter polls_different: "ringbook_shard_polls_different", "books",
            "Such books without a change and with other levels",
            "see shard_audits_mismatched: the requested snapshot decides";
        Counter silences: "ringbook_shard_silences", "connections",
            "Connections checked because their data stopped",
            "nothing; quiet markets send no data";
        Counter frozen: "ringbook_shard_frozen", "connections",
            "Connections replaced because they answered pings without data",
            "the venue freezes connections";
    } unlisted {
        /// The answer was older than the book.
        audits_older;
        /// Same time, other message of it, or more of it to come: no result.
        audits_undecided;
        /// The answer was newer, and the stream delivered the same soon after.
        audits_caught_up;
    }
}

impl CheckCounts {
    /// Share of the verdicts in which the book was right, 0 to 1; `None` before the first. What
    /// could not be verified is in neither number.
    pub fn score(&self) -> Option<f64> {
        let right = self.tops_matched + self.hashes_matched + self.hashes_explained;
        let all = right + self.tops_mismatched + self.hashes_mismatched;
        (all > 0).then(|| right as f64 / all as f64)
    }
}
