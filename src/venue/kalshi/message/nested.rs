//! A message within unknown keys, at any depth: found by what it names, not read.
//!
//! Runs on:  shards, replay (pure), for messages in an unknown envelope only.
use super::{Key, KeySeed, SIDES, is_of_channel};
use crate::venue::json::{ScalarSeed, other_values};
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A message within an envelope that is not known, at any depth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Nested {
    /// `market_ticker`.
    pub(super) names_market: bool,
    pub(super) has_type: bool,
    /// Levels, a difference, or a type of the order book channel.
    pub(super) has_change: bool,
}

/// Shape of an unknown value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Scalar,
    Object,
    List,
    /// A list that begins with a list or an object, as levels do, or an object with such a list in it.
    Levels,
}

/// Reads an unknown value for what it may be, at any depth.
pub(super) struct NestedSeed<'s>(pub(super) &'s mut Nested);

impl<'de> DeserializeSeed<'de> for NestedSeed<'_> {
    type Value = Shape;
    fn deserialize<D: de::Deserializer<'de>>(self, from: D) -> Result<Shape, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NestedSeed<'_> {
    type Value = Shape;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    other_values!(Shape, |_| Ok(Shape::Scalar); number);
    fn visit_unit<E: de::Error>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }
    /// A message may be sent as text.
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Shape, E> {
        if text.starts_with(['{', '[']) {
            self.0.names_market |= text.contains("market_ticker");
            self.0.has_type |= text.contains("\"type\"");
            self.0.has_change |= text.contains("orderbook");
        }
        Ok(Shape::Scalar)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        let mut first = Shape::Scalar;
        if let Some(shape) = seq.next_element_seed(NestedSeed(&mut *self.0))? {
            first = shape;
            while seq.next_element_seed(NestedSeed(&mut *self.0))?.is_some() {}
        }
        Ok(if first == Shape::Scalar { Shape::List } else { Shape::Levels })
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let (unknown, mut has_levels) = (&mut String::new(), false);
        while let Some(key) = map.next_key_seed(KeySeed { unknown })? {
            match key {
                Key::MarketTicker => self.0.names_market = true,
                Key::DeltaFp | Key::Delta => self.0.has_change = true,
                Key::Type => {
                    let kind = map.next_value_seed(ScalarSeed)?.text();
                    self.0.has_type |= kind.is_some();
                    self.0.has_change |= kind.is_some_and(is_of_channel);
                    continue;
                }
                key => self.0.has_change |= SIDES.contains(&key),
            }
            has_levels |= map.next_value_seed(NestedSeed(&mut *self.0))? == Shape::Levels;
        }
        Ok(if has_levels { Shape::Levels } else { Shape::Object })
    }
}
