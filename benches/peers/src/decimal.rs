//! Decimals as whole millionths, for books of different make to be compared exactly.

use rust_decimal::Decimal;

/// Digits after the point of one unit.
const SCALE_DIGITS: u32 = 6;

/// Millionths of a decimal text; `None` when it is no plain decimal or needs more digits.
#[must_use]
pub fn units(text: &str) -> Option<u64> {
    let (mut units, mut decimals, mut point) = (0u64, 0, false);
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' if decimals < SCALE_DIGITS => {
                units = units.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
                decimals += u32::from(point);
            }
            b'0' => {}
            b'.' if !point => point = true,
            _ => return None,
        }
    }
    units.checked_mul(10u64.pow(SCALE_DIGITS - decimals))
}

/// Millionths of a [`Decimal`]; `None` when it is negative or does not come out even.
#[must_use]
pub fn units_of(decimal: Decimal) -> Option<u64> {
    let decimal = decimal.normalize();
    let mantissa = u64::try_from(decimal.mantissa()).ok()?;
    mantissa.checked_mul(10u64.pow(SCALE_DIGITS.checked_sub(decimal.scale())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_decimals_agree() {
        for (text, expected) in
            [("0.42", 420_000), ("1", 1_000_000), ("503.32", 503_320_000), (".5", 500_000)]
        {
            assert_eq!(units(text), Some(expected), "{text}");
            assert_eq!(units_of(text.parse().unwrap()), Some(expected), "{text}");
        }
        assert_eq!(units("0.1234567"), None);
        assert_eq!(units_of("0.1234567".parse().unwrap()), None);
        assert_eq!(units_of("-1".parse().unwrap()), None);
        assert_eq!(units("1e3"), None);
    }
}
