//! A reader beside a writer.
use super::*;
use std::sync::atomic::AtomicBool;

fn quote(number: u32) -> Quote {
    let level = |add| Level {
        price: Price(number.wrapping_add(add)),
        quantity: Quantity(u64::from(number) * 3 + u64::from(add)),
    };
    Quote {
        bid: level(0),
        ask: level(1),
        version: u64::from(number),
        venue_ms: u64::from(number) * 5,
        received_ns: u64::from(number) * 7,
        last_trade: Price(number),
        state: RecordState::Live as u8,
        reason: 0,
        generation: number as u16,
    }
}

fn words() -> Vec<AtomicU64> {
    (0..RECORD_WORDS).map(|_| AtomicU64::new(0)).collect()
}

#[test]
fn what_is_written_is_read() {
    let words = words();
    let record = Record(&words);
    let token = "7".repeat(78);
    record.write_all(quote(9), token.as_bytes(), b"polymarket");
    assert_eq!(record.read_all(), (quote(9), token.clone()));
    record.write(quote(u32::MAX));
    assert_eq!(record.read_all(), (quote(u32::MAX), token));
    assert_eq!(words[0].load(Ordering::Relaxed), 4);
    // A writer was killed: the next one continues.
    words[0].fetch_add(1, Ordering::Relaxed);
    record.write(quote(1));
    assert_eq!((record.read(), words[0].load(Ordering::Relaxed)), (quote(1), 6));
}

#[test]
fn a_reader_beside_a_writer_reads_whole_records() {
    let (words, is_over) = (words(), AtomicBool::new(false));
    let record = Record(&words);
    record.write(quote(0));
    std::thread::scope(|scope| {
        let readers = [0; 2].map(|_| {
            scope.spawn(|| {
                let mut last = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let read = record.read();
                    assert_eq!(read, quote(read.version as u32));
                    assert!(read.version >= last, "{} after {last}", read.version);
                    last = read.version;
                }
            })
        });
        let count = if cfg!(miri) { 200 } else { 300_000 };
        (1..=count).for_each(|number| record.write(quote(number)));
        is_over.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().expect("whole records"));
    });
}
