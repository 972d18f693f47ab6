//! An address that is taken, and free again.
use super::*;

#[test]
fn a_taken_address_is_refused_at_once_and_free_again_after_the_end() {
    let first = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = first.address();
    assert_ne!(address.port(), 0);
    let error = Listener::bind(address).unwrap_err().to_string();
    assert_eq!(error, format!("cannot listen on {address}: another program listens there"));
    drop(first);
    drop(Listener::bind(address).unwrap());
    let elsewhere = Listener::bind("192.0.2.1:80".parse().unwrap()).unwrap_err().to_string();
    assert!(elsewhere.ends_with("this host has no such address"), "{elsewhere}");
}
