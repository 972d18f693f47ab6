//! Bytes of a socket to changed books, stage upon stage: CPU time a message.
//!
//! Each row does what the row before it does and one thing more: frames found (`websocket`), decrypted
//! (`tls`), decoded (`decode`), applied, with clock reads and histograms (`books`). `single` is one
//! frame a TLS record and a read, as a quiet venue sends; `batch` is twenty, as a busy one does. The kernel's share
//! is not in it: `ringbook bench-live` has that.
mod frames;
mod wire;

use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use ringbook::io::clock::{HostClock, thread_cpu_ns};
use std::time::Duration;
use wire::{Client, Stage};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TOKENS: usize = 16_000;
const STREAM: usize = 40_000;

fn session(c: &mut Criterion) {
    eprintln!("host: {}", ringbook::io::host::summary());
    let clock = HostClock::new();
    let frames = frames::frames(TOKENS, STREAM, 1);
    let mut group = c.benchmark_group("session");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(frames.stream.len() as u64));
    for (name, per_read) in [("single", 1), ("batch", 20)] {
        for (stage, what) in [
            (Stage::WebSocket, "websocket"),
            (Stage::Tls, "tls"),
            (Stage::Decode, "decode"),
            (Stage::Books { timed: false }, "books untimed"),
            (Stage::Books { timed: true }, "books"),
        ] {
            group.bench_function(BenchmarkId::new(what, name), |b| {
                b.iter_custom(|iterations| {
                    let mut total = Duration::ZERO;
                    for _ in 0..iterations {
                        let mut client = Client::new(stage, &frames, per_read, &clock);
                        let start_ns = thread_cpu_ns();
                        client.run();
                        total += Duration::from_nanos(thread_cpu_ns() - start_ns);
                    }
                    total
                });
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = session
}
criterion_main!(benches);
