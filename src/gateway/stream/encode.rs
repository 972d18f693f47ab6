//! Events of the stream as JSON objects. Each function appends one object to a text.
//!
//! Runs on:  serve core (pure). Owns: nothing.
//!
//! Only events that a slow client does not receive while its book is behind have the book's state.
//! Prices and quantities are exact decimal strings; levels are `[price, size]`, best first. Fields of unknown value are
//! left out. `guide/gateway.md` describes the fields.
use super::Kind;
use crate::base::id::{MarketId, TokenId, Venue};
use crate::base::price::{Price, Quantity};
use crate::gateway::{Replica, push_array};
use crate::link::shard_updates::{LevelChange, TradeUpdate};
use crate::market::book::image::BookFacts;
use crate::market::book::{Book, BookState, Level, Side};
use crate::market::info::{MarketEvent, MarketStage, Outcome};
use std::fmt::Write as _;

/// What every event of a book has.
#[derive(Clone, Copy, Debug)]
pub struct EventHead<'a> {
    /// Number of the event; of an image for one client, of the last event before it.
    pub sequence: u64,
    /// The venue.
    pub venue: &'a Venue,
    /// The market.
    pub market: &'a MarketId,
    /// The token.
    pub token: &'a TokenId,
    /// Name of the token's outcome, where the catalog has it.
    pub outcome: Option<&'a str>,
    /// Messages that have changed the book.
    pub version: u64,
    /// Venue time, milliseconds since the Unix epoch; 0 if the venue sent none.
    pub venue_time_ms: u64,
    /// When the frame was read, nanoseconds since the Unix epoch.
    pub receive_time_ns: u64,
    /// The book's state after the event.
    pub state: BookState,
}

impl<'a> EventHead<'a> {
    /// The head for an image of a replica, or for an event after which the replica is so.
    pub const fn from_replica(
        replica: &'a Replica,
        sequence: u64,
        outcome: Option<&'a str>,
    ) -> Self {
        Self {
            sequence,
            venue: &replica.venue,
            market: &replica.market,
            token: &replica.token,
            outcome,
            version: replica.version,
            venue_time_ms: replica.facts.timestamp_ms,
            receive_time_ns: replica.read_wall_ns,
            state: replica.state,
        }
    }

    /// The same with the venue time of one message.
    #[must_use]
    pub const fn at(mut self, venue_time_ms: u64) -> Self {
        self.venue_time_ms = venue_time_ms;
        self
    }

    fn write(&self, out: &mut String, kind: Kind) {
        self.write_before_state(out, kind);
        let state = match self.state {
            BookState::AwaitingSnapshot => "awaiting_snapshot",
            BookState::Live => "live",
            BookState::Stale { .. } => "stale",
        };
        push(out, "state", state);
        if let BookState::Stale { since_wall_ns, .. } = self.state {
            let name = self.state.name();
            push(out, "reason", name.split_once(':').map_or(name, |(_, reason)| reason));
            // Writing to a string cannot fail.
            let _ = write!(out, r#","since":{since_wall_ns}"#);
        }
    }

    fn write_before_state(&self, out: &mut String, kind: Kind) {
        // Writing to a string cannot fail; ids hold no character that JSON escapes.
        let _ = write!(
            out,
            r#"{{"sequence":{},"kind":"{}","venue":"{}","market":"{}","token":"{}""#,
            self.sequence,
            kind.name(),
            self.venue.name(),
            self.market,
            self.token,
        );
        if let Some(outcome) = self.outcome {
            push_text(out, "outcome", outcome);
        }
        let _ = write!(out, r#","version":{}"#, self.version);
        if self.venue_time_ms > 0 {
            let _ = write!(out, r#","venue_time":{}"#, self.venue_time_ms);
        }
        let _ = write!(out, r#","receive_time":{}"#, self.receive_time_ns);
    }
}

/// The whole book. `gap`: the client has missed events of the book before it.
pub fn snapshot(out: &mut String, head: &EventHead<'_>, book: &Book, facts: &BookFacts, gap: bool) {
    head.write(out, Kind::Snapshot);
    let _ = write!(out, r#","gap":{gap},"bids":"#);
    push_levels(out, book.bids.levels().rev());
    out.push_str(r#","asks":"#);
    push_levels(out, book.asks.levels().rev());
    push_price(out, "tick_size", facts.tick_size);
    push_quantity(out, "min_order_size", facts.min_order_size);
    push_price(out, "last_trade_price", facts.last_trade);
    out.push('}');
}

/// The changes of the book by one message of the venue: new whole sizes by price, in order; `"0"` removes a level.
pub fn change(out: &mut String, head: &EventHead<'_>, changes: &[LevelChange]) {
    head.write(out, Kind::Change);
    let side = |side| changes.iter().filter(move |c| c.side == side).map(|c| c.level);
    out.push_str(r#","bids":"#);
    push_levels(out, side(Side::Bid));
    out.push_str(r#","asks":"#);
    push_levels(out, side(Side::Ask));
    out.push('}');
}

/// A trade.
pub fn trade(out: &mut String, head: &EventHead<'_>, trade: &TradeUpdate) {
    head.write_before_state(out, Kind::Trade);
    push_price(out, "price", Some(trade.price));
    out.push_str(r#","size":""#);
    trade.quantity.push_to(out);
    out.push('"');
    push(out, "side", if trade.side == Side::Bid { "buy" } else { "sell" });
    if let Some(id) = &trade.id {
        push(out, "id", id.as_str());
    }
    if let Some(rate) = trade.fee_rate_bps {
        out.push_str(r#","fee_rate_bps":""#);
        rate.push_to(out);
        out.push('"');
    }
    out.push('}');
}

/// A new price step.
pub fn tick(out: &mut String, head: &EventHead<'_>, old: Option<Price>, new: Price) {
    head.write_before_state(out, Kind::Tick);
    push_price(out, "old", old);
    push_price(out, "new", Some(new));
    out.push('}');
}

/// The book's state changed.
pub fn state(out: &mut String, head: &EventHead<'_>) {
    head.write(out, Kind::State);
    out.push('}');
}

/// Why a client's book is out of date until its next snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// The client reads too slowly.
    SlowClient,
    /// Events that it resumes from are no longer there.
    Gap,
}

/// The client's own book is out of date until the next snapshot, whatever the state of the gateway's. The number is
/// that of the last event before those that are left out.
pub fn behind(out: &mut String, head: &EventHead<'_>, why: Behind, now_wall_ns: u64) {
    head.write_before_state(out, Kind::State);
    let reason = match why {
        Behind::SlowClient => "slow_client",
        Behind::Gap => "gap",
    };
    let _ = write!(out, r#","state":"stale","reason":"{reason}","since":{now_wall_ns}}}"#);
}

/// The engine holds the book no longer; a snapshot follows if it holds it again.
pub fn closed(out: &mut String, head: &EventHead<'_>) {
    head.write_before_state(out, Kind::State);
    push(out, "state", "closed");
    out.push('}');
}

/// Best prices of the book; `null` for an empty side.
pub fn top(out: &mut String, head: &EventHead<'_>, bid: Option<Level>, ask: Option<Level>) {
    head.write(out, Kind::Top);
    for (name, level) in [("bid", bid), ("ask", ask)] {
        let _ = write!(out, r#","{name}":"#);
        match level {
            Some(level) => push_level(out, level),
            None => out.push_str("null"),
        }
    }
    out.push('}');
}

/// What happened to a market. `now_wall_ns` is when it was received.
pub fn market(
    out: &mut String,
    sequence: u64,
    venue: &Venue,
    event: &MarketEvent,
    now_wall_ns: u64,
) {
    let stage = match event.stage {
        MarketStage::New => "new",
        MarketStage::Opened => "opened",
        MarketStage::Ended => "ended",
        MarketStage::Resolved => "resolved",
    };
    let info = &event.info;
    let _ = write!(
        out,
        r#"{{"sequence":{sequence},"kind":"market","venue":"{}","market":"{}","receive_time":{now_wall_ns},"stage":"{stage}""#,
        venue.name(),
        info.market,
    );
    push_text(out, "slug", &info.slug);
    push_text(out, "question", &info.question);
    out.push_str(r#","outcomes":"#);
    push_array(out, &info.tokens, |out, Outcome { token, name }| {
        let _ = write!(out, r#"{{"token":"{token}""#);
        push_text(out, "outcome", name);
        out.push('}');
    });
    push_price(out, "tick_size", info.tick_size);
    push_quantity(out, "min_order_size", info.min_order_size);
    out.push_str(if info.neg_risk { r#","neg_risk":true"# } else { "" });
    if let Some(listing) = info.listing.as_ref().and_then(|one| sonic_rs::to_string(one).ok()) {
        let _ = write!(out, r#","listing":{listing}"#);
    }
    for (name, time) in [("start_time", info.start_wall_ns), ("end_time", info.end_wall_ns)] {
        if let Some(time) = time {
            let _ = write!(out, r#","{name}":{time}"#);
        }
    }
    if let Some(resolution) = &event.resolution {
        if let Some(winner) = &resolution.winner {
            push(out, "winner", winner.as_str());
        }
        if let Some(result) = &resolution.result {
            push_text(out, "result", result);
        }
        push_price(out, "settlement_value", resolution.settlement_value);
    }
    out.push('}');
}

/// An error about a message of the client, or about one token. It has no sequence number.
pub fn error(out: &mut String, token: Option<&TokenId>, text: &str) {
    out.push_str(r#"{"kind":"error""#);
    if let Some(token) = token {
        push(out, "token", token.as_str());
    }
    push_text(out, "error", text);
    out.push('}');
}

/// A field whose value needs no escapes.
fn push(out: &mut String, name: &str, value: &str) {
    let _ = write!(out, r#","{name}":"{value}""#);
}

fn push_price(out: &mut String, name: &str, price: Option<Price>) {
    if let Some(price) = price {
        let _ = write!(out, r#","{name}":""#);
        price.push_to(out);
        out.push('"');
    }
}

fn push_quantity(out: &mut String, name: &str, quantity: Option<Quantity>) {
    if let Some(quantity) = quantity {
        let _ = write!(out, r#","{name}":""#);
        quantity.push_to(out);
        out.push('"');
    }
}

/// A field whose value is the text of others.
fn push_text(out: &mut String, name: &str, text: &str) {
    let _ = write!(out, r#","{name}":""#);
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn push_levels(out: &mut String, levels: impl Iterator<Item = Level>) {
    out.push('[');
    for (i, level) in levels.enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_level(out, level);
    }
    out.push(']');
}

fn push_level(out: &mut String, level: Level) {
    out.push_str("[\"");
    level.price.push_to(out);
    out.push_str("\",\"");
    level.quantity.push_to(out);
    out.push_str("\"]");
}
