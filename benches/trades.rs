//! Rows a second into the databases of trades, through the code that the sink uses.
//!
//! Batches of 5,000, one transaction each, time-ordered; then the same rows again, which must add none.
//! `RINGBOOK_BENCH_TRADES` rows (default 200,000); `RINGBOOK_BENCH_POSTGRES` is the address of a server, else
//! only SQLite is measured. `RINGBOOK_BENCH_ROWS_OUT` is a file that gets the rows for other programs.
use ringbook::base::id::{ConnectionId, MarketId, TokenId, TradeId, Venue};
use ringbook::base::price::{Price, Quantity};
use ringbook::base::random::Random;
use ringbook::link::shard_trade::TradeRecord;
use ringbook::market::book::Side;
use ringbook::sink::store::{Batch, StoreAddress};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 5_000;
const TOKENS: u64 = 16_000;

fn trades(count: usize) -> Vec<TradeRecord> {
    let mut random = Random::new(7);
    let trade = |number: usize| {
        let token = random.below(TOKENS);
        TradeRecord {
            venue: Venue::named("polymarket"),
            market: MarketId::new(&format!("0x{:064x}", token / 2)).expect("an id"),
            token: TokenId::new(&format!("{:077}", token + 1)).expect("an id"),
            price: Price(1_000 * (1 + random.below(998) as u32)),
            quantity: Quantity(10_000 * (1 + random.below(100_000))),
            side: if random.chance(1, 2) { Side::Bid } else { Side::Ask },
            venue_ms: 1_790_000_000_000 + number as u64 / 2,
            receive_wall_ns: 1_790_000_000_030_000_000 + number as u64 * 500_000,
            id: TradeId::new(&format!("0x{:064x}", random.next_u64())),
            fee_rate_bps: Some(Quantity(0)),
            connection: ConnectionId(1),
        }
    };
    (0..count).map(trade).collect()
}

fn write_rows(path: &str, trades: &[TradeRecord]) -> std::io::Result<()> {
    let mut text = String::new();
    for trade in trades {
        let TradeRecord { market, token, price, quantity, venue_ms, receive_wall_ns, .. } = trade;
        let side = if trade.side == Side::Bid { "buy" } else { "sell" };
        let id = trade.id.map(|id| id.to_string()).unwrap_or_default();
        let (price, quantity) = (price.0, quantity.0);
        let _ = writeln!(
            text,
            "polymarket\t{market}\t{token}\t\t{price}\t{quantity}\t{side}\t{venue_ms}\t{receive_wall_ns}\t{id}\t0\t1"
        );
    }
    std::fs::write(path, text)
}

fn measure(name: &str, address: &StoreAddress, trades: &[TradeRecord]) {
    let mut store = address.open().unwrap_or_else(|error| panic!("{name}: {error}"));
    for round in ["new", "again"] {
        let mut times = Vec::new();
        let mut inserted = 0;
        for part in trades.chunks(BATCH) {
            let batch = Batch { trades: part.to_vec(), ..Batch::default() };
            let begun = Instant::now();
            inserted += store.insert(&batch).unwrap_or_else(|error| panic!("{name}: {error}"));
            times.push(begun.elapsed());
        }
        let whole: Duration = times.iter().sum();
        times.sort_unstable();
        let at =
            |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        println!(
            "{name:<10} {round:<6} {:>9.0} rows/s, {inserted} inserted, batch p50 {:.1} ms p99 {:.1} ms",
            trades.len() as f64 / whole.as_secs_f64(),
            at(0.5),
            at(0.99)
        );
    }
}

fn main() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let trades = trades(number("RINGBOOK_BENCH_TRADES").unwrap_or(200_000));
    if let Ok(path) = std::env::var("RINGBOOK_BENCH_ROWS_OUT") {
        write_rows(&path, &trades).expect("room for the rows");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = StoreAddress::Sqlite(folder.path().join("trades.db"));
    measure("sqlite", &file, &trades);
    if let Ok(text) = std::env::var("RINGBOOK_BENCH_POSTGRES") {
        measure("postgres", &StoreAddress::parse(&text).expect("an address"), &trades);
    }
}
