//! REST: pages, filters, bounds, and markets as they are shown.
use super::client::Client;
use super::model::{Model, fixed, levels};
use super::venue;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn names(answer: &Value, list: &str, key: &str) -> Vec<String> {
    let all = answer[list].as_array().unwrap().iter();
    all.map(|one| one[key].as_str().unwrap().to_owned()).collect()
}

#[test]
fn pages_follow_each_other_to_the_end() {
    let venue = venue(|config| config.markets = 23);
    for (path, list, key, count, pages) in [
        ("/markets?limit=5", "markets", "ticker", 23, 5),
        ("/events?limit=2", "events", "event_ticker", 5, 3),
    ] {
        let (mut cursor, mut all, mut seen) = (String::new(), Vec::new(), 0);
        loop {
            let answer = venue.rest(&format!("{path}&cursor={cursor}"));
            all.extend(names(&answer, list, key));
            seen += 1;
            cursor = answer["cursor"].as_str().unwrap().to_owned();
            if cursor.is_empty() {
                break;
            }
        }
        assert_eq!((all.len(), seen), (count, pages));
        assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), count);
    }
    assert_eq!(names(&venue.rest("/markets"), "markets", "ticker").len(), 23);
    assert_eq!(names(&venue.rest("/markets?limit=0"), "markets", "ticker").len(), 23);
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    let venue = venue(|_| {});
    let book = format!("/markets/{}/orderbook", venue.tickers()[0]);
    for path in [
        "/markets?limit=1001",
        "/markets?limit=-1",
        "/markets?limit=many",
        "/markets?cursor=there",
        "/markets?status=active",
        "/markets?status=open,closed",
        "/markets?mve_filter=some",
        "/markets?min_close_ts=soon",
        "/markets?min_close_ts=1&max_created_ts=2",
        "/markets?min_close_ts=1&status=open",
        "/markets?max_settled_ts=1&status=closed",
        "/markets?min_created_ts=1&status=settled",
        "/markets?min_updated_ts=1&status=open",
        "/markets?min_updated_ts=1&mve_filter=only",
        "/events?limit=0",
        "/events?limit=201",
        "/events?status=paused",
        "/events?min_close_ts=x",
    ] {
        assert_eq!(venue.rest_status("GET", path), 400, "{path}");
    }
    for depth in ["101", "-1", "all"] {
        assert_eq!(venue.rest_status("GET", &format!("{book}?depth={depth}")), 400, "{depth}");
    }
    let books = |query: &str| {
        let headers = super::client::headers("a", &now_ms().to_string(), "AAAA");
        venue.request("GET", &format!("/trade-api/v2/markets/orderbooks?{query}"), &headers).status
    };
    assert_eq!(books(""), 400);
    assert_eq!(books(&vec!["tickers=A"; 101].join("&")), 400);
    assert_eq!(books(&vec!["tickers=A"; 100].join("&")), 200);
    for path in ["/markets", "/events", "/exchange/status", book.as_str()] {
        assert_eq!(venue.rest_status("POST", path), 405, "{path}");
        assert_eq!(venue.rest_status("GET", path), 200, "{path}");
    }
    for path in ["/market", "/markets/NO-SUCH", "/markets/NO-SUCH/orderbook", ""] {
        assert_eq!(venue.rest_status("GET", path), 404, "{path}");
    }
    assert_eq!(venue.rest_status("POST", "/nothing"), 404);
}

fn now_ms() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()
}

#[test]
fn filters_leave_what_fits() {
    let venue = venue(|config| {
        config.markets = 60;
        config.births_per_minute = 2_400.0;
        config.deaths_per_minute = 2_400.0;
    });
    venue.control("resume");
    venue.wait("/markets", |markets| markets >= 60 + 28);
    venue.control("pause");
    let all = venue.rest("/markets?limit=1000");
    let all = all["markets"].as_array().unwrap();
    let fit = |query: &str, fits: &dyn Fn(&Value) -> bool| {
        let shown =
            names(&venue.rest(&format!("/markets?limit=1000&{query}")), "markets", "ticker");
        let expected = all.iter().filter(|market| fits(market));
        let expected: Vec<&str> = expected.map(|m| m["ticker"].as_str().unwrap()).collect();
        assert_eq!(shown, expected, "{query}");
        shown.len()
    };
    let status = |name: &'static str| move |market: &Value| market["status"] == name;
    assert!(fit("status=open", &status("active")) > 30);
    assert!(fit("status=unopened", &status("initialized")) > 3);
    assert!(fit("status=settled", &status("finalized")) > 3);
    fit("status=closed", &status("closed"));
    assert_eq!(fit("status=paused", &status("inactive")), 0);
    assert_eq!(fit("mve_filter=only", &|_| false), 0);
    assert_eq!(fit("mve_filter=exclude", &|_| true), all.len());
    let event = all[7]["event_ticker"].as_str().unwrap();
    assert_eq!(fit(&format!("event_ticker={event}"), &|m| m["event_ticker"] == event), 5);
    assert_eq!(fit("series_ticker=KXSIM", &|_| true), all.len());
    assert_eq!(fit("series_ticker=KXOTHER", &|_| false), 0);
    let some = [&all[3]["ticker"], &all[9]["ticker"]].map(|name| name.as_str().unwrap());
    let query = format!("tickers={},{}", some[0], some[1]);
    assert_eq!(fit(&query, &|m| some.iter().any(|name| m["ticker"] == *name)), 2);
    let seconds = |market: &Value, key: &str| {
        let at: Option<jiff::Timestamp> = market[key].as_str().map(|text| text.parse().unwrap());
        at.map(|at| at.as_second())
    };
    // Those of a year ahead, and those that close within seconds.
    let soon = i64::try_from(now_ms() / 1000).unwrap() + 60;
    let early = |m: &Value| seconds(m, "close_time").is_some_and(|at| at <= soon);
    assert!(fit(&format!("max_close_ts={soon}"), &early) > 3);
    assert!(fit(&format!("min_close_ts={}", soon + 1), &|m| !early(m)) > 30);
    let settled = |m: &Value| seconds(m, "settlement_ts").is_some();
    assert!(fit("min_settled_ts=1", &settled) > 3);
    assert_eq!(fit("max_settled_ts=1&status=settled", &|_| false), 0);
    let born = seconds(all.last().unwrap(), "created_time").unwrap();
    fit(&format!("min_created_ts={born}"), &|m| seconds(m, "created_time") >= Some(born));
    fit(&format!("min_updated_ts={born}"), &|m| seconds(m, "updated_time") >= Some(born));
    assert_eq!(fit(&format!("min_created_ts={}&status=open", born + 9), &|_| false), 0);
}

#[test]
fn events_are_shown_with_their_markets_if_one_of_them_fits() {
    let venue = venue(|config| config.markets = 20);
    let all = venue.rest("/events?with_nested_markets=true");
    let events = all["events"].as_array().unwrap();
    assert_eq!(events.len(), 4);
    for event in events {
        let markets = event["markets"].as_array().unwrap();
        assert_eq!(markets.len(), 5);
        assert!(markets.iter().all(|m| m["event_ticker"] == event["event_ticker"]));
        let alone = venue.rest(&format!("/markets/{}", markets[0]["ticker"].as_str().unwrap()));
        assert_eq!(alone["market"], markets[0], "the same object everywhere");
    }
    let count =
        |query: &str| venue.rest(&format!("/events?{query}"))["events"].as_array().unwrap().len();
    assert!(venue.rest("/events")["events"][0].get("markets").is_none());
    assert_eq!((count("status=open"), count("status=settled")), (4, 0));
    assert_eq!((count("series_ticker=KXSIM"), count("series_ticker=OTHER")), (4, 0));
    let name = events[2]["event_ticker"].as_str().unwrap();
    assert_eq!(count(&format!("tickers={name}")), 1);
    assert_eq!((count("min_close_ts=1"), count("min_close_ts=9999999999")), (4, 0));
    assert_eq!((count("min_updated_ts=1"), count("min_updated_ts=9999999999")), (4, 0));
}

#[test]
fn books_over_rest_are_those_of_the_stream_and_as_deep_as_asked() {
    let venue = venue(|config| config.trades_per_10_000 = 2_000);
    let tickers = venue.tickers();
    let mut client = Client::open(&venue);
    let mut model = Model::default();
    model.apply_all(&client.books(&tickers));
    client.ask("subscribe", json!({"channels": ["trade"]}));
    venue.play(500);
    let received = client.settle().0;
    model.apply_all(&received);
    for ticker in &tickers {
        let book = |depth: &str| {
            let answer = venue.rest(&format!("/markets/{ticker}/orderbook{depth}"));
            let sides = ["yes_dollars", "no_dollars"];
            sides.map(|side| levels(&answer["orderbook_fp"][side]))
        };
        let whole = model.books[ticker]
            .each_ref()
            .map(|side| side.iter().map(|(&price, &size)| (price, size)).collect::<Vec<_>>());
        assert_eq!(book(""), whole);
        assert_eq!(book("?depth=0"), whole);
        let best = whole.each_ref().map(|side| side[side.len().saturating_sub(2)..].to_vec());
        assert_eq!(book("?depth=2"), best);
        let market = &venue.rest(&format!("/markets/{ticker}"))["market"];
        let top = |side: &[(i64, i64)]| side.last().copied().unwrap_or((0, 0));
        let (yes, no) = (top(&whole[0]), top(&whole[1]));
        for (key, price) in [
            ("yes_bid_dollars", yes.0),
            ("yes_ask_dollars", 10_000 - no.0),
            ("no_bid_dollars", no.0),
            ("no_ask_dollars", 10_000 - yes.0),
        ] {
            assert_eq!(fixed(&market[key], 4), price, "{ticker} {key}");
        }
        assert_eq!(fixed(&market["yes_bid_size_fp"], 2), yes.1);
        assert_eq!(fixed(&market["yes_ask_size_fp"], 2), no.1);
        let trades = received
            .iter()
            .filter(|m| m["type"] == "trade" && m["msg"]["market_ticker"] == ticker.as_str());
        let volume: i64 = trades.map(|m| fixed(&m["msg"]["count_fp"], 2)).sum();
        assert!(volume > 0);
        assert_eq!(fixed(&market["volume_fp"], 2), volume, "{ticker}");
    }
}

#[test]
fn requests_are_limited_as_the_page_says() {
    let venue = venue(|config| config.rate_limits = true);
    let statuses: Vec<u16> =
        (0..60).map(|_| venue.rest_status("GET", "/exchange/status")).collect();
    let refused = statuses.iter().filter(|&&status| status == 429).count();
    assert!(statuses[..40].iter().all(|&status| status == 200), "40 at once");
    assert!((1..=20).contains(&refused), "{refused}");
    let refusal = loop {
        let answer = venue.request("GET", "/trade-api/v2/exchange/status", &[]);
        if answer.status == 429 {
            break answer.text;
        }
    };
    assert_eq!(refusal, r#"{"error":"too many requests"}"#);
}
