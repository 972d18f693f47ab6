//! One book seen from both outcomes.
use super::*;

#[test]
fn both_outcomes_see_one_book_best_last() {
    let mut book = Book::default();
    for (price, size) in [(300_000, 5), (320_000, 7), (310_000, 6)] {
        book.set(Side::Bid, Price(price), Quantity(size));
    }
    for (price, size) in [(350_000, 2), (340_000, 1), (360_000, 3)] {
        book.set(Side::Ask, Price(price), Quantity(size));
    }
    let prices = |outcome, side| book.view(outcome, side).map(|l| l.price.0).collect::<Vec<_>>();
    assert_eq!(prices(Outcome::First, Side::Bid), [300_000, 310_000, 320_000]);
    assert_eq!(prices(Outcome::First, Side::Ask), [360_000, 350_000, 340_000]);
    assert_eq!(prices(Outcome::Second, Side::Bid), [640_000, 650_000, 660_000]);
    assert_eq!(prices(Outcome::Second, Side::Ask), [700_000, 690_000, 680_000]);
    assert_eq!(book.best_or_bound(Outcome::Second, Side::Bid), Price(660_000));
    book.set(Side::Ask, Price(340_000), Quantity::ZERO);
    assert_eq!(book.best(Side::Ask), Some(Price(350_000)));
    assert_eq!(book.size_at(Side::Ask, Price(340_000)), Quantity::ZERO);
    assert!(!book.is_crossed());
    book.clear();
    assert_eq!(book.best_or_bound(Outcome::First, Side::Bid), Price::ZERO);
    assert_eq!(book.best_or_bound(Outcome::Second, Side::Ask), Price::ONE);
}
