//! Decimals that are read exactly, and those that are refused.
use super::*;

#[test]
fn decimals_are_read_exactly_or_refused() {
    let price = |text: &str| Price::parse(text.as_bytes()).map(|p| p.0);
    assert_eq!(price("0.53"), Some(530_000));
    assert_eq!(price(".48"), Some(480_000));
    assert_eq!(price("1"), Some(1_000_000));
    assert_eq!(price("0"), Some(0));
    assert_eq!(price("0.0001"), Some(100));
    assert_eq!(price("0.5000000"), Some(500_000));
    assert_eq!(price("1."), Some(1_000_000));
    for bad in ["", ".", "-0.1", "1e-3", "0.1234567", "1.000001", "0..1", " 0.1", "0,1", "NaN"] {
        assert_eq!(price(bad), None, "{bad}");
    }
    let quantity = |text: &str| Quantity::parse(text.as_bytes()).map(|q| q.0);
    assert_eq!(quantity("31045290"), Some(31_045_290_000_000));
    assert_eq!(quantity("219.217767"), Some(219_217_767));
    assert_eq!(quantity("18446744073709.551615"), Some(u64::MAX));
    assert_eq!(quantity("18446744073709.551616"), None);
    assert_eq!(quantity("99999999999999999999"), None);
}

#[test]
fn display_is_the_wire_format() {
    assert_eq!(Price(500_000).to_string(), "0.5");
    assert_eq!(Price(1_000_000).to_string(), "1");
    assert_eq!(Price(100).to_string(), "0.0001");
    assert_eq!(Quantity(503_320_000).to_string(), "503.32");
    let mut pushed = String::new();
    Price(7).push_to(&mut pushed);
    Quantity(u64::MAX).push_to(&mut pushed);
    assert_eq!(pushed, "0.00000718446744073709.551615");
    assert_eq!(Price(870_000).three_decimals(), "0.870");
    assert_eq!(Price(1_000_000).three_decimals(), "1.000");
    assert_eq!(Price(123_400).three_decimals(), "0.1234");
    assert_eq!(Price(530_000).complement(), Price(470_000));
}
