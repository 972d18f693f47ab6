//! Addresses. A real server is in `tests/live/database.rs`.
use super::*;

#[test]
fn an_address_is_read_and_shown_without_its_password() {
    let address =
        PostgresAddress::parse("me:p%40ss%3a@db.test:6000/trades?sslrootcert=ca.pem").unwrap();
    assert_eq!(address.password().unwrap().as_deref(), Some("p@ss:"));
    assert!(address.tls && address.authority_file.is_some());
    assert_eq!(address.shown(), "postgres://me@db.test:6000/trades");
    assert!(!format!("{address:?}").contains("p@ss"));
    let address = PostgresAddress::parse("me@[::1]/t").unwrap();
    assert_eq!((address.host.as_str(), address.port, address.tls), ("::1", 5_432, false));
    assert!(!PostgresAddress::parse("me@db.test/t?sslmode=disable").unwrap().tls);
    for (wrong, word) in [
        ("", "expected postgres://"),
        ("db.test/trades", "expected postgres://"),
        ("me@db.test", "expected postgres://"),
        ("me@/trades", "expected postgres://"),
        ("me@db.test:x/trades", "port x"),
        ("me@db.test/trades?sslmode=require", "expected disable or verify-full"),
        ("me@db.test/trades?wal=1", "expected passfile"),
        ("m%e@db.test/trades", "hexadecimal"),
    ] {
        let why = PostgresAddress::parse(wrong).unwrap_err();
        assert!(why.contains(word), "{wrong}: {why}");
    }
}
