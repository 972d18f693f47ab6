//! Shares of skipped markets, and their reports.
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
