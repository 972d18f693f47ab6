//! One client of the market channel: its messages, read.
//!
//! Runs on:  serve core (pure). Owns: options and subscribed tokens of one client.
//! Bounds:   [`TOKENS_MAX`].
//!
//! Answers are the venue's where its own are known (polymarket/protocol.md, 2.1 to 2.3); otherwise the connection is
//! closed with 1008 and the reason.
use super::json;
use crate::base::id::TokenId;
use crate::gateway::Request;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// Most tokens of one client, and of one message: all books of the venue fit.
pub const TOKENS_MAX: usize = 131_072;

/// Close code for a message that breaks the protocol.
const POLICY_VIOLATION: u16 = 1008;
/// The venue's reason when no valid subscription comes first (nautilus_trader #4864).
const INVALID_SUBSCRIPTION: &str = "invalid subscription payload";
/// The venue's answer to a first message that comes again (nautilus_trader #3717).
const INVALID_OPERATION: &str = "INVALID OPERATION";
/// The venue's answer to a later subscription without a new token.
const NO_NEW_ASSETS: &str = "NO NEW ASSETS";
/// The initial dump of no books, as of unknown tokens (polymarket/protocol.md, 2.3).
const NO_BOOKS: &str = "[]";
const TOO_MANY: &str = "too many assets_ids";

/// One client of the market channel.
#[derive(Debug)]
pub struct Session {
    /// The first message was valid.
    subscribed: bool,
    /// A close was requested: the rest of the input is ignored.
    closed: bool,
    tokens: HashSet<TokenId>,
    custom: bool,
    dump: bool,
    state: bool,
}

impl Session {
    /// A client that has sent nothing yet; `wants_state` if its address has `state=1`.
    pub fn new(wants_state: bool) -> Self {
        Self {
            subscribed: false,
            closed: false,
            tokens: HashSet::new(),
            custom: false,
            dump: true,
            state: wants_state,
        }
    }

    /// Whether it receives `best_bid_ask`, `new_market` and `market_resolved` (`custom_feature_enabled`).
    pub const fn custom(&self) -> bool {
        self.custom
    }

    /// Whether the books of the last subscribing message are to be sent (`initial_dump`, by default true).
    pub const fn wants_dump(&self) -> bool {
        self.dump
    }

    /// Whether it receives the event `state`.
    pub const fn wants_state(&self) -> bool {
        self.state
    }

    /// Whether the first message was valid.
    pub const fn subscribed(&self) -> bool {
        self.subscribed
    }

    /// Reads one text frame and appends what it asks for. A token that is subscribed already is not requested again.
    pub fn on_text(&mut self, text: &str, out: &mut Vec<Request>) {
        if self.closed {
            return;
        }
        let text = text.trim();
        match (text, self.subscribed) {
            ("PING", true) => out.push(Request::Send("PONG".to_owned())),
            (_, false) => match json::read(text).and_then(first) {
                Some(message) => {
                    self.subscribed = true;
                    self.custom = message.custom_feature_enabled.unwrap_or(false);
                    if self.subscribe(message, out) == 0 && self.dump && !self.closed {
                        out.push(Request::Send(NO_BOOKS.to_owned()));
                    }
                }
                None => self.close(INVALID_SUBSCRIPTION, out),
            },
            (_, true) => match json::read(text) {
                Some(message) => self.update(message, out),
                None => self.close("the message is no valid JSON object of this channel", out),
            },
        }
    }

    fn update(&mut self, message: Message<'_>, out: &mut Vec<Request>) {
        match message.operation.as_deref() {
            Some("subscribe" | "unsubscribe") if message.assets_ids.is_none() => {
                self.close("assets_ids is missing", out);
            }
            Some("subscribe") => {
                // Applied whether or not a token is new (polymarket/protocol.md, 2.1).
                self.custom = message.custom_feature_enabled.unwrap_or(self.custom);
                if self.subscribe(message, out) == 0 && !self.closed {
                    out.push(Request::Send(NO_NEW_ASSETS.to_owned()));
                }
            }
            Some("unsubscribe") => {
                let active = message.tokens().into_iter().filter(|token| self.tokens.remove(token));
                out.extend(active.map(Request::Unsubscribe));
            }
            _ => out.push(Request::Send(INVALID_OPERATION.to_owned())),
        }
    }

    /// Returns the number of new tokens.
    fn subscribe(&mut self, message: Message<'_>, out: &mut Vec<Request>) -> usize {
        self.dump = message.initial_dump.unwrap_or(true);
        let mut new = message.tokens();
        new.retain(|token| !self.tokens.contains(token));
        if self.tokens.len() + new.len() > TOKENS_MAX {
            self.close(TOO_MANY, out);
            return 0;
        }
        self.tokens.extend(&new);
        out.extend(new.iter().copied().map(Request::Subscribe));
        new.len()
    }

    fn close(&mut self, reason: &'static str, out: &mut Vec<Request>) {
        self.closed = true;
        out.push(Request::Close(POLICY_VIOLATION, reason));
    }
}

/// The message, if it may be the first one: `type` is `market`, and the operation, if any, is `subscribe`.
fn first(message: Message<'_>) -> Option<Message<'_>> {
    let market = message.channel.as_ref().is_some_and(|name| name.eq_ignore_ascii_case("market"));
    let subscribe = message.operation.as_ref().is_none_or(|operation| operation == "subscribe");
    (market && subscribe && message.assets_ids.is_some()).then_some(message)
}

/// A message of a client; unknown keys are ignored.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "type")]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow)]
    operation: Option<Cow<'a, str>>,
    assets_ids: Option<Tokens>,
    initial_dump: Option<bool>,
    custom_feature_enabled: Option<bool>,
}

impl Message<'_> {
    fn tokens(self) -> Vec<TokenId> {
        self.assets_ids.map_or_else(Vec::new, |tokens| tokens.0)
    }
}

/// Token ids, each once, in the order of their first place.
struct Tokens(Vec<TokenId>);

impl<'de> Deserialize<'de> for Tokens {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(TokensVisitor)
    }
}

struct TokensVisitor;

impl<'de> Visitor<'de> for TokensVisitor {
    type Value = Tokens;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of token ids")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tokens, A::Error> {
        let (mut tokens, mut seen) = (Vec::new(), HashSet::new());
        while let Some(Token(token)) = seq.next_element()? {
            if seen.insert(token) {
                if tokens.len() == TOKENS_MAX {
                    return Err(de::Error::custom("too many tokens"));
                }
                tokens.push(token);
            }
        }
        Ok(Tokens(tokens))
    }
}

struct Token(TokenId);

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(TokenVisitor)
    }
}

struct TokenVisitor;

impl Visitor<'_> for TokenVisitor {
    type Value = Token;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token id")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Token, E> {
        TokenId::new(text).map(Token).ok_or_else(|| E::custom("no token id"))
    }
}

#[cfg(test)]
mod tests;
