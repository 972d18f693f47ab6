//! Events to books, decoding aside: CPU time a message of a busy stream.
mod frames;

use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use ringbook::base::id::ShardId;
use ringbook::io::clock::thread_cpu_ns;
use ringbook::market::book::Level;
use ringbook::market::event::{ChangeSpan, Changes, Event, Snapshot};
use ringbook::market::info::MarketNews;
use ringbook::shard::books::{Admission, Books, ConnectionSlot};
use ringbook::venue::polymarket::decode::Decoder;
use ringbook::venue::{Oddity, Sink};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An event that outlives its frame's decoding.
enum Kept {
    Snapshot { market: String, token: String, ms: u64, bids: Vec<Level>, asks: Vec<Level> },
    Changes { market: String, ms: u64, frame: String, changes: Vec<ChangeSpan> },
}

#[derive(Default)]
struct Keep {
    frame: String,
    events: Vec<Kept>,
}

impl Sink for Keep {
    fn on_event(&mut self, event: &Event<'_>) {
        let ms = event.timestamp_ms();
        self.events.push(match event {
            Event::Snapshot(e) => Kept::Snapshot {
                market: e.market.into(),
                token: e.token.into(),
                ms,
                bids: e.bids.to_vec(),
                asks: e.asks.to_vec(),
            },
            Event::Changes(e) => Kept::Changes {
                market: e.market.into(),
                ms,
                frame: self.frame.clone(),
                changes: e.changes.to_vec(),
            },
            _ => return,
        });
    }
    fn on_news(&mut self, _: MarketNews) {}
    fn on_oddity(&mut self, oddity: &Oddity<'_>) {
        panic!("{oddity:?} in generated frames");
    }
}

fn keep(frames: &[String]) -> Vec<Kept> {
    let (mut decoder, mut keep) = (Decoder::default(), Keep::default());
    for frame in frames {
        keep.frame.clone_from(frame);
        decoder.decode(frame, &mut keep);
    }
    keep.events
}

fn apply(books: &mut Books<()>, events: &[Kept]) {
    for event in events {
        let event = match event {
            Kept::Snapshot { market, token, ms, bids, asks } => Event::Snapshot(Snapshot {
                market,
                token,
                timestamp_ms: *ms,
                hash: None,
                bids,
                asks,
                tick_size: None,
                last_trade: None,
                min_order_size: None,
                neg_risk: None,
            }),
            Kept::Changes { market, ms, frame, changes } => {
                Event::Changes(Changes { market, timestamp_ms: *ms, frame, changes })
            }
        };
        books.on_event(&event, ConnectionSlot(0), 0);
    }
}

fn book(c: &mut Criterion) {
    let mut group = c.benchmark_group("book_update");
    group.sampling_mode(SamplingMode::Flat);
    for tokens in [1_000, 16_000] {
        let frames = frames::frames(tokens, 50_000, 1);
        let (dump, stream) = (keep(&frames.dump), keep(&frames.stream));
        group.throughput(Throughput::Elements(stream.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(tokens), |b| {
            b.iter_custom(|iterations| {
                let mut total = Duration::ZERO;
                for _ in 0..iterations {
                    let admission = Admission::Implied { shards: 1 };
                    let mut books = Books::new(ShardId(0), admission, ());
                    apply(&mut books, &dump);
                    let start_ns = thread_cpu_ns();
                    apply(&mut books, &stream);
                    total += Duration::from_nanos(thread_cpu_ns() - start_ns);
                    assert_eq!(books.counts().live, tokens as u64);
                    assert_eq!(books.counts().changes_stale, 0);
                }
                total
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = book
}
criterion_main!(benches);
