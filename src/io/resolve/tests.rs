//! Cached addresses and failures of the resolver.
use super::*;
use futures_lite::future::block_on;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_name_that_this_process_serves_is_not_found_on_this_host() {
    let own = OwnNames { names: vec!["a.test", "b.test"], listen: Some(ip("192.0.2.7")) };
    for address in ["127.0.0.1", "127.0.1.1", "::1", "192.0.2.7"] {
        let addresses = [ip("192.0.2.1"), ip(address)];
        let line = own.fault("a.test", &addresses).unwrap();
        assert!(line.starts_with(&format!("a.test leads to {address}, so")), "{line}");
        assert_eq!(own.fault("localhost", &addresses), None);
    }
    assert_eq!(own.fault("b.test", &[ip("192.0.2.1")]), None);
    let own = OwnNames { names: vec!["localhost"], listen: None };
    assert!(own.find_fault("localhost").is_some() && own.look_up("localhost").is_err());
    assert!(OwnNames::default().look_up("localhost").is_ok());
}

#[test]
fn an_address_needs_no_resolver() {
    let resolver = Resolver::with_lookup(0, |_| panic!("no lookup expected")).unwrap();
    for (host, address) in
        [("127.0.0.1", "127.0.0.1:443"), ("::1", "[::1]:443"), ("[::1]", "[::1]:443")]
    {
        let found = block_on(resolver.resolve(host, 443)).unwrap();
        assert_eq!(found, [address.parse().unwrap()]);
    }
}

#[test]
fn all_addresses_are_returned_and_cached() {
    let lookups = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&lookups);
    let resolver = Resolver::with_lookup(RESOLVE_TTL_NS, move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(vec![ip("10.0.0.1"), ip("::1")])
    })
    .unwrap();
    for _ in 0..3 {
        let found = block_on(resolver.resolve("venue.test", 80)).unwrap();
        assert_eq!(found, ["10.0.0.1:80".parse().unwrap(), "[::1]:80".parse().unwrap()]);
    }
    assert_eq!(lookups.load(Ordering::Relaxed), 1);
}

#[test]
fn cached_addresses_are_used_while_the_resolver_fails() {
    let mut calls = 0;
    let resolver = Resolver::with_lookup(0, move |_| {
        calls += 1;
        if calls == 1 { Ok(vec![ip("10.0.0.1")]) } else { Err(io::Error::other("down")) }
    })
    .unwrap();
    for _ in 0..2 {
        let found = block_on(resolver.resolve("venue.test", 80)).unwrap();
        assert_eq!(found, ["10.0.0.1:80".parse().unwrap()]);
    }
}

#[test]
fn failures_are_distinct_errors() {
    let resolver = Resolver::with_lookup(0, |host| {
        if host == "empty.test" { Ok(vec![]) } else { Err(io::Error::other("no such name")) }
    })
    .unwrap();
    let empty = block_on(resolver.resolve("empty.test", 80)).unwrap_err();
    assert_eq!(empty, ResolveError::Empty { host: "empty.test".into() });
    let failed = block_on(resolver.resolve("gone.test", 80)).unwrap_err();
    assert_eq!(failed.to_string(), "the name gone.test cannot be resolved: no such name");
}

#[test]
fn too_many_requests_are_refused() {
    let (hold, held) = sync_channel::<()>(0);
    let resolver = Resolver::with_lookup(0, move |_| {
        let _ = held.recv();
        Ok(vec![ip("10.0.0.1")])
    })
    .unwrap();
    // Requests of dropped futures stay in the queue.
    let mut busy = 0;
    for _ in 0..RESOLVE_QUEUE_DEPTH + 2 {
        let lookups = block_on(futures_lite::future::poll_once(resolver.resolve("a.test", 1)));
        busy += usize::from(matches!(lookups, Some(Err(ResolveError::Busy { .. }))));
    }
    assert!(busy >= 1, "{busy}");
    drop(hold);
}
