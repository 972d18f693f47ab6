//! Frame to changed book as on a shard, clock reads and histograms included: CPU time a message.
//!
//! With `RINGBOOK_BENCH_FRAMES_OUT=frames.jsonl` nothing is measured: the same frames are written
//! to `frames-1000.jsonl` and `frames-16000.jsonl`, one a line, for `ringbook replay`.
mod frames;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group};
use frames::Frames;
use ringbook::base::id::ShardId;
use ringbook::io::clock::{HostClock, thread_cpu_ns};
use ringbook::shard::books::{Admission, Books, ConnectionSlot};
use ringbook::shard::intake::{Findings, Intake};
use std::io::Write as _;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TOKENS: [usize; 2] = [1_000, 16_000];
const STREAM: usize = 200_000;

fn feed(intake: &mut Intake<(), HostClock>, findings: &mut Findings, frames: &[String]) {
    for frame in frames {
        let read = intake.clock.now();
        intake.on_frame(frame, ConnectionSlot(0), read, findings);
        assert!(findings.data);
    }
}

fn pipeline(c: &mut Criterion) {
    let clock = HostClock::new();
    eprintln!("host: {}", ringbook::io::host::summary());
    let mut group = c.benchmark_group("decode_and_apply");
    group.sampling_mode(SamplingMode::Flat);
    for tokens in TOKENS {
        let Frames { dump, stream, .. } = frames::frames(tokens, STREAM, 1);
        group.throughput(Throughput::Elements(stream.len() as u64));
        // What the pipeline's own clock reads and histograms cost is the difference.
        for (name, timed) in [("timed", true), ("untimed", false)] {
            group.bench_function(BenchmarkId::new(name, tokens), |b| {
                b.iter_custom(|iterations| {
                    let mut total = Duration::ZERO;
                    for _ in 0..iterations {
                        let admission = Admission::Implied { shards: 1 };
                        let books = Books::new(
                            ShardId(0),
                            ringbook::venue::polymarket::feed(true),
                            admission,
                            (),
                        );
                        let mut intake = Intake::new(
                            ringbook::venue::polymarket::feed(true),
                            books,
                            clock.clone(),
                        );
                        intake.timed = timed;
                        let mut findings = Findings::default();
                        feed(&mut intake, &mut findings, &dump);
                        let start_ns = thread_cpu_ns();
                        feed(&mut intake, &mut findings, &stream);
                        total += Duration::from_nanos(thread_cpu_ns() - start_ns);
                        assert_eq!(intake.counts.decode_errors, 0);
                    }
                    total
                });
            });
        }
    }
    group.finish();
}

fn write_frames(path: &std::path::Path) -> std::io::Result<()> {
    for tokens in TOKENS {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        let path = path.with_file_name(format!("{stem}-{tokens}.{extension}"));
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
        let Frames { dump, stream, .. } = frames::frames(tokens, STREAM, 1);
        for frame in dump.iter().chain(&stream) {
            writeln!(file, "{frame}")?;
        }
        file.flush()?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = pipeline
}

fn main() -> std::io::Result<()> {
    if let Some(path) = std::env::var_os("RINGBOOK_BENCH_FRAMES_OUT") {
        return write_frames(path.as_ref());
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
    Ok(())
}
