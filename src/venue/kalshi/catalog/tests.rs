//! Responses in the forms of kalshi/protocol.md, 4, and recorded ones where they exist.
use super::*;
use crate::base::id::TokenId;
use crate::base::price::Price;
use crate::market::info::Resolution;
use proptest::prelude::*;

const TICKER: &str = "KXRAIN-26DEC01-T0.5";

/// A market that trades, with further fields, which replace the standard ones of the same name.
fn market(ticker: &str, more: &str) -> String {
    let mut fields = vec![
        ("ticker", format!("\"{ticker}\"")),
        ("event_ticker", "\"KXRAIN-26DEC01\"".to_owned()),
        ("market_type", "\"binary\"".to_owned()),
        ("status", "\"active\"".to_owned()),
        ("title", "\"Will it \\\"rain\\\" in Z\\u00fcrich?\"".to_owned()),
        ("yes_sub_title", "\"Above 0.5 mm\"".to_owned()),
        ("open_time", "\"2026-11-20T15:00:00.028428Z\"".to_owned()),
        ("close_time", "\"2026-12-02T04:59:00Z\"".to_owned()),
        ("result", "\"\"".to_owned()),
        ("custom_strike", "{\"a\":[{\"ticker\":\"X\",\"status\":\"closed\"}]}".to_owned()),
        ("yes_bid_dollars", "\"0.4500\"".to_owned()),
        ("price_ranges", r#"[{"start":"0.0000","end":"1.0000","step":"0.0100"}]"#.to_owned()),
    ];
    let named = |key: &str| more.contains(&format!("\"{key}\":"));
    fields.retain(|(key, _)| !named(key));
    let mut text: Vec<String> = fields.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
    if !more.is_empty() {
        text.push(more.to_owned());
    }
    format!("{{{}}}", text.join(","))
}

/// A page of one event with these fields and markets.
fn event(fields: &str, markets: &str) -> String {
    format!(r#"{{"events":[{{"event_ticker":"E",{fields}"markets":[{markets}]}}],"cursor":""}}"#)
}

fn read(body: &str) -> KalshiPage {
    parse_events_page(body.as_bytes()).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn one(more: &str) -> KalshiPage {
    read(&event("", &market(TICKER, more)))
}

fn id(ticker: &str) -> MarketId {
    MarketId::new(ticker).unwrap()
}

#[test]
fn a_market_is_read_exactly() {
    let page = read(&event(r#""mutually_exclusive":true,"#, &market(TICKER, "")));
    let [Listed { info, opens_wall_ns, status }] = &page.markets[..] else { panic!("{page:?}") };
    assert_eq!((info.market.as_str(), info.slug.as_str()), (TICKER, TICKER));
    let [yes] = &info.tokens[..] else { panic!("one book in terms of YES: {info:?}") };
    assert_eq!((yes.token.as_str(), yes.name.as_str()), (TICKER, "Yes"));
    assert_eq!(info.question, "Will it \"rain\" in Zürich?: Above 0.5 mm");
    assert_eq!(info.start_wall_ns, Some(1_795_186_800_028_428_000));
    assert_eq!(info.end_wall_ns, Some(1_796_187_540_000_000_000));
    assert_eq!((info.tick_size, info.min_order_size), (Some(Price(10_000)), None));
    assert!(info.neg_risk && page.skipped.is_empty() && page.closed.is_empty());
    assert_eq!((*opens_wall_ns, *status), (None, MarketPhase::Active));
    assert_eq!(page.next_cursor, None);
    assert!(!one("").markets[0].info.neg_risk);
}

#[test]
fn every_shape_is_accepted() {
    let (m, n) = (market(TICKER, ""), market("KXRAIN-26DEC01-T1", ""));
    let exclusive = r#"{"title":"E","mutually_exclusive":true"#;
    let cases = [
        (format!(r#"{{"events":[{{"markets":[{m}]}},{{"markets":[{n}]}}],"cursor":"Cg=="}}"#), 2),
        (format!(r#"{{"cursor":"Cg==","events":[{{"markets":[{n}]}}]}}"#), 1),
        (format!(r#"{{"markets":[{m},{n}],"cursor":"Cg=="}}"#), 2),
        (format!("  {{\"market\":{m}}}\n"), 1),
        (format!(r#"{{"event":{exclusive},"markets":[{m},{n}]}}}}"#), 2),
        (format!(r#"{{"event":{exclusive}}},"markets":[{m},{n}]}}"#), 2),
        (format!(r#"{{"event":{exclusive},"markets":[{m},{n}]}},"markets":[{m},{n}]}}"#), 2),
        (format!(r#"{{"event":{exclusive},"markets":[]}},"markets":[{m}]}}"#), 1),
        (r#"{"events":[],"cursor":null}"#.to_owned(), 0),
        (r#"{"markets":[]}"#.to_owned(), 0),
    ];
    for (body, markets) in cases {
        let page = read(&body);
        assert_eq!(page.markets.len(), markets, "{body}");
        let cursor = body.contains("Cg==").then_some("Cg==");
        assert_eq!(page.next_cursor.as_deref(), cursor, "{body}");
        assert!(page.skipped.is_empty() && page.closed.is_empty(), "{body}");
        let exclusive = body.contains(exclusive);
        assert!(page.markets.iter().all(|m| m.info.neg_risk == exclusive), "{body}");
    }
}

#[test]
fn a_status_decides_the_classification() {
    use MarketPhase::*;
    let opens = Some(1_795_186_800_028_428_000);
    for (status, phase, opens) in [
        ("initialized", Initialized, opens),
        ("unopened", Initialized, opens),
        ("active", Active, None),
        ("open", Active, None),
        ("inactive", Inactive, None),
        ("paused", Inactive, None),
    ] {
        let page = one(&format!("\"status\":\"{status}\""));
        assert_eq!(page.markets.len(), 1, "{status}");
        assert_eq!(page.markets[0].status, phase, "{status}");
        assert_eq!(page.markets[0].opens_wall_ns, opens, "{status}");
        assert!(page.closed.is_empty() && page.skipped.is_empty(), "{status}");
    }
    for status in ["closed", "determined", "disputed", "amended", "finalized", "settled"] {
        let won = TokenId::new(TICKER);
        for (result, winner, text, settles_at) in [
            (r#""yes""#, won, "yes", Some(1_000_000)),
            (r#""no""#, None, "no", Some(0)),
            (r#""no","settlement_value_dollars":"0.0000""#, None, "no", Some(0)),
            (r#""""#, None, "", None),
            (r#""","settlement_value_dollars":"1.0000""#, None, "", None),
            (r#""scalar","settlement_value_dollars":"0.5000""#, None, "scalar", Some(500_000)),
            (r#""scalar","settlement_value":37"#, None, "scalar", Some(370_000)),
            (r#""scalar","settlement_value_dollars":"2""#, None, "scalar", None),
            (r#""void","settlement_value_dollars":null"#, None, "void", None),
            (r#""YES""#, won, "yes", Some(1_000_000)),
            (r#""postponed""#, None, "postponed", None),
            ("null", None, "", None),
            ("1", None, "", None),
        ] {
            let page = one(&format!("\"result\":{result},\"status\":\"{status}\""));
            let text = Some(text.to_owned()).filter(|text| !text.is_empty());
            let settlement_value = settles_at.map(Price);
            let resolution = Resolution { winner, result: text, settlement_value };
            let closed = Closed { market: id(TICKER), resolution };
            assert_eq!(page.closed, [closed], "{status} {result}");
            assert!(page.markets.is_empty() && page.skipped.is_empty(), "{status} {result}");
        }
    }
    let unopened = one(r#""status":"initialized","open_time":null"#);
    assert_eq!(unopened.markets[0].opens_wall_ns, None);
}

#[test]
fn questions_steps_and_times_come_in_several_forms() {
    let question = |event_fields: &str, more: &str| {
        read(&event(event_fields, &market(TICKER, more))).markets[0].info.question.clone()
    };
    assert_eq!(question("", r#""title":"Will A win?","yes_sub_title":"A""#), "Will A win?");
    assert_eq!(question("", r#""title":"Who?","yes_sub_title":"""#), "Who?");
    assert_eq!(question("", r#""title":null,"yes_sub_title":"B""#), "B");
    assert_eq!(question(r#""title":"Who?","#, r#""title":"","yes_sub_title":"B""#), "Who?: B");
    let long = "ü".repeat(limits::CATALOG_TEXT_BYTES_MAX);
    let cut = question("", &format!(r#""title":"{long}","yes_sub_title":"x{long}""#));
    assert_eq!(cut.len(), limits::CATALOG_TEXT_BYTES_MAX);

    let step = |step: &str| format!(r#"{{"start":"0.0000","end":"1.0000","step":{step}}}"#);
    for (steps, tick) in [
        (step("\"0.0010\""), Some(1_000)),
        ([step("\"0.0010\""), step("\"0.0100\""), step("\"0.0001\"")].join(","), Some(100)),
        ([step("\"0.0000\""), step("\"0.0100\""), step("null")].join(","), Some(10_000)),
        ([step("\"1e-3\""), step("0.01"), "{}".to_owned(), "7".to_owned()].join(","), None),
        (String::new(), None),
    ] {
        let page = one(&format!("\"price_ranges\":[{steps}]"));
        assert_eq!(page.markets[0].info.tick_size, tick.map(Price), "{steps}");
    }
    for ranges in ["null", "{}", "\"0.01\""] {
        let page = one(&format!("\"price_ranges\":{ranges}"));
        assert_eq!(page.markets[0].info.tick_size, None, "{ranges}");
    }

    let end = Some(1_784_851_216_000_000_000);
    for (text, end) in [
        (r#""2026-07-24T00:00:16Z""#, end),
        (r#""2026-07-24T02:00:16+02:00""#, end),
        (r#""2026-07-24T00:00:16.97871Z""#, end.map(|ns: u64| ns + 978_710_000)),
        (r#""2026-07-24T00:00:16.000000001Z""#, end.map(|ns| ns + 1)),
        (r#""0001-01-01T00:00:00Z""#, None),
        (r#""9999-01-01T00:00:00Z""#, None),
        (r#""soon""#, None),
        ("1784851216", None),
        ("null", None),
    ] {
        let page = one(&format!("\"close_time\":{text}"));
        assert_eq!(page.markets[0].info.end_wall_ns, end, "{text}");
    }
}

#[test]
fn an_event_without_markets_is_skipped_and_affects_no_other() {
    let good = market("GOOD-1", "");
    for bad in [r#""#, r#","markets":null"#, r#","markets":[]"#, r#","contracts":[{"ticker":"A"}]"#]
    {
        let bad = format!(r#"{{"event_ticker":"EV-7"{bad}}}"#);
        let page = read(&format!(r#"{{"events":[{bad},{{"markets":[{good}]}}]}}"#));
        let [skipped] = &page.skipped[..] else { panic!("{bad}: {page:?}") };
        assert_eq!((skipped.name.as_str(), skipped.reason), ("EV-7", SkipReason::NoMarkets));
        assert_eq!(page.markets.len(), 1, "{bad}");
    }
    let combo = |ticker| is_combo(&MarketId::new(ticker).unwrap());
    assert!(combo("KXMVESPORTS-S2026-1") && !combo("KXRAIN-26DEC01-T1"));
}

#[test]
fn a_bad_entry_is_skipped_with_its_reason_and_affects_no_other() {
    use SkipReason::*;
    let cases = [
        (market(TICKER, r#""status":"surprise""#), Some(TICKER), UnknownStatus),
        (market(TICKER, r#""status":null"#), Some(TICKER), UnknownStatus),
        (market(TICKER, r#""ticker":null"#), None, BadId),
        (market("A B", ""), None, BadId),
        (market("A/../B", ""), None, BadId),
        (market("", ""), None, BadId),
        (market(&"A".repeat(67), ""), None, BadId),
        ("{}".to_owned(), None, BadId),
        ("[]".to_owned(), None, NoObject),
        ("null".to_owned(), None, NoObject),
        ("\"x\"".to_owned(), None, NoObject),
        ("17".to_owned(), None, NoObject),
    ];
    for (bad, ticker, reason) in cases {
        let markets = format!("{},{bad},{}", market("GOOD-1", ""), market("GOOD-2", ""));
        let page = read(&event("", &markets));
        assert_eq!(page.markets.len(), 2, "{bad}");
        let [skipped] = &page.skipped[..] else { panic!("{bad}: {page:?}") };
        assert_eq!((skipped.market, skipped.reason), (ticker.map(id), reason), "{bad}");
        let page = read(&format!(r#"{{"markets":[{markets}]}}"#));
        assert_eq!((page.markets.len(), page.skipped.len()), (2, 1), "{bad}");
    }
    let good = market("GOOD-1", "");
    for bad in ["null", "7", "[]", r#"{"markets":7}"#, r#"{"markets":{"a":1}}"#] {
        let page = read(&format!(r#"{{"events":[{bad},{{"markets":[{good}]}}]}}"#));
        assert_eq!(page.markets.len(), 1, "{bad}");
        let [skipped] = &page.skipped[..] else { panic!("{bad}: {page:?}") };
        assert_eq!((skipped.market, skipped.reason), (None, NoObject), "{bad}");
    }
    // A repeated key, and half of a surrogate pair.
    let odd = [market("A", r#""x":1,"x":2"#), market("B", r#""title":"\ud83d""#)].join(",");
    assert_eq!(read(&event("", &format!("{odd},{good}"))).markets.len(), 3);
    let small = market("kxrain-x_y.5", "");
    assert_eq!(read(&event("", &small)).markets[0].info.market.as_str(), "kxrain-x_y.5");
}

#[test]
fn a_response_of_another_shape_is_an_error() {
    let offset = |body: &str| match parse_events_page(body.as_bytes()) {
        Err(CatalogError::NotJson { offset }) => offset,
        other => panic!("{body}: {other:?}"),
    };
    assert_eq!(offset("<html>502</html>"), 0);
    let whole = event("", &market(TICKER, ""));
    for cut in 0..whole.len() {
        assert!(offset(&whole[..cut]) <= cut);
    }
    offset(&format!("{whole}x"));
    assert!(matches!(parse_events_page(b"\xff"), Err(CatalogError::NotJson { .. })));
    let deep = "[".repeat(1 << 20);
    let too_deep = CatalogError::TooDeep { offset: limits::JSON_DEPTH_MAX };
    assert_eq!(parse_events_page(deep.as_bytes()), Err(too_deep.clone()));
    assert_eq!(parse_exchange_status(deep.as_bytes()), Err(too_deep));
    for body in [
        "1",
        "null",
        "{}",
        "[]",
        r#"{"error":"too many requests"}"#,
        r#"{"events":7}"#,
        r#"{"markets":{}}"#,
        r#"{"market":null}"#,
        r#"{"event":[]}"#,
    ] {
        let error = parse_events_page(body.as_bytes()).unwrap_err();
        assert!(matches!(error, CatalogError::UnknownShape { .. }), "{body}: {error}");
    }
    let error = parse_events_page(b"{\"error\":1}").unwrap_err().to_string();
    assert_eq!(error, "catalog: no events or markets: {\"error\":1}");
}

#[test]
fn the_exchange_status_is_read() {
    let read = |body: &str| parse_exchange_status(body.as_bytes());
    let status = read(
        r#"{"exchange_active":true,"trading_active":false,"exchange_estimated_resume_time":"2026-11-26T10:00:00Z",
           "intra_exchange_transfers_active":true,"exchange_index_statuses":[{"exchange_index":1,"trading_active":true}]}"#,
    );
    let resumes_wall_ns = Some(1_795_687_200_000_000_000);
    let expected = ExchangeStatus { active: true, trading: false, resumes_wall_ns };
    assert_eq!(status, Ok(expected));
    for more in ["", r#","exchange_estimated_resume_time":null"#] {
        let status = read(&format!(r#"{{"trading_active":true,"exchange_active":true{more}}}"#));
        let expected = ExchangeStatus { active: true, trading: true, resumes_wall_ns: None };
        assert_eq!(status, Ok(expected), "{more}");
    }
    for body in ["{}", r#"{"exchange_active":true}"#, r#"{"exchange_active":1,"trading_active":1}"#]
    {
        assert!(matches!(read(body), Err(CatalogError::UnknownShape { .. })), "{body}");
    }
    assert!(matches!(read("Bad Gateway"), Err(CatalogError::NotJson { offset: 0 })));
}

#[test]
fn paths_are_encoded_and_bounded() {
    let open = "/trade-api/v2/events?status=open&limit=200&with_nested_markets=true";
    assert_eq!(events_path(EventFilter::Open, None), open);
    assert_eq!(
        events_path(EventFilter::Unopened, Some("a+b/c==&x")),
        format!("{}&cursor=a%2Bb%2Fc%3D%3D%26x", open.replace("open", "unopened"))
    );
    let scan = "/trade-api/v2/markets?limit=1000&status=open";
    assert_eq!(markets_scan_path(MarketFilter::Open, None, true), scan);
    assert_eq!(
        markets_scan_path(MarketFilter::Paused, Some("Cg=="), false),
        format!("{}&mve_filter=exclude&cursor=Cg%3D%3D", scan.replace("open", "paused"))
    );
    let tickers = [id("A-T1.5"), id("B")];
    assert_eq!(markets_path(&tickers), "/trade-api/v2/markets?limit=100&tickers=A-T1.5,B");
    let many = vec![id(&"A".repeat(66)); 1_000];
    assert_eq!(markets_path(&many).matches(',').count(), 99);
    assert!(markets_path(&many).len() < 8_000);
    assert_eq!(status_path(), "/trade-api/v2/exchange/status");
}

/// Every reader, whatever the bytes are.
fn read_all(bytes: &[u8]) {
    _ = parse_events_page(bytes);
    _ = parse_exchange_status(bytes);
}

#[test]
fn no_flipped_byte_and_no_cut_makes_it_panic() {
    let more = r#""subtitle":"é\n\u00e9","rules":["x",null,-1.5e3,true]"#;
    let status = r#"{"exchange_active":true,"trading_active":true,"exchange_estimated_resume_time":"2026-11-26T10:00:00Z"}"#;
    let page = event(r#""mutually_exclusive":true,"#, &market(TICKER, more));
    for body in [page.as_str(), status] {
        let mut bytes = body.as_bytes().to_vec();
        for at in 0..bytes.len() {
            read_all(&bytes[..at]);
            let good = bytes[at];
            for bit in 0..8 {
                bytes[at] = good ^ (1 << bit);
                read_all(&bytes);
            }
            for byte in *b"\"\\{}[],:\0 0-\xff" {
                bytes[at] = byte;
                read_all(&bytes);
            }
            bytes[at] = good;
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_all(&bytes);
    }

    #[test]
    fn no_text_of_json_parts_makes_it_panic(
        text in r#"(\{|\}|\[|\]|,|:|"events"|"markets"|"market"|"event"|"ticker"|"status"|"cursor"|"A"|null|true|1){0,40}"#
    ) {
        read_all(text.as_bytes());
    }
}

#[test]
fn recorded_answers_are_read() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = ["../shared/fixtures/kalshi", "../../shared/fixtures/kalshi"];
    let Some(recordings) = beside.map(|f| root.join(f)).into_iter().find(|f| f.is_dir()) else {
        eprintln!("note: no recordings beside this clone; skipped");
        return;
    };
    // Wrappers that sources put around their recordings.
    const WRAPPERS: [&str; 3] = ["response", "single", "orderbook"];
    let (mut pages, mut markets, mut states) = (0, 0, 0);
    for folder in [recordings.clone(), recordings.join("rest")] {
        for file in std::fs::read_dir(folder).unwrap().flatten() {
            let name = file.file_name().into_string().unwrap();
            // Candlesticks are listed by market, too.
            let other = name.starts_with("ws_") || name.contains("candlesticks");
            if !name.ends_with(".json") || other {
                continue;
            }
            let bytes = std::fs::read(file.path()).unwrap();
            let whole: serde_json::Value = serde_json::from_slice(&bytes).expect(&name);
            let wrapped = WRAPPERS.iter().filter_map(|key| whole.get(key));
            let mut bodies: Vec<String> = wrapped.map(ToString::to_string).collect();
            if bodies.is_empty() {
                bodies.push(String::from_utf8(bytes).unwrap());
            }
            for body in bodies {
                if let Ok(page) = parse_events_page(body.as_bytes()) {
                    // Some are of events without their markets.
                    let is_bare = |s: &Skipped| s.reason == SkipReason::NoMarkets;
                    assert!(page.skipped.iter().all(is_bare), "{name}: {:?}", page.skipped);
                    for Listed { info, status, .. } in &page.markets {
                        assert_eq!(*status, MarketPhase::Active, "{name}");
                        assert!(info.start_wall_ns < info.end_wall_ns, "{name}: {info:?}");
                        assert!(info.tick_size.is_some() && !info.question.is_empty(), "{name}");
                    }
                    pages += 1;
                    markets += page.markets.len();
                } else if let Ok(status) = parse_exchange_status(body.as_bytes()) {
                    assert!(status.active && status.trading, "{name}");
                    states += 1;
                }
            }
        }
    }
    println!("{pages} pages, {markets} markets, {states} states");
    assert!(pages >= 5 && markets >= 80 && states >= 1);
}
