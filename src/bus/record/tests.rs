//! Heads and kinds of records.
use super::*;

#[test]
fn a_head_has_kind_and_key() {
    let text =
        r#"{"sequence":1,"kind":"change","venue":"v","market":"0xa","token":"7","version":2}"#;
    assert_eq!(
        RecordHead::read(text),
        Some(RecordHead { kind: "change", key: "7", market: "0xa" })
    );
    let text = r#"{"sequence":1,"kind":"market","venue":"v","market":"M","receive_time":1,"outcomes":[{"token":"7"}]}"#;
    assert_eq!(RecordHead::read(text), Some(RecordHead { kind: "market", key: "M", market: "M" }));
    for text in ["", r#"{"kind":"error","error":"x"}"#, r#"{"sequence":1,"kind":"x"}"#] {
        assert_eq!(RecordHead::read(text), None, "{text}");
    }
    assert_eq!(Topic::of_kind("state"), [Topic::Books, Topic::Events]);
    assert_eq!(
        Topic::named("tops").map(|topic| topic.full_name("a.b")).as_deref(),
        Some("a.b.tops")
    );
}
