//! polyfill-rs: its generic decoder with its books, and its hot path for `book` messages.

use super::{FinalBooks, Pipeline, exact, file::Frames};
use chrono::DateTime;
use polyfill_rs::OrderBookManager;
use polyfill_rs::WsBookUpdateProcessor;
use polyfill_rs::decode::parse_stream_messages_bytes;
use polyfill_rs::types::{BookLevel, OrderDelta, StreamMessage};

/// Levels a side: more than the deepest one of the files (142), so that nothing is cut off; not
/// many more, because it reserves them at once.
const DEPTH_MAX: usize = 200;

/// Bytes of a usual frame, for its buffers.
const FRAME_BYTES: usize = 1_024;

pub(super) struct Generic {
    books: OrderBookManager,
    /// It wants a number that grows with each change; the venue has none.
    sequence: u64,
    refused: u64,
}

impl Generic {
    pub(super) fn new() -> Self {
        Self { books: OrderBookManager::new(DEPTH_MAX), sequence: 0, refused: 0 }
    }

    fn apply(&mut self, message: StreamMessage) {
        match message {
            StreamMessage::Book(update) => {
                self.refused += u64::from(self.books.apply_book_update(&update).is_err());
            }
            StreamMessage::PriceChange(update) => {
                let time = DateTime::from_timestamp_millis(update.timestamp as i64);
                for change in update.price_changes {
                    self.sequence += 1;
                    let Some((timestamp, size)) = time.zip(change.size) else {
                        self.refused += 1;
                        continue;
                    };
                    let delta = OrderDelta {
                        token_id: change.asset_id,
                        timestamp,
                        side: change.side,
                        price: change.price,
                        size,
                        sequence: self.sequence,
                    };
                    self.refused += u64::from(self.books.apply_delta(delta).is_err());
                }
            }
            _ => {}
        }
    }
}

impl Pipeline for Generic {
    fn feed(&mut self, frames: Frames<'_>) {
        for frame in frames.iter() {
            match parse_stream_messages_bytes(frame.as_bytes()) {
                Ok(messages) => messages.into_iter().for_each(|message| self.apply(message)),
                Err(_) => self.refused += 1,
            }
        }
    }

    fn refused(&self) -> u64 {
        self.refused
    }

    fn books(&self) -> Result<FinalBooks, String> {
        books(&self.books)
    }
}

pub(super) struct Hot {
    processor: WsBookUpdateProcessor,
    books: OrderBookManager,
    /// It parses in place, so each frame is copied first, as from a socket buffer that must stay intact.
    frame: Vec<u8>,
    refused: u64,
}

impl Hot {
    pub(super) fn new() -> Self {
        Self {
            processor: WsBookUpdateProcessor::new(FRAME_BYTES),
            books: OrderBookManager::new(DEPTH_MAX),
            frame: Vec::new(),
            refused: 0,
        }
    }
}

impl Pipeline for Hot {
    fn feed(&mut self, frames: Frames<'_>) {
        for frame in frames.iter() {
            if frame.starts_with('[') {
                open_books(&self.books, frame);
            }
            self.frame.clear();
            self.frame.extend_from_slice(frame.as_bytes());
            let result = self.processor.process_bytes(&mut self.frame, &self.books);
            self.refused += u64::from(result.is_err());
        }
    }

    fn refused(&self) -> u64 {
        self.refused
    }

    fn books(&self) -> Result<FinalBooks, String> {
        books(&self.books)
    }
}

/// Its hot path refuses a book that was not opened before.
fn open_books(books: &OrderBookManager, dump: &str) {
    for message in parse_stream_messages_bytes(dump.as_bytes()).unwrap_or_default() {
        if let StreamMessage::Book(update) = message {
            let _ = books.get_or_create_book(&update.asset_id);
        }
    }
}

fn books(books: &OrderBookManager) -> Result<FinalBooks, String> {
    let all = books.get_all_books().map_err(|error| error.to_string())?;
    let side = |levels: &[BookLevel]| {
        levels.iter().map(|level| exact(level.price, level.size)).collect::<Result<_, _>>()
    };
    all.iter()
        .map(|book| Ok((book.token_id.clone(), [side(&book.bids)?, side(&book.asks)?])))
        .collect()
}
