//! Both forms of a time.
use super::*;

#[test]
fn times_are_read_in_both_forms() {
    assert_eq!(time("1790491135816123456"), Ok(1_790_491_135_816_123_456));
    assert_eq!(time("2026-11-27T07:15:00.5Z"), Ok(1_795_763_700_500_000_000));
    assert_eq!(time("2026-11-27T08:15:00.5+01:00"), time("2026-11-27T07:15:00.5Z"));
    assert!(time("yesterday").unwrap_err().contains("2026-11-27T07:15:00Z"));
    assert!(time("1960-01-01T00:00:00Z").is_err());
}
