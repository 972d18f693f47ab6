//! Decoder of Kalshi WebSocket v2 frames into events, command responses and lifecycle updates.
//!
//! Runs on:  shards, replay (pure). Owns: the scratch memory of one message.
//! Bounds:   one pass; allocates only for lifecycle messages, errors and escaped strings.
//!
//! Usual layouts are read by `scan`, all others by a full JSON parser.
//!
//! A market is one book in terms of YES, and its token is its ticker: bids are the YES bids, asks the NO bids at one
//! dollar minus their price (kalshi/protocol.md, 3.1: only bids exist). `use_yes_price` is always sent as false, so NO
//! levels have NO prices.
use super::message::{Fields, Scratch, read};
use super::resolution;
use super::scan::{Body, Scanned, scan};
use crate::base::{
    id::{MarketId, TokenId},
    limits::CATALOG_TEXT_BYTES_MAX,
    price::Price,
    time::SECOND_NS,
};
use crate::market::book::Side;
use crate::market::event::{Delta, Event, Snapshot, TopOfBook, Trade};
use crate::market::info::{MarketInfo, MarketUpdate, Outcome};
use crate::venue::json::{end_of, need};
use crate::venue::sequence::UNNAMED_SID_MIN;
use crate::venue::{
    BookContent, DecodeNotice, Envelope, MessageFault, Outline, Progress, Reply, Sink,
    SubscriptionChange,
};

/// Decodes frames; one per thread.
#[derive(Debug, Default)]
pub struct Decoder {
    scratch: Scratch,
}

impl Decoder {
    /// Decodes one text frame into `sink`; returns the number of messages.
    ///
    /// Never fails: unreadable input is delivered as an [`DecodeNotice`].
    pub fn decode(&mut self, frame: &str, sink: &mut impl Sink) -> u32 {
        let Some(message) = scan(frame, &mut self.scratch) else {
            return self.decode_whole(frame, sink);
        };
        deliver_scanned(&message, &self.scratch, sink);
        1
    }

    /// Decodes a frame with the full parser only; the reference for `scan`, which must give the same result.
    pub fn decode_whole(&mut self, frame: &str, sink: &mut impl Sink) -> u32 {
        let offset = match read(frame, &mut self.scratch) {
            Ok(fields) if fields.is_object => {
                deliver(frame, fields, &mut self.scratch, sink);
                return 1;
            }
            Ok(_) => 0,
            Err(error) => error.offset().min(frame.len()),
        };
        // The venue sends objects only: a sequence number may be lost.
        sink.on_lost();
        sink.on_decode_notice(&DecodeNotice::BadFrame { offset, frame });
        0
    }

    /// Decodes more of a REST response; see [`orderbooks`](super::orderbooks).
    pub fn decode_books_part(
        &mut self,
        text: &str,
        progress: &mut Progress,
        budget_bytes: usize,
        sink: &mut impl Sink,
    ) -> u32 {
        super::orderbooks::decode_part(text, progress, budget_bytes, &mut self.scratch, sink)
    }

    /// Summary of a frame.
    pub fn outline<'a>(&mut self, frame: &'a str) -> Outline<'a> {
        match scan(frame, &mut self.scratch) {
            Some(Scanned { sid, seq, ticker, body, .. }) => Outline {
                market: Some(ticker),
                sequence: seq.map(|seq| (sid, seq)),
                content: body.content(),
                ..Outline::default()
            },
            None => self.outline_whole(frame),
        }
    }

    fn outline_whole<'a>(&mut self, frame: &'a str) -> Outline<'a> {
        match read(frame, &mut self.scratch) {
            Ok(fields) => {
                let kind = Kind::of(&fields);
                let sequence = fields.seq.filter(|_| kind != Kind::Subscribed);
                Outline {
                    market: fields.ticker,
                    sequence: sequence.map(|seq| (fields.sid.unwrap_or(kind.unnamed_sid()), seq)),
                    broken: !fields.is_object || is_lost(kind, &fields),
                    subscription: subscription(kind, &fields),
                    content: kind.content(),
                }
            }
            Err(_) => Outline { broken: true, ..Outline::default() },
        }
    }
}

/// Message type (kalshi/protocol.md, 2 and 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind<'a> {
    Snapshot,
    Delta,
    Trade,
    Ticker,
    Lifecycle,
    /// Events and fees: no book is concerned.
    Ignored,
    Subscribed,
    Unsubscribed,
    Ok,
    Error,
    Unknown(&'a str),
}

impl<'a> Kind<'a> {
    fn of(fields: &Fields<'a>) -> Self {
        match fields.kind {
            Some("orderbook_delta") => Self::Delta,
            Some("orderbook_snapshot") => Self::Snapshot,
            Some("trade") => Self::Trade,
            Some("ticker") => Self::Ticker,
            Some("market_lifecycle_v2" | "multivariate_market_lifecycle") => Self::Lifecycle,
            Some("event_lifecycle" | "event_fee_update") => Self::Ignored,
            Some("subscribed") => Self::Subscribed,
            Some("unsubscribed") => Self::Unsubscribed,
            Some("ok") => Self::Ok,
            Some("error") => Self::Error,
            Some(other) => Self::Unknown(other),
            None => Self::Unknown(""),
        }
    }
}

impl Kind<'_> {
    /// Whether a message of a known type has the content of a snapshot or a delta, which its type has not: which of
    /// them is right is not known.
    fn has_foreign_keys(self, fields: &Fields<'_>) -> bool {
        !matches!(self, Self::Snapshot | Self::Delta | Self::Unknown(_)) && fields.has_book_keys()
    }

    const fn content(self) -> BookContent {
        match self {
            Self::Snapshot => BookContent::Snapshot,
            Self::Delta => BookContent::Change,
            _ => BookContent::None,
        }
    }

    /// Synthetic subscription id of messages without `sid`.
    const fn unnamed_sid(self) -> u64 {
        match self {
            Self::Trade => UNNAMED_SID_MIN,
            Self::Ticker => UNNAMED_SID_MIN + 1,
            Self::Lifecycle | Self::Ignored => UNNAMED_SID_MIN + 2,
            _ => UNNAMED_SID_MIN + 3,
        }
    }
}

impl Body<'_> {
    const fn content(self) -> BookContent {
        match self {
            Self::Snapshot => BookContent::Snapshot,
            Self::Delta { .. } => BookContent::Change,
            Self::Trade { .. } | Self::Ticker { .. } => BookContent::None,
        }
    }
}

/// Error codes that answer a command and leave existing subscriptions intact (kalshi/protocol.md, 2.6).
const COMMAND_ERRORS: [u64; 25] =
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23, 24, 26, 27, 28];

/// Subscription change of a message. An unrequested error of an unknown code may have ended any subscription.
fn subscription<'a>(kind: Kind<'_>, fields: &Fields<'a>) -> Option<SubscriptionChange<'a>> {
    let sid = fields.sid;
    match (kind, fields.code) {
        (Kind::Subscribed, _) => {
            let channel = fields.channel.unwrap_or("");
            sid.map(|sid| SubscriptionChange::Begun { channel, sid })
        }
        (Kind::Ok, _) => sid.map(|sid| SubscriptionChange::Confirmed { sid }),
        (Kind::Unsubscribed, _) => Some(match sid {
            Some(sid) => SubscriptionChange::Ended { sid },
            None => SubscriptionChange::Failed { sid, known: false },
        }),
        (Kind::Error, Some(10 | 17 | 25)) => Some(SubscriptionChange::Failed { sid, known: true }),
        (Kind::Error, Some(7)) if sid.is_some() => {
            Some(SubscriptionChange::Failed { sid, known: true })
        }
        (Kind::Error, Some(code)) if COMMAND_ERRORS.contains(&code) => None,
        (Kind::Error, _) if fields.id.is_none() => {
            Some(SubscriptionChange::Failed { sid, known: false })
        }
        _ => None,
    }
}

/// Delivers a scanned message, in the order of [`deliver`].
#[inline]
fn deliver_scanned<S: Sink>(message: &Scanned<'_>, scratch: &Scratch, sink: &mut S) {
    let &Scanned { sid, seq, ticker: market, timestamp_ms, body } = message;
    let content = body.content();
    if !sink.on_envelope(&Envelope { sid: Some(sid), seq, id: None, content }) {
        return;
    }
    let is_snapshot = content == BookContent::Snapshot;
    if is_snapshot && !sink.on_reply(&Reply::Snapshot { id: None, market }) {
        return;
    }
    let token = market;
    sink.on_event(&match body {
        Body::Snapshot => snapshot(market, timestamp_ms, scratch),
        Body::Delta { side, price, units } => {
            Event::Delta(Delta { market, token, timestamp_ms, side, price, units })
        }
        Body::Trade { id, price, quantity, side } => Event::Trade(Trade {
            market,
            token,
            timestamp_ms,
            price,
            quantity,
            side,
            fee_rate_bps: None,
            transaction_hash: id,
        }),
        Body::Ticker { price, yes_bid, yes_ask, volume, open_interest } => {
            Event::TopOfBook(top_of_book(&TopOfBook {
                market,
                token,
                timestamp_ms,
                best_bid: yes_bid,
                best_ask: yes_ask,
                last_price: price,
                volume,
                open_interest,
            }))
        }
    });
}

/// A ticker's values as sent, without those of an empty side, bid 0 or ask 1, and of a market without a trade
/// (kalshi/protocol.md, 5).
fn top_of_book<'a>(sent: &TopOfBook<'a>) -> TopOfBook<'a> {
    TopOfBook {
        best_bid: sent.best_bid.filter(|&bid| bid != Price::ZERO),
        best_ask: sent.best_ask.filter(|&ask| ask != Price::ONE),
        last_price: sent.last_price.filter(|&price| price != Price::ZERO),
        ..*sent
    }
}

/// The event of a snapshot whose levels are in terms of YES.
pub(super) fn snapshot<'a>(market: &'a str, timestamp_ms: u64, scratch: &'a Scratch) -> Event<'a> {
    Event::Snapshot(Snapshot {
        market,
        token: market,
        timestamp_ms,
        hash: None,
        bids: &scratch.yes,
        asks: &scratch.no,
        tick_size: None,
        last_trade: None,
        min_order_size: None,
        neg_risk: None,
    })
}

/// Validates one message and delivers it.
fn deliver<S: Sink>(frame: &str, fields: Fields<'_>, scratch: &mut Scratch, sink: &mut S) {
    let kind = Kind::of(&fields);
    let (sid, seq, id) = (fields.sid, fields.seq, fields.id);
    // Even an invalid message has used its sequence number.
    let sequenced = kind != Kind::Subscribed;
    let counted = sid.or(seq.map(|_| kind.unnamed_sid()));
    let content = kind.content();
    if sequenced && !sink.on_envelope(&Envelope { sid: counted, seq, id, content }) {
        return;
    }
    let ticker = fields.ticker.unwrap_or("");
    if is_lost(kind, &fields) {
        sink.on_lost();
    }
    let offset = end_of(frame, [fields.kind, fields.ticker, fields.trade_id]);
    if kind.has_foreign_keys(&fields) {
        let (fault, market, token) = (MessageFault::BadValue("type"), ticker, ticker);
        let bad = DecodeNotice::BadMessage { fault, offset, market, token, text: "" };
        return sink.on_decode_notice(&bad);
    }
    if let Kind::Unknown(name) = kind {
        if fields.may_change_a_book() {
            let (fault, market, token) = (MessageFault::BadValue("type"), ticker, ticker);
            let bad = DecodeNotice::BadMessage { fault, offset, market, token, text: "" };
            sink.on_decode_notice(&bad);
        }
        return sink.on_decode_notice(&DecodeNotice::UnknownEvent(name));
    }
    if let Some(reply) = reply(kind, &fields)
        && !sink.on_reply(&reply)
    {
        return;
    }
    let delivered = match (fields.fault, kind) {
        (Some(fault), _) => Err(fault),
        (None, Kind::Lifecycle) => market_update(fields).map(|update| {
            if let Some(update) = update {
                sink.on_market_update(update);
            }
        }),
        (None, Kind::Snapshot | Kind::Delta | Kind::Trade | Kind::Ticker) => {
            event(kind, &fields, scratch).map(|event| sink.on_event(&event))
        }
        (
            None,
            Kind::Subscribed
            | Kind::Unsubscribed
            | Kind::Ok
            | Kind::Error
            | Kind::Ignored
            | Kind::Unknown(_),
        ) => Ok(()),
    };
    if let Err(fault) = delivered {
        let book = matches!(kind, Kind::Snapshot | Kind::Delta);
        let (market, token) = if book { (ticker, ticker) } else { ("", "") };
        sink.on_decode_notice(&DecodeNotice::BadMessage { fault, offset, market, token, text: "" });
    } else if !scratch.unknown_keys.is_empty() {
        sink.on_decode_notice(&DecodeNotice::UnknownKeys(&scratch.unknown_keys));
    }
}

/// A message that may change a book and names no market, or a change without sequence number: a message of any book
/// may be missing.
fn is_lost(kind: Kind<'_>, fields: &Fields<'_>) -> bool {
    let nameless = fields.ticker.is_none_or(str::is_empty);
    match kind {
        Kind::Snapshot => nameless,
        Kind::Delta => nameless || fields.seq.is_none(),
        Kind::Unknown(_) => nameless && fields.may_change_a_book(),
        _ => nameless && kind.has_foreign_keys(fields),
    }
}

/// The command response in a message, if any.
fn reply<'a>(kind: Kind<'a>, fields: &'a Fields<'a>) -> Option<Reply<'a>> {
    let (id, sid) = (fields.id, fields.sid);
    Some(match kind {
        Kind::Subscribed => Reply::Subscribed { id, sid, channel: fields.channel.unwrap_or("") },
        Kind::Unsubscribed => Reply::Unsubscribed { id, sid },
        Kind::Ok => Reply::Ok { id, sid },
        Kind::Error => Reply::Error {
            id,
            sid,
            code: fields.code.unwrap_or(0),
            text: fields.text.as_deref().unwrap_or(""),
        },
        Kind::Snapshot => Reply::Snapshot { id, market: fields.ticker.unwrap_or("") },
        _ => return None,
    })
}

fn event<'a>(
    kind: Kind<'_>,
    fields: &Fields<'a>,
    scratch: &'a mut Scratch,
) -> Result<Event<'a>, MessageFault> {
    let market = need(fields.ticker, "market_ticker")?;
    let token = market;
    // A snapshot has no timestamp of its own (kalshi/protocol.md, 3.1).
    let timestamp_ms = fields.timestamp_ms.or(fields.sending_ts_ms).unwrap_or(0);
    Ok(match kind {
        Kind::Snapshot if fields.has_unknown_levels() => {
            return Err(MessageFault::Missing("yes_dollars_fp"));
        }
        Kind::Snapshot => {
            for level in &mut scratch.no {
                level.price = level.price.complement();
            }
            snapshot(market, timestamp_ms, scratch)
        }
        Kind::Delta => {
            let price = need(fields.price, "price_dollars")?;
            let is_yes = need(fields.is_yes, "side")?;
            let (side, price) =
                if is_yes { (Side::Bid, price) } else { (Side::Ask, price.complement()) };
            let units = need(fields.delta, "delta_fp")?;
            Event::Delta(Delta { market, token, timestamp_ms, side, price, units })
        }
        Kind::Trade => Event::Trade(Trade {
            market,
            token,
            timestamp_ms,
            price: need(fields.yes_price, "yes_price_dollars")?,
            quantity: need(fields.count, "count_fp")?,
            side: if need(fields.taker_yes, "taker_side")? { Side::Bid } else { Side::Ask },
            fee_rate_bps: None,
            transaction_hash: need(fields.trade_id, "trade_id")?,
        }),
        Kind::Ticker => Event::TopOfBook(top_of_book(&TopOfBook {
            market,
            token,
            timestamp_ms,
            best_bid: fields.yes_bid,
            best_ask: fields.yes_ask,
            last_price: fields.price,
            volume: fields.volume,
            open_interest: fields.open_interest,
        })),
        Kind::Subscribed
        | Kind::Unsubscribed
        | Kind::Ok
        | Kind::Error
        | Kind::Lifecycle
        | Kind::Ignored
        | Kind::Unknown(_) => return Err(MessageFault::BadValue("type")),
    })
}

/// Update of a lifecycle message (kalshi/protocol.md, 3.4); `None` if nothing relevant changes.
fn market_update(mut fields: Fields<'_>) -> Result<Option<MarketUpdate>, MessageFault> {
    let ticker = need(fields.ticker, "market_ticker")?;
    let market = MarketId::new(ticker).ok_or(MessageFault::BadValue("market_ticker"))?;
    let token = TokenId::new(ticker).ok_or(MessageFault::BadValue("market_ticker"))?;
    let ns = |seconds: Option<u64>| seconds.and_then(|s| s.checked_mul(SECOND_NS));
    Ok(match need(fields.event_type, "event_type")? {
        "created" => Some(MarketUpdate::Announced(MarketInfo {
            market,
            tokens: vec![Outcome { token, name: "Yes".to_owned() }],
            slug: ticker.to_owned(),
            question: question(fields.title.take(), fields.yes_title.take()),
            start_wall_ns: ns(fields.open_ts),
            end_wall_ns: ns(fields.close_ts),
            tick_size: None,
            min_order_size: None,
            neg_risk: false,
            listing: None,
        })),
        "activated" => Some(MarketUpdate::Activated { market }),
        "deactivated" => Some(MarketUpdate::Deactivated { market }),
        "close_date_updated" => {
            ns(fields.close_ts).map(|end_wall_ns| MarketUpdate::EndMoved { market, end_wall_ns })
        }
        "determined" => {
            let resolution = resolution(token, fields.result, fields.settlement_value);
            Some(MarketUpdate::Resolved { market, resolution })
        }
        "settled" => Some(MarketUpdate::Settled { market }),
        _ => None,
    })
}

/// The title, followed by the meaning of YES.
fn question(title: Option<String>, yes: Option<String>) -> String {
    let mut text = title.unwrap_or_default();
    if let Some(yes) = yes.filter(|yes| !yes.is_empty()) {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&yes);
    }
    text.truncate(text.floor_char_boundary(CATALOG_TEXT_BYTES_MAX));
    text
}

#[cfg(test)]
#[path = "decode/layouts/tests.rs"]
mod layouts;
#[cfg(test)]
mod tests;
