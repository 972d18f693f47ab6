//! Subscription commands of one connection; the venue sends no responses.
//!
//! Runs on:  shards (pure). Bounds: one text per command of the control core.
use super::subscribe;
use crate::base::id::TokenId;
use crate::venue::SubscriptionProtocol;
use std::collections::VecDeque;

/// Texts to send on one connection.
#[derive(Debug)]
pub struct Subscriptions {
    custom_features: bool,
    texts: VecDeque<String>,
}

impl Subscriptions {
    /// A queue without texts.
    pub const fn new(custom_features: bool) -> Self {
        Self { custom_features, texts: VecDeque::new() }
    }
}

impl SubscriptionProtocol for Subscriptions {
    /// The first message may be sent only once (polymarket/protocol.md, 2.1).
    fn begin(&mut self, tokens: &[TokenId], _now_ns: u64) {
        self.texts.clear();
        self.texts.push_back(subscribe::first_message(tokens, self.custom_features));
    }

    fn add(&mut self, tokens: &[TokenId]) {
        self.texts.push_back(subscribe::subscribe(tokens, self.custom_features));
    }

    fn delete(&mut self, tokens: &[TokenId]) {
        self.texts.push_back(subscribe::unsubscribe(tokens));
    }

    fn poll(&mut self, _now_ns: u64) -> Option<String> {
        self.texts.pop_front()
    }
}
