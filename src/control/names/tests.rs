//! A name that some venues and no venue know.
use super::*;

#[test]
fn a_name_is_missing_once_every_venue_that_was_asked_says_so() {
    let mut names = Names::default();
    let lookup = Lookup::Slug("x".into());
    let answer = |missing: Option<&str>| NameAnswer {
        lookup: lookup.clone(),
        missing: missing.map(str::to_owned),
    };
    let [one, other] = ["polymarket", "kalshi"].map(Venue::named);
    // Found by the one, whichever answers first.
    for order in [[one, other], [other, one]] {
        names.on_asked(&lookup, vec![one, other]);
        for venue in order {
            let missing = (venue == other).then_some("not listed");
            assert_eq!(names.on_answer(venue, answer(missing)), None);
        }
    }
    names.on_asked(&lookup, vec![one, other]);
    assert_eq!(names.on_answer(other, answer(Some("HTTP 404"))), None);
    let line = names.on_answer(one, answer(Some("not listed"))).unwrap();
    assert!(line.starts_with("market x: no venue has it (kalshi: HTTP 404, polymarket: not"));
    names.on_asked(&lookup, vec![one]);
    let line = names.on_answer(one, answer(Some("not listed"))).unwrap();
    assert_eq!(line, "market x: not listed; check the name with the venue");
    assert!(names.asked.is_empty());
}
