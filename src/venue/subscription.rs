//! Subscription commands and responses of one connection.
//!
//! Runs on:  shards (pure).
use super::{Envelope, ProtocolAction, Reply, SubscriptionCounts, Verdict};
use crate::base::id::TokenId;
use std::fmt::Debug;

/// The subscription state machine of one connection (sans I/O). Times are monotonic nanoseconds.
///
/// Only `begin`, `add`, `delete` and `poll` are required; a venue with sequence numbers or command responses implements
/// the rest.
pub trait SubscriptionProtocol: Debug + Send {
    /// A new session begins: subscribes `tokens` from the start.
    fn begin(&mut self, tokens: &[TokenId], now_ns: u64);

    /// Subscribes more tokens.
    fn add(&mut self, tokens: &[TokenId]);

    /// Unsubscribes tokens.
    fn delete(&mut self, tokens: &[TokenId]);

    /// The next text to send.
    fn poll(&mut self, now_ns: u64) -> Option<String>;

    /// Requests these books' snapshots. False if the protocol cannot.
    fn ask(&mut self, tokens: &[TokenId]) -> bool {
        let _ = tokens;
        false
    }

    /// Sends a command whose response shows that an idle connection is alive. False if the protocol cannot.
    fn probe(&mut self, book: Option<TokenId>) -> bool {
        let _ = book;
        false
    }

    /// Checks the sequence number of a message.
    fn on_envelope(&mut self, envelope: &Envelope) -> Verdict {
        let _ = envelope;
        Verdict::Next
    }

    /// Handles a command response. False if no book may be changed by it: the command may be from before the market
    /// was added.
    fn on_reply(&mut self, reply: &Reply<'_>, now_ns: u64) -> bool {
        let _ = (reply, now_ns);
        true
    }

    /// A frame could not be parsed. True if every book of the connection is then suspect.
    fn on_broken_frame(&mut self) -> bool {
        false
    }

    /// Market data arrived.
    fn on_data(&mut self, now_ns: u64) {
        let _ = now_ns;
    }

    /// Handles timeouts that are due.
    fn handle_timeout(&mut self, now_ns: u64) {
        let _ = now_ns;
    }

    /// The next action for the shard; `tokens` are all of the connection.
    fn poll_action(&mut self, now_ns: u64, tokens: &[TokenId]) -> Option<ProtocolAction> {
        let _ = (now_ns, tokens);
        None
    }

    /// The subscription and the number of its last message, where messages are numbered.
    fn position(&self) -> Option<(u64, u64)> {
        None
    }

    /// Command and sequence counters.
    fn counts(&self) -> SubscriptionCounts {
        SubscriptionCounts::default()
    }
}
