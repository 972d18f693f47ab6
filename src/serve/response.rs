//! An HTTP response to a local client, and its bytes.
//!
//! Runs on:  serve core (pure). Owns: its body.
use crate::base::text::visible_json;
use serde::Serialize;
use std::fmt::Write as _;

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Additional headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// A JSON response.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type: "application/json", headers: Vec::new(), body: body.into() }
    }

    /// A value as JSON, without characters that have an effect in a terminal.
    pub fn of(status: u16, value: &impl Serialize) -> Self {
        match sonic_rs::to_vec(value) {
            Ok(body) => Self::json(status, visible_json(body)),
            Err(_) => Self::error(500, "the answer cannot be written as JSON"),
        }
    }

    /// `{"error":"..."}`, the shape that Polymarket uses. `text` must not need JSON escapes.
    pub fn error(status: u16, text: &str) -> Self {
        debug_assert!(!text.contains(['"', '\\']), "{text}");
        Self::json(status, format!(r#"{{"error":"{text}"}}"#))
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The bytes to send; without the body for a `HEAD` request.
    pub fn to_bytes(&self, head_only: bool, keep_alive: bool) -> Vec<u8> {
        let mut head = String::with_capacity(256);
        // Writing to a string cannot fail.
        let _ = write!(
            head,
            "HTTP/1.1 {} {}\r\nServer: {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nConnection: {}\r\n",
            self.status,
            reason(self.status),
            crate::wire::http::USER_AGENT,
            self.content_type,
            self.body.len(),
            if keep_alive { "keep-alive" } else { "close" },
        );
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if !head_only {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

fn reason(status: u16) -> &'static str {
    let status = http::StatusCode::from_u16(status).ok();
    status.and_then(|status| status.canonical_reason()).unwrap_or("Unknown")
}

#[cfg(test)]
mod tests;
