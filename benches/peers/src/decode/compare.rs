//! Whether two sets of final books are the same, and how they differ.

use super::{FinalBooks, Levels};

/// Reports how `books` differ from `reference`; empty when every level of every token is the same.
#[must_use]
pub fn differences(reference: &FinalBooks, books: &FinalBooks) -> Vec<String> {
    let mut found = Vec::new();
    let missing = reference.keys().filter(|token| !books.contains_key(*token)).count();
    let extra = books.keys().filter(|token| !reference.contains_key(*token)).count();
    if missing + extra > 0 {
        found.push(format!("{missing} books missing, {extra} that the reference does not have"));
    }
    let both = reference.iter().filter_map(|(token, is)| Some((token, is, books.get(token)?)));
    let wrong: Vec<_> = both.filter(|(_, is, have)| is != have).collect();
    if let Some((token, is, have)) = wrong.first() {
        found.push(format!("{} of {} books have other levels", wrong.len(), reference.len()));
        for (side, (is, have)) in ["bids", "asks"].into_iter().zip(is.iter().zip(*have)) {
            if let Some(first) = first_difference(is, have) {
                found.push(format!("first: token {token} {side} {first}"));
            }
        }
    }
    found
}

fn first_difference(is: &Levels, have: &Levels) -> Option<String> {
    let prices = is.keys().chain(have.keys());
    let wrong = prices.filter(|price| is.get(price) != have.get(price)).min()?;
    let show = |levels: &Levels| levels.get(wrong).map_or("nothing".into(), u64::to_string);
    Some(format!("at {wrong}e-6: {} expected, {} found (e-6)", show(is), show(have)))
}

/// Levels of all books together.
#[must_use]
pub fn level_count(books: &FinalBooks) -> usize {
    books.values().flatten().map(Levels::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books(token: &str, bid: (u64, u64)) -> FinalBooks {
        FinalBooks::from([(token.to_owned(), [Levels::from([bid]), Levels::new()])])
    }

    #[test]
    fn one_level_is_enough_to_differ() {
        let reference = books("7", (420_000, 5));
        assert!(differences(&reference, &books("7", (420_000, 5))).is_empty());
        let found = differences(&reference, &books("7", (420_000, 6))).join("; ");
        assert!(found.contains("at 420000e-6: 5 expected, 6 found"), "{found}");
        let found = differences(&reference, &books("8", (420_000, 5))).join("; ");
        assert!(found.contains("1 books missing, 1 that the reference does not have"), "{found}");
        assert_eq!(level_count(&reference), 1);
    }
}
