//! Connections that leave.
use super::*;
use crate::base::limits::CONNECTIONS_PER_SHARD_MAX;
use crate::venue::Role;

#[test]
fn connections_that_leave_do_not_take_the_place_of_new_ones() {
    let mut connections = Connections::default();
    let protocol = || crate::venue::kalshi::feed(false).subscription(Role::Books);
    for id in 1..=CONNECTIONS_PER_SHARD_MAX as u32 {
        let slot = connections.open(ConnectionId(id), protocol).expect("within the bound");
        connections.get_mut(slot).expect("just opened").leaving = true;
    }
    let last = ConnectionId(CONNECTIONS_PER_SHARD_MAX as u32 + 1);
    assert!(connections.open(last, protocol).is_some());
}
