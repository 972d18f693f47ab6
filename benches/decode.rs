//! Frame to events, books aside: CPU time a message.
mod frames;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringbook::io::clock::thread_cpu_ns;
use ringbook::venue::polymarket::decode::Decoder;
use std::hint::black_box;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn decode(c: &mut Criterion) {
    eprintln!("host: {}", ringbook::io::host::summary());
    let mut group = c.benchmark_group("decode");
    for tokens in [1_000, 16_000] {
        let frames = frames::frames(tokens, 50_000, 1);
        for (name, with) in [("all", ""), ("price_change", "price_change\""), ("book", "\"book\"")]
        {
            let chosen: Vec<&String> =
                frames.stream.iter().filter(|frame| frame.contains(with)).collect();
            let mut decoder = Decoder::default();
            group.throughput(Throughput::Elements(chosen.len() as u64));
            group.bench_function(BenchmarkId::new(name, tokens), |b| {
                b.iter_custom(|iterations| {
                    let start_ns = thread_cpu_ns();
                    for frame in (0..iterations).flat_map(|_| &chosen) {
                        black_box(decoder.decode(frame, &mut frames::Eye));
                    }
                    Duration::from_nanos(thread_cpu_ns() - start_ns)
                });
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = decode
}
criterion_main!(benches);
