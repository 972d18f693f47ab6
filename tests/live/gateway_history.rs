//! Prices of stored trades, as a client of the gateway asks for them.
//!
//! Runs on:  test threads; engines and venue run on threads of this process.
use crate::http::Client;
use crate::library::quiet;
use crate::program::{POLL_INTERVAL, TIMEOUT};
use ringbook::sim::Venue;
use ringbook::{Engine, Polymarket, Trades};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

/// The last price of each minute, from the rows; a price is a number as in JSON.
fn expected(database: &Path, token: &str) -> Value {
    let reader = rusqlite::Connection::open(database).unwrap();
    reader.busy_timeout(TIMEOUT).unwrap();
    let mut rows = reader
        .prepare("SELECT venue_ms, price_e6 FROM trades WHERE token = ?1 ORDER BY venue_ms")
        .unwrap();
    let rows = rows.query_map([token], |row| {
        Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, u32>(1)?))
    });
    let mut points: Vec<(u64, f64)> = Vec::new();
    for row in rows.unwrap() {
        let (ms, price) = row.unwrap();
        points.retain(|(second, _)| second / 60 != ms / 60_000);
        points.push((ms / 1_000, f64::from(price) / 1e6));
    }
    points.into_iter().map(|(second, price)| json!({"t": second, "p": price})).collect()
}

/// The token with the most rows, and their number.
fn traded_most(database: &Path) -> Option<(String, i64)> {
    let reader = rusqlite::Connection::open(database).unwrap();
    reader.busy_timeout(TIMEOUT).unwrap();
    let query = "SELECT token, count(*) FROM trades GROUP BY token ORDER BY 2 DESC LIMIT 1";
    reader.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?))).ok()
}

#[test]
fn prices_of_an_earlier_engine_are_in_the_history() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("trades.db");
    let store = format!("sqlite:{}", database.display());
    let venue = Venue::start(quiet(5, 1_000.0)).unwrap();
    let start = || {
        let at = Polymarket::at(&venue.http_url(), &venue.ws_url());
        let engine =
            Engine::builder().venue(at).shards(2).all_markets().trades(Trades::new(&*store));
        let local = ([127, 0, 0, 1], 0);
        engine.gateway(local).serve(local).start(|_| ()).unwrap()
    };
    let earlier = start();
    venue.resume().unwrap();
    let begun = Instant::now();
    while traded_most(&database).is_none_or(|(_, rows)| rows < 5) {
        assert!(begun.elapsed() < TIMEOUT, "no trade is stored");
        std::thread::sleep(POLL_INTERVAL);
    }
    // Nothing is traded from here on, so that the rows are all that there is.
    venue.pause().unwrap();
    earlier.stop(|_| {});
    let (token, _) = traded_most(&database).unwrap();
    let points = expected(&database, &token);
    let engine = start();
    let mut client = Client::new(&format!("http://{}", engine.gateways()[0].1), None);
    let mut history = |query: &str| client.get(&format!("/prices-history?market={token}{query}"));
    for query in ["", "&interval=1d&fidelity=1", "&startTs=0&endTs=4000000000"] {
        assert_eq!(history(query).json()["history"], points, "{query}");
    }
    // The batch form of the same.
    let other = expected(&database, "1");
    let body = json!({"markets": [token, "1"], "start_ts": 0, "fidelity": 1}).to_string();
    let mut batch = Client::new(&format!("http://{}", engine.gateways()[0].1), None);
    let batch = batch.post("/batch-prices-history", &body).json();
    assert_eq!(batch, json!({"history": {&*token: points, "1": other}}));
    let first = points[0]["t"].as_u64().unwrap();
    let before = history(&format!("&startTs=0&endTs={}", first / 60 * 60 - 1)).json();
    assert_eq!(before, json!({"history": []}));

    let mut page = Client::new(&format!("http://{}", engine.serving().unwrap()), None);
    let path = format!("/prices?token_id={token}&begin_s=0&step_s=60");
    let prices = page.get(&path).json();
    let number = |text: &Value| text.as_str().unwrap().parse::<f64>().unwrap();
    let found = prices["points"].as_array().unwrap().iter();
    let found: Value = found.map(|p| json!({"t": p[0], "p": number(&p[1])})).collect();
    assert_eq!((&prices["stored"], found), (&true.into(), points));
    for bad in ["", "?token_id=x%20y", &format!("?token_id={token}&begin_s=x")] {
        assert_eq!(page.get(&format!("/prices{bad}")).status, 400, "{bad}");
    }
    engine.stop(|_| {});
}
