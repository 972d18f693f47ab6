//! Events to books, decoding aside: CPU time and bytes.
//!
//! A message of a busy stream; one change by depth and number of books, with the look-up and
//! without, the latter in every form of a side that was tried; memory of a book.
mod books;
mod frames;
mod ladders;

use books::{Choice, Messages, Universe};
use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group,
};
use ladders::{Bitmap, Both, Form, Narrow, Packed, Tree, TwoArrays};
use ringbook::base::id::ShardId;
use ringbook::base::time::Now;
use ringbook::io::clock::thread_cpu_ns;
use ringbook::market::book::{Book, Level, Side};
use ringbook::market::event::{ChangeSpan, Changes, Event, Snapshot};
use ringbook::market::info::MarketUpdate;
use ringbook::shard::books::{Admission, Books, ConnectionSlot};
use ringbook::venue::polymarket::decode::Decoder;
use ringbook::venue::{DecodeNotice, Sink};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An owned event.
enum OwnedEvent {
    Snapshot { market: String, token: String, ms: u64, bids: Vec<Level>, asks: Vec<Level> },
    Changes { market: String, ms: u64, frame: String, changes: Vec<ChangeSpan> },
}

#[derive(Default)]
struct Keep {
    frame: String,
    events: Vec<OwnedEvent>,
}

impl Sink for Keep {
    fn on_event(&mut self, event: &Event<'_>) {
        let ms = event.timestamp_ms();
        self.events.push(match event {
            Event::Snapshot(e) => OwnedEvent::Snapshot {
                market: e.market.into(),
                token: e.token.into(),
                ms,
                bids: e.bids.to_vec(),
                asks: e.asks.to_vec(),
            },
            Event::Changes(e) => OwnedEvent::Changes {
                market: e.market.into(),
                ms,
                frame: self.frame.clone(),
                changes: e.changes.to_vec(),
            },
            _ => return,
        });
    }
    fn on_market_update(&mut self, _: MarketUpdate) {}
    fn on_decode_notice(&mut self, notice: &DecodeNotice<'_>) {
        panic!("{notice:?} in generated frames");
    }
}

fn keep(frames: &[String]) -> Vec<OwnedEvent> {
    let (mut decoder, mut keep) = (Decoder::default(), Keep::default());
    for frame in frames {
        keep.frame.clone_from(frame);
        decoder.decode(frame, &mut keep);
    }
    keep.events
}

fn apply(books: &mut Books<()>, events: &[OwnedEvent]) {
    for event in events {
        let event = match event {
            OwnedEvent::Snapshot { market, token, ms, bids, asks } => Event::Snapshot(Snapshot {
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
            OwnedEvent::Changes { market, ms, frame, changes } => {
                Event::Changes(Changes { market, timestamp_ms: *ms, frame, changes })
            }
        };
        books.on_event(&event, ConnectionSlot(0), Now::default());
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
                    let mut books = Books::new(
                        ShardId(0),
                        ringbook::venue::polymarket::feed(true),
                        admission,
                        (),
                    );
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

/// Changes between two reads of the clock: enough that the clock costs 2 ns a change or so, few
/// enough to lie in the nearest cache, where a decoder leaves them.
const BATCH: usize = 128;
const BOOKS: [usize; 3] = [1_000, 16_000, 200_000];
const LEVELS: [u32; 4] = [5, 30, 100, 1_000];

/// Two thousand levels times 200,000 books do not fit the memory of a usual machine.
fn sizes() -> impl Iterator<Item = (usize, u32)> {
    let all = BOOKS.into_iter().flat_map(|books| LEVELS.map(|levels| (books, levels)));
    all.filter(|&(books, levels)| books * levels as usize <= 20_000_000)
}

fn filled(universe: &mut Universe, count: usize) -> Books<()> {
    let mut books = Books::new(
        ShardId(0),
        ringbook::venue::polymarket::feed(true),
        Admission::Implied { shards: 1 },
        (),
    );
    universe.fill(&mut books);
    assert_eq!(books.counts().live, count as u64);
    books
}

/// CPU time of `apply` alone, over `iterations` batches that `make` prepares.
fn timed<T>(
    iterations: u64,
    state: &mut T,
    make: impl Fn(&mut T),
    apply: impl Fn(&mut T),
) -> Duration {
    let mut total_ns = 0;
    for _ in 0..iterations {
        make(state);
        let start_ns = thread_cpu_ns();
        apply(state);
        total_ns += thread_cpu_ns() - start_ns;
    }
    Duration::from_nanos(total_ns)
}

/// Look-up and update, by depth and number of books.
fn change(c: &mut Criterion) {
    let mut group = c.benchmark_group("book_change");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(BATCH as u64));
    for (count, levels) in sizes() {
        let mut universe = Universe::new(count, levels);
        let books = filled(&mut universe, count);
        let mut state = (universe, books, Messages::default());
        for (both, name) in [(false, "one"), (true, "both")] {
            for choice in [Choice::Uniform, Choice::Busy] {
                let id = format!("{name} {choice:?}/{count} books/{levels} levels");
                group.bench_function(id.to_lowercase(), |b| {
                    b.iter_custom(|iterations| {
                        timed(
                            iterations,
                            &mut state,
                            |(universe, _, messages)| {
                                messages.make(universe, BATCH, both, choice);
                            },
                            |(_, books, messages)| messages.apply(books),
                        )
                    });
                });
            }
        }
        assert_eq!(state.1.counts().changes_stale + state.1.counts().unknown_instruments, 0);
    }
    group.finish();
}

/// The update alone, in each of the forms, books chosen uniformly.
fn ladder(c: &mut Criterion) {
    agree();
    let mut group = c.benchmark_group("ladder_change");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(BATCH as u64));
    for (count, levels) in sizes() {
        form::<Book>(&mut group, count, levels);
        form::<Both<Packed>>(&mut group, count, levels);
        form::<Both<Narrow>>(&mut group, count, levels);
        form::<Both<Bitmap>>(&mut group, count, levels);
        form::<Both<TwoArrays>>(&mut group, count, levels);
        form::<Both<Tree>>(&mut group, count, levels);
    }
    group.finish();
}

/// Books of one form, and the changes of the batch at hand.
type Forms<F> = (Universe, Vec<F>, Vec<(usize, Side, Level)>);

fn form<F: Form>(group: &mut BenchmarkGroup<'_, WallTime>, count: usize, levels: u32) {
    let id = format!("{}/{count} books/{levels} levels", F::NAME);
    // Filled only when it is asked for.
    let mut state: Option<Forms<F>> = None;
    group.bench_function(id, |b| {
        let state = state.get_or_insert_with(|| {
            let mut universe = Universe::new(count, levels);
            let books: Vec<F> = (0..count).map(|_| whole(&mut universe)).collect();
            let bytes: usize = books.iter().map(|book| size_of::<F>() + book.heap_bytes()).sum();
            println!("{}: {} bytes a book of {levels} levels", F::NAME, bytes / count);
            (universe, books, Vec::new())
        });
        b.iter_custom(|iterations| {
            timed(
                iterations,
                state,
                |(universe, _, changes)| {
                    changes.clear();
                    changes.extend((0..BATCH).map(|_| {
                        let book = 2 * universe.market(Choice::Uniform) + universe.outcome();
                        let (side, level) = universe.change();
                        (book, side, level)
                    }));
                },
                |(_, books, changes)| {
                    for &(book, side, level) in &*changes {
                        books[book].set(side, level);
                    }
                },
            )
        });
    });
}

fn whole<F: Form>(universe: &mut Universe) -> F {
    let mut book = F::new(universe.tick());
    for side in [Side::Bid, Side::Ask] {
        universe.side(side).into_iter().for_each(|level| book.set(side, level));
    }
    book
}

/// All forms hold the same levels after the same changes, or nothing is measured.
fn agree() {
    fn run<F: Form>(levels: u32) -> [Vec<Level>; 2] {
        let mut universe = Universe::new(2, levels);
        let mut book = whole::<F>(&mut universe);
        for _ in 0..20_000 {
            let (side, level) = universe.change();
            book.set(side, level);
        }
        [Side::Bid, Side::Ask].map(|side| book.levels(side))
    }
    fn check<F: Form>(levels: u32, expected: &[Vec<Level>; 2]) {
        assert_eq!(&run::<F>(levels), expected, "{}", F::NAME);
    }
    for levels in LEVELS {
        let expected = run::<Both<Tree>>(levels);
        assert!(expected[0].len() > levels as usize / 2);
        check::<Book>(levels, &expected);
        check::<Both<Packed>>(levels, &expected);
        check::<Both<Narrow>>(levels, &expected);
        check::<Both<Bitmap>>(levels, &expected);
        check::<Both<TwoArrays>>(levels, &expected);
    }
}

/// Books and levels of a child process that only measures memory.
const MEMORY: &str = "RINGBOOK_BENCH_MEMORY";

fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("the second number is what is resident") * 4096
}

/// Prints the memory of a book: everything that `Books` holds by its own arithmetic, and how much
/// more of the process is resident. In a process of its own, because an allocator keeps memory.
fn print_memory(count: usize, levels: u32) {
    let mut universe = Universe::new(count, levels);
    let before = resident_bytes();
    let mut books = filled(&mut universe, count);
    let resident = resident_bytes() - before;
    let counted = books.memory_usage(count);
    println!(
        "{count} books, {levels} levels a side: {} bytes a book counted, {} resident",
        counted / count as u64,
        resident / count as u64
    );
}

fn print_all_memory() {
    let Ok(program) = std::env::current_exe() else { return };
    for (count, levels) in
        [16_000, 200_000].into_iter().flat_map(|n| [5, 10, 30, 100].map(|l| (n, l)))
    {
        let child =
            std::process::Command::new(&program).env(MEMORY, format!("{count} {levels}")).status();
        assert!(child.is_ok_and(|status| status.success()), "the measuring process failed");
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = book, change, ladder
}

fn main() {
    if let Ok(text) = std::env::var(MEMORY) {
        let (count, levels) = text.split_once(' ').expect("books and levels");
        print_memory(count.parse().expect("books"), levels.parse().expect("levels"));
        return;
    }
    eprintln!("host: {}", ringbook::io::host::summary());
    print_all_memory();
    benches();
    Criterion::default().configure_from_args().final_summary();
}
