//! The engines that publish: which start of each counts, and whether it runs, is silent or is gone for good.
//!
//! Runs on:  a reader's thread (pure). Bounds: an engine that has ended is forgotten after `BUS_CLOSED_NS`, one of
//!           which nothing comes after `BUS_FORGET_NS`.
use super::Source;
use crate::base::limits::{BUS_CLOSED_NS, BUS_FORGET_NS, BUS_SILENT_NS};
use std::collections::HashMap;
use std::sync::Arc;

/// An engine that publishes.
#[derive(Debug)]
struct Publishing {
    /// The last one.
    epoch: u64,
    /// When its last record was read, monotonic nanoseconds.
    read_ns: u64,
    is_silent: bool,
    /// As it has reported.
    is_running: Option<bool>,
    /// Its number in the races.
    racer: usize,
}

/// What a record is for its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// One more.
    Continues,
    /// The first one after it was silent.
    Returns,
    /// The first one since another start.
    BeginsAnew,
    /// It is of an earlier start.
    Outdated,
}

/// The engines by name.
#[derive(Debug, Default)]
pub(super) struct Engines(HashMap<Arc<str>, Publishing>);

impl Engines {
    /// A record was read; the name of its engine. `number`: gives a new engine its number in the races.
    pub(super) fn on_record(
        &mut self,
        source: Source<'_>,
        number: impl FnOnce(&Arc<str>) -> usize,
    ) -> (Arc<str>, Arrival) {
        let Source { engine, epoch, read_ns, .. } = source;
        let Some((name, known)) = self.0.get_key_value(engine) else {
            let (name, is_silent): (Arc<str>, _) = (engine.into(), false);
            let racer = number(&name);
            let new = Publishing { epoch, read_ns, is_silent, is_running: None, racer };
            self.0.insert(Arc::clone(&name), new);
            return (name, Arrival::Continues);
        };
        let (name, before_epoch, was_silent) = (Arc::clone(name), known.epoch, known.is_silent);
        if epoch < before_epoch {
            return (name, Arrival::Outdated);
        }
        let is_newer = epoch > before_epoch;
        if let Some(known) = self.0.get_mut(engine) {
            (known.epoch, known.read_ns, known.is_silent) = (epoch, read_ns, false);
            known.is_running = known.is_running.filter(|_| !is_newer);
        }
        match (is_newer, was_silent) {
            (true, _) => (name, Arrival::BeginsAnew),
            (false, true) => (name, Arrival::Returns),
            (false, false) => (name, Arrival::Continues),
        }
    }

    /// It has reported whether it runs; whether that is new.
    pub(super) fn set_running(&mut self, engine: &str, is_running: bool) -> bool {
        let known = self.0.get_mut(engine);
        known.is_some_and(|known| known.is_running.replace(is_running) != Some(is_running))
    }

    /// Its number in the races.
    pub(super) fn racer(&self, engine: &str) -> Option<usize> {
        self.0.get(engine).map(|known| known.racer)
    }

    /// Whether it has reported its end.
    pub(super) fn has_ended(&self, engine: &str) -> bool {
        self.0.get(engine).is_some_and(|known| known.is_running == Some(false))
    }

    /// All that are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Those that run and are not silent.
    pub(super) fn running(&self) -> usize {
        let runs = |known: &&Publishing| !known.is_silent && known.is_running != Some(false);
        self.0.values().filter(runs).count()
    }

    /// Those that are silent from now on.
    pub(super) fn take_silent(&mut self, now_ns: u64) -> Vec<Arc<str>> {
        let is_late = |known: &Publishing| {
            !known.is_silent && now_ns.saturating_sub(known.read_ns) > BUS_SILENT_NS
        };
        let late = self.0.iter_mut().filter(|(_, known)| is_late(known));
        late.map(|(name, known)| {
            known.is_silent = true;
            Arc::clone(name)
        })
        .collect()
    }

    /// Forgets those that are gone for good; their names and numbers.
    pub(super) fn take_gone(&mut self, now_ns: u64) -> Vec<(Arc<str>, usize)> {
        let is_gone = |_: &Arc<str>, known: &mut Publishing| {
            let has_ended = known.is_running == Some(false);
            let kept_ns = if has_ended { BUS_CLOSED_NS } else { BUS_FORGET_NS };
            now_ns.saturating_sub(known.read_ns) > kept_ns
        };
        self.0.extract_if(is_gone).map(|(name, known)| (name, known.racer)).collect()
    }
}
