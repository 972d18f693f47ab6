//! Places within the bound.
use super::*;

#[test]
fn connections_have_places_of_their_own_within_the_bound() {
    let mut connections = Connections::default();
    let (a, b) = (connections.slot(u64::MAX), connections.slot(0));
    assert_eq!((a, b), (ConnectionSlot(1), ConnectionSlot(2)));
    assert_eq!(connections.slot(u64::MAX), a);
    connections.ended(u64::MAX);
    connections.ended(u64::MAX);
    assert_eq!(connections.slot(5), a);
    let most = u64::from(REPLAY_CONNECTIONS_MAX) + 10;
    assert!((10..most).all(|c| connections.slot(c).0 <= REPLAY_CONNECTIONS_MAX));
    assert_eq!(connections.slot(most), ConnectionSlot(REPLAY_CONNECTIONS_MAX));
    assert!(connections.slots.len() < REPLAY_CONNECTIONS_MAX as usize);
}
