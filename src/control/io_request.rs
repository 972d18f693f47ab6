//! What the controller of a venue asks of a task, and what the task gives back.
//!
//! Runs on:  control core (pure).
//!
//! A cycle of the controller never waits: whatever waits for the network is a request, carried out by a task (`run`),
//! whose result goes to the method that the request names.
use super::snapshot_requester::SnapshotRequest;
use crate::base::id::ConnectionId;
use crate::base::limits::RETRY_AFTER_DEFAULT_NS;
use crate::base::time::SECOND_NS;

/// A request that only a task can carry out.
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

/// What a task fetched, or why it could not.
#[derive(Debug)]
pub enum Fetched {
    /// The venue answered.
    Response {
        /// HTTP status.
        status: u16,
        /// `Retry-After` in seconds, where there was one.
        retry_after_s: Option<u64>,
        /// The body, inflated.
        body: Vec<u8>,
    },
    /// There was no answer; the reason, for people.
    Failed(String),
}

/// A fetch without a usable answer.
#[derive(Debug)]
pub(super) struct FetchError {
    /// For people, as in `HTTP 503`.
    pub(super) reason: String,
    /// HTTP status, where there was an answer.
    pub(super) status: Option<u16>,
    retry_after_ns: Option<u64>,
}

impl FetchError {
    /// An answer that cannot be read.
    pub(super) fn unreadable(reason: String) -> Self {
        Self { reason, status: None, retry_after_ns: None }
    }

    /// The pause that the venue named, nanoseconds; may be 0.
    pub(super) const fn retry_after_ns(&self) -> Option<u64> {
        self.retry_after_ns
    }

    /// The pause to be kept: a date that has passed is none, a 429 without one has the default.
    pub(super) fn pause_ns(&self) -> Option<u64> {
        let pause_ns = self.retry_after_ns.filter(|&ns| ns > 0);
        pause_ns.or((self.status == Some(429)).then_some(RETRY_AFTER_DEFAULT_NS))
    }
}

impl Fetched {
    /// The body of an answer with status 200.
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
