//! One HTTP/1.1 exchange over memory: request out, bytes in, complete response out.
//!
//! Runs on:  control core (pure). Owns: the request's bytes and the partial response.
//! Bounds:   `HTTP_HEAD_BYTES_MAX` for all heads of a response together (1xx included), and for consecutive framing
//!           (chunk sizes, trailers) without body bytes; the caller's limit for the body as sent and as inflated, and
//!           twice that for its framing.
pub mod chunked;
pub mod forward;
mod location;
mod retry;

pub use retry::RetryAfter;

use crate::base::limits::{HTTP_HEAD_BYTES_MAX, HTTP_SCRATCH_BYTES, LOCATION_BYTES_SHOWN};
use crate::base::text::{one_line, one_line_of};
use crate::base::time::SECOND_NS;
pub use ::http::Method;
use ::http::{HeaderMap, header};
use flate2::write::MultiGzDecoder;
use std::io::Write;
use ureq_proto::client::state::{RecvBody, RecvResponse, SendRequest};
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult, SendRequestResult};

/// `User-Agent` of all requests.
pub const USER_AGENT: &str = concat!("ringbook/", env!("CARGO_PKG_VERSION"));

/// Why an exchange failed. The connection is closed in every case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The request cannot be encoded (bad URL or header): *a bug or invalid configuration*.
    #[error("the request cannot be written: {0}")]
    BadRequest(String),
    /// The server closed before the first byte of the response. On a reused connection this is the usual end of
    /// keep-alive: *repeat an idempotent request once*.
    #[error("the server closed without a response")]
    ClosedBeforeResponse,
    /// The server closed within the response: *count and retry later*.
    #[error("the server closed in the middle of its response")]
    Truncated,
    /// The response head exceeds `HTTP_HEAD_BYTES_MAX`: *count and give up*.
    #[error("the head of the response exceeds {HTTP_HEAD_BYTES_MAX} bytes")]
    HeadTooLarge,
    /// The inflated body exceeds the caller's limit: *count and give up*.
    #[error("the body of the response exceeds {bytes_max} bytes")]
    BodyTooLarge {
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// Invalid HTTP, or a damaged compressed body: *count and retry later*.
    #[error("the response is not valid HTTP: {}", one_line(.0))]
    Malformed(String),
    /// A content encoding that was not requested: *count and give up*.
    #[error("the response has the encoding `{}`, which was not requested", one_line(.0))]
    UnknownEncoding(String),
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A request with any method, an absolute URL and a body, which may be empty.
    #[must_use]
    pub fn new(method: Method, url: impl Into<String>, body: Vec<u8>) -> Self {
        Self { method, url: url.into(), headers: Vec::new(), body }
    }

    /// `GET` of an absolute URL, `http://` or `https://`.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: Method::GET, url: url.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// `POST` of a JSON body to an absolute URL.
    #[must_use]
    pub fn post_json(url: impl Into<String>, body: Vec<u8>) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { method: Method::POST, url: url.into(), headers, body }
    }

    /// Adds a header; the name in lower case.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Whether the method is idempotent.
    pub fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }

    /// The absolute URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The request that follows a redirect with `status` to `url` (RFC 9110, 15.4): `GET` after 303, and after 301 or
    /// 302 of a `POST`, as is common practice; otherwise the same request.
    pub fn redirected(&self, status: u16, url: String) -> Self {
        let reads = self.method == Method::GET || self.method == Method::HEAD;
        let fetch = match status {
            303 => !reads,
            301 | 302 => self.method == Method::POST,
            _ => false,
        };
        if !fetch {
            return Self { url, ..self.clone() };
        }
        let about_body = |name: &str| name.starts_with("content-");
        let headers = self.headers.iter().filter(|(name, _)| !about_body(name)).cloned().collect();
        Self { method: Method::GET, url, headers, body: Vec::new() }
    }
}

/// A complete response.
#[derive(Clone, Debug)]
pub struct Response {
    /// HTTP status from 101 up, 4xx and 5xx included.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, inflated.
    pub body: Vec<u8>,
    /// Whether the connection can carry another request.
    pub keep_alive: bool,
}

impl Response {
    /// True for 200 to 299.
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// First value of a header, if it is text; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Target of a redirect as an absolute URL, relative to the request URL `requested`. `None` if there is none.
    pub fn redirect(&self, requested: &str) -> Option<String> {
        match self.status {
            301 | 302 | 303 | 307 | 308 => {
                location::resolve(requested, self.header("location")?.trim())
            }
            _ => None,
        }
    }

    /// Pause requested by a 429 or 503 response, nanoseconds: `Retry-After`, a date being relative to `wall_ns` (since
    /// the Unix epoch).
    pub fn pause_ns(&self, wall_ns: u64) -> Option<u64> {
        if self.status != 429 && self.status != 503 {
            return None;
        }
        self.retry_after_s(wall_ns).map(|seconds| seconds.saturating_mul(SECOND_NS))
    }

    /// `Retry-After` in seconds from `wall_ns`; `None` if missing or invalid.
    pub fn retry_after_s(&self, wall_ns: u64) -> Option<u64> {
        let after = RetryAfter::parse(self.header("retry-after")?)?;
        Some(after.seconds_from(wall_ns))
    }

    /// The status as text; for a redirect that is not followed, with its target.
    pub fn status_line(&self) -> String {
        match self.header("location") {
            Some(location) if (300..400).contains(&self.status) => {
                redirect_line(self.status, location)
            }
            _ => format!("HTTP {}", self.status),
        }
    }
}

/// Description of a redirect that is not followed.
pub(crate) fn redirect_line(status: u16, location: &str) -> String {
    let shown = one_line_of(location.trim().as_bytes(), LOCATION_BYTES_SHOWN);
    format!("HTTP {status}, a redirect to {shown}, which is not followed; correct the address")
}

/// One request and its response.
pub struct Exchange {
    output: Vec<u8>,
    phase: Option<Phase>,
    input: Vec<u8>,
    taken: usize,
    answered: bool,
    head: Option<(u16, HeaderMap)>,
    /// Bytes of 1xx heads.
    interim_bytes: usize,
    /// Bytes of framing since the last body byte.
    framing_bytes: usize,
    body_wire_bytes: usize,
    body: Body,
    scratch: Box<[u8]>,
}

enum Phase {
    Head(Call<RecvResponse>),
    Body(Call<RecvBody>),
}

impl Exchange {
    /// An exchange with a response body of at most `body_bytes_max` bytes.
    ///
    /// # Errors
    /// [`HttpError::BadRequest`] if the URL or a header is invalid.
    pub fn new(request: &Request, body_bytes_max: usize) -> Result<Self, HttpError> {
        let bad = |e: &dyn std::fmt::Display| HttpError::BadRequest(e.to_string());
        let mut builder = ::http::Request::builder()
            .method(request.method.clone())
            .uri(&request.url)
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::ACCEPT, "application/json")
            .header(header::ACCEPT_ENCODING, "gzip");
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let sends = [Method::POST, Method::PUT, Method::PATCH].contains(&request.method);
        if sends || !request.body.is_empty() {
            builder = builder.header(header::CONTENT_LENGTH, request.body.len());
        }
        let head = builder.body(()).map_err(|e| bad(&e))?;
        if head.uri().host().is_none() {
            return Err(HttpError::BadRequest(format!("`{}` has no host", request.url)));
        }
        let call = Call::new(head).map_err(|e| bad(&e))?.proceed();
        let mut output = Vec::with_capacity(512 + request.body.len());
        let call = write_request(call, &request.body, &mut output).map_err(|e| bad(&e))?;
        Ok(Self {
            output,
            phase: Some(Phase::Head(call)),
            input: Vec::new(),
            taken: 0,
            answered: false,
            head: None,
            interim_bytes: 0,
            framing_bytes: 0,
            body_wire_bytes: 0,
            body: Body::new(body_bytes_max),
            scratch: vec![0; HTTP_SCRATCH_BYTES].into(),
        })
    }

    /// Takes the encoded request; to be sent once.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Whether any byte of the response has arrived.
    pub const fn is_answered(&self) -> bool {
        self.answered
    }

    /// Handles bytes of the response in any portions; returns the response when complete.
    ///
    /// # Errors
    /// All but [`HttpError::BadRequest`] and those of [`Exchange::handle_eof`].
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<Option<Response>, HttpError> {
        self.answered |= !bytes.is_empty();
        // Consumed bytes are dropped: framing has no total bound.
        self.input.drain(..self.taken);
        self.taken = 0;
        self.input.extend_from_slice(bytes);
        loop {
            match self.phase.take() {
                None => return Err(HttpError::Malformed("bytes after the response".to_owned())),
                Some(Phase::Head(call)) => match self.read_head(call)? {
                    Step::Wait => return Ok(None),
                    Step::Again => {}
                    Step::Done(close) => return self.finish(close).map(Some),
                },
                Some(Phase::Body(call)) => match self.read_body(call)? {
                    Step::Done(close) => return self.finish(close).map(Some),
                    Step::Wait | Step::Again => return Ok(None),
                },
            }
        }
    }

    /// The server closed its side; this ends a body without length.
    ///
    /// # Errors
    /// [`HttpError::ClosedBeforeResponse`], or [`HttpError::Truncated`] if the response is incomplete.
    pub fn handle_eof(&mut self) -> Result<Response, HttpError> {
        if !self.answered {
            return Err(HttpError::ClosedBeforeResponse);
        }
        match self.phase.take() {
            // Only a close-delimited body can proceed before its end.
            Some(Phase::Body(call)) if call.can_proceed() => self.finish(true),
            _ => Err(HttpError::Truncated),
        }
    }

    fn read_head(&mut self, mut call: Call<RecvResponse>) -> Result<Step, HttpError> {
        let unread = &self.input[self.taken..];
        let unread_bytes = unread.len();
        let (used, response) = call.try_response(unread, false).map_err(malformed)?;
        self.taken += used;
        // The limit must not depend on how the head is split.
        let head_bytes = if used > 0 || response.is_some() { used } else { unread_bytes };
        if self.interim_bytes + head_bytes > HTTP_HEAD_BYTES_MAX {
            return Err(HttpError::HeadTooLarge);
        }
        let Some(response) = response else {
            self.interim_bytes += used;
            self.phase = Some(Phase::Head(call));
            // A 1xx head was consumed: the final one may follow.
            return Ok(if used > 0 { Step::Again } else { Step::Wait });
        };
        let length = response.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|v| v.to_str().ok()).and_then(|t| t.trim().parse().ok());
        self.body.announce(response.headers(), length)?;
        self.head = Some((response.status().as_u16(), response.into_parts().0.headers));
        match call.proceed() {
            Some(RecvResponseResult::RecvBody(call)) => {
                self.phase = Some(Phase::Body(call));
                Ok(Step::Again)
            }
            Some(RecvResponseResult::Redirect(call)) => {
                Ok(Step::Done(call.must_close_connection()))
            }
            Some(RecvResponseResult::Cleanup(call)) => Ok(Step::Done(call.must_close_connection())),
            None => Err(HttpError::Malformed("the head has no end".to_owned())),
        }
    }

    fn read_body(&mut self, mut call: Call<RecvBody>) -> Result<Step, HttpError> {
        loop {
            let unread = &self.input[self.taken..];
            let (used, made) = call.read(unread, &mut self.scratch).map_err(malformed)?;
            self.taken += used;
            self.body.push(&self.scratch[..made])?;
            self.count_framing(used, made)?;
            // `can_proceed` is always true for a close-delimited body, whose end is the EOF.
            let close_delimited = call.body_mode() == ureq_proto::BodyMode::CloseDelimited;
            if !close_delimited && call.can_proceed() {
                return match call.proceed() {
                    Some(RecvBodyResult::Redirect(c)) => Ok(Step::Done(c.must_close_connection())),
                    Some(RecvBodyResult::Cleanup(c)) => Ok(Step::Done(c.must_close_connection())),
                    None => Err(HttpError::Malformed("the body has no end".to_owned())),
                };
            }
            if used == 0 && made == 0 {
                if self.input.len() - self.taken > HTTP_HEAD_BYTES_MAX {
                    return Err(HttpError::Malformed("a chunk header without an end".to_owned()));
                }
                self.phase = Some(Phase::Body(call));
                return Ok(Step::Wait);
            }
        }
    }

    /// The body's limit does not include framing, which could continue without end.
    fn count_framing(&mut self, used: usize, made: usize) -> Result<(), HttpError> {
        let before = if made > 0 { 0 } else { self.framing_bytes };
        self.framing_bytes = before + used.saturating_sub(made);
        if self.framing_bytes > HTTP_HEAD_BYTES_MAX {
            let what = format!("more than {HTTP_HEAD_BYTES_MAX} bytes of chunk sizes or trailers");
            return Err(HttpError::Malformed(what));
        }
        self.body_wire_bytes += used;
        let wire_bytes_max =
            self.body.bytes_max.saturating_mul(2).saturating_add(HTTP_HEAD_BYTES_MAX);
        if self.body_wire_bytes > wire_bytes_max {
            return Err(self.body.too_large());
        }
        Ok(())
    }

    fn finish(&mut self, must_close: bool) -> Result<Response, HttpError> {
        let (status, headers) = self.head.take().expect("the head comes before the body's end");
        let body = self.body.finish()?;
        // Unexpected bytes after the response: the connection must not be reused.
        let keep_alive = !must_close && self.taken == self.input.len();
        Ok(Response { status, headers, body, keep_alive })
    }
}

enum Step {
    Wait,
    Again,
    /// The value: whether the connection must be closed.
    Done(bool),
}

fn malformed(error: ureq_proto::Error) -> HttpError {
    HttpError::Malformed(error.to_string())
}

/// Encodes head and body; the buffer grows until the head fits.
fn write_request(
    mut call: Call<SendRequest>,
    body: &[u8],
    output: &mut Vec<u8>,
) -> Result<Call<RecvResponse>, ureq_proto::Error> {
    let mut room = 1024;
    while !call.can_proceed() {
        let start = output.len();
        output.resize(start + room, 0);
        match call.write(&mut output[start..]) {
            Ok(written) => output.truncate(start + written),
            Err(ureq_proto::Error::OutputOverflow) if room < HTTP_HEAD_BYTES_MAX => {
                output.truncate(start);
                room *= 2;
            }
            Err(error) => return Err(error),
        }
    }
    match call.proceed()? {
        Some(SendRequestResult::RecvResponse(call)) => Ok(call),
        Some(SendRequestResult::SendBody(mut call)) => {
            output.extend_from_slice(body);
            call.consume_direct_write(body.len())?;
            Ok(call.proceed().expect("the announced length was written"))
        }
        Some(SendRequestResult::Await100(_)) | None => {
            Err(ureq_proto::Error::BadHeader("expect is not supported".to_owned()))
        }
    }
}

/// The body so far, inflated while it arrives.
struct Body {
    bytes_max: usize,
    received_bytes: usize,
    gzip: bool,
    inflating: Option<MultiGzDecoder<Bounded>>,
    plain: Bounded,
}

impl Body {
    fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            received_bytes: 0,
            gzip: false,
            inflating: None,
            plain: Bounded::new(bytes_max),
        }
    }

    fn too_large(&self) -> HttpError {
        HttpError::BodyTooLarge { bytes_max: self.bytes_max }
    }

    fn announce(&mut self, headers: &HeaderMap, length: Option<usize>) -> Result<(), HttpError> {
        for value in headers.get_all(header::CONTENT_ENCODING) {
            let name = value.to_str().unwrap_or("?").trim();
            if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
                self.gzip = true;
            } else if !name.is_empty() && !name.eq_ignore_ascii_case("identity") {
                return Err(HttpError::UnknownEncoding(name.to_owned()));
            }
        }
        if length.is_some_and(|length| length > self.bytes_max) {
            return Err(self.too_large());
        }
        Ok(())
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        if bytes.is_empty() {
            return Ok(());
        }
        if !self.gzip {
            return self.plain.write_all(bytes).map_err(|_| self.too_large());
        }
        let bytes_max = self.bytes_max;
        // Empty gzip members inflate to nothing, so the inflated limit does not bound their number.
        self.received_bytes += bytes.len();
        if self.received_bytes > bytes_max {
            return Err(self.too_large());
        }
        let decoder =
            self.inflating.get_or_insert_with(|| MultiGzDecoder::new(Bounded::new(bytes_max)));
        // The decoder holds output back until the next write; the limit is for what has arrived.
        let result = decoder.write_all(bytes).and_then(|()| decoder.flush());
        let full = decoder.get_ref().full;
        result.map_err(|e| gzip_error(&e, full, bytes_max))
    }

    /// The complete body. An announced gzip body without bytes is empty.
    fn finish(&mut self) -> Result<Vec<u8>, HttpError> {
        let Some(mut decoder) = self.inflating.take() else {
            return Ok(std::mem::take(&mut self.plain.bytes));
        };
        let result = decoder.try_finish();
        let full = decoder.get_ref().full;
        result.map_err(|e| gzip_error(&e, full, self.bytes_max))?;
        Ok(std::mem::take(&mut decoder.get_mut().bytes))
    }
}

fn gzip_error(error: &std::io::Error, full: bool, bytes_max: usize) -> HttpError {
    if full {
        HttpError::BodyTooLarge { bytes_max }
    } else {
        HttpError::Malformed(format!("gzip: {error}"))
    }
}

/// A buffer with a limit, so that a small response cannot inflate to a huge one.
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
    full: bool,
}

impl Bounded {
    const fn new(bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), bytes_max, full: false }
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.len() > self.bytes_max - self.bytes.len() {
            self.full = true;
            return Err(std::io::ErrorKind::OutOfMemory.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
