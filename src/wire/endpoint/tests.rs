//! Addresses with and without parts.
use super::*;

#[test]
fn addresses_are_checked_and_completed() {
    let ws = |text: &str| Endpoint::parse(text, ["ws", "wss"]);
    let named = ws("wss://venue.test/ws/market").unwrap();
    assert_eq!((named.host.as_str(), named.port, named.tls), ("venue.test", 443, true));
    let local = ws("ws://[::1]:8080/ws/market/").unwrap();
    assert_eq!((local.host.as_str(), local.port, local.tls), ("::1", 8080, false));
    assert_eq!(local.url, "ws://[::1]:8080/ws/market");
    for wrong in
        ["", "host", "https://host", "wss://", "wss:///x", "wss://a b", "wss://a:99999", "wss://a:"]
    {
        let error = ws(wrong).unwrap_err().0;
        assert!(error.contains("wss://HOST"), "{error}");
    }
}
