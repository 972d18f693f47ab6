//! A request whose time is used up.
use super::*;
use crate::pool::service::Kind;

#[test]
fn a_request_whose_time_its_first_attempt_used_up_timed_out_in_that() {
    let limits = Limits {
        request_timeout_ns: 5_000 * MILLISECOND_NS,
        acquire_timeout_ns: 2_000 * MILLISECOND_NS,
        ..Limits::of(Kind::Http)
    };
    let time =
        |left_ms| acquire_time(&limits, left_ms * MILLISECOND_NS, "waiting for the response");
    assert_eq!(time(5_000), Ok(2_000 * MILLISECOND_NS));
    assert_eq!(time(7), Ok(7 * MILLISECOND_NS));
    let error = time(0).unwrap_err();
    assert_eq!(error.kind().name(), "timeout");
    assert_eq!(error.to_string(), "no response within 5000 ms while waiting for the response");
}
