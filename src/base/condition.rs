//! Polymarket condition ids in canonical form, and recognition of position ids.
//!
//! Runs on:  any (pure).
//!
//! polymarket/protocol.md, 6: since Protocol V2 a token is a position id, a 256-bit number in decimal whose first byte
//! is a module, whose bits 40 to 103 are zero and whose last byte is the outcome. The condition is its first 31 bytes.
//! The catalog may show it as `0x` and 62 hexadecimal digits, the stream as 64, of which the last two are zero.
use super::id::{MarketId, TokenId};

/// Length of `0x` and 31 bytes in hexadecimal.
const SHORT_BYTES: usize = 64;
/// Length of `0x` and 32 bytes in hexadecimal.
const LONG_BYTES: usize = 66;

/// The canonical market id: a condition of 31 bytes is padded to 32, with lower-case digits. Other texts, such as
/// tickers, are unchanged. `None` if it is not a valid id.
pub fn market_id(text: &str) -> Option<MarketId> {
    if !is_condition(text) {
        return MarketId::new(text);
    }
    let mut bytes = [b'0'; LONG_BYTES];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes.make_ascii_lowercase();
    MarketId::new(std::str::from_utf8(&bytes).ok()?)
}

/// Whether [`market_id`] would leave the text unchanged. One comparison for the usual ids of the stream.
pub fn is_canonical(text: &str) -> bool {
    text.len() != SHORT_BYTES && !text.bytes().any(|byte| byte.is_ascii_uppercase())
        || !is_condition(text)
}

/// Whether a text is a condition, of 31 or 32 bytes.
pub fn is_condition(text: &str) -> bool {
    matches!(text.len(), SHORT_BYTES | LONG_BYTES)
        && matches!(text.as_bytes(), [b'0', b'x' | b'X', digits @ ..] if digits.iter().all(u8::is_ascii_hexdigit))
}

/// The 31-byte form of a condition that may have 31 bytes: the venue's catalog may know only that form.
pub fn short_form(market: &MarketId) -> Option<&str> {
    let text = market.as_str();
    let short = text.strip_suffix("00")?;
    (short.len() == SHORT_BYTES && is_condition(text)).then_some(short)
}

/// Whether a token is a V2 position. V1 tokens are random numbers: one in 2^64 looks like a position.
pub fn is_position(token: &TokenId) -> bool {
    // Base 2^32 digits of the number, lowest first.
    let mut number = [0u32; 8];
    for byte in token.as_bytes() {
        if !byte.is_ascii_digit() {
            return false;
        }
        let mut carry = u64::from(byte - b'0');
        for digit in &mut number {
            carry += u64::from(*digit) * 10;
            *digit = carry as u32;
            carry >>= 32;
        }
        if carry != 0 {
            return false;
        }
    }
    let module = number[7] >> 24;
    // Bits 40 to 103: 24 bits of digit 1, digit 2, 8 bits of digit 3.
    module != 0 && number[1] >> 8 == 0 && number[2] == 0 && number[3] & 0xff == 0
}

#[cfg(test)]
mod tests;
