//! Decoder of market-channel frames into events: object or array, any key order, any serializer.
//!
//! Runs on:  shards, replay (pure). Owns: the scratch memory of one message.
//! Bounds:   one pass over an object, two over a list; allocates only for `new_market` and escaped strings. A list may
//!           be decoded in parts; an object is decoded at once.
//!
//! Usual layouts are read by `scan`, all others by a full JSON parser. A message is delivered only after it is
//! validated as a whole, and a frame that is invalid JSON delivers nothing.
use super::message::{Fields, Lists, MessageSeed, Scratch};
use super::scan::{Body, Scanned, scan};
use crate::base::{
    condition,
    id::{MarketId, TokenId},
    limits::MESSAGES_PER_FRAME_MAX,
};
use crate::market::book::Level;
use crate::market::event::{
    ChangeSpan, Changes, Event, Snapshot, Span, TickSize, TopOfBook, Trade,
};
use crate::market::info::{MarketInfo, MarketUpdate, Outcome, Resolution};
use crate::venue::json::{Skip, end_of, end_of_object, need};
use crate::venue::protocol::{Phase, Progress};
use crate::venue::{DecodeNotice, MessageFault, Sink};
use serde::de::{self, DeserializeSeed, SeqAccess, Visitor};
use std::cell::LazyCell;
use std::fmt;

/// The text response to a ping.
const PONG: &str = "PONG";

/// Decodes frames; one per thread.
#[derive(Debug, Default)]
pub struct Decoder {
    scratch: Scratch,
}

impl Decoder {
    /// Decodes one text frame and delivers its messages to `sink` in order; returns their number.
    ///
    /// Never fails: unreadable input is delivered as an [`DecodeNotice`].
    pub fn decode(&mut self, frame: &str, sink: &mut impl Sink) -> u32 {
        self.decode_part(frame, &mut Progress::default(), usize::MAX, sink)
    }

    /// Decodes about `budget_bytes` more of a frame: up to the first message that ends beyond them. Returns the number
    /// of messages delivered.
    ///
    /// Only lists are divided, and only between messages. Other frames are decoded at once, as are malformed lists.
    pub fn decode_part(
        &mut self,
        frame: &str,
        progress: &mut Progress,
        budget_bytes: usize,
        sink: &mut impl Sink,
    ) -> u32 {
        let until = progress.at.saturating_add(budget_bytes);
        if progress.phase == Phase::New {
            if !frame.starts_with('[') {
                progress.phase = Phase::Done;
                return match scan(frame, 0, &mut self.scratch) {
                    Some(message) if message.end == frame.len() => {
                        deliver_scanned(frame, &message, &self.scratch, sink);
                        1
                    }
                    _ => self.decode_whole(frame, sink),
                };
            }
            (progress.phase, progress.at) = (Phase::Check, 1);
        }
        if progress.phase == Phase::Check {
            let whole = self.check(frame, progress, until);
            if !whole {
                progress.phase = Phase::Done;
                return self.decode_whole(frame, sink);
            }
            // A part either validates or delivers.
            if progress.phase == Phase::Check || budget_bytes < usize::MAX {
                return 0;
            }
        }
        if progress.phase == Phase::Deliver {
            return self.deliver_list(frame, progress, until, sink);
        }
        0
    }

    /// Validates messages of a list up to `until`; false if the frame is no list of JSON objects.
    fn check(&mut self, frame: &str, progress: &mut Progress, until: usize) -> bool {
        let bytes = frame.as_bytes();
        while progress.at < until {
            let Some(end) = self.check_one(frame, progress.at) else { return false };
            progress.checked += 1;
            match list_goes_on(bytes, end) {
                Some(Some(next)) if (progress.checked as usize) < MESSAGES_PER_FRAME_MAX => {
                    progress.at = next;
                }
                // End of the list: deliver from its start.
                Some(None) => {
                    (progress.phase, progress.at) = (Phase::Deliver, 1);
                    return true;
                }
                _ => return false,
            }
        }
        true
    }

    /// End of the object that begins at `at`; `None` if it is invalid JSON.
    fn check_one(&mut self, frame: &str, at: usize) -> Option<usize> {
        if let Some(message) = scan(frame, at, &mut self.scratch) {
            return Some(message.end);
        }
        let end = end_of_object(frame.as_bytes(), at)?;
        let mut json = sonic_rs::Deserializer::from_str(frame.get(at..end)?);
        json.deserialize::<Skip>().and_then(|_| json.end()).ok().map(|()| end)
    }

    fn deliver_list(
        &mut self,
        frame: &str,
        progress: &mut Progress,
        until: usize,
        sink: &mut impl Sink,
    ) -> u32 {
        let mut delivered = 0;
        while progress.at < until {
            let at = progress.at;
            let end = match scan(frame, at, &mut self.scratch) {
                Some(message) => {
                    deliver_scanned(frame, &message, &self.scratch, sink);
                    message.end
                }
                None => {
                    // Cannot fail: the list has been validated.
                    let Some(end) = end_of_object(frame.as_bytes(), at) else { break };
                    let mut json = sonic_rs::Deserializer::from_str(&frame[at..end]);
                    let seed = MessageSeed { scratch: &mut self.scratch, frame };
                    let Ok(fields) = seed.deserialize(&mut json) else { break };
                    deliver(frame, || &frame[at..end], &fields, &mut self.scratch, sink);
                    end
                }
            };
            delivered += 1;
            match list_goes_on(frame.as_bytes(), end) {
                Some(Some(next)) => progress.at = next,
                _ => {
                    progress.phase = Phase::Done;
                    break;
                }
            }
        }
        delivered
    }

    /// Decodes a frame with the full parser only; the reference for `scan`, which must give the same result.
    pub fn decode_whole(&mut self, frame: &str, sink: &mut impl Sink) -> u32 {
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
                    let mut whole = sonic_rs::Deserializer::from_str(frame);
                    (whole.deserialize::<Skip>().map(drop))
                        .and_then(|()| whole.end())
                        .and_then(|()| seed.deserialize(&mut json))
                } else {
                    seed.read_one(&mut json)
                };
                if let Err(error) = read {
                    let offset = error.offset().min(frame.len());
                    sink.on_decode_notice(&DecodeNotice::BadFrame { offset, frame });
                }
            }
            _ => match body.trim_end() {
                PONG => sink.on_decode_notice(&DecodeNotice::Pong),
                text if is_broken_json(text) => {
                    sink.on_decode_notice(&DecodeNotice::BadFrame { offset: 0, frame });
                }
                text => sink.on_decode_notice(&DecodeNotice::UnknownText(text)),
            },
        }
        messages
    }
}

/// Whether a text without a leading brace or bracket has a message or part of one in it.
fn is_broken_json(text: &str) -> bool {
    text.contains(['{', '}']) || text.contains("\":")
}

/// Offset of the list's next message, `Some(None)` at its end; `None` if neither follows.
fn list_goes_on(bytes: &[u8], end: usize) -> Option<Option<usize>> {
    match (bytes.get(end)?, bytes.get(end + 1)) {
        (b']', None) => Some(None),
        (b',', Some(b' ')) => Some(Some(end + 2)),
        (b',', Some(_)) => Some(Some(end + 1)),
        _ => None,
    }
}

#[inline]
fn deliver_scanned<S: Sink>(frame: &str, message: &Scanned<'_>, scratch: &Scratch, sink: &mut S) {
    let &Scanned { market, timestamp_ms, ref body, .. } = message;
    sink.on_event(&match *body {
        Body::Changes => {
            Event::Changes(Changes { market, timestamp_ms, frame, changes: &scratch.changes })
        }
        Body::Book { token, hash, tick_size, last_trade } => Event::Snapshot(Snapshot {
            market,
            token,
            timestamp_ms,
            hash: Some(hash),
            bids: &scratch.bids,
            asks: &scratch.asks,
            tick_size,
            last_trade,
            min_order_size: None,
            neg_risk: None,
        }),
        Body::Trade { token, price, quantity, side, fee_rate_bps, transaction_hash } => {
            Event::Trade(Trade {
                market,
                token,
                timestamp_ms,
                price,
                quantity,
                side,
                fee_rate_bps,
                transaction_hash,
            })
        }
    });
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
    /// A frame of one message: delivered only after the end of the frame is parsed.
    fn read_one(
        self,
        json: &mut sonic_rs::Deserializer<sonic_rs::Read<'de>>,
    ) -> sonic_rs::Result<()> {
        let Self { scratch, frame, sink, messages } = self;
        let fields = MessageSeed { scratch: &mut *scratch, frame }.deserialize(&mut *json)?;
        json.end()?;
        *messages += 1;
        deliver(frame, || frame, &fields, scratch, sink);
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
        // The text of a message is needed for a fault only: members before it are skipped then, each once.
        let mut texts = sonic_rs::to_array_iter(frame);
        let mut skipped = 0;
        loop {
            let seed = MessageSeed { scratch: &mut *scratch, frame };
            let Some(fields) = seq.next_element_seed(seed)? else { return Ok(()) };
            *messages += 1;
            if *messages as usize > MESSAGES_PER_FRAME_MAX {
                return Err(de::Error::custom("more messages in one frame than the limit"));
            }
            let mut is_read = false;
            let text = || {
                is_read = true;
                let text = texts.nth(skipped).and_then(Result::ok);
                // A member that is no object names nothing itself.
                let text = text.as_ref().filter(|_| fields.is_object);
                text.and_then(|text| within(frame, text.as_raw_str())).unwrap_or(frame)
            };
            deliver(frame, text, &fields, scratch, sink);
            skipped = if is_read { 0 } else { skipped + 1 };
        }
    }
}

/// Message type.
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
    /// By `event_type`; by content if that is missing, as in REST responses.
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

    /// Whether a message of a known type has lists of books or changes that its type has not, or changes in two forms:
    /// which of them are right is not known.
    const fn has_foreign_lists(self, lists: Lists) -> bool {
        let Lists { bids, asks, price_changes, old_changes, .. } = lists;
        match self {
            Self::Book => price_changes || old_changes,
            Self::PriceChange => bids || asks || (price_changes && old_changes),
            Self::LastTradePrice
            | Self::TickSizeChange
            | Self::BestBidAsk
            | Self::NewMarket
            | Self::MarketResolved => bids || asks || price_changes || old_changes,
            Self::Unknown(_) => false,
        }
    }
}

fn within<'a>(frame: &'a str, part: &str) -> Option<&'a str> {
    let start = (part.as_ptr() as usize).checked_sub(frame.as_ptr() as usize)?;
    frame.get(start..start.checked_add(part.len())?)
}

/// Validates one message of `frame` and delivers it. `text` gives the message, or the frame if its span is unknown; it
/// is called at most once, and only if the message is of unknown type or has a fault.
fn deliver<'a, S: Sink>(
    frame: &'a str,
    text: impl FnOnce() -> &'a str,
    fields: &Fields<'_>,
    scratch: &mut Scratch,
    sink: &mut S,
) {
    let text = LazyCell::new(text);
    let kind = Kind::of(fields);
    let unknown = match kind {
        Kind::Unknown(name) if fields.is_object => Some(name),
        _ => None,
    };
    // One side alone, too, of a book that is named.
    let has_levels = !(scratch.bids.is_empty() && scratch.asks.is_empty());
    if let Some(name) = unknown
        && !fields.may_change_a_book(name)
        && !(has_levels && fields.asset_id.is_some())
        && !wraps_a_change(&text)
    {
        // Unknown keys of an unknown message type are not reported.
        return sink.on_decode_notice(&DecodeNotice::UnknownEvent(name));
    }
    let is_foreign = kind.has_foreign_lists(fields.lists);
    let delivered = match (fields.fault, kind) {
        _ if unknown.is_some() || is_foreign => Err(fields.type_fault()),
        (Some(fault), _) => Err(fault),
        (None, Kind::NewMarket | Kind::MarketResolved) => {
            market_update(kind, fields, scratch).map(|update| sink.on_market_update(update))
        }
        (None, Kind::PriceChange) => {
            // Older forms have the token in the envelope.
            complete_old_changes(frame, fields, scratch)
                .and_then(|()| changes(frame, fields, scratch).map(|event| sink.on_event(&event)))
        }
        (None, Kind::Book | Kind::LastTradePrice | Kind::TickSizeChange | Kind::BestBidAsk) => {
            event(kind, fields, scratch).map(|event| sink.on_event(&event))
        }
        (None, Kind::Unknown(_)) => Err(fields.type_fault()),
    };
    if let Err(fault) = delivered {
        let update = matches!(kind, Kind::NewMarket | Kind::MarketResolved) && !is_foreign;
        let market = market_of(fields, scratch).filter(|_| !update).unwrap_or("");
        let token = fields.asset_id.unwrap_or("");
        let (offset, text) = (
            end_of(frame, [fields.event_type, fields.market, fields.asset_id]),
            if update { "" } else { &text },
        );
        sink.on_decode_notice(&DecodeNotice::BadMessage { fault, offset, market, token, text });
    } else if !scratch.unknown_keys.is_empty() {
        sink.on_decode_notice(&DecodeNotice::UnknownKeys(&scratch.unknown_keys));
    }
}

/// Whether a message of unknown type contains other messages, as objects or text, that change books.
fn wraps_a_change(text: &str) -> bool {
    let book = text.contains("\"bids") && text.contains("\"asks");
    text.trim_start().starts_with('{') && (book || text.contains("price_changes"))
}

/// The market in canonical form.
fn market_of<'a>(fields: &Fields<'a>, scratch: &'a Scratch) -> Option<&'a str> {
    scratch.market.as_ref().map(MarketId::as_str).or(fields.market)
}

fn event<'a>(
    kind: Kind<'a>,
    fields: &Fields<'a>,
    scratch: &'a Scratch,
) -> Result<Event<'a>, MessageFault> {
    let market = need(market_of(fields, scratch), "market")?;
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
        Kind::BestBidAsk => Event::TopOfBook(TopOfBook {
            market,
            token,
            timestamp_ms,
            best_bid: fields.best_bid.filter(|&p| p.0 != 0),
            best_ask: fields.best_ask,
            ..TopOfBook::default()
        }),
        Kind::PriceChange | Kind::NewMarket | Kind::MarketResolved | Kind::Unknown(_) => {
            return Err(MessageFault::BadValue("event_type"));
        }
    })
}

fn changes<'a>(
    frame: &'a str,
    fields: &Fields<'a>,
    scratch: &'a Scratch,
) -> Result<Event<'a>, MessageFault> {
    Ok(Event::Changes(Changes {
        market: need(market_of(fields, scratch), "market")?,
        timestamp_ms: need(fields.timestamp_ms, "timestamp")?,
        frame,
        changes: &scratch.changes,
    }))
}

/// Converts `changes` (before 2025-09-15) and the flat form of 2024-08 to the shape of `price_changes`.
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
        // The envelope's hash is that of the book after all changes.
        change.hash = if i == last { fields.hash } else { None };
    }
    Ok(())
}

fn market_update(
    kind: Kind<'_>,
    fields: &Fields<'_>,
    scratch: &mut Scratch,
) -> Result<MarketUpdate, MessageFault> {
    let market = fields.market.and_then(condition::market_id);
    let market = need(market, "market")?;
    if kind == Kind::MarketResolved {
        // The registry completes the resolution with what the first token pays, and with a name that is missing.
        let winner = fields.winning_asset_id.and_then(TokenId::new);
        let result = fields.winning_outcome.filter(|name| winner.is_some() && !name.is_empty());
        let result = result.map(str::to_owned);
        let resolution = Resolution { winner, result, ..Resolution::default() };
        return Ok(MarketUpdate::Resolved { market, resolution });
    }
    match fields.version {
        Some("v2") if !scratch.positions.is_empty() => {
            std::mem::swap(&mut scratch.tokens, &mut scratch.positions);
        }
        // `assets_ids` has the subscribed ids in every version.
        None | Some("" | "v1" | "v2") => {}
        Some(_) => return Err(MessageFault::BadValue("version")),
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
    Ok(MarketUpdate::Announced(MarketInfo {
        market,
        tokens,
        slug: fields.slug.clone().unwrap_or_default(),
        question: fields.question.clone().unwrap_or_default(),
        start_wall_ns: None,
        end_wall_ns: None,
        tick_size: fields.first_tick_size,
        min_order_size: fields.min_order_size,
        neg_risk: fields.neg_risk.unwrap_or(false),
        listing: None,
    }))
}

#[cfg(test)]
#[path = "decode/layouts/tests.rs"]
mod layouts;
#[cfg(test)]
mod tests;
