//! What the engine's handlers are told, written down.
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
    versions: BTreeMap<String, u64>,
    pub(crate) seen: u64,
    pub(crate) breaches: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Witness(pub(crate) Rc<RefCell<Record>>);

impl Witness {
    fn look(&self, view: &BookView<'_>, grows: bool) {
        let mut record = self.0.borrow_mut();
        record.seen += 1;
        let version = record.versions.entry(view.token.to_string()).or_default();
        let before = std::mem::replace(version, view.facts.updates);
        if view.facts.updates < before || grows && view.facts.updates == before {
            record
                .breaches
                .push(format!("{}: version {} after {before}", view.token, view.facts.updates));
        }
    }
}

impl Handler for Witness {
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
