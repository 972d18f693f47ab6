//! Heads of requests and responses as they are forwarded between two connections (RFC 9110, 7.6).
//!
//! Runs on:  any (pure). Owns: nothing.
//! Bounds:   `HTTP_HEAD_BYTES_MAX` of a response's head, `FORWARD_HEADERS_MAX` headers.
//!
//! Headers that concern one connection only are removed: `Connection` and those that it names, `Keep-Alive`,
//! `Proxy-*`, `TE`, `Trailer`, `Transfer-Encoding`, `Upgrade`. A body's length is written again from what was parsed.
use super::HttpError;
use super::retry::RetryAfter;
use crate::base::limits::{FORWARD_HEADERS_MAX, HTTP_HEAD_BYTES_MAX};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method};
use httparse::{EMPTY_HEADER, Header};

/// How the length of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// It ends with the connection; responses only.
    UntilClose,
}

/// A request's head for the connection to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardedRequest {
    /// The bytes to send.
    pub bytes: Vec<u8>,
    /// Whether it may be sent twice.
    pub is_idempotent: bool,
}

/// What a forwarded request has of its own.
#[derive(Clone, Copy, Debug)]
pub struct RequestTarget<'a> {
    /// Path and query on the service.
    pub path_and_query: &'a str,
    /// The service's `Host`.
    pub host: &'a str,
    /// The body.
    pub framing: Framing,
    /// Whether the connection is used again.
    pub keep_alive: bool,
}

/// Encodes the head of a request, which was parsed before, for its service.
///
/// # Errors
/// [`HttpError::BadRequest`] if `head` is not a request.
pub fn forward_request(head: &[u8], to: RequestTarget<'_>) -> Result<ForwardedRequest, HttpError> {
    let mut headers = [EMPTY_HEADER; FORWARD_HEADERS_MAX];
    let request = parse_request(head, &mut headers)?;
    let method = request.method.unwrap_or_default();
    let mut bytes = Vec::with_capacity(head.len() + 256);
    for part in [method, " ", to.path_and_query, " HTTP/1.1\r\nHost: ", to.host, "\r\n"] {
        bytes.extend_from_slice(part.as_bytes());
    }
    for header in end_to_end(request.headers) {
        if !header.name.eq_ignore_ascii_case("host") {
            put_header(header.name, header.value, &mut bytes);
        }
    }
    let sends = ["POST", "PUT", "PATCH"].contains(&method);
    match to.framing {
        // A server may wait for the body of such a method without a length.
        Framing::Empty if sends => bytes.extend_from_slice(b"Content-Length: 0\r\n"),
        Framing::Empty => {}
        framing => put_framing(framing, &mut bytes),
    }
    if !to.keep_alive {
        bytes.extend_from_slice(b"Connection: close\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    let is_idempotent = Method::from_bytes(method.as_bytes()).is_ok_and(|m| m.is_idempotent());
    Ok(ForwardedRequest { bytes, is_idempotent })
}

/// First value of a header of a request's head, if it is text.
pub fn request_header(head: &[u8], name: &str) -> Option<String> {
    let mut headers = [EMPTY_HEADER; FORWARD_HEADERS_MAX];
    let request = parse_request(head, &mut headers).ok()?;
    let header = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(header.value).ok().map(|text| text.trim().to_owned())
}

/// Headers of an upgrade to WebSocket for its service: the end-to-end headers without `Host` and, of those of the
/// handshake, `Sec-WebSocket-Protocol` only: each connection has a key and extensions of its own.
///
/// # Errors
/// [`HttpError::BadRequest`] if `head` is not a request.
pub fn forward_upgrade(head: &[u8]) -> Result<HeaderMap, HttpError> {
    let mut headers = [EMPTY_HEADER; FORWARD_HEADERS_MAX];
    let request = parse_request(head, &mut headers)?;
    let mut map = HeaderMap::new();
    for header in end_to_end(request.headers) {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_bytes(header.value);
        let (Ok(name), Ok(value)) = (name, value) else { continue };
        let is_handshake = name.as_str().starts_with("sec-websocket-");
        if name != "host" && (!is_handshake || name == "sec-websocket-protocol") {
            map.append(name, value);
        }
    }
    Ok(map)
}

fn parse_request<'h, 'b>(
    head: &'b [u8],
    headers: &'h mut [Header<'b>],
) -> Result<httparse::Request<'h, 'b>, HttpError> {
    let mut request = httparse::Request::new(headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => Ok(request),
        _ => Err(HttpError::BadRequest("the head is no request".to_owned())),
    }
}

/// A response's head for the connection to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardedResponse {
    /// Status; 100 to 199 is an interim response, after which another head follows.
    pub status: u16,
    /// Status line and headers, without those of the body's length, `Connection` and the empty line.
    pub bytes: Vec<u8>,
    /// The body that follows.
    pub framing: Framing,
    /// Whether the connection to the service can carry another request.
    pub keep_alive: bool,
    /// `Retry-After`.
    pub retry_after: Option<RetryAfter>,
}

/// Parses one head at the front of `input`; returns it with its length in bytes, or `None` while it is incomplete.
/// `to_head`: the request was `HEAD`. `locate` replaces the value of `Location` and `Content-Location`.
///
/// # Errors
/// [`HttpError::HeadTooLarge`]; [`HttpError::Malformed`], also where two parsers could find different lengths.
pub fn parse_response(
    input: &[u8],
    to_head: bool,
    locate: impl Fn(&str) -> Option<String>,
) -> Result<Option<(ForwardedResponse, usize)>, HttpError> {
    let mut headers = [EMPTY_HEADER; FORWARD_HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let used = match response.parse(input) {
        Ok(httparse::Status::Complete(used)) if used <= HTTP_HEAD_BYTES_MAX => used,
        Ok(httparse::Status::Partial) if input.len() <= HTTP_HEAD_BYTES_MAX => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(HttpError::HeadTooLarge),
        Err(error) => return Err(HttpError::Malformed(error.to_string())),
    };
    let status = response.code.unwrap_or_default();
    let http11 = response.version == Some(1);
    let headers = &*response.headers;
    let length = content_length(headers)?;
    let has_no_body = to_head || status < 200 || status == 204 || status == 304;
    let framing =
        if has_no_body { Framing::Empty } else { response_framing(headers, length, http11)? };
    let mut bytes = Vec::with_capacity(used + 64);
    let reason = response.reason.unwrap_or_default();
    bytes.extend_from_slice(format!("HTTP/1.1 {status} {reason}\r\n").as_bytes());
    for header in end_to_end(headers) {
        let is_location = header.name.eq_ignore_ascii_case("location")
            || header.name.eq_ignore_ascii_case("content-location");
        let text = std::str::from_utf8(header.value).ok().filter(|_| is_location);
        match text.and_then(&locate) {
            Some(location) => put_header(header.name, location.as_bytes(), &mut bytes),
            None => put_header(header.name, header.value, &mut bytes),
        }
    }
    // The length of what `GET` would return.
    if let (true, Some(length)) = (has_no_body && status >= 200 && status != 204, length) {
        put_framing(Framing::Length(length), &mut bytes);
    }
    let closes = has_token(headers, "connection", "close");
    let keeps = http11 || has_token(headers, "connection", "keep-alive");
    let keep_alive = keeps && !closes && framing != Framing::UntilClose;
    let retry_after = values(headers, "retry-after").next().and_then(RetryAfter::parse);
    Ok(Some((ForwardedResponse { status, bytes, framing, keep_alive, retry_after }, used)))
}

/// Appends the header that states a body's length; none for an empty body and one that ends with the connection.
pub fn put_framing(framing: Framing, out: &mut Vec<u8>) {
    match framing {
        Framing::Length(bytes) => {
            out.extend_from_slice(format!("Content-Length: {bytes}\r\n").as_bytes());
        }
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Framing::Empty | Framing::UntilClose => {}
    }
}

fn put_header(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn response_framing(
    headers: &[Header<'_>],
    length: Option<u64>,
    http11: bool,
) -> Result<Framing, HttpError> {
    let codings: Vec<&str> = values(headers, "transfer-encoding").collect();
    match (codings.as_slice(), length) {
        ([], Some(0)) => Ok(Framing::Length(0)),
        ([], Some(length)) => Ok(Framing::Length(length)),
        ([], None) => Ok(Framing::UntilClose),
        ([one], None) if http11 && one.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        (_, None) => Err(malformed("Transfer-Encoding can only be chunked")),
        (_, Some(_)) => Err(malformed("Content-Length and Transfer-Encoding exclude each other")),
    }
}

fn content_length(headers: &[Header<'_>]) -> Result<Option<u64>, HttpError> {
    let mut found = None;
    for text in values(headers, "content-length") {
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let length = text.parse::<u64>().ok().filter(|_| is_number);
        let length = length.ok_or_else(|| malformed("Content-Length is not a number"))?;
        if found.is_some_and(|found| found != length) {
            return Err(malformed("there are two different Content-Length headers"));
        }
        found = Some(length);
    }
    Ok(found)
}

fn values<'a>(headers: &'a [Header<'a>], name: &'a str) -> impl Iterator<Item = &'a str> {
    let found = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    // A value that is not text equals no expected value.
    found.map(|header| std::str::from_utf8(header.value).map_or("\u{fffd}", str::trim))
}

fn has_token(headers: &[Header<'_>], name: &str, token: &str) -> bool {
    values(headers, name)
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// Headers of one connection; `content-length` is written again.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
];

fn end_to_end<'a>(headers: &'a [Header<'a>]) -> impl Iterator<Item = &'a Header<'a>> {
    headers.iter().filter(|header| {
        !HOP_BY_HOP.iter().any(|name| header.name.eq_ignore_ascii_case(name))
            && !has_token(headers, "connection", header.name)
    })
}

fn malformed(what: &str) -> HttpError {
    HttpError::Malformed(what.to_owned())
}

#[cfg(test)]
mod tests;
