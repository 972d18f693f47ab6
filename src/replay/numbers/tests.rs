//! Numbers of a file after the other.
use super::*;

#[test]
fn a_number_that_is_left_out_is_missing_unless_markets_were_left_out() {
    let mut numbers = Numbers::default();
    let mut missing = |line: &str| numbers.missing_before(&Record::read(line), line);
    let text = |c: u64, s: u64| format!(r#"{{"t":5,"c":{c},"s":{s},"k":"t","f":{{}}}}"#);
    let begun = r#"{"t":5,"c":0,"s":0,"k":"p","d":0,"shards":1,"hashes":"off"}"#;
    let [whole, part] =
        [false, true].map(|part| format!(r#"{{"t":1,"c":0,"s":0,"k":"v","part":{part},"f":""}}"#));
    assert_eq!(missing(&text(1, 9)) + missing(&text(1, 20)), 0, "another tool's");
    for (line, count) in [
        (whole.as_str(), 0),
        (begun, 0),
        (&text(1, 4), 0),
        (&text(2, 0), 0),
        (&text(1, 5), 0),
        (&text(1, 8), 2),
        (&text(2, 1), 0),
        (r#"{"t":5,"s":7,"k":"l","n":3}"#, 0),
        (&text(0, 70), 0),
        // The next file, another process, and one whose start is missing.
        (&whole, 0),
        (&text(1, 10), 1),
        (begun, 0),
        (&text(1, 30), 0),
        (&text(1, 0), 0),
        (&text(1, 1), 0),
        (&part, 0),
        (&text(1, 90), 0),
    ] {
        assert_eq!(missing(line), count, "{line}");
    }
}
