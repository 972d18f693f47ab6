//! Captures back into books: the same decode and book code as live, and its numbers.
//!
//! Runs on:  plain threads: one reader, one per shard.
use crate::base::id::ShardId;
use crate::base::time::{Now, StillClock};
use crate::shard::books::{Admission, Books};
use crate::shard::intake::{Findings, Intake};
use crate::shard::publish::Handler;

/// Feeds raw frames to a handler, as if they had come from a venue, and gives the handler back.
///
/// Subscriptions are implied by what appears: every token that is mentioned gets a book.
pub fn feed<'f, H: Handler>(handler: H, frames: impl IntoIterator<Item = &'f str>) -> H {
    let books = Books::new(ShardId(0), Admission::Implied { shards: 1 }, handler);
    let mut intake = Intake::new(books, StillClock::default());
    let mut findings = Findings::default();
    for frame in frames {
        intake.on_frame(frame, Default::default(), Now::default(), &mut findings);
    }
    intake.books.into_handler()
}
