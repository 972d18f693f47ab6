//! Queries, words and states.
use super::*;

#[test]
fn a_query_is_parsed_or_refused() {
    let search = Search::parse(
        "q=Will+it%20RAIN&venue=x&stage=opened&state=stale&order=end&skip=3&limit=500",
    );
    let search = search.unwrap();
    assert_eq!(search.words, ["will", "it", "rain"]);
    assert_eq!((search.skip, search.limit(), search.by_end), (3, MARKETS_PAGE_MAX, true));
    assert!(search.needs_states() && search.stage == Some(MarketStage::Opened));
    assert_eq!(Search::parse("q=&venue=&state="), Search::parse(""));
    let found = [1, 3, 5, 7].map(|number| ((0, number), ()));
    assert_eq!((search.begin(&found), search.begin(&found[..2])), (3, 2));
    for (after, begin) in [("0-0", 0), ("0-3", 2), ("0-4", 2), ("0-7", 4), ("1-0", 4)] {
        let search = Search::parse(&format!("after={after}")).unwrap();
        assert_eq!(search.begin(&found), begin, "{after}");
    }
    for bad in [
        "stage=resolved",
        "state=x",
        "order=x",
        "skip=x",
        "limit=-1",
        "x=1",
        "after=7",
        "after=a-7",
        "q=%f",
        "ends_within_s=y",
    ] {
        assert!(Search::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn words_are_found_in_any_case() {
    for (text, word, is_in) in [
        ("Will it rain?", "rain", true),
        ("Will it RAIN?", "rain?", true),
        ("raRAin", "rain", true),
        ("", "a", false),
        ("a", "", true),
        ("rai", "rain", false),
        ("Zürich", "zürich", true),
    ] {
        assert_eq!(contains(text, word), is_in, "{text} {word}");
    }
}

#[test]
fn states_are_filtered_by_their_first_part() {
    let wants = |state: &str, states: &[&str]| {
        Search::parse(&format!("state={state}")).unwrap().wants_states(states)
    };
    assert!(wants("stale", &["live", "stale:behind"]) && !wants("stale", &["live"]));
    assert!(wants("live", &["live", "stale:behind"]) && !wants("live", &[]));
    assert!(wants("awaiting_snapshot", &["awaiting_snapshot"]));
}
