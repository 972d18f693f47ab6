//! One Kalshi WebSocket v2 message as JSON: keys in any order, fields borrowed or exact.
//!
//! Runs on:  shards, replay (pure). Owns: scratch memory, reused for every message.
//! Bounds:   `LEVELS_PER_SIDE_MAX` levels per side; more is a fault.
//!
//! All keys of the envelope and of `msg` are collected before interpretation: `type` may be the last key, and the order
//! of keys is not stable (kalshi/protocol.md, 2.1).
use crate::base::{
    limits::LEVELS_PER_SIDE_MAX,
    price::{Price, Quantity},
};
use crate::market::book::Level;
use crate::venue::MessageFault;
use crate::venue::json::{Scalar, ScalarSeed, Skip, keys, other_values};
use nested::{Nested, NestedSeed, Shape};
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use std::fmt;

mod nested;

/// One contract in [`Quantity`] units.
const CONTRACT_UNITS: u64 = 1_000_000;

/// Memory for one message at a time.
#[derive(Debug, Default)]
pub struct Scratch {
    /// `yes_dollars_fp`, as sent.
    pub yes: Vec<Level>,
    /// `no_dollars_fp`, as sent.
    pub no: Vec<Level>,
    /// The sides in older forms, for messages without the current one.
    older: Older,
    /// Unknown keys, each once, separated by commas; cut at `UNRECOGNIZED_BYTES_MAX`.
    pub unknown_keys: String,
}

/// Snapshot sides in the forms until 2026-03 (kalshi/protocol.md, 3.1): `yes_dollars` and `no_dollars` hold
/// `["0.0800",300]`, `yes` and `no` hold `[8,300]` in cents. Some messages have two or three forms.
#[derive(Debug, Default)]
struct Older {
    dollars: [Vec<Level>; 2],
    cents: [Vec<Level>; 2],
}

impl Older {
    fn clear(&mut self) {
        self.dollars.iter_mut().chain(&mut self.cents).for_each(Vec::clear);
    }
}

/// Scalar fields of the envelope and of `msg`. Strings are borrowed from the frame.
#[derive(Clone, Debug, Default)]
pub struct Fields<'a> {
    /// `type`.
    pub kind: Option<&'a str>,
    /// `id` of the answered command; zero counts as none.
    pub id: Option<u64>,
    /// `sid`, on the envelope or, in `subscribed`, within `msg`.
    pub sid: Option<u64>,
    /// `seq`.
    pub seq: Option<u64>,
    /// `sending_ts_ms`.
    pub sending_ts_ms: Option<u64>,
    /// `market_ticker`.
    pub ticker: Option<&'a str>,
    /// `channel`.
    pub channel: Option<&'a str>,
    /// `code` of an error.
    pub code: Option<u64>,
    /// `msg` of an error.
    pub text: Option<String>,
    /// `ts_ms`, or else `ts`; milliseconds since the Unix epoch.
    pub timestamp_ms: Option<u64>,
    /// `price_dollars`: price of a delta, or last price of a ticker.
    pub price: Option<Price>,
    /// `delta_fp`, signed units of [`Quantity`].
    pub delta: Option<i64>,
    /// `side`: true for `yes`.
    pub is_yes: Option<bool>,
    /// `trade_id`.
    pub trade_id: Option<&'a str>,
    /// `yes_price_dollars`.
    pub yes_price: Option<Price>,
    /// `count_fp`.
    pub count: Option<Quantity>,
    /// `taker_outcome_side`, or else `taker_side`: true for `yes`.
    pub taker_yes: Option<bool>,
    /// `yes_bid_dollars`.
    pub yes_bid: Option<Price>,
    /// `yes_ask_dollars`.
    pub yes_ask: Option<Price>,
    /// `volume_fp` of a ticker.
    pub volume: Option<Quantity>,
    /// `open_interest_fp` of a ticker.
    pub open_interest: Option<Quantity>,
    /// `event_type` of a lifecycle message.
    pub event_type: Option<&'a str>,
    /// `open_ts`, seconds since the Unix epoch.
    pub open_ts: Option<u64>,
    /// `close_ts`, seconds since the Unix epoch.
    pub close_ts: Option<u64>,
    /// `result`.
    pub result: Option<&'a str>,
    /// `settlement_value`: payout of YES.
    pub settlement_value: Option<Price>,
    /// `title` within `additional_metadata`.
    pub title: Option<String>,
    /// `yes_sub_title` within `additional_metadata`.
    pub yes_title: Option<String>,
    /// `event_ticker` within `additional_metadata` or `msg`.
    pub event_ticker: Option<&'a str>,
    /// False if the frame is no JSON object.
    pub is_object: bool,
    /// First violation found.
    pub fault: Option<MessageFault>,
    /// `msg` has an unknown key with a list of lists or objects, the shape of levels, perhaps within objects.
    pub unknown_list: bool,
    /// What is found within unknown keys, and in a `msg` that is a list.
    nested: Nested,
    ts: Option<u64>,
    taker_side: Option<bool>,
    /// `price`, `yes_price`, `yes_bid` and `yes_ask`: cents, until 2026-03.
    price_cents: Option<Price>,
    yes_price_cents: Option<Price>,
    yes_bid_cents: Option<Price>,
    yes_ask_cents: Option<Price>,
    /// `delta` and `count`: whole contracts, until 2026-03.
    delta_whole: Option<i64>,
    count_whole: Option<Quantity>,
    seen: u64,
}

keys! {
    ignored: |name| IGNORED_KEYS.binary_search(&name).is_ok();
    "type" => Type, "id" => Id, "sid" => Sid, "seq" => Seq, "msg" => Msg,
    "sending_ts_ms" => SendingTsMs, "market_ticker" => MarketTicker, "channel" => Channel,
    "code" => Code, "ts_ms" => TsMs, "ts" => Ts, "price_dollars" => PriceDollars,
    "delta_fp" => DeltaFp, "side" => Side, "yes_dollars_fp" => YesDollarsFp,
    "no_dollars_fp" => NoDollarsFp, "trade_id" => TradeId, "yes_price_dollars" => YesPriceDollars,
    "count_fp" => CountFp, "taker_side" => TakerSide, "taker_outcome_side" => TakerOutcomeSide,
    "volume_fp" => VolumeFp, "open_interest_fp" => OpenInterestFp,
    "yes_bid_dollars" => YesBidDollars, "yes_ask_dollars" => YesAskDollars,
    "event_type" => EventType, "open_ts" => OpenTs, "close_ts" => CloseTs, "result" => Result,
    "settlement_value" => SettlementValue,
    "additional_metadata" => AdditionalMetadata, "title" => Title, "yes_sub_title" => YesSubTitle,
    "event_ticker" => EventTicker, "ticker" => Ticker, "orderbook_fp" => OrderbookFp,
    "yes_dollars" => YesDollars, "no_dollars" => NoDollars, "yes" => Yes, "no" => No, "price" => Price,
    "delta" => Delta, "count" => Count, "yes_price" => YesPrice, "yes_bid" => YesBid,
    "yes_ask" => YesAsk,
}

/// Levels of one side, in each of their forms.
const SIDES: [Key; 6] =
    [Key::YesDollarsFp, Key::NoDollarsFp, Key::YesDollars, Key::NoDollars, Key::Yes, Key::No];

/// Known keys that are not used (kalshi/protocol.md, 2 and 3; recordings of 2025 and 2026).
const IGNORED_KEYS: [&str; 39] = [
    "can_close_early",
    "cap_strike",
    "client_order_id",
    "collateral_return_type",
    "custom_strike",
    "determination_ts",
    "dollar_open_interest",
    "dollar_volume",
    "exchange_index",
    "expected_expiration_ts",
    "expiration_ts",
    "fee_multiplier_override",
    "fee_type_override",
    "floor_strike",
    "is_block_trade",
    "is_deactivated",
    "last_trade_size_fp",
    "market_id",
    "market_ids",
    "market_tickers",
    "name",
    "no_price",
    "no_price_dollars",
    "no_sub_title",
    "open_interest",
    "price_level_structure",
    "price_ranges",
    "rules_primary",
    "rules_secondary",
    "series_ticker",
    "settled_ts",
    "strike_type",
    "subaccount",
    "subtitle",
    "taker_book_side",
    "time",
    "volume",
    "yes_ask_size_fp",
    "yes_bid_size_fp",
];

/// The object being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Envelope,
    Msg,
    Metadata,
    /// A REST book, and its `orderbook_fp` (kalshi/protocol.md, 4).
    RestBook,
    RestLevels,
}

impl Key {
    /// REST only.
    const fn is_rest(self) -> bool {
        matches!(self, Self::Ticker | Self::OrderbookFp)
    }

    const fn bit(self) -> u64 {
        1 << (self as u32)
    }
}

impl Fields<'_> {
    /// Falls back to the older forms of values whose current form is absent.
    fn take_older(&mut self, scratch: &mut Scratch) {
        let Scratch { yes, no, older, .. } = scratch;
        let sides = [
            (yes, Key::YesDollarsFp, Key::YesDollars, 0),
            (no, Key::NoDollarsFp, Key::NoDollars, 1),
        ];
        for (levels, newest, dollars, side) in sides {
            if self.seen & newest.bit() != 0 {
                // Of a side that is empty in one form and not in another it is not known which is right.
                let is_other =
                    [&older.dollars[side], &older.cents[side]].iter().any(|l| !l.is_empty());
                if levels.is_empty() && is_other {
                    self.fault.get_or_insert(MessageFault::BadValue(newest.name()));
                }
                continue;
            }
            let from = match self.seen & dollars.bit() {
                0 => &mut older.cents[side],
                _ => &mut older.dollars[side],
            };
            std::mem::swap(levels, from);
        }
        self.price = self.price.or(self.price_cents);
        self.yes_price = self.yes_price.or(self.yes_price_cents);
        self.yes_bid = self.yes_bid.or(self.yes_bid_cents);
        self.yes_ask = self.yes_ask.or(self.yes_ask_cents);
        self.delta = self.delta.or(self.delta_whole);
        self.count = self.count.or(self.count_whole);
    }

    /// Whether a snapshot has no known side but a list under an unknown key: levels in an unknown form rather than an
    /// empty book.
    pub(super) fn has_unknown_levels(&self) -> bool {
        !self.has_any(&SIDES) && self.unknown_list
    }

    /// Whether a message of an unknown type may change a book: it is numbered or names a market, and has levels, a
    /// difference or the price of a level, names itself a message of the channel, or does not say what it is. What is
    /// neither numbered nor names a market may be the envelope of what does.
    pub(super) fn may_change_a_book(&self) -> bool {
        let is_of_channel = self.kind.is_some_and(is_of_channel);
        let Nested { names_market, has_type, has_change } = self.nested;
        if self.ticker.is_some() || self.seq.is_some() {
            let is_level =
                self.has_any(&[Key::PriceDollars, Key::Price]) && self.has_any(&[Key::Side]);
            return self.kind.is_none() || is_of_channel || is_level || self.has_book_keys();
        }
        let is_typed = self.kind.is_some() || has_type;
        names_market && (!is_typed || is_of_channel || has_change)
            || is_of_channel && self.has_unknown_levels()
    }

    /// Whether a message has keys that only snapshots and deltas have.
    pub(super) fn has_book_keys(&self) -> bool {
        self.has_any(&SIDES) || self.has_any(&[Key::DeltaFp, Key::Delta])
    }

    fn has_any(&self, keys: &[Key]) -> bool {
        keys.iter().any(|key| self.seen & key.bit() != 0)
    }
}

/// Whether a message's type is of the order book channel.
fn is_of_channel(kind: &str) -> bool {
    kind.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("orderbook"))
}

/// Reads one message into `scratch` and returns its scalar fields.
///
/// # Errors
/// The frame is invalid JSON.
pub(super) fn read<'de>(
    frame: &'de str,
    scratch: &mut Scratch,
) -> Result<Fields<'de>, sonic_rs::Error> {
    let mut fields = read_at(Place::Envelope, frame, scratch)?;
    fields.timestamp_ms = fields.timestamp_ms.or(fields.ts);
    fields.taker_yes = fields.taker_yes.or(fields.taker_side);
    fields.take_older(scratch);
    if !fields.is_object {
        fields.fault = Some(MessageFault::BadValue("message"));
    }
    Ok(fields)
}

/// Reads one REST book: ticker and levels.
///
/// # Errors
/// The text is invalid JSON.
pub(super) fn read_rest_book<'de>(
    text: &'de str,
    scratch: &mut Scratch,
) -> Result<Fields<'de>, sonic_rs::Error> {
    read_at(Place::RestBook, text, scratch)
}

fn read_at<'de>(
    place: Place,
    text: &'de str,
    scratch: &mut Scratch,
) -> Result<Fields<'de>, sonic_rs::Error> {
    scratch.yes.clear();
    scratch.no.clear();
    scratch.older.clear();
    scratch.unknown_keys.clear();
    let mut fields = Fields::default();
    let mut json = sonic_rs::Deserializer::from_str(text);
    ObjectSeed { scratch, fields: &mut fields, place }.deserialize(&mut json)?;
    json.end()?;
    Ok(fields)
}

/// Reads the keys of one [`Place`].
struct ObjectSeed<'s, 'de> {
    scratch: &'s mut Scratch,
    fields: &'s mut Fields<'de>,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_, 'de> {
    type Value = ();
    fn deserialize<D: de::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    other_values!((), |_| Ok(()); number);

    // In `msg` the list of a `list_subscriptions` response is not needed.
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        NestedSeed(&mut self.fields.nested).visit_seq(seq).map(drop)
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        if self.place == Place::Msg {
            self.fields.text = Some(text.to_owned());
        }
        NestedSeed(&mut self.fields.nested).visit_str(text).map(drop)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        if self.place == Place::Envelope {
            self.fields.is_object = true;
        }
        while let Some(key) =
            map.next_key_seed(KeySeed { unknown: &mut self.scratch.unknown_keys })?
        {
            match (key, self.place) {
                (Key::Unknown, Place::Envelope | Place::Msg) => {
                    let shape = map.next_value_seed(NestedSeed(&mut self.fields.nested))?;
                    self.fields.unknown_list |= shape == Shape::Levels && self.place == Place::Msg;
                }
                (Key::Unknown, _) => _ = map.next_value::<Skip>()?,
                (Key::Msg, Place::Envelope) => {
                    self.once(Key::Msg);
                    map.next_value_seed(self.within(Place::Msg))?;
                }
                (Key::AdditionalMetadata, Place::Msg) => {
                    map.next_value_seed(self.within(Place::Metadata))?;
                }
                (Key::Ticker, Place::RestBook) => {
                    self.once(key);
                    self.fields.ticker = map.next_value_seed(ScalarSeed)?.text();
                }
                (Key::OrderbookFp, Place::RestBook) => {
                    self.once(key);
                    map.next_value_seed(self.within(Place::RestLevels))?;
                }
                (Key::YesDollarsFp | Key::NoDollarsFp, Place::Msg)
                | (Key::YesDollars | Key::NoDollars, Place::RestLevels) => {
                    self.once(key);
                    let Scratch { yes, no, .. } = &mut *self.scratch;
                    let is_yes = matches!(key, Key::YesDollarsFp | Key::YesDollars);
                    let into = if is_yes { yes } else { no };
                    let (form, fault) = (Form::Dollars, &mut self.fields.fault);
                    map.next_value_seed(LevelsSeed { into, key, form, fault })?;
                }
                (Key::YesDollars | Key::NoDollars | Key::Yes | Key::No, Place::Msg) => {
                    self.once(key);
                    let Older { dollars, cents } = &mut self.scratch.older;
                    let (into, form) = match key {
                        Key::YesDollars => (&mut dollars[0], Form::Dollars),
                        Key::NoDollars => (&mut dollars[1], Form::Dollars),
                        Key::Yes => (&mut cents[0], Form::Cents),
                        _ => (&mut cents[1], Form::Cents),
                    };
                    let fault = &mut self.fields.fault;
                    map.next_value_seed(LevelsSeed { into, key, form, fault })?;
                }
                (_, Place::RestBook | Place::RestLevels) => _ = map.next_value::<Skip>()?,
                (key, _) if key.is_rest() => {
                    KeySeed { unknown: &mut self.scratch.unknown_keys }.note(key.name());
                    let shape = map.next_value_seed(NestedSeed(&mut self.fields.nested))?;
                    self.fields.unknown_list |= shape == Shape::Levels;
                }
                (_, place) => {
                    let value = map.next_value_seed(ScalarSeed)?;
                    self.read_scalar(key, value, place);
                }
            }
        }
        Ok(())
    }
}

impl<'de> ObjectSeed<'_, 'de> {
    fn within(&mut self, place: Place) -> ObjectSeed<'_, 'de> {
        ObjectSeed { scratch: &mut *self.scratch, fields: &mut *self.fields, place }
    }

    /// A repeated key is a fault.
    fn once(&mut self, key: Key) {
        let bit = key.bit();
        if self.fields.seen & bit != 0 {
            self.fields.fault.get_or_insert(MessageFault::Repeated(key.name()));
        }
        self.fields.seen |= bit;
    }

    fn read_scalar(&mut self, key: Key, value: Scalar<'de>, place: Place) {
        let name = key.name();
        if place == Place::Metadata {
            return match key {
                Key::Title => self.fields.title = value.into_owned(),
                Key::YesSubTitle => self.fields.yes_title = value.into_owned(),
                Key::EventTicker => self.fields.event_ticker = value.text(),
                _ => {}
            };
        }
        if place == Place::Envelope {
            return self.read_envelope(key, &value);
        }
        if !matches!(key, Key::Sid | Key::Type | Key::Msg) {
            self.once(key);
        }
        let fields = &mut *self.fields;
        let fault = &mut fields.fault;
        match key {
            Key::MarketTicker => fields.ticker = value.text(),
            Key::Channel => fields.channel = value.text(),
            Key::Sid => fields.sid = fields.sid.or(whole(&value)),
            Key::Code => fields.code = whole(&value),
            Key::Msg => fields.text = value.into_owned(),
            Key::TsMs => fields.timestamp_ms = number(&value, name, fault),
            Key::Ts => fields.ts = time_ms(&value),
            Key::PriceDollars => fields.price = value.decimal(name, fault, Price::parse),
            Key::DeltaFp => fields.delta = value.decimal(name, fault, parse_signed),
            Key::Side => fields.is_yes = yes_or_no(&value, name, fault),
            Key::TradeId => fields.trade_id = value.text(),
            Key::YesPriceDollars => fields.yes_price = value.decimal(name, fault, Price::parse),
            Key::CountFp => fields.count = value.decimal(name, fault, Quantity::parse),
            Key::TakerSide => fields.taker_side = yes_or_no(&value, name, &mut None),
            Key::TakerOutcomeSide => fields.taker_yes = yes_or_no(&value, name, &mut None),
            // A ticker is a cross-check: an unreadable value is ignored.
            Key::VolumeFp => fields.volume = value.decimal(name, &mut None, Quantity::parse),
            Key::OpenInterestFp => {
                fields.open_interest = value.decimal(name, &mut None, Quantity::parse);
            }
            Key::YesBidDollars => fields.yes_bid = value.decimal(name, &mut None, Price::parse),
            Key::YesAskDollars => fields.yes_ask = value.decimal(name, &mut None, Price::parse),
            Key::EventType => fields.event_type = value.text(),
            Key::OpenTs => fields.open_ts = whole(&value),
            Key::CloseTs => fields.close_ts = whole(&value),
            Key::Result => fields.result = value.text(),
            // An unreadable value does not invalidate the result.
            Key::SettlementValue => {
                fields.settlement_value = value.decimal(name, &mut None, Price::parse);
            }
            Key::EventTicker => fields.event_ticker = value.text(),
            Key::Price => fields.price_cents = cents(&value),
            Key::YesPrice => fields.yes_price_cents = cents(&value),
            Key::YesBid => fields.yes_bid_cents = cents(&value),
            Key::YesAsk => fields.yes_ask_cents = cents(&value),
            Key::Delta => fields.delta_whole = whole_signed(&value),
            Key::Count => fields.count_whole = contracts(&value),
            _ => {}
        }
    }

    fn read_envelope(&mut self, key: Key, value: &Scalar<'de>) {
        if !matches!(key, Key::Sid | Key::Msg) {
            self.once(key);
        }
        let (fields, name) = (&mut *self.fields, key.name());
        match key {
            Key::Type => fields.kind = value.text(),
            Key::Id => fields.id = whole(value).filter(|&id| id > 0),
            Key::Sid => fields.sid = number(value, name, &mut fields.fault),
            Key::Seq => fields.seq = number(value, name, &mut fields.fault),
            Key::SendingTsMs => fields.sending_ts_ms = whole(value),
            Key::Code => fields.code = whole(value),
            _ => {}
        }
    }
}

fn whole(value: &Scalar<'_>) -> Option<u64> {
    match value {
        Scalar::Number(number) => Some(*number),
        Scalar::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// Whole cents, the form until 2026-03.
fn cents(value: &Scalar<'_>) -> Option<Price> {
    let units = whole(value)?.checked_mul(u64::from(Price::ONE.0) / 100)?;
    u32::try_from(units).ok().map(Price).filter(|&price| price <= Price::ONE)
}

/// Whole contracts, the form until 2026-03.
fn contracts(value: &Scalar<'_>) -> Option<Quantity> {
    match value {
        Scalar::Number(number) => number.checked_mul(CONTRACT_UNITS).map(Quantity),
        Scalar::Text(text) => Quantity::parse(text.as_bytes()),
        _ => None,
    }
}

/// Signed whole contracts.
fn whole_signed(value: &Scalar<'_>) -> Option<i64> {
    match value {
        Scalar::Number(number) => i64::try_from(number.checked_mul(CONTRACT_UNITS)?).ok(),
        Scalar::Negative(number) => number.checked_mul(CONTRACT_UNITS as i64),
        Scalar::Text(text) => parse_signed(text.as_bytes()),
        _ => None,
    }
}

fn number(value: &Scalar<'_>, key: &'static str, fault: &mut Option<MessageFault>) -> Option<u64> {
    let number = whole(value);
    if number.is_none() && !matches!(value, Scalar::Null) {
        fault.get_or_insert(MessageFault::BadValue(key));
    }
    number
}

fn yes_or_no(
    value: &Scalar<'_>,
    key: &'static str,
    fault: &mut Option<MessageFault>,
) -> Option<bool> {
    let side = match value.text() {
        Some("yes") => Some(true),
        Some("no") => Some(false),
        _ => None,
    };
    if side.is_none() {
        fault.get_or_insert(MessageFault::BadValue(key));
    }
    side
}

/// `ts`: RFC 3339 in deltas, seconds in trades and tickers (kalshi/protocol.md, 3); as milliseconds since the Unix
/// epoch.
fn time_ms(value: &Scalar<'_>) -> Option<u64> {
    match value {
        Scalar::Number(seconds) => seconds.checked_mul(1000),
        Scalar::Text(text) => {
            let at: jiff::Timestamp = text.parse().ok()?;
            u64::try_from(at.as_millisecond()).ok()
        }
        _ => None,
    }
}

/// A signed decimal such as `-100.00`, in [`Quantity`] units.
fn parse_signed(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let units = i64::try_from(Quantity::parse(digits)?.0).ok()?;
    Some(if negative { -units } else { units })
}

/// Form of a level's price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `"0.0800"`; the quantity is a string or, until 2026-03, an integer.
    Dollars,
    /// `8`, until 2026-03.
    Cents,
}

/// Reads `[["0.0800","300.00"], …]` into level memory.
struct LevelsSeed<'s> {
    into: &'s mut Vec<Level>,
    key: Key,
    form: Form,
    fault: &'s mut Option<MessageFault>,
}

impl<'de> DeserializeSeed<'de> for LevelsSeed<'_> {
    type Value = ();
    fn deserialize<D: de::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for LevelsSeed<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of levels")
    }
    other_values!((), |this: Self| this.refuse(); number, text, map);
    // An empty side may be null.
    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(level) = seq.next_element_seed(LevelSeed { form: self.form })? {
            let Some(level) = level else {
                self.fault.get_or_insert(MessageFault::BadValue(self.key.name()));
                continue;
            };
            if self.into.len() == LEVELS_PER_SIDE_MAX {
                self.fault.get_or_insert(MessageFault::TooMany(self.key.name()));
                continue;
            }
            self.into.push(level);
        }
        Ok(())
    }
}

impl LevelsSeed<'_> {
    fn refuse<E>(self) -> Result<(), E> {
        self.fault.get_or_insert(MessageFault::BadValue(self.key.name()));
        Ok(())
    }
}

/// Reads `["0.0800","300.00"]`; `None` for another shape.
struct LevelSeed {
    form: Form,
}

impl<'de> DeserializeSeed<'de> for LevelSeed {
    type Value = Option<Level>;
    fn deserialize<D: de::Deserializer<'de>>(self, from: D) -> Result<Option<Level>, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for LevelSeed {
    type Value = Option<Level>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a price and a quantity")
    }
    other_values!(Option<Level>, |_| Ok(None); scalar, map);
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<Level>, A::Error> {
        let price = seq.next_element_seed(ScalarSeed)?;
        let quantity = seq.next_element_seed(ScalarSeed)?;
        let mut more = false;
        while seq.next_element::<Skip>()?.is_some() {
            more = true;
        }
        let price = match (self.form, price) {
            (Form::Dollars, Some(Scalar::Text(text))) => Price::parse(text.as_bytes()),
            (Form::Dollars, _) => None,
            (Form::Cents, price) => price.as_ref().and_then(cents),
        };
        let quantity = quantity.as_ref().and_then(contracts);
        let level = price.zip(quantity).filter(|_| !more);
        Ok(level.map(|(price, quantity)| Level { price, quantity }))
    }
}

#[cfg(test)]
mod tests;
