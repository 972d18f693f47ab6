//! Requests of the catalog's clients, and recorded objects given back.
use super::*;
use crate::base::price::{Price, Quantity};
use crate::gateway::catalog::tests::{of_gamma, recorded};
use crate::gateway::rest::{Fetched, Known, Top};
use crate::market::book::Level;
use serde_json::{Value, json};
use std::collections::VecDeque;

const POSITIONS: [&str; 2] = [
    "452312848587682254118947865467376451881589392431889467106046302242318843904",
    "452312848587682254118947865467376451881589392431889467106046302242318843905",
];

/// Market `i` of event `i / 10`.
fn market(i: usize) -> String {
    format!(
        r#"{{"id":"{i}","conditionId":"0x{i:064x}","question":"Will it rain {i}?","slug":"rain-{i}","questionID":"0x0{i}","outcomes":"[\"Yes\", \"No\"]","clobTokenIds":"[\"{i}1\", \"{i}2\"]","active":true,"closed":false,"enableOrderBook":true,"acceptingOrders":true,"endDate":"2026-03-{:02}T09:25:00Z","orderPriceMinTickSize":0.01,"orderMinSize":5,"groupItemTitle":"part \u00e9 {i}","description":"not kept","feesEnabled":true,"events":[{{"id":"{}","slug":"event-{}","title":"Rain in {}","negRisk":true}}]}}"#,
        1 + i % 28,
        i / 10,
        i / 10,
        i / 10,
    )
}

fn catalog(count: usize) -> Catalog {
    let all: Vec<String> = (10..10 + count).map(market).collect();
    of_gamma(&[&format!("[{}]", all.join(","))])
}

fn get(path: &str, query: &str, catalog: &Catalog) -> (u16, Value) {
    let request = Request { method: "GET", path, query, body: b"", now_wall_ns: 0 };
    let plan = plan(&request, catalog);
    let level = |price| Some(Level { price: Price(price), quantity: Quantity(1) });
    let last = Some(Price(430_000));
    let tops = [Top { bid: level(400_000), ask: level(410_000), last }];
    let known = Known { catalog, trades: &VecDeque::new() };
    let answer = plan.answer(Fetched { tops: &tops, ..Fetched::default() }, known);
    (answer.status, serde_json::from_str(&answer.body).unwrap_or(Value::Null))
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect()
}

#[test]
fn a_market_has_what_the_catalog_listed() {
    let catalog = catalog(30);
    let (_, list) = get("/markets", "id=12", &catalog);
    let market = &list[0];
    for (key, value) in [
        ("id", json!("12")),
        ("conditionId", json!(format!("0x{:064x}", 12))),
        ("question", json!("Will it rain 12?")),
        ("outcomes", json!(r#"["Yes", "No"]"#)),
        ("clobTokenIds", json!(r#"["121", "122"]"#)),
        ("version", json!("v1")),
        ("groupItemTitle", json!("part é 12")),
        ("feesEnabled", json!(true)),
        ("orderPriceMinTickSize", json!(0.01)),
        ("endDate", json!("2026-03-13T09:25:00Z")),
        ("bestBid", json!(0.4)),
        ("spread", json!(0.01)),
        ("lastTradePrice", json!(0.43)),
        ("outcomePrices", json!(r#"["0.405", "0.595"]"#)),
        ("marketMakerAddress", json!("")),
    ] {
        assert_eq!(market[key], value, "{key}");
    }
    assert_eq!(market["events"][0]["title"], "Rain in 1");
    assert!(market["events"][0].get("markets").is_none() && market.get("description").is_none());
    assert_eq!(get("/markets/12", "", &catalog).1["id"], "12");
    assert_eq!(get("/markets/slug/rain-12", "", &catalog).1["id"], "12");
    assert_eq!(get("/markets/slug/none", "", &catalog).0, 404);
    assert_eq!(get("/events/2", "", &catalog).1["markets"].as_array().unwrap().len(), 10);
    assert_eq!(get("/events/slug/event-2", "", &catalog).1["id"], "2");
    assert_eq!(get("/events/7", "", &catalog).0, 404);
}

#[test]
fn markets_are_filtered_ordered_and_paged() {
    let catalog = catalog(120);
    let condition = format!("0x{:064x}", 15);
    for (query, wanted) in [
        ("limit=3", &["10", "11", "12"][..]),
        ("limit=2&offset=5", &["15", "16"]),
        ("limit=2&ascending=false", &["129", "128"]),
        ("slug=rain-20&slug=rain-11", &["11", "20"]),
        ("slug=rain-20,rain-11", &["11", "20"]),
        ("clob_token_ids=201&clob_token_ids=112", &["11", "20"]),
        ("clob_token_ids=999", &[]),
        ("condition_ids=none%20", &[]),
        (&format!("condition_ids={condition}&condition_ids=0xa"), &["15"]),
        ("question_ids=0x015", &["15"]),
        ("closed=true", &[]),
        ("active=false", &[]),
        ("end_date_max=2026-03-02&end_date_min=2026-03-01T00:00:00Z&limit=2", &["28", "56"]),
        ("order=endDate&limit=2", &["28", "56"]),
        ("order=endDate&ascending=false&limit=1", &["111"]),
        ("order=volumeNum&limit=1&unknown=1", &["10"]),
    ] {
        assert_eq!(ids(&get("/markets", query, &catalog).1), wanted, "{query}");
    }
    assert_eq!(ids(&get("/markets", "", &catalog).1).len(), LIMIT_DEFAULT);
    assert_eq!(ids(&get("/markets", "limit=5000", &catalog).1).len(), MARKETS_MAX);
    for (query, status) in [
        ("limit=x", 422),
        ("offset=10001", 422),
        ("closed=maybe", 422),
        ("end_date_min=yesterday", 422),
        ("tag_id=5", 501),
        ("volume_num_min=5", 501),
    ] {
        assert_eq!(get("/markets", query, &catalog).0, status, "{query}");
    }
    for order in ["", "&order=endDate", "&order=endDate&ascending=false"] {
        let (mut cursor, mut seen) = (String::new(), Vec::new());
        loop {
            let query = format!("limit=50&after_cursor={cursor}{order}");
            let (_, page) = get("/markets/keyset", &query, &catalog);
            seen.extend(ids(&page["markets"]).into_iter().map(str::to_owned));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = next.to_owned();
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 120, "{order}");
    }
    assert_eq!(get("/markets/keyset", "offset=1", &catalog).0, 422);
    assert_eq!(get("/markets/keyset", "after_cursor=x", &catalog).0, 422);
}

#[test]
fn events_have_their_markets() {
    let catalog = catalog(40);
    assert_eq!(ids(&get("/events", "limit=2&offset=1", &catalog).1), ["2", "3"]);
    assert_eq!(ids(&get("/events", "slug=event-3", &catalog).1), ["3"]);
    assert_eq!(ids(&get("/events", "title_search=rain%20in%204", &catalog).1), ["4"]);
    assert_eq!(ids(&get("/events", "closed=true", &catalog).1), Vec::<&str>::new());
    let (_, page) = get("/events/keyset", "limit=3", &catalog);
    assert_eq!(ids(&page["events"]), ["1", "2", "3"]);
    let cursor = page["next_cursor"].as_str().unwrap();
    let (_, last) = get("/events/keyset", &format!("limit=3&after_cursor={cursor}"), &catalog);
    assert_eq!((ids(&last["events"]), last.get("next_cursor")), (vec!["4"], None));
    let event = &page["events"][0];
    assert_eq!((&event["title"], &event["negRisk"]), (&json!("Rain in 1"), &json!(true)));
    assert_eq!(ids(&event["markets"])[..2], ["10", "11"]);
    let (_, found) = get("/public-search", "q=rain+13&limit_per_type=5", &catalog);
    assert_eq!(
        (ids(&found["events"]), &found["pagination"]["totalResults"]),
        (vec!["1"], &json!(1))
    );
    assert_eq!(get("/tags", "", &catalog).1, json!([]));
    assert_eq!(get("/series", "", &catalog).0, 501);
    for (path, status) in [("/markets", 405), ("/events/1", 405), ("/", 405), ("/series", 501)] {
        let request = Request { method: "POST", path, query: "", body: b"{}", now_wall_ns: 0 };
        let Plan::Answer(answer) = plan(&request, &catalog) else { panic!("{path}") };
        assert_eq!(answer.status, status, "{path}");
    }
}

/// Tokens of Protocol V2 are positions, and the catalog's condition has 31 bytes.
#[test]
fn the_version_of_a_market_is_that_of_its_tokens() {
    let [one, two] = POSITIONS;
    let condition = format!("0x{}", "1".repeat(62));
    let market = format!(
        r#"{{"id":"5","conditionId":"{condition}","version":"v2","outcomes":["A","B"],"positionIds":["{one}","{two}"],"active":true,"enableOrderBook":true,"acceptingOrders":true}}"#
    );
    let catalog = of_gamma(&[&market]);
    let query = format!("position_ids={two}");
    let (_, list) = get("/markets", &query, &catalog);
    assert_eq!(list[0]["positionIds"], json!([one, two]));
    assert_eq!((&list[0]["version"], list[0].get("clobTokenIds")), (&json!("v2"), None));
    assert_eq!(list[0]["conditionId"], json!(condition));
}

#[test]
fn recorded_objects_are_given_back_as_they_were() {
    let event = recorded("polymarket/polygolem_2026-05-17/gamma-event.json");
    let market = recorded("polymarket/nautilus_rust/gamma_market.json");
    let (Some(event), Some(market)) = (event, market) else { return };
    let recorded: Value = serde_json::from_str(&market).unwrap();
    let catalog = of_gamma(&[&market]);
    let (_, list) = get("/markets", "", &catalog);
    let ours = list[0].as_object().unwrap();
    let computed =
        ["bestBid", "bestAsk", "spread", "lastTradePrice", "outcomePrices", "events", "version"];
    for (key, value) in ours {
        assert!(computed.contains(&key.as_str()) || recorded[key] == *value, "{key}: {value}");
    }
    for (key, value) in ours["events"][0].as_object().unwrap() {
        assert_eq!(recorded["events"][0][key], *value, "{key}");
    }
    let recorded: Value = serde_json::from_str(&event).unwrap();
    let catalog = of_gamma(&[&event]);
    let asked = recorded["markets"][0]["conditionId"].as_str().unwrap();
    let (_, list) = get("/markets", &format!("condition_ids={asked}"), &catalog);
    assert_eq!(list[0]["feeSchedule"], recorded["markets"][0]["feeSchedule"]);
}
