//! Answers of the catalog: the page reader, cross-checked by `serde_json`.

use super::{Target, behaviour, magnitude, messages};
use ringbook::base::limits::{CATALOG_TEXT_BYTES_MAX, JSON_DEPTH_MAX};
use ringbook::venue::catalog::CatalogError;
use ringbook::venue::polymarket::catalog;
use serde_json::Value;

pub(super) const TARGET: Target = Target {
    name: "catalog",
    run,
    seeds,
    dictionary: &[
        "\"conditionId\":\"0xb2\"",
        "\"clobTokenIds\":\"[\\\"1\\\",\\\"2\\\"]\"",
        "\"markets\":[",
        "\"events\":[",
        "\"next_cursor\":\"x\"",
        "\"active\":true",
        "\"closed\":true",
        "\"enableOrderBook\":true",
        "\"acceptingOrders\":true",
        "\"outcomes\":[\"a\",\"b\"]",
        "\"endDate\":\"2026-03-12T09:25:00Z\"",
        "\"orderMinSize\":5",
        "null",
        "\\u0000",
        "\\\\",
        "\\\"",
        "\\ud800",
        "\u{20ac}",
        "{}",
        "[]",
        ",",
        ":",
    ],
};

/// Nesting as written, with no regard to what is no JSON.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn run(input: &[u8]) -> u64 {
    let result = catalog::parse_page(input);
    let theirs = serde_json::from_slice::<Value>(input);
    let page = match (&result, &theirs) {
        (Err(CatalogError::NotJson { offset }), theirs) => {
            assert!(*offset <= input.len());
            assert!(theirs.is_err(), "no JSON at {offset}?");
            return behaviour("no JSON");
        }
        (Err(CatalogError::TooDeep { offset }), theirs) => {
            assert!(*offset < input.len());
            assert!(theirs.as_ref().map_or(true, |value| depth(value) > JSON_DEPTH_MAX));
            return behaviour("too deep");
        }
        (Err(CatalogError::UnknownShape { start, .. }), _) => {
            assert!(start.chars().count() <= 80);
            return behaviour("unknown shape");
        }
        (Ok(page), Ok(value)) => {
            assert!(depth(value) <= JSON_DEPTH_MAX);
            page
        }
        (Ok(page), Err(error)) => {
            let text = error.to_string();
            // Texts and numbers that are not needed are skipped unread.
            let tolerated = ["out of range", "surrogate", "escape", "control character"];
            assert!(tolerated.iter().any(|part| text.contains(part)), "{text} passed");
            page
        }
    };
    assert!(std::str::from_utf8(input).is_ok(), "texts were taken from what is no UTF-8");
    for market in &page.markets {
        assert_eq!(market.tokens.len(), 2);
        assert_ne!(market.tokens[0].token, market.tokens[1].token);
        let names = market.tokens.iter().map(|outcome| &outcome.name);
        for text in names.chain([&market.slug, &market.question]) {
            assert!(text.len() <= CATALOG_TEXT_BYTES_MAX);
        }
        assert!(market.tick_size.is_none_or(|tick| tick.0 > 0));
        is_a_path(&catalog::slug_path(&market.slug));
        for other in [false, true] {
            is_a_path(&catalog::token_path(&market.tokens[0].token, other));
        }
        is_a_path(&catalog::conditions_path(&[market.market], false));
    }
    is_a_path(&catalog::scan_path(page.next_cursor.as_deref()));
    let reasons: Vec<_> = page.skipped.iter().map(|skipped| skipped.reason).take(3).collect();
    let counts = [page.markets.len(), page.closed.len(), page.skipped.len()].map(magnitude);
    behaviour((counts, reasons, page.next_cursor.is_some()))
}

/// For every catalog content, a request is one line without a space.
fn is_a_path(path: &str) {
    assert!(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()), "{path}");
}

fn market(id: u64) -> String {
    format!(
        r#"{{"id":"{id}","conditionId":"0x{id:064x}","slug":"will-it-rain-{id}","question":"Will it \"rain\"? \u20ac","clobTokenIds":"[\"{id}1\", \"{id}2\"]","outcomes":"[\"Yes\", \"No\"]","endDate":"2026-12-31T12:00:00Z","orderPriceMinTickSize":0.01,"orderMinSize":5,"negRisk":false,"active":true,"closed":false,"enableOrderBook":true,"acceptingOrders":true,"tags":[{{"id":1}}]}}"#
    )
}

fn seeds() -> Vec<Vec<u8>> {
    let (a, b) = (market(11), market(12));
    let mut all = vec![
        format!(r#"{{"markets":[{a},{b}],"next_cursor":"bGFzdA=="}}"#),
        format!(r#"{{"events":[{{"id":"1","markets":[{a}]}},{{"id":"2","markets":[]}}]}}"#),
        format!("[{a},{b},7,null]"),
        a.clone(),
        format!(r#"{{"id":"9","markets":[{b}]}}"#),
        a.replace(r#""closed":false"#, r#""closed":true"#),
        a.replace(r#""[\"111\", \"112\"]""#, r#"["111",112]"#),
        a.replace("true", "\"true\""),
        r#"{"error":"x"}"#.into(),
        "<html>".into(),
        format!("{}{}", "[".repeat(64), "]".repeat(64)),
        format!("{}{}", "[".repeat(65), "]".repeat(65)),
    ];
    all.extend(messages::frames().into_iter().take(2));
    all.into_iter().map(String::into_bytes).collect()
}
