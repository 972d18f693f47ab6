//! Frames of one client from updates of a replica.
//!
//! Runs on:  serve core (pure).
//!
//! The replica has the update already. Every method may be called for books that the client did not subscribe to.
use super::channel::Channel;
use super::encode::{self, Top};
use super::frames::{Bodies, Body, Frames};
use super::session::{Session, Shown, Subscription};
use crate::base::price::Quantity;
use crate::gateway::{Replica, Request};
use crate::link::shard_updates::{LevelChange, TradeUpdate};
use crate::market::book::BookState;
use crate::market::info::MarketEvent;

/// Beginning of the tickers of combos (kalshi/protocol.md, 3.5).
const COMBO: &str = "KXMVE";

impl Session {
    /// The whole book: the first image, one that was asked for, or one in place of changes that were left out.
    pub fn on_image(&mut self, replica: &Replica, bodies: &mut Bodies, out: &mut Frames) {
        self.show(replica, true, bodies, out);
    }

    /// The book's state has changed. A book that is live again is sent whole.
    pub fn on_state(&mut self, replica: &Replica, bodies: &mut Bodies, out: &mut Frames) {
        self.show(replica, false, bodies, out);
    }

    /// The engine holds the book no longer: both sides are empty, as the venue sends it when a market closes.
    pub fn on_closed(&mut self, replica: &Replica, bodies: &mut Bodies, out: &mut Frames) {
        self.show_as(Some(Shown::Empty), replica, false, bodies, out);
    }

    /// One level has a new quantity; it was `before`.
    pub fn on_change(
        &mut self,
        replica: &Replica,
        before: Quantity,
        change: &LevelChange,
        bodies: &mut Bodies,
        out: &mut Frames,
    ) {
        let Some(interest) = self.books.get(&replica.token) else { return };
        let is_shown = interest.shown == Shown::Book && replica.state == BookState::Live;
        if is_shown
            && interest.channels.has(Channel::Books)
            && before != change.level.quantity
            && let Some(books) = &mut self.subscriptions[Channel::Books as usize]
        {
            let yes_price = books.use_yes_price;
            let body = bodies.get(Body::Delta { yes_price }, |text| {
                encode::delta(text, &replica.token, before, change, yes_price);
            });
            out.push("orderbook_delta", None, numbered(books), body);
        }
        self.push_ticker(replica, self.shape(replica), false, bodies, out);
    }

    /// A trade.
    pub fn on_trade(
        &mut self,
        replica: &Replica,
        trade: &TradeUpdate,
        bodies: &mut Bodies,
        out: &mut Frames,
    ) {
        let Some(interest) = self.books.get(&replica.token) else { return };
        if interest.channels.has(Channel::Trades)
            && let Some(trades) = &mut self.subscriptions[Channel::Trades as usize]
        {
            let body = bodies.get(Body::Trade, |text| encode::trade(text, &replica.token, trade));
            out.push("trade", None, numbered(trades), body);
        }
        self.push_ticker(replica, self.shape(replica), false, bodies, out);
    }

    /// The venue has sent a ticker.
    pub fn on_ticker(&mut self, replica: &Replica, bodies: &mut Bodies, out: &mut Frames) {
        self.push_ticker(replica, self.shape(replica), false, bodies, out);
    }

    /// A market has come to another stage of its life, at `wall_ns`.
    pub fn on_lifecycle(
        &mut self,
        event: &MarketEvent,
        wall_ns: u64,
        bodies: &mut Bodies,
        out: &mut Frames,
    ) {
        let channel = match event.info.market.as_str().starts_with(COMBO) {
            true => Channel::ComboLifecycle,
            false => Channel::Lifecycle,
        };
        let Some(open) = &mut self.subscriptions[channel as usize] else { return };
        let body = bodies.get(Body::Lifecycle, |text| encode::lifecycle(text, event, wall_ns));
        if !body.is_empty() {
            out.push(channel.name(), None, numbered(open), body);
        }
    }

    /// What may be shown of a book now; `None` while the client keeps what it has.
    const fn shape(&self, replica: &Replica) -> Option<Shown> {
        match replica.state {
            BookState::Live => Some(Shown::Book),
            BookState::Stale { .. } if self.options.clear_stale => Some(Shown::Empty),
            BookState::Stale { .. } | BookState::AwaitingSnapshot => None,
        }
    }

    fn show(&mut self, replica: &Replica, is_image: bool, bodies: &mut Bodies, out: &mut Frames) {
        self.show_as(self.shape(replica), replica, is_image, bodies, out);
    }

    fn show_as(
        &mut self,
        shape: Option<Shown>,
        replica: &Replica,
        is_image: bool,
        bodies: &mut Bodies,
        out: &mut Frames,
    ) {
        let Some(interest) = self.books.get_mut(&replica.token) else { return };
        let Some(shape) = shape else {
            // The next snapshot is due, whatever comes between.
            interest.shown = Shown::Nothing;
            return;
        };
        let is_subscribed = interest.channels.has(Channel::Books);
        let is_due = is_subscribed && (interest.shown != shape || is_image && shape == Shown::Book);
        if let Some(books) = &mut self.subscriptions[Channel::Books as usize]
            && (is_due || !interest.snapshot_ids.is_empty())
        {
            let yes_price = books.use_yes_price;
            let body = match shape {
                Shown::Book => bodies.get(Body::Snapshot { yes_price }, |text| {
                    encode::snapshot(text, replica, yes_price);
                }),
                _ => bodies.get(Body::Empty, |text| encode::empty_snapshot(text, &replica.token)),
            };
            if interest.snapshot_ids.is_empty() {
                out.push("orderbook_snapshot", None, numbered(books), body);
            }
            for &id in &interest.snapshot_ids {
                let id = (id > 0).then_some(id);
                out.push("orderbook_snapshot", id, numbered(books), body);
            }
            self.snapshot_requests -= interest.snapshot_ids.len();
            interest.snapshot_ids = Vec::new();
        }
        if is_subscribed {
            interest.shown = shape;
        }
        if interest.is_over() {
            self.books.remove(&replica.token);
            self.requests.push_back(Request::Unsubscribe(replica.token));
            return;
        }
        self.push_ticker(replica, Some(shape), true, bodies, out);
    }

    /// A ticker, if one is due or shows something new. An image is none by itself.
    fn push_ticker(
        &mut self,
        replica: &Replica,
        shape: Option<Shown>,
        is_image: bool,
        bodies: &mut Bodies,
        out: &mut Frames,
    ) {
        let (Some(interest), Some(shape)) = (self.books.get_mut(&replica.token), shape) else {
            return;
        };
        let Some(tickers) = &self.subscriptions[Channel::Tickers as usize] else { return };
        if !interest.channels.has(Channel::Tickers) {
            return;
        }
        let top = Top::new(replica, shape == Shown::Book);
        let is_new = interest.top.map_or(!is_image, |before| before != top);
        interest.top = Some(top);
        if std::mem::take(&mut interest.ticker_due) || is_new {
            let body = bodies.get(Body::Ticker, |text| encode::ticker(text, replica, &top));
            out.push("ticker", None, (tickers.sid, None), body);
        }
    }
}

/// `sid` and the next `seq`.
const fn numbered(open: &mut Subscription) -> (u64, Option<u64>) {
    (open.sid, Some(open.next_seq()))
}
