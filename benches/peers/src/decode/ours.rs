//! ringbook: the decoder and the books of a shard, through its public library.

use super::{FinalBooks, Pipeline, file::Frames};
use ringbook::base::id::ShardId;
use ringbook::base::time::{Clock, Now, StillClock};
use ringbook::io::clock::HostClock;
use ringbook::market::book::{Level, image::BookImage};
use ringbook::shard::books::{Admission, Books, ConnectionSlot, OpenBook};
use ringbook::shard::intake::{Findings, Intake};

/// A clock that reports when a frame was read.
pub(super) trait ReadClock: Clock {
    fn read(&self) -> Now;
}

impl ReadClock for HostClock {
    fn read(&self) -> Now {
        self.now()
    }
}

impl ReadClock for StillClock {
    fn read(&self) -> Now {
        Now::default()
    }
}

pub(super) struct Ours<C> {
    intake: Intake<(), C>,
    findings: Findings,
    refused: u64,
}

/// With the clock reads and histograms of a live shard.
pub(super) fn timed() -> Ours<HostClock> {
    new(HostClock::new())
}

/// With a clock that stands still.
pub(super) fn untimed() -> Ours<StillClock> {
    new(StillClock::default())
}

fn new<C: Clock>(clock: C) -> Ours<C> {
    let books = Books::new(
        ShardId(0),
        ringbook::venue::polymarket::feed(true),
        Admission::Implied { shards: 1 },
        (),
    );
    Ours {
        intake: Intake::new(ringbook::venue::polymarket::feed(true), books, clock),
        findings: Findings::default(),
        refused: 0,
    }
}

impl<C: ReadClock> Pipeline for Ours<C> {
    fn feed(&mut self, frames: Frames<'_>) {
        for frame in frames.iter() {
            let read = self.intake.clock.read();
            self.intake.on_frame(frame, ConnectionSlot(0), read, &mut self.findings);
            self.refused += u64::from(self.findings.bad_count);
        }
    }

    fn refused(&self) -> u64 {
        self.refused
    }

    fn books(&self) -> Result<FinalBooks, String> {
        let mut image = BookImage::default();
        let one = |level: &Level| (u64::from(level.price.0), level.quantity.0);
        let books = self.intake.books.open_books().map(|OpenBook { token, index, .. }| {
            self.intake.books.fill_image_at(index, &mut image);
            let sides = [&image.bids, &image.asks].map(|side| side.iter().map(one).collect());
            (token.to_string(), sides)
        });
        Ok(books.collect())
    }
}
