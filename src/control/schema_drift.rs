//! Share of messages that cannot be interpreted: evidence of a protocol change.
//!
//! Runs on:  control core (pure; time is an argument).
use super::shard_proxy::ShardProxy;
use crate::base::limits::SCHEMA_DRIFT_WINDOW_NS;

/// Messages and uninterpretable ones over windows of `SCHEMA_DRIFT_WINDOW_NS`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SchemaDrift {
    since_ns: u64,
    /// Sums at the start of the window.
    messages: u64,
    unrecognized: u64,
    percent: u64,
}

impl SchemaDrift {
    /// Takes the sums of the shards.
    pub(super) fn update(&mut self, shards: &[ShardProxy], now_ns: u64) {
        if now_ns < self.since_ns + SCHEMA_DRIFT_WINDOW_NS {
            return;
        }
        let intakes = shards.iter().map(|shard| shard.heartbeat.intake);
        let (messages, unrecognized) = intakes.fold((0, 0), |(all, unrecognized), i| {
            let unknown = i.unknown_events + i.unknown_keys + i.unknown_texts;
            (all + i.messages, unrecognized + unknown + i.decode_errors)
        });
        let new = unrecognized.saturating_sub(self.unrecognized);
        let all = messages.saturating_sub(self.messages);
        let percent = (100 * new).checked_div(all).unwrap_or(0);
        *self = Self { since_ns: now_ns, messages, unrecognized, percent };
    }

    /// Uninterpretable messages in the last whole window, percent.
    pub(super) const fn percent(&self) -> u64 {
        self.percent
    }
}
