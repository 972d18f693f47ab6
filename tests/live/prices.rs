//! Best prices in shared memory (`--shm`): equal to `/book`, stale and ended at once, whole beside a writer.
//!
//! Runs on:  test threads; engine and venue are processes, and so is the reader in Python, which is that of the guide.
use crate::engine::{Engine, sum};
use crate::program::{POLL_INTERVAL, TIMEOUT};
use crate::startup_errors::{check, flags};
use crate::venue::Venue;
use hdrhistogram::Histogram;
use ringbook::base::price::{Price, Quantity};
use ringbook::io::clock::HostClock;
use ringbook::io::shared_memory::SharedWords;
use ringbook::market::book::Level;
use ringbook::price_table::record::{Quote, RECORD_WORDS, Record, RecordState};
use ringbook::price_table::{Field, PriceTable, Table};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Runs the reader in Python: its lines.
fn python(path: &Path, arguments: &[&str]) -> Vec<Value> {
    let python = std::env::var("RINGBOOK_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/prices.py");
    let output = Command::new(python).arg(script).arg(path).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What `/book` has as the best level of a side, in units of 1e-6.
fn best(book: &Value, side: &str) -> Value {
    let units =
        |text: &Value| (text.as_str().unwrap().parse::<f64>().unwrap() * 1e6).round() as u64;
    match book[side].as_array().unwrap().last() {
        Some(level) => vec![units(&level["price"]), units(&level["size"])].into(),
        None => Value::Null,
    }
}

fn states(table: &Table, tokens: &[String]) -> Vec<(u8, u8)> {
    let quotes = tokens.iter().map(|token| table.record(table.find(token).unwrap()).read());
    quotes.map(|quote| (quote.state, quote.reason)).collect()
}

#[test]
fn prices_are_those_of_the_books_and_their_end_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices");
    let file = path.display().to_string();
    let mut venue =
        Venue::start(&["--plain", "--markets", "40", "--rate", "1000", "--levels", "6"]);
    let mut engine = Engine::start(&venue, &["--shm", &file, "--shards", "2"]);
    let tokens = venue.tokens();
    engine.wait_live(tokens.len());
    engine.wait_for("changes", TIMEOUT, |stats| sum(stats, "updates") > 2_000);
    check(flags(&["--shm", &file]), 1, &["--shm", &file, "is written by process", "name another"]);
    venue.pause();
    engine.wait_still(Duration::from_secs(1));
    let mut rows = python(&path, &[]).into_iter();
    assert_eq!(rows.next().unwrap()["running"], true);
    let rows: HashMap<String, Value> =
        rows.map(|row| (row["token"].as_str().unwrap().to_owned(), row)).collect();
    assert_eq!(rows.len(), tokens.len());
    for token in &tokens {
        let (row, book) = (&rows[token], engine.book(token).json());
        assert_eq!((&row["state"], &row["venue"]), (&"live".into(), &"polymarket".into()));
        assert_eq!(
            (&row["bid"], &row["ask"]),
            (&best(&book, "bids"), &best(&book, "asks")),
            "{book}"
        );
        let time_ms: u64 = book["timestamp"].as_str().unwrap().parse().unwrap();
        assert!(row["venue_ms"].as_u64().unwrap() <= time_ms, "{row} {book}");
    }

    let table = Table::open(&path).unwrap();
    assert!(states(&table, &tokens).iter().all(|state| *state == (RecordState::Live as u8, 0)));
    drop(venue);
    let all = tokens.len() as u64;
    engine.wait_for("stale books", TIMEOUT, |stats| sum(stats, "books_stale") == all);
    assert!(states(&table, &tokens).iter().all(|state| *state == (RecordState::Stale as u8, 1)));

    let status = || table.field(Field::Status).load(Ordering::Acquire);
    assert_eq!(status(), 1);
    engine.program.signal(Signal::TERM);
    assert!(engine.program.wait(TIMEOUT).success(), "{}", engine.program);
    assert_eq!(status(), 2, "ended");
    assert_eq!(python(&path, &[])[0]["running"], false);
}

#[test]
fn the_heartbeat_of_a_killed_engine_stops_and_the_next_one_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices");
    let file = path.display().to_string();
    let venue = Venue::start(&["--plain", "--markets", "5", "--rate", "50"]);
    let mut engine = Engine::start(&venue, &["--shm", &file]);
    engine.wait_live(10);
    let table = Table::open(&path).unwrap();
    engine.program.signal(Signal::KILL);
    engine.program.wait(TIMEOUT);
    assert_eq!(table.field(Field::Status).load(Ordering::Acquire), 1);
    let begun = Instant::now();
    while python(&path, &[])[0]["running"] == true {
        assert!(begun.elapsed() < TIMEOUT, "the heartbeat goes on");
        std::thread::sleep(POLL_INTERVAL);
    }
    let mut engine = Engine::start(&venue, &["--shm", &file]);
    engine.wait_live(10);
    assert_eq!(table.field(Field::RecordsUsed).load(Ordering::Acquire), 10);

    let other = folder.path().join("other");
    std::fs::write(&other, "notes").unwrap();
    let other = other.display().to_string();
    check(flags(&["--shm", &other]), 1, &["--shm", &other, "is no table", "name another"]);
}

/// Fields that the reader can compute from the version.
fn numbered(number: u64) -> Quote {
    let level = |add: u64, factor: u64| Level {
        price: Price((number + add) as u32),
        quantity: Quantity(number * factor),
    };
    let (bid, ask) = (level(0, 3), level(1, 5));
    let (venue_ms, received_ns, last_trade) = (number, number, Price(7));
    let state = RecordState::Live as u8;
    Quote {
        bid,
        ask,
        version: number,
        venue_ms,
        received_ns,
        last_trade,
        state,
        reason: 0,
        generation: 0,
    }
}

/// An ended table whose first record this process writes.
fn own_record(path: &Path) -> (SharedWords, usize) {
    drop(PriceTable::create(path).unwrap());
    let count = std::fs::metadata(path).unwrap().len() as usize / 8;
    let begun = Instant::now();
    let memory = loop {
        // A process that another test starts has the file, and its lock, from fork to exec.
        match SharedWords::create(path, count, |_| true) {
            Ok(memory) => break memory,
            Err(error) => assert!(begun.elapsed() < TIMEOUT, "{error}"),
        }
        std::thread::sleep(POLL_INTERVAL);
    };
    let first = memory.words()[Field::RecordFirst as usize].load(Ordering::Relaxed) as usize;
    (memory, first)
}

#[test]
fn a_reader_in_python_beside_a_writer_at_full_speed_reads_whole_records() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices");
    let (memory, first) = own_record(&path);
    let record = Record(&memory.words()[first..first + RECORD_WORDS]);
    record.write(numbered(1));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 2.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                record.write(numbered(number));
                // Python needs longer for a read than the time between two writes.
                if number % 2_000 == 0 {
                    std::thread::sleep(Duration::from_micros(50));
                }
            }
        });
        let found = std::panic::catch_unwind(|| python(&path, &["--check", "2"]));
        is_over.store(true, Ordering::Relaxed);
        let found = &found.expect("whole records")[0];
        assert!(found["versions"].as_u64() >= Some(100), "{found}");
    });
}

/// Figures of the guide: `cargo test --release --test live -- --ignored --nocapture cost_of_prices`.
#[test]
#[ignore = "measures"]
fn cost_of_prices() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = folder.path().join("prices");
    let clock = HostClock::new();
    let mut histogram = Histogram::<u64>::new(3).unwrap();
    let show = |name: &str, histogram: &Histogram<u64>| {
        let [p50, p99] = [0.5, 0.99].map(|q| histogram.value_at_quantile(q));
        eprintln!("{name}: p50 {p50} ns, p99 {p99} ns, {} values", histogram.len());
    };
    {
        let (memory, first) = own_record(&path);
        let record = Record(&memory.words()[first..first + RECORD_WORDS]);
        for number in 0..100_000 {
            let begun_ns = clock.now().mono_ns;
            for _ in 0..100 {
                std::hint::black_box(record.read());
            }
            histogram.record((clock.now().mono_ns - begun_ns) / 100).unwrap();
            record.write(numbered(number));
        }
        show("a read", &histogram);
        histogram.reset();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let quote = numbered(1);
                    record.write(Quote { received_ns: clock.now().mono_ns, ..quote });
                    let until_ns = clock.now().mono_ns + 20_000;
                    while clock.now().mono_ns < until_ns {
                        std::hint::spin_loop();
                    }
                }
            });
            let mut last = 0;
            while histogram.len() < 50_000 {
                let quote = record.read();
                if quote.received_ns > last {
                    last = quote.received_ns;
                    histogram.record(clock.now().mono_ns.saturating_sub(last).max(1)).unwrap();
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
        show("begin of a write to the read value", &histogram);
    }
    histogram.reset();
    let mut venue = Venue::start(&["--plain", "--markets", "5", "--rate", "2000"]);
    let mut engine = Engine::start(&venue, &["--shm", &path.display().to_string()]);
    engine.wait_live(10);
    let table = Table::open(&path).unwrap();
    let records = venue.tokens().into_iter().map(|token| table.find(&token).unwrap());
    let records: Vec<u32> = records.collect();
    let mut last = vec![0; records.len()];
    while histogram.len() < 2_000 {
        for (record, last) in records.iter().zip(&mut last) {
            let quote = table.record(*record).read();
            if quote.received_ns > *last {
                *last = quote.received_ns;
                // The engine's wall time, which it takes from the host's once a second.
                let now_ns =
                    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
                histogram.record(now_ns.saturating_sub(*last).max(1)).unwrap();
            }
        }
    }
    show("a frame read by the shard to the read value", &histogram);
}
