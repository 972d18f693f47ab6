//! The thread `trade-store`, and `trade-index`, which adds an index to a PostgreSQL table of an earlier version.
//!
//! Runs on:  these threads; both may block. Owns: the database.
use super::Outcome;
use crate::base::time::{Clock as _, SECOND_NS};
use crate::io::{clock::HostClock, executor::no_thread, threads::lower_priority};
use crate::sink::store::{Batch, Store, StoreAddress, StoreError};
use log::{info, warn};
use std::sync::mpsc::{Receiver, SyncSender};

pub(super) struct Writer {
    pub(super) address: StoreAddress,
    pub(super) store: Option<Box<dyn Store>>,
    pub(super) batches: Receiver<Batch>,
    pub(super) outcomes: SyncSender<Outcome>,
    pub(super) clock: HostClock,
    /// The index by token is there, or is being added, or cannot be.
    pub(super) is_indexed: bool,
}

fn add_token_index(store: &mut dyn Store, shown: &str, clock: &HostClock) {
    let begun_ns = clock.mono_ns();
    info!("{shown}: the trades get an index by token, for /prices-history");
    match store.add_token_index() {
        Ok(()) => {
            let seconds = (clock.mono_ns() - begun_ns) / SECOND_NS;
            info!("{shown}: the trades have the index by token after {seconds} s");
        }
        Err(error) => warn!(
            "{shown}: the trades get no index by token: {error}; /prices-history reads all trades of its time, the next start tries again"
        ),
    }
}

impl Writer {
    pub(super) fn run(mut self) {
        lower_priority();
        self.index();
        while let Ok(batch) = self.batches.recv() {
            let begun_ns = self.clock.mono_ns();
            let result = self.execute(&batch);
            if result.is_err() {
                // The next batch reconnects: the state of this connection is unknown.
                self.store = None;
            }
            let took_ns = self.clock.mono_ns() - begun_ns;
            if self.outcomes.send(Outcome { batch, result, took_ns }).is_err() {
                return;
            }
        }
    }

    fn execute(&mut self, batch: &Batch) -> Result<u64, StoreError> {
        if self.store.is_none() {
            self.store = Some(self.address.open()?);
            self.index();
        }
        let Some(store) = &mut self.store else { return Err(StoreError::new("not open")) };
        store.insert(batch)
    }

    /// Adds the index by token where it is missing. SQLite has one writer: this thread, while trades wait in the
    /// journal. PostgreSQL adds it over a connection of its own, while this one stores trades.
    fn index(&mut self) {
        let Some(store) = &mut self.store else { return };
        if std::mem::replace(&mut self.is_indexed, true) || store.has_token_index() != Ok(false) {
            return;
        }
        let (address, shown, clock) =
            (self.address.clone(), self.address.shown(), self.clock.clone());
        if address.file().is_some() {
            add_token_index(&mut **store, &shown, &clock);
            return;
        }
        let run = move || {
            lower_priority();
            match address.open() {
                Ok(mut store) => add_token_index(&mut *store, &shown, &clock),
                Err(error) => warn!("{shown}: the trades get no index by token: {error}"),
            }
        };
        let started = std::thread::Builder::new().name("trade-index".into()).spawn(run);
        if let Err(error) = started {
            warn!("{}", no_thread("trade-index", &error));
        }
    }
}
