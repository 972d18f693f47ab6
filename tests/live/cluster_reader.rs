//! The reader of a cluster's bus, through planned moves and the death of a rack.
//!
//! Runs on:  test threads, and one thread for each reader.
use crate::cluster::{Fleet, TOKENS};
use crate::engine::{Engine, count};
use crate::program::{POLL_INTERVAL, TIMEOUT};
use crate::venue::Venue;
use ringbook::{BusBook, BusEvent, BusReader, BusState, Level, TokenId};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A book that was live and is not.
#[derive(Clone, Debug)]
struct Outage {
    token: TokenId,
    state: BusState,
    engine: String,
    begun: Instant,
    lasted: Duration,
}

impl Outage {
    /// Whether no machine's slowness explains it: a running engine may be behind for itself.
    fn is_of_move(&self, running: &[String]) -> bool {
        match &self.state {
            BusState::Stale(_) => !running.contains(&self.engine),
            _ => true,
        }
    }

    fn line(&self) -> String {
        let Self { token, state, engine, lasted, .. } = self;
        format!("{token}: {state:?} at {engine} for {lasted:?}")
    }
}

/// What a reader has seen.
#[derive(Debug, Default)]
struct Seen {
    ids: HashSet<String>,
    twice: u64,
    live: HashSet<TokenId>,
    away: HashMap<TokenId, Outage>,
    outages: Vec<Outage>,
    /// Engines whose books are followed.
    engines: BTreeSet<String>,
    /// Snapshots in place of what a busy machine has lost between a shard and the serve core.
    gaps: u64,
}

impl Seen {
    fn on_book(&mut self, token: TokenId, book: &BusBook) {
        if book.state == BusState::Live {
            self.live.insert(token);
            if let Some(outage) = self.away.remove(&token) {
                let lasted = outage.begun.elapsed();
                self.outages.push(Outage { lasted, ..outage });
            }
        } else if self.live.remove(&token) {
            let (state, engine) = (book.state.clone(), book.engine.to_string());
            let (begun, lasted) = (Instant::now(), Duration::ZERO);
            self.away.insert(token, Outage { token, state, engine, begun, lasted });
        }
    }
}

/// A thread that reads a bus all the time.
struct Reader {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<BusReader>,
}

impl Reader {
    fn start(url: &str) -> Self {
        let (seen, stop): (Arc<Mutex<Seen>>, Arc<AtomicBool>) = Default::default();
        let mut reader = BusReader::connect(url, true).unwrap();
        let (writes, stopped) = (Arc::clone(&seen), Arc::clone(&stop));
        let run = move || {
            let mut looked = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                let event = reader.poll(Duration::from_millis(10)).unwrap();
                let mut seen = writes.lock().unwrap();
                match event {
                    Some(BusEvent::Trade(trade)) => {
                        let is_new = seen.ids.insert(trade.id.unwrap().to_string());
                        seen.twice += u64::from(!is_new);
                    }
                    Some(BusEvent::Book(token)) => {
                        seen.on_book(token, reader.book(&token).unwrap());
                    }
                    _ => {}
                }
                if looked.elapsed() > Duration::from_millis(200) {
                    looked = Instant::now();
                    seen.gaps = reader.counts().gaps;
                    seen.engines = reader.books().map(|(_, b)| b.engine.to_string()).collect();
                }
            }
            reader
        };
        Self { seen, stop, thread: std::thread::spawn(run) }
    }

    fn wait(&self, what: &str, mut wanted: impl FnMut(&Seen) -> bool) {
        let begun = Instant::now();
        while !wanted(&self.seen.lock().unwrap()) {
            let seen = self.seen.lock().unwrap();
            let late = begun.elapsed() > TIMEOUT;
            let (trades, live) = (seen.ids.len(), seen.live.len());
            let line = format!("no {what}: {trades} trades, {live} live, {:?}", seen.away);
            drop(seen);
            assert!(!late, "{line}");
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Waits until so many trades more were read.
    fn wait_trades(&self, more: usize) {
        let before = self.seen.lock().unwrap().ids.len();
        self.wait("trades", |seen| seen.ids.len() >= before + more);
    }

    fn end(self) -> BusReader {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Whether a reader's book is the venue's.
pub(crate) fn is_equal(book: &BusBook, truth: &Value) -> bool {
    let text = |level: Level| (level.price.to_string(), level.quantity.to_string());
    let side = |list: &Value| -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let levels = list.as_array().unwrap().iter();
        levels.map(|level| (text(&level["price"]), text(&level["size"]))).collect()
    };
    let mine = [&book.book.bids, &book.book.asks]
        .map(|side| side.levels().map(text).collect::<BTreeMap<_, _>>());
    book.state == BusState::Live && mine == [side(&truth["bids"]), side(&truth["asks"])]
}

/// Whether a busy machine has lost something between a shard and the serve core.
fn is_lossy(engine: &mut Engine) -> bool {
    count(&engine.stats(), "/gateway/ring_losses") > 0
}

/// The venue is silent, and the reader has each of its trades since then once, and its books, which were live all the
/// time. `was_lossy`: as [`is_lossy`], of an engine that has ended.
fn check(mut fleet: Fleet, reader: Reader, sent_before: u64, was_lossy: bool) {
    let name = |engine: &mut Engine| engine.stats()["cluster"]["engine"].as_str().unwrap().into();
    let running: Vec<String> = fleet.engines.iter_mut().map(name).collect();
    fleet.venue.pause();
    let sent = (fleet.venue.stat("trades") - sent_before) as usize;
    let is_lossy = fleet.engines.iter_mut().fold(was_lossy, |any, engine| is_lossy(engine) || any);
    reader.wait("all trades", |seen| seen.ids.len() >= sent || is_lossy || seen.gaps > 0);
    reader.wait("live books", |seen| seen.live.len() as u64 == TOKENS);
    let seen = Arc::clone(&reader.seen);
    let mut reader = reader.end();
    wait_for_books(&mut reader, &mut fleet.venue);
    let (seen, counts) = (seen.lock().unwrap(), reader.counts());
    let total: Duration = seen.outages.iter().map(|outage| outage.lasted).sum();
    eprintln!(
        "{} of {sent} trades, {} twice; {} outages of {total:?}; {counts:?}",
        seen.ids.len(),
        seen.twice,
        seen.outages.len()
    );
    assert_eq!(seen.twice, 0);
    assert!(seen.ids.len() == sent || is_lossy || counts.gaps > 0, "{} of {sent}", seen.ids.len());
    let outages = seen.outages.iter().filter(|outage| outage.is_of_move(&running));
    let outages: Vec<String> = outages.map(Outage::line).collect();
    assert!(outages.is_empty(), "{outages:#?}");
}

/// Waits until a reader's books are the venue's, which is silent.
fn wait_for_books(reader: &mut BusReader, venue: &mut Venue) {
    let begun = Instant::now();
    let wrong = |reader: &BusReader, venue: &mut Venue| {
        let mut books = reader.books();
        let wrong = books.find(|(token, book)| {
            let truth = venue.truth(&token.to_string()).unwrap();
            !is_equal(book, &truth)
        });
        wrong.map(|(token, book)| format!("{token}: {book:?}"))
    };
    while let Some(wrong) = wrong(reader, venue) {
        assert!(begun.elapsed() < TIMEOUT, "{wrong}");
        while reader.poll(Duration::from_millis(100)).unwrap().is_some() {}
    }
}

const BUSY: [&str; 4] = ["--rate", "200", "--trades", "5000"];

/// A fleet of these engines with a reader that has all their books, and the trades that the venue had sent before.
fn begin(racks: u64, engines: &[(&str, &[&str])]) -> (Fleet, Reader, u64) {
    let mut fleet = Fleet::start(&BUSY).with_racks(racks);
    fleet.venue.pause();
    engines.iter().for_each(|(name, flags)| fleet.add(name, flags));
    fleet.settle("the first engines");
    let reader = Reader::start(&fleet.url);
    reader.wait("live books", |seen| seen.live.len() as u64 == TOKENS);
    let sent = fleet.venue.stat("trades");
    fleet.venue.control("resume");
    reader.wait_trades(50);
    (fleet, reader, sent)
}

#[test]
fn a_reader_misses_nothing_while_slices_move() {
    let (mut fleet, reader, sent) = begin(1, &[("east", &[])]);
    fleet.add("west", &[]);
    fleet.settle("one has joined");
    reader.wait("books of both", |seen| seen.engines.len() == 2);
    reader.wait_trades(50);
    // The first one is stopped: it hands over before it ends.
    let mut leaving = fleet.engines.remove(0);
    let was_lossy = is_lossy(&mut leaving);
    leaving.program.signal(Signal::TERM);
    let status = leaving.program.wait(TIMEOUT);
    assert!(status.success(), "{}", leaving.program);
    leaving.program.assert_clean();
    fleet.settle("one has left");
    reader.wait("books of the other one", |seen| seen.engines.len() == 1);
    reader.wait_trades(50);
    check(fleet, reader, sent, was_lossy);
}

/// Each market is followed in both racks; one of them dies.
#[test]
fn a_reader_goes_on_when_a_rack_dies() {
    let racks: [(&str, &[&str]); 3] =
        [("a1", &["--rack", "a"]), ("a2", &["--rack", "a"]), ("b1", &["--rack", "b"])];
    let (mut fleet, reader, sent) = begin(2, &racks);
    reader.wait_trades(50);
    let mut dead = fleet.engines.pop().unwrap();
    let was_lossy = is_lossy(&mut dead);
    dead.program.signal(Signal::KILL);
    reader.wait("books of rack a", |seen| {
        seen.engines == BTreeSet::from(["a1".to_owned(), "a2".to_owned()])
    });
    reader.wait_trades(50);
    check(fleet, reader, sent, was_lossy);
}
