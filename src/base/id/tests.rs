//! Texts within their bound, and longer ones.
use super::*;

#[test]
fn text_is_bounded_and_compares_by_content() {
    let long = "9".repeat(TOKEN_BYTES_MAX);
    assert_eq!(TokenId::new(&long).unwrap().as_str(), long);
    assert!(TokenId::new(&"9".repeat(TOKEN_BYTES_MAX + 1)).is_none());
    assert!(TokenId::new("").is_none());
    assert!(TokenId::new("12 3").is_none());
    assert!(TokenId::new("12\"").is_none());
    assert!(TokenId::new("12\u{2026}").is_none());
    assert_eq!(TokenId::new("12"), TokenId::new("12"));
    assert_ne!(TokenId::new("12"), TokenId::new("120"));
    assert_eq!(format!("{}", MarketId::new("0xbd31").unwrap()), "0xbd31");
}
