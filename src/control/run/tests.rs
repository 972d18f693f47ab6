//! Rates of services.
use super::*;
use crate::base::time::SECOND_NS;

fn endpoint(url: &str) -> Endpoint {
    Endpoint::parse(url, ["http", "https"]).unwrap()
}

#[test]
fn services_have_the_venues_rate_or_the_bounds_of_a_file() {
    let (gamma, clob) = (endpoint("https://gamma.test"), endpoint("https://clob.test/v1"));
    let polymarket = crate::venue::polymarket::feed(true);
    let usual = Sources::services(polymarket, &gamma, &clob, &[]).unwrap();
    let urls: Vec<String> = usual.iter().map(Service::url).collect();
    assert_eq!(urls, ["https://gamma.test", "https://clob.test/v1"]);
    assert!(usual.iter().all(|service| service.rate.is_none()));

    // One service where both are the same.
    let kalshi = crate::venue::kalshi::feed(false);
    let rest = endpoint("https://rest.test");
    let usual = Sources::services(kalshi, &rest, &rest, &[]).unwrap();
    assert_eq!(usual.len(), 1);
    assert_eq!(usual[0].rate, Some(Rate { per_second: 20.0, burst: 40 }));

    let mut wanted = Service::rest("kalshi-rest", "https://elsewhere.test/trade-api/v2").unwrap();
    wanted.limits.max = 3;
    wanted.limits.health_interval_ns = 9 * SECOND_NS;
    wanted.probe = Some("/exchange/status".into());
    let bounded = Sources::services(kalshi, &rest, &rest, &[wanted.clone()]).unwrap();
    assert_eq!((bounded[0].limits, bounded[0].rate), (wanted.limits, usual[0].rate));
    assert_eq!(bounded[0].probe.as_deref(), Some("/trade-api/v2/exchange/status"));
    assert_eq!(bounded[0].url(), "https://rest.test", "the flags say where it is");
}
