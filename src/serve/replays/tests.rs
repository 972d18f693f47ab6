//! Ranges in queries, and the time before the first books.
use super::*;

#[test]
fn a_range_is_taken_out_of_a_query() {
    let query = "state=1&from=2026-11-27T07%3A15%3A00Z&speed=max&kinds=top&to=7";
    let (range, rest) = AskedRange::take(query).unwrap();
    assert_eq!(range.from.as_deref(), Some("2026-11-27T07:15:00Z"));
    assert_eq!((range.to.as_deref(), range.speed.as_deref()), (Some("7"), Some("max")));
    assert_eq!(rest, "state=1&kinds=top");
    assert_eq!(AskedRange::take("").unwrap(), (AskedRange::default(), String::new()));
    assert!(AskedRange::take("from=%4").is_err());
}

#[test]
fn no_time_passes_for_a_client_before_its_books_are_there() {
    let gate = Arc::new(ReplayGate::default());
    let steering = Steering::new(Arc::clone(&gate));
    assert_eq!((steering.time(100), steering.time(900)), (100, 100));
    assert!(!steering.is_waiting());
    gate.set_ready();
    assert!(steering.is_waiting());
    assert_eq!((steering.time(1_000), steering.time(1_050)), (100, 150));
    steering.begin();
    assert!(gate.has_begun() && !steering.is_waiting());
    gate.set_end(ReplayEnd::Complete);
    assert_eq!(steering.end(), Some((1000, "the range has ended")));
    drop(steering);
    assert!(gate.is_stopped());
}
