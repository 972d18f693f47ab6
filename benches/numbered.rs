//! A million small books of a venue that numbers its messages: bytes a book, and an update among a thousand books.
//!
//! By direct load, without network: snapshots of four levels a side, then relative changes to books in no order. CPU
//! time of this thread; five rounds, the middle one and the range.
#![allow(clippy::unwrap_used)] // a benchmark

use ringbook::base::id::{MarketId, ShardId, TokenId};
use ringbook::base::price::{Price, Quantity};
use ringbook::base::random::Random;
use ringbook::base::time::Now;
use ringbook::io::clock::thread_cpu_ns;
use ringbook::market::book::{BookOpening, Level, Side};
use ringbook::market::event::{Delta, Event, Snapshot};
use ringbook::shard::books::{Admission, Books, ConnectionSlot};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const UPDATES: usize = 2_000_000;
const ROUNDS: usize = 5;

fn ticker(number: usize) -> String {
    format!("KXSIM-26NOV27E{}-T{number}", number / 5)
}

fn levels(cents: [u32; 4]) -> Vec<Level> {
    let one = |cent: u32| Level { price: Price(cent * 10_000), quantity: Quantity(500_000_000) };
    cents.map(one).to_vec()
}

fn load(count: usize) -> Books<()> {
    let mut books =
        Books::new(ShardId(0), ringbook::venue::kalshi::feed(false), Admission::Listed, ());
    let (bids, asks) = (levels([10, 20, 30, 40]), levels([90, 80, 70, 60]));
    for number in 0..count {
        let name = ticker(number);
        let opening = BookOpening {
            market: MarketId::new(&name).unwrap(),
            token: TokenId::new(&name).unwrap(),
            tick_size: None,
            min_order_size: None,
            neg_risk: false,
        };
        books.open(&opening, ConnectionSlot(0)).unwrap();
        let snapshot = Event::Snapshot(Snapshot {
            market: &name,
            token: &name,
            timestamp_ms: 0,
            hash: None,
            bids: &bids,
            asks: &asks,
            tick_size: None,
            last_trade: None,
            min_order_size: None,
            neg_risk: None,
        });
        books.on_event(&snapshot, ConnectionSlot(0), Now::default());
    }
    books
}

/// Nanoseconds of CPU an update.
fn update(books: &mut Books<()>, names: &[String], random: &mut Random) -> f64 {
    let order: Vec<u32> = (0..UPDATES).map(|_| random.below(names.len() as u64) as u32).collect();
    let begin_ns = thread_cpu_ns();
    for (number, place) in order.iter().enumerate() {
        let name = &names[*place as usize];
        let event = Event::Delta(Delta {
            market: name,
            token: name,
            timestamp_ms: 1 + number as u64,
            side: if number % 2 == 0 { Side::Bid } else { Side::Ask },
            price: Price(if number % 2 == 0 { 400_000 } else { 600_000 }),
            units: 10_000,
        });
        books.on_event(&event, ConnectionSlot(0), Now::default());
    }
    (thread_cpu_ns() - begin_ns) as f64 / UPDATES as f64
}

fn main() {
    let mut random = Random::new(1);
    for count in [1_000, 100_000, 1_000_000] {
        let names: Vec<String> = (0..count).map(ticker).collect();
        let mut books = load(count);
        let bytes = books.memory_usage(usize::MAX);
        let mut rounds: Vec<f64> =
            (0..ROUNDS).map(|_| update(&mut books, &names, &mut random)).collect();
        rounds.sort_by(f64::total_cmp);
        assert_eq!(books.counts().live, count as u64);
        println!(
            "{count:>9} books: {:>5} bytes a book, {:.0} ns an update ({:.0} to {:.0})",
            bytes / count as u64,
            rounds[ROUNDS / 2],
            rounds[0],
            rounds[ROUNDS - 1]
        );
    }
}
