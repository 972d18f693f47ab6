//! What is sent on a connection of the market channel: nothing is ever answered.
//!
//! Runs on:  shards (pure). Bounds: one text for each order of the control core.
use super::subscribe;
use crate::base::id::TokenId;
use std::collections::VecDeque;

/// One connection's texts.
#[derive(Debug)]
pub struct Dialog {
    custom_features: bool,
    texts: VecDeque<String>,
}

impl Dialog {
    /// Nothing to send yet.
    #[must_use]
    pub const fn new(custom_features: bool) -> Self {
        Self { custom_features, texts: VecDeque::new() }
    }

    /// A new session begins with all its tokens. The first message is sent once (polymarket/protocol.md, 2.1).
    pub fn begin(&mut self, tokens: &[TokenId]) {
        self.texts.clear();
        self.texts.push_back(subscribe::first_message(tokens, self.custom_features));
    }

    /// More tokens on a connection that has had its first message.
    pub fn add(&mut self, tokens: &[TokenId]) {
        self.texts.push_back(subscribe::subscribe(tokens, self.custom_features));
    }

    /// Fewer tokens.
    pub fn delete(&mut self, tokens: &[TokenId]) {
        self.texts.push_back(subscribe::unsubscribe(tokens));
    }

    /// The next text.
    pub fn poll(&mut self) -> Option<String> {
        self.texts.pop_front()
    }
}
