//! The venue's book hash: SHA-1 of the compact summary, whose keys depend on the era.

use crate::decimal;
use crate::reference::Side;
use sha1::{Digest, Sha1};
use std::fmt::Write;

/// Where the hashed object ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// Since 2025-10-28: all ten keys.
    All,
    /// 2025-10: nine keys, no last trade price.
    UntilNegRisk,
    /// Until 2025-07: six keys; the hashed time precedes the message's by 3 to 13 ms.
    UntilAsks,
}

/// The values of a summary that the stream does not carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extras {
    pub(crate) keys: Keys,
    pub(crate) min_order_size: String,
    pub(crate) tick_size: String,
    pub(crate) neg_risk: bool,
    pub(crate) last_trade_price: String,
}

/// A book's levels as texts, in the venue's order: the best is last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Levels {
    pub(crate) bids: Vec<(String, String)>,
    pub(crate) asks: Vec<(String, String)>,
}

impl Levels {
    pub(crate) fn of(bids: &Side, asks: &Side) -> Self {
        let show = |(p, s): (&i128, &i128)| (decimal::render(*p), decimal::render(*s));
        let bids = bids.iter().map(show).collect();
        Self { bids, asks: asks.iter().rev().map(show).collect() }
    }
}

fn ladder(out: &mut String, name: &str, levels: &[(String, String)]) {
    write!(out, "\"{name}\":[").unwrap();
    for (i, (price, size)) in levels.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(out, r#"{comma}{{"price":"{price}","size":"{size}"}}"#).unwrap();
    }
    out.push(']');
}

/// The part of the hashed text that ends with the asks.
fn head(market: &str, token: &str, time: &str, levels: &Levels) -> Sha1 {
    let mut out = String::new();
    write!(out, r#"{{"market":"{market}","asset_id":"{token}","timestamp":"{time}","hash":"","#)
        .unwrap();
    ladder(&mut out, "bids", &levels.bids);
    out.push(',');
    ladder(&mut out, "asks", &levels.asks);
    Sha1::new_with_prefix(out)
}

fn finish(head: &Sha1, extras: &Extras) -> String {
    let mut out = String::new();
    let Extras { keys, min_order_size, tick_size, neg_risk, last_trade_price } = extras;
    if *keys != Keys::UntilAsks {
        write!(out, r#","min_order_size":"{min_order_size}","tick_size":"{tick_size}""#).unwrap();
        write!(out, r#","neg_risk":{neg_risk}"#).unwrap();
    }
    if *keys == Keys::All {
        write!(out, r#","last_trade_price":"{last_trade_price}""#).unwrap();
    }
    out.push('}');
    let digest = head.clone().chain_update(out).finalize();
    digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

pub(crate) fn hash(
    market: &str,
    token: &str,
    time: &str,
    levels: &Levels,
    extras: &Extras,
) -> String {
    finish(&head(market, token, time, levels), extras)
}

/// Looks for the extras under which a book has the wanted hash: the likely ones first, then every
/// tick size, the usual order sizes and every last trade price of three decimals.
pub(crate) fn explain(
    (market, token, time): (&str, &str, u64),
    levels: &Levels,
    want: &str,
    likely: &[Extras],
    prices: &[String],
) -> Option<Extras> {
    let head_now = head(market, token, &time.to_string(), levels);
    if let Some(extras) = likely.iter().find(|e| finish(&head_now, e) == want) {
        return Some(extras.clone());
    }
    let every = (0..=1000).map(|m| format!("{}.{:03}", m / 1000, m % 1000));
    let prices: Vec<String> = prices.iter().cloned().chain([String::new()]).chain(every).collect();
    let mut extras = Extras {
        keys: Keys::All,
        min_order_size: String::new(),
        tick_size: String::new(),
        neg_risk: false,
        last_trade_price: String::new(),
    };
    for min in ["5", "15", "1"] {
        extras.min_order_size = min.into();
        for tick in ["0.01", "0.001", "0.1", "0.0001", "0.005", "0.0025"] {
            extras.tick_size = tick.into();
            for neg_risk in [false, true] {
                (extras.neg_risk, extras.keys) = (neg_risk, Keys::UntilNegRisk);
                if finish(&head_now, &extras) == want {
                    return Some(extras);
                }
                extras.keys = Keys::All;
                for price in &prices {
                    extras.last_trade_price.clone_from(price);
                    if finish(&head_now, &extras) == want {
                        return Some(extras);
                    }
                }
            }
        }
    }
    extras.keys = Keys::UntilAsks;
    let earlier = |ms: u64| finish(&head(market, token, &(time - ms).to_string(), levels), &extras);
    (0..=20).any(|ms| earlier(ms) == want).then_some(extras)
}

#[test]
fn the_published_vectors_hash() {
    let level = |price: &str| (price.to_owned(), "100".to_owned());
    let bids = vec![level("0.3"), level("0.4")];
    let levels = Levels { bids, asks: vec![level("0.6"), level("0.7")] };
    let extras = Extras {
        keys: Keys::All,
        min_order_size: "100".into(),
        tick_size: "0.01".into(),
        neg_risk: false,
        last_trade_price: "0.5".into(),
    };
    let vector = hash("0xaabbcc", "100", "123456789", &levels, &extras);
    assert_eq!(vector, "0458ea5755c9f73d64a14636fa5c36ed460ec394");
    let empty = hash("0xaabbcc", "100", "", &Levels::default(), &extras);
    assert_eq!(empty, "74c6a7c81c1d572f1c877b7d3e25b80c336d8a6e");
}
