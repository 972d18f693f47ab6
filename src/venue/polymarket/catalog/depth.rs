//! Nesting depth of a JSON text.
//!
//! Runs on:  any (pure).
//!
//! sonic-rs 0.5.10 skips a value by unbounded recursion: a megabyte of `[` overflows the stack and aborts the process.
//! External input is checked with this first.

/// Byte offset where `json` first nests deeper than `depth_max`; `None` if nowhere. Never panics for invalid JSON, for
/// which the result is arbitrary.
pub(in crate::venue) fn too_deep(json: &[u8], depth_max: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut in_string = false;
    let mut escaped = false;
    for (at, &byte) in json.iter().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > depth_max {
                    return Some(at);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
