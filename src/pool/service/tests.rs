//! Presets and addresses.
use super::*;
use crate::base::limits::DISCOVERY_INTERVAL_NS;
use crate::base::time::SECOND_NS;
use crate::pool::slots::{Acquired, Action, Condition, Slots};

/// A catalog of one page in virtual time: a page per scan interval, the next part of the scan, and the exchange
/// status.
#[test]
fn a_catalog_of_one_page_is_read_over_connections_that_outlive_the_scan_interval() {
    let mut slots: Slots<u32, ()> =
        Slots::new(Service::rest("x", "https://venue.test").unwrap().limits.slots());
    let request = |slots: &mut Slots<u32, ()>, now_ns: u64, at_once: usize| {
        let mut leased = Vec::new();
        for _ in 0..at_once {
            let place = std::panic::Location::caller();
            if let Acquired::Ready(one) = slots.acquire(now_ns, u64::MAX, place, |_| true) {
                leased.push(one);
            }
        }
        while let Some(action) = slots.take_action() {
            match action {
                Action::Open(opening) => slots.opened(opening, 0, now_ns),
                Action::Serve(_, one) => leased.push(one),
                _ => {}
            }
        }
        assert_eq!(leased.len(), at_once);
        leased.into_iter().for_each(|one| slots.release(one, Condition::Reusable, now_ns));
    };
    for scan in 0..20 {
        let begun_ns = scan * (DISCOVERY_INTERVAL_NS + SECOND_NS);
        request(&mut slots, begun_ns, 2);
        request(&mut slots, begun_ns + SECOND_NS / 5, 1);
        for tick in 1..600 {
            slots.poll(begun_ns + tick * (DISCOVERY_INTERVAL_NS / 600));
        }
    }
    let counts = slots.counts();
    assert_eq!((counts.acquired, counts.opened), (60, 2), "{counts:?}");
    assert!(counts.reused as f64 / counts.acquired as f64 > 0.8, "{counts:?}");
}

#[test]
fn an_address_round_trips() {
    for (kind, url, port, path) in [
        (Kind::Http, "http://127.0.0.1:4000", 4000, ""),
        (Kind::Https, "https://gamma.test", 443, ""),
        (Kind::Https, "https://venue.test:8443/trade-api/v2", 8443, "/trade-api/v2"),
        (Kind::Ws, "ws://[::1]:8188/ws", 8188, "/ws"),
        (Kind::Wss, "wss://venue.test/ws/market", 443, "/ws/market"),
    ] {
        let service = Service::new("x", kind, url).unwrap();
        assert_eq!((service.port, service.path.as_str()), (port, path));
        assert_eq!(service.url(), url);
        assert!(service.owns(&format!("{url}/more?a=1")), "{url}");
    }
    let service = Service::new("x", Kind::Https, "https://venue.test:8443/a/").unwrap();
    assert_eq!(service.url(), "https://venue.test:8443/a");
    for other in ["https://venue.test/a", "http://venue.test:8443/a", "https://x.test:8443/a", "/a"]
    {
        assert!(!service.owns(other), "{other}");
    }
    assert!(Service::new("x", Kind::Ws, "http://venue.test").is_err());
    let rest = Service::rest("x", "https://venue.test/a").unwrap();
    assert_eq!((rest.kind, rest.limits.min), (Kind::Https, 0));
    assert_eq!(rest.limits.request_timeout_ns, REST_TIMEOUT_NS);
    assert_eq!(Service::rest("x", "http://[::1]:80").unwrap().kind, Kind::Http);
    assert!(Service::rest("x", "ftp://venue.test").is_err());
}
