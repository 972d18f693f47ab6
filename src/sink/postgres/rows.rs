//! Rows in the text format of `COPY`.
//!
//! Runs on:  the thread `trade-store` (pure).
use crate::base::id::TradeId;
use crate::link::{control_sink::MarketRow, shard_trade::TradeRecord};
use crate::market::book::Side;
use std::fmt::Write as _;

fn push_text(rows: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '\\' => rows.push_str("\\\\"),
            '\t' => rows.push_str("\\t"),
            '\n' => rows.push_str("\\n"),
            '\r' => rows.push_str("\\r"),
            // PostgreSQL texts cannot contain NUL.
            '\0' => rows.push('\u{fffd}'),
            _ => rows.push(letter),
        }
    }
}

fn push_optional(rows: &mut String, value: Option<impl std::fmt::Display>) {
    // Writing to a string cannot fail.
    let _ = match value {
        Some(value) => write!(rows, "{value}\t"),
        None => write!(rows, "\\N\t"),
    };
}

pub(super) fn push_market(rows: &mut String, row: &MarketRow) {
    let _ = write!(rows, "{}\t{}\t", row.venue.name(), row.market);
    push_text(rows, &row.slug);
    rows.push('\t');
    push_text(rows, &row.question);
    rows.push('\t');
    push_optional(rows, row.tick_size.map(|tick| tick.0));
    push_optional(rows, row.min_order_size.map(|size| size.0));
    push_optional(rows, Some(row.neg_risk));
    push_optional(rows, row.start_wall_ns);
    push_optional(rows, row.end_wall_ns);
    push_optional(rows, Some(row.status.name()));
    push_optional(rows, row.resolution.winner);
    push_optional(rows, row.resolved_wall_ns);
    let _ = write!(rows, "{0}\t{0}\t", row.wall_ns);
    match &row.resolution.result {
        Some(result) => push_text(rows, result),
        None => rows.push_str("\\N"),
    }
    let _ = match row.resolution.settlement_value {
        Some(value) => writeln!(rows, "\t{value}"),
        None => writeln!(rows, "\t\\N"),
    };
}

pub(super) fn push_tokens(rows: &mut String, row: &MarketRow) {
    for (place, outcome) in row.tokens.iter().enumerate() {
        let (token, market, venue) = (outcome.token, row.market, row.venue.name());
        let _ = write!(rows, "{token}\t{market}\t{venue}\t{place}\t");
        push_text(rows, &outcome.name);
        rows.push('\n');
    }
}

/// A row in the format of `COPY`; no value contains a tab, newline or backslash.
pub(super) fn push_row(rows: &mut String, trade: &TradeRecord) {
    let side = if trade.side == Side::Bid { "buy" } else { "sell" };
    let TradeRecord { market, token, venue_ms, receive_wall_ns, .. } = trade;
    let (venue, price, size) = (trade.venue.name(), trade.price.0, trade.quantity.0);
    let id = trade.id.as_ref().map_or("", TradeId::as_str);
    // Writing to a string cannot fail.
    let _ = write!(
        rows,
        "{venue}\t{market}\t{token}\t\t{price}\t{size}\t{side}\t{venue_ms}\t{receive_wall_ns}\t{id}\t"
    );
    let _ = match trade.fee_rate_bps {
        Some(fee) => write!(rows, "{}", fee.0),
        None => write!(rows, "\\N"),
    };
    let _ = writeln!(rows, "\t{}", trade.connection.0);
}
