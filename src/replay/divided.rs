//! Tokens whose messages name more than one market.
//!
//! Runs on:  the starting thread, at the end of a replay.
//!
//! Which shard has a message depends on its market alone, so such a token has a book under each market. Where they are
//! equal, the venue has sent all under both. Where they differ, each may lack what came for the other: none is live.
use super::worker::WorkerResult;
use crate::market::book::{BookState, image::BookImage};
use crate::shard::publish::Handler;
use log::warn;

/// Makes the different books of one token stale.
pub(super) fn set_stale<H: Handler>(results: &mut [WorkerResult<H>]) {
    let mut open = Vec::new();
    for (place, result) in results.iter().enumerate() {
        open.extend(result.books.open_books().map(|book| (book.token, place, book.index)));
    }
    open.sort_unstable_by(|(a, ..), (b, ..)| a.as_bytes().cmp(b.as_bytes()));
    for of_token in open.chunk_by(|(a, ..), (b, ..)| a == b).filter(|books| books.len() > 1) {
        let images = of_token.iter().map(|&(_, place, index)| {
            let mut image = BookImage::default();
            results[place].books.fill_image_at(index, &mut image);
            image
        });
        let images: Vec<BookImage> = images.collect();
        let is_equal = |one: &BookImage, other: &BookImage| {
            (one.state, &one.bids, &one.asks) == (other.state, &other.bids, &other.asks)
        };
        if images.windows(2).all(|pair| is_equal(&pair[0], &pair[1])) {
            continue;
        }
        let (token, count) = (of_token[0].0, images.len());
        warn!("messages of token {token} name {count} markets, and its books differ: none is live");
        let live = of_token.iter().zip(&images).filter(|(_, image)| image.state == BookState::Live);
        for (&(token, place, _), image) in live {
            let (result, since_ns) = (&mut results[place], image.facts.updated_wall_ns);
            let market = image.market.map_or_else(String::new, |market| market.to_string());
            result.books.on_undecoded(&market, &token.to_string(), since_ns);
            result.book_counts.live -= 1;
            result.book_counts.stale += 1;
        }
    }
}
