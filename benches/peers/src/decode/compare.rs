//! Whether two sets of final books are the same, and how they differ.

use super::{FinalBooks, Levels};

/// Says how `books` differ from `reference`; empty when every level of every token is the same.
#[must_use]
pub fn differences(reference: &FinalBooks, books: &FinalBooks) -> Vec<String> {
    let mut said = Vec::new();
    let missing = reference.keys().filter(|token| !books.contains_key(*token)).count();
    let extra = books.keys().filter(|token| !reference.contains_key(*token)).count();
    if missing + extra > 0 {
        said.push(format!("{missing} books missing, {extra} that nobody else has"));
    }
    let both = reference.iter().filter_map(|(token, is)| Some((token, is, books.get(token)?)));
    let wrong: Vec<_> = both.filter(|(_, is, told)| is != told).collect();
    if let Some((token, is, told)) = wrong.first() {
        said.push(format!("{} of {} books have other levels", wrong.len(), reference.len()));
        for (side, (is, told)) in ["bids", "asks"].into_iter().zip(is.iter().zip(*told)) {
            if let Some(first) = first_difference(is, told) {
                said.push(format!("first: token {token} {side} {first}"));
            }
        }
    }
    said
}

fn first_difference(is: &Levels, told: &Levels) -> Option<String> {
    let prices = is.keys().chain(told.keys());
    let wrong = prices.filter(|price| is.get(price) != told.get(price)).min()?;
    let show = |levels: &Levels| levels.get(wrong).map_or("nothing".into(), u64::to_string);
    Some(format!("at {wrong}e-6: {} expected, {} found (e-6)", show(is), show(told)))
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
        let said = differences(&reference, &books("7", (420_000, 6))).join("; ");
        assert!(said.contains("at 420000e-6: 5 expected, 6 found"), "{said}");
        let said = differences(&reference, &books("8", (420_000, 5))).join("; ");
        assert!(said.contains("1 books missing, 1 that nobody else has"), "{said}");
        assert_eq!(level_count(&reference), 1);
    }
}
