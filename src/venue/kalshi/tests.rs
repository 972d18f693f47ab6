//! Kalshi behind the venue interface: parts of a scan, names.
use super::*;
use crate::venue::polymarket;

#[test]
fn a_scan_goes_over_open_events_and_then_over_those_to_come() {
    let catalog = feed(false);
    let mut cursor = Some(Cursor::default());
    let mut paths = Vec::new();
    for next in [Some("a"), None, Some("b"), None] {
        let at = cursor.unwrap();
        paths.push(catalog.scan_path(&at));
        cursor = catalog.next_cursor(&at, next.map(str::to_owned));
    }
    assert_eq!(cursor, None);
    let has = |place: usize, parts: [&str; 2]| parts.iter().all(|w| paths[place].contains(w));
    assert!(has(0, ["status=open", "with_nested_markets=true"]), "{paths:?}");
    assert!(!paths[0].contains("cursor=") && !paths[2].contains("cursor="), "{paths:?}");
    assert!(has(1, ["status=open", "cursor=a"]) && has(2, ["status=unopened", "limit=200"]));
    assert!(has(3, ["status=unopened", "cursor=b"]), "{paths:?}");
    assert_eq!(
        feed(true).next_cursor(&Cursor::default(), None),
        None,
        "with combos it is one part"
    );
    assert_eq!(polymarket::feed(true).next_cursor(&Cursor::default(), None), None);
}

/// A cursor is opaque.
#[test]
fn a_cursor_that_looks_like_a_filter_stays_in_its_part() {
    let next = feed(false).next_cursor(&Cursor::default(), Some("unopened x".into())).unwrap();
    let path = feed(false).scan_path(&next);
    assert!(path.contains("status=open") && path.contains("cursor=unopened"), "{path}");
}

#[test]
fn a_venue_without_a_state_of_the_exchange_reads_none() {
    let body = br#"{"exchange_active":true,"trading_active":true}"#;
    assert_eq!(polymarket::feed(true).parse_status(body), None);
    assert!(feed(false).parse_status(body).is_some());
}

#[test]
fn venues_are_known_by_name() {
    for known in crate::venue::ALL {
        assert_eq!(crate::venue::of(known.venue().name()), Some(known));
        assert_eq!(Venue::parse(known.venue().name()), Some(known.venue()));
    }
    assert_eq!(crate::venue::of("kalsh"), None);
    assert_eq!(Venue::parse("no such venue"), None);
}
