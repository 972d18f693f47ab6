//! Handovers of a capture, replayed by fewer and by more shards than captured it.
use super::*;
use crate::base::id::ShardId;
use crate::base::time::{SECOND_NS, StillClock};
use crate::capture::line::{Record, What};
use crate::market::book::{BookState, image::BookImage};
use crate::shard::books::Admission;
use crate::shard::intake::{Findings, Intake};
use std::collections::BTreeMap;

const MS: u64 = 1_000_000;

/// Two markets that hash to different ones of two shards: to shard 0, to shard 1.
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

/// Records, each with its time, connection, shard, kind and rest.
#[derive(Default)]
struct Capture(String);

impl Capture {
    fn note(&mut self, ms: u64, connection: u32, shard: u16, note: Note, rest: &str) {
        let (t, k) = (SECOND_NS + ms * MS, note.letter());
        self.0 += &format!(
            "{{\"t\":{t},\"c\":{connection},\"s\":0,\"k\":\"{k}\",\"d\":{shard}{rest}}}\n"
        );
    }

    fn frame(&mut self, ms: u64, connection: u32, frame: &str) {
        let t = SECOND_NS + ms * MS;
        self.0 += &format!("{{\"t\":{t},\"c\":{connection},\"s\":0,\"k\":\"t\",\"f\":{frame}}}\n");
    }

    /// State and size of the one bid of each book, after a replay by `shards` shards.
    fn replay(&self, shards: u16) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for shard in 0..shards {
            let books = Books::new(ShardId(shard), Admission::Listed, ());
            let mut intake = Intake::new(crate::venue::ALL[0], books, StillClock(0));
            let mut notes = Notes::default();
            for line in self.0.lines() {
                let record = Record::read(line);
                let connection = ConnectionSlot(record.connection.unwrap_or(0) as u32);
                let at_ns = record.receive_ns.unwrap();
                let at = Now { mono_ns: at_ns, wall_ns: at_ns };
                let mut place = Place { shard, shards, connection, from: None, at };
                let note = match record.what {
                    What::Text(frame) => {
                        intake.on_frame(&frame, connection, at, &mut Findings::default());
                        continue;
                    }
                    What::Ended => {
                        intake.books.on_line_end(connection, at);
                        continue;
                    }
                    What::Opened { from } => {
                        place.from = from.map(|from| ConnectionSlot(from as u32));
                        Note::Opened
                    }
                    What::Note(note) => note,
                    other => panic!("{other:?}"),
                };
                let left = notes.on_note(note, line, place, &mut intake.books);
                assert_ne!(left, Left::Broken, "{line}");
            }
            let places: Vec<_> = intake.books.places().collect();
            for (token, _, index) in places {
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

/// A replacement of connection 1 by connection 2, both markets on it, in a capture of one shard. The second market
/// is not in step; the first one is, and has moved.
fn half_moved([a, b]: &[String; 2]) -> Capture {
    let mut capture = Capture::default();
    capture.note(0, 0, 0, Note::Begun, r#","shards":1,"hashes":"off""#);
    capture.note(1, 1, 0, Note::Books, &opening(a, 11));
    capture.note(1, 1, 0, Note::Books, &opening(b, 12));
    capture.note(2, 1, 0, Note::Opened, "");
    capture.frame(3, 1, &book(a, 11));
    capture.frame(3, 1, &book(b, 12));
    capture.note(4, 2, 0, Note::Opened, r#","from":1,"a":["11","12"]"#);
    capture.frame(5, 2, &book(a, 11));
    capture.frame(5, 2, &book(b, 12));
    capture.frame(6, 1, &change(b, 12, 2, 1_001));
    capture.note(7, 2, 0, Note::Switch, "");
    capture.note(7, 2, 0, Note::Progress, r#","owing":0,"newest":0"#);
    capture.note(7, 0, 0, Note::Matched, "");
    capture
}

#[test]
fn a_handover_ends_in_every_shard_of_a_replay_where_it_ended_in_the_engine() {
    let markets = markets();
    let mut capture = half_moved(&markets);
    let [a, b] = &markets;
    capture.note(50, 2, 0, Note::Progress, r#","owing":0,"newest":0"#);
    capture.note(50, 0, 0, Note::Matched, "");
    // The old connection is behind the new one, and is passed over until its handover has ended.
    capture.frame(60, 2, &change(a, 11, 5, 1_002));
    capture.frame(61, 2, &change(a, 11, 6, 1_003));
    capture.frame(62, 1, &change(a, 11, 5, 1_002));
    capture.frame(63, 2, &change(b, 12, 2, 1_001));
    capture.note(100, 2, 0, Note::Progress, r#","owing":0,"first":1002,"newest":1003"#);
    capture.note(100, 0, 0, Note::Matched, "");
    capture.note(100, 2, 0, Note::TakenOver, "");
    capture.note(101, 1, 0, Note::Closed, r#","a":["11","12"]"#);
    let expected = [("11", "live [6]"), ("12", "live [2]")];
    let expected = expected.map(|(token, text)| (token.to_owned(), text.to_owned()));
    for shards in 1..=3 {
        assert_eq!(capture.replay(shards), BTreeMap::from(expected.clone()), "{shards} shards");
    }
}

#[test]
fn a_handover_that_is_cut_short_is_given_up_by_all_shards_of_a_replay_or_by_none() {
    let [a, b] = &markets();
    for owing in [0, 1] {
        let mut capture = Capture::default();
        capture.note(0, 0, 0, Note::Begun, r#","shards":1,"hashes":"off""#);
        capture.note(1, 1, 0, Note::Books, &opening(a, 11));
        capture.note(1, 1, 0, Note::Books, &opening(b, 12));
        capture.frame(3, 1, &book(a, 11));
        capture.frame(3, 1, &book(b, 12));
        capture.note(4, 2, 0, Note::Opened, r#","from":1,"a":["11","12"]"#);
        capture.frame(5, 2, &book(a, 11));
        if owing == 0 {
            capture.frame(5, 2, &book(b, 12));
        }
        let rest = format!(r#","owing":{owing},"newest":0"#);
        capture.note(8, 2, 0, Note::Progress, &rest);
        capture.0 += &format!("{{\"t\":{},\"c\":1,\"s\":0,\"k\":\"e\"}}\n", SECOND_NS + 8 * MS);
        // The connection that lost is closed, with the books that are on it.
        let closed = if owing == 0 { 1 } else { 2 };
        capture.note(9, closed, 0, Note::Closed, r#","a":["11","12"]"#);
        for shards in 1..=3 {
            let tokens: Vec<_> = capture.replay(shards).into_keys().collect();
            assert_eq!(tokens, ["11", "12"], "{owing} owing, {shards} shards");
        }
    }
}

#[test]
fn one_shard_of_the_engine_does_not_hurry_the_handover_of_another() {
    let [a, b] = &markets();
    let mut capture = Capture::default();
    capture.note(0, 0, 0, Note::Begun, r#","shards":2,"hashes":"off""#);
    capture.note(1, 1, 0, Note::Books, &opening(a, 11));
    capture.note(1, 2, 1, Note::Books, &opening(b, 12));
    capture.frame(3, 1, &book(a, 11));
    capture.frame(3, 2, &book(b, 12));
    capture.note(4, 3, 0, Note::Opened, r#","from":1,"a":["11"]"#);
    capture.frame(5, 3, &book(a, 11));
    capture.frame(6, 1, &change(a, 11, 5, 1_001));
    capture.frame(7, 1, &change(a, 11, 6, 1_001));
    // What the shards say comes into the file in chunks: the other one is far ahead here.
    capture.note(60_000, 0, 1, Note::Matched, "");
    capture.note(8, 3, 0, Note::Switch, "");
    capture.note(8, 3, 0, Note::Progress, r#","owing":0,"newest":0"#);
    capture.note(8, 0, 0, Note::Matched, "");
    capture.frame(9, 3, &change(a, 11, 5, 1_001));
    capture.note(60_050, 0, 1, Note::Matched, "");
    capture.frame(10, 3, &change(a, 11, 6, 1_001));
    capture.note(50, 3, 0, Note::Progress, r#","owing":0,"first":1001,"newest":1001"#);
    capture.note(50, 0, 0, Note::Matched, "");
    capture.note(50, 3, 0, Note::TakenOver, "");
    capture.note(51, 1, 0, Note::Closed, r#","a":["11"]"#);
    let expected = [("11", "live [6]"), ("12", "live [1]")];
    let expected = expected.map(|(token, text)| (token.to_owned(), text.to_owned()));
    for shards in 1..=3 {
        assert_eq!(capture.replay(shards), BTreeMap::from(expected.clone()), "{shards} shards");
    }
}
