//! An engine that reads a bus in place of venues: the first engine has the venue, the second has its clients.
//!
//! Runs on:  test threads; both engines, the venue and librdkafka's imitated broker on threads of this process.
use crate::bus::mock;
use crate::gateway::{Follower, Rig};
use crate::http::Client;
use crate::library::quiet;
use crate::program::{POLL_INTERVAL, TIMEOUT};
use ringbook::sim::SimConfig;
use ringbook::{BookState, BookView, Engine, Handler, Trade};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// States of books, and trades, that a handler receives.
#[derive(Clone, Default)]
struct Received(Arc<Mutex<(HashMap<String, BookState>, u64)>>);

impl Handler for Received {
    fn on_status(&mut self, view: &BookView<'_>, _before: BookState) {
        self.0.lock().unwrap().0.insert(view.token.to_string(), view.state);
    }

    fn on_trade(&mut self, _view: &BookView<'_>, _trade: &Trade<'_>) {
        self.0.lock().unwrap().1 += 1;
    }
}

impl Received {
    fn live(&self) -> usize {
        self.0.lock().unwrap().0.values().filter(|state| **state == BookState::Live).count()
    }

    fn trades(&self) -> u64 {
        self.0.lock().unwrap().1
    }
}

#[test]
fn an_engine_reads_a_bus_in_place_of_venues() {
    let (_cluster, url) = mock();
    let config = SimConfig { trades_per_10_000: 5_000, ..quiet(10, 100.0) };
    let rig = Rig::of(config, |builder| builder.all_markets().bus(&url, Duration::from_secs(2)));
    let received = Received::default();
    let local = ([127, 0, 0, 1], 0);
    let second = Engine::builder().bus_source(&url, &["polymarket"]).gateway(local).serve(local);
    let second = second.start(|_| received.clone()).unwrap();
    let mut http = Client::new(&format!("http://{}", second.serving().unwrap()), None);
    let mut wait = |what: &str, wanted: &mut dyn FnMut(&Value) -> bool| {
        let begun = Instant::now();
        loop {
            let stats = http.get("/stats").json();
            if wanted(&stats) {
                return stats;
            }
            assert!(begun.elapsed() < TIMEOUT, "no {what}: {stats:#}");
            std::thread::sleep(POLL_INTERVAL);
        }
    };
    wait("live books", &mut |stats| stats["venues"][0]["books_live"] == 20);
    wait("markets", &mut |stats| stats["venues"][0]["markets"] == 10);
    let address = second.gateways()[0].1;
    let mut stream = Follower::connect(address, "/v1/stream");
    stream.send(&json!({ "subscribe": rig.tokens }));
    rig.venue.resume().unwrap();
    rig.wait(&mut [&mut stream], "trades", |all| {
        all[0].kinds.get("trade").is_some_and(|&count| count > 20)
    });
    // The venue's books, over the first engine, the broker and the second engine, in two protocols.
    rig.settle(&mut [&mut stream]);
    let mut market = Follower::connect(address, "/ws/market");
    market.send(&json!({ "type": "market", "assets_ids": rig.tokens }));
    rig.settle(&mut [&mut market]);
    wait("handlers", &mut |_| received.live() == 20 && received.trades() > 20);
    let mut catalog = Client::new(&format!("http://{}", second.gateways()[1].1), None);
    assert_eq!(catalog.get("/markets?limit=100").json().as_array().unwrap().len(), 10);
    let stats = wait("an engine", &mut |stats| stats["bus_source"]["engines"] == 1);
    assert_eq!(stats["bus_source"]["unreadable"], 0, "{stats:#}");
    // The first engine ends: nobody takes its books for live any more.
    rig.engine.stop(|_| {});
    let begun = Instant::now();
    while !rig.tokens.iter().all(|token| stream.states.get(token).is_some_and(|s| s == "stale")) {
        stream.read();
        assert!(begun.elapsed() < TIMEOUT, "{:?}", stream.states);
    }
    let stats = wait("nobody", &mut |stats| stats["bus_source"]["engines"] == 0);
    assert_eq!((received.live(), &stats["venues"][0]["books_live"]), (0, &json!(0)));
    assert!(second.stop(|_| {}).left_behind.is_empty());
}
