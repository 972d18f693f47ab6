//! Dates, numbers and other values.
use super::*;

#[test]
fn all_three_forms_of_a_date_are_equal() {
    for text in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        " Sun, 6 Nov 1994 08:49:37 UTC ",
        // A wrong weekday is ignored; a time zone is not.
        "Mon, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 09:49:37 +0100",
    ] {
        assert_eq!(RetryAfter::parse(text), Some(RetryAfter::Date(784_111_777)), "{text}");
    }
    let at = RetryAfter::Date(784_111_777);
    assert_eq!(at.seconds_from(784_111_770 * SECOND_NS), 7);
    assert_eq!(at.seconds_from(784_111_769 * SECOND_NS + 1), 8, "rounded up");
    assert_eq!(at.seconds_from(784_111_900 * SECOND_NS), 0, "a past date");
    let old = RetryAfter::parse("Thu, 01 Jan 1931 00:00:00 GMT");
    assert_eq!(old, Some(RetryAfter::Date(0)));
}

#[test]
fn numbers_of_every_size_are_seconds() {
    for (text, seconds) in [
        ("0", 0),
        (" 7 ", 7),
        ("00012", 12),
        ("99999999999999999999", u64::MAX),
        ("1.0", 1),
        ("0.25", 1),
    ] {
        assert_eq!(RetryAfter::parse(text), Some(RetryAfter::Seconds(seconds)), "{text}");
    }
}

#[test]
fn other_values_are_refused() {
    for text in [
        "",
        "soon",
        "-5",
        "1e3",
        ".",
        "7s",
        "1.2.3",
        "Sun, 06 Nov 1994",
        "08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 7 GMT",
        "Sun, 06 Nov 99999 08:49:37 GMT",
        "::::",
        "\u{661}",
    ] {
        assert_eq!(RetryAfter::parse(text), None, "{text}");
    }
}
