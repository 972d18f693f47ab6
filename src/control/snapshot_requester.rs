//! Book requests over REST: which tokens are next, and at which rate.
//!
//! Runs on:  control core (pure; time is an argument). Owns: waiting tokens.
//! Bounds:   tokens per request and requests per second of the venue, `BOOKS_REQUESTS_OPEN_MAX`,
//!           `BOOKS_WAITING_MAX`.
//!
//! Urgent tokens (no snapshot, a wrong book, a silent connection) precede comparisons. A token that is dropped or not
//! answered is requested again by its shard.
use super::io_request::{FetchError, Fetched};
use crate::base::id::TokenId;
use crate::base::limits::{
    BOOKS_REQUESTS_OPEN_MAX, BOOKS_WAITING_MAX, RETRY_AFTER_DEFAULT_NS, RETRY_AFTER_MAX_NS,
};
use crate::base::time::SECOND_NS;
use crate::counter::report::SnapshotRequestsReport;
use log::debug;
use std::collections::VecDeque;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRequest {
    /// Index of the shard that receives the response.
    pub shard: usize,
    /// The tokens.
    pub tokens: Vec<TokenId>,
    /// Number of the newest question that the shard has asked.
    pub question: u32,
}

/// Waiting tokens of one shard.
#[derive(Clone, Debug, Default)]
struct Waiting {
    urgent: VecDeque<TokenId>,
    others: VecDeque<TokenId>,
    question: u32,
}

/// Requests of all shards.
#[derive(Clone, Debug)]
pub struct SnapshotRequester {
    waiting: Vec<Waiting>,
    /// Tokens per request.
    tokens_max: usize,
    /// Interval of requests.
    gap_ns: u64,
    count: usize,
    /// The next shard in turn.
    turn: usize,
    open: usize,
    next_ns: u64,
    counts: SnapshotRequestsReport,
}

impl SnapshotRequester {
    /// For at most `tokens_max` tokens per request and `per_second` requests per second.
    #[must_use]
    pub fn new(shards: usize, (tokens_max, per_second): (usize, u64)) -> Self {
        Self {
            waiting: vec![Waiting::default(); shards],
            tokens_max,
            gap_ns: SECOND_NS / per_second.max(1),
            count: 0,
            turn: 0,
            open: 0,
            next_ns: 0,
            counts: SnapshotRequestsReport::default(),
        }
    }

    /// Takes tokens of a shard; its questions are numbered.
    pub fn want(&mut self, shard: usize, tokens: &[TokenId], urgent: bool, question: u32) {
        let Some(waiting) = self.waiting.get_mut(shard) else { return };
        waiting.question = question;
        // Comparisons leave half of the room to what is urgent.
        let room = if urgent { BOOKS_WAITING_MAX } else { BOOKS_WAITING_MAX / 2 };
        if self.count + tokens.len() > room {
            self.counts.tokens_dropped += tokens.len() as u64;
            return;
        }
        self.count += tokens.len();
        let queue = if urgent { &mut waiting.urgent } else { &mut waiting.others };
        queue.extend(tokens);
    }

    /// The next request, if due.
    pub fn poll(&mut self, now_ns: u64) -> Option<SnapshotRequest> {
        if self.count == 0 || self.open >= BOOKS_REQUESTS_OPEN_MAX || now_ns < self.next_ns {
            return None;
        }
        let shards = self.waiting.len();
        let urgent = self.waiting.iter().any(|waiting| !waiting.urgent.is_empty());
        let shard = (0..shards).map(|step| (self.turn + step) % shards).find(|&shard| {
            let Waiting { urgent: first, others, .. } = &self.waiting[shard];
            if urgent { !first.is_empty() } else { !others.is_empty() }
        })?;
        self.turn = (shard + 1) % shards;
        let Waiting { urgent, others, question } = &mut self.waiting[shard];
        let question = *question;
        let mut tokens = Vec::with_capacity(self.tokens_max);
        for queue in [urgent, others] {
            let count = queue.len().min(self.tokens_max - tokens.len());
            tokens.extend(queue.drain(..count));
        }
        self.count -= tokens.len();
        self.open += 1;
        self.counts.requests += 1;
        self.counts.tokens += tokens.len() as u64;
        self.next_ns = now_ns + self.gap_ns;
        Some(SnapshotRequest { shard, tokens, question })
    }

    /// Result of a request. Returns the books as text of the venue; failed ones are requested again by the shard.
    pub fn on_fetched(&mut self, fetched: Fetched, now_ns: u64) -> Option<String> {
        let text = fetched.into_body().and_then(|body| {
            String::from_utf8(body).map_err(|error| FetchError::unreadable(error.to_string()))
        });
        match text {
            Ok(text) => {
                self.on_answer();
                Some(text)
            }
            Err(error) => {
                let (pause_ns, why) = (error.pause_ns(), error.reason);
                debug!("books were not fetched: {why}; their shard asks again");
                self.on_failure(now_ns, why, pause_ns);
                None
            }
        }
    }

    fn on_answer(&mut self) {
        self.open = self.open.saturating_sub(1);
        self.counts.answers += 1;
        self.counts.last_error.clear();
    }

    fn on_failure(&mut self, now_ns: u64, why: String, retry_after_ns: Option<u64>) {
        self.open = self.open.saturating_sub(1);
        self.counts.failed += 1;
        self.counts.last_error = why;
        let pause_ns = retry_after_ns.unwrap_or(RETRY_AFTER_DEFAULT_NS / 5);
        self.next_ns = self.next_ns.max(now_ns + pause_ns.min(RETRY_AFTER_MAX_NS));
    }

    /// Counters.
    pub fn report(&self) -> SnapshotRequestsReport {
        SnapshotRequestsReport { tokens_waiting: self.count as u64, ..self.counts.clone() }
    }
}

#[cfg(test)]
mod tests;
