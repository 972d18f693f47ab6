//! Figures of levels, and relative changes.
use super::*;

fn book(bids: &[(u32, u64)], asks: &[(u32, u64)]) -> Book {
    let levels = |side: &[(u32, u64)]| -> Vec<Level> {
        let one = |&(p, q): &(u32, u64)| Level { price: Price(p), quantity: Quantity(q) };
        side.iter().map(one).collect()
    };
    let mut book = Book::default();
    book.replace(&levels(bids), &levels(asks)).unwrap();
    book
}

#[test]
fn spread_middle_depth_and_totals_follow_the_levels() {
    let mut book = book(&[(10_000, 5), (20_000, 7)], &[(990_000, 1), (35_000, 2)]);
    assert_eq!((book.spread(), book.mid_half_units()), (Some(15_000), Some(55_000)));
    assert_eq!((book.bids.len(), book.asks.len()), (2, 2));
    assert_eq!((book.bids.total_units(), book.asks.total_units()), (12, 3));
    let level = |p, q| Level { price: Price(p), quantity: Quantity(q) };
    book.set(Side::Bid, level(40_000, 1)).unwrap();
    assert_eq!(book.spread(), Some(-5_000), "crossed");
    let opposite = book.opposite_best();
    assert_eq!(opposite, (Some(level(965_000, 2)), Some(level(960_000, 1))));
    book.set(Side::Ask, level(35_000, 0)).unwrap();
    book.set(Side::Ask, level(990_000, 0)).unwrap();
    assert_eq!((book.best_ask(), book.spread(), book.mid_half_units()), (None, None, None));
    assert_eq!(book.heap_bytes(), 0, "few levels need no heap");
    book.clear();
    assert_eq!((book.best_bid(), book.bids.total_units()), (None, 0));
}

#[test]
fn relative_changes_add_up_or_are_refused_whole() {
    let deep: Vec<(u32, u64)> = (1..40).map(|cent| (cent * 10_000, 5)).collect();
    let mut book = book(&deep, &[(990_000, 7)]);
    for (price, _) in &deep {
        let level = book.add(Side::Bid, Price(*price), 3).unwrap();
        assert_eq!(level.quantity, Quantity(8), "near and far alike");
        assert_eq!(book.add(Side::Bid, Price(*price), -9), Err(AddError::Negative));
        assert_eq!(book.bids.quantity_at(Side::Bid, Price(*price)), Quantity(8));
    }
    assert_eq!(book.add(Side::Ask, Price(990_000), -7).unwrap().quantity, Quantity::ZERO);
    assert_eq!((book.best_ask(), book.bids.len()), (None, 39));
    assert_eq!(book.add(Side::Ask, Price(5), -1), Err(AddError::Negative));
    // Beyond a word: exact all the same.
    let huge = i64::MAX / 2 + 1;
    book.add(Side::Ask, Price(500_000), huge).unwrap();
    assert_eq!(book.add(Side::Ask, Price(500_000), -huge).unwrap().quantity, Quantity::ZERO);
}

#[test]
fn a_price_with_two_quantities_is_no_book() {
    let level = |p, q| Level { price: Price(p), quantity: Quantity(q) };
    for count in [2, 40] {
        let mut levels: Vec<Level> = (0..count).map(|cent| level(cent * 10_000, 5)).collect();
        levels.push(levels[1]);
        let mut book = Book::default();
        assert_eq!(book.replace(&levels, &levels), Ok(()), "the same again");
        assert_eq!(book.bids.len(), count as usize);
        for other in [0, 6] {
            levels[count as usize] = level(10_000, other);
            assert_eq!(book.replace(&[], &levels), Err(ReplaceError::PriceRepeated), "{other}");
            assert!(book.bids.is_empty() && book.asks.is_empty());
        }
    }
}
