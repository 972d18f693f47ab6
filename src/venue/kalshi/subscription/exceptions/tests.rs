//! More deletions than are remembered.
use super::*;

#[test]
fn above_the_bound_of_remembered_deletions_every_addition_counts_as_a_repeated_one() {
    let market = |number: usize| TokenId::new(&format!("M-{number}")).unwrap();
    let mut exceptions = Exceptions::default();
    exceptions.on_add(&[market(1)], 0);
    assert!(exceptions.takes_snapshot(None, &market(1)), "never deleted");
    (0..=DELETED_MARKETS_MAX).for_each(|number| exceptions.on_delete(market(number)));
    assert_eq!(exceptions.deleted.len(), DELETED_MARKETS_MAX);
    let others = [market(DELETED_MARKETS_MAX), market(DELETED_MARKETS_MAX + 1)];
    exceptions.on_add(&others, 7);
    for other in others {
        assert!(!exceptions.takes_snapshot(None, &other));
        assert!(exceptions.on_added(8, &other), "another one is requested");
        assert!(exceptions.takes_snapshot(None, &other));
    }
}
