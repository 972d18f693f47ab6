//! Requests once a minute, and an unreadable answer.
use super::*;

#[test]
fn it_is_asked_for_once_a_minute_and_what_cannot_be_read_changes_nothing() {
    let mut exchange = Exchange::default();
    assert!(exchange.poll(5) && !exchange.poll(6));
    assert!(exchange.poll(5 + EXCHANGE_STATUS_INTERVAL_NS));
    assert_eq!(exchange.report(), None);
    let status = ExchangeStatus { active: true, trading: false, resumes_wall_ns: Some(9) };
    let now = Now { mono_ns: 1, wall_ns: 7 };
    exchange.on_status(Some(status), now);
    exchange.on_status(None, Now { mono_ns: 2, wall_ns: 8 });
    let report = exchange.report().unwrap();
    assert!(report.active && !report.trading);
    assert_eq!((report.resumes_wall_ns, report.seen_wall_ns), (9, 7));
}
