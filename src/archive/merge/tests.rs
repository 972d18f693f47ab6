//! Machines with gaps at different times, merged: the books are those of the exchange, which this file keeps itself.
use super::*;
use crate::base::random::Random;
use crate::io::file::{self, Source as File};
use crate::market::book::{Level, image::BookImage};
use crate::replay::{Recorded, books_at};
use std::collections::BTreeMap;
use std::path::Path;

const BASE_MS: u64 = 1_786_000_000_000;
const STEP_MS: u64 = 20;
const MESSAGES: u64 = 1_500;
const MARKETS: u64 = 3;

/// Quantity by price of each side of a token.
type Levels = BTreeMap<(u64, bool), BTreeMap<u64, u64>>;

/// What a venue sends.
#[derive(Clone, Copy)]
enum Message {
    /// Of a token: side, price in cents, quantity before and now.
    Change(u64, bool, u64, [u64; 2]),
    Trade(u64),
}

struct Exchange {
    /// The place in the list of venues: the second one numbers its messages.
    feed: usize,
    messages: Vec<Message>,
    /// Levels before each message.
    levels: Vec<Levels>,
}

impl Exchange {
    fn new(feed: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut levels = Levels::new();
        for token in 0..MARKETS * 2 {
            levels.insert((token, true), [(20, 5)].into());
            levels.insert((token, false), [(70, 5)].into());
        }
        let (mut messages, mut history) = (Vec::new(), vec![levels.clone()]);
        for _ in 0..MESSAGES {
            let token = random.below(if feed == 0 { MARKETS * 2 } else { MARKETS });
            if random.chance(1, 8) {
                messages.push(Message::Trade(token));
            } else {
                let is_bid = random.chance(1, 2);
                let price = if is_bid { 1 + random.below(30) } else { 60 + random.below(30) };
                let quantity = random.below(4) * 10;
                let side = levels.get_mut(&(token, is_bid)).unwrap();
                let before = side.remove(&price).unwrap_or(0);
                if quantity > 0 {
                    side.insert(price, quantity);
                }
                messages.push(Message::Change(token, is_bid, price, [before, quantity]));
            }
            history.push(levels.clone());
        }
        Self { feed, messages, levels: history }
    }

    fn market(&self, token: u64) -> String {
        match self.feed {
            0 => format!("0x{:064x}", token / 2 + 1),
            _ => format!("KX-{token}"),
        }
    }

    fn message(&self, at: u64, seqs: &mut [u64; 2]) -> String {
        let (ms, market) = (BASE_MS + at * STEP_MS, |token| self.market(token));
        let message = self.messages[at as usize];
        seqs[usize::from(matches!(message, Message::Trade(_)))] += 1;
        let [seq, trade_seq] = *seqs;
        match (message, self.feed) {
            (Message::Change(token, is_bid, price, [_, quantity]), 0) => {
                let side = if is_bid { "BUY" } else { "SELL" };
                format!(
                    r#"{{"market":"{}","price_changes":[{{"asset_id":"7{token}","price":"0.{price:02}","size":"{quantity}","side":"{side}","hash":"{at:040x}"}}],"timestamp":"{ms}","event_type":"price_change"}}"#,
                    market(token)
                )
            }
            (Message::Trade(token), 0) => format!(
                r#"{{"market":"{}","asset_id":"7{token}","price":"0.5","size":"2","side":"BUY","timestamp":"{ms}","transaction_hash":"0xt{at}","event_type":"last_trade_price"}}"#,
                market(token)
            ),
            (Message::Change(token, is_bid, price, [before, quantity]), _) => {
                let (side, price) = if is_bid { ("yes", price) } else { ("no", 100 - price) };
                let delta = quantity as i64 - before as i64;
                format!(
                    r#"{{"type":"orderbook_delta","sid":1,"seq":{seq},"msg":{{"market_ticker":"{}","price_dollars":"0.{price:02}","delta_fp":"{delta}.00","side":"{side}","ts_ms":{ms}}}}}"#,
                    market(token)
                )
            }
            (Message::Trade(token), _) => format!(
                r#"{{"type":"trade","sid":2,"seq":{trade_seq},"msg":{{"trade_id":"0xt{at}","market_ticker":"{}","yes_price_dollars":"0.5000","no_price_dollars":"0.5000","count_fp":"2.00","taker_side":"yes","ts_ms":{ms}}}}}"#,
                market(token)
            ),
        }
    }

    /// Frames of all books behind the message before `at`.
    fn snapshots(&self, at: u64, seqs: &mut [u64; 2]) -> Vec<String> {
        let levels = &self.levels[at as usize];
        let ms = BASE_MS + at.saturating_sub(1) * STEP_MS;
        let side = |token: u64, is_bid: bool, row: &dyn Fn(u64, u64) -> String| {
            let rows = levels[&(token, is_bid)].iter().map(|(price, size)| row(*price, *size));
            rows.collect::<Vec<_>>().join(",")
        };
        if self.feed == 0 {
            let row =
                |price: u64, size: u64| format!(r#"{{"price":"0.{price:02}","size":"{size}"}}"#);
            let book = |token: u64| {
                let (bids, asks) = (side(token, true, &row), side(token, false, &row));
                let market = self.market(token);
                format!(
                    r#"{{"market":"{market}","asset_id":"7{token}","timestamp":"{ms}","hash":"{ms:040x}","bids":[{bids}],"asks":[{asks}],"event_type":"book"}}"#
                )
            };
            let books: Vec<String> = (0..MARKETS * 2).map(book).collect();
            return vec![format!("[{}]", books.join(","))];
        }
        let book = |token: u64| {
            seqs[0] += 1;
            let yes = side(token, true, &|price, size| format!(r#"["0.{price:02}","{size}.00"]"#));
            let no = |price, size| format!(r#"["0.{:02}","{size}.00"]"#, 100 - price);
            let (seq, no) = (seqs[0], side(token, false, &no));
            format!(
                r#"{{"type":"orderbook_snapshot","sid":1,"seq":{seq},"msg":{{"market_ticker":"KX-{token}","yes_dollars_fp":[{yes}],"no_dollars_fp":[{no}]}}}}"#
            )
        };
        (0..MARKETS).map(book).collect()
    }
}

/// Messages that a machine does not have, from one to before another.
#[derive(Clone, Copy)]
struct Break {
    from: u64,
    to: u64,
    /// The connection died in silence; else frames were lost.
    is_cut: bool,
}

struct Machine {
    delay_ms: u64,
    breaks: Vec<Break>,
}

impl Machine {
    /// When it has message `at`, nanoseconds.
    fn receive_ns(&self, at: u64) -> u64 {
        (BASE_MS + at * STEP_MS + self.delay_ms + at * 7 % (self.delay_ms + 1)) * 1_000_000
    }

    /// The message before which snapshots come.
    fn resumes(gap: &Break) -> u64 {
        if gap.is_cut { gap.to } else { gap.to + 10 }
    }

    /// Whether it has the book at a time: not behind the last message before a break.
    fn is_whole(&self, exchange: &Exchange, at_ns: u64) -> bool {
        let is_last = |at: &u64| {
            exchange.feed == 0 || matches!(exchange.messages[*at as usize], Message::Change(..))
        };
        let within = |gap: &Break| {
            let last = (0..gap.from).rev().find(is_last).unwrap_or(0);
            (self.receive_ns(last)..self.receive_ns(Self::resumes(gap))).contains(&at_ns)
        };
        !self.breaks.iter().any(within)
    }

    /// The last message that it would have at a time.
    fn last(&self, at_ns: u64) -> u64 {
        (0..MESSAGES).rev().find(|at| self.receive_ns(*at) <= at_ns).unwrap_or(0)
    }

    fn record(&self, exchange: &Exchange, path: &Path) {
        let mut text = String::new();
        let mut add = |at_ns: u64, rest: &str| {
            let _ = writeln!(text, r#"{{"t":{at_ns},"c":1,"s":0,{rest}}}"#);
        };
        let frame = |frame: &str| format!(r#""k":"t","f":{frame}"#);
        let mut seqs = [0; 2];
        let connect = |seqs: &mut [u64; 2]| {
            *seqs = [0; 2];
            r#""k":"o""#
        };
        for at in 0..MESSAGES {
            let at_ns = self.receive_ns(at);
            if at == 0 {
                add(at_ns - 2, connect(&mut seqs));
            }
            for gap in &self.breaks {
                if gap.is_cut && at == gap.from + 3 {
                    add(at_ns, r#""k":"e""#);
                } else if gap.is_cut && at == gap.to {
                    add(at_ns - 2, connect(&mut seqs));
                } else if !gap.is_cut && at == gap.to {
                    add(at_ns - 2, r#""k":"l","n":7"#);
                }
            }
            if at == 0 || self.breaks.iter().any(|gap| Self::resumes(gap) == at) {
                let frames = exchange.snapshots(at, &mut seqs);
                frames.iter().for_each(|text| add(at_ns - 1, &frame(text)));
            }
            let message = exchange.message(at, &mut seqs);
            if !self.breaks.iter().any(|gap| (gap.from..gap.to).contains(&at)) {
                add(at_ns, &frame(&message));
            }
        }
        std::fs::write(path, text).unwrap();
    }
}

fn recording(feed: usize, path: &Path) -> Recording {
    let files = match path.is_dir() {
        true => file::segments(path).unwrap().into_iter().map(File::Path).collect(),
        false => vec![File::Path(path.to_owned())],
    };
    Recording { feed: crate::venue::ALL[feed], files }
}

/// A book: token, state, and the levels of both sides as cents and quantity, ascending.
type Shown = (String, String, [Vec<(u64, u64)>; 2]);

/// A market's books of a recording.
fn books(recorded: &Recorded, market: &str, at_ns: u64) -> Vec<Shown> {
    let found = books_at(std::slice::from_ref(recorded), market, at_ns, &Arc::default()).unwrap();
    assert!(found.failures.is_empty(), "{:?}", found.failures);
    let side = |levels: &[Level]| {
        let mut levels: Vec<_> = (levels.iter())
            .map(|level| (level.price.0.into(), level.quantity.0))
            .map(|(price, size): (u64, u64)| (price / 10_000, size / 1_000_000))
            .collect();
        levels.sort_unstable();
        levels
    };
    let shown = |book: &BookImage| {
        let token = book.token.as_ref().unwrap().as_str().to_owned();
        (token, book.state.name().to_owned(), [side(&book.bids), side(&book.asks)])
    };
    let mut shown: Vec<Shown> = found.books.iter().map(shown).collect();
    shown.sort();
    shown
}

impl Exchange {
    /// A market's books behind a message.
    fn books(&self, market: u64, behind: u64) -> Vec<Shown> {
        let levels = &self.levels[behind as usize + 1];
        let side = |token, is_bid| levels[&(token, is_bid)].clone().into_iter().collect();
        let tokens = if self.feed == 0 { market * 2..market * 2 + 2 } else { market..market + 1 };
        let name = |token| if self.feed == 0 { format!("7{token}") } else { self.market(token) };
        let book =
            |token| (name(token), "live".to_owned(), [side(token, true), side(token, false)]);
        tokens.map(book).collect()
    }
}

const fn cut(from: u64, to: u64) -> Break {
    Break { from, to, is_cut: true }
}

const fn lost(from: u64, to: u64) -> Break {
    Break { from, to, is_cut: false }
}

/// Two lack something at two times, and all three at one of them; at others all but one.
fn machines() -> Vec<Machine> {
    let breaks = [
        vec![cut(200, 330), cut(700, 800), cut(1_000, 1_150)],
        vec![lost(400, 450), lost(740, 760), lost(900, 903), lost(1_100, 1_180)],
        vec![lost(300, 320), cut(500, 600), cut(1_080, 1_170)],
    ];
    breaks
        .into_iter()
        .zip([9, 4, 13])
        .map(|(breaks, delay_ms)| Machine { delay_ms, breaks })
        .collect()
}

/// The merge of so many machines in a folder, and their files in it.
fn merge_of(exchange: &Exchange, machines: &[Machine], folder: &Path, out: &str) -> Merge {
    let numbered = (0..).zip(machines);
    let recordings = numbered.map(|(number, machine)| {
        let path = folder.join(format!("{number}.ndjson"));
        machine.record(exchange, &path);
        recording(exchange.feed, &path)
    });
    let recordings: Vec<_> = recordings.collect();
    let names = (0..recordings.len()).map(|number| format!("machine {number}")).collect();
    Merge { recordings, names, out: folder.join(out) }
}

/// Compares with the exchange at so many random times of random markets; how often each machine alone had the book.
fn compare(feed: usize, seed: u64, machines: &[Machine], times: u64) -> Vec<u64> {
    let exchange = Exchange::new(feed, seed);
    let folder = tempfile::tempdir().unwrap();
    let merge = merge_of(&exchange, machines, folder.path(), "merged");
    let merged = run(&merge, &Arc::default()).unwrap();
    // Only where all are broken something is missing, of each market.
    let gaps = if machines.len() == 2 { 2 } else { 1 };
    assert_eq!(merged.faults.len() as u64, gaps * MARKETS, "{merged:?}");
    assert!(merged.messages.iter().all(|count| *count > 100) && merged.changes > 6, "{merged:?}");
    let verified = crate::archive::verify::verify(&merge.out, &Arc::default()).unwrap();
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
    trades_are_there_once(&exchange, machines, &merge.out);
    let merged = Recorded::open(recording(feed, &merge.out)).unwrap().0;
    let start_ns = BASE_MS * 1_000_000;
    let mut random = Random::new(seed);
    let mut alone = vec![0; machines.len()];
    for _ in 0..times {
        let at_ns = start_ns
            + (40 * STEP_MS + random.below((MESSAGES - 50) * STEP_MS)) * 1_000_000
            + 500_000;
        let market = random.below(MARKETS);
        let name = exchange.market(market * if feed == 0 { 2 } else { 1 });
        let found = books(&merged, &name, at_ns);
        let whole = machines.iter().enumerate().filter(|(_, of)| of.is_whole(&exchange, at_ns));
        let whole: Vec<(usize, &Machine)> = whole.collect();
        if whole.is_empty() {
            assert!(found.iter().all(|(_, state, _)| state != "live"), "{at_ns}: {found:?}");
            continue;
        }
        let expected = whole.iter().map(|(_, of)| exchange.books(market, of.last(at_ns)));
        let expected: Vec<_> = expected.collect();
        let at = (at_ns - start_ns) as f64 / 1e6 / STEP_MS as f64;
        assert!(expected.contains(&found), "{feed} {name} at {at}: {found:#?} {expected:#?}");
        if let [(place, _)] = whole[..] {
            alone[place] += 1;
        }
    }
    alone
}

fn trades_are_there_once(exchange: &Exchange, machines: &[Machine], merged: &Path) {
    let has = |at: &u64| {
        let lacks =
            |machine: &Machine| machine.breaks.iter().any(|gap| (gap.from..gap.to).contains(at));
        let is_trade = matches!(exchange.messages[*at as usize], Message::Trade(_));
        is_trade && !machines.iter().all(lacks)
    };
    let mut expected: Vec<String> =
        (0..MESSAGES).filter(has).map(|at| format!("0xt{at}")).collect();
    expected.sort();
    let mut found = Vec::new();
    for path in file::segments(merged).unwrap() {
        let text = zstd::decode_all(&std::fs::read(path).unwrap()[..]).unwrap();
        let text = String::from_utf8(text).unwrap();
        let ids = text.split("0xt").skip(1).map(|rest| rest.split('"').next().unwrap());
        found.extend(ids.map(|id| format!("0xt{id}")));
    }
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn merged_books_of_two_and_of_three_machines_are_those_of_the_exchange() {
    for (feed, count) in [(0, 2), (1, 2), (0, 3), (1, 3)] {
        let alone = compare(feed, 11, &machines()[..count], 25);
        assert!(alone.iter().sum::<u64>() > 0, "{alone:?}");
    }
}

#[test]
#[ignore = "1,000 times of each venue, of two and of three machines: a minute"]
fn merged_books_are_those_of_the_exchange_at_1000_times() {
    for (feed, count) in [(0, 2), (1, 2), (0, 3), (1, 3)] {
        let alone = compare(feed, 12, &machines()[..count], 1_000);
        assert!(alone.iter().all(|times| *times > 0), "{alone:?}");
        eprintln!("venue {feed}: one machine alone had the book: {alone:?} of 1000");
    }
}

#[test]
fn the_exit_code_says_whether_all_machines_lack_something() {
    let exchange = Exchange::new(0, 5);
    let folder = tempfile::tempdir().unwrap();
    let [mut broken, mut whole] = [machines(), machines()];
    whole[1].breaks.truncate(1);
    for (name, machines, code) in [("whole", &mut whole, 0), ("broken", &mut broken, 1)] {
        machines.truncate(2);
        let merge = merge_of(&exchange, machines, folder.path(), name);
        assert_eq!(execute(&merge, &Arc::default()), code, "{name}");
        let text = std::fs::read_to_string(merge.out.join("manifest.ndjson")).unwrap();
        let gaps = text.lines().filter(|line| line.contains(CAUSE)).count() as u64;
        assert_eq!(gaps, u64::from(code) * 2 * MARKETS, "{text}");
    }
}

#[test]
fn what_cannot_be_merged_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ndjson");
    std::fs::write(&path, "").unwrap();
    let names = vec![String::new(); 2];
    let refused = |feeds: [usize; 2], out: &Path| {
        let recordings = feeds.map(|feed| recording(feed, &path)).to_vec();
        let merge = Merge { recordings, names: names.clone(), out: out.to_owned() };
        run(&merge, &Arc::default()).unwrap_err()
    };
    assert!(refused([0, 0], folder.path()).contains("is not empty"));
    let out = folder.path().join("out");
    assert!(refused([0, 1], &out).contains("different venues"));
    assert!(refused([0, 0], &out).contains("have no record"));
    std::fs::write(&path, r#"{"event_type":"book","market":"0x1","asset_id":"1"}"#).unwrap();
    assert!(refused([0, 0], &out).contains("no receive times"));
    assert!(!out.exists());
}
