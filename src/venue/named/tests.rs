//! Ids within damaged text, and what is none.
use super::*;

const MARKET: &str = "0xabababababababababababababababababababababababababababababababab";
const TOKEN: &str = "1012345678901234567890123456789012345678901234567890123456789012345678911111";

/// The ids, and whether each message has one; no book exists.
fn named(text: &str) -> (Vec<String>, bool) {
    let mut ids = Vec::new();
    let known = for_each_id_in(text, |id| {
        ids.push(id.to_owned());
        false
    });
    ids.sort();
    ids.dedup();
    (ids, known)
}

#[test]
fn ids_are_found_whatever_is_around_them() {
    let both = (vec![MARKET.to_owned(), TOKEN.to_owned()], true);
    let message = format!(r#"{{"market":"{MARKET}","asset_id":"{TOKEN}","price":"0.5"}}"#);
    assert_eq!(named(&message), both);
    assert_eq!(named(&format!("[[{message}]]")), both);
    let (mut text, mut layers) = (message.clone(), 0);
    while layers < 4 {
        text = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        layers += 1;
        assert_eq!(named(&text), both, "{layers} layers");
    }
    let quoted = message.replace('"', "\\u0022");
    assert_eq!(named(&quoted), both);
    let escaped = message.replace("0xabab", "0x\\u0061b\\u0061b").replace("101234", "\\u003101234");
    assert_eq!(named(&escaped), both);
    let numbers = format!(r#"{{"market":7,"asset_id":{TOKEN}}}"#);
    assert_eq!(named(&numbers), (vec![TOKEN.to_owned()], true));
}

#[test]
fn what_is_no_id_or_only_a_part_of_one_names_nothing() {
    let hash = "0".repeat(40);
    for text in [
        String::new(),
        "{}".into(),
        format!("{{\"market\":\"{MARKET}"),
        format!("{}\",\"price\":\"1\"}}", &TOKEN[3..]),
        format!(r#"{{"market":"{}�{}"}}"#, &MARKET[..20], &MARKET[20..]),
        format!(r#"{{"market":null,"transaction_hash":"{MARKET}","hash":"{hash}"}}"#),
        r#"{"market":null,"asset_id":null,"price":"0.5","timestamp":"1786000000100"}"#.into(),
        "\\".into(),
        "\\u12".into(),
        "\\ud83d\\".into(),
    ] {
        assert_eq!(named(&text), (Vec::new(), false), "{text}");
    }
}

#[test]
fn each_of_several_messages_must_be_named() {
    let one = format!(r#"{{"market":"{MARKET}","price":"0.5"}}"#);
    assert!(named(&format!("[{one},{one}]")).1);
    assert!(!named(&format!(r#"[{one},{{"market":"0x�","asset_id":"1"}}]"#)).1);
    assert!(named(&format!(r#"[{one},{{"market":null,"asset_id":"{TOKEN}"}}]"#)).1);
}
