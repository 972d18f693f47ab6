//! Handovers of a capture replayed with fewer and with more shards than captured it.
use super::*;
use crate::base::id::ShardId;
use crate::base::time::{SECOND_NS, StillClock};
use crate::capture::line::{Record, What};
use crate::market::book::{BookState, StaleReason, image::BookImage};
use crate::shard::books::{Admission, OpenBook};
use crate::shard::intake::{Findings, Intake};
use std::collections::BTreeMap;

const MS: u64 = 1_000_000;

/// Two markets of different shards of two: shard 0, shard 1.
fn markets() -> [String; 2] {
    let of = |shard: u16| {
        let mut names = (1..).map(|number: u32| format!("0x{number:064x}"));
        names.find(|name| shard_of(name.as_bytes(), 2).0 == shard).unwrap()
    };
    [of(0), of(1)]
}

fn book(market: &str, token: u32) -> String {
    format!(
        r#"{{"market":"{market}","asset_id":"{token}","timestamp":"1000","event_type":"book","bids":[{{"price":"0.4","size":"1"}}],"asks":[]}}"#
    )
}

fn change(market: &str, token: u32, size: u32, ms: u64) -> String {
    format!(
        r#"{{"market":"{market}","price_changes":[{{"asset_id":"{token}","price":"0.4","size":"{size}","side":"BUY"}}],"timestamp":"{ms}","event_type":"price_change"}}"#
    )
}

fn opening(market: &str, token: u32) -> String {
    format!(r#","books":[{{"m":"{market}","a":"{token}","n":false}}]"#)
}

/// Records with time, connection, shard, kind and rest.
#[derive(Default)]
struct Capture(String);

impl Capture {
    fn note(&mut self, ms: u64, connection: u32, shard: u16, note: AnnotationRecord, rest: &str) {
        let (t, k) = (SECOND_NS + ms * MS, note.letter());
        self.0 += &format!(
            "{{\"t\":{t},\"c\":{connection},\"s\":0,\"k\":\"{k}\",\"d\":{shard}{rest}}}\n"
        );
    }

    fn frame(&mut self, ms: u64, connection: u32, frame: &str) {
        let t = SECOND_NS + ms * MS;
        self.0 += &format!("{{\"t\":{t},\"c\":{connection},\"s\":0,\"k\":\"t\",\"f\":{frame}}}\n");
    }

    /// State and size of the only bid of each book after a replay with `shards` shards.
    fn replay(&self, shards: u16) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for shard in 0..shards {
            let books = Books::new(
                ShardId(shard),
                crate::venue::polymarket::feed(true),
                Admission::Listed,
                (),
            );
            let mut intake = Intake::new(crate::venue::ALL[0], books, StillClock(0));
            let mut notes = Annotations::default();
            for line in self.0.lines() {
                let record = Record::read(line);
                let connection = ConnectionSlot(record.connection.unwrap_or(0) as u32);
                let at_ns = record.receive_ns.unwrap();
                let at = Now { mono_ns: at_ns, wall_ns: at_ns };
                let mut place = AnnotationContext { shard, shards, connection, from: None, at };
                let note = match record.what {
                    What::Text(frame) => {
                        intake.on_frame(&frame, connection, at, &mut Findings::default());
                        continue;
                    }
                    What::Ended => {
                        let why = StaleReason::Disconnected;
                        intake.books.on_disconnect(connection, at);
                        intake.books.set_connection_stale(connection, why, at_ns);
                        continue;
                    }
                    What::Opened { from } => {
                        place.from = from.map(|from| ConnectionSlot(from as u32));
                        AnnotationRecord::Opened
                    }
                    What::Annotation(note) => note,
                    other => panic!("{other:?}"),
                };
                let left = notes.apply(note, line, place, &mut intake.books);
                assert_ne!(left, Followup::Unreadable, "{line}");
            }
            let places: Vec<_> = intake.books.open_books().collect();
            for OpenBook { token, index, .. } in places {
                let mut image = BookImage::default();
                assert!(intake.books.fill_image_at(index, &mut image));
                let sizes: Vec<_> = image.bids.iter().map(|level| level.quantity.0 / MS).collect();
                let live = if image.state == BookState::Live { "live" } else { "not live" };
                all.insert(token.to_string(), format!("{live} {sizes:?}"));
            }
        }
        all
    }
}

fn trade(market: &str, token: u32, ms: u64) -> String {
    format!(
        r#"{{"market":"{market}","asset_id":"{token}","price":"0.4","size":"1","side":"BUY","timestamp":"{ms}","event_type":"last_trade_price","transaction_hash":"0x{ms}"}}"#
    )
}

/// Connection 1 carries both markets, live, in a capture of one shard; connection 2 will replace it.
fn replacement([a, b]: &[String; 2]) -> Capture {
    let mut capture = Capture::default();
    capture.note(0, 0, 0, AnnotationRecord::Begun, r#","shards":1,"hashes":"off""#);
    capture.note(1, 1, 0, AnnotationRecord::Books, &opening(a, 11));
    capture.note(1, 1, 0, AnnotationRecord::Books, &opening(b, 12));
    capture.note(2, 1, 0, AnnotationRecord::Opened, "");
    capture.frame(3, 1, &book(a, 11));
    capture.frame(3, 1, &book(b, 12));
    capture.note(4, 2, 0, AnnotationRecord::Opened, r#","from":1,"a":["11","12"]"#);
    capture.frame(5, 2, &book(a, 11));
    capture
}

/// Both books after a replay with one shard, with two that have one book each, and with three.
fn assert_replays(capture: &Capture, first: &str, second: &str) {
    let expected = [("11", first), ("12", second)];
    let expected = expected.map(|(token, text)| (token.to_owned(), text.to_owned()));
    for shards in 1..=3 {
        assert_eq!(capture.replay(shards), BTreeMap::from(expected.clone()), "{shards} shards");
    }
}

#[test]
fn a_market_moves_in_every_shard_of_a_replay_when_it_moved_in_the_engine() {
    let markets = markets();
    let [a, b] = &markets;
    let mut capture = replacement(&markets);
    capture.frame(5, 2, &book(b, 12));
    (1..=2).for_each(|connection| capture.frame(6, connection, &change(b, 12, 2, 1_001)));
    // This trade is outstanding on the new connection: it sent its messages of the other market earlier.
    capture.frame(6, 1, &trade(a, 11, 1_002));
    capture.note(7, 2, 0, AnnotationRecord::Switch, "");
    capture.note(7, 2, 0, AnnotationRecord::Progress, r#","owing":0,"first":1001,"newest":1001"#);
    capture.note(7, 0, 0, AnnotationRecord::Matched, "");
    capture.frame(8, 2, &change(a, 11, 5, 1_003));
    assert_replays(&capture, "live [1]", "live [2]");
    // What the replay has not done by then was done in the engine.
    capture.note(9, 2, 0, AnnotationRecord::TakenOver, "");
    capture.note(10, 1, 0, AnnotationRecord::Closed, r#","a":["11","12"]"#);
    assert_replays(&capture, "live [5]", "live [2]");
}

#[test]
fn a_handover_that_is_cut_short_is_given_up_by_all_shards_of_a_replay_or_by_none() {
    let markets = markets();
    let [a, b] = &markets;
    for owing in [0, 1] {
        let mut capture = replacement(&markets);
        if owing == 0 {
            capture.frame(5, 2, &book(b, 12));
        }
        let rest = format!(r#","owing":{owing},"newest":0"#);
        capture.note(8, 2, 0, AnnotationRecord::Progress, &rest);
        capture.0 += &format!("{{\"t\":{},\"c\":1,\"s\":0,\"k\":\"e\"}}\n", SECOND_NS + 8 * MS);
        if owing == 0 {
            assert_replays(&capture, "live [1]", "live [1]");
            capture.note(9, 1, 0, AnnotationRecord::Closed, r#","a":["11","12"]"#);
            assert_replays(&capture, "live [1]", "live [1]");
            continue;
        }
        assert_replays(&capture, "not live [1]", "not live [1]");
        // The reconnected connection is the source of its books again.
        capture.note(9, 1, 0, AnnotationRecord::Opened, "");
        capture.frame(10, 1, &book(a, 11));
        assert_replays(&capture, "live [1]", "not live [1]");
        capture.note(11, 2, 0, AnnotationRecord::Closed, r#","a":["11","12"]"#);
        assert_replays(&capture, "live [1]", "not live [1]");
    }
}

#[test]
fn one_shard_of_the_engine_does_not_hurry_the_handover_of_another() {
    let [a, b] = &markets();
    let mut capture = Capture::default();
    capture.note(0, 0, 0, AnnotationRecord::Begun, r#","shards":2,"hashes":"off""#);
    capture.note(1, 1, 0, AnnotationRecord::Books, &opening(a, 11));
    capture.note(1, 2, 1, AnnotationRecord::Books, &opening(b, 12));
    capture.frame(3, 1, &book(a, 11));
    capture.frame(3, 2, &book(b, 12));
    capture.note(4, 3, 0, AnnotationRecord::Opened, r#","from":1,"a":["11"]"#);
    capture.frame(5, 3, &book(a, 11));
    capture.frame(6, 1, &change(a, 11, 5, 1_001));
    capture.frame(7, 1, &change(a, 11, 6, 1_001));
    // Records of different shards are interleaved in chunks: the other shard's are far ahead here.
    capture.note(60_000, 0, 1, AnnotationRecord::Matched, "");
    capture.note(8, 3, 0, AnnotationRecord::Switch, "");
    capture.note(8, 3, 0, AnnotationRecord::Progress, r#","owing":0,"newest":0"#);
    capture.note(8, 0, 0, AnnotationRecord::Matched, "");
    // The old connection is ahead of the new one.
    capture.frame(9, 3, &change(a, 11, 5, 1_001));
    assert_replays(&capture, "live [6]", "live [1]");
}
