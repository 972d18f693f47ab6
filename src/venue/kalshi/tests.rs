//! Kalshi behind the venue interface: parts of a scan, names.
use super::*;
use crate::venue::polymarket;

/// Paths of a scan whose pages name these cursors.
fn scan(combos: bool, cursors: &[Option<&str>]) -> Vec<String> {
    let catalog = feed(combos);
    let mut cursor = Some(Cursor::default());
    let mut paths = Vec::new();
    for next in cursors {
        let at = cursor.unwrap();
        paths.push(catalog.scan_path(&at));
        cursor = catalog.next_cursor(&at, next.map(str::to_owned));
    }
    assert_eq!(cursor, None, "{paths:?}");
    paths
}

/// An event all of whose markets are paused is in neither list of events.
#[test]
fn a_scan_goes_over_open_events_unopened_events_and_paused_markets() {
    let paths = scan(false, &[Some("a"), None, Some("b"), None, Some("c"), None]);
    let has = |place: usize, parts: [&str; 2]| parts.iter().all(|w| paths[place].contains(w));
    assert!(has(0, ["/events?status=open", "with_nested_markets=true"]), "{paths:?}");
    assert!([0, 2, 4].iter().all(|&place| !paths[place].contains("cursor=")), "{paths:?}");
    assert!(has(1, ["/events?status=open", "cursor=a"]), "{paths:?}");
    assert!(has(2, ["/events?status=unopened", "limit=200"]), "{paths:?}");
    assert!(has(3, ["/events?status=unopened", "cursor=b"]), "{paths:?}");
    assert!(has(4, ["/markets?limit=1000&status=paused", "mve_filter=exclude"]), "{paths:?}");
    assert!(has(5, ["/markets?limit=1000&status=paused", "cursor=c"]), "{paths:?}");
    assert_eq!(polymarket::feed(true).next_cursor(&Cursor::default(), None), None);
}

#[test]
fn a_scan_with_combos_has_the_same_parts() {
    let paths = scan(true, &[None, None, None]);
    assert_eq!(paths[0], "/trade-api/v2/markets?limit=1000&status=open");
    assert!(paths[1].contains("/events?status=unopened"), "{paths:?}");
    assert_eq!(paths[2], "/trade-api/v2/markets?limit=1000&status=paused");
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
