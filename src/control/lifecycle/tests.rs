//! The life of markets, from catalog and stream to removal.
use super::*;
use crate::base::time::SECOND_NS;
use crate::control::tests::fixture::{id, info_with};
use crate::market::info::Resolution;

const EPOCH: u64 = 1_700_000_000 * SECOND_NS;

fn at(seconds: u64) -> Now {
    Now { mono_ns: seconds * SECOND_NS, wall_ns: EPOCH + seconds * SECOND_NS }
}

fn info(number: u32, end_s: Option<u64>) -> MarketInfo {
    info_with(number, 2, end_s.map(|s| EPOCH + s * SECOND_NS))
}

fn listing(scan: u64, markets: Vec<MarketInfo>, scan_completed: bool) -> Answer {
    let source = Some(Source::Catalog);
    Answer { markets, source, scan, scan_completed, ..Answer::default() }
}

fn found(market: MarketInfo) -> Answer {
    Answer { markets: vec![market], source: Some(Source::Manual), ..Answer::default() }
}

fn start(trust_catalog_after_end: bool) -> (Lifecycle, Registry) {
    let options = LifecycleOptions {
        scanning: true,
        markets_max: None,
        trust_catalog_after_end,
        ..Default::default()
    };
    (Lifecycle::new(options), Registry::new(1))
}

fn counts(lifecycle: &Lifecycle) -> [u64; 5] {
    let mut report = LifecycleReport::default();
    lifecycle.report(&mut report);
    [
        report.markets_discovered,
        report.markets_announced,
        report.markets_resolved,
        report.markets_expired,
        report.markets_removed,
    ]
}

fn status(registry: &Registry, number: u32) -> Option<Status> {
    registry.market(&id(number)).map(|record| record.status)
}

#[test]
fn a_market_expires_at_its_end_and_is_removed_after_the_grace() {
    let (mut lifecycle, mut registry) = start(false);
    lifecycle.on_answer(
        at(0),
        listing(1, vec![info(1, Some(100)), info(2, None)], true),
        &mut registry,
    );
    lifecycle.poll(at(0), &mut registry);
    for number in [1, 2] {
        registry.mark_subscribed(&id(number), ConnectionId(7), 0).unwrap();
    }
    lifecycle.poll(at(90), &mut registry);
    assert_eq!(status(&registry, 1), Some(Status::Subscribed));
    lifecycle.poll(at(119), &mut registry);
    assert_eq!(status(&registry, 1), Some(Status::Subscribed), "the check is every 30 s");
    lifecycle.poll(at(120), &mut registry);
    assert_eq!(status(&registry, 1), Some(Status::Expired));
    // The cleanup after one hour finds it 58 minutes old; the next one removes it.
    assert_eq!(lifecycle.poll(at(3600), &mut registry).actions, []);
    let upkeep = lifecycle.poll(at(7200), &mut registry);
    let tokens = info(1, None).tokens.iter().map(|outcome| outcome.token).collect();
    let connection = ConnectionId(7);
    assert_eq!(upkeep.actions, [Action::Unsubscribe { connection, tokens }]);
    assert_eq!(status(&registry, 1), None);
    // A late listing does not bring it back; a person does.
    lifecycle.on_answer(at(7201), listing(2, vec![info(1, None)], true), &mut registry);
    lifecycle.on_market_update(at(7201), MarketUpdate::Announced(info(1, None)), &mut registry);
    assert_eq!(status(&registry, 1), None);
    lifecycle.on_answer(at(7202), found(info(1, Some(100))), &mut registry);
    assert_eq!(status(&registry, 1), Some(Status::Pending));
    lifecycle.on_answer(at(7203), listing(3, vec![info(1, Some(100))], true), &mut registry);
    lifecycle.poll(at(7300), &mut registry);
    assert_eq!(
        status(&registry, 1),
        Some(Status::Pending),
        "asked for: its past end does not bind"
    );
    assert_eq!(counts(&lifecycle), [3, 0, 0, 1, 1]);
}

#[test]
fn the_stream_announces_once_and_resolves_at_once() {
    let (mut lifecycle, mut registry) = start(false);
    for _ in 0..146 {
        lifecycle.on_market_update(at(1), MarketUpdate::Announced(info(1, Some(9))), &mut registry);
    }
    assert_eq!(registry.pending_tokens_total(), 2);
    let resolved = MarketUpdate::Resolved { market: id(1), resolution: Resolution::default() };
    lifecycle.on_market_update(at(2), resolved.clone(), &mut registry);
    lifecycle.on_market_update(at(2), resolved, &mut registry);
    lifecycle.on_market_update(
        at(2),
        MarketUpdate::Resolved { market: id(5), resolution: Resolution::default() },
        &mut registry,
    );
    assert_eq!(status(&registry, 1), Some(Status::Expired));
    assert_eq!(counts(&lifecycle), [0, 1, 1, 0, 0]);
    lifecycle.on_market_update(at(20), MarketUpdate::Announced(info(3, Some(9))), &mut registry);
    assert_eq!(status(&registry, 3), None, "its end has passed");
}

#[test]
fn a_market_that_a_scan_no_longer_lists_is_asked_about_and_expires_if_closed() {
    let (mut lifecycle, mut registry) = start(false);
    let all = vec![info(1, None), info(2, None), info(3, None)];
    lifecycle.on_answer(at(0), listing(1, all, true), &mut registry);
    assert_eq!(lifecycle.poll(at(0), &mut registry).confirm, []);
    lifecycle.on_answer(at(60), listing(2, vec![info(1, None)], false), &mut registry);
    assert_eq!(lifecycle.poll(at(60), &mut registry).confirm, [], "the scan goes on");
    lifecycle.on_answer(at(61), listing(2, vec![info(3, None)], true), &mut registry);
    assert_eq!(lifecycle.poll(at(61), &mut registry).confirm, [id(2)]);
    assert_eq!(lifecycle.poll(at(62), &mut registry).confirm, []);
    let (closed, source) =
        (vec![Closed { market: id(2), resolution: Resolution::default() }], Some(Source::Catalog));
    lifecycle.on_answer(at(63), Answer { closed, source, ..Answer::default() }, &mut registry);
    assert_eq!(status(&registry, 2), Some(Status::Expired));
    assert_eq!(counts(&lifecycle), [3, 0, 0, 1, 0]);
}

#[test]
fn a_catalog_that_is_trusted_keeps_markets_beyond_their_end() {
    let (mut lifecycle, mut registry) = start(true);
    let list = |scan, at_s, lifecycle: &mut Lifecycle, registry: &mut Registry| {
        let markets = vec![info(1, Some(100)), info(2, Some(5))];
        lifecycle.on_answer(at(at_s), listing(scan, markets, true), registry);
    };
    list(1, 10, &mut lifecycle, &mut registry);
    assert_eq!(status(&registry, 2), Some(Status::Pending), "listed after its end: it trades");
    registry.mark_subscribed(&id(1), ConnectionId(1), 0).unwrap();
    lifecycle.poll(at(130), &mut registry);
    assert_eq!(status(&registry, 1), Some(Status::Expired));
    list(2, 140, &mut lifecycle, &mut registry);
    assert_eq!(status(&registry, 1), Some(Status::Subscribed), "where it was");
    lifecycle.poll(at(200), &mut registry);
    assert_eq!(status(&registry, 1), Some(Status::Subscribed));
    // A resolution is final.
    lifecycle.on_market_update(
        at(201),
        MarketUpdate::Resolved { market: id(1), resolution: Resolution::default() },
        &mut registry,
    );
    list(3, 210, &mut lifecycle, &mut registry);
    assert_eq!(status(&registry, 1), Some(Status::Expired));
}

#[test]
fn only_so_many_markets_are_registered_unasked() {
    let options = LifecycleOptions { scanning: true, markets_max: Some(2), ..Default::default() };
    let (mut lifecycle, mut registry) = (Lifecycle::new(options), Registry::new(1));
    let markets = (1..5).map(|number| info(number, None)).collect();
    lifecycle.on_answer(at(0), listing(1, markets, false), &mut registry);
    lifecycle.on_market_update(at(0), MarketUpdate::Announced(info(8, None)), &mut registry);
    assert!(lifecycle.is_full(&registry));
    assert_eq!(registry.report().markets, 2);
    lifecycle.on_answer(at(0), found(info(9, None)), &mut registry);
    assert_eq!(registry.report().markets, 3, "a person may ask for more");

    let options = LifecycleOptions::default();
    let (mut lifecycle, mut registry) = (Lifecycle::new(options), Registry::new(1));
    lifecycle.on_market_update(at(0), MarketUpdate::Announced(info(8, None)), &mut registry);
    lifecycle.on_answer(at(0), found(info(9, None)), &mut registry);
    assert_eq!(registry.report().markets, 1, "without scanning only what is asked for");
    assert_eq!(lifecycle.poll(at(0), &mut registry).confirm, []);
    assert_eq!(lifecycle.poll(at(60), &mut registry).confirm, [id(9)]);
    assert_eq!(lifecycle.poll(at(61), &mut registry).confirm, []);
}

/// The clock may be ahead of the venue's, a scan may have found it closed before it was opened again.
#[test]
fn a_market_that_gets_a_later_end_trades_again() {
    let options = LifecycleOptions {
        scanning: true,
        opens_by_clock: true,
        trust_catalog_after_end: true,
        ..Default::default()
    };
    let (mut lifecycle, mut registry) = (Lifecycle::new(options), Registry::new(1));
    let later = |seconds| MarketUpdate::EndMoved {
        market: id(1),
        end_wall_ns: EPOCH + seconds * SECOND_NS,
    };
    let activated = || MarketUpdate::Activated { market: id(1) };
    lifecycle.on_answer(at(0), listing(1, vec![info(1, Some(100))], true), &mut registry);
    lifecycle.poll(at(101), &mut registry);
    assert_eq!(status(&registry, 1), Some(Status::Expired));
    lifecycle.on_market_update(at(102), later(200), &mut registry);
    assert_eq!(status(&registry, 1), Some(Status::Pending), "by the clock alone");
    lifecycle.poll(at(201), &mut registry);
    lifecycle.on_answer(at(202), listing(2, vec![info(1, Some(300))], true), &mut registry);
    assert_eq!(status(&registry, 1), Some(Status::Pending), "it is listed with a later end");
    let closed = |result: Option<&str>| {
        let result = result.map(str::to_owned);
        let resolution = Resolution { result, ..Resolution::default() };
        Answer {
            source: Some(Source::Catalog),
            closed: vec![Closed { market: id(1), resolution }],
            ..Answer::default()
        }
    };
    lifecycle.on_answer(at(203), closed(None), &mut registry);
    assert_eq!(status(&registry, 1), Some(Status::Expired));
    lifecycle.on_market_update(at(204), later(400), &mut registry);
    assert_eq!(status(&registry, 1), Some(Status::Expired), "by the venue");
    lifecycle.on_market_update(at(205), activated(), &mut registry);
    assert_eq!(status(&registry, 1), Some(Status::Pending));
    lifecycle.on_answer(at(206), closed(Some("no")), &mut registry);
    lifecycle.on_market_update(at(207), activated(), &mut registry);
    assert_eq!(status(&registry, 1), Some(Status::Expired), "what is decided is decided");
}

#[test]
fn a_market_that_shares_its_books_ends_by_its_own_end_or_absence() {
    let twin = |end_s| MarketInfo { tokens: info(1, None).tokens, ..info(2, end_s) };
    let (mut lifecycle, mut registry) = start(false);
    lifecycle.on_answer(
        at(0),
        listing(1, vec![info(1, Some(50)), twin(Some(100))], true),
        &mut registry,
    );
    registry.mark_subscribed(&id(1), ConnectionId(7), 0).unwrap();
    assert!(lifecycle.poll(at(0), &mut registry).confirm.is_empty());
    // The first ends, and its books stay for the other; long after the grace too.
    lifecycle.poll(at(60), &mut registry);
    assert_eq!((status(&registry, 1), counts(&lifecycle)[3]), (Some(Status::Subscribed), 1));
    // The other trades longer than was known.
    lifecycle.on_answer(at(61), listing(2, vec![twin(Some(9_000))], true), &mut registry);
    assert_eq!(lifecycle.poll(at(61), &mut registry).confirm, [], "the first is known to be over");
    let later = lifecycle.poll(at(5_000), &mut registry);
    assert!(later.actions.is_empty() && status(&registry, 1) == Some(Status::Subscribed));
    // A scan does not list it any more: it is asked about, and is closed.
    lifecycle.on_answer(at(5_001), listing(3, vec![], true), &mut registry);
    assert_eq!(lifecycle.poll(at(5_001), &mut registry).confirm, [id(2)]);
    let closed = Closed { market: id(2), resolution: Resolution::default() };
    lifecycle.on_answer(
        at(5_002),
        Answer { closed: vec![closed], source: Some(Source::Catalog), ..Answer::default() },
        &mut registry,
    );
    assert_eq!(
        (status(&registry, 1), registry.report().markets_shared),
        (Some(Status::Expired), 0)
    );
    // By the clock.
    let (mut lifecycle, mut registry) = start(false);
    lifecycle.on_answer(
        at(0),
        listing(1, vec![info(1, None), twin(Some(100))], true),
        &mut registry,
    );
    lifecycle.poll(at(101), &mut registry);
    assert_eq!(
        (status(&registry, 1), registry.report().markets_shared),
        (Some(Status::Pending), 0)
    );
}

#[test]
fn a_market_with_some_tokens_of_another_is_counted_and_reported() {
    let (mut lifecycle, mut registry) = start(true);
    let tokens = vec![info(1, None).tokens[0].clone(), info(9, None).tokens[1].clone()];
    let mixed = MarketInfo { tokens, slug: "mixed".into(), ..info(2, None) };
    lifecycle.on_answer(at(0), listing(1, vec![info(1, None), mixed.clone()], true), &mut registry);
    let refused = lifecycle.take_refused();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].reason, SkipReason::TokenTaken);
    let mut report = LifecycleReport::default();
    lifecycle.report(&mut report);
    assert_eq!((report.markets_skipped, report.markets_discovered), (1, 1));
    let token = mixed.tokens[1].token;
    assert!(registry.market_of(&token).is_none(), "its own token is not followed either");
    // Once the first is gone it is followed in its own right.
    registry.mark_expired(&id(1), 1);
    registry.remove(&id(1));
    lifecycle.on_answer(at(90), listing(2, vec![mixed], true), &mut registry);
    assert_eq!(status(&registry, 2), Some(Status::Pending));
}

#[test]
fn markets_of_other_members_come_change_end_and_return() {
    let (mut lifecycle, mut registry) = start(true);
    let event = |stage, info| MarketEvent { stage, info, resolution: None, is_repeated: false };
    let mut share = |seconds, event, takes_facts, registry: &mut Registry| {
        lifecycle.on_shared(at(seconds), event, takes_facts, registry);
        status(registry, 1)
    };
    let opened = || event(MarketStage::Opened, info(1, None));
    assert_eq!(share(0, opened(), true, &mut registry), Some(Status::Pending));
    let changed = || {
        let info = MarketInfo { neg_risk: true, ..info(1, None) };
        event(MarketStage::Opened, info)
    };
    let facts = |registry: &Registry| registry.market(&id(1)).unwrap().info.neg_risk;
    share(1, changed(), false, &mut registry);
    assert!(!facts(&registry), "a member that scans knows better");
    share(2, changed(), true, &mut registry);
    assert!(facts(&registry));
    let ended = event(MarketStage::Ended, info(1, None));
    assert_eq!(share(3, ended.clone(), true, &mut registry), Some(Status::Expired));
    assert_eq!(share(4, opened(), true, &mut registry), Some(Status::Pending), "it trades again");
    share(5, ended, true, &mut registry);
    let winner = registry.market(&id(1)).unwrap().info.tokens[0].token;
    let resolution = Some(Resolution { winner: Some(winner), ..Resolution::default() });
    let resolved = MarketEvent { resolution, ..event(MarketStage::Resolved, info(1, None)) };
    share(6, resolved, true, &mut registry);
    assert_eq!(share(7, opened(), true, &mut registry), Some(Status::Expired), "for good");
    assert!(registry.market(&id(1)).unwrap().resolution.is_some());
}
