//! Responses in the forms of polymarket/protocol.md, 4, and recorded ones where they exist.
use super::*;
use crate::base::price::{Price, Quantity};
use crate::market::info::Resolution;
use proptest::prelude::*;

const CONDITION: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";

/// Position ids of one condition.
const POSITIONS: [&str; 2] = [
    "452312848587682254118947865467376451881589392431889467106046302242318843904",
    "452312848587682254118947865467376451881589392431889467106046302242318843905",
];

/// A streamable market with further fields, which replace the standard ones of the same name.
fn market(condition: &str, more: &str) -> String {
    let mut fields = vec![
        ("conditionId", format!("\"{condition}\"")),
        ("question", "\"Will it \\\"rain\\\" in Z\\u00fcrich?\"".to_owned()),
        ("slug", "\"rain-zurich\"".to_owned()),
        ("startDate", "\"2026-03-11T09:29:01.328428Z\"".to_owned()),
        ("endDate", "\"2026-03-12T09:25:00Z\"".to_owned()),
        ("outcomes", r#""[\"Up\", \"Down\"]""#.to_owned()),
        ("clobTokenIds", r#""[\"1001\", \"1002\"]""#.to_owned()),
        ("active", "true".to_owned()),
        ("closed", "false".to_owned()),
        ("enableOrderBook", "true".to_owned()),
        ("acceptingOrders", "true".to_owned()),
        ("orderPriceMinTickSize", "0.001".to_owned()),
        ("orderMinSize", "5".to_owned()),
        ("negRisk", "false".to_owned()),
        ("events", r#"[{"id":"1","markets":[{"conditionId":"0xbad"}]}]"#.to_owned()),
    ];
    let named = |key: &str| more.contains(&format!("\"{key}\":"));
    fields.retain(|(key, _)| !named(key));
    let mut text: Vec<String> = fields.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
    if !more.is_empty() {
        text.push(more.to_owned());
    }
    format!("{{{}}}", text.join(","))
}

fn one(more: &str) -> Page {
    parse_page(market(CONDITION, more).as_bytes()).unwrap()
}

#[test]
fn a_market_is_read_exactly() {
    let page = one("");
    let [info] = &page.markets[..] else { panic!("{page:?}") };
    assert_eq!(info.market.as_str(), CONDITION);
    assert_eq!(info.question, "Will it \"rain\" in Zürich?");
    assert_eq!(info.slug, "rain-zurich");
    assert_eq!(info.tokens[0].token.as_str(), "1001");
    assert_eq!((info.tokens[0].name.as_str(), info.tokens[1].name.as_str()), ("Up", "Down"));
    assert_eq!(info.start_wall_ns, Some(1_773_221_341_328_428_000));
    assert_eq!(info.end_wall_ns, Some(1_773_307_500_000_000_000));
    assert_eq!(info.tick_size, Some(Price(1_000)));
    assert_eq!(info.min_order_size, Some(Quantity(5_000_000)));
    assert!(!info.neg_risk && page.skipped.is_empty() && page.closed.is_empty());
    assert_eq!(page.next_cursor, None);
}

#[test]
fn every_shape_is_accepted() {
    let m = market(CONDITION, "");
    let other = CONDITION.replace('1', "2");
    let n = market(&other, "");
    let cases = [
        (format!(r#"{{"markets":[{m},{n}],"next_cursor":"YWJj"}}"#), 2, Some("YWJj")),
        (format!(r#"{{"next_cursor":"","markets":[{m}]}}"#), 1, None),
        (format!(r#"{{"markets":[{m}],"next_cursor":null}}"#), 1, None),
        (format!("[{m},{n}]"), 2, None),
        ("[]".to_owned(), 0, None),
        (r#"{"markets":[]}"#.to_owned(), 0, None),
        (
            format!(r#"{{"events":[{{"slug":"e","markets":[{m},{n}]}}],"next_cursor":"x"}}"#),
            2,
            Some("x"),
        ),
        (format!(r#"[{{"slug":"e","active":true,"markets":[{m}]}},{{"markets":[{n}]}}]"#), 2, None),
        (format!(r#"{{"id":"9","slug":"e","markets":[{m}]}}"#), 1, None),
        (format!("  {m}\n"), 1, None),
    ];
    for (body, markets, cursor) in cases {
        let page = parse_page(body.as_bytes()).unwrap();
        assert_eq!(page.markets.len(), markets, "{body}");
        assert_eq!(page.next_cursor.as_deref(), cursor, "{body}");
        assert!(page.skipped.is_empty(), "{body}");
    }
}

#[test]
fn lists_numbers_and_dates_come_in_several_forms() {
    let page = one(r#""clobTokenIds":["7","8"],"outcomes":["A","B"]"#);
    assert_eq!(page.markets[0].tokens[1].token.as_str(), "8");
    assert_eq!(page.markets[0].tokens[1].name, "B");
    let big = "104239898038807136052399800151408521467737075933964991162589336683346093173875";
    let page = one(&format!(r#""clobTokenIds":[{big},8]"#));
    assert_eq!(page.markets[0].tokens[0].token.as_str(), big, "numbers keep every digit");
    assert_eq!(one(r#""outcomes":null"#).markets[0].tokens[1].name, "outcome 1");
    let ticks = [
        ("0.0025", Some(2_500)),
        ("\"0.01\"", Some(10_000)),
        ("0", None),
        ("1e-2", None),
        ("null", None),
        ("[]", None),
    ];
    for (text, tick) in ticks {
        let page = one(&format!("\"orderPriceMinTickSize\":{text}"));
        assert_eq!(page.markets[0].tick_size, tick.map(Price), "{text}");
    }
    assert_eq!(
        one(r#""orderMinSize":"15.5""#).markets[0].min_order_size,
        Some(Quantity(15_500_000))
    );
    let end = Some(1_784_851_216_000_000_000);
    let dates = [
        (r#""2026-07-24 00:00:16+00""#, end),
        (r#""2026-07-24T00:00:16Z""#, end),
        (r#""2026-07-24T02:00:16+02:00""#, end),
        (r#""2026-07-24T00:00:16.5Z""#, end.map(|ns: u64| ns + 500_000_000)),
        (r#""1960-01-01T00:00:00Z""#, None),
        (r#""soon""#, None),
        ("17", None),
        ("null", None),
    ];
    for (text, end) in dates {
        assert_eq!(one(&format!("\"endDate\":{text}")).markets[0].end_wall_ns, end, "{text}");
    }
}

#[test]
fn a_market_without_book_is_skipped_with_its_reason() {
    use SkipReason::*;
    let cases = [
        (r#""active":false"#, Inactive),
        (r#""active":null"#, NoFlag),
        (r#""enableOrderBook":"yes""#, NoFlag),
        (r#""acceptingOrders":null"#, NoFlag),
        (r#""acceptingOrders":null,"enableOrderBook":false"#, NoOrderBook),
        (r#""enableOrderBook":false"#, NoOrderBook),
        (r#""acceptingOrders":false"#, NotAccepting),
        (r#""clobTokenIds":"[]""#, NotTwoTokens),
        (r#""clobTokenIds":"[\"1\"""#, NotTwoTokens),
        (r#""clobTokenIds":"""#, NotTwoTokens),
        (r#""clobTokenIds":"[\"1\",\"2\",\"3\"]""#, NotTwoTokens),
        (r#""clobTokenIds":"[\"1\",\"1\"]""#, BadToken),
        (r#""clobTokenIds":"[\"1\",\"2 3\"]""#, BadToken),
        (r#""clobTokenIds":"[\"1\",\"02\"]""#, BadToken),
        (r#""clobTokenIds":[1,null]"#, BadToken),
        (r#""conditionId":null"#, BadId),
        (r#""conditionId":"0x\"""#, BadId),
    ];
    for (more, reason) in cases {
        // Valid neighbours are not affected.
        let good = |digit| market(&CONDITION.replace('1', digit), "");
        let body = format!("[{},{},{}]", good("2"), market(CONDITION, more), good("3"));
        let page = parse_page(body.as_bytes()).unwrap();
        assert_eq!(page.markets.len(), 2, "{more}");
        assert_eq!(page.skipped.iter().map(|s| s.reason).collect::<Vec<_>>(), [reason], "{more}");
    }
    let page = parse_page(b"[1,null,\"x\",{},[]]").unwrap();
    assert_eq!(page.skipped.len(), 5);
}

#[test]
fn a_closed_market_is_resolved_by_its_prices_and_its_oracle() {
    let won = |token: &str, name: &str, settles_at| Resolution {
        winner: TokenId::new(token),
        result: Some(name.to_owned()),
        settlement_value: Some(settles_at),
    };
    let market = MarketId::new(CONDITION).unwrap();
    let closed = |extra: &str| one(&format!(r#""closed":true,"active":false{extra}"#)).closed;
    let undecided = Resolution::default();
    assert_eq!(closed(""), [Closed { market, resolution: undecided.clone() }]);
    for (prices, winner) in [
        (r#""[\"0\", \"1\"]""#, Some("1002")),
        (r#"["1.0000","0.0000"]"#, Some("1001")),
        (r#"[1,0]"#, Some("1001")),
        (r#"["0.9995","0.0005"]"#, None),
        (r#"["0.5","0.5"]"#, None),
        (r#"["1","0","0"]"#, None),
        (r#"["1","1"]"#, None),
        (r#"["1"]"#, None),
        ("[]", None),
    ] {
        let resolution = match winner {
            Some("1001") => won("1001", "Up", Price::ONE),
            Some(_) => won("1002", "Down", Price::ZERO),
            None => undecided.clone(),
        };
        let closed = closed(&format!(r#","outcomePrices":{prices}"#));
        assert_eq!(closed, [Closed { market, resolution }], "{prices}");
    }
    let half = Price(500_000);
    let split = Resolution {
        winner: None,
        result: Some(Resolution::SPLIT.to_owned()),
        settlement_value: Some(half),
    };
    for (oracle, prices, resolution) in [
        (r#""umaResolutionStatus":"resolved""#, r#"["0.5","0.5"]"#, &split),
        (r#""resolutionStatus":"resolved""#, r#""[\"0.50\", \"0.5\"]""#, &split),
        (r#""umaResolutionStatus":"proposed","resolutionStatus":"resolved""#, "[0.5,0.5]", &split),
        (r#""umaResolutionStatus":"resolved""#, r#"["1","0"]"#, &won("1001", "Up", Price::ONE)),
        (r#""umaResolutionStatus":null"#, r#"["0","1"]"#, &won("1002", "Down", Price::ZERO)),
        (r#""umaResolutionStatus":"disputed""#, r#"["0.5","0.5"]"#, &undecided),
        (r#""umaResolutionStatus":"proposed""#, r#"["1","0"]"#, &undecided),
        (r#""umaResolutionStatus":"resolved""#, r#"["0.9995","0.0005"]"#, &undecided),
        (r#""umaResolutionStatus":"resolved""#, r#"["0","0"]"#, &undecided),
    ] {
        let closed = closed(&format!(r#",{oracle},"outcomePrices":{prices}"#));
        assert_eq!(
            closed,
            [Closed { market, resolution: resolution.clone() }],
            "{oracle} {prices}"
        );
    }
}

/// Tokens of the only market, or why it is not followed.
fn tokens(more: &str) -> Result<Vec<String>, SkipReason> {
    let page = one(more);
    match (&page.markets[..], &page.skipped[..]) {
        ([info], []) => Ok(info.tokens.iter().map(|o| o.token.to_string()).collect()),
        ([], [skipped]) => Err(skipped.reason),
        _ => panic!("{more}: {page:?}"),
    }
}

#[test]
fn tokens_are_those_of_the_version_even_where_both_are_present() {
    use SkipReason::*;
    let [a, b] = POSITIONS;
    let positions = format!(r#""positionIds":["{a}","{b}"]"#);
    let (v1, v2) =
        (Ok(vec!["1001".to_owned(), "1002".to_owned()]), Ok(vec![a.to_owned(), b.to_owned()]));
    let none = r#""clobTokenIds":"[]""#;
    for (more, expected) in [
        (format!(r#""version":"v2",{positions}"#), &v2),
        (format!(r#"{positions},"version":"v2""#), &v2),
        (format!(r#""version":"v2",{positions},{none}"#), &v2),
        (format!(r#""version":"v2",{positions},"clobTokenIds":null"#), &v2),
        (format!(r#""version":"v2","positionIds":"[\"{a}\", \"{b}\"]""#), &v2),
        (format!(r#""version":"v2","positionIds":[{a},{b}]"#), &v2),
        (format!(r#""version":"v1",{positions}"#), &v1),
        (r#""version":"v1""#.to_owned(), &v1),
        // Recorded before `version` existed.
        (r#""version":null"#.to_owned(), &v1),
        (r#""version":"","positionIds":[]"#.to_owned(), &v1),
        (format!(r#""version":null,{positions}"#), &Err(NoVersion)),
        (format!(r#"{positions},{none}"#), &Err(NoVersion)),
        (format!(r#""version":"v3",{positions}"#), &Err(UnknownVersion)),
        (r#""version":"V1""#.to_owned(), &Err(UnknownVersion)),
        (r#""version":2"#.to_owned(), &Err(UnknownVersion)),
        (r#""version":"v2""#.to_owned(), &Err(NotTwoTokens)),
        (r#""version":"v2","positionIds":[]"#.to_owned(), &Err(NotTwoTokens)),
        (format!(r#""version":"v2","positionIds":["{a}"]"#), &Err(NotTwoTokens)),
        (format!(r#""version":"v2","positionIds":["{a}","{a}"]"#), &Err(BadToken)),
        (format!(r#""version":"v1",{positions},{none}"#), &Err(NotTwoTokens)),
        // A false flag takes precedence.
        (format!(r#""version":"v3",{positions},"active":false"#), &Err(Inactive)),
    ] {
        assert_eq!(tokens(&more), *expected, "{more}");
    }
    let page = one(&format!(r#""version":"v3","slug":"new\u001b[31m",{positions}"#));
    assert_eq!(page.skipped[0].to_string(), format!("{CONDITION} (new\\u{{1b}}[31m, version v3)"));
}

#[test]
fn the_winner_of_a_market_of_v2_is_a_position() {
    let [a, b] = POSITIONS;
    let closed = |version: &str| {
        let page = one(&format!(
            r#""closed":true,"outcomePrices":["0","1"],"version":"{version}","positionIds":["{a}","{b}"]"#
        ));
        page.closed[0].resolution.winner.map(|token| token.to_string())
    };
    assert_eq!(closed("v2").as_deref(), Some(b));
    assert_eq!(closed("v1").as_deref(), Some("1002"));
    assert_eq!(closed("v3"), None, "it is closed with an unknown winner");
}

#[test]
fn a_condition_of_31_bytes_is_one_of_32() {
    let (short, long) = (format!("0x01{}", "Bc".repeat(30)), format!("0x01{}00", "bc".repeat(30)));
    for text in [&short, &long] {
        let page = parse_page(market(text, "").as_bytes()).unwrap();
        assert_eq!(page.markets[0].market.as_str(), long);
    }
}

#[test]
fn combos_and_markets_of_quotes_have_no_book_by_rule() {
    use SkipReason::*;
    let [a, b] = POSITIONS;
    let v2 = format!(r#""version":"v2","positionIds":["{a}","{b}"]"#);
    let none = r#""clobTokenIds":"[]""#;
    for (more, reason) in [
        (format!(r#""comboStatus":"active","enableOrderBook":false,{v2}"#), Combo),
        (format!(r#""comboStatus":"active","enableOrderBook":null,{v2}"#), Combo),
        (format!(r#""comboStatus":"active",{none}"#), Combo),
        (format!(r#""comboStatus":"active","version":"v9",{none}"#), Combo),
        (format!(r#""rfqEnabled":true,"enableOrderBook":false,{v2}"#), QuotesOnly),
        (format!(r#""rfqEnabled":true,{none}"#), QuotesOnly),
        (format!(r#""rfqEnabled":false,"comboStatus":"",{none}"#), NotTwoTokens),
    ] {
        assert_eq!(tokens(&more), Err(reason), "{more}");
        assert_eq!(reason.is_drift(), reason == NotTwoTokens);
    }
    // A leg of a combo, or a market that takes quotes as well, has its book.
    for more in [r#""comboStatus":"active""#, r#""rfqEnabled":true"#] {
        assert_eq!(tokens(&format!("{more},{v2}")), Ok(vec![a.to_owned(), b.to_owned()]));
    }
}

#[test]
fn a_response_of_another_shape_is_an_error() {
    let offset = |body: &str| match parse_page(body.as_bytes()) {
        Err(CatalogError::NotJson { offset }) => offset,
        other => panic!("{body}: {other:?}"),
    };
    assert_eq!(offset("<html>502</html>"), 0);
    assert!(offset(r#"{"markets":[{"a":1},]}"#) >= 19);
    let whole = format!(r#"{{"markets":[{}]}}"#, market(CONDITION, ""));
    for cut in 0..whole.len() {
        assert!(offset(&whole[..cut]) <= cut);
    }
    offset(&format!("{whole}x"));
    let deep = parse_page("[".repeat(1 << 20).as_bytes());
    assert_eq!(deep, Err(CatalogError::TooDeep { offset: limits::JSON_DEPTH_MAX }));
    let deep = format!(r#""clobTokenIds":"{}""#, "[".repeat(1 << 20));
    assert_eq!(one(&deep).skipped[0].reason, SkipReason::NotTwoTokens);
    assert!(matches!(parse_page(b"\xff"), Err(CatalogError::NotJson { .. })));
    for body in ["1", "null", "{}", r#"{"error":"rate limited"}"#, r#"{"markets":1}"#] {
        let error = parse_page(body.as_bytes()).unwrap_err();
        assert!(matches!(error, CatalogError::UnknownShape { .. }), "{body}: {error}");
    }
}

#[test]
fn paths_are_percent_encoded() {
    assert_eq!(scan_path(None), "/markets/keyset?limit=100&active=true&closed=false");
    assert!(scan_path(Some("a+b/c==&x é")).ends_with("&after_cursor=a%2Bb%2Fc%3D%3D%26x%20%C3%A9"));
    let market = MarketId::new("0xab").unwrap();
    let path = conditions_path(&[market, market], true);
    assert_eq!(path, "/markets?limit=100&closed=true&condition_ids=0xab&condition_ids=0xab");
    assert_eq!(conditions_path(&[market; 150], false).matches("condition_ids").count(), 100);
    assert_eq!(slug_path("a-b c"), "/markets?slug=a-b%20c");
    let token = TokenId::new("12").unwrap();
    assert_eq!(token_path(&token, false), "/markets?clob_token_ids=12");
    assert_eq!(token_path(&token, true), "/markets?position_ids=12");
    let position = TokenId::new(POSITIONS[1]).unwrap();
    assert_eq!(token_path(&position, false), format!("/markets?position_ids={position}"));
    assert_eq!(token_path(&position, true), format!("/markets?clob_token_ids={position}"));
    // A condition that may have 31 bytes is sent in both forms; a request has at most 100 ids.
    let short = format!("0x01{}", "b".repeat(60));
    let market = condition::market_id(&short).unwrap();
    let path = conditions_path(&[market], true);
    assert!(path.ends_with(&format!("&condition_ids={short}00&condition_ids={short}")), "{path}");
    assert_eq!(conditions_path(&[market; 150], false).matches("condition_ids").count(), 100);
    assert_eq!(conditions_per_request([market; 150].iter()), 50);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        _ = parse_page(&bytes);
    }

    #[test]
    fn no_damage_makes_it_panic(at in any::<prop::sample::Index>(), byte: u8) {
        let mut body = format!(r#"{{"markets":[{}],"next_cursor":"x"}}"#, market(CONDITION, ""));
        // The body stays UTF-8.
        let at = at.index(body.len());
        if body.is_char_boundary(at) && body.is_char_boundary(at + 1) {
            body.replace_range(at..=at, &char::from(byte % 128).to_string());
        }
        _ = parse_page(body.as_bytes());
    }
}

#[test]
fn recorded_answers_are_read() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = ["../shared/fixtures/polymarket", "../../shared/fixtures/polymarket"];
    let Some(recordings) = beside.map(|f| root.join(f)).into_iter().find(|f| f.is_dir()) else {
        eprintln!("note: no recordings beside this clone; skipped");
        return;
    };
    let mut seen = (0, 0, 0);
    for folder in ["nautilus_rust", "polygolem_2026-05-17"] {
        let folder = std::fs::read_dir(recordings.join(folder));
        for file in folder.into_iter().flatten().flatten() {
            let name = file.file_name().into_string().unwrap();
            let gamma = name.starts_with("gamma") && !name.contains("tags");
            if !gamma {
                continue;
            }
            let page = parse_page(&std::fs::read(file.path()).unwrap()).expect(&name);
            println!("{name}: {} {:?} {:?}", page.markets.len(), page.skipped, page.closed.len());
            assert!(page.markets.len() + page.closed.len() > 0, "{name}");
            for info in &page.markets {
                assert_eq!(info.market.as_str().len(), 66);
                assert!(info.end_wall_ns.is_some() && info.tick_size.is_some(), "{name}");
                assert!(info.min_order_size == Some(Quantity(5_000_000)) && !info.slug.is_empty());
            }
            seen = (seen.0 + 1, seen.1 + page.markets.len(), seen.2 + page.closed.len());
        }
    }
    println!("{} files, {} markets, {} closed", seen.0, seen.1, seen.2);
    assert!(seen.0 > 0);
}
