//! Order, rate and pauses of requests.
use super::*;
use crate::base::limits::{BOOKS_REQUESTS_PER_SECOND, TOKENS_PER_BOOKS_REQUEST};

const LIMITS: (usize, u64) = (TOKENS_PER_BOOKS_REQUEST, BOOKS_REQUESTS_PER_SECOND);

fn tokens(from: usize, count: usize) -> Vec<TokenId> {
    (from..from + count).map(|i| TokenId::new(&i.to_string()).unwrap()).collect()
}

#[test]
fn urgent_tokens_go_first_and_shards_take_turns() {
    let mut requester = SnapshotRequester::new(2, LIMITS);
    assert_eq!(requester.poll(0), None);
    requester.want(0, &tokens(0, 10), false, 1);
    requester.want(0, &tokens(100, 300), true, 2);
    requester.want(1, &tokens(1_000, 20), true, 1);
    let gap_ns = SECOND_NS / BOOKS_REQUESTS_PER_SECOND;
    let asked: Vec<SnapshotRequest> = (0..4).filter_map(|i| requester.poll(i * gap_ns)).collect();
    let of = |shard, tokens, question| SnapshotRequest { shard, tokens, question };
    assert_eq!(asked[0], of(0, tokens(100, 250), 2));
    assert_eq!(asked[1], of(1, tokens(1_000, 20), 1));
    let rest = [tokens(350, 50), tokens(0, 10)].concat();
    assert_eq!(asked[2], of(0, rest, 2));
    assert_eq!(asked.len(), 3);
    assert_eq!(requester.report().tokens_waiting, 0);
}

#[test]
fn the_rate_the_open_questions_and_the_pauses_of_the_venue_are_kept() {
    let mut requester = SnapshotRequester::new(1, LIMITS);
    for _ in 0..20 {
        requester.want(0, &tokens(0, TOKENS_PER_BOOKS_REQUEST), true, 1);
    }
    assert!(requester.poll(0).is_some());
    let gap_ns = SECOND_NS / BOOKS_REQUESTS_PER_SECOND;
    assert!(requester.poll(gap_ns - 1).is_none());
    for asked in 1..BOOKS_REQUESTS_OPEN_MAX as u64 {
        assert!(requester.poll(asked * gap_ns).is_some());
    }
    assert!(requester.poll(10 * SECOND_NS).is_none(), "too many are open");
    requester.on_failure(10 * SECOND_NS, "HTTP 429".into(), Some(7 * SECOND_NS));
    assert!(requester.poll(17 * SECOND_NS - 1).is_none());
    assert!(requester.poll(17 * SECOND_NS).is_some());
    requester.on_answer();
    assert!(requester.poll(18 * SECOND_NS).is_some());
    let report = requester.report();
    assert_eq!((report.requests, report.answers, report.failed), (6, 1, 1));
}

#[test]
fn comparisons_leave_room_for_what_is_urgent() {
    let mut requester = SnapshotRequester::new(1, LIMITS);
    let many = tokens(0, BOOKS_WAITING_MAX / 2);
    requester.want(0, &many, false, 1);
    requester.want(0, &tokens(0, 1), false, 2);
    assert_eq!(requester.report().tokens_dropped, 1);
    requester.want(0, &many, true, 3);
    requester.want(0, &tokens(0, 1), true, 4);
    let report = requester.report();
    assert_eq!((report.tokens_waiting, report.tokens_dropped), (BOOKS_WAITING_MAX as u64, 2));
}
