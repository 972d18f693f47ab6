//! A frame of the market channel into events: object or array, any key order, any serialiser.
//!
//! Runs on:  shards, replay (pure). Owns: the scratch memory of one message.
//! Bounds:   one pass over an object, two over a list; no allocation but for `new_market` and escaped texts.
//!
//! A message is delivered only after it was checked whole, and nothing of a frame that is no JSON
//! to its end: nothing is ever applied by half.
use super::message::{Fields, MessageSeed, Scratch, Skip};
use crate::base::{
    id::{MarketId, TokenId},
    limits::MESSAGES_PER_FRAME_MAX,
};
use crate::market::book::Level;
use crate::market::event::{
    ChangeSpan, Changes, Event, Snapshot, Span, TickSize, TopOfBook, Trade,
};
use crate::market::info::{MarketInfo, MarketNews, Outcome};
use crate::venue::{MessageFault, Oddity, Sink};
use serde::de::{self, DeserializeSeed, SeqAccess, Visitor};
use std::fmt;

/// Texts that the venue sends besides JSON, all harmless.
const PONG: &str = "PONG";

/// Decodes frames; one per thread.
#[derive(Debug, Default)]
pub struct Decoder {
    scratch: Scratch,
}

impl Decoder {
    /// Reads one text frame and delivers its messages to `sink` in order; gives their number.
    ///
    /// Never fails: what cannot be read is delivered as an [`Oddity`].
    pub fn decode(&mut self, frame: &str, sink: &mut impl Sink) -> u32 {
        let body = frame.trim_start();
        let mut messages = 0;
        match body.as_bytes().first() {
            Some(b'{' | b'[') => {
                let mut json = sonic_rs::Deserializer::from_str(frame);
                let seed = FrameSeed {
                    scratch: &mut self.scratch,
                    frame,
                    sink: &mut *sink,
                    messages: &mut messages,
                };
                let read = if body.starts_with('[') {
                    // A list is read twice: once to see that it is whole, then to deliver. Lists
                    // are rare (the dump after a subscription); a torn one must not apply by half.
                    let mut whole = sonic_rs::Deserializer::from_str(frame);
                    (whole.deserialize::<Skip>().map(drop))
                        .and_then(|()| whole.end())
                        .and_then(|()| seed.deserialize(&mut json))
                } else {
                    seed.read_one(&mut json)
                };
                if let Err(error) = read {
                    let offset = error.offset().min(frame.len());
                    sink.on_oddity(&Oddity::BadFrame { offset, frame });
                }
            }
            _ => match body.trim_end() {
                PONG => sink.on_oddity(&Oddity::Pong),
                text => sink.on_oddity(&Oddity::UnknownText(text)),
            },
        }
        messages
    }
}

/// The values of all keys `market`, read as text from a frame that is no JSON.
pub(crate) fn markets_named_in(frame: &str) -> impl Iterator<Item = &str> {
    let behind_key = frame.split("\"market\"").skip(1);
    behind_key
        .filter_map(|rest| {
            let rest = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
            rest.split_once('"').map(|(market, _)| market)
        })
        .take(MESSAGES_PER_FRAME_MAX)
}

struct FrameSeed<'s, 'de, S> {
    scratch: &'s mut Scratch,
    frame: &'de str,
    sink: &'s mut S,
    messages: &'s mut u32,
}

impl<'de, S: Sink> DeserializeSeed<'de> for FrameSeed<'_, 'de, S> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, S: Sink> FrameSeed<'_, 'de, S> {
    /// A frame of one message: delivered after its end was seen, so that nothing of a frame that
    /// goes on with garbage is applied.
    fn read_one(
        self,
        json: &mut sonic_rs::Deserializer<sonic_rs::Read<'de>>,
    ) -> sonic_rs::Result<()> {
        let Self { scratch, frame, sink, messages } = self;
        let fields = MessageSeed { scratch: &mut *scratch, frame }.deserialize(&mut *json)?;
        json.end()?;
        *messages += 1;
        deliver(frame, &fields, scratch, sink);
        Ok(())
    }
}

impl<'de, S: Sink> Visitor<'de> for FrameSeed<'_, 'de, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { scratch, frame, sink, messages } = self;
        loop {
            let seed = MessageSeed { scratch: &mut *scratch, frame };
            let Some(fields) = seq.next_element_seed(seed)? else { return Ok(()) };
            *messages += 1;
            if *messages as usize > MESSAGES_PER_FRAME_MAX {
                return Err(de::Error::custom("more messages in one frame than the limit"));
            }
            deliver(frame, &fields, scratch, sink);
        }
    }
}

/// What a message of the market channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind<'a> {
    Book,
    PriceChange,
    LastTradePrice,
    TickSizeChange,
    BestBidAsk,
    NewMarket,
    MarketResolved,
    Unknown(&'a str),
}

impl<'a> Kind<'a> {
    /// By `event_type`; by content where that is missing, as in answers of the REST interface.
    fn of(fields: &Fields<'a>) -> Self {
        match fields.event_type {
            Some("book") => Self::Book,
            Some("price_change") => Self::PriceChange,
            Some("last_trade_price") => Self::LastTradePrice,
            Some("tick_size_change") => Self::TickSizeChange,
            Some("best_bid_ask") => Self::BestBidAsk,
            Some("new_market") => Self::NewMarket,
            Some("market_resolved") => Self::MarketResolved,
            Some(other) => Self::Unknown(other),
            None if fields.lists.price_changes || fields.lists.old_changes => Self::PriceChange,
            None if fields.lists.bids && fields.lists.asks => Self::Book,
            None => Self::Unknown(""),
        }
    }
}

/// Checks one message whole and hands it on.
fn deliver<S: Sink>(frame: &str, fields: &Fields<'_>, scratch: &mut Scratch, sink: &mut S) {
    let kind = Kind::of(fields);
    if let Kind::Unknown(name) = kind
        && fields.is_object
    {
        // Whatever the keys of an unknown kind hold is its own affair.
        return sink.on_oddity(&Oddity::UnknownEvent(name));
    }
    let delivered = match (fields.fault, kind) {
        (Some(fault), _) => Err(fault),
        (None, Kind::NewMarket | Kind::MarketResolved) => {
            news(kind, fields, scratch).map(|news| sink.on_news(news))
        }
        (None, Kind::PriceChange) => {
            // The older forms name the token once, on the envelope.
            complete_old_changes(frame, fields, scratch)
                .and_then(|()| changes(frame, fields, scratch).map(|event| sink.on_event(&event)))
        }
        (None, _) => event(kind, fields, scratch).map(|event| sink.on_event(&event)),
    };
    if let Err(fault) = delivered {
        let news = matches!(kind, Kind::NewMarket | Kind::MarketResolved);
        let market = fields.market.filter(|_| !news).unwrap_or("");
        let token = fields.asset_id.unwrap_or("");
        sink.on_oddity(&Oddity::BadMessage { fault, offset: end_of(frame, fields), market, token });
    }
}

/// A place near the message for the log: the last borrowed field's end.
fn end_of(frame: &str, fields: &Fields<'_>) -> usize {
    [fields.event_type, fields.market, fields.asset_id]
        .into_iter()
        .flatten()
        .map(|text| (text.as_ptr() as usize).wrapping_sub(frame.as_ptr() as usize) + text.len())
        .filter(|&end| end <= frame.len())
        .max()
        .unwrap_or(0)
}

fn need<T>(value: Option<T>, key: &'static str) -> Result<T, MessageFault> {
    value.ok_or(MessageFault::Missing(key))
}

fn event<'a>(
    kind: Kind<'a>,
    fields: &Fields<'a>,
    scratch: &'a Scratch,
) -> Result<Event<'a>, MessageFault> {
    let market = need(fields.market, "market")?;
    let token = need(fields.asset_id, "asset_id")?;
    let timestamp_ms = need(fields.timestamp_ms, "timestamp")?;
    Ok(match kind {
        Kind::Book => {
            for (there, key) in [(fields.lists.bids, "bids"), (fields.lists.asks, "asks")] {
                if !there {
                    return Err(MessageFault::Missing(key));
                }
            }
            Event::Snapshot(Snapshot {
                market,
                token,
                timestamp_ms,
                hash: fields.hash,
                bids: &scratch.bids,
                asks: &scratch.asks,
                tick_size: fields.tick_size,
                last_trade: fields.last_trade,
                min_order_size: fields.min_order_size,
                neg_risk: fields.neg_risk,
            })
        }
        Kind::LastTradePrice => Event::Trade(Trade {
            market,
            token,
            timestamp_ms,
            price: need(fields.price, "price")?,
            quantity: need(fields.size, "size")?,
            side: need(fields.side, "side")?,
            fee_rate_bps: fields.fee_rate_bps,
            transaction_hash: fields.transaction_hash.unwrap_or(""),
        }),
        Kind::TickSizeChange => Event::TickSize(TickSize {
            market,
            token,
            timestamp_ms,
            old: fields.old_tick_size,
            new: need(fields.new_tick_size, "new_tick_size")?,
        }),
        _ => Event::TopOfBook(TopOfBook {
            market,
            token,
            timestamp_ms,
            best_bid: fields.best_bid.filter(|&p| p.0 != 0),
            best_ask: fields.best_ask,
        }),
    })
}

fn changes<'a>(
    frame: &'a str,
    fields: &Fields<'a>,
    scratch: &'a Scratch,
) -> Result<Event<'a>, MessageFault> {
    Ok(Event::Changes(Changes {
        market: need(fields.market, "market")?,
        timestamp_ms: need(fields.timestamp_ms, "timestamp")?,
        frame,
        changes: &scratch.changes,
    }))
}

/// Gives `changes` (before 2025-09-15) and the flat form of 2024-08 the shape of `price_changes`.
fn complete_old_changes(
    frame: &str,
    fields: &Fields<'_>,
    scratch: &mut Scratch,
) -> Result<(), MessageFault> {
    if fields.lists.price_changes {
        return Ok(());
    }
    let token = need(fields.asset_id, "asset_id")?;
    let start = (token.as_ptr() as usize).wrapping_sub(frame.as_ptr() as usize);
    let span = Span { start: start as u32, len: token.len() as u32 };
    if !fields.lists.old_changes {
        let level = Level {
            price: need(fields.price, "price_changes")?,
            quantity: need(fields.size, "size")?,
        };
        let side = need(fields.side, "side")?;
        scratch.changes.push(ChangeSpan {
            token: span,
            side,
            level,
            hash: None,
            best_bid: None,
            best_ask: None,
        });
    }
    let last = scratch.changes.len().saturating_sub(1);
    for (i, change) in scratch.changes.iter_mut().enumerate() {
        change.token = span;
        // The envelope's hash describes the book after all of its changes.
        change.hash = if i == last { fields.hash } else { None };
    }
    Ok(())
}

fn news(
    kind: Kind<'_>,
    fields: &Fields<'_>,
    scratch: &mut Scratch,
) -> Result<MarketNews, MessageFault> {
    let market = fields.market.and_then(MarketId::new);
    let market = need(market, "market")?;
    if kind == Kind::MarketResolved {
        return Ok(MarketNews::Resolved {
            market,
            winner: fields.winning_asset_id.and_then(TokenId::new),
        });
    }
    if scratch.tokens.is_empty() {
        return Err(MessageFault::Missing("assets_ids"));
    }
    let mut names = scratch.outcomes.drain(..);
    let tokens = scratch
        .tokens
        .iter()
        .map(|&token| Outcome { token, name: names.next().unwrap_or_default() })
        .collect();
    Ok(MarketNews::Announced(MarketInfo {
        market,
        tokens,
        slug: fields.slug.clone().unwrap_or_default(),
        question: fields.question.clone().unwrap_or_default(),
        end_wall_ns: None,
        tick_size: fields.first_tick_size,
        min_order_size: fields.min_order_size,
        neg_risk: fields.neg_risk.unwrap_or(false),
    }))
}

#[cfg(test)]
mod tests;
