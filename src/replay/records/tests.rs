//! Ranges, starts, shards and damage.
use super::*;

fn records(text: &str, range: Range<u64>) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ndjson");
    std::fs::write(&path, text).unwrap();
    let recording = Recording { feed: crate::venue::ALL[0], files: vec![Source::Path(path)] };
    let mut records = recording.records(range, Arc::default());
    let mut found = Vec::new();
    while let Some(RawRecord { receive_ns, connection, content }) = records.next_record().unwrap() {
        found.push(format!("{receive_ns} {connection:?} {content:?}"));
    }
    found
}

#[test]
fn frames_and_ends_of_a_range_come_in_order() {
    let text = concat!(
        r#"{"t":1,"c":0,"s":0,"k":"v","d":0,"f":""}"#,
        "\n",
        r#"{"t":2,"c":7,"s":0,"k":"o","url":"wss://x"}"#,
        "\n",
        r#"{"t":3,"c":7,"s":1,"k":"t","f":{"a":1}}"#,
        "\n",
        r#"{"t":4,"c":7,"s":2,"k":"x","f":"PONG"}"#,
        "\n",
        r#"{"t":4,"c":7,"s":3,"k":"y","f":{"a":2}}"#,
        "\n",
        r#"{"t":5,"c":7,"s":4,"k":"l","n":3}"#,
        "\n",
        r#"{"t":6,"c":0,"s":9,"k":"s","d":1}"#,
        "\n",
        r#"{"t":6,"c":7,"s":5,"k":"e","why":"cut"}"#,
        "\n"
    );
    let all = [
        "2 Some(7) Opened",
        r#"3 Some(7) Text("{\"a\":1}")"#,
        r#"4 Some(7) Text("PONG")"#,
        "5 Some(7) Lost",
        "6 Some(0) Stopping",
        "6 Some(7) Ended",
    ];
    assert_eq!(records(text, 0..u64::MAX), all);
    assert_eq!(records(text, 3..5), all[1..3]);
}

#[test]
fn an_engine_that_starts_is_a_record() {
    let start = |t: u64, d: u64| {
        format!("{{\"t\":{t},\"c\":0,\"s\":0,\"k\":\"p\",\"d\":{d},\"shards\":2}}\n")
    };
    let frame = |t: u64| format!("{{\"t\":{t},\"c\":7,\"s\":1,\"k\":\"t\",\"f\":{{}}}}\n");
    let lines = [start(1, 0), start(2, 1), frame(3), start(4, 1), frame(5), start(6, 0)];
    let found = [
        "1 Some(0) EngineStarted",
        r#"3 Some(7) Text("{}")"#,
        "4 Some(0) EngineStarted",
        r#"5 Some(7) Text("{}")"#,
    ];
    assert_eq!(records(&lines.concat(), 0..u64::MAX), found);
    // Of a part that begins within the first one.
    assert_eq!(records(&lines.concat(), 3..5), found[1..3]);
}

#[test]
fn records_of_several_shards_are_in_receive_order() {
    let text = concat!(
        r#"{"t":1,"c":7,"s":0,"k":"o","d":0,"url":"wss://x"}"#,
        "\n",
        r#"{"t":5,"c":7,"s":1,"k":"t","f":{"a":5}}"#,
        "\n",
        r#"{"t":2,"c":8,"s":0,"k":"m","d":1,"books":[]}"#,
        "\n",
        r#"{"t":3,"c":8,"s":1,"k":"t","f":{"a":3}}"#,
        "\n",
        "\0\0\0\n",
        r#"{"t":4,"c":7,"s":1,"k":"t","f":{"a":4}}"#,
        "\n"
    );
    let found = [
        "1 Some(7) Opened",
        r#"3 Some(8) Text("{\"a\":3}")"#,
        r#"5 Some(7) Text("{\"a\":5}")"#,
        "4 None Lost",
        r#"4 Some(7) Text("{\"a\":4}")"#,
    ];
    assert_eq!(records(text, 0..u64::MAX), found);
}

#[test]
fn what_is_damaged_is_a_loss_before_what_follows() {
    let text = "{\"t\":1,\"c\":7,\"s\":1,\"k\":\"t\",\"f\":{\"a\":1}}\n\0\0\0\n\
                {\"t\":2,\"c\":7,\"s\":2,\"k\":\"t\",\"f\":{\"a\":2}}\n\
                {\"t\":3,\"c\":7,\"s\":3,\"k\":\"t\",\"f\":{\"a\":3}}\n";
    let found = records(text, 0..u64::MAX);
    assert_eq!(found[1], "2 None Lost");
    assert_eq!(found.len(), 4, "{found:?}");
}
