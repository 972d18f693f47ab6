//! REST books (`GET /markets/orderbooks`): for cross-checks only.
//!
//! Runs on:  the control core requests, shards decode (pure).
//! Bounds:   [`BOOKS_PER_REQUEST`] per request; a response is decoded in parts, book by book.
//!
//! REST books have neither sequence number nor time (kalshi/protocol.md, 4), so they cannot replace a book: they
//! confirm it, or cause a snapshot request on the connection.
use super::decode::snapshot;
use super::message::{Scratch, read_rest_book};
use crate::base::id::TokenId;
use crate::base::text::percent_encode;
use crate::venue::json::end_of_object;
use crate::venue::{DecodeNotice, MessageFault, Progress, Sink};

/// Maximum tickers per request (kalshi/protocol.md, 4).
pub const BOOKS_PER_REQUEST: usize = 100;
/// Requests per second: a fifth of the lowest tier's 20 reads, of which the catalog takes 12 (kalshi/protocol.md, 4).
pub const REQUESTS_PER_SECOND: u64 = 4;

/// Path of a request for these books.
pub fn books_path(tokens: &[TokenId]) -> String {
    let mut path = String::from("/trade-api/v2/markets/orderbooks");
    for (place, token) in tokens.iter().enumerate() {
        path.push_str(if place == 0 { "?tickers=" } else { "&tickers=" });
        percent_encode(token.as_str(), &mut path);
    }
    path
}

/// Decodes about `budget_bytes` more of a response; returns the number of books delivered.
///
/// Never fails: unreadable input is delivered as an [`DecodeNotice`].
pub fn decode_part(
    text: &str,
    progress: &mut Progress,
    budget_bytes: usize,
    scratch: &mut Scratch,
    sink: &mut impl Sink,
) -> u32 {
    let mut at = match progress.at() {
        0 => match begin(text) {
            Some(at) => at,
            None => return end_broken(text, 0, progress, sink),
        },
        at => at,
    };
    let until = at.saturating_add(budget_bytes);
    let mut delivered = 0;
    while at < until {
        match text.as_bytes().get(at) {
            Some(b']') => {
                *progress = Progress::done();
                return delivered;
            }
            Some(b',' | b' ' | b'\n' | b'\r' | b'\t') => at += 1,
            _ => {
                let Some(end) = end_of_object(text.as_bytes(), at) else {
                    end_broken(text, at, progress, sink);
                    return delivered;
                };
                deliver(text, at, end, scratch, sink);
                delivered += 1;
                at = end;
            }
        }
    }
    *progress = Progress::from(at);
    delivered
}

/// First byte after the `[` of the list of books.
fn begin(text: &str) -> Option<usize> {
    const KEY: &str = "\"orderbooks\"";
    let behind = text.find(KEY)? + KEY.len();
    let rest = text[behind..].trim_start().strip_prefix(':')?.trim_start().strip_prefix('[')?;
    Some(text.len() - rest.len())
}

fn end_broken(text: &str, offset: usize, progress: &mut Progress, sink: &mut impl Sink) -> u32 {
    *progress = Progress::done();
    sink.on_decode_notice(&DecodeNotice::BadFrame { offset, frame: text });
    0
}

fn deliver(text: &str, at: usize, end: usize, scratch: &mut Scratch, sink: &mut impl Sink) {
    let Ok(fields) = read_rest_book(&text[at..end], scratch) else {
        return sink.on_decode_notice(&DecodeNotice::BadFrame { offset: at, frame: text });
    };
    let bad =
        |fault| DecodeNotice::BadMessage { fault, offset: at, market: "", token: "", text: "" };
    if let Some(fault) = fields.fault {
        return sink.on_decode_notice(&bad(fault));
    }
    let Some(ticker) = fields.ticker else {
        return sink.on_decode_notice(&bad(MessageFault::Missing("ticker")));
    };
    for level in &mut scratch.no {
        level.price = level.price.complement();
    }
    sink.on_event(&snapshot(ticker, 0, scratch));
}

#[cfg(test)]
mod tests;
