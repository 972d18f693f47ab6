//! Discovery against a small catalog under virtual time.
use super::*;
use crate::base::time::MILLISECOND_NS;
use crate::control::tests::fixture::{POLYMARKET, id, info_named};
use crate::market::info::{Outcome, Resolution};
use proptest::prelude::*;

/// Shortest time between two requests to Polymarket.
const PACE_NS: u64 = SECOND_NS / limits::DISCOVERY_PAGES_PER_SECOND;

fn at(mono_ns: u64) -> Now {
    Now { mono_ns, wall_ns: 1_000_000 * SECOND_NS + mono_ns }
}

fn info(number: u32) -> MarketInfo {
    let slug = format!("slug-{number}");
    MarketInfo { market: id(number), slug, ..info_named(&number.to_string()) }
}

fn page(numbers: std::ops::Range<u32>, next: Option<&str>) -> Page {
    let markets = numbers.map(info).collect();
    Page { markets, next_cursor: next.map(str::to_owned), ..Page::default() }
}

fn failure(reason: &str, retry_after_ns: Option<u64>, refused: bool) -> Failure {
    Failure { reason: reason.to_owned(), retry_after_ns, refused }
}

fn report(discovery: &Discovery) -> LifecycleReport {
    let mut report = LifecycleReport::default();
    discovery.report(&mut report);
    report
}

/// The next request and the time when it may be sent.
fn next(discovery: &mut Discovery, now: &mut u64) -> String {
    let due = discovery.next_due(*now).expect("something is to be asked");
    if due > *now {
        assert_eq!(discovery.poll(due - 1), None, "not before it is due");
    }
    *now = due;
    discovery.poll(due).expect("it is due").path
}

#[test]
fn a_scan_reads_page_after_page_and_begins_again_after_a_minute() {
    let mut discovery = Discovery::new(POLYMARKET, true, 1);
    let mut now = 5 * SECOND_NS;
    assert!(next(&mut discovery, &mut now).ends_with("closed=false"));
    assert_eq!(discovery.poll(now + SECOND_NS), None, "one request at a time");
    let answer = discovery.on_page(at(now), page(0..2, Some("a=")));
    assert_eq!((answer.markets.len(), answer.scan, answer.scan_completed), (2, 1, false));
    assert!(next(&mut discovery, &mut now).ends_with("after_cursor=a%3D"));
    assert_eq!(now, 5 * SECOND_NS + PACE_NS);
    let answer = discovery.on_page(at(now), page(2..3, None));
    assert_eq!((answer.source, answer.scan_completed), (Some(Source::Catalog), true));
    assert!(next(&mut discovery, &mut now).ends_with("closed=false"));
    assert_eq!(now, 5 * SECOND_NS + limits::DISCOVERY_INTERVAL_NS);
    let report = report(&discovery);
    assert_eq!((report.scans_completed, report.pages, report.last_error.as_str()), (1, 2, ""));
    assert!(report.last_scan_wall_ns > 0);
    assert_eq!(
        Discovery::new(POLYMARKET, true, 1).on_page(at(1), page(0..1, None)),
        Answer::default()
    );
}

#[test]
fn a_page_that_fails_is_asked_for_again_where_the_scan_stopped() {
    let mut discovery = Discovery::new(POLYMARKET, true, 1);
    let mut now = 0;
    next(&mut discovery, &mut now);
    discovery.on_page(at(now), page(0..1, Some("a")));
    let path = next(&mut discovery, &mut now);
    let failed = now;
    discovery.on_failure(now, failure("HTTP 429", Some(20 * SECOND_NS), false));
    assert_eq!(report(&discovery).last_error, "HTTP 429");
    assert_eq!(next(&mut discovery, &mut now), path);
    assert!(now >= failed + 20 * SECOND_NS);
    let failed = now;
    discovery.on_failure(now, failure("timeout", None, false));
    assert_eq!(next(&mut discovery, &mut now), path);
    assert!((limits::BACKOFF_MIN_NS..=limits::BACKOFF_MAX_NS).contains(&(now - failed)));
    assert!(discovery.on_page(at(now), page(1..2, None)).scan_completed);
    let report = report(&discovery);
    assert_eq!((report.requests_failed, report.scans_failed, report.scans_completed), (2, 0, 1));
    assert_eq!(report.last_error, "");
}

#[test]
fn a_scan_that_cannot_go_on_is_given_up_and_begun_anew() {
    let mut discovery = Discovery::new(POLYMARKET, true, 1);
    let mut now = 0;
    // Refused again and again: a cursor that the venue no longer knows.
    next(&mut discovery, &mut now);
    discovery.on_page(at(now), page(0..1, Some("a")));
    for _ in 0..limits::SCAN_ATTEMPTS_MAX {
        assert!(next(&mut discovery, &mut now).ends_with("after_cursor=a"));
        discovery.on_failure(now, failure("HTTP 422", None, true));
    }
    assert!(next(&mut discovery, &mut now).ends_with("closed=false"));
    assert!(now >= limits::DISCOVERY_INTERVAL_NS);
    // A circle.
    discovery.on_page(at(now), page(0..1, Some("a")));
    next(&mut discovery, &mut now);
    discovery.on_page(at(now), page(0..1, Some("b")));
    next(&mut discovery, &mut now);
    discovery.on_page(at(now), page(0..1, Some("a")));
    assert!(report(&discovery).last_error.contains("circle"));
    // Too long a cursor, too many failures.
    next(&mut discovery, &mut now);
    discovery.on_page(at(now), page(0..1, Some(&"x".repeat(limits::CURSOR_BYTES_MAX + 1))));
    next(&mut discovery, &mut now);
    discovery.on_page(at(now), page(0..1, Some("a")));
    for _ in 0..limits::SCAN_ATTEMPTS_MAX {
        assert!(next(&mut discovery, &mut now).ends_with("after_cursor=a"));
        discovery.on_failure(now, failure("HTTP 500", None, false));
    }
    assert!(next(&mut discovery, &mut now).ends_with("closed=false"));
    assert_eq!(report(&discovery).scans_failed, 4);
    // Too many pages.
    for n in 0..limits::DISCOVERY_PAGES_MAX {
        discovery.on_page(at(now), page(0..0, Some(&n.to_string())));
        next(&mut discovery, &mut now);
    }
    assert_eq!(report(&discovery).scans_failed, 5);
    // Pages that repeat without end.
    for n in 0..=limits::PAGES_WITHOUT_NEW_MAX {
        assert_eq!(report(&discovery).scans_failed, 5, "page {n}");
        discovery.on_page(at(now), page(7..8, Some(&format!("c{n}"))));
        next(&mut discovery, &mut now);
    }
    assert_eq!(report(&discovery).scans_failed, 6);
    let warnings: Vec<String> = std::iter::from_fn(|| discovery.take_warning()).collect();
    for (warning, why) in
        warnings.iter().zip(["circle", "too long", "more pages", "repeat without end"])
    {
        assert!(warning.contains(why), "{warning}");
    }
    assert_eq!(warnings.len(), 4, "{warnings:?}");
}

#[test]
fn a_scan_survives_pages_that_are_refused_now_and_then() {
    for status in ["HTTP 403", "HTTP 401", "HTTP 451", "HTTP 500"] {
        let mut discovery = Discovery::new(POLYMARKET, true, 1);
        let mut now = 0;
        for n in 0..30 {
            let path = next(&mut discovery, &mut now);
            if n % 3 == 1 {
                discovery.on_failure(now, failure(status, None, true));
                assert_eq!(next(&mut discovery, &mut now), path, "that page, and no other");
            }
            let cursor = (n < 29).then(|| n.to_string());
            let answer = discovery.on_page(at(now), page(n..n + 1, cursor.as_deref()));
            assert_eq!(answer.scan_completed, n == 29);
        }
        let report = report(&discovery);
        assert_eq!((report.scans_failed, report.scans_completed), (0, 1));
    }
}

#[test]
fn a_scan_that_never_ends_is_warned_of_once_and_makes_the_engine_late() {
    let mut discovery = Discovery::new(POLYMARKET, true, 1);
    let mut now = 0;
    let stuck = |discovery: &mut Discovery, now: &mut u64| {
        next(discovery, now);
        discovery.on_page(at(*now), page(0..1, Some("a")));
        next(discovery, now);
        discovery.on_page(at(*now), page(0..1, Some("a")));
    };
    let mut warnings = 0;
    while now < limits::SCAN_LATE_NS {
        assert_eq!(discovery.is_late(now), None);
        stuck(&mut discovery, &mut now);
        warnings += std::iter::from_fn(|| discovery.take_warning()).count();
    }
    assert_eq!(warnings, 1);
    assert!(discovery.is_late(now).unwrap().contains("circle"));
    // One that completes makes it current, and what comes later is named again.
    next(&mut discovery, &mut now);
    discovery.on_page(at(now), page(0..1, None));
    assert_eq!(discovery.is_late(now + limits::SCAN_LATE_NS - 1), None);
    assert!(discovery.is_late(now + limits::SCAN_LATE_NS).is_some());
    stuck(&mut discovery, &mut now);
    assert_eq!(std::iter::from_fn(|| discovery.take_warning()).count(), 1);
    assert_eq!(Discovery::new(POLYMARKET, false, 1).is_late(u64::MAX), None, "nothing is scanned");
}

#[test]
fn what_is_read_is_reported_to_whoever_waits_for_a_book() {
    let token = |text: &str| TokenId::new(text).unwrap();
    let mut discovery = Discovery::new(POLYMARKET, false, 1);
    assert_eq!(discovery.is_asking(&token("7")), None);
    discovery.look_up(Lookup::Token(token("7")));
    assert!(discovery.is_asking(&token("7")).unwrap().contains("token 7 is being looked up"));
    assert_eq!(discovery.is_asking(&token("8")), None);
    discovery.look_up(Lookup::parse("slug"));
    let mut now = 0;
    next(&mut discovery, &mut now);
    discovery.on_failure(now, failure("HTTP 403", None, false));
    // Whose tokens these are is not known yet.
    let why = discovery.is_asking(&token("8")).unwrap();
    assert!(why.contains("market slug") && why.contains("HTTP 403"), "{why}");
    next(&mut discovery, &mut now);
    discovery.on_page(at(now), page(0..0, None));
    assert_eq!(discovery.is_asking(&token("8")), None);

    let mut discovery = Discovery::new(POLYMARKET, true, 1);
    assert!(discovery.is_asking(&token("8")).unwrap().contains("first time"));
    next(&mut discovery, &mut now);
    discovery.on_page(at(now), page(0..1, None));
    assert_eq!(discovery.is_asking(&token("8")), None);
}

#[test]
fn markets_asked_for_come_first_and_are_found_or_not() {
    let mut discovery = Discovery::new(POLYMARKET, true, 1);
    let market = Lookup::parse(&format!("0x{:064X}", 0xAB));
    assert_eq!(market, Lookup::Market(id(0xAB)));
    assert_eq!(Lookup::parse("0xab"), Lookup::Slug("0xab".to_owned()));
    let token = Lookup::Token(TokenId::new("7").unwrap());
    for lookup in [market, Lookup::parse("slug-9"), token.clone(), Lookup::parse("x")] {
        assert!(discovery.look_up(lookup));
    }
    let mut now = 0;
    assert!(next(&mut discovery, &mut now).contains("condition_ids=0x"));
    let answer = discovery.on_page(at(now), page(0xAB..0xAC, None));
    assert_eq!((answer.source, answer.markets.len()), (Some(Source::Manual), 1));
    assert_eq!((answer.scan, answer.not_found), (0, None));

    assert!(next(&mut discovery, &mut now).ends_with("?slug=slug-9"));
    let mut closed = page(5..6, None); // Another market is not what was asked for.
    closed.closed.push(Closed { market: id(9), resolution: Resolution::default() });
    let not_found = discovery.on_page(at(now), closed).not_found.unwrap();
    assert_eq!(
        (not_found.lookup, not_found.why.as_str()),
        (Lookup::parse("slug-9"), "it is closed")
    );

    assert!(next(&mut discovery, &mut now).ends_with("clob_token_ids=7"));
    assert_eq!(discovery.on_failure(now, failure("HTTP 503", None, false)), None);
    // One that fails holds up neither the others nor the scan.
    assert!(next(&mut discovery, &mut now).ends_with("?slug=x"));
    let not_found = discovery.on_failure(now, failure("HTTP 404", None, true)).unwrap();
    assert_eq!(
        (not_found.why.as_str(), not_found.lookup.to_string().as_str()),
        ("HTTP 404", "market x")
    );
    assert!(next(&mut discovery, &mut now).contains("keyset"));
    discovery.on_page(at(now), page(0..1, None));
    assert!(next(&mut discovery, &mut now).ends_with("clob_token_ids=7"));
    // It may be a token of the other kind, which only the venue knows.
    assert_eq!(discovery.on_page(at(now), page(0..0, None)).not_found, None);
    assert!(next(&mut discovery, &mut now).ends_with("position_ids=7"));
    assert_eq!(discovery.on_page(at(now), page(0..0, None)).not_found.unwrap().lookup, token);
}

#[test]
fn a_position_is_asked_for_as_one_and_then_as_a_token_of_the_first_version() {
    let position = "452312848587682254118947865467376451881589392431889467106046302242318843904";
    let token = TokenId::new(position).unwrap();
    let of = |token| MarketInfo { tokens: vec![Outcome { token, name: String::new() }], ..info(1) };
    let mut discovery = Discovery::new(POLYMARKET, false, 1);
    let mut now = 0;
    for first in [true, false] {
        assert!(discovery.look_up(Lookup::Token(token)));
        assert!(next(&mut discovery, &mut now).ends_with(&format!("?position_ids={position}")));
        let found = Page { markets: vec![of(token)], ..Page::default() };
        if first {
            assert_eq!(discovery.on_page(at(now), found).markets.len(), 1);
            continue;
        }
        // A venue that does not know the parameter refuses it, or lists what it likes.
        assert_eq!(discovery.on_failure(now, failure("HTTP 422", None, true)), None);
        assert!(next(&mut discovery, &mut now).ends_with(&format!("?clob_token_ids={position}")));
        assert_eq!(discovery.on_page(at(now), found).markets.len(), 1);
    }
    assert_eq!(discovery.next_due(now), None);
    // The reason of the first answer is kept.
    assert!(discovery.look_up(Lookup::Token(token)));
    next(&mut discovery, &mut now);
    let skipped = vec![Skipped::new(None, "x", SkipReason::NotAccepting)];
    let answer = discovery.on_page(at(now), Page { skipped, ..Page::default() });
    assert_eq!(answer.not_found, None);
    next(&mut discovery, &mut now);
    let not_found = discovery.on_page(at(now), page(0..0, None)).not_found.unwrap();
    assert_eq!(not_found.why, "it is listed but it accepts no orders");
}

#[test]
fn conditions_of_31_bytes_take_two_places_of_a_question() {
    let long = |n: u32| condition::market_id(&format!("0x01{n:060x}")).unwrap();
    assert_eq!(Lookup::parse(&format!(" 0x01{:060X}", 0xAB)), Lookup::Market(long(0xAB)));
    let mut discovery = Discovery::new(POLYMARKET, false, 1);
    discovery.confirm((0..150).map(long));
    let mut now = 0;
    for count in [100, 100, 100] {
        assert_eq!(next(&mut discovery, &mut now).matches("condition_ids").count(), count);
        discovery.on_page(at(now), Page::default());
    }
    assert_eq!(discovery.next_due(now), None);
}

#[test]
fn a_scan_of_kalshi_leaves_combos_out_and_says_so() {
    let named = |ticker: &str| MarketInfo { market: MarketId::new(ticker).unwrap(), ..info(1) };
    for (combos, followed) in [(false, 1), (true, 2)] {
        let mut discovery = Discovery::new(crate::venue::kalshi::feed(combos), true, 1);
        let mut now = 0;
        next(&mut discovery, &mut now);
        let markets = vec![named("KXMVE-1"), named("KXRAIN-1")];
        let answer = discovery.on_page(at(now), Page { markets, ..Page::default() });
        assert_eq!(answer.markets.len(), followed);
        let reasons: Vec<SkipReason> = answer.skipped.iter().map(|s| s.reason).collect();
        assert_eq!(reasons, vec![SkipReason::Combo; 2 - followed]);
        assert_eq!(report(&discovery).markets_skipped, 2 - followed as u64);
    }
}

#[test]
fn without_scanning_only_questions_are_asked() {
    let mut discovery = Discovery::new(POLYMARKET, false, 1);
    assert_eq!(discovery.next_due(0), None);
    assert_eq!(discovery.poll(1000 * SECOND_NS), None);
    discovery.confirm((1..151).map(id));
    discovery.confirm((1..151).map(id));
    let mut now = 0;
    for count in [100, 50] {
        let path = next(&mut discovery, &mut now);
        assert!(path.contains("closed=true"));
        assert_eq!(path.matches("condition_ids").count(), count);
        let closed = vec![Closed { market: id(3), resolution: Resolution::default() }];
        let answer = discovery.on_page(at(now), Page { closed, ..Page::default() });
        assert_eq!((answer.closed.len(), answer.scan_completed), (1, false));
    }
    assert_eq!(discovery.next_due(now), None);
}

#[test]
fn a_scan_can_be_ended_when_enough_is_known() {
    let mut discovery = Discovery::new(POLYMARKET, true, 1);
    let mut now = 0;
    assert!(!discovery.end_scan(at(0)));
    next(&mut discovery, &mut now);
    discovery.on_page(at(now), page(0..1, Some("a")));
    assert!(discovery.end_scan(at(now)));
    assert_eq!(report(&discovery).scans_completed, 1);
    assert!(next(&mut discovery, &mut now).ends_with("closed=false"));
    assert_eq!(now, limits::DISCOVERY_INTERVAL_NS);
}

proptest! {
    /// A catalog of random length with random failures is read once over, in order.
    #[test]
    fn every_page_is_read_once_in_order_whatever_fails(
        pages in 1u32..30,
        seed: u64,
        fails in prop::collection::vec(any::<bool>(), 0..40),
    ) {
        let mut discovery = Discovery::new(POLYMARKET, true, seed);
        let mut now = 0;
        let mut fails = fails.into_iter();
        let mut requests: Vec<u64> = Vec::new();
        let (mut read, mut in_a_row) = (0, 0);
        while read < pages {
            let path = next(&mut discovery, &mut now);
            requests.push(now);
            // One failure fewer than the attempts is what a page survives.
            if fails.next() == Some(true) && in_a_row < limits::SCAN_ATTEMPTS_MAX - 1 {
                in_a_row += 1;
                discovery.on_failure(now, failure("down", None, false));
                continue;
            }
            in_a_row = 0;
            let expected = if read == 0 { "closed=false".to_owned() } else { format!("cursor=c{read}") };
            prop_assert!(path.ends_with(&expected), "{path} {expected}");
            read += 1;
            let cursor = format!("c{read}");
            let last = read == pages;
            now += 7 * MILLISECOND_NS;
            let answer = discovery.on_page(at(now), page(0..1, (!last).then_some(&cursor)));
            prop_assert_eq!(answer.scan_completed, last);
        }
        prop_assert!(requests.windows(2).all(|pair| pair[1] - pair[0] >= PACE_NS));
    }
}

#[test]
fn a_catalog_that_another_machine_scans_is_asked_for_names_only() {
    let mut discovery = Discovery::new(POLYMARKET, true, 1);
    let mut now = SECOND_NS;
    next(&mut discovery, &mut now);
    discovery.set_scanning(false);
    discovery.on_page(at(now), page(0..2, Some("a=")));
    assert_eq!((discovery.next_due(now), discovery.is_late(u64::MAX / 2)), (None, None));
    assert!(discovery.look_up(Lookup::Slug("slug-1".into())));
    assert!(next(&mut discovery, &mut now).contains("slug-1"));
    discovery.on_page(at(now), page(1..2, None));
    discovery.set_scanning(true);
    let resumed = now;
    assert!(next(&mut discovery, &mut now).ends_with("closed=false"), "from the first page");
    assert_eq!(now, resumed + PACE_NS, "at once");
}
