//! Fault: REST answers with outdated books.
//!
//! Runs on:  the venue's thread (pure; time is an argument).
use std::collections::HashMap;

use super::exchange::Exchange;
use super::routes::truth;
use super::stats::Counters;

/// First answers since the fault began.
#[derive(Debug, Default)]
pub(super) struct OldBooks {
    /// Real milliseconds since the venue's start.
    until_ms: u64,
    first: HashMap<String, Vec<u8>>,
}

impl OldBooks {
    /// Nothing answered yet.
    pub(super) fn until(until_ms: u64) -> Self {
        Self { until_ms, first: HashMap::new() }
    }

    /// A token's book in REST shape: current, or the first answer during the fault.
    pub(super) fn book(
        &mut self,
        token: &str,
        exchange: &Exchange,
        now_ms: u64,
        counters: &Counters,
    ) -> Option<Vec<u8>> {
        if now_ms >= self.until_ms {
            return truth(exchange, token);
        }
        if let Some(book) = self.first.get(token) {
            counters.old_books.add(1);
            return Some(book.clone());
        }
        let book = truth(exchange, token)?;
        self.first.insert(token.to_owned(), book.clone());
        Some(book)
    }
}
