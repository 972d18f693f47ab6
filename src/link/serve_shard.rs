//! `serve_shard` and `shard_serve`: the serve core asks a shard for an image of one book.
//!
//! Runs on:  serve core (asks), the shard (answers between two frames).
//! When full: the request is answered with 503 and counted. Repaired by the client's next request.
use crate::base::id::TokenId;
use crate::market::book::image::BookImage;

/// A book is asked for.
#[derive(Debug)]
pub struct BookQuery {
    /// Given back in the answer.
    pub ticket: u64,
    /// The book's token.
    pub token: TokenId,
    /// Where the shard puts the image: allocated by the asker, so that the shard need not.
    pub image: Box<BookImage>,
}

/// The shard's answer.
#[derive(Debug)]
pub struct BookAnswer {
    /// The ticket of the query.
    pub ticket: u64,
    /// False when this shard holds no such book; the image is then unchanged.
    pub found: bool,
    /// The image.
    pub image: Box<BookImage>,
}
