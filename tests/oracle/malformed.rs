//! Broken messages between good ones: counted, never half applied, without effect on other books.

use crate::binary;
use crate::compare::{self, Tolerance};
use crate::generate::{self, Form, Frame, Names};
use crate::reference::Reference;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::ops::Range;

/// A broken line, as bytes: not all of them are texts.
struct Broken {
    name: String,
    bytes: Vec<u8>,
}

struct Context<'a> {
    market: &'a Names,
    time: u64,
}

impl Context<'_> {
    /// A good message with two changes for each token, none of them a no-op; `{n}` marks entries.
    fn changes(&self) -> [String; 4] {
        let [a, b] = &self.market.tokens;
        let entry = |token: &str, price: &str, size: &str, side: &str| {
            format!(
                r#"{{"asset_id":"{token}","price":"{price}","size":"{size}","side":"{side}","hash":"{:040x}","best_bid":"0.1","best_ask":"0.9"}}"#,
                7
            )
        };
        [
            entry(a, "0.1", "777.77", "BUY"),
            entry(b, "0.9", "777.77", "SELL"),
            entry(a, "0.9", "888.88", "SELL"),
            entry(b, "0.1", "888.88", "BUY"),
        ]
    }

    fn envelope(&self, entries: &[String]) -> String {
        format!(
            r#"{{"market":"{}","price_changes":[{}],"timestamp":"{}","event_type":"price_change"}}"#,
            self.market.id,
            entries.join(","),
            self.time
        )
    }

    fn book(&self) -> String {
        format!(
            r#"{{"market":"{}","asset_id":"{}","timestamp":"{}","hash":"{:040x}","bids":[{{"price":"0.1","size":"5"}},{{"price":"0.2","size":"6"}}],"asks":[{{"price":"0.9","size":"7"}},{{"price":"0.8","size":"8"}}],"tick_size":"0.1","event_type":"book","last_trade_price":"0.500"}}"#,
            self.market.id, self.market.tokens[0], self.time, 9
        )
    }
}

/// What may be wrong with one change: `(name, from, to)` on its text.
const ENTRY_FAULTS: &[(&str, &str, &str)] = &[
    ("price of a wrong type", r#""price":"0."#, r#""price":{"a":1},"_":"0."#),
    ("size null", r#""size":"#, r#""size":null,"_":"#),
    ("size true", r#""size":"#, r#""size":true,"_":"#),
    ("side of a wrong type", r#""side":"#, r#""side":["BUY"],"_":"#),
    ("token of a wrong type", r#""asset_id":"#, r#""asset_id":{},"_":"#),
    ("no price", r#""price":"#, r#""_":"#),
    ("no size", r#""size":"#, r#""_":"#),
    ("no side", r#""side":"#, r#""_":"#),
    ("no token", r#""asset_id":"#, r#""_":"#),
    ("unknown side", r#""side":""#, r#""side":"HOLD","_":""#),
    ("price with too many decimals", r#""price":"0."#, r#""price":"0.1234567","_":"0."#),
    ("size with too many decimals", r#""size":""#, r#""size":"1.23456789","_":""#),
    ("price above one", r#""price":"0."#, r#""price":"1.5","_":"0."#),
    ("negative price", r#""price":"0."#, r#""price":"-0.1","_":"0."#),
    ("negative size", r#""size":""#, r#""size":"-"#),
    ("size NaN as text", r#""size":""#, r#""size":"NaN","_":""#),
    ("size NaN as number", r#""size":"#, r#""size":NaN,"_":"#),
    ("size Infinity", r#""size":"#, r#""size":Infinity,"_":"#),
    ("huge size", r#""size":""#, r#""size":"99999999999999999999999999999999999999999"#),
    ("huge price", r#""price":"0."#, r#""price":"1e400","_":"0."#),
    ("price of two points", r#""price":"0."#, r#""price":"0.1."#),
    ("empty size", r#""size":""#, r#""size":"","_":""#),
    ("blank in a size", r#""size":""#, r#""size":" "#),
    ("duplicate price", r#""price":"#, r#""price":"0.3","price":"#),
    ("duplicate size", r#""size":"#, r#""size":"1","size":"#),
    ("token that is no number", r#""asset_id":""#, r#""asset_id":"0xzz"#),
    ("missing comma", r#","size""#, r#" "size""#),
    ("control character", r#""hash":""#, "\"hash\":\"\u{1}"),
    ("bad escape", r#""hash":""#, r#""hash":"\q"#),
    ("single quotes", r#""side":"#, r#"'side':"#),
];

/// What may be wrong with a book.
const BOOK_FAULTS: &[(&str, &str, &str)] = &[
    ("bids an object", r#""bids":["#, r#""bids":{},"_":["#),
    ("asks null", r#""asks":["#, r#""asks":null,"_":["#),
    ("no bids", r#""bids":"#, r#""_":"#),
    ("no asks", r#""asks":"#, r#""_":"#),
    ("no token", r#""asset_id":"#, r#""_":"#),
    ("no timestamp", r#""timestamp":"#, r#""_":"#),
    ("a level without size", r#","size":"6""#, ""),
    ("a level's price above one", r#""price":"0.2""#, r#""price":"2.0""#),
    ("a level's size negative", r#""size":"8""#, r#""size":"-8""#),
    ("a level's size with too many decimals", r#""size":"8""#, r#""size":"8.00000001""#),
    ("a level that is a text", r#"{"price":"0.8","size":"8"}"#, r#""0.8""#),
    ("trailing comma", r#"{"price":"0.8","size":"8"}"#, r#"{"price":"0.8","size":"8"},"#),
    ("duplicate bids", r#""asks":"#, r#""bids":[],"asks":"#),
    ("timestamp of letters", r#""timestamp":""#, r#""timestamp":"x"#),
    ("huge timestamp", r#""timestamp":""#, r#""timestamp":"99999999999999999999999"#),
    ("negative timestamp", r#""timestamp":""#, r#""timestamp":"-"#),
];

const ENVELOPE_FAULTS: &[(&str, &str, &str)] = &[
    ("price_changes a text", r#""price_changes":["#, r#""price_changes":"x","_":["#),
    ("price_changes missing", r#""price_changes":"#, r#""_":"#),
    ("no timestamp", r#""timestamp":"#, r#""_":"#),
    ("timestamp an object", r#""timestamp":"#, r#""timestamp":{},"_":"#),
    ("an entry that is a number", r#""price_changes":["#, r#""price_changes":[17,"#),
    ("trailing garbage", r#""event_type":"price_change"}"#, r#""event_type":"price_change"}}"#),
];

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in {text}");
    text.replacen(from, to, 1)
}

fn cut(text: &str, range: Range<usize>) -> Vec<u8> {
    text.as_bytes()[range].to_vec()
}

fn faults(context: &Context) -> Vec<Broken> {
    let mut all = Vec::new();
    let mut add = |name: String, bytes: Vec<u8>| all.push(Broken { name, bytes });
    let entries = context.changes();
    for (name, from, to) in ENTRY_FAULTS {
        for at in [0, 3] {
            let mut entries = entries.clone();
            entries[at] = replaced(&entries[at], from, to);
            add(format!("{name}, change {at}"), context.envelope(&entries).into_bytes());
        }
    }
    let good = context.envelope(&entries);
    for (name, from, to) in ENVELOPE_FAULTS {
        add((*name).into(), replaced(&good, from, to).into_bytes());
    }
    let book = context.book();
    for (name, from, to) in BOOK_FAULTS {
        add(format!("book, {name}"), replaced(&book, from, to).into_bytes());
    }
    for part in 1..8 {
        add(format!("changes cut {part}/8"), cut(&good, 0..good.len() * part / 8));
        add(format!("book cut {part}/8"), cut(&book, 0..book.len() * part / 8));
    }
    add("changes without their brace".into(), cut(&good, 0..good.len() - 1));
    add("two values".into(), format!("{good}{book}").into_bytes());
    for (name, key) in [("hash", r#""hash":""#), ("price", r#""price":""#)] {
        let at = good.rfind(key).unwrap() + key.len();
        let bytes = [&good.as_bytes()[..at], b"\xff\xc0", &good.as_bytes()[at..]].concat();
        add(format!("invalid UTF-8 in {name}"), bytes);
    }
    let unusual = [br#"{"note":"#.as_slice(), b"\"\xed\xa0\x80\",", &good.as_bytes()[1..]].concat();
    add("invalid UTF-8 in an unknown key".into(), unusual);
    add("a megabyte of nesting".into(), vec![b'['; 1 << 20]);
    let deep = format!(r#"{{"x":{}"#, r#"{"x":["#.repeat(100_000));
    add("nested objects without end".into(), deep.into_bytes());
    all
}

/// The seed's stream must have a market with both books; its position is in the middle or the end.
struct Case {
    frames: Vec<Frame>,
    market: Names,
    /// Ids of all markets and tokens of the stream.
    ids: BTreeSet<String>,
    position: usize,
    time: u64,
    /// Errors that the stream has without the broken line; normally none.
    errors: std::cell::OnceCell<u64>,
}

fn case(seed: u64, end: bool) -> Option<Case> {
    let stream = generate::stream(seed);
    let each_id = |m: &Names| [&m.id, &m.tokens[0], &m.tokens[1]].map(String::clone);
    let ids = stream.markets.iter().flat_map(each_id).collect();
    let market = stream.markets.into_iter().find(|m| m.covered)?;
    let frames = stream.frames;
    let position = if end { frames.len() } else { frames.len() / 2 };
    let before = Reference::of(frames[..position].iter().map(|f| &f.text));
    let tokens = market.tokens.iter().map(|t| before.books.get(t));
    let known: Option<Vec<_>> = tokens.collect();
    let time = known?.iter().map(|b| b.newest).max()?;
    Some(Case { frames, market, ids, position, time, errors: Default::default() })
}

/// The broken text holds a whole id of a market or token: an id that is cut is none.
fn names_an_id(case: &Case, broken: &[u8]) -> bool {
    let quoted = |id: &String| format!("\"{id}\"").into_bytes();
    let mut ids = case.ids.iter().map(quoted);
    ids.any(|id| broken.windows(id.len()).any(|w| w == id))
}

fn tolerance(case: &Case, end: bool, broken: &[u8]) -> Tolerance {
    // A book that is later sent in full must be live and equal again.
    let after = Reference::of(case.frames[case.position..].iter().map(|f| &f.text));
    let renewed = |t: &&String| after.books.get(*t).is_some_and(|b| b.snapshots > 0);
    let concerned = case.market.tokens.iter().filter(|t| !renewed(t)).cloned().collect();
    let mut tolerance = Tolerance { concerned, levels_when_stale: end, ..Default::default() };
    if !names_an_id(case, broken) {
        // Any book of the connection may miss a change now.
        let before = Reference::of(case.frames[..case.position].iter().map(|f| &f.text));
        let live = before.books.iter().filter(|(_, book)| book.snapshot.is_some());
        tolerance.lost = live.map(|(token, _)| token).filter(|t| !renewed(t)).cloned().collect();
    }
    tolerance
}

/// Replays the stream with one more line; what is wrong then.
fn replay(case: &Case, form: Form, broken: &[u8], tolerance: &Tolerance) -> (Vec<String>, u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut frames: Vec<(&[u8], bool)> = case.frames.iter().map(Frame::bytes).collect();
    let before = *case.errors.get_or_init(|| {
        let lines = generate::lines(form, frames.iter().copied());
        let file = generate::pack(folder.path(), "good", "", &lines);
        binary::replay(&[file], &[]).report.errors
    });
    frames.insert(case.position, (broken, true));
    let lines = generate::lines(form, frames);
    let file = generate::pack(folder.path(), "broken", "", &lines);
    let run = match binary::attempt(&[file], &["--shards", "2"]) {
        Ok(run) => run,
        Err(crash) => return (vec![crash], u64::MAX),
    };
    let reference = Reference::of(case.frames.iter().map(|f| &f.text));
    let errors = run.report.errors.saturating_sub(before);
    (compare::differences(&reference, &run.books, tolerance), errors)
}

fn shorten(failures: &mut [String]) -> String {
    failures.iter_mut().for_each(|f| f.truncate(f.floor_char_boundary(1200)));
    failures.join("\n")
}

fn broken_messages(end: bool, form: Form, seeds: Range<u64>) {
    let cases: Vec<(u64, Case)> = seeds.filter_map(|s| Some((s, case(s, end)?))).collect();
    assert!(!cases.is_empty());
    let mut failures = Vec::new();
    let mut count = 0;
    for i in 0.. {
        let (seed, case) = &cases[i % cases.len()];
        let context = Context { market: &case.market, time: case.time };
        let Some(broken) = faults(&context).into_iter().nth(i) else { break };
        let tolerance = tolerance(case, end, &broken.bytes);
        let (wrong, errors) = replay(case, form, &broken.bytes, &tolerance);
        let name = format!("{} (seed {seed}, {form:?})", broken.name);
        if errors == 0 {
            failures.push(format!("{name}: no error counted"));
        }
        failures.extend(wrong.iter().map(|w| format!("{name}: {w}")));
        count += 1;
    }
    println!("{count} broken messages, {form:?}, at the end: {end}");
    assert!(failures.is_empty(), "{}", shorten(&mut failures));
}

#[test]
fn a_broken_last_message_changes_no_level() {
    broken_messages(true, Form::Raw, 100..112);
}

#[test]
fn a_broken_message_between_good_ones_spoils_no_other_book() {
    broken_messages(false, Form::Raw, 112..124);
}

#[test]
fn a_broken_frame_in_a_capture_spoils_no_other_book() {
    broken_messages(false, Form::Capture, 124..130);
}

/// Of an array with a broken message, each other message counts whole or not at all.
#[test]
fn an_array_with_a_broken_message_is_never_half_applied() {
    let mut failures = Vec::new();
    for seed in 140..152 {
        let Some(case) = case(seed, true) else { continue };
        let context = Context { market: &case.market, time: case.time };
        let mut entries = context.changes();
        entries[3] = replaced(&entries[3], r#""size":"#, r#""_":"#);
        let (good, bad) = (context.book(), context.envelope(&entries));
        let arrays = [format!("[{good},{bad}]"), format!("[{bad},{good}]"), format!("[{good}")];
        for array in arrays {
            let mut otherwise = Reference::of(case.frames.iter().map(|f| &f.text));
            otherwise.frame(&good);
            let mut tolerance = tolerance(&case, true, array.as_bytes());
            tolerance.otherwise = Some(otherwise);
            let (wrong, errors) = replay(&case, Form::Raw, array.as_bytes(), &tolerance);
            if errors == 0 {
                failures.push(format!("seed {seed}: no error counted"));
            }
            failures.extend(wrong.iter().map(|w| format!("seed {seed}: {w}")));
        }
    }
    assert!(failures.is_empty(), "{}", shorten(&mut failures));
}

/// A message of no known kind holds what changes a book in those that are known.
fn may_change_a_book(message: &str) -> bool {
    let message: serde_json::Value = serde_json::from_str(message).unwrap();
    let has = |key| message.get(key).is_some();
    let book = has("bids") && has("asks");
    has("events") || book || has("price_changes") || has("changes") || has("new_tick_size")
}

#[test]
fn an_unknown_event_that_may_change_a_book_makes_it_stale_until_the_next_snapshot() {
    let market = |digit: &str| format!("0x{}", digit.repeat(64));
    let book = |digit: &str, token: &str, time: u32| {
        format!(
            r#"{{"market":"{}","asset_id":"{token}","timestamp":"{time}","hash":"","bids":[{{"price":"0.4","size":"{time}"}}],"asks":[],"event_type":"book"}}"#,
            market(digit)
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let mut failures = Vec::new();
    for unusual in [
        r#""price_changes":[{"asset_id":"71","price":"0.4","size":"2","side":"BUY"}]"#,
        r#""changes":[{"price":"0.4","size":"2","side":"BUY"}]"#,
        r#""asset_id":"71","bids":[],"asks":[]"#,
        r#""asset_id":"71","new_tick_size":"0.01""#,
        r#""bids":[]"#,
        r#""flow":[1]"#,
        r#""events":[{"asset_id":"71","bids":[],"asks":[],"event_type":"book"}]"#,
        r#""events":["{\"price_changes\":[{\"asset_id\":\"71\",\"price\":\"0.4\"}]}"]"#,
    ] {
        let counts = may_change_a_book(&format!("{{{unusual}}}"));
        let unusual =
            format!(r#"{{"event_type":"order_flow","market":"{}",{unusual}}}"#, market("a"));
        let frames =
            [book("a", "71", 100), book("b", "72", 100), unusual.clone(), book("a", "71", 101)];
        for renewed in [false, true] {
            let seen = &frames[..3 + usize::from(renewed)];
            let lines = generate::lines(Form::Raw, seen.iter().map(|t| (t.as_bytes(), true)));
            let run = binary::replay(&[generate::pack(folder.path(), "kind", "", &lines)], &[]);
            let mut tolerance = Tolerance::default();
            if counts && !renewed {
                tolerance.lost.insert("71".into());
            }
            let good = seen.iter().filter(|t| **t != unusual);
            let wrong = compare::differences(&Reference::of(good), &run.books, &tolerance);
            failures.extend(wrong.iter().map(|w| format!("{unusual}: {w}")));
            if run.report.errors != u64::from(counts) {
                failures.push(format!("{unusual}: {} errors", run.report.errors));
            }
        }
    }
    assert!(failures.is_empty(), "{}", shorten(&mut failures));
}

/// Known names with values of other types, in a message of another market or of no known kind.
#[test]
fn an_unusual_message_in_an_array_hides_no_loss_of_another_market() {
    let market = |digit: &str| format!("0x{}", digit.repeat(64));
    let book = format!(
        r#"{{"market":"{}","asset_id":"71","timestamp":"100","hash":"","bids":[],"asks":[],"event_type":"book"}}"#,
        market("a")
    );
    let good = format!(
        r#"{{"market":"{}","price_changes":[{{"asset_id":"71","price":"0.4","size":"2","side":"BUY"}}],"timestamp":"101","event_type":"price_change"}}"#,
        market("a")
    );
    let reference = Reference::of([&book, &good]);
    let folder = tempfile::tempdir().unwrap();
    let mut failures = Vec::new();
    for kind in ["order_flow", "price_change", "book"] {
        for unusual in [
            r#""bids":"none""#,
            r#""bids":{}"#,
            r#""bids":7"#,
            r#""bids":["x"]"#,
            r#""price_changes":"x""#,
            r#""changes":{}"#,
            r#""assets_ids":"x""#,
            r#""outcomes":{}"#,
            r#""price":{"low":1}"#,
            r#""price_changes":[]"#,
            r#""changes":[]"#,
            r#""bids":[],"asks":[]"#,
            r#""new_tick_size":"0.01""#,
        ] {
            let counts = may_change_a_book(&format!("{{{unusual}}}"));
            let unusual =
                format!(r#"{{"event_type":"{kind}","market":"{}",{unusual}}}"#, market("b"));
            let array = format!("[{unusual},{good}]");
            let lines = generate::lines(Form::Raw, [&book, &array].map(|t| (t.as_bytes(), true)));
            let run = binary::replay(&[generate::pack(folder.path(), "unusual", "", &lines)], &[]);
            let line = run.books.iter().find(|l| l.token == "71").unwrap();
            // A stale book reports that something is missing; a live one must not miss it.
            if !line.state.starts_with("stale:") {
                let wrong = compare::differences(&reference, &run.books, &Tolerance::default());
                failures.extend(wrong.iter().map(|w| format!("{unusual}: {w}")));
            }
            if kind == "order_flow" && run.report.errors != u64::from(counts) {
                failures.push(format!("{unusual}: {} errors", run.report.errors));
            }
        }
    }
    assert!(failures.is_empty(), "{}", shorten(&mut failures));
}

/// Valid JSON of absurd depth under an unknown key: applied or refused, never a crash.
#[test]
fn absurd_depth_does_not_crash() {
    let case = (160..180).find_map(|seed| case(seed, true)).unwrap();
    let context = Context { market: &case.market, time: case.time };
    let book = context.book();
    for (open, close) in [("[", "]"), (r#"{"x":"#, "}")] {
        let mut deep = format!(r#"{{"x":{}"#, open.repeat(300_000));
        let inside = if open == "[" { "" } else { "1" };
        write!(deep, "{inside}{},{}", close.repeat(300_000), &book[1..]).unwrap();
        let mut otherwise = Reference::of(case.frames.iter().map(|f| &f.text));
        otherwise.frame(&book);
        let mut tolerance = tolerance(&case, true, deep.as_bytes());
        tolerance.otherwise = Some(otherwise);
        let (mut wrong, _) = replay(&case, Form::Raw, deep.as_bytes(), &tolerance);
        assert!(wrong.is_empty(), "{}", shorten(&mut wrong));
    }
}

/// The faults are faults: each is refused by a strict reading, and the untouched texts are not.
#[test]
fn the_broken_messages_are_distinct_and_the_good_ones_good() {
    let case = (0..20).find_map(|seed| case(seed, true)).unwrap();
    let context = Context { market: &case.market, time: case.time };
    let all = faults(&context);
    let distinct: BTreeSet<&[u8]> = all.iter().map(|b| b.bytes.as_slice()).collect();
    assert_eq!(distinct.len(), all.len());
    let mut reference = Reference::of(case.frames.iter().map(|f| &f.text));
    reference.frame(&context.envelope(&context.changes()));
    reference.frame(&context.book());
    assert_eq!(reference.books[&case.market.tokens[0]].bids.len(), 2);
    println!("{} broken messages", all.len());
}
