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
    #[must_use]
    pub fn open(&self) -> u64 {
        self.listing().open
    }

    /// Reasons seen since the start.
    #[must_use]
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
    #[must_use]
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
mod tests {
    use super::*;

    fn entries(reason: SkipReason, count: usize) -> Vec<Skipped> {
        (0..count).map(|n| Skipped::new(None, &format!("m{n}"), reason)).collect()
    }

    fn of(followed: usize, reason: SkipReason, count: usize) -> Drift {
        let mut skips = Skips::default();
        skips.on_page(1, followed, entries(reason, count));
        skips.complete();
        skips.drift("polymarket")
    }

    #[test]
    fn one_percent_is_usual_more_is_a_notice_and_ten_are_a_fault() {
        use SkipReason::UnknownVersion;
        assert_eq!(of(99, UnknownVersion, 1), Drift::Usual);
        assert_eq!(of(0, UnknownVersion, 0), Drift::Usual);
        let Drift::Notice(line) = of(95, UnknownVersion, 5) else { panic!("5 %") };
        assert!(line.starts_with("5 of 100 open markets in the catalog of polymarket"), "{line}");
        assert!(line.contains("unknown_version 5"), "{line}");
        assert!(matches!(of(197, UnknownVersion, 3), Drift::Notice(_)));
        assert!(matches!(of(901, UnknownVersion, 99), Drift::Notice(_)));
        assert!(matches!(of(90, UnknownVersion, 10), Drift::Reason(_)));
        assert!(matches!(of(0, UnknownVersion, 1), Drift::Reason(_)));
    }

    #[test]
    fn what_has_no_book_by_rule_is_counted_and_no_drift() {
        use SkipReason::{Combo, Ended, Inactive, NoOrderBook, NotAccepting, QuotesOnly};
        for reason in [Combo, Ended, Inactive, NoOrderBook, NotAccepting, QuotesOnly] {
            assert_eq!(of(1, reason, 99), Drift::Usual, "{reason:?}");
        }
        let mut skips = Skips::default();
        skips.on_page(1, 1, entries(Combo, 3));
        let [report] = &skips.report("kalshi")[..] else { panic!("one reason") };
        assert_eq!((report.reason.as_str(), report.by_rule, report.markets), ("combo", true, 3));
        assert_eq!(report.first, "(no id; m0)");
    }

    #[test]
    fn the_first_of_a_reason_is_named_once_and_counts_are_those_of_one_scan() {
        let mut skips = Skips::default();
        let new = skips.on_page(1, 10, entries(SkipReason::BadId, 2));
        assert_eq!(new.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["m0"]);
        assert!(skips.on_page(1, 10, entries(SkipReason::BadId, 2)).is_empty());
        assert_eq!(skips.on_refused(entries(SkipReason::TokenTaken, 1)).len(), 1);
        let counts = |skips: &Skips| {
            skips.report("").iter().map(|s| (s.reason.clone(), s.markets)).collect::<Vec<_>>()
        };
        let both = |id, taken| vec![("bad_id".into(), id), ("token_taken".into(), taken)];
        assert_eq!(counts(&skips), both(4, 1), "of the scan under way, where there is no other");
        assert_eq!(skips.open(), 24);
        skips.complete();
        skips.on_page(2, 10, entries(SkipReason::BadId, 1));
        assert_eq!(counts(&skips), both(4, 1), "of the last complete scan");
        skips.complete();
        assert_eq!(counts(&skips), both(1, 0));
        skips.on_asked(&entries(SkipReason::BadId, 1));
        assert_eq!(counts(&skips), both(2, 0));
        assert!(matches!(skips.drift(""), Drift::Notice(_)), "9 %: names asked for are no share");
    }
}
