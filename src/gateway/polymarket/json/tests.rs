//! Nested values and escaped text.
use super::*;

#[test]
fn only_one_whole_value_is_read() {
    assert_eq!(read::<Vec<u8>>("[1,2]"), Some(vec![1, 2]));
    for bad in ["[1,2]x", "[1", "{}", "", &"[".repeat(1 << 20)] {
        assert_eq!(read::<Vec<u8>>(bad), None);
    }
}

#[test]
fn text_is_escaped() {
    let mut out = String::new();
    push_text(&mut out, "\"a\\b\"\n\u{1}é");
    assert_eq!(out, r#""\"a\\b\"\n\u0001é""#);
}
