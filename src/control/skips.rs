//! Markets that the catalog lists and the engine does not follow, by reason.
//!
//! Runs on:  control core (pure).
//! Owns:     counts of the present scan, of the last complete one, and of markets named by a user.
//! Bounds:   one entry per reason.
use crate::base::limits::{SKIPPED_NOTICE_PERCENT, SKIPPED_REASON_PERCENT};
use crate::counter::report::SkipReport;
use crate::venue::skip::{SkipReason, Skipped};
use std::collections::{BTreeMap, btree_map::Entry};

/// Counts of one scan.
#[derive(Clone, Debug, Default)]
struct Listing {
    /// Open entries.
    open: u64,
    skipped: BTreeMap<SkipReason, u64>,
}

/// Counts skipped markets; keeps the first of each reason.
#[derive(Clone, Debug, Default)]
pub struct Skips {
    scan: u64,
    present: Listing,
    last: Option<Listing>,
    /// Named markets.
    asked: BTreeMap<SkipReason, u64>,
    /// The first of each reason since the start.
    first: BTreeMap<SkipReason, String>,
}

/// Severity of the share that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// A usual share.
    Usual,
    /// More than that; text.
    Notice(String),
    /// So much that the engine does not do its work; text.
    Reason(String),
}

impl Skips {
    /// Takes a page of a scan. Returns entries to log: the first of each reason since the start.
    pub fn on_page(&mut self, scan: u64, followed: usize, skipped: Vec<Skipped>) -> Vec<Skipped> {
        if scan != self.scan {
            (self.scan, self.present) = (scan, Listing::default());
        }
        self.present.open += (followed + skipped.len()) as u64;
        self.add_to_present(skipped)
    }

    /// Entries of the present scan counted as followed that are not.
    pub fn on_refused(&mut self, skipped: Vec<Skipped>) -> Vec<Skipped> {
        self.add_to_present(skipped)
    }

    /// Named markets; the caller logs them.
    pub fn on_asked(&mut self, skipped: &[Skipped]) {
        for entry in skipped {
            *self.asked.entry(entry.reason).or_default() += 1;
            self.first.entry(entry.reason).or_insert_with(|| entry.to_string());
        }
    }

    /// Ends the present scan.
    pub fn complete(&mut self) {
        self.last = Some(self.present.clone());
    }

    fn add_to_present(&mut self, skipped: Vec<Skipped>) -> Vec<Skipped> {
        let mut new = Vec::new();
        for entry in skipped {
            *self.present.skipped.entry(entry.reason).or_default() += 1;
            if let Entry::Vacant(first) = self.first.entry(entry.reason) {
                first.insert(entry.to_string());
                new.push(entry);
            }
        }
        new
    }

    /// Counts of the last complete scan; of the present one before the first.
    fn listing(&self) -> &Listing {
        self.last.as_ref().unwrap_or(&self.present)
    }

    /// Entries listed as open.
    pub fn open(&self) -> u64 {
        self.listing().open
    }

    /// Reasons seen since the start.
    pub fn report(&self, venue: &str) -> Vec<SkipReport> {
        let counts = &self.listing().skipped;
        let report = |(reason, first): (&SkipReason, &String)| SkipReport {
            venue: venue.to_owned(),
            reason: reason.name().to_owned(),
            by_rule: !reason.is_drift(),
            markets: [counts, &self.asked].iter().filter_map(|of| of.get(reason)).sum(),
            first: first.clone(),
        };
        self.first.iter().map(report).collect()
    }

    /// Severity of the share that should have books and cannot be followed.
    pub fn drift(&self, venue: &str) -> Drift {
        let Listing { open, skipped } = self.listing();
        let drift = || skipped.iter().filter(|(reason, _)| reason.is_drift());
        let count: u64 = drift().map(|(_, count)| count).sum();
        if 100 * count <= SKIPPED_NOTICE_PERCENT * open {
            return Drift::Usual;
        }
        let reasons: Vec<String> =
            drift().map(|(reason, count)| format!("{} {count}", reason.name())).collect();
        let line = format!(
            "{count} of {open} open markets in the catalog of {venue} are not followed ({}): \
             the venue may have changed its schema; the log names the first market of each reason",
            reasons.join(", ")
        );
        if 100 * count >= SKIPPED_REASON_PERCENT * open {
            Drift::Reason(line)
        } else {
            Drift::Notice(line)
        }
    }
}

#[cfg(test)]
mod tests;
