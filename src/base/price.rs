//! Fixed-point prices and quantities; the only file that converts decimal strings to numbers.
//!
//! Runs on:  any (pure).
//! Bounds:   a value that does not fit is refused, never rounded.
use std::fmt;

/// Decimals of one unit of [`Price`] and [`Quantity`].
const SCALE_DIGITS: usize = 6;
/// Units per dollar or share.
const SCALE: u64 = 1_000_000;

/// A price. One unit is 1e-6 of a dollar; venues quote outcomes within `0..=1_000_000`.
///
/// The scale is independent of a market's tick size, which the venue may change at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(pub u32);

/// A quantity. One unit is 1e-6 of a share or contract; zero removes a level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(pub u64);

impl Price {
    /// Zero: the venue's best bid of an empty side.
    pub const ZERO: Self = Self(0);
    /// One dollar: the payout of a winning share.
    pub const ONE: Self = Self(1_000_000);

    /// Parses a decimal such as `0.53`, `.53`, `1` or `0.0025`.
    ///
    /// `None` if it is no plain decimal, exceeds one dollar, or has more than six significant decimals.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let units = parse_decimal(text)?;
        (units <= SCALE).then_some(Self(units as u32))
    }

    /// Parses a tick size: as [`Price::parse`], and not zero.
    #[must_use]
    pub fn parse_tick_size(text: &[u8]) -> Option<Self> {
        Self::parse(text).filter(|price| *price != Self::ZERO)
    }

    /// The price of the other outcome: `1 - self`. Prices above one dollar do not occur.
    #[must_use]
    pub const fn complement(self) -> Self {
        Self(Self::ONE.0.saturating_sub(self.0))
    }

    /// The venue's format of a last trade price: at least three decimals, as in `0.870`.
    #[must_use]
    pub fn three_decimals(self) -> String {
        let mut text = self.to_string();
        let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        if decimals == 0 {
            text.push('.');
        }
        text.extend(std::iter::repeat_n('0', 3usize.saturating_sub(decimals)));
        text
    }

    /// Appends the venue's wire format.
    pub fn push_to(self, out: &mut String) {
        out.push_str(decimal(u64::from(self.0), &mut [0; DECIMAL_BYTES]));
    }
}

impl Quantity {
    /// Zero: the level is removed.
    pub const ZERO: Self = Self(0);

    /// Parses a decimal such as `503.32`; `None` if it is no plain decimal, has more than six significant decimals, or
    /// exceeds 1.8e13 shares.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        parse_decimal(text).map(Self)
    }

    /// Appends the venue's wire format.
    pub fn push_to(self, out: &mut String) {
        out.push_str(decimal(self.0, &mut [0; DECIMAL_BYTES]));
    }
}

impl fmt::Display for Price {
    /// The venue's wire format: no trailing zeros, as in `0.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(decimal(u64::from(self.0), &mut [0; DECIMAL_BYTES]))
    }
}

impl fmt::Display for Quantity {
    /// The venue's wire format: no trailing zeros, as in `503.32`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(decimal(self.0, &mut [0; DECIMAL_BYTES]))
    }
}

/// Parses digits with at most one point and at least one digit; returns the value times 1e6.
///
/// Zeros beyond the sixth decimal are accepted.
fn parse_decimal(text: &[u8]) -> Option<u64> {
    let mut units: u64 = 0;
    let mut decimals: Option<usize> = None;
    let mut digits = 0usize;
    for &byte in text {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                let digit = u64::from(byte - b'0');
                if let Some(seen) = &mut decimals {
                    if *seen == SCALE_DIGITS {
                        if digit != 0 {
                            return None;
                        }
                        continue;
                    }
                    *seen += 1;
                }
                units = units.checked_mul(10)?.checked_add(digit)?;
            }
            b'.' if decimals.is_none() => decimals = Some(0),
            _ => return None,
        }
    }
    if digits == 0 {
        return None;
    }
    const POWERS: [u64; SCALE_DIGITS + 1] = [1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
    units.checked_mul(POWERS[decimals.unwrap_or(0)])
}

/// Longest decimal: 14 digits, a point and 6 more.
const DECIMAL_BYTES: usize = 21;

/// Formats units at the end of `into`. Without `core::fmt`, because the text of a book's hash has two numbers per
/// level.
fn decimal(units: u64, into: &mut [u8; DECIMAL_BYTES]) -> &str {
    let mut begin = into.len();
    let mut put = |byte: u8| {
        begin -= 1;
        into[begin] = byte;
    };
    let (mut whole, mut fraction) = (units / SCALE, units % SCALE);
    if fraction > 0 {
        let mut width = SCALE_DIGITS;
        while fraction.is_multiple_of(10) {
            fraction /= 10;
            width -= 1;
        }
        for _ in 0..width {
            put(b'0' + (fraction % 10) as u8);
            fraction /= 10;
        }
        put(b'.');
    }
    loop {
        put(b'0' + (whole % 10) as u8);
        whole /= 10;
        if whole == 0 {
            break;
        }
    }
    std::str::from_utf8(&into[begin..]).unwrap_or_default()
}

#[cfg(test)]
mod tests;
