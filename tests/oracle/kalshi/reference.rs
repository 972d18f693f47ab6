//! The naive reference: books as sorted maps, one record at a time.

use super::{Event, Record};
use crate::decimal;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Side = BTreeMap<i128, i128>;
/// `(connection, sid)`: a sid alone is no key.
pub(crate) type Stream = (u64, u64);

/// Why a book is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Doubt {
    FramesLost,
    Disproved,
    /// Something could not be read, or the connection went: the engine reports its own reason.
    Other,
}

/// Best prices and their sizes; an empty side reads as bid 0 or ask 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Top {
    pub(crate) bid: (i128, i128),
    pub(crate) ask: (i128, i128),
}

/// A market after its first snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    pub(crate) yes: Side,
    /// NO bids, at NO prices.
    pub(crate) no: Side,
    /// Where the last snapshot came from: only deltas of the same stream continue it.
    pub(crate) stream: Stream,
    pub(crate) doubts: BTreeSet<Doubt>,
    /// YES prices of levels that a disproving delta touched.
    pub(crate) disputed: BTreeSet<i128>,
}

impl Book {
    pub(crate) fn live(&self) -> bool {
        self.doubts.is_empty()
    }

    /// NO bids in YES terms.
    pub(crate) fn asks(&self) -> Side {
        self.no.iter().map(|(p, s)| (decimal::ONE - p, *s)).collect()
    }

    pub(crate) fn top(&self) -> Top {
        let best = |side: &Side| side.iter().next_back().map_or((0, 0), |(p, s)| (*p, *s));
        let (no, size) = best(&self.no);
        Top { bid: best(&self.yes), ask: (decimal::ONE - no, size) }
    }

    pub(crate) fn crossed(&self) -> bool {
        let Top { bid, ask } = self.top();
        !self.yes.is_empty() && !self.no.is_empty() && bid.0 >= ask.0
    }
}

/// How many of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) frames: u64,
    pub(crate) snapshots: u64,
    pub(crate) deltas: u64,
    pub(crate) tickers: u64,
    pub(crate) trades: u64,
    /// `ok` and `unsubscribed`.
    pub(crate) acks: u64,
    pub(crate) errors: u64,
    pub(crate) others: u64,
}

impl Counts {
    fn add(&mut self, kind: &str) {
        self.frames += 1;
        *match kind {
            "orderbook_snapshot" => &mut self.snapshots,
            "orderbook_delta" => &mut self.deltas,
            "ticker" => &mut self.tickers,
            "trade" => &mut self.trades,
            "ok" | "unsubscribed" => &mut self.acks,
            "error" => &mut self.errors,
            _ => &mut self.others,
        } += 1;
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Reference {
    pub(crate) books: BTreeMap<String, Book>,
    /// Tickers that some message named, with a book or without.
    pub(crate) named: BTreeSet<String>,
    /// The last sequence number.
    pub(crate) streams: BTreeMap<Stream, u64>,
    /// Every numbered message of a session.
    texts: BTreeMap<Stream, BTreeMap<u64, String>>,
    /// All messages, and those that were no duplicates.
    pub(crate) seen: Counts,
    pub(crate) fresh: Counts,
    pub(crate) broken: u64,
    pub(crate) sequenced: u64,
    pub(crate) holes: u64,
    pub(crate) duplicates: u64,
    /// Streams that were joined after their first number.
    pub(crate) joined_late: u64,
    pub(crate) losses: u64,
    pub(crate) applied: u64,
    /// Deltas of stale and of unknown books.
    pub(crate) unapplied: u64,
    /// Those of them that belong to a live book of another stream.
    pub(crate) other_stream: u64,
    pub(crate) disproved: u64,
    /// Levels that came to exactly nothing.
    pub(crate) zeros: u64,
    /// Deltas after which the best prices crossed.
    pub(crate) crossings: u64,
}

struct Delta {
    yes: bool,
    price: i128,
    change: i128,
}

fn price(value: &Value) -> Option<i128> {
    decimal::parse(value.as_str()?).filter(|p| (0..=decimal::ONE).contains(p))
}

pub(crate) fn quantity(value: &Value) -> Option<i128> {
    let text = value.as_str()?;
    match text.strip_prefix('-') {
        Some(text) => Some(-decimal::parse(text)?),
        None => decimal::parse(text),
    }
}

/// A missing side is an empty one.
fn ladder(value: &Value) -> Option<Side> {
    if value.is_null() {
        return Some(Side::new());
    }
    let level = |level: &Value| match level.as_array()?.as_slice() {
        [p, s] => Some((price(p)?, quantity(s).filter(|s| *s >= 0)?)),
        _ => None,
    };
    let levels: Option<Side> = value.as_array()?.iter().map(level).collect();
    levels.map(|side| side.into_iter().filter(|(_, size)| *size > 0).collect())
}

fn delta(body: &Value) -> Option<Delta> {
    let yes = match body["side"].as_str()? {
        "yes" => true,
        "no" => false,
        _ => return None,
    };
    Some(Delta { yes, price: price(&body["price_dollars"])?, change: quantity(&body["delta_fp"])? })
}

impl Reference {
    pub(crate) fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut reference = Self::default();
        let records: Vec<&Record> = records.into_iter().collect();
        for (at, record) in records.iter().enumerate() {
            reference.record_before(record, &records[at + 1..]);
        }
        reference
    }

    /// A record behind which nothing comes.
    pub(crate) fn record(&mut self, record: &Record) {
        self.record_before(record, &[]);
    }

    fn record_before(&mut self, record: &Record, rest: &[&Record]) {
        let connection = record.connection;
        match &record.event {
            Event::Frame(text) => self.frame_before(connection, text, rest),
            Event::Opened | Event::Ended => {
                self.doubt_all(connection);
                self.drop_connection(connection);
            }
            Event::Lost => {
                self.losses += 1;
                self.doubt_all(connection);
            }
        }
    }

    /// A frame behind which nothing comes.
    pub(crate) fn frame(&mut self, connection: u64, text: &str) {
        self.frame_before(connection, text, &[]);
    }

    fn frame_before(&mut self, connection: u64, text: &str, rest: &[&Record]) {
        match serde_json::from_str::<Value>(text) {
            Ok(message @ Value::Object(_)) => self.message(connection, &message, text, rest),
            _ => {
                self.broken += 1;
                self.doubt_all(connection);
            }
        }
    }

    fn doubt_all(&mut self, connection: u64) {
        for book in self.books.values_mut().filter(|b| b.stream.0 == connection) {
            book.doubts.insert(Doubt::Other);
        }
    }

    /// A message that names a book and cannot be read makes that book stale; without a name, all.
    fn unreadable(&mut self, connection: u64, ticker: &str) {
        self.broken += 1;
        match self.books.get_mut(ticker) {
            Some(book) => _ = book.doubts.insert(Doubt::Other),
            None if ticker.is_empty() => self.doubt_all(connection),
            None => {}
        }
    }

    fn drop_connection(&mut self, connection: u64) {
        self.streams.retain(|(c, _), _| *c != connection);
        self.texts.retain(|(c, _), _| *c != connection);
    }

    /// What message 1 is that comes again behind others: the first of another session (`true`), or late (`false`).
    /// The following messages decide; `None` if they do not.
    fn begins_again(&self, stream: Stream, rest: &[&Record]) -> Option<bool> {
        let (known, last) = (self.texts.get(&stream)?, *self.streams.get(&stream)?);
        let mut next = 2;
        for record in rest {
            let Event::Frame(text) = &record.event else { return None };
            if record.connection != stream.0 {
                continue;
            }
            let message @ Value::Object(_) = serde_json::from_str(text).unwrap_or_default() else {
                return None;
            };
            let number = message["seq"].as_u64().filter(|_| message["sid"] == stream.1);
            let Some(number) = number else { continue };
            let same = known.get(&number) == Some(text);
            match number == next {
                true if same => next += 1,
                true => return Some(true),
                false if number > last || !same => return Some(false),
                false => {}
            }
        }
        None
    }

    /// Whether the message counts; a hole makes every book of the stream stale. A number that repeats is a
    /// duplicate if its message is equal. Otherwise it is of another session, as may be the first number after
    /// others: then, or if it cannot be decided, every book of the connection is stale.
    fn follow(&mut self, stream: Stream, number: u64, text: &str, rest: &[&Record]) -> bool {
        self.sequenced += 1;
        match self.streams.get(&stream).copied() {
            None => self.joined_late += u64::from(number != 1),
            Some(last) if number <= last => {
                let before = self.texts.get(&stream).and_then(|texts| texts.get(&number));
                if before.is_some_and(|before| before == text) {
                    let is_first = number == 1 && last > 1;
                    let again =
                        if is_first { self.begins_again(stream, rest) } else { Some(false) };
                    if again.is_none() {
                        self.doubt_all(stream.0);
                    }
                    if again != Some(true) {
                        self.duplicates += 1;
                        return false;
                    }
                }
                self.doubt_all(stream.0);
                self.drop_connection(stream.0);
            }
            Some(last) if number > last + 1 => {
                self.holes += 1;
                for book in self.books.values_mut().filter(|b| b.stream == stream) {
                    book.doubts.insert(Doubt::FramesLost);
                }
            }
            Some(_) => {}
        }
        self.streams.insert(stream, number);
        self.texts.entry(stream).or_default().insert(number, text.to_owned());
        true
    }

    fn message(&mut self, connection: u64, message: &Value, text: &str, rest: &[&Record]) {
        let kind = message["type"].as_str().unwrap_or("");
        self.seen.add(kind);
        let stream = (connection, message["sid"].as_u64().unwrap_or(0));
        let number = message["seq"].as_u64();
        if number.is_some_and(|number| !self.follow(stream, number, text, rest)) {
            return;
        }
        self.fresh.add(kind);
        let body = &message["msg"];
        let ticker = body["market_ticker"].as_str().unwrap_or("");
        for list in [&body["market_tickers"], &message["market_tickers"]] {
            let names = list.as_array().into_iter().flatten();
            self.named.extend(names.filter_map(|t| t.as_str().map(str::to_owned)));
        }
        if !ticker.is_empty() {
            self.named.insert(ticker.to_owned());
        }
        match kind {
            "orderbook_snapshot" => self.snapshot(stream, ticker, body),
            "orderbook_delta" => self.delta(stream, ticker, body),
            // It does not say what it is, or it is of the channel of books in an unknown form.
            _ if (number.is_some() || !ticker.is_empty())
                && (!message["type"].is_string() || kind.starts_with("orderbook")) =>
            {
                self.unreadable(connection, ticker);
            }
            _ => {}
        }
    }

    fn snapshot(&mut self, stream: Stream, ticker: &str, body: &Value) {
        let sides = [&body["yes_dollars_fp"], &body["no_dollars_fp"]].map(ladder);
        let [Some(yes), Some(no)] = sides else { return self.unreadable(stream.0, ticker) };
        if ticker.is_empty() {
            return self.unreadable(stream.0, ticker);
        }
        let (doubts, disputed) = Default::default();
        self.books.insert(ticker.to_owned(), Book { yes, no, stream, doubts, disputed });
    }

    fn delta(&mut self, stream: Stream, ticker: &str, body: &Value) {
        let Some(Delta { yes, price, change }) = delta(body).filter(|_| !ticker.is_empty()) else {
            return self.unreadable(stream.0, ticker);
        };
        let book = self.books.get_mut(ticker).filter(|b| b.live());
        let book = match book {
            Some(book) if book.stream == stream => book,
            other => {
                self.other_stream += u64::from(other.is_some());
                return self.unapplied += 1;
            }
        };
        let side = if yes { &mut book.yes } else { &mut book.no };
        let size = side.get(&price).copied().unwrap_or(0) + change;
        if size < 0 {
            book.doubts.insert(Doubt::Disproved);
            book.disputed.insert(if yes { price } else { decimal::ONE - price });
            return self.disproved += 1;
        }
        match size {
            0 => side.remove(&price),
            _ => side.insert(price, size),
        };
        self.zeros += u64::from(size == 0);
        self.crossings += u64::from(book.crossed());
        self.applied += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn snapshot(stream: Stream, seq: u64, ticker: &str, yes: &str, no: &str) -> (u64, String) {
        let mut body = json!({"market_ticker": ticker, "market_id": "m"});
        for (key, size) in [("yes_dollars_fp", yes), ("no_dollars_fp", no)] {
            if !size.is_empty() {
                body[key] = json!([["0.4000", size]]);
            }
        }
        let frame = json!({"msg": body, "type": "orderbook_snapshot", "seq": seq, "sid": stream.1});
        (stream.0, frame.to_string())
    }

    fn change(stream: Stream, seq: u64, ticker: &str, side: &str, by: &str) -> (u64, String) {
        let body = json!({"market_ticker": ticker, "price_dollars": "0.40", "delta_fp": by,
            "side": side, "ts": "2026-08-07T06:46:28.97871Z"});
        let frame = json!({"type": "orderbook_delta", "sid": stream.1, "seq": seq, "msg": body});
        (stream.0, frame.to_string())
    }

    fn ack(stream: Stream, seq: u64, kind: &str) -> (u64, String) {
        (stream.0, json!({"id": 3, "sid": stream.1, "seq": seq, "type": kind}).to_string())
    }

    fn run(frames: &[(u64, String)]) -> Reference {
        let record = |(connection, text): &(u64, String)| Record {
            time: 0,
            connection: *connection,
            event: Event::Frame(text.clone()),
        };
        Reference::of(&frames.iter().map(record).collect::<Vec<_>>())
    }

    fn doubts(reference: &Reference, ticker: &str) -> Vec<Doubt> {
        reference.books[ticker].doubts.iter().copied().collect()
    }

    const S: Stream = (1, 1);
    const CENT: i128 = decimal::ONE / 100;

    #[test]
    fn a_book_is_in_yes_terms_and_deltas_are_relative() {
        let mut reference = run(&[
            snapshot(S, 1, "A", "10.50", "3.00"),
            change(S, 2, "A", "yes", "-0.50"),
            change(S, 3, "A", "no", "4"),
        ]);
        let book = &reference.books["A"];
        assert_eq!(book.yes, Side::from([(40 * CENT, 10 * decimal::ONE)]));
        assert_eq!(book.asks(), Side::from([(60 * CENT, 7 * decimal::ONE)]));
        assert!(!book.crossed());
        for frame in [change(S, 4, "A", "yes", "-10.00"), change(S, 5, "A", "no", "-7.00")] {
            reference.frame(frame.0, &frame.1);
        }
        let book = &reference.books["A"];
        assert!(book.yes.is_empty() && book.no.is_empty() && book.live());
        assert_eq!(book.top(), Top { bid: (0, 0), ask: (decimal::ONE, 0) });
        assert_eq!((reference.applied, reference.zeros, reference.holes), (4, 2, 0));
    }

    #[test]
    fn a_snapshot_replaces_and_a_missing_side_is_empty() {
        let reference = run(&[snapshot(S, 1, "A", "1", "2"), snapshot(S, 2, "A", "", "5.00")]);
        let book = &reference.books["A"];
        assert_eq!((book.yes.len(), book.no[&(40 * CENT)]), (0, 5 * decimal::ONE));
        let empty = run(&[snapshot(S, 1, "A", "1", "2"), snapshot(S, 2, "A", "", "")]);
        assert!(empty.books["A"].yes.is_empty() && empty.books["A"].no.is_empty());
    }

    #[test]
    fn a_negative_level_disproves_until_the_next_snapshot() {
        let frames = [
            snapshot(S, 1, "A", "1.00", ""),
            change(S, 2, "A", "yes", "-1.01"),
            change(S, 3, "A", "no", "1.00"),
        ];
        let mut reference = run(&frames);
        assert_eq!(doubts(&reference, "A"), [Doubt::Disproved]);
        assert_eq!((reference.disproved, reference.unapplied), (1, 1));
        assert_eq!(reference.books["A"].yes[&(40 * CENT)], decimal::ONE);
        let again = snapshot(S, 4, "A", "2", "");
        reference.frame(again.0, &again.1);
        assert!(reference.books["A"].live());
    }

    #[test]
    fn a_hole_spoils_its_stream_and_acks_are_no_hole() {
        let other = (2, 1); // the same sid elsewhere
        let mut frames = vec![
            snapshot(S, 1, "A", "1", ""),
            ack(S, 2, "ok"),
            snapshot(S, 3, "B", "1", ""),
            snapshot(other, 1, "C", "1", ""),
            ack(S, 4, "error"),
            ack(S, 5, "unsubscribed"),
            change(S, 6, "A", "yes", "1"),
            ack((1, 2), 77, "trade"),
            ack((1, 2), 79, "trade"),
        ];
        let whole = run(&frames);
        assert_eq!((whole.holes, whole.joined_late, whole.applied), (1, 1, 1));
        assert!(whole.books.values().all(Book::live));
        frames.push(change(S, 8, "A", "yes", "1"));
        frames.push(snapshot(S, 9, "B", "7", ""));
        frames.push(change(S, 10, "B", "yes", "1"));
        let holed = run(&frames);
        assert_eq!((holed.holes, holed.unapplied, holed.applied), (2, 1, 2));
        assert_eq!(doubts(&holed, "A"), [Doubt::FramesLost]);
        assert!(holed.books["B"].live() && holed.books["C"].live());
    }

    #[test]
    fn a_hole_before_a_snapshot_leaves_that_book_live() {
        let reference = run(&[
            snapshot(S, 1, "A", "1", ""),
            snapshot(S, 2, "B", "1", ""),
            snapshot(S, 5, "A", "2", ""),
        ]);
        assert!(reference.books["A"].live() && !reference.books["B"].live());
    }

    #[test]
    fn duplicates_are_dropped() {
        let reference = run(&[
            snapshot(S, 1, "A", "1", ""),
            snapshot(S, 1, "A", "1", ""),
            change(S, 2, "A", "yes", "1"),
            change(S, 2, "A", "yes", "1"),
            change(S, 3, "A", "yes", "1"),
        ]);
        assert_eq!((reference.duplicates, reference.holes), (2, 0));
        assert_eq!(reference.books["A"].yes[&(40 * CENT)], 3 * decimal::ONE);
        assert_eq!((reference.seen.deltas, reference.fresh.deltas), (3, 2));
    }

    #[test]
    fn a_number_with_another_message_begins_a_session() {
        let mut frames = vec![
            snapshot(S, 1, "A", "1", ""),
            snapshot(S, 2, "B", "1", ""),
            snapshot((1, 2), 1, "C", "1", ""),
            snapshot((2, 1), 1, "D", "1", ""),
            change(S, 2, "A", "yes", "1"),
        ];
        let live = |reference: &Reference| ["A", "B", "C", "D"].map(|t| reference.books[t].live());
        let reference = run(&frames);
        assert_eq!(live(&reference), [false, false, false, true]);
        assert_eq!((reference.duplicates, reference.holes), (0, 0));
        // The very first one again: the next message decides what it was.
        frames[4] = snapshot(S, 1, "A", "1", "");
        assert_eq!(live(&run(&frames)), [false, false, false, true]);
        frames.push(change(S, 2, "A", "yes", "1"));
        assert_eq!(live(&run(&frames)), [true, false, false, true]);
        frames[5] = change(S, 3, "A", "yes", "1");
        assert_eq!(live(&run(&frames)), [true; 4]);
    }

    #[test]
    fn what_cannot_be_read_is_not_trusted() {
        let good = [snapshot(S, 1, "A", "1", ""), snapshot(S, 2, "B", "1", "")];
        let elsewhere = snapshot((2, 1), 1, "C", "1", "");
        let broken = |text: &str| {
            let mut reference = run(&[good[0].clone(), good[1].clone(), elsewhere.clone()]);
            reference.frame(1, text);
            ["A", "B", "C"].map(|t| reference.books[t].live())
        };
        assert_eq!(broken("{\"type\":"), [false, false, true]);
        assert_eq!(broken(&change(S, 3, "A", "maybe", "1").1), [false, true, true]);
        assert_eq!(broken(&change(S, 3, "A", "yes", "NaN").1), [false, true, true]);
        assert_eq!(broken(&change(S, 3, "", "yes", "1").1), [false, false, true]);
        assert_eq!(broken(r#"{"type":"order_flow","sid":1,"seq":3}"#), [true; 3]);
        assert_eq!(broken(r#"{"id":1,"type":"subscribed"}"#), [true; 3]);
    }

    #[test]
    fn a_new_connection_counts_anew() {
        let mut reference = run(&[snapshot(S, 1, "A", "1", ""), snapshot(S, 2, "B", "1", "")]);
        for event in [Event::Ended, Event::Opened] {
            reference.record(&Record { time: 0, connection: 1, event });
        }
        let again = snapshot(S, 1, "A", "9", "");
        reference.frame(again.0, &again.1);
        assert!(reference.books["A"].live() && !reference.books["B"].live());
        assert_eq!((reference.holes, reference.duplicates), (0, 0));
    }
}
