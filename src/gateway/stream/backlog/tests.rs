//! Bounds of a backlog.
use super::*;

#[test]
fn a_backlog_ends_at_its_bounds_and_knows_what_it_has() {
    let event =
        |bytes: usize| BacklogEvent { key: None, kind: Kind::Trade, frame: vec![0; bytes].into() };
    let mut backlog = Backlog::new(1_000, 3, 100);
    assert_eq!((backlog.next_sequence(), backlog.last_sequence()), (1_000, 999));
    for _ in 0..5 {
        backlog.push(event(10));
    }
    assert_eq!((backlog.next_sequence(), backlog.bytes), (1_005, 30));
    assert_eq!(
        [0, 1_002, 1_004, 1_005, 9_999].map(|from| backlog.events_from(from).len()),
        [3, 3, 1, 0, 0]
    );
    let book = BookSequences { first: 1_001, last: 1_003 };
    for (from, expected) in [
        (0, Resume::Gap),
        (1_001, Resume::Gap),
        (1_002, Resume::Replay),
        (1_003, Resume::Replay),
        (1_004, Resume::UpToDate),
        (1_005, Resume::UpToDate),
        (1_006, Resume::Gap),
    ] {
        assert_eq!(backlog.resume(from, book), expected, "{from}");
    }
    let old = BookSequences { first: 1_000, last: 1_000 };
    assert_eq!(
        backlog.resume(1_001, old),
        Resume::UpToDate,
        "its last event has left, and was received"
    );
    assert_eq!(backlog.resume(1_000, old), Resume::Gap);
    let new = BookSequences { first: 1_003, last: 1_003 };
    assert_eq!(
        backlog.resume(1_002, new),
        Resume::Gap,
        "what was before its first image is unknown"
    );
    backlog.push(event(95));
    assert_eq!((backlog.events_from(0).len(), backlog.bytes), (1, 95));
    backlog.push(event(101));
    assert_eq!(
        (backlog.events_from(0).len(), backlog.bytes, backlog.next_sequence()),
        (0, 0, 1_007)
    );
}
