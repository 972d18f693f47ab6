//! `/prices-history`: prices of a token over time, from its trades.
//!
//! Runs on:  serve core (pure). Owns: nothing.
//! Bounds:   `GATEWAY_TRADES_MAX` trades in memory; `HISTORY_POINTS_MAX` points of stored trades.
//!
//! Parameters are those of the API reference of docs.polymarket.com (2026-06): `market` is the token, `startTs` and
//! `endTs` are Unix seconds, `fidelity` is the distance of points in minutes, `interval` a time before now.
use crate::base::id::TokenId;
use crate::base::time::SECOND_NS;
use crate::gateway::rest::{Answer, Plan, pairs};
use crate::link::serve_history::{HistoryError, PriceAnswer, PricePoint, PriceRequest};
use crate::link::shard_updates::TradeUpdate;
use std::collections::VecDeque;
use std::fmt::Write as _;

/// Longest distance of two points, minutes.
const FIDELITY_MAX: u64 = 1_000_000;

/// Reads the parameters for a token.
pub(super) fn plan(token: TokenId, query: &str, now_wall_ns: u64) -> Plan {
    let mut request = PriceRequest { token, begin_s: 0, end_s: u64::MAX, step_s: 60 };
    for (key, value) in pairs(query) {
        let number = value.parse::<u64>();
        let fault = match (key, number) {
            ("startTs", Ok(second)) => {
                request.begin_s = second;
                continue;
            }
            ("endTs", Ok(second)) => {
                request.end_s = second;
                continue;
            }
            ("fidelity", Ok(minutes)) => {
                request.step_s = minutes.clamp(1, FIDELITY_MAX) * 60;
                continue;
            }
            ("interval", _) => match length_s(&value) {
                Some(length_s) => {
                    request.begin_s = (now_wall_ns / SECOND_NS).saturating_sub(length_s);
                    continue;
                }
                None => "interval is 1h, 6h, 1d, 1w, 1m, all or max",
            },
            ("startTs", _) => "startTs is a Unix time in seconds",
            ("endTs", _) => "endTs is a Unix time in seconds",
            ("fidelity", _) => "fidelity is a number of minutes",
            _ => continue,
        };
        return Plan::Answer(Answer::error(400, fault));
    }
    Plan::Prices(request)
}

/// The answer: the last price of each step in which there was a trade, from stored trades and those in memory, which
/// may not be stored yet.
pub(in crate::gateway) fn answer(
    request: &PriceRequest,
    stored: PriceAnswer,
    trades: &VecDeque<(TokenId, TradeUpdate)>,
) -> Answer {
    let mut all = match stored {
        Ok(points) => points,
        Err(error) => return refusal(error),
    };
    let of_token = trades.iter().filter(|(token, _)| *token == request.token);
    all.extend(
        of_token.map(|(_, trade)| PricePoint {
            second: trade.timestamp_ms / 1_000,
            price: trade.price,
        }),
    );
    // Stable: of one second the last trade is last.
    all.sort_by_key(|point| point.second);
    let mut points = Vec::with_capacity(all.len());
    for point in all {
        if let Err(error) = request.add(&mut points, point) {
            return refusal(error);
        }
    }
    let mut body = String::with_capacity(16 + 32 * points.len());
    body.push_str(r#"{"history":["#);
    for (place, PricePoint { second, price }) in points.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(body, r#"{comma}{{"t":{second},"p":{price}}}"#);
    }
    body.push_str("]}");
    Answer::json(body)
}

fn refusal(error: HistoryError) -> Answer {
    match error {
        HistoryError::Busy => Answer::error(503, "too many requests for stored prices: try again"),
        HistoryError::TooLong => Answer::error(
            503,
            "the stored trades of this time cannot be read within 2 s: ask for less by startTs and endTs",
        ),
        HistoryError::TooMuch => Answer::error(
            400,
            "too many stored trades in this time: ask for less by startTs and endTs, or a higher fidelity",
        ),
        HistoryError::Failed => Answer::error(
            503,
            "the database of trades cannot be read: the log of the engine has the reason",
        ),
    }
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
        "all" | "max" => u64::MAX,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::price::{Price, Quantity};
    use crate::market::book::Side;

    fn token(name: &str) -> TokenId {
        TokenId::new(name).unwrap()
    }

    fn memory() -> VecDeque<(TokenId, TradeUpdate)> {
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
        all
    }

    fn answered(query: &str, stored: PriceAnswer) -> Answer {
        match plan(token("1"), query, 4_000 * SECOND_NS) {
            Plan::Answer(answer) => answer,
            Plan::Prices(request) => answer(&request, stored, &memory()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn points_are_the_last_trades_of_their_intervals() {
        let answer = |query: &str| answered(query, Ok(Vec::new())).body;
        assert_eq!(
            answer(""),
            r#"{"history":[{"t":70,"p":0.41},{"t":130,"p":0.42},{"t":605,"p":0.44}]}"#
        );
        assert_eq!(answer("fidelity=60"), r#"{"history":[{"t":605,"p":0.44}]}"#);
        assert_eq!(answer("startTs=71&endTs=200"), r#"{"history":[{"t":130,"p":0.42}]}"#);
        assert_eq!(answer("interval=1h"), r#"{"history":[{"t":605,"p":0.44}]}"#);
        assert_eq!(answer("interval=max&endTs=60"), r#"{"history":[{"t":60,"p":0.4}]}"#);
        for (query, fault) in [
            ("interval=1y", "interval is 1h, 6h, 1d, 1w, 1m, all or max"),
            ("startTs=x", "startTs is a Unix time in seconds"),
            ("startTs=1&endTs=-1", "endTs is a Unix time in seconds"),
            ("fidelity=", "fidelity is a number of minutes"),
        ] {
            assert_eq!(answered(query, Ok(Vec::new())), Answer::error(400, fault));
        }
    }

    #[test]
    fn stored_trades_are_before_and_among_those_in_memory() {
        let point = |second, cents: u32| PricePoint { second, price: Price(cents * 10_000) };
        let stored = vec![point(5, 30), point(65, 40), point(300, 50)];
        assert_eq!(
            answered("", Ok(stored.clone())).body,
            r#"{"history":[{"t":5,"p":0.3},{"t":70,"p":0.41},{"t":130,"p":0.42},{"t":300,"p":0.5},{"t":605,"p":0.44}]}"#
        );
        assert_eq!(
            answered("startTs=100&fidelity=5", Ok(stored)).body,
            r#"{"history":[{"t":130,"p":0.42},{"t":300,"p":0.5},{"t":605,"p":0.44}]}"#
        );
        for (error, status) in [
            (HistoryError::Busy, 503),
            (HistoryError::TooLong, 503),
            (HistoryError::TooMuch, 400),
            (HistoryError::Failed, 503),
        ] {
            assert_eq!(answered("", Err(error)).status, status, "{error:?}");
        }
    }
}
