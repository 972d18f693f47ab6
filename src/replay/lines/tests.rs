//! Values on one line, on several lines, and in truncated input.
use super::*;
use std::io::{BufReader, Read};

fn all(text: &[u8], buffer: usize, bytes_max: usize) -> Vec<String> {
    let mut lines = Lines::with_bound(BufReader::with_capacity(buffer, text), bytes_max);
    let mut seen = Vec::new();
    while let Some(value) = lines.next().unwrap() {
        let at = value.offset as usize;
        assert!(text[at..].starts_with(&value.bytes[..value.bytes.len().min(bytes_max)]));
        let mark = match value.condition {
            Condition::Whole => "",
            Condition::TooLong => "TOO LONG ",
            Condition::Torn => "TORN ",
            Condition::Cut => "CUT ",
        };
        let shown = String::from_utf8_lossy(value.bytes).replace(['\n', '\r'], "~");
        seen.push(format!("{}: {mark}{shown}", value.line));
    }
    seen
}

#[test]
fn values_are_the_same_however_the_buffer_splits_them() {
    let text = "\u{feff}{\"a\":1}\r\n\n  \nPONG\n{\n  \"b\": [\n\n    1\n  ]\n}\n{\"c\":\n{\"d\":1}\n  {\"e\":1}\n\r\n]\n[{},\n\t{}]\n\"x\"\n{\"f\":1}";
    let expected = [
        "1: {\"a\":1}",
        "4: PONG",
        "5: {~  \"b\": [~~    1~  ]~}",
        "11: {\"c\":",
        "12: {\"d\":1}",
        "13: {\"e\":1}",
        "15: ]",
        "16: [{},~\t{}]",
        "18: \"x\"",
        "19: {\"f\":1}",
    ];
    for buffer in 1..=text.len() {
        assert_eq!(all(text.as_bytes(), buffer, 1000), expected, "buffer of {buffer}");
    }
}

#[test]
fn a_text_cut_at_any_byte_gives_the_values_before_the_cut() {
    let text = "{\"a\":[1]}\n{\n  \"b\": 2\n}\n{\"c\":\"x\"}\n";
    let whole = all(text.as_bytes(), 64, 1000);
    assert_eq!(whole, ["1: {\"a\":[1]}", "2: {~  \"b\": 2~}", "5: {\"c\":\"x\"}"]);
    for cut in 1..text.len() {
        let got = all(&text.as_bytes()[..cut], 64, 1000);
        let before = [9, 22, 32].iter().filter(|&&end| end <= cut).count();
        assert_eq!(got[..before], whole[..before], "{cut}");
        for value in &got[before..] {
            // A first line alone that ended with its newline is broken rather than torn.
            assert!(value.contains("TORN") || value == "2: {", "{cut}: {got:?}");
        }
    }
}

#[test]
fn a_value_beyond_the_bound_costs_only_itself() {
    let text = format!(
        "{{\"a\":1}}\n{{\"{}\":1}}\n{{\"b\":1}}\n[\n  1,\n  2,\n  3\n]\n[]\n",
        "x".repeat(40)
    );
    let got = all(text.as_bytes(), 7, 12);
    assert_eq!(got.len(), 5, "{got:?}");
    assert_eq!((&*got[0], &*got[2], &*got[4]), ("1: {\"a\":1}", "3: {\"b\":1}", "9: []"));
    assert!(got[1].starts_with("2: TOO LONG {") && got[3].starts_with("4: TOO LONG ["), "{got:?}");
}

struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => Ok(n),
        }
    }
}

#[test]
fn a_fault_comes_after_every_whole_value() {
    for (text, values) in [("", 0), ("{}\n", 1), ("{}\n{\"a\":", 1), ("{}\n{}", 2), ("{}\n\n", 1)] {
        let mut lines = Lines::new(BufReader::new(Failing(text.as_bytes())));
        for _ in 0..values {
            assert_eq!(lines.next().unwrap().unwrap().bytes, b"{}", "{text:?}");
        }
        let fault = lines.next().unwrap_err();
        assert_eq!(fault.kind(), io::ErrorKind::UnexpectedEof, "{text:?}");
    }
}

#[test]
fn nul_bytes_end_a_value_and_are_passed_over_and_counted() {
    for (text, expected, nuls) in [
        ("{}\n@@@\n[]\n", &["1: {}", "3: []"][..], 3),
        ("{}\n@@@[]\n", &["1: {}", "2: []"], 3),
        ("@@{}\n", &["1: {}"], 2),
        ("{}\n@@@", &["1: {}"], 3),
        ("{}@@@", &["1: {}"], 3),
        ("{\"a\":@@@{}\n[]\n", &["1: CUT {\"a\":", "1: {}", "2: []"], 3),
        ("{\"a\":@@@", &["1: CUT {\"a\":"], 3),
        ("PO@@\n@{}@[]\n", &["1: CUT PO", "2: {}", "2: []"], 4),
        ("@@@", &[], 3),
        ("{\n @ 1}\n", &["1: CUT {", "2: 1}"], 1),
    ] {
        let text = text.replace('@', "\0");
        for buffer in 1..=text.len() {
            assert_eq!(all(text.as_bytes(), buffer, 1000), expected, "{text:?} {buffer}");
        }
        let mut lines = Lines::with_bound(text.as_bytes(), 1000);
        let mut seen = 0;
        while let Some(value) = lines.next().unwrap() {
            seen += value.nuls;
        }
        assert_eq!(seen + lines.nuls(), nuls, "{text:?}");
    }
    // However many there are, the value after them is read.
    let text = format!("{{}}\n{}[]\n", "\0".repeat(5000));
    assert_eq!(all(text.as_bytes(), 64, 100), ["1: {}", "2: []"]);
}

#[test]
fn a_value_behind_a_prefix_may_be_torn() {
    let torn = |text: &str| all(text.as_bytes(), 64, 1000);
    assert_eq!(torn("1786000000123 {\"a\":1}"), ["1: 1786000000123 {\"a\":1}"]);
    assert_eq!(torn("1786000000123 {\"a\":"), ["1: TORN 1786000000123 {\"a\":"]);
}

#[test]
fn an_empty_line_before_a_line_of_tardis_is_the_end_of_its_connection() {
    let time = "2026-08-06T07:06:40.1234567Z";
    for line in [
        format!(r#"{{"localTimestamp":"{time}","message":{{"a":1}}}}"#),
        format!(r#"{time} {{"a":1}}"#),
    ] {
        let text = format!("{line}\n\n{line}\n{line}\n");
        let end = format!(r#"2: {{"time":"{time}","event":"disconnected"}}"#);
        for buffer in [1, 7, 1000] {
            let mut lines = Lines::new(BufReader::with_capacity(buffer, text.as_bytes()));
            let mut seen = Vec::new();
            while let Some(value) = lines.next().unwrap() {
                assert_eq!(value.condition, Condition::Whole);
                seen.push(format!("{}: {}", value.line - 1, String::from_utf8_lossy(value.bytes)));
            }
            let expected =
                [format!("0: {line}"), end.clone(), format!("2: {line}"), format!("3: {line}")];
            assert_eq!(seen, expected, "buffer of {buffer}");
        }
    }
    // Of others it says nothing.
    assert_eq!(all(b"1786000000 {\"a\":1}\n\n{\"a\":1}\n", 64, 1000).len(), 2);
}
