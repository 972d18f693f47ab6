//! Frames of wanted, of other and of numbered connections.
use super::*;

fn keep(filter: &mut MarketFilter, line: &str) -> Kept {
    filter.keep(&Record::read(line), line)
}

fn books(connection: u64, markets: &[&str]) -> String {
    let book = |market: &&str| {
        format!(r#"{{"m":"0x{market}","a":"{market}","n":false,"s":"is-{market}"}}"#)
    };
    let books: Vec<String> = markets.iter().map(book).collect();
    format!(r#"{{"t":1,"c":{connection},"s":0,"k":"m","d":0,"books":[{}]}}"#, books.join(","))
}

fn frame(connection: u64, market: &str) -> String {
    format!(r#"{{"t":2,"c":{connection},"s":1,"k":"t","f":{{"market":"0x{market}"}}}}"#)
}

#[test]
fn frames_and_books_of_other_markets_are_left_out() {
    for name in ["0xa1", "is-a1", "a1"] {
        let mut filter = MarketFilter::new(&[name.to_owned(), "other".to_owned()]);
        filter.begin(false);
        let begun = r#"{"t":1,"c":0,"s":0,"k":"p","d":0,"shards":1,"hashes":"all"}"#;
        assert_eq!(keep(&mut filter, begun), Kept::Whole);
        assert_eq!(keep(&mut filter, &books(1, &["b7"])), Kept::Nothing);
        assert_eq!(keep(&mut filter, &books(1, &["b7", "a1"])), Kept::Part(books(1, &["a1"])));
        assert_eq!(keep(&mut filter, &books(1, &["a1"])), Kept::Whole);
        assert_eq!(keep(&mut filter, &frame(1, "a1")), Kept::Whole);
        assert_eq!(keep(&mut filter, &frame(9, "a1")), Kept::Whole);
        assert_eq!(keep(&mut filter, &frame(1, "b7")), Kept::Nothing);
        let kept = [
            r#"{"t":1,"c":7,"s":0,"k":"o","d":0,"url":"x"}"#,
            r#"{"t":1,"c":7,"s":0,"k":"x","f":"PONG"}"#,
            r#"{"t":1,"c":7,"s":0,"k":"t","f":{"error":"no"}}"#,
            r#"{"t":1,"c":1,"s":0,"k":"z","d":0,"a":"a1","z":"1f"}"#,
            r#"{"t":1,"c":7,"s":0,"k":"w","f":"{\"assets_ids\":[\"a1\",\"b7\"]}"}"#,
            r#"{"t":1,"c":7,"s":0,"k":"e","why":"cut"}"#,
        ];
        for line in kept {
            assert_eq!(keep(&mut filter, line), Kept::Whole, "{line}");
        }
        for line in [
            r#"{"t":1,"c":1,"s":0,"k":"z","d":0,"a":"b7","z":"1f"}"#,
            r#"{"t":1,"c":1,"s":0,"k":"y","f":{"market":"0xb7"}}"#,
            r#"{"t":1,"c":7,"s":0,"k":"w","f":"{\"assets_ids\":[\"b7\"]}"}"#,
            r#"{"t":1,"c":0,"s":0,"k":"r","d":0,"q":1,"f":[{"asset_id":"b7"}]}"#,
        ] {
            assert_eq!(keep(&mut filter, line), Kept::Nothing, "{line}");
        }
        assert_eq!(filter.missing().collect::<Vec<_>>(), ["other"]);
    }
    assert_eq!(keep(&mut MarketFilter::new(&[]), &frame(1, "b7")), Kept::Whole);
}

#[test]
fn numbered_connections_of_a_wanted_market_stay_whole() {
    let mut filter = MarketFilter::new(&["0xa1".to_owned()]);
    filter.begin(true);
    // Other tools do not say which connection has which books.
    assert_eq!(keep(&mut filter, &frame(1, "b7")), Kept::Whole);
    let begun = r#"{"t":1,"c":0,"s":0,"k":"p","d":0,"shards":1,"hashes":"all"}"#;
    let _ = keep(&mut filter, begun);
    let _ = keep(&mut filter, &books(1, &["a1", "b7"]));
    let _ = keep(&mut filter, &books(2, &["c9"]));
    assert_eq!(keep(&mut filter, &frame(1, "b7")), Kept::Whole);
    assert_eq!(keep(&mut filter, &frame(2, "b7")), Kept::Nothing);
    let replaced = r#"{"t":1,"c":3,"s":0,"k":"o","d":0,"url":"x","from":1,"a":["a1"]}"#;
    assert_eq!(keep(&mut filter, replaced), Kept::Whole);
    assert_eq!(keep(&mut filter, &frame(3, "b7")), Kept::Whole);
}

#[test]
fn lines_about_other_markets_are_recognized_by_their_kind() {
    let filter = MarketFilter::new(&["0xa1".to_owned()]);
    let begin = r#"{"t":1790491135816123456,"c":4294967295,"s":18446744073709551615,"k""#;
    let image = |market: &str| format!(r#"{begin}:"c","d":0,"books":[{{"m":"{market}"}}]}}"#);
    let proof = |token: &str| format!(r#"{begin}:"z","d":0,"a":"{token}","z":"1f"}}"#);
    for line in [
        frame(1, "b7"),
        format!(r#"{begin}:"t","f":{{"market":"0xb7"}}}}"#),
        image("0xb7"),
        proof("0xb7"),
        format!(r#"{begin}:"v","n":1,"a":"0xa1"}}"#),
    ] {
        assert!(filter.is_of_others(&line), "{line}");
    }
    for line in [
        frame(1, "a1"),
        image("0xa1"),
        proof("0xa1"),
        // They may be about any market, or about none.
        format!(r#"{begin}:"t","f":[{{"market":"0xb7"}}]}}"#),
        format!(r#"{begin}:"x","f":",\"k\":\"v\","}}"#),
        format!(r#"{begin}:"t","f":{{"a":1,"k":"v","b":2}}}}"#),
        format!(r#"{begin}:"e","why":"cut"}}"#),
        r#"{"f":{"market":"0xb7"},"t":1,"c":1,"s":0,"k":"t"}"#.to_owned(),
        "PONG".to_owned(),
        "é".to_owned(),
    ] {
        assert!(!filter.is_of_others(&line), "{line}");
    }
}
