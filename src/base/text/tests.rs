//! Visible and invisible characters, invalid UTF-8, long text.
use super::*;

#[test]
fn visible_text_is_unchanged() {
    for text in ["", "no such market", "Cöté d’Azur: 50 %, \"quoted\" \\ and 東京 🗳"] {
        assert!(matches!(one_line(text), Cow::Borrowed(same) if same == text), "{text}");
    }
}

#[test]
fn control_characters_and_line_separators_are_escaped() {
    for (text, shown) in [
        ("\x1b[31mEVIL\x1b]0;x\x07", "\\u{1b}[31mEVIL\\u{1b}]0;x\\u{7}"),
        ("a\r\n[2026 INFO] forged", "a\\r\\n[2026 INFO] forged"),
        ("\u{9b}31m\u{85}", "\\u{9b}31m\\u{85}"),
        ("\u{2028}\u{202e}cod.exe\u{2066}", "\\u{2028}\\u{202e}cod.exe\\u{2066}"),
        ("\u{7f}\u{0}\u{200b}\u{feff}", "\\u{7f}\\u{0}\\u{200b}\\u{feff}"),
    ] {
        assert_eq!(one_line(text), shown);
    }
    for c in (0..=0x10_ffff).filter_map(char::from_u32).filter(|c| c.is_control()) {
        assert!(!one_line(&c.to_string()).contains(c), "{c:?}");
    }
}

#[test]
fn invalid_utf8_is_replaced_and_long_text_cut() {
    assert_eq!(one_line_of(b"\xff\xfe ok\x1b", 100), "\u{fffd}\u{fffd} ok\\u{1b}");
    assert_eq!(one_line_of(b"12345678", 4), "1234…");
}

#[test]
fn json_keeps_its_value_without_hidden_characters() {
    let json = "{\"why\":\"\\u001b[31m\u{9b}\u{2028}\u{202e}\u{e0001} 東京\",\"n\":1}";
    let shown = String::from_utf8(visible_json(json.as_bytes().to_vec())).unwrap();
    assert!(!shown.contains(is_hidden) && shown.contains("東京"), "{shown}");
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(value(&shown), value(json));
    let spread = "{\n\t\"why\\\\\": \"\\\"\u{9b}\",\r\n\"n\": [\n1]\n}\n";
    let shown = String::from_utf8(visible_json(spread.as_bytes().to_vec())).unwrap();
    assert_eq!((value(&shown), shown), (value(spread), spread.replace('\u{9b}', "\\u009b")));
    for same in [b"{}".to_vec(), b"\xff".to_vec(), b"[\n]".to_vec()] {
        assert_eq!(visible_json(same.clone()), same);
    }
}
