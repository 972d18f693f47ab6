//! The market channel: dumps, changes, hashes, and that the stream adds up to the simulated books.
use std::collections::HashSet;

use serde_json::Value;
use tungstenite::Message;

use super::client::{Channel, all_tokens, get, post};
use super::model::{Model, Static, text};
use super::venue;

/// A model that knows what only REST reports.
fn model_of(venue: &ringbook::sim::Venue, tokens: &[String]) -> Model {
    let mut model = Model::default();
    for token in tokens {
        let book = get(venue, &format!("/book?token_id={token}"));
        let part = Static {
            min_order_size: text(&book["min_order_size"]),
            neg_risk: book["neg_risk"].as_bool().unwrap(),
        };
        model.parts.insert(token.clone(), part);
    }
    model
}

/// Reads for a while, stops the scenario, reads the rest, and compares every book.
fn follow(venue: &ringbook::sim::Venue, channel: &mut Channel, model: &mut Model, changes: u64) {
    while model.changes < changes {
        let frame = channel.text();
        model.handle(&frame);
    }
    venue.pause().unwrap();
    for frame in channel.drain() {
        model.handle(&frame);
    }
    model.settle_all();
    for (token, book) in &model.books {
        let truth = venue.truth(token).unwrap_or_else(|| panic!("no truth for {token}"));
        let truth: Value = serde_json::from_str(&truth).unwrap();
        assert_eq!(truth["market"], book.market.as_str());
        model.compare(token, &truth);
    }
}

#[test]
fn the_stream_over_tls_adds_up_to_the_simulated_books() {
    let venue = venue(|config| {
        config.tls = true;
        config.rate = 4_000.0;
        config.births_per_minute = 120.0;
    });
    let tokens = all_tokens(&venue);
    assert_eq!(tokens.len(), 48);
    let mut model = model_of(&venue, &tokens);
    let mut channel = Channel::open(&venue);
    channel.subscribe(&tokens, true);
    let dump = channel.text();
    let books: Vec<Value> = serde_json::from_str(&dump).unwrap();
    assert_eq!(books.len(), tokens.len());
    const KEYS: [&str; 9] = [
        "market",
        "asset_id",
        "timestamp",
        "hash",
        "bids",
        "asks",
        "tick_size",
        "event_type",
        "last_trade_price",
    ];
    for (book, token) in books.iter().zip(&tokens) {
        assert_eq!(book.as_object().unwrap().keys().collect::<Vec<_>>(), KEYS);
        assert_eq!(book["asset_id"], token.as_str());
    }
    assert!(!dump.contains(", ") && !dump.contains(": "), "dumps are compact");
    let times: HashSet<&str> = books.iter().map(|b| b["timestamp"].as_str().unwrap()).collect();
    assert!(times.len() > 3, "each book has the time of its own last change");
    model.handle(&dump);

    venue.resume().unwrap();
    follow(&venue, &mut channel, &mut model, 12_000);
    assert!(model.checks > 4_000, "{} checks", model.checks);
    for kind in ["price_change", "book", "last_trade_price", "best_bid_ask", "new_market"] {
        assert!(model.kinds.get(kind).is_some_and(|&count| count > 0), "{kind}: {:?}", model.kinds);
    }
    assert!(model.pairs > 0, "some changes travel in pairs");
    assert!(model.crossed > 0, "books are crossed within a timestamp now and then");
    // And once more, after a pause.
    let target = model.changes + 2_000;
    venue.resume().unwrap();
    follow(&venue, &mut channel, &mut model, target);
    let stats = venue.stats();
    assert_eq!((stats.connections, stats.subscriptions, stats.slow_clients), (1, 48, 0));
    assert!(stats.trades > 0 && stats.events() > 6_000 && stats.bytes_sent > 1_000_000);
    venue.stop();
}

#[test]
fn live_messages_have_the_recorded_shape() {
    let venue = venue(|config| config.rate = 5_000.0);
    let tokens = all_tokens(&venue);
    let mut channel = Channel::open(&venue);
    channel.subscribe(&tokens, true);
    channel.text();
    assert_eq!(post(&venue, "/sim/tick?count=1")["count"], 1);
    assert_eq!(post(&venue, "/sim/birth?count=1")["count"], 1);
    venue.resume().unwrap();
    let wanted = [
        "\"price_change\"}",
        "\"event_type\":\"book\"",
        "\"last_trade_price\",\"tr",
        "tick_size_change",
        "best_bid_ask",
        "new_market",
    ];
    let mut missing: HashSet<&str> = wanted.into_iter().collect();
    let texts = channel.until(|text| {
        missing.retain(|part| !text.contains(part) || text.starts_with('['));
        missing.is_empty()
    });
    let one = |part: &str| texts.iter().find(|t| t.contains(part) && !t.starts_with('[')).unwrap();
    let keys = |text: &str| {
        let value: Value = serde_json::from_str(text).unwrap();
        value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(",")
    };
    let change = one("\"price_change\"}");
    assert_eq!(keys(change), "market,price_changes,timestamp,event_type");
    assert!(
        change.contains("\", \"price_changes\":[{\"asset_id\":\"") && change.contains("}, {\"")
    );
    assert!((500..700).contains(&change.len()), "{} bytes", change.len());
    let entry: Value = serde_json::from_str::<Value>(change).unwrap()["price_changes"][0].clone();
    assert_eq!(keys(&entry.to_string()), "asset_id,price,size,side,hash,best_bid,best_ask");
    let book = one("\"event_type\":\"book\"");
    assert_eq!(keys(book), "market,asset_id,bids,asks,hash,timestamp,event_type");
    let trade = one("last_trade_price\",\"tr");
    assert_eq!(
        keys(trade),
        "market,asset_id,price,size,fee_rate_bps,side,timestamp,event_type,transaction_hash"
    );
    assert!(!trade.contains(", "));
    let tick = one("tick_size_change");
    assert!(
        tick.contains("\"old_tick_size\":\"0.01\", \"new_tick_size\":\"0.001\", \"timestamp\"")
    );
    assert!(keys(one("new_market")).contains("event_type,tags,condition_id,active,clob_token_ids"));
    assert!(keys(one("best_bid_ask")).ends_with("best_bid,best_ask,spread,timestamp,event_type"));
}

#[test]
fn ping_rules_are_the_venue_s() {
    let venue = venue(|_| {});
    let tokens = all_tokens(&venue);
    // Before the first subscription.
    let mut channel = Channel::open(&venue);
    channel.send_text("PING");
    assert_eq!(channel.over(), Some((1008, "invalid subscription payload".to_owned())));
    let mut channel = Channel::open(&venue);
    channel.subscribe(&[], false);
    assert_eq!(channel.over().unwrap().0, 1008);

    let mut channel = Channel::open(&venue);
    channel.subscribe(&tokens[..2], false);
    assert!(channel.text().starts_with("[{"));
    channel.send_text("PING");
    assert_eq!(channel.text(), "PONG");
    channel.send(Message::Ping(b"abc".to_vec().into()));
    assert_eq!(channel.next(), Message::Pong(b"abc".to_vec().into()));
    channel.subscribe(&tokens[..2], false);
    assert_eq!(channel.text(), "INVALID OPERATION");
    channel.send_text("{]");
    assert_eq!(channel.text(), "INVALID OPERATION");

    let mut unknown = Channel::open(&venue);
    unknown.subscribe(&["123".to_owned()], false);
    assert_eq!(unknown.text(), "[]");
    let mut discovery = Channel::open(&venue);
    discovery.subscribe(&[], true);
    assert!(discovery.drain().is_empty(), "nothing but the PONG");
    post(&venue, "/sim/birth?count=2");
    venue.resume().unwrap();
    assert!(discovery.text().contains("new_market"));
    discovery.send(Message::Close(None));
    discovery.over();
}

#[test]
fn a_long_subscription_gets_its_dump_over_tls() {
    let venue = venue(|config| {
        config.tls = true;
        config.markets = 50;
        config.upgrades_per_second_max = 3;
    });
    let mut tokens = all_tokens(&venue);
    // 3,000 unknown tokens in front: 230 kB in one message.
    let unknown = (0..3_000u64).map(|at| format!("{:077}", u128::from(at) + 10u128.pow(38)));
    tokens.splice(0..0, unknown);
    let mut channel = Channel::open(&venue);
    channel.subscribe(&tokens, false);
    let books: Vec<Value> = serde_json::from_str(&channel.text()).unwrap();
    assert_eq!(books.len(), 100);
    let refused = (0..20).find_map(|_| Channel::try_open(&venue).err());
    assert_eq!(refused.expect("more than 3 a second").0, 429);
}

#[test]
fn subscriptions_change_while_connected() {
    let venue = venue(|_| {});
    let tokens = all_tokens(&venue);
    let mut channel = Channel::open(&venue);
    channel.subscribe(&tokens[..2], false);
    channel.text();
    let list = |tokens: &[String]| serde_json::to_string(tokens).unwrap();
    channel.send_text(&format!(
        "{{\"operation\":\"subscribe\",\"assets_ids\":{}}}",
        list(&tokens[1..6])
    ));
    let books: Vec<Value> = serde_json::from_str(&channel.text()).unwrap();
    let fresh: Vec<&str> = books.iter().map(|book| book["asset_id"].as_str().unwrap()).collect();
    assert_eq!(fresh, tokens[2..6].iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(venue.stats().subscriptions, 6);
    channel.send_text(&format!(
        "{{\"operation\":\"subscribe\",\"assets_ids\":{}}}",
        list(&tokens[..6])
    ));
    assert_eq!(channel.text(), "NO NEW ASSETS");

    channel.send_text(&format!(
        "{{\"operation\":\"unsubscribe\",\"assets_ids\":{}}}",
        list(&tokens[2..])
    ));
    assert!(channel.drain().is_empty());
    assert_eq!(venue.stats().subscriptions, 2);
    venue.resume().unwrap();
    let mut market = None;
    for _ in 0..50 {
        let message: Value = serde_json::from_str(&channel.text()).unwrap();
        let message = message.get(0).cloned().unwrap_or(message);
        let one = market.get_or_insert(message["market"].clone());
        assert_eq!(*one, message["market"], "only the market still subscribed");
    }
    drop(channel);
}

#[test]
fn the_same_seed_gives_the_same_events() {
    let record = |seed: u64, skip_ms: u64| {
        let venue = venue(|config| {
            config.seed = seed;
            config.births_per_minute = 300.0;
            config.resolutions_per_minute = 100.0;
        });
        let tokens = all_tokens(&venue);
        let mut channel = Channel::open(&venue);
        channel.subscribe(&tokens, true);
        let mut sequence = vec![channel.text()];
        std::thread::sleep(std::time::Duration::from_millis(skip_ms));
        venue.resume().unwrap();
        while sequence.len() < 800 {
            sequence.push(channel.text());
        }
        sequence.iter().map(|text| without_time(text)).collect::<Vec<_>>()
    };
    let (first, again, other) = (record(7, 0), record(7, 40), record(8, 0));
    for (at, (first, again)) in first.iter().zip(&again).enumerate() {
        assert_eq!(first, again, "message {at}");
    }
    assert_ne!(first, other);
}

/// A message without what depends on the wall clock.
fn without_time(text: &str) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                for key in ["timestamp", "hash"] {
                    map.remove(key);
                }
                map.values_mut().for_each(strip);
            }
            Value::Array(values) => values.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value: Value = serde_json::from_str(text).unwrap();
    strip(&mut value);
    value
}
