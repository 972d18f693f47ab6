//! Keys, levels, decimals and times.
use super::*;

#[test]
fn ignored_keys_are_sorted_for_the_search() {
    assert!(IGNORED_KEYS.is_sorted());
    let of = |name: &&&str| Key::of(name) != Key::Unknown && !Key::of(name).is_rest();
    assert_eq!(IGNORED_KEYS.iter().filter(of).count(), 0);
}

#[test]
fn only_lists_of_lists_or_objects_count_as_unknown_levels() {
    for (body, expected) in [
        (r#"{"seqs":[3,4],"n":[1,null,[],{},[["]"]]],"e":[],"o":{"yes":["0.5","1"]}}"#, false),
        (r#"{"o":{"n":1,"p":{"yes":[["0.5","1"]]}}}"#, true),
        (r#"{"orderbook_fp":{"yes_dollars":[["0.5","1"]]}}"#, true),
        (r#"{"yes_fp":[["0.5","1"]]}"#, true),
        (r#"{"yes_fp":[{"price":"0.5"}]}"#, true),
        (r#"{"yes_dollars_fp":[["0.5","1"]],"more":[["0.5","1"]]}"#, false),
        (r#"{"no":[],"more":[["0.5","1"]]}"#, false),
    ] {
        let frame = format!(r#"{{"type":"orderbook_snapshot","msg":{body}}}"#);
        let fields = read(&frame, &mut Scratch::default()).unwrap();
        assert_eq!(fields.has_unknown_levels(), expected, "{body}");
    }
}

#[test]
fn signed_decimals_are_exact() {
    let signed = |text: &str| parse_signed(text.as_bytes());
    assert_eq!(signed("-100.00"), Some(-100_000_000));
    assert_eq!(signed("+0.01"), Some(10_000));
    assert_eq!(signed("3"), Some(3_000_000));
    for bad in ["", "-", "--1", "1-", "-1e3", "99999999999999"] {
        assert_eq!(signed(bad), None, "{bad}");
    }
}

#[test]
fn times_of_deltas_and_trades_are_milliseconds() {
    let text = |text| time_ms(&Scalar::Text(text));
    assert_eq!(text("2026-08-07T06:46:28.97871Z"), Some(1_786_085_188_978));
    assert_eq!(time_ms(&Scalar::Number(1_669_149_841)), Some(1_669_149_841_000));
    assert_eq!(text("yesterday"), None);
}
