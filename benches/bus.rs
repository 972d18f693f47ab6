//! Records a second of the thread `bus`, and the CPU time of each thread, through the code that `--bus` uses.
//!
//! `cargo bench --bench bus -- --broker` is a broker until its input ends (librdkafka's mock, which keeps 5 MB of a
//! partition) with the topics `m.*`, and prints its address. `cargo bench --bench bus -- URL SECONDS [RATE [FILE]]`
//! publishes changes of 4,000 books to the broker of URL, as fast as it takes them (RATE 0) or so many a second; FILE
//! gets 100,000 of them for other programs, the key and a tab before each.
use rdkafka::mocking::MockCluster;
use ringbook::base::random::Random;
use ringbook::bus::address::BusOptions;
use ringbook::io::{clock::HostClock, wake::TaskWaker};
use ringbook::wire::websocket::server::frame;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BOOKS: u64 = 4_000;
const CHUNK_BYTES: usize = 128 << 10;
/// Before the measurement begins.
const WARM_UP: Duration = Duration::from_secs(2);

struct Changes {
    random: Random,
    sequence: u64,
}

impl Changes {
    fn token(&mut self) -> String {
        format!("{:077}", 1 + self.random.below(BOOKS))
    }

    fn text(&mut self, token: &str, wall_ns: u64) -> String {
        self.sequence += 1;
        let Self { random, sequence } = self;
        let (price, size) = (1 + random.below(998), 1 + random.below(1_000_000));
        let (side, other) = if random.chance(1, 2) { ("bids", "asks") } else { ("asks", "bids") };
        let mut text = String::with_capacity(512);
        let _ = write!(
            text,
            r#"{{"sequence":{sequence},"kind":"change","venue":"polymarket","market":"0x{:064x}","token":"{token}","outcome":"Yes","version":{sequence},"venue_time":{},"receive_time":{wall_ns},"state":"live","{side}":[["0.{price:03}","{}.{:02}"]],"{other}":[]}}"#,
            random.below(BOOKS / 2),
            wall_ns / 1_000_000,
            size / 100,
            size % 100,
        );
        text
    }
}

/// CPU time of the threads of this process by name, hundredths of a second.
fn cpu() -> BTreeMap<String, u64> {
    let mut times = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").expect("Linux").flatten() {
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else { continue };
        let Some((head, rest)) = stat.rsplit_once(')') else { continue };
        let name = head.split_once('(').map_or("", |(_, name)| name);
        let ticks = rest.split_whitespace().skip(11).take(2);
        *times.entry(name.to_owned()).or_default() +=
            ticks.map(|ticks| ticks.parse::<u64>().unwrap_or(0)).sum::<u64>();
    }
    times
}

fn publish(url: &str, seconds: u64, rate: u64) {
    let options = BusOptions::parse(url).unwrap_or_else(|error| panic!("{error}"));
    let (clock, waker) = (HostClock::new(), TaskWaker::default());
    let wall_ns = clock.now().wall_ns;
    let (_publisher, mut sender) = ringbook::bus::start(&options, waker, clock, None)
        .unwrap_or_else(|error| panic!("{error}"));
    let mut changes = Changes { random: Random::new(7), sequence: 0 };
    let begun = Instant::now();
    let (mut start, mut sent) = (None, 0);
    let mut chunks: Vec<Vec<u8>> = Vec::new();
    // Made before, so that only the bus is measured.
    while chunks.len() < 64 {
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK_BYTES {
            let token = changes.token();
            chunk.extend_from_slice(&frame(&changes.text(&token, wall_ns)));
        }
        chunks.push(chunk);
    }
    let records_of_chunk = changes.sequence / chunks.len() as u64;
    let mut turn = 0;
    loop {
        while sender.take_back().is_some() {}
        let elapsed = begun.elapsed();
        let is_due = rate == 0 || sent * 1_000 < rate * elapsed.as_millis() as u64;
        if is_due && let Some(mut chunk) = sender.chunk() {
            chunk.extend_from_slice(&chunks[turn % chunks.len()]);
            turn += 1;
            sent += records_of_chunk;
            sender.send(chunk);
        } else {
            std::thread::sleep(Duration::from_micros(500));
        }
        let figures = (sender.board.records.get(), sender.board.bytes.get());
        if start.is_none() && elapsed > WARM_UP && figures.0 > 0 {
            start = Some((Instant::now(), figures, cpu()));
        }
        let Some((at, before, threads)) = &start else { continue };
        let passed = at.elapsed().as_secs_f64();
        if passed < seconds as f64 {
            continue;
        }
        let (records, bytes) = (figures.0 - before.0, figures.1 - before.1);
        println!("{:.0} records/s of {} bytes", records as f64 / passed, bytes / records.max(1));
        for (name, ticks) in cpu() {
            let ticks = ticks - threads.get(&name).copied().unwrap_or(0);
            if ticks > 0 {
                let each = ticks as f64 * 1e4 / records.max(1) as f64;
                println!("{name}: {:.1} % of a core, {each:.2} us a record", ticks as f64 / passed);
            }
        }
        return;
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--broker"] => {
            let cluster = MockCluster::new(1).expect("a broker");
            for topic in ["trades", "books", "tops", "markets", "events"] {
                cluster.create_topic(&format!("m.{topic}"), 4, 1).expect("a topic");
            }
            println!("{}", cluster.bootstrap_servers());
            let _ = std::io::read_to_string(std::io::stdin());
        }
        [url, seconds, ref rest @ ..] => {
            let number = |text: &str| text.parse().expect("a number");
            if let Some(file) = rest.get(1) {
                let mut changes = Changes { random: Random::new(7), sequence: 0 };
                let mut text = String::new();
                for _ in 0..100_000 {
                    let token = changes.token();
                    let record = changes.text(&token, 1_790_000_000_030_000_000);
                    let _ = writeln!(text, "{token}\t{record}");
                }
                std::fs::write(file, text).expect("a file");
            }
            publish(url, number(seconds), rest.first().map_or(0, |rate| number(rate)));
        }
        _ => println!("no broker: see the head of benches/bus.rs"),
    }
}
