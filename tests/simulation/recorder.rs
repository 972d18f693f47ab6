//! What the engine's handlers receive, written down.
//!
//! Runs on:  the simulation's thread.
use ringbook::market::event::Trade;
use ringbook::shard::publish::{BookView, Change, Handler};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

#[derive(Debug, Default)]
pub(crate) struct Record {
    /// How often each trade came.
    pub(crate) trades: BTreeMap<String, u64>,
    /// Of each book: its version, and when that was seen.
    versions: BTreeMap<String, (u64, u64)>,
    pub(crate) now_ns: u64,
    /// Books whose versions began again, and when they were last seen before.
    pub(crate) begun_again: Vec<(String, u64)>,
    pub(crate) seen: u64,
    pub(crate) breaches: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Recorder(pub(crate) Rc<RefCell<Record>>);

impl Recorder {
    fn look(&self, view: &BookView<'_>, grows: bool) {
        let mut record = self.0.borrow_mut();
        record.seen += 1;
        let (updates, now_ns) = (view.facts.updates, record.now_ns);
        let version = record.versions.entry(view.token.to_string()).or_default();
        let (before, seen_ns) = std::mem::replace(version, (updates, now_ns));
        let falls = updates < before || grows && updates == before;
        if falls && updates <= 1 {
            // Right for a book that was opened again: the world knows whether it was.
            record.begun_again.push((view.token.to_string(), seen_ns));
        } else if falls {
            record.breaches.push(format!("{}: version {updates} after {before}", view.token));
        }
    }
}

impl Handler for Recorder {
    fn on_snapshot(&mut self, view: &BookView<'_>) {
        self.look(view, true);
    }
    fn on_price_change(&mut self, view: &BookView<'_>, _: &Change) {
        self.look(view, true);
    }
    fn on_trade(&mut self, view: &BookView<'_>, trade: &Trade<'_>) {
        self.look(view, false);
        let mut record = self.0.borrow_mut();
        *record.trades.entry(trade.transaction_hash.to_owned()).or_default() += 1;
    }
}
