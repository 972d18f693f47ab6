//! Messages of several connections.
use super::*;

#[test]
fn a_message_is_written_as_often_as_one_connection_had_it() {
    let mut union = Union::default();
    let (a, b, c) = ((0, 1), (0, 2), (1, 1));
    // Two of a kind on one connection are two messages; those of others are the same ones.
    let found = [a, b, a, c, c, c].map(|place| union.is_new(7, place, 1));
    assert_eq!(found, [true, false, true, false, false, true]);
    // Known for one round more, and then not.
    assert!(union.is_new(9, a, KNOWN_NS + 2) && !union.is_new(7, b, KNOWN_NS + 3));
    assert!(union.is_new(1, a, 3 * KNOWN_NS) && union.is_new(1, a, 5 * KNOWN_NS));
    assert!(union.is_new(7, b, 7 * KNOWN_NS));
}
