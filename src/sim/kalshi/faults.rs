//! Pending faults of the simulated Kalshi, and counts of injected ones.
//!
//! Runs on:  the venue's thread (pure).
use std::collections::BTreeMap;

#[derive(Debug)]
struct Waiting {
    name: &'static str,
    /// Restricts it to a channel.
    channel: Option<usize>,
    left: u64,
    ms: u64,
}

/// Pending faults and counts of injected ones.
#[derive(Debug, Default)]
pub(super) struct Faults {
    waiting: Vec<Waiting>,
    pub(super) done: BTreeMap<&'static str, u64>,
}

impl Faults {
    /// Injects a fault at the next `left` occasions, on one channel or any.
    pub(super) fn note(&mut self, name: &'static str, channel: Option<usize>, left: u64, ms: u64) {
        if left > 0 {
            self.waiting.push(Waiting { name, channel, left, ms });
        }
    }

    /// Whether to inject a fault here; returns its milliseconds. A fault for any channel applies only
    /// if `any`.
    pub(super) fn due(&mut self, name: &'static str, channel: usize, any: bool) -> Option<u64> {
        let meant = |w: &Waiting| w.name == name && w.channel.map_or(any, |c| c == channel);
        let place = self.waiting.iter().position(meant)?;
        let waiting = &mut self.waiting[place];
        waiting.left -= 1;
        let ms = waiting.ms;
        if waiting.left == 0 {
            self.waiting.remove(place);
        }
        self.count(name);
        Some(ms)
    }

    /// Whether to inject a fault that has no channel.
    pub(super) fn due_anywhere(&mut self, name: &'static str) -> Option<u64> {
        self.due(name, usize::MAX, true)
    }

    pub(super) fn count(&mut self, name: &'static str) {
        *self.done.entry(name).or_insert(0) += 1;
    }
}

#[cfg(test)]
mod tests;
