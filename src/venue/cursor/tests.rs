//! Decimals, numbers, texts and UUIDs compared with exact parsers.
use super::*;

fn cursor(text: &str) -> Cursor<'_> {
    Cursor::new(text, 0)
}

/// Compares the scan of a decimal with the exact parser.
fn check(decimal: &str) {
    let text = format!("{decimal}\"}}                    ");
    let bytes = decimal.as_bytes();
    let mut at_price = cursor(&text);
    assert_eq!(at_price.price(), Price::parse(bytes), "price {decimal}");
    let mut at_price_of_four = cursor(&text);
    assert_eq!(at_price_of_four.price_of_four(), Price::parse(bytes), "price {decimal}");
    let mut at_quantity = cursor(&text);
    assert_eq!(at_quantity.quantity(), Quantity::parse(bytes), "quantity {decimal}");
    let mut at_quantity_of_two = cursor(&text);
    assert_eq!(at_quantity_of_two.quantity_of_two(), Quantity::parse(bytes), "quantity {decimal}");
    for (end, parsed) in [
        (at_price.at(), Price::parse(bytes).is_some()),
        (at_price_of_four.at(), Price::parse(bytes).is_some()),
        (at_quantity.at(), Quantity::parse(bytes).is_some()),
        (at_quantity_of_two.at(), Quantity::parse(bytes).is_some()),
    ] {
        assert!(!parsed || end == decimal.len() + 1, "{decimal}: stands at {end}");
    }
}

#[test]
fn decimals_are_those_of_the_exact_parser() {
    for decimal in [
        "0",
        "1",
        "0.5",
        ".5",
        "5.",
        "0.123456",
        "0.1234567",
        "00.5",
        "0.",
        ".",
        "0.0000001",
        "1.0",
        "100",
        "503.32",
        "2200.8",
        "31045290",
        "310452901",
        "12345.67",
        "123456.78",
        "219.217767",
        "1.234567",
        "12.34567",
        "-1",
        "1e5",
        "0.1a",
        "1..2",
        "0..1",
        "0.5 ",
        "12a.5",
        "99999999",
        "9.999999",
        "18446744073709.551615",
        "18446744073709.551616",
    ] {
        check(decimal);
    }
    for n in 0..30_000u64 {
        check(&format!("{}", n * 7919));
        check(&format!("{}.{:02}", n, n % 100));
        check(&format!("0.{:06}", n * 31 % 1_000_000));
        check(&format!("0.{}", n % 1000));
    }
}

#[test]
fn numbers_and_times_are_those_of_the_full_parser() {
    for text in ["0", "1", "7", "10", "279597", "1234567", "12345678", "9999999999999999999"] {
        let frame = format!("{text},\"msg\"");
        let mut at = cursor(&frame);
        assert_eq!(at.number(), text.parse().ok(), "{text}");
        assert_eq!(at.at(), text.len());
    }
    for text in ["", "01", "00", "-1", "99999999999999999999"] {
        assert_eq!(cursor(&format!("{text},")).number(), None, "{text}");
    }
    let time = |text: &str| cursor(text).timestamp_ms(b'}');
    assert_eq!(time("1778733492188}"), Some(1_778_733_492_188));
    for bad in
        ["1778733492188,", "177873349218}}", "0778733492188}", "17787334921880}", "17787334921:8}"]
    {
        assert_eq!(time(bad), None, "{bad}");
    }
}

#[test]
fn texts_end_at_their_quote() {
    let text = |text: &str| {
        let mut at = cursor(text);
        (at.text().map(str::to_owned), at.at())
    };
    for body in ["", "A", "KXBTC-T1", "KXBTC15M-26MAY140045-45", "a\"", "abcdefg\"\u{1}\\"] {
        let plain = body.split('"').next().unwrap();
        for rest in ["", "}", ",\"market_id\":\""] {
            let frame = format!("{plain}\"{rest}");
            assert_eq!(text(&frame), (Some(plain.to_owned()), plain.len() + 1), "{frame}");
        }
    }
    for byte in 0..128u8 {
        for place in 0..17 {
            let mut bytes = *b"01234567890123456\"        ";
            bytes[place] = byte;
            let frame = std::str::from_utf8(&bytes).unwrap();
            let plain = matches!(byte, 0x20..=0x7f) && byte != b'\\';
            assert_eq!(text(frame).0.is_some(), plain, "{byte} at {place}");
        }
    }
    assert_eq!(text("é\"").0, None, "left to the full parser");
    assert_eq!(text("no end").0, None);
}

#[test]
fn uuids_have_their_form() {
    let id = "7f83cad1-c053-41eb-94ca-41a60f08764e";
    assert_eq!(cursor(&format!("{id}\"")).uuid(), Some(id));
    for place in 0..37 {
        for byte in 0..128u8 {
            let mut bytes = format!("{id}\"").into_bytes();
            bytes[place] = byte;
            let frame = String::from_utf8(bytes).unwrap();
            let read = cursor(&frame).uuid();
            // What it takes is a text of that length without escapes.
            assert!(read.is_none() || cursor(&frame).text() == read, "{frame}");
        }
    }
}

#[test]
fn byte_classes_are_exact() {
    assert_eq!(index(same(u64::from_le_bytes(*b"abcd\"efg"), b'"')), 4);
    assert_eq!(index(same(u64::from_le_bytes(*b"abcdefgh"), b'"')), 8);
    for byte in 0..=255u8 {
        for place in 0..8 {
            let mut word = *b"01234567";
            word[place] = byte;
            let word = u64::from_le_bytes(word);
            assert_eq!(no_digits(word ^ ZEROS) == 0, byte.is_ascii_digit(), "{byte} at {place}");
        }
        for place in 0..16 {
            let mut bytes = *b"0123456789abcdef";
            bytes[place] = byte;
            let expected = matches!(byte, 0x30..=0x3f | 0x60..=0x7f);
            assert_eq!(are_plain(&bytes, b'0'), expected, "{byte} at {place}");
            assert_eq!(are_plain(&bytes, b'-'), expected || matches!(byte, b'-'..=b'/'));
            let mut bytes = *b"0123456789012345";
            bytes[place] = byte;
            assert_eq!(are_digits(&bytes), byte.is_ascii_digit(), "{byte} at {place}");
        }
    }
    assert_eq!(number_of(u64::from_le_bytes(*b"12345678") ^ ZEROS), 12_345_678);
}
