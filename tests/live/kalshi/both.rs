//! Both venues in one process.
//!
//! Runs on:  test threads, with two venues and one engine as processes.
use super::*;

/// Flags that follow both venues, in this order.
pub(super) fn of_both(
    order: &str,
    kalshi: &Kalshi,
    polymarket: &Venue,
    more: &[&str],
) -> Vec<String> {
    let both = kalshi.file("both.pem");
    let mut pem = std::fs::read(kalshi.file("ca.pem")).unwrap();
    pem.extend(std::fs::read(polymarket.ca.as_ref().unwrap()).unwrap());
    std::fs::write(&both, pem).unwrap();
    let mut flags = kalshi.flags(more);
    let place = |flags: &[String], name: &str| flags.iter().position(|flag| flag == name).unwrap();
    let at = place(&flags, "--venue") + 1;
    flags[at] = order.to_owned();
    let at = place(&flags, "--tls-ca") + 1;
    flags[at] = both.to_str().unwrap().to_owned();
    for flag in ["--gamma-url", "--clob-url", "--ws-url"] {
        let url = if flag == "--ws-url" { &polymarket.ws } else { &polymarket.url };
        flags.extend([flag.to_owned(), url.clone()]);
    }
    flags
}

/// Names, tokens and connections go to the venue that has them, whichever `--venue` names first.
#[test]
fn names_and_tokens_go_to_the_venue_that_has_them() {
    let mut kalshi = Kalshi::start(&["--markets", "20", "--rate", "200"]);
    let mut polymarket = Venue::start(&["--markets", "20", "--rate", "200"]);
    let slug = polymarket.markets()[3].slug.clone();
    let ticker = kalshi.truth().swap_remove(5).0;
    let names = ["--no-discovery", "--market", &slug, "--token", &ticker, "--audit", "1"];
    let more =
        [&names[..], &["--kalshi-connections", "1,1,1,2", "--kalshi-rest-poll", "1"]].concat();
    for order in ["kalshi,polymarket", "polymarket,kalshi"] {
        let mut engine = Engine::with_flags(&of_both(order, &kalshi, &polymarket, &more));
        wait_live(&mut engine, 2 + 1);
        assert_eq!(engine.health().0, 200, "{}", engine.health().1);
        let stats = engine.stats();
        // Capacity is of connections that carry books: one that grows, and two of the table.
        assert_eq!(count(&stats, "/pool/capacity_tokens"), 400 + 2 * 7_500);
        let id = |name: &str| {
            let connections = stats["pool"]["connections"].as_array().unwrap();
            let named = connections.iter().find(|c| c["name"].as_str().unwrap().starts_with(name));
            count(named.unwrap(), "/id")
        };
        let path = format!("/admin/recycle?connection={}", id("connection-"));
        assert_eq!(engine.post(&path).status, 202, "{order}");
        let path = format!("/admin/recycle?connection={}", id("orderbook-"));
        for _ in 0..2 {
            let refused = engine.post(&path);
            assert_eq!(refused.status, 409, "{order}");
            assert!(refused.text().contains("not replaced while they work"), "{}", refused.text());
        }
        engine.wait_for("a connection that was replaced", TIMEOUT, |stats| {
            count(stats, "/recycling/completed") == 1
        });
        // Both venues were asked for books over REST; the sum counts both.
        let (stats, _) = engine.wait_for("audits and polls", TIMEOUT, |stats| {
            let repairs = |name: &str| count(stats, &format!("/correctness/repairs/{name}"));
            repairs("audits_matched") + repairs("audits_older") > 2 && repairs("polls_matched") > 2
        });
        let services = stats["services"].as_array().unwrap();
        let asked =
            |name: &str| services.iter().any(|s| s["service"] == name && count(s, "/requests") > 0);
        assert!(asked("polymarket-clob") && asked("kalshi-rest"), "{services:#?}");
        engine.program.signal(Signal::INT);
        assert!(engine.program.wait(TIMEOUT).success());
        engine.program.assert_clean();
    }
}

/// A token of Kalshi is a ticker.
#[test]
fn two_venues_are_followed_by_one_process() {
    let mut kalshi = Kalshi::start(&["--markets", "60", "--rate", "200", "--trades", "500"]);
    let polymarket = Venue::start(&["--markets", "40", "--rate", "200"]);
    let (database, trades) = kalshi.database();
    let more = ["--kalshi-connections", "1,2,1,4", "--trades", &trades];
    let flags = of_both("polymarket,kalshi", &kalshi, &polymarket, &more);
    let mut engine = Engine::with_flags(&flags);
    wait_live(&mut engine, 80 + 60);
    let proven = |stats: &Value| {
        count(stats, "/correctness/checks/tops_matched") > 100
            && count(stats, "/trades/inserted") > 10
    };
    let (stats, _) = engine.wait_for("proofs", TIMEOUT, proven);
    let venues = stats["venues"].as_array().unwrap();
    let reported: Vec<(&str, u64, u64)> = venues
        .iter()
        .map(|v| (v["venue"].as_str().unwrap(), count(v, "/markets"), count(v, "/books_live")))
        .collect();
    assert_eq!(reported, [("polymarket", 40, 80), ("kalshi", 60, 60)]);
    let ids = stats["pool"]["connections"].as_array().unwrap().iter();
    let ids: Vec<u64> = ids.map(|connection| count(connection, "/id")).collect();
    let (table, others): (Vec<u64>, Vec<u64>) = ids.into_iter().partition(|&id| id <= 8);
    assert_eq!(table, (1..=8).collect::<Vec<_>>(), "the fixed table has the first numbers");
    assert!(others.iter().all(|&id| id > 400), "{others:?}");
    assert_eq!(count(&stats, "/pool/connections_active"), 1 + 8);
    assert_eq!(engine.health().0, 200);
    assert!(count(&stats, "/correctness/checks/tops_matched") > 100);
    assert_eq!(count(&stats, "/correctness/checks/tops_mismatched"), 0);
    assert_eq!(compare(&mut kalshi, &mut engine), 60);
    engine.program.signal(Signal::INT);
    assert!(engine.program.wait(TIMEOUT).success());
    engine.program.assert_clean();
    let rows = stored(&database);
    assert!(rows.len() > 10 && rows.len() == rows.iter().collect::<HashSet<_>>().len());
}
