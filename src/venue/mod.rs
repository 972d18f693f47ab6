//! The interface between venues and the engine.
//!
//! Runs on:  any (pure). No layer outside `venue/` and `config/` depends on which venue it is.
//!
//! A venue is a value of [`Protocol`]; [`ALL`] lists the built-in ones.
//!
//! | part | Polymarket | Kalshi |
//! |---|---|---|
//! | message: one message as JSON, fields borrowed | [`polymarket::message`] | [`kalshi::message`] |
//! | scan: usual layouts without a JSON parser, by [`cursor`] | `polymarket::scan` | `kalshi::scan` |
//! | decode: frame to events | [`polymarket::decode`] | [`kalshi::decode`] |
//! | subscribe: encoding of commands | [`polymarket::subscribe`] | [`kalshi::command`] |
//! | subscription: state machine of commands | [`polymarket::subscription`] | [`kalshi::subscription`] |
//! | sequence: gap detection | no sequence numbers | [`sequence`] |
//! | catalog: markets over REST | [`polymarket::catalog`] | `kalshi::catalog` |
//! | sign: request signatures | not needed: public data | `kalshi::sign` |
#[cfg(test)]
#[path = "broken/tests.rs"]
mod broken;
pub mod capabilities;
pub mod catalog;
mod cursor;
mod json;
pub mod kalshi;
mod listing;
mod named;
pub mod polymarket;
pub mod protocol;
pub mod sequence;
pub mod skip;
pub mod subscription;

pub use capabilities::{Capabilities, Updates};
pub use catalog::Catalog;
pub use named::{for_each_id_in, markets_in};
pub use protocol::{BooksQuestion, Decode, Decoder, Feed, Progress, Protocol};
pub use sequence::{Sequences, Verdict};
pub use subscription::SubscriptionProtocol;

use crate::base::id::TokenId;
use crate::market::{event::Event, info::MarketUpdate};

/// The built-in venues with their default options.
pub const ALL: [Feed; 2] = [polymarket::feed(true), kalshi::feed(false)];

/// The venue of this name among [`ALL`].
pub fn of(name: &str) -> Option<Feed> {
    ALL.into_iter().find(|feed| feed.venue().name() == name)
}

/// Names of [`ALL`], for error messages.
pub fn names() -> String {
    ALL.map(|feed| feed.venue().name().to_owned()).join(" or ")
}

/// Purpose of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Books of its tokens, and other messages about them.
    #[default]
    Books,
    /// The venue-reported best prices of all markets: a cross-check.
    Tickers,
    /// Trades of all markets.
    Trades,
    /// Lifecycle events of all markets.
    Lifecycle,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Tickers, Self::Trades, Self::Lifecycle, Self::Books];

    /// The role in connection names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Books => "orderbook",
            Self::Tickers => "ticker",
            Self::Trades => "trade",
            Self::Lifecycle => "lifecycle",
        }
    }
}

/// Signs requests.
pub trait Signer: std::fmt::Debug + Send + Sync {
    /// Headers for a request of this path at `wall_ns`, nanoseconds since the Unix epoch. Secret: never logged.
    ///
    /// # Errors
    /// The reason as text: *back off, dial again*.
    fn headers(&self, method: &str, path: &str, wall_ns: u64) -> Result<Headers, String>;

    /// What the user should check after the venue has refused a signature.
    fn refusal_hint(&self) -> &'static str {
        "check the key"
    }
}

/// Header names and values.
pub type Headers = Vec<(&'static str, String)>;

/// Summary of a frame, read without applying it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outline<'a> {
    /// The market concerned.
    pub market: Option<&'a str>,
    /// Subscription id and sequence number. A numbered frame without `sid` has a synthetic one per channel, from
    /// [`sequence::UNNAMED_SID_MIN`] up.
    pub sequence: Option<(u64, u64)>,
    /// Part of the frame about a book could not be read.
    pub broken: bool,
    /// Change of a subscription.
    pub subscription: Option<SubscriptionChange<'a>>,
    /// Kind of book message.
    pub content: BookContent,
}

/// Kind of book message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BookContent {
    /// No book message.
    #[default]
    None,
    /// Whole book.
    Snapshot,
    /// Change of a book.
    Change,
}

/// A frame that begins or ends a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionChange<'a> {
    /// Subscribed.
    Begun {
        /// Channel; empty if the frame does not name it.
        channel: &'a str,
        /// Subscription id.
        sid: u64,
    },
    /// Named by the response to a command.
    Confirmed {
        /// Subscription id.
        sid: u64,
    },
    /// Unsubscribed by a command.
    Ended {
        /// Subscription id.
        sid: u64,
    },
    /// Ended by the venue: its books receive no more changes.
    Failed {
        /// Subscription id; `None`: all of the connection.
        sid: Option<u64>,
        /// True for a documented error code, on which a live connection subscribes again.
        known: bool,
    },
}

/// Action that the shard carries out for a subscription state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtocolAction {
    /// A sequence gap: the connection's books are stale until their snapshots, already requested, arrive.
    Suspect,
    /// The subscription has ended: the connection's books are stale and are subscribed again.
    Resubscribe,
    /// The session cannot be used: close the socket and dial again.
    Reconnect(&'static str),
    /// The connection is full: place these tokens on other connections.
    Full {
        /// Tokens that the venue refused.
        tokens: Vec<TokenId>,
    },
}

/// Command and sequence counters of one connection, over all its sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionCounts {
    /// Commands sent.
    pub commands: u64,
    /// Error responses.
    pub errors: u64,
    /// Commands repeated after a rate-limit response.
    pub retries: u64,
    /// Commands without a response in time.
    pub timeouts: u64,
    /// Tokens or commands that the venue refused.
    pub refused: u64,
    /// Subscriptions ended by the venue.
    pub resubscribes: u64,
    /// Sequence gaps.
    pub holes: u64,
    /// Messages missing in sequence gaps.
    pub missing: u64,
    /// Duplicate messages, dropped.
    pub duplicates: u64,
}

/// Position of a message in its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Subscription id; for a numbered message without one, a synthetic id per channel, from
    /// [`sequence::UNNAMED_SID_MIN`] up.
    pub sid: Option<u64>,
    /// Sequence number.
    pub seq: Option<u64>,
    /// Id of the command that it answers.
    pub id: Option<u64>,
    /// Kind of book message.
    pub content: BookContent,
}

/// A response to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// A subscription has begun.
    Subscribed {
        /// Command id.
        id: Option<u64>,
        /// Subscription id.
        sid: Option<u64>,
        /// Channel; empty if the response does not name it.
        channel: &'a str,
    },
    /// The command was carried out.
    Ok {
        /// Command id.
        id: Option<u64>,
        /// Subscription id.
        sid: Option<u64>,
    },
    /// A subscription was ended by a command.
    Unsubscribed {
        /// Command id.
        id: Option<u64>,
        /// Subscription id.
        sid: Option<u64>,
    },
    /// A book snapshot, unrequested or requested.
    Snapshot {
        /// Command id, if requested.
        id: Option<u64>,
        /// Market.
        market: &'a str,
    },
    /// The command was refused, or the subscription has failed.
    Error {
        /// Command id, if present.
        id: Option<u64>,
        /// Subscription id, if present.
        sid: Option<u64>,
        /// The venue's error code.
        code: u64,
        /// The venue's error text.
        text: &'a str,
    },
}

/// Receives what a decoder reads, in the order of the frame.
pub trait Sink {
    /// Position of the next message in the stream. Returns false for a duplicate: the message is then not delivered.
    fn on_envelope(&mut self, envelope: &Envelope) -> bool {
        let _ = envelope;
        true
    }

    /// A message about an unknown book could not be read.
    fn on_lost(&mut self) {}

    /// A command response. Returns false if its content is not to be delivered.
    fn on_reply(&mut self, reply: &Reply<'_>) -> bool {
        let _ = reply;
        true
    }

    /// A fully validated message about a book.
    fn on_event(&mut self, event: &Event<'_>);

    /// A change in a market's life. Rare; may have allocated.
    fn on_market_update(&mut self, update: MarketUpdate);

    /// An input that is no event: counted, never fatal.
    fn on_decode_notice(&mut self, notice: &DecodeNotice<'_>);
}

/// Input that a decoder counts and skips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeNotice<'a> {
    /// The frame is invalid JSON at byte `offset`; nothing of it was delivered.
    /// *Count; mark the books of the ids in it stale.*
    BadFrame {
        /// Byte offset within the frame.
        offset: usize,
        /// The frame, for [`for_each_id_in`] and [`markets_in`].
        frame: &'a str,
    },
    /// A JSON message that breaks the protocol; nothing of it was delivered.
    /// *Count; mark its books stale.*
    BadMessage {
        /// The violation.
        fault: MessageFault,
        /// Byte offset within the frame, near the message's end.
        offset: usize,
        /// Market whose books may have missed a change; empty if none or unknown.
        market: &'a str,
        /// Token concerned; empty if unknown or several.
        token: &'a str,
        /// The message, or its frame, for [`for_each_id_in`]; empty if `market` and `token` suffice.
        text: &'a str,
    },
    /// A message of an unknown type. *Count.*
    UnknownEvent(&'a str),
    /// Unknown keys, separated by commas, of the message just delivered. *Count.*
    UnknownKeys(&'a str),
    /// A text that is neither JSON nor a pong. *Count.*
    UnknownText(&'a str),
    /// The answer to a ping.
    Pong,
}

/// A sample of an unknown or error message, for the log of the control core. Cut at `UNRECOGNIZED_BYTES_MAX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unrecognized {
    /// A message of an unknown type, or a text that is not JSON.
    Message(String),
    /// Unknown keys of a known message.
    Keys(String),
    /// An error response: code and text.
    Error(String),
}

impl std::fmt::Display for Unrecognized {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Error(text) => write!(f, "the venue returned error {text}"),
            Self::Message(text) => {
                write!(f, "the venue sent an unknown message, counted and ignored: {text:?}")
            }
            Self::Keys(keys) => {
                write!(f, "the venue sent unknown keys, counted and ignored: {keys:?}")
            }
        }
    }
}

/// An undecodable input, for the log of the control core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadInput {
    /// The violation; `None` for invalid JSON.
    pub fault: Option<MessageFault>,
    /// Byte offset within the frame.
    pub offset: usize,
}

impl std::fmt::Display for BadInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.fault {
            Some(fault @ MessageFault::Binary) => write!(f, "{fault}"),
            Some(fault) => write!(f, "{fault} in the message at byte {}", self.offset),
            None => write!(f, "invalid JSON at byte {}", self.offset),
        }
    }
}

/// Why a message was refused: a fault or change of the venue's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFault {
    /// A required key is missing.
    Missing(&'static str),
    /// A value has the wrong type, too many digits or is out of range.
    BadValue(&'static str),
    /// A key is repeated.
    Repeated(&'static str),
    /// More levels or changes than the limits allow.
    TooMany(&'static str),
    /// A binary frame: both venues send text frames only.
    Binary,
}

impl std::fmt::Display for MessageFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(key) => write!(f, "`{key}` is missing"),
            Self::BadValue(key) => write!(f, "`{key}` has no usable value"),
            Self::Repeated(key) => write!(f, "`{key}` is repeated"),
            Self::TooMany(key) => write!(f, "`{key}` holds more entries than the limit"),
            Self::Binary => f.write_str("a binary frame; the venue sends text frames only"),
        }
    }
}
