//! Parser for the head of an HTTP request.
//!
//! Runs on:  serve core (pure). Bounds: `SERVE_HEAD_BYTES_MAX`, `SERVE_HEADERS_MAX`, `SERVE_BODY_BYTES_MAX`.
//!
//! Uses httparse: `ureq-proto::server` requires the body to be read before answering and cannot answer a malformed
//! head.
use crate::base::limits::{SERVE_BODY_BYTES_MAX, SERVE_HEAD_BYTES_MAX, SERVE_HEADERS_MAX};
use crate::gateway::{
    rest,
    signature::{self, Signature},
};
use crate::io::authority::Authority;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// Method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`.
    Get,
    /// `HEAD`: as `GET`, without the body.
    Head,
    /// `POST`: a command.
    Post,
    /// Anything else.
    Other,
}

impl Method {
    /// Its name; empty for one that is not served.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Other => "",
        }
    }
}

/// A request without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The path, `/` at least.
    pub path: String,
    /// The query after `?`, possibly empty.
    pub query: String,
    /// The `Host` header; optional in HTTP/1.0.
    pub host: Option<Authority>,
    /// The client wants to send another request.
    pub keep_alive: bool,
    /// What sent the request.
    pub sender: Sender,
    /// The body that follows. If it is not read, the connection must be closed.
    pub body: Body,
    /// The client asks for a WebSocket; the headers are those that it needs.
    pub upgrade: Option<UpgradeRequest>,
    /// The signature of the request, if it has a header of one.
    pub signature: Option<Signature>,
}

/// What sent a request, by its `Origin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A program: there is no `Origin`.
    Program,
    /// A page of this server: the origin is the request's `Host`.
    OwnPage,
    /// Any other web page.
    OtherPage,
}

/// The body behind a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// None, or an empty one.
    None,
    /// A body of this many bytes, one at least.
    Bytes(u64),
    /// A body in chunks, of unknown length.
    Chunked,
}

/// Why a body is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Its length is unknown: 411.
    LengthRequired,
    /// More than `SERVE_BODY_BYTES_MAX` bytes: 413.
    TooLarge,
}

/// A request for a WebSocket (RFC 6455, 4.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeRequest {
    /// `Sec-WebSocket-Key`: 16 bytes in base64.
    pub key: String,
}

impl Head {
    /// The first value of a key in the query, not decoded.
    pub fn query_value(&self, key: &str) -> Option<Cow<'_, str>> {
        rest::value(&self.query, key)
    }

    /// Whether a body follows.
    pub const fn has_body(&self) -> bool {
        !matches!(self.body, Body::None)
    }

    /// Number of bytes to read behind the head.
    ///
    /// # Errors
    /// The body is not read: the client receives the status, then the connection is closed.
    pub fn body_bytes(&self) -> Result<usize, BodyError> {
        match self.body {
            Body::None => Ok(0),
            Body::Chunked => Err(BodyError::LengthRequired),
            Body::Bytes(bytes) => match usize::try_from(bytes) {
                Ok(bytes) if bytes <= SERVE_BODY_BYTES_MAX => Ok(bytes),
                _ => Err(BodyError::TooLarge),
            },
        }
    }
}

/// Why there is no request. The client receives the status and the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// More bytes or headers than allowed: 431.
    TooLarge,
    /// Not HTTP: 400.
    Malformed(&'static str),
    /// Neither HTTP/1.0 nor HTTP/1.1: 505.
    Version,
    /// A WebSocket of another version than 13: 426.
    WebSocketVersion,
}

/// Parses one head at the front of `bytes` and returns it with its length in bytes, or `None` while it is
/// incomplete. Refuses what two implementations could parse differently (RFC 9112, 3.2, 5 and 11.2): a second
/// `Host` or `Content-Length`, `Content-Length` beside `Transfer-Encoding`, a line that ends in LF alone.
pub fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, HeadError> {
    let mut headers = [httparse::EMPTY_HEADER; SERVE_HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= SERVE_HEAD_BYTES_MAX => length,
        Ok(httparse::Status::Partial) if bytes.len() <= SERVE_HEAD_BYTES_MAX => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
        Err(httparse::Error::Version) => return Err(HeadError::Version),
        Err(_) => return Err(HeadError::Malformed("this is not HTTP/1.1")),
    };
    if !has_whole_line_ends(&bytes[..length]) {
        return Err(HeadError::Malformed("a line of the head does not end in CR LF"));
    }
    let http11 = request.version == Some(1);
    let method = method(request.method.unwrap_or_default())?;
    let fields = Fields(request.headers);
    let host = fields.only("host", "there are two Host headers")?;
    if http11 && host.is_none() {
        return Err(HeadError::Malformed("the Host header is missing"));
    }
    let host = host.map(|text| Authority::parse(text).ok_or(BAD_HOST)).transpose()?;
    let (path, query) = target(request.path.unwrap_or_default(), method, host.as_ref())?;
    let connection = fields.all("connection").collect::<Vec<_>>().join(",");
    let keep_alive = if http11 {
        !has_token(&connection, "close")
    } else {
        has_token(&connection, "keep-alive")
    };
    let body = body(&fields, http11)?;
    let sender = sender(&fields, host.as_ref());
    let upgrade = match fields.all("upgrade").any(|value| has_token(value, "websocket")) {
        true if method != Method::Get || !http11 || body != Body::None => {
            return Err(HeadError::Malformed("a WebSocket begins with GET, HTTP/1.1 and no body"));
        }
        true if !has_token(&connection, "upgrade") => {
            return Err(HeadError::Malformed("Connection: Upgrade is missing"));
        }
        true => Some(upgrade(&fields)?),
        false => None,
    };
    let signature = signed(&fields)?;
    let head = Head { method, path, query, host, keep_alive, sender, body, upgrade, signature };
    Ok(Some((head, length)))
}

/// What sent a request. A browser adds `Origin` to each POST and each WebSocket (RFC 6454, 7), and no page can change
/// it.
fn sender(fields: &Fields<'_>, host: Option<&Authority>) -> Sender {
    let mut origins = fields.all("origin");
    let Some(origin) = origins.next() else { return Sender::Program };
    // A proxy before this server may add TLS.
    let name = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    let is_own = host.is_some() && name.and_then(Authority::parse).as_ref() == host;
    if is_own && origins.next().is_none() { Sender::OwnPage } else { Sender::OtherPage }
}

/// Whether a list of tokens has this one, in any case.
fn has_token(list: &str, token: &str) -> bool {
    list.split(',').any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// The headers of a WebSocket's upgrade (RFC 6455, 4.2.1).
fn upgrade(fields: &Fields<'_>) -> Result<UpgradeRequest, HeadError> {
    let version =
        fields.only("sec-websocket-version", "there are two Sec-WebSocket-Version headers")?;
    if version != Some("13") {
        return Err(HeadError::WebSocketVersion);
    }
    let key = fields.only("sec-websocket-key", "there are two Sec-WebSocket-Key headers")?;
    let is_key = |key: &&str| STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16);
    match key.filter(is_key) {
        Some(key) => Ok(UpgradeRequest { key: key.to_owned() }),
        None => Err(HeadError::Malformed("Sec-WebSocket-Key is not 16 bytes in base64")),
    }
}

fn signed(fields: &Fields<'_>) -> Result<Option<Signature>, HeadError> {
    let value = |name| fields.only(name, "there are two headers of a signature");
    let [key, timestamp, text] = signature::HEADERS;
    let values = [value(key)?, value(timestamp)?, value(text)?];
    if values == [None; 3] {
        return Ok(None);
    }
    let [key, timestamp, text] = values.map(|value| value.unwrap_or_default().to_owned());
    Ok(Some(Signature { key, timestamp, text }))
}

const BAD_HOST: HeadError = HeadError::Malformed("the Host header is malformed");
const BAD_TARGET: HeadError = HeadError::Malformed("the path is malformed");

/// Methods are case-sensitive; no registered method has a lower-case letter.
fn method(text: &str) -> Result<Method, HeadError> {
    match text {
        "GET" => Ok(Method::Get),
        "HEAD" => Ok(Method::Head),
        "POST" => Ok(Method::Post),
        _ if text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') => Ok(Method::Other),
        _ => Err(HeadError::Malformed("the method is not in capital letters")),
    }
}

/// True if every LF follows a CR and every CR precedes a LF.
fn has_whole_line_ends(head: &[u8]) -> bool {
    let lines = head.iter().filter(|&&b| b == b'\n').count();
    let returns = head.iter().filter(|&&b| b == b'\r').count();
    let pairs = head.windows(2).filter(|pair| pair == b"\r\n").count();
    lines == pairs && returns == pairs
}

/// The body that follows; an error if its length is ambiguous.
fn body(fields: &Fields<'_>, http11: bool) -> Result<Body, HeadError> {
    let length = fields.only("content-length", "there are two Content-Length headers")?;
    let coding = fields.only("transfer-encoding", "there are two Transfer-Encoding headers")?;
    match (length, coding) {
        (Some(_), Some(_)) => {
            Err(HeadError::Malformed("Content-Length and Transfer-Encoding exclude each other"))
        }
        (Some(length), None) => {
            let is_number = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
            match length.parse::<u64>() {
                Ok(0) if is_number => Ok(Body::None),
                Ok(bytes) if is_number => Ok(Body::Bytes(bytes)),
                _ => Err(HeadError::Malformed("Content-Length is not a number")),
            }
        }
        (None, Some(coding)) if http11 && coding.eq_ignore_ascii_case("chunked") => {
            Ok(Body::Chunked)
        }
        (None, Some(_)) => Err(HeadError::Malformed("Transfer-Encoding can only be chunked")),
        (None, None) => Ok(Body::None),
    }
}

struct Fields<'a>(&'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let found = self.0.iter().filter(move |h| h.name.eq_ignore_ascii_case(name));
        // A value that is not UTF-8 matches no expected value.
        found.map(|h| std::str::from_utf8(h.value).map_or("\u{fffd}", str::trim))
    }

    /// The value of a header that may occur once.
    fn only(&self, name: &str, twice: &'static str) -> Result<Option<&'a str>, HeadError> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() { Err(HeadError::Malformed(twice)) } else { Ok(first) }
    }
}

/// Path and query of a request target. The host of an absolute URL must equal the `Host` header.
fn target(
    text: &str,
    method: Method,
    host: Option<&Authority>,
) -> Result<(String, String), HeadError> {
    if text == "*" && method == Method::Other {
        return Ok((text.to_owned(), String::new()));
    }
    let scheme = text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
    if text.contains('#') || (scheme.is_none() && !text.starts_with('/')) {
        return Err(BAD_TARGET);
    }
    let uri: http::Uri = text.parse().map_err(|_| BAD_TARGET)?;
    if scheme.is_some() {
        let named = uri.authority().and_then(|authority| Authority::parse(authority.as_str()));
        if named.is_none() || host.is_some_and(|host| named.as_ref() != Some(host)) {
            return Err(HeadError::Malformed(
                "the address and the Host header name different hosts",
            ));
        }
    }
    let path = if uri.path().is_empty() { "/" } else { uri.path() };
    Ok((path.to_owned(), uri.query().unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests;
