//! Numbers of several subscriptions.
use super::*;

#[test]
fn each_subscription_counts_by_itself_and_duplicates_are_dropped() {
    let mut sequences = Sequences::default();
    let mut take = |sid, seq| sequences.take((sid, seq), BookContent::None, false);
    assert_eq!(take(1, 1), Verdict::Next);
    assert_eq!(take(2, 1), Verdict::Next);
    assert_eq!(take(1, 2), Verdict::Next);
    assert_eq!(take(1, 2), Verdict::Duplicate);
    assert_eq!(take(1, 5), Verdict::Hole(2));
    assert_eq!(take(1, 4), Verdict::Duplicate, "late");
    assert_eq!(take(1, 6), Verdict::Next);
    assert_eq!(take(2, 2), Verdict::Next);
    assert_eq!(take(3, 3), Verdict::Hole(2), "a live subscription begins at 1");
    sequences.reset();
    assert_eq!(sequences.count(1, 1, false), Verdict::Next);
    assert_eq!(sequences.count(7, 900, true), Verdict::Next, "a recording begins anywhere");
    for sid in 10..1000 {
        sequences.count(sid, 1, false);
    }
    assert!(sequences.last.len() <= SIDS_PER_CONNECTION_MAX);
}

#[test]
fn a_book_of_another_subscription_or_of_none_is_a_gap() {
    for anywhere in [false, true] {
        let mut sequences = Sequences::default();
        sequences.begin(1);
        let mut take = |sid, seq, content| sequences.take((sid, seq), content, anywhere);
        assert_eq!(take(1, 1, BookContent::Snapshot), Verdict::Next);
        assert_eq!(take(1, 2, BookContent::Change), Verdict::Next);
        for sid in [9, UNNAMED_SID_MIN] {
            // First, next and duplicate message.
            for seq in [1, 2, 2] {
                assert_eq!(take(sid, seq, BookContent::Change), Verdict::Hole(0), "{sid}/{seq}");
            }
        }
        assert_eq!(take(9, 3, BookContent::None), Verdict::Next, "no book is concerned");
        assert_eq!(take(1, 3, BookContent::Change), Verdict::Next);
        // A new subscription replaces it.
        sequences.begin(2);
        assert_eq!(sequences.take((2, 1), BookContent::Change, anywhere), Verdict::Next);
        assert_eq!(sequences.take((1, 4), BookContent::Change, anywhere), Verdict::Hole(0));
        // So does one whose acknowledgement was lost, once a response names it.
        assert_eq!(sequences.take((4, 1), BookContent::Change, anywhere), Verdict::Hole(0));
        assert!(sequences.confirm(4) && !sequences.confirm(4) && !sequences.confirm(2));
        assert_eq!(sequences.take((4, 2), BookContent::Change, anywhere), Verdict::Next);
        // Without an acknowledged subscription any `sid` is accepted.
        sequences.reset();
        assert_eq!(sequences.take((7, 1), BookContent::Change, anywhere), Verdict::Next);
        sequences.reset();
        let unnamed = (UNNAMED_SID_MIN, 1);
        assert_eq!(sequences.take(unnamed, BookContent::Change, anywhere), Verdict::Next);
    }
}
