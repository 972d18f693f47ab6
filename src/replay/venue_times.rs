//! The venue's times of frames, for recordings without receive times.
//!
//! Runs on:  a plain thread (pure).
use crate::base::time::MILLISECOND_NS;
use crate::market::event::Event;
use crate::market::info::MarketUpdate;
use crate::venue::{DecodeNotice, Decoder, Feed, Progress, Sink};

/// Reads them; one per recording.
#[derive(Debug)]
pub(crate) struct VenueTimes {
    decoder: Decoder,
}

impl VenueTimes {
    pub(crate) fn new(feed: Feed) -> Self {
        Self { decoder: feed.decoder() }
    }

    /// The latest time of a frame's messages, nanoseconds since the Unix epoch; `None` if none has one.
    pub(crate) fn of(&mut self, frame: &str) -> Option<u64> {
        let mut latest = LatestTime(0);
        self.decoder.decode_part(frame, &mut Progress::default(), usize::MAX, &mut latest);
        latest.0.checked_mul(MILLISECOND_NS).filter(|&ns| ns > 0)
    }
}

/// Of events; milliseconds since the Unix epoch.
struct LatestTime(u64);

impl Sink for LatestTime {
    fn on_event(&mut self, event: &Event<'_>) {
        self.0 = self.0.max(event.timestamp_ms());
    }
    fn on_market_update(&mut self, _: MarketUpdate) {}
    fn on_decode_notice(&mut self, _: &DecodeNotice<'_>) {}
}
