//! Parser for HTTP/1.1 requests with bounds, and answers.
//!
//! Runs on:  the venue's thread (pure).
use crate::base::text::percent_decoded;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Bound of request line and headers: a query of 100 condition ids has 8 kB.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Bound of the body: 500 token ids have 48 kB; 413 above.
const BODY_BYTES_MAX: usize = 256 * 1024;
const HEADERS_MAX: usize = 64;
/// Shorter bodies are not compressed.
const GZIP_BYTES_MIN: usize = 512;

/// Decoded names and values of a query string.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    fn parse(text: &str) -> Self {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        };
        Self(text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect())
    }

    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a name, repeated or comma separated.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let values = self
            .0
            .iter()
            .filter(|(other, _)| other == name || other.strip_suffix("[]") == Some(name));
        values.flat_map(|(_, value)| value.split(',')).filter(|value| !value.is_empty()).collect()
    }
}

/// A text that is not encoded is as it was.
fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decoded(&spaced).map_or(spaced.clone(), std::borrow::Cow::into_owned)
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Query,
    pub(super) body: Vec<u8>,
    pub(super) keep_alive: bool,
    pub(super) gzip: bool,
    /// `Sec-WebSocket-Key` of a valid upgrade.
    pub(super) websocket_key: Option<String>,
    /// Signature headers, lower case.
    pub(super) signed: Vec<(String, String)>,
}

/// A request without a normal answer: answer with this status and close.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unacceptable(pub(super) u16);

impl Request {
    /// Parses one request at the front of `input`; `None` if more bytes are needed.
    ///
    /// # Errors
    /// The request is malformed or too large.
    pub(super) fn take(input: &mut Vec<u8>) -> Result<Option<Self>, Unacceptable> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut headers);
        let head = match parsed.parse(input) {
            Ok(httparse::Status::Complete(head)) => head,
            Ok(httparse::Status::Partial) if input.len() > HEAD_BYTES_MAX => {
                return Err(Unacceptable(431));
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Unacceptable(400)),
        };
        let length = match header(&parsed, "content-length") {
            Some(text) => text.trim().parse::<usize>().map_err(|_| Unacceptable(400))?,
            None => 0,
        };
        if header(&parsed, "transfer-encoding").is_some() {
            return Err(Unacceptable(411));
        }
        if length > BODY_BYTES_MAX {
            return Err(Unacceptable(413));
        }
        if input.len() < head + length {
            return Ok(None);
        }
        let target = parsed.path.unwrap_or("/");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let connection = header(&parsed, "connection").unwrap_or("").to_ascii_lowercase();
        let upgrade = header(&parsed, "upgrade").unwrap_or("").eq_ignore_ascii_case("websocket")
            && connection.contains("upgrade")
            && header(&parsed, "sec-websocket-version") == Some("13");
        let key = header(&parsed, "sec-websocket-key").filter(|_| upgrade);
        let request = Self {
            method: parsed.method.unwrap_or("").to_owned(),
            path: decode(path),
            query: Query::parse(query),
            body: input[head..head + length].to_vec(),
            keep_alive: parsed.version == Some(1) && !connection.contains("close"),
            gzip: header(&parsed, "accept-encoding").is_some_and(|text| text.contains("gzip")),
            websocket_key: key.map(str::to_owned),
            signed: signed(&parsed),
        };
        input.drain(..head + length);
        Ok(Some(request))
    }
}

fn signed(request: &httparse::Request<'_, '_>) -> Vec<(String, String)> {
    let all = request.headers.iter().map(|h| (h.name.to_ascii_lowercase(), h.value));
    all.filter(|(name, _)| name.starts_with("kalshi-access-"))
        .filter_map(|(name, value)| Some((name, String::from_utf8(value.to_vec()).ok()?)))
        .collect()
}

fn header<'h>(request: &httparse::Request<'_, 'h>, name: &str) -> Option<&'h str> {
    let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    found.and_then(|header| std::str::from_utf8(header.value).ok())
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// `Retry-After`, seconds.
    pub(super) retry_after_s: Option<u64>,
}

impl Answer {
    pub(super) fn ok(body: Vec<u8>) -> Self {
        Self { status: 200, body, retry_after_s: None }
    }

    pub(super) fn error(status: u16, text: &str) -> Self {
        let mut body = Vec::new();
        let mut object = super::json::Object::new(&mut body);
        object.text("error", text);
        object.end();
        Self { status, body, retry_after_s: None }
    }

    pub(super) fn push(&self, out: &mut Vec<u8>, keep_alive: bool, gzip: bool) {
        let packed = gzip && self.body.len() >= GZIP_BYTES_MIN;
        let squeezed;
        let body = if packed {
            squeezed = compress(&self.body);
            &squeezed
        } else {
            &self.body
        };
        let mut head = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            self.status,
            http::StatusCode::from_u16(self.status)
                .ok()
                .and_then(|s| s.canonical_reason())
                .unwrap_or("Unknown"),
            body.len()
        );
        if packed {
            head.push_str("content-encoding: gzip\r\nvary: accept-encoding\r\n");
        }
        if let Some(seconds) = self.retry_after_s {
            head.push_str(&format!("retry-after: {seconds}\r\n"));
        }
        head.push_str(if keep_alive { "\r\n" } else { "connection: close\r\n\r\n" });
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(body);
    }
}

fn compress(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).expect("a Vec takes every byte");
    encoder.finish().expect("a Vec takes every byte")
}

#[cfg(test)]
mod tests;
