//! Options as objects, lists and queries, and refused ones.
use super::*;

fn types(name: &str) -> DataType {
    DataType::parse(name).unwrap()
}

#[test]
fn names_of_messages_are_those_of_tardis() {
    let snapshot = |name: &str| match types(name) {
        DataType::Snapshot(SnapshotType { depth, grouping, interval_ms, .. }) => {
            (depth, grouping.map(|price| price.0), interval_ms)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(snapshot("book_snapshot_5_100ms"), (5, None, 100));
    assert_eq!(snapshot("book_snapshot_10_0ms"), (10, None, 0));
    assert_eq!(snapshot("book_snapshot_2_grouped0.05_10s"), (2, Some(50_000), 10_000));
    assert_eq!(snapshot("quote"), (1, None, 0));
    assert_eq!(snapshot("quote_2m"), (1, None, 120_000));
    let bar = |name: &str| match types(name) {
        DataType::Bar(bar) => bar.end,
        other => panic!("{other:?}"),
    };
    assert_eq!(bar("trade_bar_10s"), BarEnd::Time(10_000));
    assert_eq!(bar("trade_bar_5m"), BarEnd::Time(300_000));
    assert_eq!(bar("trade_bar_100ticks"), BarEnd::Ticks(100));
    assert_eq!(bar("trade_bar_2.5vol"), BarEnd::Volume(Quantity(2_500_000)));
    for name in [
        "",
        "trades",
        "quote_",
        "quote_5",
        "quote_s",
        "book_snapshot_5",
        "book_snapshot_0_1s",
        "book_snapshot_1001_1s",
        "book_snapshot_5_grouped0_1s",
        "book_snapshot_5_group1_1s",
        "book_snapshot_5_grouped0.1_1s_1s",
        "trade_bar_0s",
        "trade_bar_1",
        "trade_bar_-1ticks",
        "trade_bar_0vol",
        "liquidation",
        "book_snapshot_5_99999999999999999999s",
        "quote_1441m",
    ] {
        assert!(DataType::parse(name).is_err(), "{name}");
    }
}

#[test]
fn options_are_an_object_or_a_list() {
    let one = r#"{"exchange":"kalshi","symbols":["KX-A"],"dataTypes":["trade"],"from":"2026-11-01",
            "to":"2026-11-01T12:30","withDisconnectMessages":true,"apiKey":{"any":1}}"#;
    let options = Options::parse(one).unwrap();
    let [entry] = &options.entries[..] else { panic!() };
    // 2026-11-01 is day 20,758 after 1970-01-01.
    let day_ns = 20_758 * 86_400_000_000_000;
    let range = Range { from_ns: day_ns, to_ns: day_ns + 45_000_000_000_000 };
    assert_eq!(entry.range, Some(range));
    assert_eq!((entry.with_disconnects, entry.with_errors), (true, false));
    assert_eq!(entry.symbols, [TokenId::new("KX-A").unwrap()]);
    assert!(!entry.is_for_all_of(&Venue::named("kalshi")));
    assert_eq!(Options::parse(&format!("[{one},{one}]")).unwrap().entries.len(), 2);
    let all = Options::parse(r#"{"exchange":"polymarket","dataTypes":["trade"]}"#).unwrap();
    assert!(all.entries[0].is_for_all_of(&Venue::named("polymarket")));
    assert!(!all.entries[0].is_for_all_of(&Venue::named("kalshi")));
}

#[test]
fn what_is_out_of_bounds_is_refused_with_a_line_that_names_the_key() {
    let entry = |rest: &str| format!(r#"{{"exchange":"polymarket",{rest}}}"#);
    let many = format!(r#""dataTypes":[{}]"#, vec![r#""trade""#; 33].join(","));
    let symbols = vec![r#""1""#; 2_000].join(",");
    let deep = format!(r#""symbols":[{symbols}],"dataTypes":["book_snapshot_1000_1s"]"#);
    let list = vec![entry(r#""dataTypes":["trade"]"#); 17].join(",");
    for (text, key) in [
        (r#"{"exchange":"binance","dataTypes":["trade"]}"#.to_owned(), "exchange"),
        (entry(r#""dataTypes":[]"#), "dataTypes"),
        (entry(r#""dataTypes":["x"]"#), "dataTypes"),
        (entry(&many), "dataTypes"),
        (entry(&deep), "symbols"),
        (entry(r#""symbols":["a b"],"dataTypes":["trade"]"#), "symbols"),
        (entry(r#""dataTypes":["trade"],"from":"2026-11-01""#), "from and to"),
        (entry(r#""dataTypes":["trade"],"from":"x","to":"2026-11-01""#), "from:"),
        (entry(r#""dataTypes":["trade"],"from":"2026-11-01","to":"2026-11-01""#), "to:"),
        ("[]".to_owned(), "options="),
        (format!("[{list}]"), "options="),
        ("{".to_owned(), "options="),
        ("[[[[[[[".to_owned(), "options="),
    ] {
        let line = Options::parse(&text).unwrap_err();
        assert!(line.starts_with(key) && !line.contains('\n'), "{text}: {line}");
    }
}

#[test]
fn the_query_is_read_with_its_escapes() {
    let value = |query| query_value(query, "options");
    assert_eq!(value("a=1&options=%7B%22a%22:+1%7D"), Ok(Some(r#"{"a": 1}"#.to_owned())));
    assert_eq!(value("a=1"), Ok(None));
    assert!(value("options=%7").is_err() && value("options=%ff").is_err());
    assert!(Options::from_query("").is_err());
}
