//! Exact decimals of the wire, scaled by a billion.

/// Digits after the point: more than the venue ever sends.
const DIGITS: usize = 9;
pub(crate) const ONE: i128 = 1_000_000_000;

/// `0.48`, `.48`, `10`, `10.0`; nothing else.
pub(crate) fn parse(text: &str) -> Option<i128> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + part.len() == 0 || !digits(whole) || !digits(part) || part.len() > DIGITS {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part: i128 = format!("{part:0<DIGITS$}").parse().ok()?;
    Some(whole.checked_mul(ONE)? + part)
}

/// The shortest form: no trailing zeros, a leading `0`.
pub(crate) fn render(value: i128) -> String {
    let text = format!("{}.{:0DIGITS$}", value / ONE, value % ONE);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[test]
fn decimals_read_and_print() {
    for (text, shown) in
        [("0.48", "0.48"), (".48", "0.48"), ("10.0", "10"), ("1.230", "1.23"), ("5.", "5")]
    {
        assert_eq!(parse(text).map(render).as_deref(), Some(shown), "{text}");
    }
    for text in ["", ".", "-1", "1e3", "NaN", "1.2.3", "0.0000000001", " 1"] {
        assert_eq!(parse(text), None, "{text}");
    }
}
