//! The seam between venues and the engine: what a venue must be able to do.
//!
//! Runs on:  any (pure). Nothing outside `venue/` asks which venue it is.
//!
//! | part | Polymarket | Kalshi |
//! |---|---|---|
//! | message: JSON of one message, fields borrowed | [`polymarket::message`] | [`kalshi::message`] |
//! | decode: frame to events | [`polymarket::decode`] | [`kalshi::decode`] |
//! | subscribe: what to send | [`polymarket::subscribe`] | [`kalshi::command`] |
//! | dialog: what is asked on a connection, and what answers mean | [`polymarket::dialog`] | [`kalshi::dialog`] |
//! | sequence: messages that are missing | not numbered | [`kalshi::sequence`] |
//! | catalog: markets over REST | [`polymarket::catalog`] | `kalshi::catalog` |
//! | sign | not needed: public data | `kalshi::sign` |
pub mod capabilities;
pub mod catalogue;
mod json;
pub mod kalshi;
pub mod polymarket;
pub mod skip;

pub use capabilities::{Capabilities, Updates};
pub use catalogue::Catalogue;

use crate::base::id::{TokenId, Venue};
use crate::base::limits;
use crate::market::{event::Event, info::MarketNews};
pub use kalshi::sequence::{Sequences, Verdict};

use kalshi::command::Channel;

/// A venue's market-data stream: what to send on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// Polymarket's market channel.
    Polymarket {
        /// Ask for `new_market`, `market_resolved` and `best_bid_ask` too.
        custom_features: bool,
    },
    /// Kalshi's WebSocket v2.
    Kalshi {
        /// Follow combos too (`KXMVE` tickers; kalshi/protocol.md, 3.5).
        combos: bool,
    },
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

    const fn channel(self) -> Channel {
        match self {
            Self::Books => Channel::Books,
            Self::Tickers => Channel::Tickers,
            Self::Trades => Channel::Trades,
            Self::Lifecycle => Channel::Lifecycle,
        }
    }
}

/// The markets that a frame names although it cannot be read, at most `MESSAGES_PER_FRAME_MAX`.
pub fn markets_named_in(frame: &str) -> impl Iterator<Item = &str> {
    polymarket::decode::markets_named_in(frame)
}

/// Calls `each` with every id that a damaged text names; it says whether a book of that id is held. False when a
/// message of the text may be about a book that no id names.
pub fn each_id_named_in(text: &str, each: impl FnMut(&str) -> bool) -> bool {
    polymarket::named::each_id_named_in(text, each)
}

/// How far the decoding of one frame is.
pub type Progress = polymarket::decode::Progress;

/// The decoder of a venue's frames; one per thread.
#[derive(Debug)]
pub enum Decoder {
    /// Polymarket's.
    Polymarket(polymarket::decode::Decoder),
    /// Kalshi's.
    Kalshi(kalshi::decode::Decoder),
}

impl Decoder {
    /// What a reader must know of a frame without applying it. Empty where messages are not numbered.
    pub fn outline<'a>(&mut self, frame: &'a str) -> Outline<'a> {
        match self {
            Self::Polymarket(_) => Outline::default(),
            Self::Kalshi(decoder) => decoder.outline(frame),
        }
    }

    /// The decoder of this venue.
    #[must_use]
    pub fn of(venue: Venue) -> Self {
        match venue {
            Venue::Polymarket => Self::Polymarket(polymarket::decode::Decoder::default()),
            Venue::Kalshi => Self::Kalshi(kalshi::decode::Decoder::default()),
        }
    }

    /// Goes on with a frame, for about `budget_bytes` of it; gives the number of messages delivered by this
    /// part. Only lists of messages are divided.
    pub fn decode_part(
        &mut self,
        frame: &str,
        progress: &mut Progress,
        budget_bytes: usize,
        sink: &mut impl Sink,
    ) -> u32 {
        match self {
            Self::Polymarket(decoder) => decoder.decode_part(frame, progress, budget_bytes, sink),
            Self::Kalshi(decoder) => {
                if progress.is_done() {
                    return 0;
                }
                *progress = Progress::done();
                decoder.decode(frame, sink)
            }
        }
    }
}

impl Decoder {
    /// Goes on with an answer to a [`BooksQuestion`], for about `budget_bytes` of it; gives the number of books
    /// delivered by this part.
    pub fn decode_books_part(
        &mut self,
        text: &str,
        progress: &mut Progress,
        budget_bytes: usize,
        sink: &mut impl Sink,
    ) -> u32 {
        match self {
            Self::Polymarket(decoder) => decoder.decode_part(text, progress, budget_bytes, sink),
            Self::Kalshi(decoder) => decoder.decode_books_part(text, progress, budget_bytes, sink),
        }
    }
}

impl Feed {
    /// Whose it is.
    #[must_use]
    pub const fn venue(self) -> Venue {
        match self {
            Self::Polymarket { .. } => Venue::Polymarket,
            Self::Kalshi { .. } => Venue::Kalshi,
        }
    }

    /// The longest delay before a redial, nanoseconds.
    #[must_use]
    pub const fn backoff_max_ns(self) -> u64 {
        match self {
            Self::Polymarket { .. } => limits::BACKOFF_MAX_NS,
            Self::Kalshi { .. } => limits::SIGNED_BACKOFF_MAX_NS,
        }
    }

    /// The flags that say where the catalogue and the stream are.
    #[must_use]
    pub const fn address_flags(self) -> [&'static str; 2] {
        match self {
            Self::Polymarket { .. } => ["--gamma-url", "--ws-url"],
            Self::Kalshi { .. } => ["--kalshi-rest-url", "--kalshi-ws-url"],
        }
    }

    /// What the REST services of the catalogue and of books are called.
    #[must_use]
    pub const fn service_names(self) -> [&'static str; 2] {
        match self {
            Self::Polymarket { .. } => ["polymarket-gamma", "polymarket-clob"],
            Self::Kalshi { .. } => ["kalshi-rest", "kalshi-rest"],
        }
    }

    /// What the stream is called among the services.
    #[must_use]
    pub const fn stream_name(self) -> &'static str {
        match self {
            Self::Polymarket { .. } => "polymarket-ws",
            Self::Kalshi { .. } => "kalshi-ws",
        }
    }

    /// Requests a second that the REST interface takes in the long run, and at once; `None` where each kind of
    /// request keeps a pace of its own.
    #[must_use]
    pub const fn rest_rate(self) -> Option<(u32, u32)> {
        match self {
            Self::Polymarket { .. } => None,
            Self::Kalshi { .. } => Some(kalshi::REST_RATE),
        }
    }

    /// What the engine must know of the venue to follow it.
    #[must_use]
    pub const fn capabilities(self) -> Capabilities {
        Capabilities::of(self.venue())
    }

    /// [`Capabilities::is_sequenced`].
    #[must_use]
    pub const fn is_sequenced(self) -> bool {
        self.capabilities().is_sequenced()
    }

    /// Tokens that one connection takes at most.
    #[must_use]
    pub const fn tokens_per_connection_max(self) -> usize {
        match self {
            Self::Polymarket { .. } => limits::TOKENS_PER_CONNECTION_MAX,
            Self::Kalshi { .. } => limits::MARKETS_PER_SUBSCRIPTION_MAX,
        }
    }

    /// What the REST interface is asked for the books of these tokens; those that the venue does not know are
    /// left out of the answer.
    #[must_use]
    pub fn books_request(self, tokens: &[TokenId]) -> BooksQuestion {
        match self {
            Self::Polymarket { .. } => BooksQuestion {
                path: polymarket::subscribe::BOOKS_PATH.to_owned(),
                body: Some(polymarket::subscribe::books_body(tokens)),
            },
            Self::Kalshi { .. } => {
                BooksQuestion { path: kalshi::orderbooks::books_path(tokens), body: None }
            }
        }
    }

    /// Tokens of one such question at most, and questions a second.
    #[must_use]
    pub const fn books_request_limits(self) -> (usize, u64) {
        match self {
            Self::Polymarket { .. } => {
                (limits::TOKENS_PER_BOOKS_REQUEST, limits::BOOKS_REQUESTS_PER_SECOND)
            }
            Self::Kalshi { .. } => {
                (kalshi::orderbooks::BOOKS_PER_REQUEST, kalshi::orderbooks::REQUESTS_PER_SECOND)
            }
        }
    }

    /// The text that keeps a connection open; empty where the venue pings by itself.
    #[must_use]
    pub const fn heartbeat(self) -> &'static str {
        match self {
            Self::Polymarket { .. } => polymarket::subscribe::PING,
            // Every 10 s, in frames of the protocol's own (kalshi/protocol.md, 1).
            Self::Kalshi { .. } => "",
        }
    }
}

/// A question for books over REST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BooksQuestion {
    /// Path and query behind the host.
    pub path: String,
    /// The JSON of a `POST`; without it the question is a `GET`.
    pub body: Option<String>,
}

/// What is asked on one connection, and what the answers mean.
#[derive(Debug)]
pub enum Dialog {
    /// Polymarket's: nothing is answered.
    Polymarket(polymarket::dialog::Dialog),
    /// Kalshi's.
    Kalshi(Box<kalshi::dialog::Dialog>),
}

impl Dialog {
    /// Nothing asked yet.
    #[must_use]
    pub fn new(feed: Feed, role: Role) -> Self {
        match feed {
            Feed::Polymarket { custom_features } => {
                Self::Polymarket(polymarket::dialog::Dialog::new(custom_features))
            }
            Feed::Kalshi { .. } => {
                Self::Kalshi(Box::new(kalshi::dialog::Dialog::new(role.channel())))
            }
        }
    }

    /// A new session begins: everything is asked for anew.
    pub fn begin(&mut self, tokens: &[TokenId], now_ns: u64) {
        match self {
            Self::Polymarket(dialog) => dialog.begin(tokens),
            Self::Kalshi(dialog) => dialog.begin(tokens, now_ns),
        }
    }

    /// More tokens.
    pub fn add(&mut self, tokens: &[TokenId]) {
        match self {
            Self::Polymarket(dialog) => dialog.add(tokens),
            Self::Kalshi(dialog) => dialog.add(tokens),
        }
    }

    /// Fewer tokens.
    pub fn delete(&mut self, tokens: &[TokenId]) {
        match self {
            Self::Polymarket(dialog) => dialog.delete(tokens),
            Self::Kalshi(dialog) => dialog.delete(tokens),
        }
    }

    /// Asks for these books again. False where that is not done on the connection.
    pub fn ask(&mut self, tokens: &[TokenId]) -> bool {
        match self {
            Self::Polymarket(_) => false,
            Self::Kalshi(dialog) => {
                dialog.ask(tokens.iter().copied());
                true
            }
        }
    }

    /// A connection that brings nothing is to show that it is alive. False where that is not done on the
    /// connection.
    pub fn probe(&mut self, book: Option<TokenId>) -> bool {
        match self {
            Self::Polymarket(_) => false,
            Self::Kalshi(dialog) => {
                dialog.probe(book);
                true
            }
        }
    }

    /// The next text to send.
    pub fn poll(&mut self, now_ns: u64) -> Option<String> {
        match self {
            Self::Polymarket(dialog) => dialog.poll(),
            Self::Kalshi(dialog) => dialog.poll(now_ns),
        }
    }

    /// Takes the number of a message.
    pub fn on_envelope(&mut self, envelope: &Envelope) -> Verdict {
        match self {
            Self::Polymarket(_) => Verdict::Next,
            Self::Kalshi(dialog) => dialog.on_envelope(envelope),
        }
    }

    /// Takes an answer.
    pub fn on_reply(&mut self, reply: &Reply<'_>, now_ns: u64) {
        if let Self::Kalshi(dialog) = self {
            dialog.on_reply(reply, now_ns);
        }
    }

    /// A frame could not be read at all. True where every book of the connection is suspect then.
    pub fn on_broken_frame(&mut self) -> bool {
        match self {
            Self::Polymarket(_) => false,
            Self::Kalshi(dialog) => {
                dialog.on_broken_frame();
                true
            }
        }
    }

    /// Market data came.
    pub fn on_data(&mut self, now_ns: u64) {
        if let Self::Kalshi(dialog) = self {
            dialog.on_data(now_ns);
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now_ns: u64) {
        if let Self::Kalshi(dialog) = self {
            dialog.handle_timeout(now_ns);
        }
    }

    /// What the shard must do, if anything; `tokens` are all of the connection.
    pub fn poll_turn(&mut self, now_ns: u64, tokens: &[TokenId]) -> Option<Turn> {
        match self {
            Self::Polymarket(_) => None,
            Self::Kalshi(dialog) => dialog.poll_turn(now_ns, tokens),
        }
    }

    /// What was asked and answered.
    #[must_use]
    pub fn counts(&self) -> DialogCounts {
        match self {
            Self::Polymarket(_) => DialogCounts::default(),
            Self::Kalshi(dialog) => *dialog.counts(),
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
