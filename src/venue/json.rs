//! JSON values that a decoder skips or reads as one scalar.
//!
//! Runs on:  any (pure). Bounds: sonic-rs' limit of 255 levels.
//!
//! Every seed calls `deserialize_any`, never `deserialize_map` or `_seq`: for a type mismatch sonic-rs 0.5.10 skips the
//! value by unbounded recursion before it reports the error.
use super::MessageFault;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Visitor methods for value types that a seed does not expect. Each value is consumed whole and replaced by
/// `$on_other`, so an unexpected type is a fault of its message, not of its frame.
macro_rules! other_values {
    ($value:ty, $on_other:expr; $($kind:ident),+) => { $( other_values!(@$kind $value, $on_other); )+ };
    (@scalar $value:ty, $on_other:expr) => {
        fn visit_bool<E: de::Error>(self, _: bool) -> Result<$value, E> { $on_other(self) }
        fn visit_i64<E: de::Error>(self, _: i64) -> Result<$value, E> { $on_other(self) }
        fn visit_u64<E: de::Error>(self, _: u64) -> Result<$value, E> { $on_other(self) }
        fn visit_f64<E: de::Error>(self, _: f64) -> Result<$value, E> { $on_other(self) }
        fn visit_str<E: de::Error>(self, _: &str) -> Result<$value, E> { $on_other(self) }
        fn visit_unit<E: de::Error>(self) -> Result<$value, E> { $on_other(self) }
    };
    (@number $value:ty, $on_other:expr) => {
        fn visit_bool<E: de::Error>(self, _: bool) -> Result<$value, E> { $on_other(self) }
        fn visit_i64<E: de::Error>(self, _: i64) -> Result<$value, E> { $on_other(self) }
        fn visit_u64<E: de::Error>(self, _: u64) -> Result<$value, E> { $on_other(self) }
        fn visit_f64<E: de::Error>(self, _: f64) -> Result<$value, E> { $on_other(self) }
    };
    (@text $value:ty, $on_other:expr) => {
        fn visit_str<E: de::Error>(self, _: &str) -> Result<$value, E> { $on_other(self) }
    };
    (@seq $value:ty, $on_other:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<$value, A::Error> {
            while seq.next_element::<$crate::venue::json::Skip>()?.is_some() {}
            $on_other(self)
        }
    };
    (@map $value:ty, $on_other:expr) => {
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<$value, A::Error> {
            while map.next_entry::<$crate::venue::json::Skip, $crate::venue::json::Skip>()?.is_some() {}
            $on_other(self)
        }
    };
}

/// A skipped value. Not serde's `IgnoredAny`: sonic-rs 0.5.10 skips that by unbounded recursion, so a megabyte of `[`
/// would overflow the stack; this type applies its limit of 255 levels.
pub(in crate::venue) struct Skip;

impl<'de> de::Deserialize<'de> for Skip {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ScalarSeed).map(|_| Self)
    }
}

/// A JSON value of which only strings, integers and booleans are used.
pub(in crate::venue) enum Scalar<'de> {
    Text(&'de str),
    Escaped(String),
    Number(u64),
    Negative(i64),
    Bool(bool),
    Null,
    Other,
}

pub(in crate::venue) struct ScalarSeed;

impl<'de> DeserializeSeed<'de> for ScalarSeed {
    type Value = Scalar<'de>;
    fn deserialize<D: de::Deserializer<'de>>(self, from: D) -> Result<Scalar<'de>, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ScalarSeed {
    type Value = Scalar<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(text))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Escaped(text.to_owned()))
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Number(number))
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar<'de>, E> {
        Ok(u64::try_from(number).map_or(Scalar::Negative(number), Scalar::Number))
    }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Bool(value))
    }
    fn visit_unit<E: de::Error>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar<'de>, A::Error> {
        while seq.next_element::<Skip>()?.is_some() {}
        Ok(Scalar::Other)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar<'de>, A::Error> {
        while map.next_entry::<Skip, Skip>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

/// The enum `Key` of a message's keys with `Unknown`, and `KeySeed`, which reads one and appends unknown keys that are
/// not ignored to a text: each once, separated by commas, cut at `UNRECOGNIZED_BYTES_MAX`.
macro_rules! keys {
    (ignored: $ignored:expr; $($name:literal => $variant:ident),+ $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Key { $($variant,)+ Unknown }

        impl Key {
            fn of(name: &str) -> Self {
                match name { $($name => Self::$variant,)+ _ => Self::Unknown }
            }
            const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ Self::Unknown => "?" }
            }
        }

        struct KeySeed<'s> {
            unknown: &'s mut String,
        }

        impl KeySeed<'_> {
            fn note(self, name: &str) {
                let ignored: fn(&str) -> bool = $ignored;
                let known = ignored(name) || self.unknown.split(',').any(|k| k == name);
                if known || self.unknown.len() + name.len() >= $crate::base::limits::UNRECOGNIZED_BYTES_MAX {
                    return;
                }
                if !self.unknown.is_empty() {
                    self.unknown.push(',');
                }
                self.unknown.push_str(name);
            }
        }

        impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
            type Value = Key;
            fn deserialize<D: de::Deserializer<'de>>(self, from: D) -> Result<Key, D::Error> {
                from.deserialize_identifier(self)
            }
        }

        impl Visitor<'_> for KeySeed<'_> {
            type Value = Key;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Key, E> {
                let key = Key::of(name);
                if key == Key::Unknown {
                    self.note(name);
                }
                Ok(key)
            }
        }
    };
}

pub(in crate::venue) use {keys, other_values};

/// A value that a message must have.
#[inline]
pub(in crate::venue) fn need<T>(value: Option<T>, key: &'static str) -> Result<T, MessageFault> {
    value.ok_or(MessageFault::Missing(key))
}

/// Byte offset near a message of `frame`, for the log: the end of the last of its borrowed fields.
#[inline]
pub(in crate::venue) fn end_of(frame: &str, fields: [Option<&str>; 3]) -> usize {
    let fields = fields.into_iter().flatten();
    fields
        .map(|text| (text.as_ptr() as usize).wrapping_sub(frame.as_ptr() as usize) + text.len())
        .filter(|&end| end <= frame.len())
        .max()
        .unwrap_or(0)
}

impl<'de> Scalar<'de> {
    /// The string, if it has no escapes.
    pub(in crate::venue) fn text(&self) -> Option<&'de str> {
        if let Scalar::Text(text) = self { Some(text) } else { None }
    }

    /// The string, copied, with or without escapes.
    pub(in crate::venue) fn into_owned(self) -> Option<String> {
        match self {
            Scalar::Text(text) => Some(text.to_owned()),
            Scalar::Escaped(text) => Some(text),
            _ => None,
        }
    }

    /// A decimal in a string. An empty string and null mean "unknown" and are no fault.
    pub(in crate::venue) fn decimal<T>(
        &self,
        key: &'static str,
        fault: &mut Option<MessageFault>,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let parsed = match self {
            Scalar::Text("") | Scalar::Null => return None,
            Scalar::Text(text) => parse(text.as_bytes()),
            _ => None,
        };
        if parsed.is_none() {
            fault.get_or_insert(MessageFault::BadValue(key));
        }
        parsed
    }
}

/// The end (exclusive) of the object that begins at `at`, found by bracket matching; its content is not validated.
pub(in crate::venue) fn end_of_object(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'{') {
        return None;
    }
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    for (place, &byte) in bytes.iter().enumerate().skip(at) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => {
                depth -= 1;
                if depth == 0 {
                    return Some(place + 1);
                }
            }
            _ => {}
        }
    }
    None
}
