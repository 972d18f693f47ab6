//! Books after many changes.
use super::*;

#[test]
fn books_never_cross_and_changes_add_up() {
    let mut random = Random::new(3);
    let config = KalshiConfig { levels: 12, ..KalshiConfig::default() };
    let mut market = Market::new(3, &config, 1, &mut random);
    let mut copy = [market.yes.clone(), market.no.clone()];
    let apply = |copy: &mut [Bids; 2], change: Change| {
        let side = &mut copy[usize::from(!change.yes)];
        let size = side.entry(change.price).or_insert(0);
        *size = size.checked_add_signed(change.delta).expect("never below nothing");
        if *size == 0 {
            side.remove(&change.price);
        }
    };
    for step in 0..20_000 {
        let change = match step % 30 {
            0 => market.deal(2, &mut random).map(|(_, change)| change),
            _ => market.change(2, &mut random),
        };
        change.into_iter().for_each(|change| apply(&mut copy, change));
        if let [Some((yes, _)), Some((no, _))] = market.best() {
            assert!(yes + no < DOLLAR, "{yes} {no}");
        }
    }
    assert_eq!(copy, [market.yes.clone(), market.no.clone()]);
    market.clear(3).into_iter().for_each(|change| apply(&mut copy, change));
    assert!(copy.iter().all(Bids::is_empty) && market.yes.is_empty());
}
