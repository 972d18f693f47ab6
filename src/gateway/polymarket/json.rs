//! JSON of clients: bounded nesting, and text as a JSON string.
//!
//! Runs on:  serve core (pure).
use serde::Deserialize;

/// Deepest nesting of a client's message; the protocol needs three levels.
const DEPTH_MAX: usize = 16;

/// Reads one JSON value; `None` if it is malformed, of another shape or nested deeper than [`DEPTH_MAX`].
///
/// sonic-rs 0.5.10 skips a value by unbounded recursion, so the depth is checked first.
pub(super) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    if is_too_deep(text.as_bytes()) {
        return None;
    }
    sonic_rs::from_str(text).ok()
}

/// Appends `text` as a JSON string with its quotes.
pub(super) fn push_text(out: &mut String, text: &str) {
    // A string can always be written.
    out.push_str(&sonic_rs::to_string(text).unwrap_or_else(|_| "\"\"".to_owned()));
}

fn is_too_deep(json: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_nesting_is_refused_and_brackets_in_strings_do_not_count() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(!is_too_deep(nested(DEPTH_MAX).as_bytes()));
        assert!(is_too_deep(nested(DEPTH_MAX + 1).as_bytes()));
        assert!(!is_too_deep(format!(r#"["\"{}"]"#, "[".repeat(100)).as_bytes()));
        assert_eq!(read::<Vec<u8>>(&"[".repeat(1 << 20)), None);
        assert_eq!(read::<Vec<u8>>("[1,2]"), Some(vec![1, 2]));
        assert_eq!(read::<Vec<u8>>("[1,2]x"), None);
    }

    #[test]
    fn text_is_escaped() {
        let mut out = String::new();
        push_text(&mut out, "\"a\\b\"\n\u{1}é");
        assert_eq!(out, r#""\"a\\b\"\n\u0001é""#);
    }
}
