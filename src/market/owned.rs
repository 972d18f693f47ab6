//! An event that outlives its frame, and a fingerprint that is equal for copies of one message.
//!
//! Runs on:  any (pure). Allocates: only while a connection takes over from another.
use super::book::{Level, Side, image::BookHash};
use super::event::{ChangeSpan, Changes, Event, Snapshot, Span, TickSize, Trade};
use crate::base::price::{Price, Quantity};
use foldhash::fast::FixedState;
use std::hash::{BuildHasher as _, Hash as _, Hasher as _};

/// Levels stored of a message.
const TOUCHED_MAX: usize = 8;
/// Which changes are open is not known.
pub const OPEN_UNKNOWN: u64 = u64::MAX;

/// The levels that a message has changed, by hash; of a snapshot, the book.
#[derive(Clone, Copy, Debug, Default)]
pub struct Touched {
    keys: [u32; TOUCHED_MAX],
    count: u8,
    /// It has changed more.
    is_cut: bool,
}

fn touched_key(token: &str, level: Option<(Side, Price)>) -> u32 {
    FixedState::default().hash_one((token, level.map(|(side, price)| (side as u8, price)))) as u32
}

impl Touched {
    /// Those of an event; none of a trade or a tick size.
    pub fn by(event: &Event<'_>) -> Self {
        let mut touched = Self::default();
        let mut add = |key| match touched.keys.get_mut(usize::from(touched.count)) {
            Some(place) => {
                *place = key;
                touched.count += 1;
            }
            None => touched.is_cut = true,
        };
        match event {
            Event::Changes(changes) => changes.iter().for_each(|(token, change)| {
                add(touched_key(token, Some((change.side, change.level.price))));
            }),
            Event::Snapshot(snapshot) => add(touched_key(snapshot.token, None)),
            Event::Trade(_) | Event::TickSize(_) | Event::Delta(_) | Event::TopOfBook(_) => {}
        }
        touched
    }

    fn has(&self, key: u32) -> bool {
        self.keys[..usize::from(self.count)].contains(&key)
    }
}

/// Which changes of a message, a bit each, are still to be applied behind messages that were after it, or in the same
/// millisecond: those of levels that these have not changed; or [`OPEN_UNKNOWN`]. `None`: nothing was after it, or it
/// changes no level.
pub fn open_changes<'t>(
    event: &Event<'_>,
    others: impl Iterator<Item = (u64, &'t Touched)> + Clone,
) -> Option<u64> {
    let ms = event.timestamp_ms();
    let after = others.filter(|(other_ms, _)| *other_ms >= ms).map(|(_, touched)| touched);
    match event {
        Event::Trade(_) | Event::TopOfBook(_) | Event::Delta(_) => None,
        _ if after.clone().next().is_none() => None,
        Event::Snapshot(_) | Event::TickSize(_) => Some(0),
        Event::Changes(changes) => {
            let mut open = 0;
            for (place, (token, change)) in changes.iter().enumerate() {
                let level = touched_key(token, Some((change.side, change.level.price)));
                let book = touched_key(token, None);
                let is_changed =
                    after.clone().any(|touched| touched.has(level) || touched.has(book));
                if is_changed {
                    continue;
                }
                if place >= 64 || after.clone().any(|touched| touched.is_cut) {
                    return Some(OPEN_UNKNOWN);
                }
                open |= 1 << place;
            }
            Some(open)
        }
    }
}

/// An event with everything that it borrows.
#[derive(Clone, Debug)]
pub struct OwnedEvent {
    market: String,
    token: String,
    timestamp_ms: u64,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Snapshot {
        hash: Option<BookHash>,
        bids: Vec<Level>,
        asks: Vec<Level>,
        tick_size: Option<Price>,
        last_trade: Option<Price>,
    },
    /// The tokens stand one after the other in the event's `token`.
    Changes(Vec<ChangeSpan>),
    Trade {
        price: Price,
        quantity: Quantity,
        side: Side,
        fee_rate_bps: Option<Quantity>,
        transaction_hash: String,
    },
    TickSize {
        old: Option<Price>,
        new: Price,
    },
}

impl OwnedEvent {
    /// Copies an event. `None` for the venue's own top of book, which changes nothing, and for relative changes,
    /// which no other connection can repeat.
    #[must_use]
    pub fn new(event: &Event<'_>) -> Option<Self> {
        let (token, body) = match event {
            Event::Snapshot(e) => {
                let (bids, asks) = (e.bids.to_vec(), e.asks.to_vec());
                let (tick_size, last_trade) = (e.tick_size, e.last_trade);
                (
                    e.token.to_owned(),
                    Body::Snapshot { hash: e.hash, bids, asks, tick_size, last_trade },
                )
            }
            Event::Changes(e) => {
                let (mut tokens, mut changes) =
                    (String::new(), Vec::with_capacity(e.changes.len()));
                for (token, change) in e.iter() {
                    let span = Span { start: tokens.len() as u32, len: token.len() as u32 };
                    tokens.push_str(token);
                    changes.push(ChangeSpan { token: span, ..*change });
                }
                (tokens, Body::Changes(changes))
            }
            Event::Trade(e) => {
                let transaction_hash = e.transaction_hash.to_owned();
                let &Trade { price, quantity, side, fee_rate_bps, .. } = e;
                let body = Body::Trade { price, quantity, side, fee_rate_bps, transaction_hash };
                (e.token.to_owned(), body)
            }
            Event::TickSize(e) => (e.token.to_owned(), Body::TickSize { old: e.old, new: e.new }),
            Event::Delta(_) | Event::TopOfBook(_) => return None,
        };
        let (market, timestamp_ms) = (event.market().to_owned(), event.timestamp_ms());
        Some(Self { market, token, timestamp_ms, body })
    }

    /// The event again.
    #[must_use]
    pub fn event(&self) -> Event<'_> {
        let Self { market, token, timestamp_ms, body } = self;
        let (market, token, timestamp_ms) = (market.as_str(), token.as_str(), *timestamp_ms);
        match body {
            Body::Snapshot { hash, bids, asks, tick_size, last_trade } => {
                Event::Snapshot(Snapshot {
                    market,
                    token,
                    timestamp_ms,
                    hash: *hash,
                    bids,
                    asks,
                    tick_size: *tick_size,
                    last_trade: *last_trade,
                    min_order_size: None,
                    neg_risk: None,
                })
            }
            Body::Changes(changes) => {
                Event::Changes(Changes { market, timestamp_ms, frame: token, changes })
            }
            Body::Trade { price, quantity, side, fee_rate_bps, transaction_hash } => {
                Event::Trade(Trade {
                    market,
                    token,
                    timestamp_ms,
                    price: *price,
                    quantity: *quantity,
                    side: *side,
                    fee_rate_bps: *fee_rate_bps,
                    transaction_hash,
                })
            }
            &Body::TickSize { old, new } => {
                Event::TickSize(TickSize { market, token, timestamp_ms, old, new })
            }
        }
    }
}

/// Equal for two copies of one message within a market, whatever their key order and spacing. By
/// content, because messages have no number; two trades may share a transaction.
#[must_use]
pub fn fingerprint(event: &Event<'_>) -> u64 {
    let mut hasher = FixedState::with_seed(0).build_hasher();
    event.timestamp_ms().hash(&mut hasher);
    match event {
        Event::Snapshot(e) => {
            (0u8, e.token, e.hash).hash(&mut hasher);
            for level in e.bids.iter().chain(e.asks) {
                (level.price.0, level.quantity.0).hash(&mut hasher);
            }
        }
        Event::Changes(e) => {
            1u8.hash(&mut hasher);
            for (token, change) in e.iter() {
                let ChangeSpan { side, level, hash, best_bid, best_ask, .. } = change;
                (token, *side as u8, level.price.0, level.quantity.0, hash).hash(&mut hasher);
                (best_bid.map(|p| p.0), best_ask.map(|p| p.0)).hash(&mut hasher);
            }
        }
        Event::Trade(e) => {
            (2u8, e.token, e.price.0, e.quantity.0, e.side as u8).hash(&mut hasher);
            e.transaction_hash.hash(&mut hasher);
        }
        Event::TickSize(e) => (3u8, e.token, e.new.0).hash(&mut hasher),
        Event::Delta(e) => (5u8, e.token, e.side as u8, e.price.0, e.units).hash(&mut hasher),
        Event::TopOfBook(e) => {
            (4u8, e.token, e.best_bid.map(|p| p.0), e.best_ask.map(|p| p.0)).hash(&mut hasher);
        }
    }
    hasher.finish()
}
