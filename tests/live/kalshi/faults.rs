//! Kalshi's faults, what its documentation leaves open, and markets that come and go.
//!
//! Runs on:  test threads, with one venue and one engine as processes.
use super::*;

#[test]
fn kalshi_faults_cost_moments_and_no_book_is_wrong() {
    let flags = ["--markets", "120", "--rate", "600", "--trades", "500", "--paused"];
    let mut venue = Kalshi::start(&flags);
    let (database, trades) = venue.database();
    let mut engine = venue.engine(&["--kalshi-connections", "2,2,2,9", "--trades", &trades]);
    wait_live(&mut engine, 120);
    venue.ask("POST", "/sim/resume");
    let books = Some("orderbook_delta");
    for (kind, times, channel) in [
        ("lost", 3, None),
        ("doubled", 5, None),
        ("error-10", 2, None),
        ("error-25", 2, None),
        ("garbage", 2, books),
        ("unknown", 2, books),
        ("unknown-fields", 4, books),
        ("stall-ack", 1, None),
        ("error-18", 1, None),
        ("cut", 3, books),
        ("cut", 1, Some("trade")),
        ("cut", 1, Some("market_lifecycle_v2")),
        ("error-27", 2, None),
    ] {
        assert_eq!(venue.fault(kind, times, channel), times, "{kind}");
        // About what half a second brings.
        let before = sum(&engine.stats(), "messages");
        engine.wait_for("traffic", TIMEOUT, |stats| sum(stats, "messages") > before + 500);
        wait_live(&mut engine, 120);
    }
    assert_eq!(compare(&mut venue, &mut engine), 120);
    // One that had just come up is not dialed again at once.
    let back = |stats: &Value| count(stats, "/pool/reconnects") == 5;
    let (stats, _) = engine.wait_for("five new sockets", TIMEOUT, back);
    // Lost trades and lifecycle messages are holes as well.
    assert_eq!(
        count(&stats, "/pool/subscriptions/sequence_missing"),
        3,
        "{:#}",
        stats["pool"]["subscriptions"]
    );
    assert_eq!(count(&stats, "/pool/subscriptions/sequence_duplicates"), 5);
    assert!(count(&stats, "/pool/subscriptions/resubscribes") >= 4);
    assert_eq!(count(&stats, "/correctness/checks/tops_mismatched"), 0);
    assert_eq!(sum(&stats, "unknown_events"), 2);
    venue.ask("POST", "/sim/pause");
    wait_trades(&mut venue, &mut engine);
    let made = venue.trades();
    engine.program.signal(Signal::INT);
    assert!(engine.program.wait(TIMEOUT).success());
    let rows = stored(&database);
    assert_eq!(rows.len(), rows.iter().collect::<HashSet<_>>().len(), "none twice");
    assert_eq!(
        rows.into_iter().collect::<HashSet<_>>(),
        made,
        "one of a pair was away: none is missing"
    );
    engine.program.assert_clean();
    // A connection without books has none that could be stale.
    let lines = engine.program.stderr();
    let of = |names: &[&str], text: &str| {
        let named = |line: &&String| names.iter().any(|name| line.contains(name));
        lines.iter().filter(named).filter(|line| line.contains(text)).count()
    };
    assert_eq!(of(&["ticker-", "trade-", "lifecycle-"], "books are stale"), 0, "{lines:#?}");
    assert_eq!(of(&["trade-"], "no trade is missed, trade-"), 1, "{lines:#?}");
    assert_eq!(of(&["orderbook-"], "its books are stale until it is back"), 3, "{lines:#?}");
    assert_eq!(of(&["ticker-", "trade-", "lifecycle-"], "for all markets"), 6 + 2, "{lines:#?}");
    assert!(of(&["orderbook-"], "is opened on shard-") >= 9, "{lines:#?}");
    // One that was away for so long that its markets moved comes back without any.
    let emptied = of(&["orderbook-"], "for 0 tokens") as u64;
    assert!(emptied <= count(&stats, "/pool/markets_moved"), "{lines:#?}");
}

#[test]
fn markets_of_a_dead_kalshi_connection_move_to_others_and_back() {
    let flags = ["--markets", "200", "--rate", "300"];
    let mut venue = Kalshi::start(&flags);
    let mut engine = venue.engine(&["--kalshi-connections", "0,1,1,5"]);
    wait_live(&mut engine, 200);
    // Frozen: pings go on, data has stopped. The engine asks for a book, in vain, and dials again.
    assert_eq!(venue.fault("freeze", 1, Some("orderbook_delta")), 1);
    engine.wait_for("new connection", TIMEOUT, |stats| count(stats, "/pool/reconnects") == 1);
    wait_live(&mut engine, 200);
    assert_eq!(compare(&mut venue, &mut engine), 200);
}

#[test]
fn what_kalshis_documentation_leaves_open_makes_no_difference() {
    let all = [
        "--shuffle-acks",
        "--ack-delay",
        "40",
        "--snapshot-ok-first",
        "--snapshot-id-on-first",
        "--ok-always-lists",
        "--sending-ts",
        "--subscription-markets-max",
        "40",
        "--kalshi-session-markets-max",
        "40",
        "--kalshi-ok-empty-msg",
        "--kalshi-yes-price",
        "on",
        "--kalshi-ping-every",
        "1000",
        "--kalshi-pong-timeout",
        "4000",
    ];
    let flags: Vec<&str> =
        ["--markets", "110", "--rate", "400", "--trades", "300"].into_iter().chain(all).collect();
    let mut venue = Kalshi::start(&flags);
    // Three connections of 40 hold 110 markets, but only once the venue has refused more on each.
    let mut engine = venue.engine(&["--kalshi-connections", "1,1,1,3", "--audit", "5"]);
    wait_live(&mut engine, 110);
    venue.fault("lost", 2, None);
    let noticed = |stats: &Value| count(stats, "/pool/subscriptions/sequence_missing") >= 2;
    engine.wait_for("two holes", TIMEOUT, noticed);
    wait_live(&mut engine, 110);
    assert_eq!(compare(&mut venue, &mut engine), 110);
    let (stats, _) = engine.wait_for("audits", TIMEOUT, |stats| {
        count(stats, "/correctness/repairs/audits_matched") > 100
    });
    assert_eq!(sum(&stats, "unknown_keys"), 0, "sending_ts_ms is known");
    assert_eq!(count(&stats, "/correctness/repairs/audits_mismatched"), 0);
}

#[test]
fn kalshi_markets_open_and_close_by_time_and_by_message() {
    let more = [
        "--markets",
        "40",
        "--rate",
        "100",
        "--births-per-minute",
        "60",
        "--resolutions-per-minute",
        "60",
    ];
    let mut venue = Kalshi::start(&more);
    let mut engine = venue.engine(&["--kalshi-connections", "1,1,2,4"]);
    engine.wait_for("markets that came and went", TIMEOUT, |stats| {
        count(stats, "/lifecycle/markets_announced") >= 6
            && count(stats, "/lifecycle/markets_resolved") >= 3
            && count(stats, "/lifecycle/markets_expired") >= 2
    });
    venue.ask("POST", "/sim/pause");
    // Those that are announced open within five seconds, by time alone.
    let opened = |stats: &Value| count(stats, "/registry/tokens_pending") == 0;
    engine.wait_for("the last announced market", TIMEOUT, opened);
    assert!(venue.stat("/markets") > 45);
    let open = compare(&mut venue, &mut engine);
    assert!(open >= 30, "{open}");
}
