//! Pages of the CLOB, read as its clients read them.
use super::*;
use crate::base::id::TokenId;
use crate::base::price::Quantity;
use crate::gateway::catalog::tests::{of_gamma, recorded};
use crate::gateway::rest::{Fetched, Known, Top};
use crate::market::book::Level;
use serde_json::Value;
use std::collections::VecDeque;

/// A market of Gamma; every tenth is rewarded.
fn market(i: usize) -> String {
    let rewards = if i.is_multiple_of(10) { r#","clobRewards":[{"id":"1"}]"# } else { "" };
    format!(
        r#"{{"id":"{i}","conditionId":"0x{i:064x}","question":"Q \"{i}\"","slug":"s-{i}","questionID":"0x0{i}","outcomes":"[\"Yes\", \"No\"]","clobTokenIds":"[\"{i}1\", \"{i}2\"]","active":true,"closed":false,"enableOrderBook":true,"acceptingOrders":true,"endDate":"2026-03-12T09:25:00Z","orderPriceMinTickSize":0.01,"orderMinSize":5,"makerBaseFee":0,"takerBaseFee":200{rewards}}}"#
    )
}

fn catalog(count: usize) -> Catalog {
    let all: Vec<String> = (1..=count).map(market).collect();
    of_gamma(&[&format!("[{}]", all.join(","))])
}

fn get(path: &str, query: &str, catalog: &Catalog) -> (u16, Value) {
    let plan = plan(path, query, catalog).unwrap();
    let level = |price| Some(Level { price: Price(price), quantity: Quantity(1) });
    let tops = [Top { bid: level(400_000), ask: level(410_000), last: None }];
    let known = Known { catalog, trades: &VecDeque::new() };
    let answer = plan.answer(Fetched { tops: &tops, ..Fetched::default() }, known);
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

#[test]
fn a_market_has_every_key_of_the_venue() {
    let catalog = catalog(2);
    let (status, market) = get(&format!("/markets/0x{:064X}", 1), "", &catalog);
    assert_eq!(status, 200);
    assert_eq!(market["question"], "Q \"1\"");
    assert_eq!(market["question_id"], "0x01");
    assert_eq!(market["minimum_tick_size"], 0.01);
    assert_eq!((&market["taker_base_fee"], &market["closed"]), (&200.into(), &false.into()));
    assert_eq!(market["end_date_iso"], "2026-03-12T09:25:00Z");
    let tokens = market["tokens"].as_array().unwrap();
    assert_eq!((&tokens[0]["token_id"], &tokens[0]["price"]), (&"11".into(), &0.405.into()));
    assert_eq!((&tokens[1]["outcome"], &tokens[1]["price"]), (&"No".into(), &0.595.into()));
    let file = "polymarket/nautilus_rust/clob_market_closed_binary_accepting_true.json";
    if let Some(text) = recorded(file) {
        let recorded: Value = serde_json::from_str(&text).unwrap();
        let keys = |value: &Value| {
            let keys = value.as_object().unwrap().keys().cloned();
            keys.collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(keys(&market), keys(&recorded));
        assert_eq!(keys(&tokens[0]), keys(&recorded["tokens"][0]));
    }
    for path in ["/markets/0xabc", "/markets/a%20b", "/markets/"] {
        assert_eq!(get(path, "", &catalog).0, 404, "{path}");
    }
    assert_eq!(plan("/book", "", &catalog), None);
}

#[test]
fn pages_end_at_the_venues_cursor() {
    let catalog = catalog(2 * PAGE_MARKETS + 7);
    for (path, count) in [
        ("/markets", 2 * PAGE_MARKETS + 7),
        ("/simplified-markets", 2 * PAGE_MARKETS + 7),
        ("/sampling-markets", (2 * PAGE_MARKETS + 7) / 10),
        ("/sampling-simplified-markets", (2 * PAGE_MARKETS + 7) / 10),
    ] {
        let (mut cursor, mut seen) = ("MA==".to_owned(), std::collections::HashSet::new());
        while cursor != LAST {
            let (status, page) = get(path, &format!("next_cursor={cursor}"), &catalog);
            let data = page["data"].as_array().unwrap();
            assert_eq!((status, &page["count"]), (200, &data.len().into()), "{path}");
            assert!(data.len() <= PAGE_MARKETS);
            seen.extend(data.iter().map(|market| market["condition_id"].to_string()));
            cursor = page["next_cursor"].as_str().unwrap().to_owned();
        }
        assert_eq!(seen.len(), count, "{path}");
    }
    assert_eq!(get("/markets", "next_cursor=LTE%3D", &catalog).1["data"], Value::Array(vec![]));
    assert_eq!(get("/markets", "next_cursor=%%%", &catalog).0, 400);
    let first = &get("/simplified-markets", "", &catalog).1["data"][0];
    assert_eq!(first["accepting_orders"], true);
    assert!(TokenId::new(first["tokens"][1]["token_id"].as_str().unwrap()).is_some());
}
