//! The pool and aiohttp's pooled session on the same nginx, one after the other, in one run.
use super::others::{Nginx, python};
use super::*;
use std::process::Command;
use std::time::Instant;

const REQUESTS: usize = 40_000;
const AT_ONCE: usize = 200;
const CONNECTIONS: usize = 20;

/// How two hundred requests are at once.
#[derive(Clone, Copy)]
enum Load {
    /// Two hundred begin together; when the last is done, the next two hundred do.
    Bursts,
    /// Two hundred tasks, each of which asks again as soon as it has its answer. Without a fair line, twenty of
    /// them go round and the others starve, which the largest latency shows and the 99th percentile does not.
    Loops,
}

/// Requests a second; p50, p99 and the largest latency in microseconds.
struct Figures([f64; 4]);

fn ours(address: SocketAddr, load: Load) -> Figures {
    run(async move {
        let (manager, pool) =
            manage(service(Kind::Http, address, |s| s.limits.max = CONNECTIONS), None);
        let ask = |count: usize| {
            let pool = Rc::clone(&pool);
            async move {
                let mut took_ns = Vec::with_capacity(count);
                for _ in 0..count {
                    let started = Instant::now();
                    let response = pool.get("/small.json").await.unwrap();
                    took_ns.push(started.elapsed().as_nanos() as u64);
                    assert_eq!((response.status, response.body.len()), (200, 26));
                }
                took_ns
            }
        };
        concurrently(AT_ONCE, |_| ask(10)).await;
        let rounds = REQUESTS / AT_ONCE;
        let started = Instant::now();
        let mut took_ns = Vec::new();
        match load {
            Load::Loops => took_ns = concurrently(AT_ONCE, |_| ask(rounds)).await.concat(),
            Load::Bursts => {
                for _ in 0..rounds {
                    took_ns.extend(concurrently(AT_ONCE, |_| ask(1)).await.concat());
                }
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        took_ns.sort_unstable();
        let report = pool.report();
        assert_eq!(report.failed, 0);
        assert!(report.reuse_rate > 0.95 && report.peak_in_use <= CONNECTIONS, "{report:?}");
        assert_eq!(manager.stop(S).await, []);
        let at = |share: f64| took_ns[(took_ns.len() as f64 * share) as usize] as f64 / 1e3;
        let largest = took_ns[took_ns.len() - 1] as f64 / 1e3;
        Figures([took_ns.len() as f64 / seconds, at(0.5), at(0.99), largest])
    })
}

fn theirs(address: SocketAddr, load: Load) -> Option<Figures> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/aiohttp_pool.py");
    let url = format!("http://{address}/small.json");
    let (requests, at_once) = (REQUESTS.to_string(), AT_ONCE.to_string());
    let load = match load {
        Load::Bursts => "bursts",
        Load::Loops => "loops",
    };
    let output = Command::new(python())
        .args([script, &url, load, &requests, &at_once, &CONNECTIONS.to_string()])
        .output()
        .ok()?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    let numbers: Vec<f64> = printed.split_whitespace().map(|text| text.parse().unwrap()).collect();
    Some(Figures(numbers.try_into().unwrap()))
}

/// Acquiring and giving back while a connection is idle, microseconds: p50, p99, p99.9.
fn overhead(address: SocketAddr) -> [f64; 3] {
    run(async move {
        let (_manager, pool) = manage(service(Kind::Http, address, |s| s.limits.min = 1), None);
        until(|| pool.occupation().idle >= 1).await;
        let mut took_ns = Vec::new();
        for _ in 0..20_000 {
            let started = Instant::now();
            let guard = pool.acquire().await.unwrap();
            took_ns.push(started.elapsed().as_nanos() as u64);
            assert!(took_ns.len() == 1 || guard.is_reused());
        }
        took_ns.sort_unstable();
        [0.5, 0.99, 0.999].map(|share| took_ns[(20_000.0 * share) as usize] as f64 / 1e3)
    })
}

#[test]
fn acquiring_an_idle_connection_costs_next_to_nothing() {
    let server = super::server::Server::start(super::server::echo_path);
    let [p50, p99, _] = overhead(server.address);
    println!("acquire with an idle connection: p50 {p50:.1} us, p99 {p99:.1} us");
    // The bar of the release build is 100 us; an unoptimised one on a busy machine gets room.
    let bar = if cfg!(debug_assertions) { 1000.0 } else { 100.0 };
    assert!(p99 < bar, "{p99} us");
}

#[test]
#[ignore = "a comparison; cargo test --release --test network -- --ignored side_by_side --nocapture"]
fn side_by_side_with_aiohttp() {
    let Some(nginx) = Nginx::start() else { return };
    let show = |name: &str, Figures([per_second, p50, p99, max]): &Figures| {
        println!(
            "{name:<10} {per_second:>8.0} requests/s   p50 {p50:>7.0}   p99 {p99:>7.0}   max {max:>8.0} us"
        );
    };
    for (name, load) in [("in bursts", Load::Bursts), ("in loops", Load::Loops)] {
        for round in 1..=3 {
            println!(
                "round {round}: {REQUESTS} requests, {AT_ONCE} at once {name}, {CONNECTIONS} connections"
            );
            show("ringbook", &ours(nginx.address, load));
            if let Some(figures) = theirs(nginx.address, load) {
                show("aiohttp", &figures);
            }
        }
    }
    let [p50, p99, p999] = overhead(nginx.address);
    println!(
        "acquire with an idle connection: p50 {p50:.1} us, p99 {p99:.1} us, p99.9 {p999:.1} us"
    );
}
