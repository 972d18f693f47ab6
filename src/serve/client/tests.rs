//! IPv4 addresses within IPv6.
use super::*;

#[test]
fn ipv4_within_ipv6_is_this_host_too() {
    for (address, local) in [
        ("127.0.0.1", true),
        ("127.9.9.9", true),
        ("::1", true),
        ("::ffff:127.0.0.1", true),
        ("::ffff:10.0.0.1", false),
        ("10.0.0.1", false),
        ("2001:db8::1", false),
    ] {
        assert_eq!(is_this_host(address.parse().unwrap()), local, "{address}");
    }
}
