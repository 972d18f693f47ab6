//! Markets as every venue has them: events, what is known of a market, and its books.
//!
//! Runs on:  any (pure).
pub mod book;
pub mod event;
pub mod info;
pub mod owned;
