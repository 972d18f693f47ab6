//! Short figures, and text broken into lines.
use super::*;

#[test]
fn figures_are_short() {
    assert_eq!(
        [0, 999, 1_000, 15_400, 2_500_000, 120_000_000_000].map(duration),
        ["–", "999 ns", "1.00 µs", "15.4 µs", "2.50 ms", "2m 00s"]
    );
    assert_eq!([0, 61, 3_661, 90_000].map(age), ["0 s", "1m 01s", "1h 01m", "1d 01h"]);
    assert_eq!([0.0, 3.21, 1234.5].map(rate), ["0", "3.2", "1,235"]);
    assert_eq!([None, Some(1.0), Some(0.99999)].map(percent), ["–", "100 %", "99.99 %"]);
    assert_eq!(bars([0.0, 1.0, 2.0, 4.0].into_iter(), 3), "▃▅█");
    assert_eq!(since(0, 5), "–");
}

#[test]
fn text_is_broken_at_spaces_and_long_words_are_cut() {
    assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
    assert_eq!(wrapped("a 123456789 b", 4), ["a", "1234", "5678", "9 b"]);
    assert_eq!(wrapped("", 4), [""]);
}
