//! Requests and answers, byte by byte.
use super::*;
use crate::base::id::{MarketId, TradeId};
use crate::base::price::{Price, Quantity};
use crate::gateway::catalog::Catalog;
use crate::market::book::StaleReason;

fn token(ticker: &str) -> TokenId {
    TokenId::new(ticker).unwrap()
}

fn image(ticker: &str) -> BookImage {
    let level = |price, quantity| Level { price: Price(price), quantity: Quantity(quantity) };
    BookImage {
        market: MarketId::new(ticker),
        token: Some(token(ticker)),
        state: BookState::Live,
        bids: vec![level(80_000, 300_000_000), level(220_000, 333_500_000)],
        asks: vec![level(460_000, 20_000_000), level(440_000, 146_000_000)],
        ..BookImage::default()
    }
}

fn status(plan: &Plan) -> u16 {
    let Plan::Answer(answer) = plan else { panic!("{plan:?}") };
    assert!(!answer.body.contains('\n'), "one line");
    answer.status
}

/// The plan where no market is known.
fn plan(method: &str, path: &str, query: &str) -> Plan {
    with_trades(method, path, query, &[])
}

fn with_trades(method: &str, path: &str, query: &str, trades: &[(TokenId, TradeUpdate)]) -> Plan {
    let request = Request { method, path, query, body: b"", now_wall_ns: 0 };
    let (catalog, trades) = (Catalog::default(), trades.iter().copied().collect());
    super::plan(&request, Known { catalog: &catalog, trades: &trades })
}

#[test]
fn requests_are_read_or_refused() {
    let get = |path: &str, query: &str| plan("GET", &format!("{ROOT}{path}"), query);
    let one = |ticker, depth| books(vec![token(ticker)], Kind::One { depth });
    for query in ["", "depth=0", "depth=", "other=7"] {
        assert_eq!(get("/markets/KX-A.5/orderbook", query), one("KX-A.5", usize::MAX));
    }
    assert_eq!(get("/markets/KX-A/orderbook", "a=b&depth=10"), one("KX-A", 10));
    assert_eq!(
        get("/markets/orderbooks", "tickers=%41&tickers=B"),
        books(vec![token("A"), token("B")], Kind::Many)
    );
    assert_eq!(get("/exchange/status", ""), Plan::Status);
    let many = "tickers=A&".repeat(TICKERS_MAX + 1);
    for (path, query, expected) in [
        ("/markets/A/orderbook", "depth=101", 400),
        ("/markets/A/orderbook", "depth=-1", 400),
        ("/markets/orderbooks", "", 400),
        ("/markets/orderbooks", many.as_str(), 400),
        ("/markets/orderbooks", "tickers=A%20", 400),
        ("/markets/trades", "limit=1001", 400),
        ("/markets/trades", "ticker=A%2F", 400),
        ("/markets/A/B/orderbook", "", 404),
        ("/markets//orderbook", "", 404),
        ("/portfolio/orders", "", 501),
        ("/markets", "min_created_ts=5", 501),
        ("/series", "", 501),
        ("/markets/A", "", 404),
        ("", "", 501),
    ] {
        assert_eq!(status(&get(path, query)), expected, "{path}?{query}");
    }
    assert_eq!(status(&plan("GET", "/markets/A/orderbook", "")), 404);
    for path in ["/exchange/status", "/markets", "/markets/A/orderbook", "/events"] {
        assert_eq!(status(&plan("POST", &format!("/trade-api/v2{path}"), "")), 405, "{path}");
    }
    assert_eq!(status(&plan("POST", "/trade-api/v2/portfolio/orders", "")), 501);
}

#[test]
fn a_live_book_has_its_best_levels() {
    let book = image("A");
    let one = |depth, image| answer(Kind::One { depth }, &[(token("A"), image)]);
    assert_eq!(
        one(usize::MAX, Some(&book)).body,
        r#"{"orderbook_fp":{"yes_dollars":[["0.0800","300.00"],["0.2200","333.50"]],"no_dollars":[["0.5400","20.00"],["0.5600","146.00"]]}}"#
    );
    assert_eq!(
        one(1, Some(&book)).body,
        r#"{"orderbook_fp":{"yes_dollars":[["0.2200","333.50"]],"no_dollars":[["0.5600","146.00"]]}}"#
    );
    let mut stale = image("A");
    stale.state = BookState::Stale { why: StaleReason::Disconnected, since_wall_ns: 1 };
    assert_eq!(one(1, Some(&stale)).status, 503);
    assert_eq!(one(1, None).status, 404);
    assert_eq!(answer(Kind::One { depth: 1 }, &[]).status, 404);
    let mut empty = image("D");
    (empty.bids, empty.asks) = (Vec::new(), Vec::new());
    let books = [("A", Some(&stale)), ("B", Some(&empty)), ("C", None), ("D", Some(&empty))];
    let books = books.map(|(ticker, image)| (token(ticker), image));
    assert_eq!(
        answer(Kind::Many, &books).body,
        r#"{"orderbooks":[{"ticker":"B","orderbook_fp":{"yes_dollars":[],"no_dollars":[]}},{"ticker":"D","orderbook_fp":{"yes_dollars":[],"no_dollars":[]}}]}"#
    );
}

#[test]
fn status_and_trades_have_the_venues_shape() {
    let mut status = ExchangeStatus { active: true, trading: false, resumes_wall_ns: None };
    assert_eq!(
        status_answer(Some(status)).body,
        r#"{"exchange_active":true,"trading_active":false,"exchange_estimated_resume_time":null}"#
    );
    status.resumes_wall_ns = Some(1_786_085_188_978_000_000);
    assert!(status_answer(Some(status)).body.ends_with(r#":"2026-08-07T06:46:28.978Z"}"#));
    assert_eq!(status_answer(None).status, 503);
    let trade = |quantity| TradeUpdate {
        timestamp_ms: 1_786_085_188_978,
        price: Price(60_000),
        quantity: Quantity(quantity),
        side: Side::Ask,
        fee_rate_bps: None,
        id: TradeId::new("961535f3"),
    };
    let all = [(token("A"), trade(1_500_000)), (token("B"), trade(1)), (token("A"), trade(2))];
    let get = |query: &str| match with_trades("GET", &format!("{ROOT}/markets/trades"), query, &all)
    {
        Plan::Answer(answer) => answer.body,
        other => panic!("{other:?}"),
    };
    assert_eq!(get("ticker=C"), r#"{"trades":[],"cursor":""}"#);
    assert_eq!(get("").matches("trade_id").count(), 3);
    assert!(get("limit=1").contains(r#""ticker":"A","count_fp":"0.000002""#), "the newest");
    assert_eq!(get("ticker=A").matches("trade_id").count(), 2);
    assert!(get("ticker=A").ends_with(
        r#",{"trade_id":"961535f3","ticker":"A","count_fp":"1.50","yes_price_dollars":"0.0600","no_price_dollars":"0.9400","taker_side":"no","taker_outcome_side":"no","taker_book_side":"ask","is_block_trade":false,"created_time":"2026-08-07T06:46:28.978Z"}],"cursor":""}"#
    ));
}
