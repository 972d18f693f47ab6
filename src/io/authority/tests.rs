//! Accepted, refused and malformed hosts.
use super::*;

fn accepts(listen: &str, given: &[&str], host: &str) -> bool {
    let given = given.iter().map(|name| ServeName::parse(name).unwrap()).collect();
    let names = Names::new(listen.parse().unwrap(), given);
    names.contain(&Authority::parse(host).unwrap_or_else(|| panic!("{host}")))
}

#[test]
fn the_listen_address_localhost_and_configured_names_are_accepted() {
    for host in ["127.0.0.1", "127.0.0.1:1", "localhost", "LocalHost.:9300", "[::1]:9300"] {
        assert!(accepts("127.0.0.1:9300", &[], host), "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "10.0.0.1", "127.0.0.1.nip.io"] {
        assert!(!accepts("127.0.0.1:9300", &[], host), "{host}");
    }
    assert!(accepts("10.0.0.1:9300", &[], "10.0.0.1"));
    assert!(!accepts("10.0.0.1:9300", &[], "10.0.0.2"));
    for listen in ["0.0.0.0:9300", "[::]:9300"] {
        assert!(accepts(listen, &[], "10.0.0.2:80") && accepts(listen, &[], "[2001:db8::1]"));
        assert!(!accepts(listen, &[], "evil.example"));
    }
    assert!(accepts("127.0.0.1:9300", &["Metrics.Example."], "metrics.example:443"));
    assert!(accepts("127.0.0.1:9300", &["10.0.0.2", "[2001:db8::1]"], "[2001:DB8:0::1]:1"));
    assert!(accepts("[::ffff:10.0.0.1]:9300", &[], "10.0.0.1"));
}

#[test]
fn malformed_names_are_refused() {
    for text in ["", ":80", "a b", "a:", "a:-1", "a:99999", "[::1", "[::1]x", "a/b", "a..b"] {
        assert_eq!(Authority::parse(text), None, "{text}");
    }
    for text in ["a:80", "a b", "", "*", "[::1]:80"] {
        assert_eq!(ServeName::parse(text), None, "{text}");
    }
}
