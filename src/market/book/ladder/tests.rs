//! Random changes compared with a sorted map, and bounds of values and memory.
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
    Set(u32, u64),
    Replace(Vec<(u32, u64)>),
    Clear,
}

/// Crowded prices on a grid; and any at all, beyond a dollar too.
fn price() -> impl Strategy<Value = u32> {
    prop_oneof![
        160 => (480u32..520).prop_map(|p| p * 1000),
        30 => (0u32..=1000).prop_map(|p| p * 1000),
        10 => 0u32..=1_000_000,
    ]
}

/// Whole cents and not, few and many shares: every form of a word.
fn quantity() -> impl Strategy<Value = u64> {
    prop_oneof![
        60 => Just(0u64),
        90 => (1u64..100_000_000).prop_map(|cents| cents * CENT),
        30 => 1u64..1_000_000_000,
        10 => CENTS - 2..CENTS + 2,
        10 => (CENTS / CENT..QUANTITY_END / CENT).prop_map(|cents| cents * CENT),
    ]
}

/// Levels that no word can hold; so few that most runs have long stretches without one.
fn level_of_any_kind() -> impl Strategy<Value = (u32, u64)> {
    prop_oneof![
        400 => (price(), quantity()),
        1 => (price(), any::<u64>()),
        1 => (any::<u32>(), quantity()),
        1 => (price(), prop_oneof![Just(u64::MAX), Just(QUANTITY_END), Just(CENTS + 1)]),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let set = || level_of_any_kind().prop_map(|(p, q)| Step::Set(p, q));
    let plain = || (price(), quantity()).prop_map(|(p, q)| Step::Set(p, q));
    let whole = prop::collection::vec(level_of_any_kind(), 0..120).prop_map(Step::Replace);
    prop::collection::vec(
        prop_oneof![60 => plain(), 20 => set(), 3 => whole, 1 => Just(Step::Clear)],
        1..300,
    )
}

fn level(&(price, quantity): &(u32, u64)) -> Level {
    Level { price: Price(price), quantity: Quantity(quantity) }
}

fn apply(model: &mut BTreeMap<u32, u64>, price: u32, quantity: u64) {
    if quantity == 0 {
        model.remove(&price);
    } else {
        model.insert(price, quantity);
    }
}

fn check(ladder: &Ladder, side: Side, model: &BTreeMap<u32, u64>) -> Result<(), TestCaseError> {
    let mut expected: Vec<Level> = model.iter().map(|(&p, &q)| level(&(p, q))).collect();
    if side == Side::Ask {
        expected.reverse();
    }
    prop_assert_eq!(ladder.best(), expected.last().copied());
    prop_assert_eq!((ladder.len(), ladder.is_empty()), (model.len(), model.is_empty()));
    prop_assert_eq!(ladder.levels().len(), expected.len());
    let backwards: Vec<Level> = ladder.levels().rev().collect();
    prop_assert!(backwards.iter().eq(expected.iter().rev()));
    prop_assert_eq!(ladder.levels().collect::<Vec<_>>(), expected);
    let total: u128 = model.values().map(|&q| u128::from(q)).sum();
    prop_assert_eq!(ladder.total_units(), total);
    // No run here has more levels at once, so none has ever made room for more.
    prop_assert!(ladder.heap_bytes() <= 300 * size_of::<Level>());
    Ok(())
}

proptest! {
    #[test]
    fn both_sides_agree_with_a_sorted_map(steps in steps()) {
        for side in [Side::Bid, Side::Ask] {
            let mut ladder = Ladder::default();
            let mut model = BTreeMap::new();
            for step in &steps {
                match step {
                    Step::Set(p, q) => {
                        ladder.set(side, level(&(*p, *q))).unwrap();
                        apply(&mut model, *p, *q);
                    }
                    Step::Replace(levels) => {
                        let all: Vec<Level> = levels.iter().map(level).collect();
                        model.clear();
                        levels.iter().for_each(|&(p, q)| apply(&mut model, p, q));
                        let is_last = |&(p, q): &(u32, u64)| model.get(&p).copied().unwrap_or(0) == q;
                        if levels.iter().all(is_last) {
                            ladder.replace(side, &all).unwrap();
                        } else {
                            let error = Err(ReplaceError::PriceRepeated);
                            prop_assert_eq!(ladder.replace(side, &all), error);
                            ladder.clear();
                            model.clear();
                        }
                    }
                    Step::Clear => {
                        ladder.clear();
                        model.clear();
                    }
                }
                check(&ladder, side, &model)?;
            }
        }
    }
}

#[test]
fn the_ends_of_prices_and_quantities_are_exact() {
    let prices = [0, 1, 999_999, 1_000_000, PRICE_END as u32 - 1, PRICE_END as u32, u32::MAX];
    let quantities = [1, CENTS - 1, CENTS, CENTS + 1, 1 << 43, QUANTITY_END, u64::MAX];
    for side in [Side::Bid, Side::Ask] {
        for (price, quantity) in prices.iter().flat_map(|&p| quantities.map(|q| (p, q))) {
            let mut ladder = Ladder::default();
            ladder.set(side, level(&(price, quantity))).unwrap();
            assert_eq!(ladder.best(), Some(level(&(price, quantity))), "{side:?}");
            assert_eq!(ladder.total_units(), u128::from(quantity));
            ladder.set(side, level(&(price, 0))).unwrap();
            assert!(ladder.is_empty());
            assert_eq!(ladder.total_units(), 0);
        }
    }
}

#[test]
fn a_full_side_refuses_and_stays_as_it_was() {
    // The second fills a side that is wide.
    for first in [1, u64::MAX] {
        for side in [Side::Bid, Side::Ask] {
            let mut ladder = Ladder::default();
            ladder.set(side, level(&(500_000, first))).unwrap();
            for i in 1..LEVELS_PER_SIDE_MAX as u32 {
                ladder.set(side, level(&(500_000 + i, QUANTITY_END - CENT))).unwrap();
            }
            let total = ladder.total_units();
            let sum = u128::from(QUANTITY_END - CENT) * (LEVELS_PER_SIDE_MAX as u128 - 1);
            assert_eq!(total, sum + u128::from(first));
            for price in [999_999, 1] {
                assert_eq!(ladder.set(side, level(&(price, 1))), Err(SideFull));
            }
            assert_eq!((ladder.len(), ladder.total_units()), (LEVELS_PER_SIDE_MAX, total));
            assert_eq!(ladder.set(side, level(&(500_005, 0))), Ok(()));
            assert_eq!(ladder.set(side, level(&(1, 0))), Ok(()));
            assert_eq!(ladder.set(side, level(&(999_999, 1))), Ok(()));
            assert_eq!(ladder.set(side, level(&(500_007, 5))), Ok(()));
            let many = vec![level(&(1, 1)); LEVELS_PER_SIDE_MAX + 1];
            assert_eq!(ladder.replace(side, &many), Err(ReplaceError::SideFull));
            assert!(ladder.is_empty());
        }
    }
}

#[test]
fn memory_follows_the_levels_in_use() {
    let side = |count: u32| -> Vec<Level> { (0..count).map(|p| level(&(p, 1))).collect() };
    let mut ladder = Ladder::default();
    ladder.replace(Side::Bid, &side(NEAR as u32)).unwrap();
    assert_eq!(ladder.heap_bytes(), 0);
    for count in [10, 30, 100, 1_000] {
        let mut grown = Ladder::default();
        side(count).into_iter().for_each(|level| grown.set(Side::Ask, level).unwrap());
        ladder.replace(Side::Bid, &side(count)).unwrap();
        let least = (count as usize - NEAR) * size_of::<Word>();
        for bytes in [grown.heap_bytes(), ladder.heap_bytes()] {
            assert!((least..=least * 5 / 4 + 16).contains(&bytes), "{count}: {bytes}");
        }
    }
    ladder.replace(Side::Bid, &side(20)).unwrap();
    assert!(ladder.heap_bytes() <= 128, "given back: {}", ladder.heap_bytes());
    ladder.set(Side::Bid, level(&(7, u64::MAX))).unwrap();
    assert!(ladder.heap_bytes() >= 20 * size_of::<Level>());
}
