//! The head of a local client's request, from bytes.
//!
//! Runs on:  serve core (pure). Bounds: `SERVE_HEAD_BYTES_MAX`, `SERVE_HEADERS_MAX`.
//!
//! httparse instead of `ureq-proto::server`: that one must read a request's body before it lets
//! us answer, and has no way to answer a head that it could not parse.
use crate::base::limits::{SERVE_HEAD_BYTES_MAX, SERVE_HEADERS_MAX};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`.
    Get,
    /// `HEAD`: as `GET`, without the body.
    Head,
    /// `POST`: an order.
    Post,
    /// Anything else.
    Other,
}

/// A request without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The path, `/` at least.
    pub path: String,
    /// What follows the `?`, empty if nothing does.
    pub query: String,
    /// True when the client wants to send another request.
    pub keep_alive: bool,
    /// True when a web page of somebody else's may have sent it.
    pub from_page: bool,
    /// True when a body follows: it is not read, so the connection must be closed.
    pub has_body: bool,
}

impl Head {
    /// The first value of a key in the query, as it stands there.
    #[must_use]
    pub fn query_value(&self, key: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
    }
}

/// Why there is no request. The client gets the status and the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// More bytes or headers than allowed: 431.
    TooLarge,
    /// Not HTTP: 400.
    Malformed(&'static str),
    /// Neither HTTP/1.0 nor HTTP/1.1: 505.
    Version,
}

/// Reads one head from the front of `bytes`; gives it with its length in bytes, or `None` while
/// it is incomplete.
///
/// # Errors
/// See [`HeadError`].
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
    let http11 = request.version == Some(1);
    let method = match request.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        Some("POST") => Method::Post,
        _ => Method::Other,
    };
    let (path, query) = target(request.path.unwrap_or("/"))?;
    let value = |name: &str| {
        let mut found = request.headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name));
        found.next().map(|h| String::from_utf8_lossy(h.value).to_ascii_lowercase())
    };
    if http11 && value("host").is_none() {
        return Err(HeadError::Malformed("the Host header is missing"));
    }
    let connection = value("connection").unwrap_or_default();
    let has_token = |token: &str| connection.split(',').any(|part| part.trim() == token);
    let keep_alive = if http11 { !has_token("close") } else { has_token("keep-alive") };
    let has_body = value("transfer-encoding").is_some()
        || value("content-length").is_some_and(|length| length.trim() != "0");
    let from_page = value("origin").is_some();
    Ok(Some((Head { method, path, query, keep_alive, from_page, has_body }, length)))
}

/// Path and query of a request target, which may be a whole URL.
fn target(text: &str) -> Result<(String, String), HeadError> {
    let uri: http::Uri = text.parse().map_err(|_| HeadError::Malformed("the path is malformed"))?;
    let path = if uri.path().is_empty() { "/" } else { uri.path() };
    Ok((path.to_owned(), uri.query().unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        let (head, length) = parse(text.as_bytes()).unwrap().expect("complete");
        assert_eq!(length, text.len());
        for split in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..split]), Ok(None), "{split}");
        }
        head
    }

    #[test]
    fn method_path_query_and_keep_alive() {
        let get = head("GET /book?x=1&token_id=27&token_id=28 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((get.method, get.path.as_str()), (Method::Get, "/book"));
        assert_eq!(get.query_value("token_id"), Some("27"));
        assert_eq!(get.query_value("token"), None);
        assert!(get.keep_alive && !get.has_body);
        assert!(!head("GET / HTTP/1.1\r\nhost: a\r\nConnection: Close\r\n\r\n").keep_alive);
        assert!(!head("GET / HTTP/1.0\r\n\r\n").keep_alive);
        assert!(head("HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keep_alive);
        let absolute = head("GET http://a:1/stats?b HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((absolute.path.as_str(), absolute.query.as_str()), ("/stats", "b"));
        let post = head("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
        assert_eq!((post.method, post.has_body), (Method::Post, true));
        assert!(head("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").has_body);
        assert!(!head("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").has_body);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let malformed = |text: &str| matches!(parse(text.as_bytes()), Err(HeadError::Malformed(_)));
        assert!(malformed("\x16\x03\x01\x02\x00\x01\x00"));
        assert!(malformed("GET / HTTP/1.1\r\n\r\n"));
        assert!(malformed("GET \"x HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(parse(b"GET / HTTP/3.1\r\n\r\n"), Err(HeadError::Version));
        let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(SERVE_HEAD_BYTES_MAX));
        assert_eq!(parse(long.as_bytes()), Err(HeadError::TooLarge));
        let many = "a: b\r\n".repeat(SERVE_HEADERS_MAX + 1);
        let many = format!("GET / HTTP/1.1\r\n{many}\r\n");
        assert_eq!(parse(many.as_bytes()), Err(HeadError::TooLarge));
    }
}
