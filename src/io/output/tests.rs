//! Masks of ignored signals.
use super::*;

#[test]
fn an_ignored_hangup_is_read_from_the_mask() {
    assert!(ignores_hangup("Name:\tx\nSigIgn:\t0000000000001001\n"));
    assert!(!ignores_hangup("Name:\tx\nSigIgn:\t0000000000001000\n"));
    assert!(!ignores_hangup(""));
}
