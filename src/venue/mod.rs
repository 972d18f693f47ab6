//! The seam between venues and the engine: what a venue must be able to do.
//!
//! Runs on:  any (pure). Nothing outside `venue/` asks which venue it is.
//!
//! | part | Polymarket |
//! |---|---|
//! | message: JSON of one message, fields borrowed | [`polymarket::message`] |
//! | decode: frame to events | [`polymarket::decode`] |
//! | subscribe: what to send, and when to ping | [`polymarket::subscribe`] |
//! | catalog: markets over REST | [`polymarket::catalog`] |
//! | sign | not needed: public data |
pub mod polymarket;

use crate::base::id::TokenId;
use crate::market::{event::Event, info::MarketNews};

/// A venue's market-data stream: what to send on it. The decoder is [`Decoder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// Polymarket's market channel.
    Polymarket {
        /// Ask for `new_market`, `market_resolved` and `best_bid_ask` too.
        custom_features: bool,
    },
}

/// The markets that a frame names although it cannot be read, at most `MESSAGES_PER_FRAME_MAX`.
pub fn markets_named_in(frame: &str) -> impl Iterator<Item = &str> {
    polymarket::decode::markets_named_in(frame)
}

/// The decoder of the venue's frames.
pub type Decoder = polymarket::decode::Decoder;

/// How far the decoding of one frame is.
pub type Progress = polymarket::decode::Progress;

impl Feed {
    /// The first message of a connection.
    #[must_use]
    pub fn first_message(self, tokens: &[TokenId]) -> String {
        let Self::Polymarket { custom_features } = self;
        polymarket::subscribe::first_message(tokens, custom_features)
    }

    /// More tokens on a connection that has had its first message.
    #[must_use]
    pub fn subscribe(self, tokens: &[TokenId]) -> String {
        let Self::Polymarket { custom_features } = self;
        polymarket::subscribe::subscribe(tokens, custom_features)
    }

    /// Fewer tokens.
    #[must_use]
    pub fn unsubscribe(self, tokens: &[TokenId]) -> String {
        let Self::Polymarket { .. } = self;
        polymarket::subscribe::unsubscribe(tokens)
    }

    /// Path and body of a `POST` that answers with the books of these tokens; those that the venue does
    /// not know are left out of the answer.
    #[must_use]
    pub fn books_request(self, tokens: &[TokenId]) -> (&'static str, String) {
        let Self::Polymarket { .. } = self;
        (polymarket::subscribe::BOOKS_PATH, polymarket::subscribe::books_body(tokens))
    }

    /// The text that keeps a connection open.
    #[must_use]
    pub const fn heartbeat(self) -> &'static str {
        let Self::Polymarket { .. } = self;
        polymarket::subscribe::PING
    }
}

/// Where a decoder delivers what it read, in the order of the frame.
pub trait Sink {
    /// A message about a book, wholly checked.
    fn on_event(&mut self, event: &Event<'_>);

    /// The stream's own news about a market's life. Rare; may have allocated.
    fn on_news(&mut self, news: MarketNews);

    /// Something that is no event: counted, never fatal.
    fn on_oddity(&mut self, oddity: &Oddity<'_>);
}

/// What a decoder counts and passes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity<'a> {
    /// The frame is no JSON from byte `offset` on; nothing of it was delivered.
    /// *Count; the books of the markets that it names may have missed a change.*
    BadFrame {
        /// Byte within the frame.
        offset: usize,
        /// The frame, for [`markets_named_in`].
        frame: &'a str,
    },
    /// One message is JSON but breaks the protocol; nothing of it was delivered.
    /// *Count; a book may have missed a change.*
    BadMessage {
        /// What is wrong.
        fault: MessageFault,
        /// Byte within the frame where the message ends.
        offset: usize,
        /// The market whose books may have missed a change; empty if none or not known.
        market: &'a str,
        /// The token concerned, empty if it is not known or if several are.
        token: &'a str,
    },
    /// A message of a kind that is not known. *Count.*
    UnknownEvent(&'a str),
    /// Keys that are not known, with commas between them, in the message just delivered. *Count.*
    UnknownKeys(&'a str),
    /// A text that is no JSON and not the answer to a ping. *Count.*
    UnknownText(&'a str),
    /// The answer to a ping.
    Pong,
}

/// Something undecodable, for the log of the core that may log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadInput {
    /// What is wrong with the message; `None` when the frame is no JSON.
    pub fault: Option<MessageFault>,
    /// Byte within the frame.
    pub offset: usize,
}

impl std::fmt::Display for BadInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.fault {
            Some(fault) => write!(f, "{fault} in the message at byte {}", self.offset),
            None => write!(f, "no JSON from byte {} on", self.offset),
        }
    }
}

/// Why a message was refused. The venue's fault, or a change of its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFault {
    /// A key that the event needs is missing.
    Missing(&'static str),
    /// A value is not what the key promises: no decimal, too many digits, out of range.
    BadValue(&'static str),
    /// A key came twice.
    Repeated(&'static str),
    /// More levels or changes than the limits allow.
    TooMany(&'static str),
}

impl std::fmt::Display for MessageFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(key) => write!(f, "`{key}` is missing"),
            Self::BadValue(key) => write!(f, "`{key}` has no usable value"),
            Self::Repeated(key) => write!(f, "`{key}` came twice"),
            Self::TooMany(key) => write!(f, "`{key}` holds more entries than the limit"),
        }
    }
}
