//! Text for people and URLs; untrusted text made safe for log lines and status reports.
//!
//! Runs on:  any (pure). Allocates only if something is escaped or cut.
use std::borrow::Cow;
use std::fmt::Write as _;

/// Characters that are invisible or have an effect in a terminal, editor or log reader: C0 and C1 controls, line
/// separators, and text direction.
const fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{0}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// The text on one line: control characters, line separators and direction characters are written as `\u{1b}`.
pub fn one_line(text: &str) -> Cow<'_, str> {
    let Some((first, _)) = text.char_indices().find(|&(_, c)| is_hidden(c)) else {
        return Cow::Borrowed(text);
    };
    let mut shown = String::with_capacity(text.len() + 16);
    shown.push_str(&text[..first]);
    for c in text[first..].chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if is_hidden(c) => {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// [`one_line`] of bytes, cut after `bytes_max`; invalid UTF-8 is shown as U+FFFD.
pub fn one_line_of(bytes: &[u8], bytes_max: usize) -> String {
    let cut = &bytes[..bytes.len().min(bytes_max)];
    let mut shown = one_line(&String::from_utf8_lossy(cut)).into_owned();
    if bytes.len() > bytes_max {
        shown.push('…');
    }
    shown
}

/// A count with its noun, such as `1 market` and `2 markets`.
pub fn counted(count: u64, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// Appends text to a URL: all but RFC 3986's unreserved characters as `%XX`.
pub fn percent_encode(text: &str, url: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            url.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

/// A value of a query without its `%XX` escapes.
///
/// # Errors
/// One line for the client: an escape that is none, or no UTF-8.
pub fn percent_decoded(value: &str) -> Result<Cow<'_, str>, &'static str> {
    if !value.contains('%') {
        return Ok(Cow::Borrowed(value));
    }
    let mut parts = value.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let code = part.get(..2).filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()));
        let byte = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(byte.ok_or("the query has a malformed percent escape")?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    let text = String::from_utf8(bytes);
    text.map(Cow::Owned).map_err(|_| "the query is not UTF-8")
}

/// JSON with the hidden characters of its strings as JSON escapes, so that its value is unchanged. Those between its
/// tokens are white space and stay.
pub fn visible_json(json: Vec<u8>) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(&json) else { return json };
    if !text.contains(is_hidden) {
        return json;
    }
    let mut shown = String::with_capacity(text.len() + 64);
    let (mut in_string, mut is_escaped) = (false, false);
    for c in text.chars() {
        in_string ^= c == '"' && !is_escaped;
        is_escaped = in_string && c == '\\' && !is_escaped;
        if in_string && is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    shown.into_bytes()
}

#[cfg(test)]
mod tests;
