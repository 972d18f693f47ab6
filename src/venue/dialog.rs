//! What is asked on one connection, and what the answers mean.
//!
//! Runs on:  shards (pure).
use super::{DialogCounts, Envelope, Reply, Turn, Verdict};
use crate::base::id::TokenId;
use std::fmt::Debug;

/// One connection's conversation with its venue. Times are monotonic nanoseconds.
///
/// A venue that numbers its messages and answers commands implements all of it; one that only takes subscriptions
/// needs the first four.
pub trait Dialog: Debug + Send {
    /// A new session begins: everything is asked for anew.
    fn begin(&mut self, tokens: &[TokenId], now_ns: u64);

    /// More tokens.
    fn add(&mut self, tokens: &[TokenId]);

    /// Fewer tokens.
    fn delete(&mut self, tokens: &[TokenId]);

    /// The next text to send.
    fn poll(&mut self, now_ns: u64) -> Option<String>;

    /// Asks for these books again. False where that is not done on the connection.
    fn ask(&mut self, tokens: &[TokenId]) -> bool {
        let _ = tokens;
        false
    }

    /// A connection that brings nothing is to show that it is alive. False where that is not done on the
    /// connection.
    fn probe(&mut self, book: Option<TokenId>) -> bool {
        let _ = book;
        false
    }

    /// Takes the number of a message.
    fn on_envelope(&mut self, envelope: &Envelope) -> Verdict {
        let _ = envelope;
        Verdict::Next
    }

    /// Takes an answer.
    fn on_reply(&mut self, reply: &Reply<'_>, now_ns: u64) {
        let _ = (reply, now_ns);
    }

    /// A frame could not be read at all. True where every book of the connection is suspect then.
    fn on_broken_frame(&mut self) -> bool {
        false
    }

    /// Market data came.
    fn on_data(&mut self, now_ns: u64) {
        let _ = now_ns;
    }

    /// Does what is due.
    fn handle_timeout(&mut self, now_ns: u64) {
        let _ = now_ns;
    }

    /// What the shard must do, if anything; `tokens` are all of the connection.
    fn poll_turn(&mut self, now_ns: u64, tokens: &[TokenId]) -> Option<Turn> {
        let _ = (now_ns, tokens);
        None
    }

    /// What was asked and answered.
    fn counts(&self) -> DialogCounts {
        DialogCounts::default()
    }
}
