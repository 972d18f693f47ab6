//! `/prices-history` and `/batch-prices-history`: prices of tokens over time, from their trades.
//!
//! Runs on:  serve core (pure). Owns: nothing.
//! Bounds:   `GATEWAY_TRADES_MAX` trades in memory; `HISTORY_POINTS_MAX` points of stored trades; [`TOKENS_MAX`]
//! tokens.
//!
//! Parameters are those of the API reference of docs.polymarket.com (2026-06): `market` is the token, `startTs` and
//! `endTs` are Unix seconds, `fidelity` is the distance of points in minutes, `interval` a time before now. A batch has
//! them in a JSON object, as `markets`, `start_ts`, `end_ts`, `fidelity` and `interval`; seconds may have decimals.
use super::json;
use super::rest::{INVALID_PAYLOAD, PAYLOAD_TOO_LARGE};
use crate::base::id::TokenId;
use crate::base::time::SECOND_NS;
use crate::gateway::push_array;
use crate::gateway::rest::{Answer, Plan, pairs};
use crate::link::serve_history::{HistoryError, PriceAnswer, PricePoint, PriceRequest};
use crate::link::shard_updates::TradeUpdate;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Write as _;

/// Longest distance of two points, minutes.
const FIDELITY_MAX: u64 = 1_000_000;

/// Takes a batch by POST.
pub(super) const BATCH_PATH: &str = "/batch-prices-history";

/// Most tokens of a batch, as at the venue.
const TOKENS_MAX: usize = 20;

const BAD_INTERVAL: &str = "interval is 1h, 6h, 1d, 1w, 1m, all or max";

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    markets: Vec<Cow<'a, str>>,
    start_ts: Option<f64>,
    end_ts: Option<f64>,
    #[serde(borrow)]
    interval: Option<Cow<'a, str>>,
    fidelity: Option<u64>,
}

/// Reads the body of a batch. Tokens that cannot be ids are unknown tokens, which are left out.
pub(super) fn plan_batch(body: &[u8], now_wall_ns: u64) -> Plan {
    let refused = |text| Plan::Answer(Answer::error(400, text));
    let batch = std::str::from_utf8(body).ok().and_then(json::read::<Batch<'_>>);
    let Some(Batch { markets, start_ts, end_ts, interval, fidelity }) = batch else {
        return refused(INVALID_PAYLOAD);
    };
    if markets.len() > TOKENS_MAX {
        return refused(PAYLOAD_TOO_LARGE);
    }
    let seconds = [start_ts.unwrap_or(0.0), end_ts.unwrap_or(f64::MAX)];
    if seconds.iter().any(|second| *second < 0.0) {
        return refused("start_ts and end_ts are Unix times in seconds");
    }
    // Of a time with decimals only whole seconds are compared: no trade before `start_ts` is included.
    let (mut begin_s, end_s) = (seconds[0].ceil() as u64, seconds[1] as u64);
    match interval.as_deref().map(length_s) {
        Some(Some(length_s)) => begin_s = begin_s.max(before(now_wall_ns, length_s)),
        Some(None) => return refused(BAD_INTERVAL),
        None => {}
    }
    let step_s = fidelity.unwrap_or(1).clamp(1, FIDELITY_MAX) * 60;
    let mut requests: Vec<PriceRequest> = Vec::new();
    for token in markets.iter().filter_map(|name| TokenId::new(name)) {
        if requests.iter().all(|earlier| earlier.token != token) {
            requests.push(PriceRequest { token, begin_s, end_s, step_s });
        }
    }
    Plan::Prices { requests, by_token: true }
}

/// Unix second of a time before now.
const fn before(now_wall_ns: u64, length_s: u64) -> u64 {
    (now_wall_ns / SECOND_NS).saturating_sub(length_s)
}

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
                    request.begin_s = before(now_wall_ns, length_s);
                    continue;
                }
                None => BAD_INTERVAL,
            },
            ("startTs", _) => "startTs is a Unix time in seconds",
            ("endTs", _) => "endTs is a Unix time in seconds",
            ("fidelity", _) => "fidelity is a number of minutes",
            _ => continue,
        };
        return Plan::Answer(Answer::error(400, fault));
    }
    Plan::Prices { requests: vec![request], by_token: false }
}

/// The answer: the last price of each step in which there was a trade, from stored trades and those in memory, which
/// may not be stored yet.
pub(in crate::gateway) fn answer(
    requests: &[PriceRequest],
    by_token: bool,
    stored: PriceAnswer,
    trades: &VecDeque<(TokenId, TradeUpdate)>,
) -> Answer {
    let stored = match stored {
        Ok(stored) => stored.into_iter().chain(std::iter::repeat_with(Vec::new)),
        Err(error) => return refusal(error),
    };
    let mut body = String::from(if by_token { r#"{"history":{"# } else { r#"{"history":"# });
    for (place, (request, stored)) in requests.iter().zip(stored).enumerate() {
        if by_token {
            let comma = if place == 0 { "" } else { "," };
            // Writing to a string cannot fail.
            let _ = write!(body, r#"{comma}"{}":"#, request.token);
        }
        match joined(request, stored, trades) {
            Ok(points) => push_points(&mut body, &points),
            Err(error) => return refusal(error),
        }
    }
    body.push_str(if by_token { "}}" } else { "}" });
    Answer::json(body)
}

/// The points of a token from both.
fn joined(
    request: &PriceRequest,
    mut all: Vec<PricePoint>,
    trades: &VecDeque<(TokenId, TradeUpdate)>,
) -> Result<Vec<PricePoint>, HistoryError> {
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
        request.add(&mut points, point)?;
    }
    Ok(points)
}

fn push_points(body: &mut String, points: &[PricePoint]) {
    body.reserve(2 + 32 * points.len());
    push_array(body, points, |body, PricePoint { second, price }| {
        // Writing to a string cannot fail.
        let _ = write!(body, r#"{{"t":{second},"p":{price}}}"#);
    });
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
mod tests;
