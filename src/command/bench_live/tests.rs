//! Tokens of sockets, and the core of the venue.
use super::*;

#[test]
fn sockets_share_the_tokens() {
    assert_eq!(tokens_per_connection(2_000, 10, 1), Ok(400));
    assert_eq!(tokens_per_connection(2_000, 190, 1), Ok(22));
    assert_eq!(tokens_per_connection(200, 1, 1), Ok(400));
    assert_eq!(tokens_per_connection(7, 7, 1), Ok(2));
    for (markets, sockets, expected) in [
        (201, 1, "201 markets need 2 or more"),
        (7, 8, "there are 7 markets"),
        (1_000, 193, "192 are the most for 1 shards"),
    ] {
        let error = tokens_per_connection(markets, sockets, 1).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn the_venue_gets_a_core_of_its_own_where_there_is_one() {
    let free = |flags: &RequestedLayout, usable: &[u32]| {
        free_core(&Topology::plan(flags, usable).unwrap(), usable)
    };
    let one = RequestedLayout { shards: Some(1), ..RequestedLayout::default() };
    let two = RequestedLayout { shards: Some(2), ..RequestedLayout::default() };
    assert_eq!(free(&one, &[0, 1, 2, 3]), Some(3));
    assert_eq!(free(&two, &[0, 1]), None);
    let core = free(&one, &[0, 1]).unwrap();
    let plan = Topology::plan(&one, &[0, 1]).unwrap();
    assert_ne!(plan.shards[0].core, Some(core));
}
