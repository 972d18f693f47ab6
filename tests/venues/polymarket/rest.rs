//! Gamma and CLOB over HTTP: paging, filters, limits, and that REST equals the simulated books.
use std::collections::HashSet;
use std::io::Read;

use serde_json::Value;

use super::client::{TIMEOUT, all_tokens, ask, connect, field, get, market_tokens, post, request};
use super::{venue, wait};

#[test]
fn paging_walks_every_market_exactly_once() {
    let venue = venue(|config| config.markets = 357);
    for (base, limit, pages) in [("/markets/keyset", 100, 4), ("/markets/keyset", 1000, 4)] {
        let (mut seen, mut count, mut cursor) = (HashSet::new(), 0, String::new());
        loop {
            count += 1;
            let page = get(&venue, &format!("{base}?limit={limit}&closed=false{cursor}"));
            for market in page["markets"].as_array().unwrap() {
                assert!(seen.insert(market["conditionId"].as_str().unwrap().to_owned()));
            }
            match page.get("next_cursor") {
                Some(next) => cursor = format!("&after_cursor={}", next.as_str().unwrap()),
                None => break,
            }
        }
        assert_eq!((seen.len(), count), (357, pages));
    }
    let (mut events, mut markets, mut cursor) = (0, HashSet::new(), String::new());
    loop {
        let page = get(&venue, &format!("/events/keyset?limit=30{cursor}"));
        for event in page["events"].as_array().unwrap() {
            events += 1;
            for market in event["markets"].as_array().unwrap() {
                assert!(markets.insert(market["id"].as_str().unwrap().to_owned()));
                assert_eq!(market["negRisk"], event["negRisk"]);
            }
        }
        match page.get("next_cursor") {
            Some(next) => cursor = format!("&after_cursor={}", next.as_str().unwrap()),
            None => break,
        }
    }
    assert_eq!(markets.len(), 357);
    assert!((40..200).contains(&events), "{events} events");

    let mut by_offset = 0;
    for offset in (0..=400).step_by(100) {
        let page = get(&venue, &format!("/markets?limit=500&offset={offset}"));
        by_offset += page.as_array().unwrap().len();
    }
    assert_eq!(by_offset, 357);
    assert_eq!(get(&venue, "/markets").as_array().unwrap().len(), 20);
    assert_eq!(request(&venue, "GET", "/markets?offset=10001").status, 422);
    assert_eq!(request(&venue, "GET", "/markets/keyset?offset=0").status, 422);
    assert_eq!(request(&venue, "GET", "/markets/keyset?after_cursor=%21").status, 422);
    assert_eq!(request(&venue, "GET", "/events/keyset?limit=x").status, 422);
}

#[test]
fn markets_have_gamma_s_mixed_types_and_filters() {
    let venue = venue(|_| {});
    let market = get(&venue, "/markets?limit=1")[0].clone();
    let tokens = market_tokens(&market);
    for token in &tokens {
        assert!((76..=78).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_digit()));
    }
    assert!(market["conditionId"].as_str().unwrap().len() == 66);
    assert!(market["volume"].is_string() && market["volumeNum"].is_number());
    assert!(market["orderPriceMinTickSize"].is_number() && market["orderMinSize"] == 5);
    let outcomes: Vec<String> = serde_json::from_str(market["outcomes"].as_str().unwrap()).unwrap();
    assert_eq!(outcomes.len(), 2);
    assert!(market["endDate"].as_str().unwrap().ends_with('Z'));
    assert!(market.get("closedTime").is_none(), "keys are missing when null");
    for key in ["active", "acceptingOrders", "enableOrderBook"] {
        assert_eq!(market[key], true);
    }
    let id = &market["id"];
    let same = |path: String| {
        let found = get(&venue, &path);
        let found = found.as_array().map_or_else(|| vec![found.clone()], Clone::clone);
        assert_eq!(found.len(), 1, "{path}");
        assert_eq!(&found[0]["id"], id, "{path}");
    };
    same(format!("/markets?condition_ids={}", market["conditionId"].as_str().unwrap()));
    same(format!("/markets?slug={}", market["slug"].as_str().unwrap()));
    same(format!("/markets?clob_token_ids={}&clob_token_ids={}", tokens[1], tokens[0]));
    same(format!("/markets/slug/{}", market["slug"].as_str().unwrap()));
    assert_eq!(request(&venue, "GET", "/markets/slug/none").status, 404);
    assert_eq!(get(&venue, "/markets?closed=true").as_array().unwrap().len(), 0);
}

#[test]
fn books_over_rest_equal_the_simulated_books() {
    let venue = venue(|_| {});
    let tokens = all_tokens(&venue);
    venue.resume().unwrap();
    wait(&venue, |stats| stats.events() >= 500);
    venue.pause().unwrap();
    let wanted: Vec<Value> =
        tokens.iter().map(|token| serde_json::json!({"token_id": token})).collect();
    let unknown = serde_json::json!({"token_id": "12"});
    let body = serde_json::to_string(&[vec![unknown], wanted.clone()].concat()).unwrap();
    let mut stream = connect(&venue, TIMEOUT);
    let books = ask(&mut *stream, "POST", "/books", &format!("accept: */*\r\n\r\n{body}")).json();
    let books = books.as_array().unwrap();
    assert_eq!(books.len(), tokens.len(), "unknown tokens are left out");
    for (book, token) in books.iter().zip(&tokens) {
        let one = get(&venue, &format!("/book?token_id={token}"));
        let keys = one.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(
            keys.join(","),
            "market,asset_id,timestamp,hash,bids,asks,min_order_size,tick_size,neg_risk,last_trade_price"
        );
        assert_eq!(&one, book);
        assert_eq!(one, get(&venue, &format!("/sim/truth/{token}")));
        let truth: Value = serde_json::from_str(&venue.truth(token).unwrap()).unwrap();
        assert_eq!(one, truth);
    }
    assert!(venue.truth("12").is_none());
    let missing = request(&venue, "GET", "/book?token_id=12");
    assert_eq!(missing.status, 404);
    assert_eq!(missing.json()["error"], "No orderbook exists for the requested token id");
    assert_eq!(request(&venue, "GET", "/book?token_id=abc").status, 400);
    assert_eq!(request(&venue, "GET", "/book").status, 400);
    let many = vec![&wanted[0]; 501];
    let body = serde_json::to_string(&many).unwrap();
    let refused = ask(&mut *stream, "POST", "/books", &format!("accept: */*\r\n\r\n{body}"));
    assert_eq!(refused.status, 400);
    assert!(get(&venue, "/time").as_u64().unwrap() > 1_700_000_000);
    assert_eq!(request(&venue, "GET", "/nothing").status, 404);
    assert_eq!(request(&venue, "GET", "/ws/market").status, 426);
}

#[test]
fn answers_are_compressed_when_asked_and_limited_when_too_many() {
    let venue = venue(|config| config.tls = true);
    let mut stream = connect(&venue, TIMEOUT);
    let packed = ask(&mut *stream, "GET", "/markets", "accept-encoding: gzip");
    assert_eq!(field(&packed.head, "content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut text).unwrap();
    let plain = ask(&mut *stream, "GET", "/markets", "");
    assert_eq!(field(&plain.head, "content-encoding"), None);
    assert_eq!(text.as_bytes(), plain.body);
    assert!(packed.body.len() * 4 < plain.body.len());

    let mut refused = None;
    for _ in 0..400 {
        let answer = ask(&mut *stream, "GET", "/markets?limit=1", "");
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("300 in 10 seconds are allowed");
    let seconds: u64 = field(&refused.head, "retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&seconds));
    assert_eq!(ask(&mut *stream, "GET", "/time", "").status, 200, "only that route");
    assert_eq!(venue.stats().rate_limited, 1);
}

#[test]
fn births_and_resolutions_show_everywhere() {
    let venue = venue(|config| config.rate = 50.0);
    let before = all_tokens(&venue);
    let mut channel = super::client::Channel::open(&venue);
    channel.subscribe(&before, true);
    channel.text();
    assert_eq!(post(&venue, "/sim/birth?count=3")["count"], 3);
    assert_eq!(post(&venue, "/sim/resolve?count=2")["count"], 2);
    venue.resume().unwrap();
    let mut resolved = Vec::new();
    let mut born = HashSet::new();
    channel.until(|text| {
        let message: Value = serde_json::from_str(text).unwrap();
        match message["event_type"].as_str() {
            Some("market_resolved") => resolved.push(message),
            Some("new_market") => drop(born.insert(message["condition_id"].to_string())),
            _ => {}
        }
        resolved.len() == 2 && born.len() == 3
    });
    venue.pause().unwrap();
    assert_eq!(all_tokens(&venue).len(), before.len() + 2);
    for message in &resolved {
        let condition = message["market"].as_str().unwrap();
        let winner = message["winning_asset_id"].as_str().unwrap();
        assert!(venue.truth(winner).is_none());
        assert_eq!(request(&venue, "GET", &format!("/book?token_id={winner}")).status, 404);
        let path = format!("/markets?condition_ids={condition}");
        assert_eq!(get(&venue, &path).as_array().unwrap().len(), 0);
        let market = get(&venue, &format!("{path}&closed=true"))[0].clone();
        assert!(market["closed"] == true && market["acceptingOrders"] == false);
        let prices = market["outcomePrices"].as_str().unwrap();
        assert!(prices.contains("1.0000") && prices.contains("0.0000"));
    }
    let stats = venue.stats();
    assert_eq!((stats.live_markets, stats.subscriptions), (25, 44));
}
