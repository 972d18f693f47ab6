//! The seam between venues and the engine: what a venue must be able to do.
//!
//! Runs on:  any (pure). Nothing outside `venue/` and `config/` asks which venue it is.
//!
//! A venue is a value of [`Protocol`]; [`ALL`] has those that come with this library.
//!
//! | part | Polymarket | Kalshi |
//! |---|---|---|
//! | message: JSON of one message, fields borrowed | [`polymarket::message`] | [`kalshi::message`] |
//! | decode: frame to events | [`polymarket::decode`] | [`kalshi::decode`] |
//! | subscribe: what to send | [`polymarket::subscribe`] | [`kalshi::command`] |
//! | dialog: what is asked on a connection, and what answers mean | [`polymarket::dialog`] | [`kalshi::dialog`] |
//! | sequence: messages that are missing | not numbered | [`sequence`] |
//! | catalog: markets over REST | [`polymarket::catalog`] | `kalshi::catalog` |
//! | sign | not needed: public data | `kalshi::sign` |
pub mod capabilities;
pub mod catalogue;
pub mod dialog;
mod json;
pub mod kalshi;
mod named;
pub mod polymarket;
pub mod protocol;
pub mod sequence;
pub mod skip;

pub use capabilities::{Capabilities, Updates};
pub use catalogue::Catalogue;
pub use dialog::Dialog;
pub use named::{each_id_named_in, markets_named_in};
pub use protocol::{BooksQuestion, Decode, Decoder, Feed, Progress, Protocol};
pub use sequence::{Sequences, Verdict};

use crate::base::id::TokenId;
use crate::market::{event::Event, info::MarketNews};

/// The venues that this engine knows by name, with what is asked of them by default.
pub const ALL: [Feed; 2] = [polymarket::feed(true), kalshi::feed(false)];

/// The one of this name among [`ALL`].
#[must_use]
pub fn of(name: &str) -> Option<Feed> {
    ALL.into_iter().find(|feed| feed.venue().name() == name)
}

/// Names of [`ALL`] for people.
#[must_use]
pub fn names() -> String {
    ALL.map(|feed| feed.venue().name().to_owned()).join(" or ")
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The books of its tokens, and all else that is said of them.
    #[default]
    Books,
    /// The venue's own best prices of all markets: a cross-check.
    Tickers,
    /// The trades of all markets.
    Trades,
    /// The life of all markets.
    Lifecycle,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Tickers, Self::Trades, Self::Lifecycle, Self::Books];

    /// The word for it in names of connections.
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
    /// Headers for a request of this path, at this time (nanoseconds since the Unix epoch); never logged.
    ///
    /// # Errors
    /// Why nothing can be signed, for people: *back off, dial again*.
    fn headers(&self, method: &str, path: &str, wall_ns: u64) -> Result<Headers, String>;

    /// What a person is to check when the venue refuses what was signed.
    fn when_refused(&self) -> &'static str {
        "check the key"
    }
}

/// Headers by name.
pub type Headers = Vec<(&'static str, String)>;

/// What a reader must know of a frame without applying it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outline<'a> {
    /// The market that it is about, if it is about one.
    pub market: Option<&'a str>,
    /// Subscription and number, where the frame has a number. A frame without subscription counts with its
    /// channel, under a number that the venue never gives.
    pub sequence: Option<(u64, u64)>,
    /// What it was to say of some book is lost.
    pub broken: bool,
    /// What it says of a subscription.
    pub subscription: Option<SubscriptionChange<'a>>,
    /// What it says of a book.
    pub content: BookContent,
}

/// What a message says of a book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BookContent {
    /// Nothing.
    #[default]
    None,
    /// All of it.
    Snapshot,
    /// A change.
    Change,
}

/// A subscription that begins or ends by what a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionChange<'a> {
    /// It began.
    Begun {
        /// Its channel; empty where the frame does not say.
        channel: &'a str,
        /// Its number.
        sid: u64,
    },
    /// It is over, as was asked for.
    Ended {
        /// Its number.
        sid: u64,
    },
    /// The venue ended it: its books follow no more.
    Failed {
        /// Its number; `None` is every one of the connection.
        sid: Option<u64>,
        /// True for an error of a known code, for which a live connection subscribes anew.
        known: bool,
    },
}

/// What a dialog wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Messages are missing: no book of the connection is right until its snapshot comes, which is asked for.
    Suspect,
    /// The subscription is over: no book is right; all of them are subscribed anew.
    Resubscribe,
    /// The session is of no use: close the socket and dial again.
    Reconnect(&'static str),
    /// The connection takes no more: these tokens are to go elsewhere.
    Full {
        /// Tokens that were refused.
        tokens: Vec<TokenId>,
    },
}

/// What was asked and answered on one connection, over all its sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DialogCounts {
    /// Commands sent.
    pub commands: u64,
    /// Answers that were errors.
    pub errors: u64,
    /// Commands sent again because the venue wanted a pause.
    pub retries: u64,
    /// Commands that were not answered in time.
    pub timeouts: u64,
    /// Tokens or commands that the venue does not take.
    pub refused: u64,
    /// Subscriptions that the venue ended.
    pub resubscribes: u64,
    /// Places where messages are missing.
    pub holes: u64,
    /// Messages that are missing.
    pub missing: u64,
    /// Messages that came again, dropped.
    pub duplicates: u64,
}

/// What a message says of its place in the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The subscription; for a numbered message that names none, its channel, under a number that the venue never
    /// gives.
    pub sid: Option<u64>,
    /// The message's number there.
    pub seq: Option<u64>,
    /// The command that it answers.
    pub id: Option<u64>,
    /// What it says of a book.
    pub content: BookContent,
}

/// An answer to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// A subscription exists.
    Subscribed {
        /// The command.
        id: Option<u64>,
        /// The subscription.
        sid: Option<u64>,
        /// Its channel, empty if not said.
        channel: &'a str,
    },
    /// The command is carried out.
    Ok {
        /// The command.
        id: Option<u64>,
        /// The subscription.
        sid: Option<u64>,
    },
    /// A subscription is over, as asked.
    Unsubscribed {
        /// The command.
        id: Option<u64>,
        /// The subscription.
        sid: Option<u64>,
    },
    /// A book came, by itself or as asked.
    Snapshot {
        /// The command, if one asked.
        id: Option<u64>,
        /// The market.
        market: &'a str,
    },
    /// The command is refused, or the subscription has failed.
    Error {
        /// The command, if one is meant.
        id: Option<u64>,
        /// The subscription, if one is meant.
        sid: Option<u64>,
        /// The venue's code.
        code: u64,
        /// The venue's words.
        text: &'a str,
    },
}

/// Where a decoder delivers what it read, in the order of the frame.
pub trait Sink {
    /// The place of the message that follows in the stream. False when it was there before: nothing of it is
    /// delivered then.
    fn on_envelope(&mut self, envelope: &Envelope) -> bool {
        let _ = envelope;
        true
    }

    /// A message about some book could not be read, and which one is not known.
    fn on_lost(&mut self) {}

    /// An answer to a command.
    fn on_reply(&mut self, reply: &Reply<'_>) {
        let _ = reply;
    }

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
        /// The frame, for [`each_id_named_in`] and [`markets_named_in`].
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
        /// The message, or the frame that it is in, for [`each_id_named_in`]; empty where market and token say all.
        text: &'a str,
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

/// What a venue sent that is new or an error: a sample of each kind for the log of the core that may log. Cut at
/// `STRANGE_BYTES_MAX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unrecognized {
    /// A message of an unknown type, by its type, or a text that is no JSON.
    Message(String),
    /// Keys that are not known, of a known message.
    Keys(String),
    /// An error that the venue answered: its code and its text.
    Error(String),
}

impl std::fmt::Display for Unrecognized {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Error(text) => write!(f, "the venue answered with error {text}"),
            Self::Message(text) => {
                write!(f, "the venue sent what is not known, counted and passed over: {text:?}")
            }
            Self::Keys(keys) => {
                let text = format!("new keys: {keys}");
                write!(f, "the venue sent what is not known, counted and passed over: {text:?}")
            }
        }
    }
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
            Some(fault @ MessageFault::Binary) => write!(f, "{fault}"),
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
    /// A binary frame: both venues send texts only.
    Binary,
}

impl std::fmt::Display for MessageFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(key) => write!(f, "`{key}` is missing"),
            Self::BadValue(key) => write!(f, "`{key}` has no usable value"),
            Self::Repeated(key) => write!(f, "`{key}` came twice"),
            Self::TooMany(key) => write!(f, "`{key}` holds more entries than the limit"),
            Self::Binary => f.write_str("a binary frame, and the venue sends texts only"),
        }
    }
}
