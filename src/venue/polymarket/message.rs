//! One market-channel message as JSON: keys in any order, fields borrowed or exact.
//!
//! Runs on:  shards, replay (pure). Owns: scratch memory, reused for every message.
//! Bounds:   `LEVELS_PER_SIDE_MAX` levels per side, the same number of changes; more is a fault.
//!
//! All keys are collected before interpretation: `event_type` is usually the last key, and the order of keys differs.
use super::catalog::is_token;
use crate::base::{
    condition,
    id::{MarketId, TokenId},
    limits::{LEVELS_PER_SIDE_MAX, TOKENS_PER_CONNECTION_MAX},
    price::{Price, Quantity},
};
use crate::market::book::{Level, Side, image::BookHash};
use crate::market::event::{ChangeSpan, Span};
use crate::venue::MessageFault;
use crate::venue::json::{Scalar, ScalarSeed, Skip, keys, other_values};
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// 13 digits: the year 2286. Larger values are microseconds or nanoseconds.
const TIMESTAMP_MS_MAX: u64 = 9_999_999_999_999;
/// Range of times in seconds, 2001 to 5138; as milliseconds they would be before March 1973.
const SECONDS: std::ops::Range<u64> = 1_000_000_000..100_000_000_000;

/// Scratch memory for one message: lists, and the strings of `new_market`.
#[derive(Debug, Default)]
pub struct Scratch {
    /// `bids`.
    pub bids: Vec<Level>,
    /// `asks`.
    pub asks: Vec<Level>,
    /// `price_changes` or `changes`.
    pub changes: Vec<ChangeSpan>,
    /// `assets_ids`, or else `clob_token_ids`.
    pub tokens: Vec<TokenId>,
    /// `position_ids`.
    pub positions: Vec<TokenId>,
    /// Canonical form of `market`, if the message has another form.
    pub market: Option<MarketId>,
    /// `outcomes`.
    pub outcomes: Vec<String>,
    /// Unknown keys, each once, separated by commas; cut at `UNRECOGNIZED_BYTES_MAX`. Their values are ignored.
    pub unknown_keys: String,
}

impl Scratch {
    fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
        self.changes.clear();
        self.tokens.clear();
        self.positions.clear();
        self.market = None;
        self.outcomes.clear();
        self.unknown_keys.clear();
    }
}

/// Scalar fields. Strings are borrowed from the frame.
#[derive(Clone, Debug, Default)]
pub struct Fields<'a> {
    /// `event_type`.
    pub event_type: Option<&'a str>,
    /// `market`.
    pub market: Option<&'a str>,
    /// `asset_id`.
    pub asset_id: Option<&'a str>,
    /// `timestamp`, milliseconds.
    pub timestamp_ms: Option<u64>,
    /// `hash`.
    pub hash: Option<BookHash>,
    /// `price`.
    pub price: Option<Price>,
    /// `size`.
    pub size: Option<Quantity>,
    /// `side`.
    pub side: Option<Side>,
    /// `tick_size`.
    pub tick_size: Option<Price>,
    /// `old_tick_size`.
    pub old_tick_size: Option<Price>,
    /// `new_tick_size`.
    pub new_tick_size: Option<Price>,
    /// `order_price_min_tick_size` of `new_market`.
    pub first_tick_size: Option<Price>,
    /// `last_trade_price`.
    pub last_trade: Option<Price>,
    /// `min_order_size`.
    pub min_order_size: Option<Quantity>,
    /// `neg_risk`.
    pub neg_risk: Option<bool>,
    /// `best_bid`.
    pub best_bid: Option<Price>,
    /// `best_ask`.
    pub best_ask: Option<Price>,
    /// `fee_rate_bps`.
    pub fee_rate_bps: Option<Quantity>,
    /// `transaction_hash`.
    pub transaction_hash: Option<&'a str>,
    /// `version` of `new_market`.
    pub version: Option<&'a str>,
    /// `winning_asset_id`.
    pub winning_asset_id: Option<&'a str>,
    /// `winning_outcome`; `None` where it is escaped.
    pub winning_outcome: Option<&'a str>,
    /// `slug`; owned because it may have escapes. Only in `new_market` and `market_resolved`.
    pub slug: Option<String>,
    /// `question`, as `slug`.
    pub question: Option<String>,
    /// False if the message is no JSON object.
    pub is_object: bool,
    /// List keys present, whatever their values.
    pub lists: Lists,
    /// First violation found.
    pub fault: Option<MessageFault>,
    seen: u64,
}

impl Fields<'_> {
    /// A value that is no object.
    fn not_an_object() -> Self {
        Self { fault: Some(MessageFault::BadValue("message")), ..Self::default() }
    }

    /// Whether a message of an unknown `event_type` has content of a book change: a damaged type name, or a new message
    /// type.
    pub(super) fn may_change_a_book(&self, event_type: &str) -> bool {
        let Lists { bids, asks, price_changes, old_changes, .. } = self.lists;
        let has = |key: Key| self.seen & (1 << key as u32) != 0;
        let nameless = event_type.is_empty()
            && [Key::Price, Key::Size, Key::Hash, Key::BestBid, Key::BestAsk].into_iter().any(has);
        (bids && asks) || price_changes || old_changes || nameless || has(Key::NewTickSize)
    }

    /// What is wrong with the type of a message that cannot be ignored.
    pub(super) const fn type_fault(&self) -> MessageFault {
        match self.seen & (1 << Key::EventType as u32) {
            0 => MessageFault::Missing("event_type"),
            _ => MessageFault::BadValue("event_type"),
        }
    }
}

/// List keys of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// `bids`.
    pub bids: bool,
    /// `asks`.
    pub asks: bool,
    /// `price_changes`: the form since 2025-09-15.
    pub price_changes: bool,
    /// `changes`: the form before 2025-09-15.
    pub old_changes: bool,
    /// `assets_ids`, not empty: `clob_token_ids` is then ignored.
    pub assets_ids: bool,
}

keys! {
    ignored: |name| IGNORED_KEYS.contains(&name);
    "asset_id" => AssetId, "price" => Price, "size" => Size, "side" => Side, "hash" => Hash,
    "best_bid" => BestBid, "best_ask" => BestAsk, "market" => Market, "timestamp" => Timestamp,
    "event_type" => EventType, "price_changes" => PriceChanges, "bids" => Bids, "asks" => Asks,
    "changes" => Changes, "tick_size" => TickSize, "last_trade_price" => LastTradePrice,
    "fee_rate_bps" => FeeRateBps, "transaction_hash" => TransactionHash,
    "old_tick_size" => OldTickSize, "new_tick_size" => NewTickSize,
    "min_order_size" => MinOrderSize, "neg_risk" => NegRisk, "assets_ids" => AssetsIds,
    "clob_token_ids" => ClobTokenIds, "position_ids" => PositionIds, "version" => Version, "outcomes" => Outcomes, "slug" => Slug,
    "question" => Question, "winning_asset_id" => WinningAssetId, "winning_outcome" => WinningOutcome,
    "order_price_min_tick_size" => FirstTickSize,
}

/// Known keys that are not used (polymarket/protocol.md, 3.5 to 3.6; recordings of May to October 2026).
const IGNORED_KEYS: [&str; 14] = [
    "active",
    "condition_id",
    "description",
    "event_message",
    "fee_schedule",
    "fees_enabled",
    "game_start_time",
    "group_item_title",
    "id",
    "line",
    "sports_market_type",
    "spread",
    "tags",
    "taker_base_fee",
];

impl<'de> Scalar<'de> {
    /// A token id: uint256 in decimal.
    fn token(&self, fault: &mut Option<MessageFault>) -> Option<&'de str> {
        let token = self.text().filter(|text| is_token(text));
        if token.is_none() {
            fault.get_or_insert(MessageFault::BadValue("asset_id"));
        }
        token
    }

    fn hash(&self) -> Option<BookHash> {
        self.text()?.as_bytes().try_into().ok()
    }

    fn side(&self, fault: &mut Option<MessageFault>) -> Option<Side> {
        let side = match self.text() {
            Some("BUY" | "buy") => Some(Side::Bid),
            Some("SELL" | "sell") => Some(Side::Ask),
            _ => None,
        };
        if side.is_none() {
            fault.get_or_insert(MessageFault::BadValue("side"));
        }
        side
    }

    fn timestamp_ms(&self, fault: &mut Option<MessageFault>) -> Option<u64> {
        let value = match self {
            Scalar::Text(text) => text.parse().ok(),
            Scalar::Number(number) => Some(*number),
            _ => None,
        };
        let value = value.filter(|ms| {
            // Seconds or a finer unit than milliseconds cannot be compared with a book's other times.
            *ms <= TIMESTAMP_MS_MAX && !SECONDS.contains(ms)
        });
        if value.is_none() {
            fault.get_or_insert(MessageFault::BadValue("timestamp"));
        }
        value
    }
}

/// Reads one message object into `scratch` and returns its scalar fields.
pub(super) struct MessageSeed<'s, 'de> {
    pub(super) scratch: &'s mut Scratch,
    pub(super) frame: &'de str,
}

impl<'de> DeserializeSeed<'de> for MessageSeed<'_, 'de> {
    type Value = Fields<'de>;
    fn deserialize<D: de::Deserializer<'de>>(self, from: D) -> Result<Fields<'de>, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MessageSeed<'_, 'de> {
    type Value = Fields<'de>;
    other_values!(Fields<'de>, |_| Ok(Fields::not_an_object()); scalar, seq);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Fields<'de>, A::Error> {
        self.scratch.clear();
        let mut fields = Fields { is_object: true, ..Fields::default() };
        while let Some(key) =
            map.next_key_seed(KeySeed { unknown: &mut self.scratch.unknown_keys })?
        {
            if key == Key::Unknown {
                map.next_value::<Skip>()?;
                continue;
            }
            let bit = 1u64 << (key as u32);
            if fields.seen & bit != 0 {
                fields.fault.get_or_insert(MessageFault::Repeated(key.name()));
            }
            fields.seen |= bit;
            self.read_value(key, &mut fields, &mut map)?;
        }
        if let Some(market) = fields.market
            && !condition::is_canonical(market)
        {
            self.scratch.market = condition::market_id(market);
        }
        Ok(fields)
    }
}

impl<'de> MessageSeed<'_, 'de> {
    fn read_value<A: MapAccess<'de>>(
        &mut self,
        key: Key,
        fields: &mut Fields<'de>,
        map: &mut A,
    ) -> Result<(), A::Error> {
        let Fields { fault, lists, .. } = fields;
        match key {
            Key::Bids | Key::Asks => {
                lists.bids |= key == Key::Bids;
                lists.asks |= key == Key::Asks;
                let Scratch { bids, asks, unknown_keys: unknown, .. } = &mut *self.scratch;
                let into = if key == Key::Bids { bids } else { asks };
                map.next_value_seed(LevelsSeed { into, key, fault, unknown })
            }
            Key::PriceChanges | Key::Changes => {
                lists.price_changes |= key == Key::PriceChanges;
                lists.old_changes |= key == Key::Changes;
                let Scratch { changes: into, unknown_keys: unknown, .. } = &mut *self.scratch;
                map.next_value_seed(ChangesSeed { into, key, fault, frame: self.frame, unknown })
            }
            // `assets_ids` takes precedence, in any order of keys.
            Key::ClobTokenIds if lists.assets_ids => map.next_value::<Skip>().map(drop),
            Key::AssetsIds | Key::ClobTokenIds => {
                self.scratch.tokens.clear();
                map.next_value_seed(TokensSeed { into: &mut self.scratch.tokens, fault })?;
                lists.assets_ids |= key == Key::AssetsIds && !self.scratch.tokens.is_empty();
                Ok(())
            }
            Key::PositionIds => {
                map.next_value_seed(TokensSeed { into: &mut self.scratch.positions, fault })
            }
            Key::Outcomes => map.next_value_seed(OutcomesSeed { into: &mut self.scratch.outcomes }),
            _ => {
                let value = map.next_value_seed(ScalarSeed)?;
                read_scalar(key, value, fields);
                Ok(())
            }
        }
    }
}

fn read_scalar<'de>(key: Key, value: Scalar<'de>, fields: &mut Fields<'de>) {
    let fault = &mut fields.fault;
    match key {
        Key::EventType => fields.event_type = value.text(),
        // The first value of a repeated key counts: frames are routed by it.
        Key::Market => {
            let market = value.text();
            if market.is_some_and(|id| !id.is_empty() && !id.starts_with("0x")) {
                fault.get_or_insert(MessageFault::BadValue("market"));
            }
            fields.market = fields.market.or(market);
        }
        Key::AssetId => fields.asset_id = value.token(fault),
        Key::Timestamp => fields.timestamp_ms = value.timestamp_ms(fault),
        Key::Hash => fields.hash = value.hash(),
        Key::Price => fields.price = value.decimal(key.name(), fault, Price::parse),
        Key::Size => fields.size = value.decimal(key.name(), fault, Quantity::parse),
        // Events without side may have an empty one.
        Key::Side if value.text() == Some("") => {}
        Key::Side => fields.side = value.side(fault),
        Key::TickSize => {
            fields.tick_size = value.decimal(key.name(), fault, Price::parse_tick_size);
        }
        Key::OldTickSize => fields.old_tick_size = value.decimal(key.name(), fault, Price::parse),
        Key::NewTickSize => {
            fields.new_tick_size = value.decimal(key.name(), fault, Price::parse_tick_size);
        }
        // An unreadable first tick size does not invalidate a new market; the first snapshot has it again.
        Key::FirstTickSize => {
            fields.first_tick_size = value.decimal(key.name(), &mut None, Price::parse_tick_size);
        }
        Key::LastTradePrice => fields.last_trade = value.decimal(key.name(), fault, Price::parse),
        Key::MinOrderSize => {
            fields.min_order_size = value.decimal(key.name(), fault, Quantity::parse)
        }
        Key::NegRisk => {
            fields.neg_risk = if let Scalar::Bool(value) = value { Some(value) } else { None };
        }
        Key::BestBid => fields.best_bid = value.decimal(key.name(), fault, Price::parse),
        Key::BestAsk => fields.best_ask = value.decimal(key.name(), fault, Price::parse),
        Key::FeeRateBps => {
            fields.fee_rate_bps = value.decimal(key.name(), &mut None, Quantity::parse)
        }
        Key::TransactionHash => fields.transaction_hash = value.text(),
        Key::Version => fields.version = value.text(),
        Key::WinningAssetId => fields.winning_asset_id = value.text(),
        Key::WinningOutcome => fields.winning_outcome = value.text(),
        Key::Slug => fields.slug = value.into_owned(),
        Key::Question => fields.question = value.into_owned(),
        _ => {}
    }
}

/// Reads `[{"price":"0.01","size":"5"}, …]` into level memory.
struct LevelsSeed<'s> {
    into: &'s mut Vec<Level>,
    key: Key,
    fault: &'s mut Option<MessageFault>,
    unknown: &'s mut String,
}

impl<'de> DeserializeSeed<'de> for LevelsSeed<'_> {
    type Value = ();
    fn deserialize<D: de::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for LevelsSeed<'_> {
    type Value = ();
    other_values!((), |this: Self| this.refuse(); scalar, map);
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of levels")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.into.clear();
        while let Some(entry) = seq.next_element_seed(EntrySeed {
            fault: self.fault,
            frame: "",
            unknown: self.unknown,
        })? {
            let (Some(price), Some(quantity)) = (entry.price, entry.size) else {
                self.fault.get_or_insert(entry.missing());
                continue;
            };
            if self.into.len() == LEVELS_PER_SIDE_MAX {
                self.fault.get_or_insert(MessageFault::TooMany(self.key.name()));
                continue;
            }
            self.into.push(Level { price, quantity });
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

/// Reads `price_changes` (token per entry) and the older `changes` (token in the envelope).
struct ChangesSeed<'s, 'de> {
    into: &'s mut Vec<ChangeSpan>,
    key: Key,
    fault: &'s mut Option<MessageFault>,
    frame: &'de str,
    unknown: &'s mut String,
}

impl<'de> DeserializeSeed<'de> for ChangesSeed<'_, 'de> {
    type Value = ();
    fn deserialize<D: de::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ChangesSeed<'_, 'de> {
    type Value = ();
    other_values!((), |this: Self| this.refuse(); scalar, map);
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of changes")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.into.clear();
        let frame = self.frame;
        while let Some(entry) =
            seq.next_element_seed(EntrySeed { fault: self.fault, frame, unknown: self.unknown })?
        {
            let (Some(price), Some(quantity), Some(side)) = (entry.price, entry.size, entry.side)
            else {
                self.fault.get_or_insert(entry.missing());
                continue;
            };
            if self.key == Key::PriceChanges && entry.token.len == 0 {
                self.fault.get_or_insert(MessageFault::Missing("asset_id"));
                continue;
            }
            if self.into.len() == LEVELS_PER_SIDE_MAX {
                self.fault.get_or_insert(MessageFault::TooMany(self.key.name()));
                continue;
            }
            self.into.push(ChangeSpan {
                token: entry.token,
                side,
                level: Level { price, quantity },
                hash: entry.hash,
                best_bid: entry.best_bid,
                best_ask: entry.best_ask,
            });
        }
        Ok(())
    }
}

impl ChangesSeed<'_, '_> {
    fn refuse<E>(self) -> Result<(), E> {
        self.fault.get_or_insert(MessageFault::BadValue(self.key.name()));
        Ok(())
    }
}

/// An object with a price and a size: a level or a change.
#[derive(Default)]
struct Entry {
    token: Span,
    price: Option<Price>,
    size: Option<Quantity>,
    side: Option<Side>,
    hash: Option<BookHash>,
    best_bid: Option<Price>,
    best_ask: Option<Price>,
}

impl Entry {
    /// The first key that it lacks. A value that cannot be used has its fault already.
    const fn missing(&self) -> MessageFault {
        MessageFault::Missing(match self {
            Self { price: None, .. } => "price",
            Self { size: None, .. } => "size",
            _ => "side",
        })
    }
}

struct EntrySeed<'s, 'de> {
    fault: &'s mut Option<MessageFault>,
    frame: &'de str,
    unknown: &'s mut String,
}

impl<'de> DeserializeSeed<'de> for EntrySeed<'_, 'de> {
    type Value = Entry;
    fn deserialize<D: de::Deserializer<'de>>(self, from: D) -> Result<Entry, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EntrySeed<'_, 'de> {
    type Value = Entry;
    other_values!(Entry, |this: Self| this.refuse(); scalar, seq);
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with price and size")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let mut entry = Entry::default();
        let mut seen = 0u64;
        while let Some(key) = map.next_key_seed(KeySeed { unknown: self.unknown })? {
            if key == Key::Unknown {
                map.next_value::<Skip>()?;
                continue;
            }
            let bit = 1u64 << (key as u32);
            if seen & bit != 0 {
                self.fault.get_or_insert(MessageFault::Repeated(key.name()));
            }
            seen |= bit;
            let value = map.next_value_seed(ScalarSeed)?;
            match key {
                Key::AssetId => {
                    entry.token = span_of(self.frame, value.token(self.fault).unwrap_or(""));
                }
                Key::Price => entry.price = value.decimal(key.name(), self.fault, Price::parse),
                Key::Size => entry.size = value.decimal(key.name(), self.fault, Quantity::parse),
                Key::Side => entry.side = value.side(self.fault),
                Key::Hash => entry.hash = value.hash(),
                Key::BestBid => {
                    entry.best_bid = value.decimal(key.name(), self.fault, Price::parse)
                }
                Key::BestAsk => {
                    entry.best_ask = value.decimal(key.name(), self.fault, Price::parse)
                }
                _ => {}
            }
        }
        Ok(entry)
    }
}

impl EntrySeed<'_, '_> {
    fn refuse<E>(self) -> Result<Entry, E> {
        self.fault.get_or_insert(MessageFault::BadValue("entry"));
        Ok(Entry::default())
    }
}

/// Span of `text`, a part of `frame`. Frames are below 4 GiB (`FRAME_BYTES_MAX`).
fn span_of(frame: &str, text: &str) -> Span {
    let start = (text.as_ptr() as usize).wrapping_sub(frame.as_ptr() as usize);
    if start > frame.len() {
        return Span::default();
    }
    Span { start: start as u32, len: text.len() as u32 }
}

struct TokensSeed<'s> {
    into: &'s mut Vec<TokenId>,
    fault: &'s mut Option<MessageFault>,
}

impl<'de> DeserializeSeed<'de> for TokensSeed<'_> {
    type Value = ();
    fn deserialize<D: de::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TokensSeed<'_> {
    type Value = ();
    other_values!((), |_| Ok(()); scalar, map); // reported as `Missing` if required
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of token ids")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(value) = seq.next_element_seed(ScalarSeed)? {
            match value.text().filter(|text| is_token(text)).and_then(TokenId::new) {
                Some(_) if self.into.len() == TOKENS_PER_CONNECTION_MAX => {
                    self.fault.get_or_insert(MessageFault::TooMany("assets_ids"));
                }
                Some(token) => self.into.push(token),
                None => {
                    self.fault.get_or_insert(MessageFault::BadValue("assets_ids"));
                }
            }
        }
        Ok(())
    }
}

struct OutcomesSeed<'s> {
    into: &'s mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for OutcomesSeed<'_> {
    type Value = ();
    fn deserialize<D: de::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OutcomesSeed<'_> {
    type Value = ();
    other_values!((), |_| Ok(()); scalar, map); // names are optional
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of outcomes")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(value) = seq.next_element_seed(ScalarSeed)? {
            if self.into.len() < TOKENS_PER_CONNECTION_MAX {
                self.into.extend(value.into_owned());
            }
        }
        Ok(())
    }
}
