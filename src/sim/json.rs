//! JSON written into a byte buffer: decimals, strings and objects.
//!
//! Runs on:  the venue's thread (pure).
use crate::base::price::{Price, Quantity};

/// Units in one dollar or share.
const SCALE: u64 = 1_000_000;

pub(super) fn push_integer(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a fixed-point number (one unit is 1e-6) without trailing zeros.
fn push_units(out: &mut Vec<u8>, units: u64) {
    push_integer(out, units / SCALE);
    let mut fraction = units % SCALE;
    if fraction == 0 {
        return;
    }
    let mut digits = *b".000000";
    for digit in digits[1..].iter_mut().rev() {
        *digit = b'0' + (fraction % 10) as u8;
        fraction /= 10;
    }
    let end = digits.iter().rposition(|&digit| digit != b'0').unwrap_or(0);
    out.extend_from_slice(&digits[..=end]);
}

/// Appends a price in the venue's wire format, without quotes.
pub(super) fn push_price(out: &mut Vec<u8>, price: Price) {
    push_units(out, u64::from(price.0));
}

/// Appends a quantity in the venue's wire format, without quotes.
pub(super) fn push_quantity(out: &mut Vec<u8>, quantity: Quantity) {
    push_units(out, quantity.0);
}

pub(super) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// A compact object under construction.
pub(super) struct Object<'out> {
    out: &'out mut Vec<u8>,
    empty: bool,
}

impl<'out> Object<'out> {
    /// Opens the object.
    pub(super) fn new(out: &'out mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// A key; append its value to the returned buffer.
    pub(super) fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        push_string(self.out, key);
        self.out.push(b':');
        self.out
    }

    pub(super) fn text(&mut self, key: &str, value: &str) -> &mut Self {
        push_string(self.key(key), value);
        self
    }

    /// A value whose text is JSON: a number or a boolean.
    pub(super) fn plain(&mut self, key: &str, value: impl std::fmt::Display) -> &mut Self {
        self.key(key).extend_from_slice(value.to_string().as_bytes());
        self
    }

    /// An array of strings.
    pub(super) fn texts(&mut self, key: &str, values: &[&str]) -> &mut Self {
        let out = self.key(key);
        out.push(b'[');
        for (at, value) in values.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            push_string(out, value);
        }
        out.push(b']');
        self
    }

    /// An array of strings inside a string, as Gamma has it: `"[\"Yes\", \"No\"]"`.
    pub(super) fn texts_in_text(&mut self, key: &str, values: &[&str]) -> &mut Self {
        let mut inner = String::from("[");
        for (at, value) in values.iter().enumerate() {
            inner.push_str(if at > 0 { ", \"" } else { "\"" });
            inner.push_str(value);
            inner.push('"');
        }
        inner.push(']');
        self.text(key, &inner)
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }
}

#[cfg(test)]
mod tests;
