//! `/prices-history`: prices of a token over time, from its trades.
//!
//! Runs on:  serve core (pure). Owns: nothing.
//! Bounds:   `GATEWAY_TRADES_MAX` trades.
//!
//! Parameters are those of the API reference of docs.polymarket.com (2026-06): `market` is the token, `startTs` and
//! `endTs` are Unix seconds, `fidelity` is the distance of points in minutes, `interval` a time before now.
use crate::base::id::TokenId;
use crate::base::time::SECOND_NS;
use crate::gateway::rest::{Answer, pairs};
use crate::link::shard_updates::TradeUpdate;
use std::collections::VecDeque;
use std::fmt::Write as _;

/// The answer for a token: the last price of each interval of `fidelity` minutes in which it was traded.
pub(super) fn answer(
    token: &TokenId,
    query: &str,
    now_wall_ns: u64,
    trades: &VecDeque<(TokenId, TradeUpdate)>,
) -> Answer {
    let (mut begin_s, mut end_s, mut step_s) = (0, u64::MAX, 60);
    for (key, value) in pairs(query) {
        let number = value.parse::<u64>().ok();
        match key {
            "startTs" => begin_s = number.unwrap_or(begin_s),
            "endTs" => end_s = number.unwrap_or(end_s),
            "fidelity" => step_s = number.unwrap_or(1).clamp(1, 1_000_000) * 60,
            "interval" => {
                let length_s = length_s(&value).unwrap_or(u64::MAX);
                begin_s = (now_wall_ns / SECOND_NS).saturating_sub(length_s);
            }
            _ => {}
        }
    }
    let mut points: Vec<(u64, &TradeUpdate)> = Vec::new();
    let of_token = trades.iter().filter(|(other, _)| other == token).map(|(_, trade)| trade);
    for trade in of_token {
        let second = trade.timestamp_ms / 1_000;
        if !(begin_s..=end_s).contains(&second) {
            continue;
        }
        match points.last_mut() {
            Some(last) if last.0 / step_s == second / step_s => *last = (second, trade),
            _ => points.push((second, trade)),
        }
    }
    let mut body = String::from(r#"{"history":["#);
    for (place, (second, trade)) in points.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(body, r#"{comma}{{"t":{second},"p":{}}}"#, trade.price);
    }
    body.push_str("]}");
    Answer::json(body)
}

/// Seconds of an interval.
fn length_s(name: &str) -> Option<u64> {
    const HOUR_S: u64 = 3_600;
    Some(match name {
        "1h" => HOUR_S,
        "6h" => 6 * HOUR_S,
        "1d" => 24 * HOUR_S,
        "1w" => 7 * 24 * HOUR_S,
        "1m" => 30 * 24 * HOUR_S,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::price::{Price, Quantity};
    use crate::market::book::Side;

    #[test]
    fn points_are_the_last_trades_of_their_intervals() {
        let token = |name: &str| TokenId::new(name).unwrap();
        let trade = |second: u64, cents: u32| TradeUpdate {
            timestamp_ms: second * 1_000 + 7,
            price: Price(cents * 10_000),
            quantity: Quantity(1),
            side: Side::Bid,
            fee_rate_bps: None,
            id: None,
        };
        let trades = [(60, 40), (70, 41), (130, 42), (600, 43), (605, 44)];
        let mut all: VecDeque<_> = trades.map(|(s, cents)| (token("1"), trade(s, cents))).into();
        all.push_back((token("2"), trade(606, 45)));
        let now = 4_000 * SECOND_NS;
        let answer = |query: &str| answer(&token("1"), query, now, &all).body;
        assert_eq!(
            answer(""),
            r#"{"history":[{"t":70,"p":0.41},{"t":130,"p":0.42},{"t":605,"p":0.44}]}"#
        );
        assert_eq!(answer("fidelity=60"), r#"{"history":[{"t":605,"p":0.44}]}"#);
        assert_eq!(answer("startTs=71&endTs=200"), r#"{"history":[{"t":130,"p":0.42}]}"#);
        assert_eq!(answer("interval=1h"), r#"{"history":[{"t":605,"p":0.44}]}"#);
        assert_eq!(answer("interval=max&endTs=60"), r#"{"history":[{"t":60,"p":0.4}]}"#);
    }
}
