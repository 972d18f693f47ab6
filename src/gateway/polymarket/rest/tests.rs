//! Requests of the official clients, and the shapes that they parse.
use super::*;
use crate::base::price::Quantity;
use crate::gateway::catalog::Catalog;
use crate::market::book::image::BookFacts;
use crate::market::book::{Level, StaleReason};
use crate::market::info::{Fees, Listing, MarketEvent, MarketStage, Outcome};
use crate::venue::polymarket::VENUE;
use std::sync::Arc;

const NOW: u64 = 1_790_491_135_999_000_000;

/// The plan where no market is known.
fn plan(method: &str, path: &str, query: &str, body: &[u8]) -> Plan {
    let request = Request { method, path, query, body, now_wall_ns: NOW };
    let (catalog, trades) = (Catalog::default(), VecDeque::new());
    super::plan(&request, Known { catalog: &catalog, trades: &trades })
}

fn get(path: &str, query: &str) -> Plan {
    plan("GET", path, query, b"")
}

fn fixed_answer(plan: Plan) -> (u16, String) {
    match plan {
        Plan::Answer(answer) => (answer.status, answer.body),
        other => panic!("{other:?}"),
    }
}

fn token(text: &str) -> TokenId {
    TokenId::new(text).unwrap()
}

fn image(name: &str, bids: &[u32], asks: &[u32]) -> BookImage {
    let levels = |prices: &[u32]| {
        let one = |&price: &u32| Level { price: Price(price), quantity: Quantity(5_000_000) };
        prices.iter().map(one).collect()
    };
    BookImage {
        market: MarketId::new("0xa1"),
        token: TokenId::new(name),
        state: BookState::Live,
        facts: BookFacts {
            timestamp_ms: 7,
            tick_size: Some(Price(1_000)),
            last_trade: Some(Price(430_000)),
            neg_risk: true,
            ..BookFacts::default()
        },
        bids: levels(bids),
        asks: levels(asks),
        ..BookImage::default()
    }
}

/// The answer to a `GET` about the books of the images; a token without an image has none.
fn served(path: &str, query: &str, images: &[BookImage]) -> (u16, String) {
    match get(path, query) {
        Plan::Books { tokens, kind: BookKind::Polymarket(kind) } => {
            let find = |token: &TokenId| images.iter().find(|image| image.token == Some(*token));
            let books: Vec<_> = tokens.into_iter().map(|token| (token, find(&token))).collect();
            let answer = answer(&kind, &books, &VecDeque::new());
            assert_eq!(answer.content_type, "application/json");
            (answer.status, answer.body)
        }
        other => fixed_answer(other),
    }
}

#[test]
fn answers_without_a_book() {
    for (path, status, body) in [
        ("/", 200, r#""OK""#),
        ("/ok", 200, r#""OK""#),
        ("/version", 200, r#"{"version":2}"#),
        ("/time", 200, "1790491135"),
        ("/orderbook/1", 404, r#"{"error":"no such path"}"#),
        ("/nothing", 404, r#"{"error":"no such path"}"#),
        ("/books/1", 404, r#"{"error":"no such path"}"#),
        ("/fee-rate/1", 404, r#"{"error":"fee rate not found for market"}"#),
        ("/fee-rate", 400, r#"{"error":"Invalid token id"}"#),
    ] {
        assert_eq!(fixed_answer(get(path, "")), (status, body.to_owned()), "{path}");
    }
    assert_eq!(fixed_answer(plan("HEAD", "/ok", "", b"")).0, 200);
    assert_eq!(fixed_answer(plan("GET", "", "", b"")).0, 404);
}

#[test]
fn a_path_with_another_method_names_its_methods() {
    for (method, path, allowed) in [
        ("DELETE", "/book", "GET, HEAD"),
        ("POST", "/book", "GET, HEAD"),
        ("PUT", "/markets", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
        ("POST", "/prices-history", "GET, HEAD"),
        ("GET", "/batch-prices-history", "POST"),
        ("PUT", "/books", "GET, HEAD, POST"),
    ] {
        let Plan::Answer(answer) = plan(method, path, "", b"{}") else { panic!("{path}") };
        let body = format!(r#"{{"error":"the methods of this path are {allowed}"}}"#);
        assert_eq!((answer.status, answer.allowed, answer.body), (405, Some(allowed), body));
    }
    assert_eq!(fixed_answer(plan("PUT", "/nothing", "", b"")).0, 404);
}

#[test]
fn orders_and_accounts_are_not_answered() {
    for (method, path) in [
        ("POST", "/order"),
        ("POST", "/orders"),
        ("DELETE", "/cancel-all"),
        ("GET", "/data/orders"),
        ("GET", "/auth/derive-api-key"),
        ("GET", "/balance-allowance/update"),
        ("POST", "/v1/heartbeats"),
        ("GET", "/order-scoring"),
    ] {
        let (status, body) = fixed_answer(plan(method, path, "", b"{}"));
        assert_eq!(status, 501, "{path}");
        assert!(body.starts_with(r#"{"error":"ringbook answers market data only"#), "{body}");
    }
}

#[test]
fn each_request_about_one_token() {
    let images = [image("1", &[10_000, 45_000], &[990_000, 46_000])];
    for (path, query, status, body) in [
        ("/price", "token_id=1&side=BUY", 200, r#"{"price":"0.045"}"#),
        ("/price", "side=sell&token_id=1", 200, r#"{"price":"0.046"}"#),
        ("/price", "token_id=1&side=both", 400, r#"{"error":"Invalid side"}"#),
        ("/price", "side=BUY", 400, r#"{"error":"Invalid token id"}"#),
        ("/price", "", 400, r#"{"error":"Invalid token id"}"#),
        ("/midpoint", "token_id=1", 200, r#"{"mid":"0.0455"}"#),
        ("/midpoint", "token_id=", 400, r#"{"error":"Invalid token id"}"#),
        (
            "/midpoint",
            "token_id=2",
            404,
            r#"{"error":"No orderbook exists for the requested token id"}"#,
        ),
        ("/spread", "token_id=1", 200, r#"{"spread":"0.001"}"#),
        ("/last-trade-price", "token_id=1", 200, r#"{"price":"0.43","side":""}"#),
        ("/tick-size", "token_id=1", 200, r#"{"minimum_tick_size":0.001}"#),
        ("/tick-size/1", "", 200, r#"{"minimum_tick_size":0.001}"#),
        ("/neg-risk", "token_id=1", 200, r#"{"neg_risk":true}"#),
        ("/neg-risk/2", "", 404, r#"{"error":"No orderbook exists for the requested token id"}"#),
    ] {
        assert_eq!(served(path, query, &images), (status, body.to_owned()), "{path}?{query}");
    }
    let mut text = String::new();
    images[0].write_json(&mut text);
    assert_eq!(served("/book", "token_id=1", &images), (200, text));
}

#[test]
fn an_empty_side_has_no_price_and_no_trade_is_one_half() {
    let mut bare = image("1", &[10_000], &[]);
    bare.facts.last_trade = None;
    bare.facts.tick_size = None;
    let images = [bare];
    for (path, query, status, body) in [
        ("/price", "token_id=1&side=BUY", 200, r#"{"price":"0.01"}"#),
        ("/price", "token_id=1&side=SELL", 404, r#"{"error":"the side is empty"}"#),
        ("/midpoint", "token_id=1", 404, r#"{"error":"a side is empty"}"#),
        ("/spread", "token_id=1", 404, r#"{"error":"a side is empty"}"#),
        ("/last-trade-price", "token_id=1", 200, r#"{"price":"0.5","side":""}"#),
        ("/tick-size", "token_id=1", 404, r#"{"error":"market not found"}"#),
        ("/midpoints", "token_ids=1", 200, "{}"),
        ("/prices", "token_ids=1,1&sides=SELL,BUY", 200, r#"{"1":{"BUY":"0.01"}}"#),
    ] {
        assert_eq!(served(path, query, &images), (status, body.to_owned()), "{path}?{query}");
    }
}

#[test]
fn a_book_that_is_not_live_has_no_price() {
    let mut stale = image("1", &[10_000], &[20_000]);
    stale.state = BookState::Stale { why: StaleReason::Disconnected, since_wall_ns: 9_000_000 };
    let mut awaited = image("2", &[], &[]);
    awaited.state = BookState::AwaitingSnapshot;
    let images = [stale, awaited];
    for path in ["/price", "/midpoint", "/spread", "/last-trade-price"] {
        let (status, body) = served(path, "token_id=1&side=BUY", &images);
        assert_eq!(status, 503);
        let line = r#"{"error":"the book is stale:disconnected: no price until it is live"}"#;
        assert_eq!(body, line, "{path}");
    }
    let (status, body) = served("/book", "token_id=1", &images);
    assert!(status == 200 && body.ends_with(r#""state":"stale:disconnected","stale_since":"9"}"#));
    assert_eq!(served("/book", "token_id=2", &images).0, 503);
    assert_eq!(served("/tick-size", "token_id=1", &images).0, 200);
    let (_, books) = served("/books", "token_ids=1,2,3", &images);
    assert!(books.starts_with(r#"[{"market":"0xa1","asset_id":"1""#), "{books}");
    assert_eq!(books.matches("asset_id").count(), 1, "only the one with levels");
    for (path, empty) in
        [("/prices", "{}"), ("/midpoints", "{}"), ("/spreads", "{}"), ("/last-trades-prices", "[]")]
    {
        let answer = served(path, "token_ids=1,2&sides=BUY,SELL", &images);
        assert_eq!(answer, (200, empty.to_owned()), "{path}");
    }
}

#[test]
fn requests_about_many_tokens() {
    let images = [image("1", &[450_000], &[460_001]), image("2", &[540_000], &[550_000])];
    for (path, query, body) in [
        ("/midpoints", "token_ids=1,2,3,1", r#"{"1":"0.4550005","2":"0.545"}"#),
        ("/spreads", "token_ids=%31%2C2", r#"{"1":"0.010001","2":"0.01"}"#),
        (
            "/prices",
            "token_ids=1,2,1&sides=BUY,SELL,SELL",
            r#"{"1":{"BUY":"0.45","SELL":"0.460001"},"2":{"SELL":"0.55"}}"#,
        ),
        ("/last-trades-prices", "token_ids=2,9", r#"[{"price":"0.43","side":"","token_id":"2"}]"#),
    ] {
        assert_eq!(served(path, query, &images), (200, body.to_owned()), "{path}?{query}");
    }
    assert_eq!(served("/midpoints", "", &images).0, 400);
    assert_eq!(served("/prices", "token_ids=1,2&sides=BUY", &images).0, 400);
}

#[test]
fn bodies_are_read_and_bounded() {
    let post = |path: &str, body: &str| plan("POST", path, "", body.as_bytes());
    let books = |ids: &[&str], kind| super::books(ids.iter().map(|id| token(id)).collect(), kind);
    let two =
        r#"[{"token_id": "1", "side": ""}, {"token_id": "a b"}, {"token_id": "2", "x": [{}]}]"#;
    assert_eq!(post("/books", two), books(&["1", "2"], Kind::Books));
    assert_eq!(post("/books", "[]"), books(&[], Kind::Books));
    let sides = r#"[{"token_id":"1","side":"SELL"},{"token_id":"1","side":"BUY"}]"#;
    let prices = Kind::Prices(vec![Side::Ask, Side::Bid]);
    assert_eq!(post("/prices", sides), books(&["1", "1"], prices));
    for (path, body, why) in [
        ("/prices", two, "Invalid side"),
        ("/books", "", "Invalid payload"),
        ("/books", "{}", "Invalid payload"),
        ("/books", r#"[{"token_id":1}]"#, "Invalid payload"),
        ("/spreads", r#"[{"side":"BUY"}]"#, "Invalid payload"),
        ("/midpoints", &"[".repeat(100_000), "Invalid payload"),
    ] {
        let answer = (400, format!(r#"{{"error":"{why}"}}"#));
        assert_eq!(fixed_answer(post(path, body)), answer, "{path}");
    }
    assert_eq!(fixed_answer(plan("POST", "/books", "", b"\xff")).0, 400);
    let most = |count: usize| format!("[{}]", vec![r#"{"token_id":"1"}"#; count].join(","));
    let Plan::Books { tokens, .. } = post("/books", &most(500)) else { panic!("500 are answered") };
    assert_eq!(tokens.len(), 500);
    let beyond = (400, r#"{"error":"Payload exceeds the limit"}"#.to_owned());
    assert_eq!(fixed_answer(post("/books", &most(501))), beyond);
}

#[test]
fn markets_have_what_the_registry_knows() {
    let info = MarketInfo {
        market: MarketId::new("0xa1").unwrap(),
        tokens: vec![
            Outcome { token: token("1"), name: "Yes \"!\"".into() },
            Outcome { token: token("2"), name: "No".into() },
        ],
        slug: String::new(),
        question: String::new(),
        start_wall_ns: None,
        end_wall_ns: None,
        tick_size: Some(Price(1_000)),
        min_order_size: Some(Quantity(5_000_000)),
        neg_risk: true,
        listing: None,
    };
    let of = |path: &str, listing: Option<Listing>| {
        let info = MarketInfo { listing: listing.map(Arc::new), ..info.clone() };
        let mut catalog = Catalog::default();
        catalog.on_event(
            VENUE,
            &MarketEvent { stage: MarketStage::Opened, info, resolution: None, is_repeated: false },
        );
        let (method, query, body) = ("GET", "", &b""[..]);
        let request = Request { method, path, query, body, now_wall_ns: NOW };
        let trades = VecDeque::new();
        fixed_answer(super::plan(&request, Known { catalog: &catalog, trades: &trades })).1
    };
    let schedule = FeeSchedule { rate: "0.05".into(), exponent: "1".into(), taker_only: true };
    let fees = Fees { maker_bps: 0, taker_bps: 1_000, schedule: Some(schedule) };
    let listing = || Some(Listing { fees: Some(fees.clone()), ..Listing::default() });
    assert!(
        of("/clob-markets/0xa1", listing())
            .ends_with(r#","nr":true,"mbf":0,"tbf":1000,"fd":{"r":0.05,"e":1,"to":true}}"#)
    );
    assert_eq!(of("/fee-rate/2", listing()), r#"{"base_fee":1000}"#);
    assert_eq!(of("/fee-rate/2", Some(Listing::default())), r#"{"base_fee":0}"#);
    assert_eq!(of("/fee-rate/2", None), r#"{"error":"fee rate not found for market"}"#);
    assert_eq!(of("/clob-markets/0xa2", None), r#"{"error":"market not found"}"#);
    assert_eq!(of("/prices-history", None), r#"{"error":"Invalid token id"}"#);
    let of = |path| of(path, None);
    assert_eq!(
        of("/clob-markets/0xa1"),
        r#"{"t":[{"t":"1","o":"Yes \"!\""},{"t":"2","o":"No"}],"c":"0xa1","mos":5,"mts":0.001,"nr":true}"#
    );
    assert_eq!(
        of("/markets-by-token/2"),
        r#"{"condition_id":"0xa1","primary_token_id":"1","secondary_token_id":"2"}"#
    );
    assert_eq!(of("/clob-markets/"), r#"{"error":"Invalid market"}"#);
    assert_eq!(of("/markets-by-token/%22"), r#"{"error":"Invalid token id"}"#);
    assert_eq!(of("/markets-by-token"), r#"{"error":"no such path"}"#);
}

#[test]
fn the_last_trade_has_its_side_where_it_came_to_a_subscribed_book() {
    let trade = |side, price: u32| TradeUpdate {
        timestamp_ms: 7,
        price: Price(price),
        quantity: Quantity(1),
        side,
        fee_rate_bps: None,
        id: None,
    };
    let book = image("1", &[10_000], &[]);
    let books = [(token("1"), Some(&book))];
    let of = |trades: &[(TokenId, TradeUpdate)]| {
        answer(&Kind::LastTradePrice, &books, &trades.iter().copied().collect()).body
    };
    let (other, newer) = (token("2"), trade(Side::Ask, 430_000));
    assert_eq!(
        of(&[(token("1"), trade(Side::Bid, 1)), (token("1"), newer), (other, trade(Side::Bid, 2))]),
        r#"{"price":"0.43","side":"SELL"}"#
    );
    assert_eq!(of(&[(other, newer)]), r#"{"price":"0.43","side":""}"#);
    assert_eq!(of(&[(token("1"), trade(Side::Bid, 1))]), r#"{"price":"0.43","side":""}"#);
}
