//! A readable socket and a doorbell.
use super::*;
use crate::io::socket::Socket;
use std::io::Write as _;

#[test]
fn a_socket_is_reported_while_it_has_bytes_and_a_bell_ends_a_wait() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut socket = Socket::connect(listener.local_addr().unwrap()).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    let mut set = Readiness::new().unwrap();
    set.add(&socket, 7).unwrap();
    set.wait(0, || true);
    assert_eq!(set.reported(), 0);
    peer.write_all(b"x").unwrap();
    let expected = Ready { key: 7, readable: true, writable: false };
    for _ in 0..2 {
        set.wait(5_000_000_000, || true);
        assert_eq!((set.reported(), set.ready(0)), (1, expected));
    }
    let mut buffer = [0; 4];
    assert_eq!(socket.read(&mut buffer).unwrap(), 1);
    set.want_write(&socket, 7, true).unwrap();
    set.wait(0, || true);
    assert!(set.ready(0).writable);
    set.remove(&socket, 7);

    let bell = set.doorbell();
    let ringer = std::thread::spawn(move || {
        // Rings repeatedly: a bell while the other side is awake has no effect.
        for _ in 0..2000 {
            bell.ring();
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    });
    set.wait(60_000_000_000, || true);
    assert_eq!((set.reported(), set.was_rung()), (0, true));
    set.wait(60_000_000_000, || false);
    drop(ringer);
}
