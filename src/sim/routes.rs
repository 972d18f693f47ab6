//! Routes of Gamma, CLOB and control requests.
//!
//! Runs on:  the venue's thread (pure).
use serde::Deserialize;

use super::catalog::Refused;
use super::exchange::Exchange;
use super::json::Object;
use super::quota::Route;
use super::request::{Answer, Request};

const BOOKS_MAX: usize = 500;
const NO_BOOK: &str = "No orderbook exists for the requested token id";

/// The rate limit window of a path.
pub(super) fn route(path: &str) -> Route {
    match path {
        "/markets" | "/markets/keyset" => Route::Markets,
        "/events" | "/events/keyset" => Route::Events,
        "/book" => Route::Book,
        "/books" => Route::Books,
        "/time" | "/tick-size" => Route::Clob,
        _ if path.starts_with("/sim/") => Route::Free,
        _ => Route::Gamma,
    }
}

/// The answer of Gamma or CLOB; `None` for an unknown path.
///
/// `book_of` returns a token's book in REST shape, possibly outdated.
pub(super) fn answer(
    exchange: &Exchange,
    request: &Request,
    wall_ms: u64,
    book_of: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
) -> Option<Answer> {
    let query = &request.query;
    let mut out = Vec::new();
    let listed = match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/markets") => exchange.list_markets(query, &mut out),
        ("GET", "/markets/keyset") => exchange.page_markets(query, &mut out),
        ("GET", "/events") => exchange.list_events(query, &mut out),
        ("GET", "/events/keyset") => exchange.page_events(query, &mut out),
        ("GET", "/book") => return Some(book(request, book_of)),
        ("POST", "/books") => return Some(books(&request.body, book_of)),
        ("GET", "/tick-size") => return Some(tick_size(exchange, request)),
        ("GET", "/time") => return Some(Answer::ok((wall_ms / 1000).to_string().into_bytes())),
        ("GET", path) => return named(exchange, path),
        _ => return None,
    };
    Some(match listed {
        Ok(()) => Answer::ok(out),
        Err(Refused(why)) => Answer::error(422, why),
    })
}

fn named(exchange: &Exchange, path: &str) -> Option<Answer> {
    if let Some(token) = path.strip_prefix("/sim/truth/") {
        return Some(
            truth(exchange, token).map_or_else(|| Answer::error(404, NO_BOOK), Answer::ok),
        );
    }
    let name = path.strip_prefix("/markets/")?;
    let name = name.strip_prefix("slug/").unwrap_or(name);
    let mut out = Vec::new();
    let found = exchange.find_market(name, &mut out);
    Some(if found { Answer::ok(out) } else { Answer::error(404, "market not found") })
}

/// The book of a token in REST shape.
pub(super) fn truth(exchange: &Exchange, token: &str) -> Option<Vec<u8>> {
    let (market, token) = exchange.open_token(token)?;
    let mut out = Vec::new();
    market.push_rest_book(&mut out, &mut Vec::new(), token.outcome());
    Some(out)
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.len() <= 78 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn book(request: &Request, book_of: &mut dyn FnMut(&str) -> Option<Vec<u8>>) -> Answer {
    match request.query.first("token_id") {
        Some(token) if is_token(token) => {
            book_of(token).map_or_else(|| Answer::error(404, NO_BOOK), Answer::ok)
        }
        _ => Answer::error(400, "Invalid token id"),
    }
}

#[derive(Deserialize)]
struct BookParameter {
    token_id: String,
}

fn books(body: &[u8], book_of: &mut dyn FnMut(&str) -> Option<Vec<u8>>) -> Answer {
    let Ok(wanted) = sonic_rs::from_slice::<Vec<BookParameter>>(body) else {
        return Answer::error(400, "Invalid payload");
    };
    if wanted.len() > BOOKS_MAX {
        return Answer::error(400, "Payload exceeds the limit");
    }
    let mut out = vec![b'['];
    for parameter in &wanted {
        // Unknown tokens are omitted.
        let Some(book) = book_of(&parameter.token_id) else { continue };
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(&book);
    }
    out.push(b']');
    Answer::ok(out)
}

fn tick_size(exchange: &Exchange, request: &Request) -> Answer {
    let token = request.query.first("token_id").unwrap_or("");
    let Some((market, _)) = exchange.open_token(token) else {
        return Answer::error(404, "market not found");
    };
    let mut out = Vec::new();
    let mut object = Object::new(&mut out);
    object.plain("minimum_tick_size", market.tick);
    object.end();
    Answer::ok(out)
}
