//! What one shard of a replay reports to the plot of the recorded time.
//!
//! Runs on:  the replay's worker (pure).
use super::batch::{Item, Position, Task};
use crate::base::id::ShardId;
use crate::capture::line::AnnotationRecord;
use crate::plot::day::{Day, Measured};
use crate::shard::intake::Findings;

/// The day, and whether the recorded engine is stopping.
#[derive(Debug, Default)]
pub(super) struct DayMeter {
    pub(super) day: Day,
    /// Its connections end because it stops, not because they are lost.
    is_stopping: bool,
    /// The recording is an engine's capture, in which connections are also closed on purpose.
    is_engine: bool,
    /// What concerns every shard is counted on the first one.
    is_first: bool,
    /// Position of the last loss: it comes once for each subscription.
    last_loss: Option<Position>,
}

impl DayMeter {
    /// Nothing yet, on this shard.
    pub(super) fn new(shard: ShardId) -> Self {
        Self { is_first: shard.0 == 0, ..Self::default() }
    }

    /// Whether this is one more loss.
    fn is_loss(&mut self, item: &Item) -> bool {
        let position = Some(item.origin.position);
        self.is_first && std::mem::replace(&mut self.last_loss, position) != position
    }

    /// An item after it was processed: messages in it, and what was found in it.
    pub(super) fn on_item(&mut self, item: &Item, messages: u64, found: &Findings) {
        let receive_ns = item.origin.receive_ns;
        match item.task {
            Task::Frame => self.day.on_frame(&Measured {
                receive_ns,
                messages,
                lag_ns: found.venue_to_read_ns,
                latency_ns: found.read_to_applied_ns,
            }),
            Task::Begin => {
                (self.is_stopping, self.is_engine) = (false, true);
                self.day.on_gap();
            }
            Task::FramesLostAnywhere => {
                self.day.on_gap();
                if self.is_loss(item) {
                    self.day.on_frames_lost(receive_ns);
                }
            }
            Task::FramesLost | Task::SequenceGap if self.is_loss(item) => {
                self.day.on_frames_lost(receive_ns);
            }
            Task::EndedInCapture if !self.is_stopping && self.is_loss(item) => {
                self.day.on_connection_lost(receive_ns);
            }
            Task::Ended if !self.is_engine && self.is_loss(item) => {
                self.day.on_connection_lost(receive_ns);
            }
            Task::Annotation(AnnotationRecord::Stopping, _) => self.is_stopping = true,
            _ => {}
        }
    }
}
