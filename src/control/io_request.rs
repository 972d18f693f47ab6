//! Requests of a controller to tasks, and their results.
//!
//! Runs on:  control core (pure).
//!
//! A cycle of the controller does not wait: a task (`run`) carries out what needs the network and passes the result to
//! the method that the request names.
use super::snapshot_requester::SnapshotRequest;
use crate::base::id::ConnectionId;
use crate::base::limits::RETRY_AFTER_DEFAULT_NS;
use crate::base::time::SECOND_NS;

/// A request for a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IoRequest {
    /// Fetch this path of the catalog; then [`Controller::on_fetched`](super::controller::Controller::on_fetched).
    Fetch(String),
    /// Fetch the state of the exchange from this path; then
    /// [`Controller::on_status`](super::controller::Controller::on_status).
    Status(&'static str),
    /// Resolve the stream's host for this dial; then
    /// [`Controller::on_resolved`](super::controller::Controller::on_resolved).
    Resolve(ConnectionId),
    /// Fetch these books over REST; then [`Controller::on_books`](super::controller::Controller::on_books).
    Books(SnapshotRequest),
}

/// Result of a fetch.
#[derive(Debug)]
pub enum Fetched {
    /// A response.
    Response {
        /// HTTP status.
        status: u16,
        /// `Retry-After` in seconds, if present.
        retry_after_s: Option<u64>,
        /// Body, decompressed.
        body: Vec<u8>,
    },
    /// No response; the reason as text.
    Failed(String),
}

/// A fetch without usable response.
#[derive(Debug)]
pub(super) struct FetchError {
    /// Text, as in `HTTP 503`.
    pub(super) reason: String,
    /// HTTP status, if there was a response.
    pub(super) status: Option<u16>,
    retry_after_ns: Option<u64>,
}

impl FetchError {
    /// A response that cannot be read.
    pub(super) fn unreadable(reason: String) -> Self {
        Self { reason, status: None, retry_after_ns: None }
    }

    /// Pause requested by the venue, nanoseconds; may be 0.
    pub(super) const fn retry_after_ns(&self) -> Option<u64> {
        self.retry_after_ns
    }

    /// Pause to keep: none for a past date, the default for a 429 without `Retry-After`.
    pub(super) fn pause_ns(&self) -> Option<u64> {
        let pause_ns = self.retry_after_ns.filter(|&ns| ns > 0);
        pause_ns.or((self.status == Some(429)).then_some(RETRY_AFTER_DEFAULT_NS))
    }
}

impl Fetched {
    /// Body of a response with status 200.
    pub(super) fn into_body(self) -> Result<Vec<u8>, FetchError> {
        match self {
            Self::Response { status: 200, body, .. } => Ok(body),
            Self::Response { status, retry_after_s, .. } => Err(FetchError {
                reason: format!("HTTP {status}"),
                status: Some(status),
                retry_after_ns: retry_after_s.map(|s| s.saturating_mul(SECOND_NS)),
            }),
            Self::Failed(reason) => Err(FetchError::unreadable(reason)),
        }
    }
}
