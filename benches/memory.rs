//! An update among a thousand to a million books of both venues, from the bytes of a read on; bytes a book.
//!
//! Each message is about a market in no order. CPU time of this thread; rounds of all numbers of books in turn, the
//! middle one and the range, and the middle of the ratios within a round.
//!
//! `RINGBOOK_BENCH_BOOKS=1000,16000` selects numbers of books, `RINGBOOK_BENCH_PER_READ=1` the frames of a read.
#![allow(clippy::unwrap_used)] // a benchmark
mod frames;
mod wire;

use ringbook::base::id::{MarketId, ShardId, TokenId};
use ringbook::base::price::{Price, Quantity};
use ringbook::base::random::{Random, mix};
use ringbook::base::time::{MILLISECOND_NS, Now};
use ringbook::io::clock::{HostClock, thread_cpu_ns};
use ringbook::market::book::{BookOpening, Level};
use ringbook::market::event::{Event, Snapshot};
use ringbook::session::{Incoming, Receive, Session};
use ringbook::shard::books::{Admission, Books, ConnectionSlot};
use ringbook::shard::intake::{Findings, Intake};
use std::fmt::Write as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BOOKS: [usize; 4] = [1_000, 16_000, 200_000, 1_000_000];
const ROUNDS: usize = 5;
/// Frames of a round.
const FRAMES: usize = 400_000;
/// Frames between two readings of the clock: few enough to lie in the nearest caches, as after a read.
const BATCH: usize = 60;
const START_MS: u64 = 1_790_491_135_816;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Venue {
    /// Two changes a message, 20 levels a side.
    Polymarket,
    /// One relative change a message, four levels a side.
    Kalshi,
}

/// The texts of a book, from its number alone: a table of them would be read from memory, too.
#[derive(Default)]
struct Names {
    market: String,
    token: String,
}

impl Names {
    fn set(&mut self, venue: Venue, book: u64) {
        self.market.clear();
        self.token.clear();
        let _ = match venue {
            Venue::Polymarket => {
                let part = |place: u64| mix(book / 2 * 8 + place);
                let _ = write!(self.market, "0x{:016x}{:016x}", part(0), part(1));
                let _ = write!(self.market, "{:016x}{:016x}", part(2), part(3));
                let part = |place: u64| 10u64.pow(18) + mix(!(book * 8 + place)) % 10u64.pow(18);
                let (first, last) = (part(3) % 1_000, part(4) % 10u64.pow(17));
                write!(self.token, "1{}{}{}{first:03}{last:017}", part(0), part(1), part(2))
            }
            Venue::Kalshi => {
                let _ = write!(self.market, "KXSIM-26NOV27E{}-T{book}", book / 5);
                write!(self.token, "KXSIM-26NOV27E{}-T{book}", book / 5)
            }
        };
    }
}

/// Takes the messages of a read, as a shard does.
struct Messages<'a> {
    intake: &'a mut Intake<(), HostClock>,
    findings: &'a mut Findings,
    read: Now,
}

impl Receive for Messages<'_> {
    fn on_message(&mut self, message: Incoming<'_>) {
        let text = message.text().unwrap();
        self.intake.on_frame(text, ConnectionSlot(0), self.read, self.findings);
    }

    fn announce(&mut self, payload: &[u8]) {
        self.intake.announce(payload);
    }
}

struct Subject {
    venue: Venue,
    count: usize,
    intake: Intake<(), HostClock>,
    session: Session,
    findings: Findings,
    random: Random,
    /// Messages so far.
    sent: u64,
    bytes: Vec<u8>,
    /// Ends of reads in `bytes`.
    reads: Vec<usize>,
}

impl Subject {
    fn load(venue: Venue, count: usize) -> Self {
        let (feed, depth) = match venue {
            Venue::Polymarket => (ringbook::venue::polymarket::feed(true), 20),
            Venue::Kalshi => (ringbook::venue::kalshi::feed(false), 4),
        };
        let mut books = Books::new(ShardId(0), feed, Admission::Listed, ());
        let level = |cents: u32| Level {
            price: Price(cents * 10_000),
            quantity: Quantity(500_000_000_000),
        };
        let bids: Vec<Level> = (0..depth).map(|away| level(50 - depth + away)).collect();
        let asks: Vec<Level> = (0..depth).map(|away| level(50 + depth - away)).collect();
        let mut names = Names::default();
        let mut read = Now { wall_ns: START_MS * MILLISECOND_NS, mono_ns: 1 };
        for book in 0..count as u64 {
            names.set(venue, book);
            let opening = BookOpening {
                market: MarketId::new(&names.market).unwrap(),
                token: TokenId::new(&names.token).unwrap(),
                tick_size: None,
                min_order_size: None,
                neg_risk: false,
            };
            books.open(&opening, ConnectionSlot(0)).unwrap();
            let snapshot = Event::Snapshot(Snapshot {
                market: &names.market,
                token: &names.token,
                timestamp_ms: START_MS,
                hash: None,
                bids: &bids,
                asks: &asks,
                tick_size: None,
                last_trade: None,
                min_order_size: None,
                neg_risk: None,
            });
            books.on_event(&snapshot, ConnectionSlot(0), read);
            read.mono_ns += 1;
        }
        let intake = Intake::new(feed, books, HostClock::new());
        Self {
            venue,
            count,
            intake,
            session: Session::new(None, wire::socket(), "PING"),
            findings: Findings::default(),
            random: Random::new(1),
            sent: 0,
            bytes: Vec::new(),
            reads: Vec::new(),
        }
    }

    fn push_frame(&mut self, names: &mut Names, text: &mut String) {
        let book = self.random.below(self.count as u64);
        self.sent += 1;
        let ms = START_MS + self.sent;
        let size = 1 + self.random.below(900_000);
        let (whole, cents) = (size / 100, size % 100);
        names.set(self.venue, book);
        text.clear();
        if self.venue == Venue::Kalshi {
            let (side, ticker) =
                (if self.sent.is_multiple_of(2) { "yes" } else { "no" }, &names.token);
            let _ = write!(
                text,
                r#"{{"type":"orderbook_delta","sid":1,"seq":{},"msg":{{"market_ticker":"{ticker}","market_id":"9b0f6b43-5b68-4f9f-9f02-9a2d1b8ac1a1","price_dollars":"0.4600","delta_fp":"{whole}.{cents:02}","side":"{side}","ts":"2026-11-27T00:00:00.000Z","ts_ms":{ms}}}}}"#,
                self.sent
            );
        } else {
            let away = match self.random.below(10) {
                0..6 => self.random.below(8),
                6..8 => 8 + self.random.below(12),
                _ => self.random.below(20),
            };
            let (bid, price) = (self.random.chance(1, 2), 49 - away);
            let _ = write!(text, r#"{{"market":"{}", "price_changes":["#, names.market);
            for at in 0..2 {
                names.set(self.venue, book ^ at);
                let (side, price) =
                    if bid == (at == 0) { ("BUY", price) } else { ("SELL", 100 - price) };
                let _ = write!(
                    text,
                    r#"{}{{"asset_id":"{}", "price":"0.{price}", "size":"{whole}.{cents:02}", "side":"{side}", "hash":"{:016x}{:016x}{:08x}", "best_bid":"0.49", "best_ask":"0.51"}}"#,
                    if at == 0 { "" } else { ", " },
                    names.token,
                    mix(ms),
                    mix(!ms),
                    size
                );
            }
            let _ = write!(text, r#"], "timestamp":"{ms}", "event_type":"price_change"}}"#);
        }
        wire::put_frame(text, &mut self.bytes);
    }

    /// Nanoseconds of CPU a message, over a round.
    fn round(&mut self, per_read: usize) -> f64 {
        let (mut names, mut text) = (Names::default(), String::new());
        let mut total_ns = 0;
        for _ in 0..FRAMES / BATCH {
            self.bytes.clear();
            self.reads.clear();
            for frame in 1..=BATCH {
                self.push_frame(&mut names, &mut text);
                if frame % per_read == 0 || frame == BATCH {
                    self.reads.push(self.bytes.len());
                }
            }
            let Self { session, intake, findings, bytes, reads, sent, .. } = self;
            let read = Now { wall_ns: (START_MS + *sent) * MILLISECOND_NS, mono_ns: *sent };
            let start_ns = thread_cpu_ns();
            let mut from = 0;
            for end in &*reads {
                let mut messages = Messages { intake, findings, read };
                session.receive(&bytes[from..*end], read.mono_ns, &mut messages).unwrap();
                from = *end;
            }
            total_ns += thread_cpu_ns() - start_ns;
        }
        total_ns as f64 / (FRAMES / BATCH * BATCH) as f64
    }
}

fn middle(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

fn numbers(name: &str, default: &[usize]) -> Vec<usize> {
    let text = std::env::var(name).unwrap_or_default();
    let found: Vec<usize> = text.split(',').filter_map(|number| number.parse().ok()).collect();
    if found.is_empty() { default.to_vec() } else { found }
}

fn main() {
    eprintln!("host: {}", ringbook::io::host::summary());
    let counts = numbers("RINGBOOK_BENCH_BOOKS", &BOOKS);
    let per_reads = numbers("RINGBOOK_BENCH_PER_READ", &[20, 1]);
    for venue in [Venue::Polymarket, Venue::Kalshi] {
        let mut subjects: Vec<Subject> =
            counts.iter().map(|&count| Subject::load(venue, count)).collect();
        for &per_read in &per_reads {
            let mut rounds = vec![Vec::new(); subjects.len()];
            for _ in 0..ROUNDS {
                for (subject, times) in subjects.iter_mut().zip(&mut rounds) {
                    times.push(subject.round(per_read));
                }
            }
            println!("{venue:?}, {per_read} frames a read");
            for (place, subject) in subjects.iter_mut().enumerate() {
                let (ns, least, most) = middle(rounds[place].clone());
                let of_round = |(a, b): (&f64, &f64)| a / b;
                let ratios = rounds[place].iter().zip(&rounds[0]).map(of_round).collect();
                let bytes = subject.intake.books.memory_usage(usize::MAX) / subject.count as u64;
                assert_eq!(subject.intake.books.counts().live, subject.count as u64);
                assert_eq!(subject.intake.counts.decode_errors, 0);
                println!(
                    "{:>9} books: {bytes:>5} bytes a book, {ns:.0} ns a message ({least:.0} to {most:.0}), ratio {:.2}",
                    subject.count,
                    middle(ratios).0
                );
            }
        }
    }
}
