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

#[test]
fn the_file_of_a_database_names_its_server_too() {
    let stem = |address: &str| PostgresAddress::parse(address).unwrap().file_stem();
    assert_eq!(stem("me@db.test:6000/trades"), "db.test-6000-trades");
    assert_ne!(stem("me@db.test/trades"), stem("me@other.test/trades"));
    assert_ne!(stem("me@db.test:1/trades"), stem("me@db.test:2/trades"));
    // Not a path to another folder.
    assert_eq!(stem("me@[::1]/..%2fx y"), "%3a%3a1-5432-..%2fx%20y");
}

#[test]
fn a_passfile_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "word\n").unwrap();
    let text = format!("me@db.test/t?passfile={}", file.path().display());
    let address = PostgresAddress::parse(&text).unwrap();
    let mode = |mode| std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode));
    mode(0o640).unwrap();
    let refused = address.check_files().unwrap_err().to_string();
    assert!(refused.contains("others may read it; `chmod 600"), "{refused}");
    mode(0o600).unwrap();
    assert_eq!(address.password().unwrap().as_deref(), Some("word"));
    let text = "me@db.test/t?sslrootcert=/dev/zero";
    let refused = PostgresAddress::parse(text).unwrap().check_files().unwrap_err().to_string();
    assert!(refused.contains("is no regular file"), "{refused}");
}
