//! `--race`: two connections with the same markets, one of them slow, both with losses, and each cut in turn.
//!
//! Runs on:  test threads, with one venue and one engine as processes; the engine dials through a proxy.
use crate::books::compare;
use crate::engine::{Engine, count, sum};
use crate::program::{POLL_INTERVAL, Program, TIMEOUT};
use crate::proxy::Proxy;
use crate::venue::Venue;
use rustix::process::Signal;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

const BOOKS: usize = 40;
const DELAY: Duration = Duration::from_millis(80);

struct Stage {
    venue: Venue,
    engine: Engine,
    proxy: Proxy,
}

/// A venue that stands still, and an engine whose connections have a race each.
fn start(capture: &Path) -> Stage {
    let venue = ["--paused", "--plain", "--markets", "20", "--rate", "300", "--burst", "0"];
    let venue = Venue::start(&venue);
    let address = venue.ws.trim_start_matches("ws://").split('/').next().unwrap();
    let proxy = Proxy::delayed(address.parse().unwrap(), Duration::ZERO);
    let through = format!("ws://{}/ws/market", proxy.address);
    let mut flags: Vec<String> =
        venue.addresses().into_iter().map(|flag| flag.replace(&venue.ws, &through)).collect();
    let capture = capture.display().to_string();
    let more = ["--race", "--shards", "1", "--audit", "5", "--capture", &capture];
    flags.extend(more.map(str::to_owned));
    let mut engine = Engine::with_flags(&flags);
    engine.wait_live(BOOKS);
    wait_race(&mut engine, 1, 2);
    Stage { venue, engine, proxy }
}

/// Waits until `to` has all snapshots of what `from` carries.
fn wait_race(engine: &mut Engine, from: u64, to: u64) {
    let races = |stats: &Value| {
        let races = stats["recycling"]["replacements"].as_array().unwrap();
        races.iter().any(|race| {
            race["reason"] == "race"
                && race["phase"] == "settling"
                && race["from"][0].as_u64() == Some(from)
                && race["to"].as_u64() == Some(to)
        })
    };
    engine.wait_for(&format!("race of {from} and {to}"), TIMEOUT, races);
}

fn race(stats: &Value, connection: u64, name: &str) -> u64 {
    let connections = stats["pool"]["connections"].as_array().unwrap();
    let of = connections.iter().find(|of| of["id"].as_u64() == Some(connection));
    of.map_or(0, |of| count(of, &format!("/race/{name}")))
}

impl Stage {
    /// The venue sends until this is so, and then all that it sent has arrived: each trade once, and its books.
    fn run(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.venue.control("resume");
        self.engine.wait_for(what, TIMEOUT, wanted);
        self.settle()
    }

    fn settle(&mut self) -> Value {
        self.venue.pause();
        self.engine.wait_still(Duration::from_millis(500));
        let tokens = self.venue.tokens();
        let begun = Instant::now();
        loop {
            let verdict = compare(&mut self.engine, &mut self.venue, &tokens);
            if verdict.is_good() && verdict.equal == tokens.len() {
                break;
            }
            assert!(begun.elapsed() < TIMEOUT, "{verdict:?}");
            std::thread::sleep(POLL_INTERVAL);
        }
        self.engine.stats()
    }
}

#[test]
fn the_first_arrival_counts_and_either_connection_may_be_lost() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("capture");
    let mut stage = start(&capture);
    // The second one is slow, then the first one.
    stage.proxy.delay(0, DELAY);
    let stats = stage.run("messages", |stats| race(stats, 2, "later") > 300);
    assert_eq!(sum(&stats, "trades"), stage.venue.stat("trades"), "{stats:#}");
    let [first, second] = [1, 2].map(|id| race(&stats, id, "first"));
    assert!(first > 300 && first > 4 * second, "{stats:#}");
    assert!(race(&stats, 2, "later_p50_ns") > race(&stats, 1, "later_p50_ns"), "{stats:#}");
    assert_eq!([1, 2].map(|id| race(&stats, id, "alone")), [0, 0], "{stats:#}");
    stage.proxy.delay(0, Duration::ZERO);
    stage.proxy.delay(1, DELAY);
    let stats = stage.run("other winner", |stats| race(stats, 2, "first") > second + 300);
    assert_eq!(sum(&stats, "trades"), stage.venue.stat("trades"), "{stats:#}");
    assert!(race(&stats, 1, "later") > 200, "{stats:#}");
    // Each loses messages, and the other one has them.
    stage.venue.control("fault?kind=lost&rate=500&ms=600000");
    let both = |stats: &Value| (1..=2).all(|id| race(stats, id, "alone") > 1);
    let stats = stage.run("messages that one had", both);
    stage.venue.control("fault?kind=lost&rate=0");
    let missed = [2, 1].map(|id| race(&stats, id, "missed"));
    assert_eq!([1, 2].map(|id| race(&stats, id, "alone")), missed, "{stats:#}");
    // New markets are on both; the one that carries the books is cut, and no book waits for anything.
    stage.venue.control("resume");
    stage.venue.control("birth?count=2");
    stage.engine.wait_live(BOOKS + 4);
    wait_race(&mut stage.engine, 1, 2);
    stage.proxy.cut(1);
    wait_race(&mut stage.engine, 2, 3);
    let stats = stage.settle();
    let handover = &stats["recycling"]["handovers"][0];
    assert_eq!((count(handover, "/to"), count(handover, "/interrupted")), (2, 0), "{handover:#}");
    assert_eq!(count(handover, "/tokens"), BOOKS as u64 + 4, "{handover:#}");
    // The other one is cut.
    stage.venue.control("resume");
    stage.proxy.cut(0);
    wait_race(&mut stage.engine, 2, 4);
    // One that carries the books is recycled: the other one takes over, and has a new one to race with.
    while stage.engine.post("/admin/recycle?connection=2").status == 503 {}
    wait_race(&mut stage.engine, 4, 5);
    let before = race(&stage.engine.stats(), 5, "later");
    let stats = stage.run("a race again", |stats| race(stats, 5, "later") > before + 20);
    assert!(race(&stats, 4, "first") > 0, "{stats:#}");
    let lines = stage.engine.program.stderr();
    assert!(!lines.iter().any(|line| line.contains("books are stale")), "{lines:#?}");
    let metrics = stage.engine.get("/metrics");
    let metrics = metrics.text();
    assert!(metrics.contains("ringbook_connection_race_first_total{connection=\"4\""), "{metrics}");
    stage.engine.program.signal(Signal::INT);
    assert!(stage.engine.program.wait(TIMEOUT).success(), "{}", stage.engine.program);
    stage.engine.program.wait_for_line("connection-5");
    replays(&capture);
}

/// The capture has both connections, and its replay decides as the engine did.
fn replays(capture: &Path) {
    let output = Program::ringbook().arg("replay").arg(capture).arg("--json").output().unwrap();
    let [printed, reported] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{printed}{reported}");
    let report: Value = serde_json::from_str(&printed).unwrap();
    assert!(count(&report, "/capture/checkpoints_equal") > 100, "{report:#}");
    assert_eq!(count(&report, "/capture/checkpoints_different"), 0, "{report:#}");
}
