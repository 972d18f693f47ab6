//! One client: its subscriptions, and what it was sent of each book.
//!
//! Runs on:  serve core (pure).
//! Bounds:   [`MARKETS_MAX`] markets, [`SNAPSHOT_REQUESTS_MAX`] unanswered `get_snapshot`.
//!
//! - A channel has one `sid`, numbered from 1; subscribing to it again extends it, and a new `sid` follows after
//!   `unsubscribe`.
//! - `seq` counts per `sid` from 1. Snapshots, changes, trades, lifecycle messages, `ok` and `unsubscribed` each take a
//!   number when they are written, so that frames left out for a slow client leave no gap.
//! - A market is requested from the hub once however many channels name it. A repeated [`Request::Subscribe`] asks for
//!   its image again: for another channel, or for `get_snapshot`.
use super::channel::{Channel, Channels};
use super::command::{self, Action, Command, Refusal, Subscribe, Update};
use super::encode::{self, Top};
use crate::base::id::TokenId;
use crate::gateway::{Request, push_array};
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Write as _;

/// Most markets of one client.
pub const MARKETS_MAX: usize = 65_536;
/// Most unanswered `get_snapshot`, counted by markets.
const SNAPSHOT_REQUESTS_MAX: usize = MARKETS_MAX;

/// How a session behaves where the protocol leaves a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// A book that cannot be trusted is sent as an empty one. Otherwise nothing is sent of it until it can be again.
    pub clear_stale: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { clear_stale: true }
    }
}

/// A client.
#[derive(Debug, Default)]
pub struct Session {
    pub(super) options: Options,
    pub(super) subscriptions: [Option<Subscription>; Channel::ALL.len()],
    last_sid: u64,
    pub(super) books: HashMap<TokenId, Interest>,
    /// Unanswered `get_snapshot` of all books.
    pub(super) snapshot_requests: usize,
    pub(super) requests: VecDeque<Request>,
}

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) sid: u64,
    seq: u64,
    skip_ticker_ack: bool,
    pub(super) use_yes_price: bool,
}

impl Subscription {
    pub(super) const fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }
}

/// What a client has of a book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shown {
    #[default]
    Nothing,
    /// Two empty sides.
    Empty,
    /// The book as it was at some version, and every change since.
    Book,
}

/// What a client wants of a market.
#[derive(Debug, Default)]
pub(super) struct Interest {
    pub(super) channels: Channels,
    pub(super) shown: Shown,
    /// The last ticker; `None` before the first image.
    pub(super) top: Option<Top>,
    pub(super) ticker_due: bool,
    /// Ids of unanswered `get_snapshot`; 0 is none.
    pub(super) snapshot_ids: Vec<u64>,
}

impl Interest {
    pub(super) const fn is_over(&self) -> bool {
        self.channels.is_empty() && self.snapshot_ids.is_empty()
    }
}

impl Session {
    /// A client that has just connected.
    pub fn new(options: Options) -> Self {
        Self { options, ..Self::default() }
    }

    /// Handles one text frame of the client. A refused command changes nothing.
    pub fn on_text(&mut self, text: &str, out: &mut Vec<Request>) {
        let (id, command) = command::parse(text);
        let result = command.and_then(|command| match command {
            Command::Subscribe(command) => self.subscribe(id, &command, out),
            Command::Unsubscribe(sids) => self.unsubscribe(id, &sids, out),
            Command::Update(command) => self.update(id, &command, out),
            Command::List => {
                out.push(Request::Send(self.list(id)));
                Ok(())
            }
        });
        if let Err(refusal) = result {
            out.push(Request::Send(encode::error(id, refusal)));
        }
    }

    /// What follows from the frames written since the last call; call it until it is `None`.
    pub fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// Markets of the client.
    pub fn markets(&self) -> usize {
        self.books.len()
    }

    /// Whether it has subscribed to the stages of all markets.
    pub fn follows_markets(&self) -> bool {
        let channels = [Channel::Lifecycle, Channel::ComboLifecycle];
        channels.iter().any(|&channel| self.subscriptions[channel as usize].is_some())
    }

    fn subscribe(
        &mut self,
        id: Option<u64>,
        command: &Subscribe,
        out: &mut Vec<Request>,
    ) -> Result<(), Refusal> {
        let Subscribe { channels, tickers, .. } = command;
        if tickers.is_empty() && channels.iter().any(|channel| channel.has_markets()) {
            return Err(Refusal::TickerRequired);
        }
        let books = self.subscriptions[Channel::Books as usize].as_ref();
        if channels.contains(&Channel::Books)
            && let (Some(books), Some(asked)) = (books, command.use_yes_price)
            && books.use_yes_price != asked
        {
            return Err(Refusal::InvalidParameter);
        }
        let named = channels.iter().filter(|channel| channel.has_markets());
        if named.clone().next().is_some() {
            self.check_room(tickers)?;
        }
        let named: Vec<Channel> = named.copied().collect();
        let mut is_known = Vec::with_capacity(channels.len());
        for &channel in channels {
            is_known.push(self.begin(channel, command));
        }
        let mut wanted = Vec::new();
        for ticker in tickers.iter().filter(|_| !named.is_empty()) {
            wanted.extend(self.add(*ticker, &named, command.initial));
        }
        for (&channel, is_known) in channels.iter().zip(is_known) {
            let answer = if is_known { self.ok(channel, id) } else { self.subscribed(channel, id) };
            out.push(Request::Send(answer));
        }
        out.extend(wanted);
        Ok(())
    }

    /// Opens the subscription to a channel, or applies the flags of another command to it; whether it was open.
    fn begin(&mut self, channel: Channel, command: &Subscribe) -> bool {
        if let Some(open) = &mut self.subscriptions[channel as usize] {
            open.skip_ticker_ack = command.skip_ticker_ack.unwrap_or(open.skip_ticker_ack);
            return true;
        }
        self.last_sid += 1;
        self.subscriptions[channel as usize] = Some(Subscription {
            sid: self.last_sid,
            seq: 0,
            skip_ticker_ack: command.skip_ticker_ack.unwrap_or(false),
            use_yes_price: command.use_yes_price.unwrap_or(false),
        });
        false
    }

    /// Whether these markets fit.
    fn check_room(&self, tickers: &[TokenId]) -> Result<(), Refusal> {
        if self.books.len() + tickers.len() <= MARKETS_MAX {
            return Ok(());
        }
        let new: HashSet<&TokenId> =
            tickers.iter().filter(|ticker| !self.books.contains_key(ticker)).collect();
        match self.books.len() + new.len() <= MARKETS_MAX {
            true => Ok(()),
            false => Err(Refusal::TooManyMarkets),
        }
    }

    /// Adds a market to channels; the request for its image, if one is needed.
    fn add(&mut self, ticker: TokenId, channels: &[Channel], initial: bool) -> Option<Request> {
        let interest = self.books.entry(ticker).or_default();
        let mut is_needed = interest.is_over();
        for &channel in channels {
            let is_due = channel == Channel::Tickers && initial;
            if interest.channels.add(channel) {
                interest.ticker_due |= is_due;
                is_needed |= is_due || channel == Channel::Books;
            }
        }
        is_needed.then_some(Request::Subscribe(ticker))
    }

    fn unsubscribe(
        &mut self,
        id: Option<u64>,
        sids: &[u64],
        out: &mut Vec<Request>,
    ) -> Result<(), Refusal> {
        for sid in sids {
            self.channel_of(*sid)?;
        }
        for &sid in sids {
            // A repeated sid has ended.
            let Ok(channel) = self.channel_of(sid) else { continue };
            let Some(mut open) = self.subscriptions[channel as usize].take() else { continue };
            let mut answer = String::new();
            encode::begin(&mut answer, "unsubscribed", id);
            let _ = write!(answer, r#","sid":{sid},"seq":{}}}"#, open.next_seq());
            out.push(Request::Send(answer));
            self.end(channel, out);
        }
        Ok(())
    }

    fn end(&mut self, channel: Channel, out: &mut Vec<Request>) {
        if !channel.has_markets() {
            return;
        }
        if channel == Channel::Books {
            self.snapshot_requests = 0;
        }
        self.books.retain(|ticker, interest| {
            interest.remove(channel);
            if channel == Channel::Books {
                interest.snapshot_ids.clear();
            }
            let is_over = interest.is_over();
            if is_over {
                out.push(Request::Unsubscribe(*ticker));
            }
            !is_over
        });
    }

    fn channel_of(&self, sid: u64) -> Result<Channel, Refusal> {
        let has_sid = |channel: &Channel| {
            self.subscriptions[*channel as usize].as_ref().is_some_and(|open| open.sid == sid)
        };
        Channel::ALL.into_iter().find(has_sid).ok_or(Refusal::UnknownSid)
    }

    fn update(
        &mut self,
        id: Option<u64>,
        command: &Update,
        out: &mut Vec<Request>,
    ) -> Result<(), Refusal> {
        let channel = self.channel_of(command.sid)?;
        if command.action == Action::Snapshot && channel != Channel::Books {
            return Err(Refusal::UnsupportedAction);
        }
        if !channel.has_markets() {
            return Err(Refusal::InvalidParameter);
        }
        match command.action {
            Action::Add => {
                self.check_room(&command.tickers)?;
                let mut wanted = Vec::new();
                for ticker in &command.tickers {
                    wanted.extend(self.add(*ticker, &[channel], command.initial));
                }
                out.push(Request::Send(self.ok(channel, id)));
                out.extend(wanted);
            }
            Action::Delete => {
                let mut over = Vec::new();
                for ticker in &command.tickers {
                    let Some(interest) = self.books.get_mut(ticker) else { continue };
                    interest.remove(channel);
                    if interest.is_over() {
                        self.books.remove(ticker);
                        over.push(Request::Unsubscribe(*ticker));
                    }
                }
                out.push(Request::Send(self.ok(channel, id)));
                out.extend(over);
            }
            Action::Snapshot => {
                self.check_room(&command.tickers)?;
                if self.snapshot_requests + command.tickers.len() > SNAPSHOT_REQUESTS_MAX {
                    return Err(Refusal::TooManyRequests);
                }
                let id = id.unwrap_or(0);
                for ticker in &command.tickers {
                    let ids = &mut self.books.entry(*ticker).or_default().snapshot_ids;
                    // A repeated ticker is answered once.
                    if ids.last() != Some(&id) {
                        ids.push(id);
                        self.snapshot_requests += 1;
                        out.push(Request::Subscribe(*ticker));
                    }
                }
            }
        }
        Ok(())
    }

    fn subscribed(&self, channel: Channel, id: Option<u64>) -> String {
        let mut out = String::new();
        encode::begin(&mut out, "subscribed", id);
        let sid = self.subscriptions[channel as usize].as_ref().map_or(0, |open| open.sid);
        let _ = write!(out, r#","msg":{{"channel":"{}","sid":{sid}}}}}"#, channel.name());
        out
    }

    /// `ok` with all markets of the subscription, sorted, unless they were declined.
    fn ok(&mut self, channel: Channel, id: Option<u64>) -> String {
        let mut out = String::new();
        encode::begin(&mut out, "ok", id);
        let Some(open) = &mut self.subscriptions[channel as usize] else { return out };
        let (sid, seq) = (open.sid, open.next_seq());
        let _ = write!(out, r#","sid":{sid},"seq":{seq}"#);
        if channel.has_markets() && !open.skip_ticker_ack {
            let books = self.books.iter();
            let mut tickers: Vec<&str> = books
                .filter(|(_, interest)| interest.channels.has(channel))
                .map(|(ticker, _)| ticker.as_str())
                .collect();
            tickers.sort_unstable();
            out.push_str(r#","msg":{"market_tickers":"#);
            push_array(&mut out, tickers, |out, ticker| out.extend(["\"", ticker, "\""]));
            out.push('}');
        }
        out.push('}');
        out
    }

    fn list(&self, id: Option<u64>) -> String {
        let mut open: Vec<(u64, Channel)> = Channel::ALL
            .into_iter()
            .filter_map(|c| Some((self.subscriptions[c as usize].as_ref()?.sid, c)))
            .collect();
        open.sort_unstable_by_key(|(sid, _)| *sid);
        let mut out = String::new();
        encode::begin(&mut out, "ok", id);
        out.push_str(r#","msg":"#);
        push_array(&mut out, open, |out, (sid, channel)| {
            let _ = write!(out, r#"{{"channel":"{}","sid":{sid}}}"#, channel.name());
        });
        out.push('}');
        out
    }
}

impl Interest {
    fn remove(&mut self, channel: Channel) {
        self.channels.remove(channel);
        match channel {
            Channel::Books => self.shown = Shown::Nothing,
            Channel::Tickers => (self.top, self.ticker_due) = (None, false),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
