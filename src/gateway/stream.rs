//! `/v1/stream`: ringbook's own stream of book updates, for both venues.
//!
//! Runs on:  serve core (pure). Owns: nothing; [`backlog`] the encoded events of the last minutes.
//! Bounds:   `GATEWAY_MESSAGE_BYTES_MAX` per message of a client, by the socket; `GATEWAY_BACKLOG_EVENTS_MAX` and
//!           `GATEWAY_BACKLOG_BYTES_MAX` of events.
//!
//! Every event is one JSON object in one text frame ([`encode`]); `guide/gateway.md` describes each field. Each event
//! of the gateway has the next sequence number, and so has its frame, which all clients share. An image that is sent to
//! one client alone (a subscription, `gap`) has the number of the last event before it: it is the book after that
//! event.
pub mod backlog;
pub mod encode;
pub mod tops;

use super::{Request, nests_deeper};
use crate::base::id::TokenId;
use crate::base::limits::GATEWAY_TOP_INTERVAL_MAX_NS;
use crate::base::text::percent_decoded;
use crate::base::time::MILLISECOND_NS;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashMap;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The whole book.
    Snapshot,
    /// New quantities of a book.
    Change,
    /// A trade.
    Trade,
    /// A new price step.
    Tick,
    /// The book's state changed.
    State,
    /// A market was announced, has opened, ended or was resolved.
    Market,
    /// Best prices.
    Top,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Snapshot,
        Self::Change,
        Self::Trade,
        Self::Tick,
        Self::State,
        Self::Market,
        Self::Top,
    ];

    /// The name in `kinds=` and in the field `kind`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Change => "change",
            Self::Trade => "trade",
            Self::Tick => "tick",
            Self::State => "state",
            Self::Market => "market",
            Self::Top => "top",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u8);

impl Default for Kinds {
    /// What rebuilds books and follows trades: all but `market` and `top`.
    fn default() -> Self {
        use Kind::{Change, Snapshot, State, Tick, Trade};
        Self(
            [Snapshot, Change, Trade, Tick, State]
                .into_iter()
                .fold(0, |set, kind| set | kind.bit()),
        )
    }
}

impl Kinds {
    /// Whether events of this kind are wanted.
    #[must_use]
    pub const fn contain(self, kind: Kind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// All kinds.
    pub fn all() -> Self {
        Self(Kind::ALL.into_iter().fold(0, |set, kind| set | kind.bit()))
    }

    /// Whether only the stages of markets are wanted.
    #[must_use]
    pub const fn are_of_markets(self) -> bool {
        self.0 == Kind::Market.bit()
    }

    /// A comma-separated list. `change` includes `snapshot` and `state`: without them a book cannot be rebuilt or
    /// trusted.
    fn parse(list: &str) -> Result<Self, String> {
        let mut set = 0;
        for name in list.split(',') {
            let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == name) else {
                let known = Kind::ALL.map(Kind::name).join(", ");
                return Err(format!("kinds= is a list of {known}"));
            };
            set |= kind.bit();
        }
        if set & Kind::Change.bit() != 0 {
            set |= Kind::Snapshot.bit() | Kind::State.bit();
        }
        Ok(Self(set))
    }
}

/// What a client asks for in the URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Kinds of events.
    pub kinds: Kinds,
    /// Books to subscribe to at once, in order; more may follow in messages.
    pub tokens: Vec<TokenId>,
    /// Shortest interval between two `top` events of a book, nanoseconds; 0 for each new best price.
    pub interval_ns: u64,
    /// The first sequence number that the client has not received of `tokens`.
    pub from_sequence: Option<u64>,
}

impl Options {
    /// Parses the query of the URL: `kinds=`, `tokens=` or `token=` (both repeatable), `interval_ms=`,
    /// `from_sequence=`.
    ///
    /// # Errors
    /// One line for the client: an unknown parameter or a value that is none.
    pub fn parse(query: &str) -> Result<Self, String> {
        let mut options = Self::default();
        let mut interval = None;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decoded(value)?;
            match name {
                "kinds" => options.kinds = Kinds::parse(&value)?,
                "tokens" | "token" => {
                    for token in value.split(',') {
                        let token = TokenId::new(token);
                        options.tokens.push(token.ok_or("tokens= is a list of token ids")?);
                    }
                }
                "interval_ms" => {
                    let milliseconds = number(&value).map(|ms| ms.saturating_mul(MILLISECOND_NS));
                    interval = milliseconds.filter(|&ns| ns <= GATEWAY_TOP_INTERVAL_MAX_NS);
                    if interval.is_none() {
                        let most = GATEWAY_TOP_INTERVAL_MAX_NS / MILLISECOND_NS;
                        return Err(format!(
                            "interval_ms= is a number of milliseconds up to {most}"
                        ));
                    }
                }
                "from_sequence" => {
                    let sequence = number(&value);
                    options.from_sequence = Some(sequence.ok_or("from_sequence= is a number")?);
                }
                _ => {
                    let known = "kinds, tokens, token, interval_ms and from_sequence";
                    return Err(format!("unknown parameter; the parameters are {known}"));
                }
            }
        }
        if interval.is_some() && !options.kinds.contain(Kind::Top) {
            return Err("interval_ms= is for kinds=top".to_owned());
        }
        if options.from_sequence.is_some() && options.tokens.is_empty() {
            return Err("from_sequence= is for the books of tokens=".to_owned());
        }
        options.interval_ns = interval.unwrap_or(0);
        Ok(options)
    }
}

/// A number in digits only.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientText<'a> {
    #[serde(default, borrow)]
    subscribe: Vec<Cow<'a, str>>,
    #[serde(default, borrow)]
    unsubscribe: Vec<Cow<'a, str>>,
    #[serde(default, borrow)]
    resume: HashMap<Cow<'a, str>, u64>,
}

/// One client of the stream.
#[derive(Clone, Debug)]
pub struct Session {
    /// Kinds of events that it receives.
    pub kinds: Kinds,
    /// Books of the last requests that are resumed, and from which number.
    resumed: HashMap<TokenId, u64>,
}

impl Session {
    /// A session, and the subscriptions of its URL.
    pub fn new(options: &Options, out: &mut Vec<Request>) -> Self {
        let from = |&token| Some((token, options.from_sequence?));
        let resumed = options.tokens.iter().filter_map(from).collect();
        out.extend(options.tokens.iter().copied().map(Request::Subscribe));
        Self { kinds: options.kinds, resumed }
    }

    /// Handles a text message: an object with `"subscribe":[TOKEN, …]`, `"unsubscribe":[TOKEN, …]` or
    /// `"resume":{TOKEN: SEQUENCE, …}`. A message that is none, or has a malformed token, is answered with an `error`
    /// and changes nothing.
    pub fn on_text(&mut self, text: &str, out: &mut Vec<Request>) {
        self.resumed.clear();
        let before = out.len();
        if let Err(why) = self.handle(text, out) {
            out.truncate(before);
            self.resumed.clear();
            let mut answer = String::new();
            encode::error(&mut answer, None, why);
            out.push(Request::Send(answer));
        }
    }

    fn handle(&mut self, text: &str, out: &mut Vec<Request>) -> Result<(), &'static str> {
        if nests_deeper(text, 2) {
            return Err(NO_MESSAGE);
        }
        let ClientText { subscribe, unsubscribe, resume } =
            sonic_rs::from_str(text).map_err(|_| NO_MESSAGE)?;
        if subscribe.is_empty() && unsubscribe.is_empty() && resume.is_empty() {
            return Err("the message names no token");
        }
        let token = |text: &str| TokenId::new(text).ok_or("that is no token id");
        for text in &unsubscribe {
            out.push(Request::Unsubscribe(token(text)?));
        }
        for text in &subscribe {
            out.push(Request::Subscribe(token(text)?));
        }
        for (text, &sequence) in &resume {
            let token = token(text)?;
            self.resumed.insert(token, sequence);
            out.push(Request::Subscribe(token));
        }
        Ok(())
    }

    /// For a subscription just returned by [`Session::new`] or [`Session::on_text`]: the first sequence number that the
    /// client has not received of the book; `None` for a new subscription, which begins with a snapshot.
    pub fn resume_from(&self, token: &TokenId) -> Option<u64> {
        self.resumed.get(token).copied()
    }
}

const NO_MESSAGE: &str = "a message is a JSON object with subscribe or unsubscribe, lists of token ids, or resume, \
    sequence numbers by token id";

#[cfg(test)]
mod tests;
