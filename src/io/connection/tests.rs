//! A socket that always has bytes.
use super::*;
use crate::io::executor::{Executor, spawn};
use std::rc::Rc;

const READS: usize = 4;

/// With a server whose bytes are all available, other tasks run between two reads.
#[test]
fn a_socket_that_always_has_bytes_lets_others_run() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (written, is_written) = std::sync::mpsc::channel();
    let server = std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(&[0; READS * HTTP_SCRATCH_BYTES]).unwrap();
        written.send(()).unwrap();
        // Open until the client closes.
        let _ = peer.read(&mut [0]);
    });
    let rounds = Executor::start("reader", None, move || async move {
        let target = Target { host: "127.0.0.1".into(), port: address.port(), tls: None };
        let resolver = Resolver::with_lookup(0, |_| panic!("no lookup expected")).unwrap();
        let stage = Cell::new("");
        let opened = Connection::open(&target, &resolver, 5_000_000_000, &stage).await;
        let mut connection = opened.unwrap();
        is_written.recv().unwrap();
        let rounds = Rc::new(Cell::new(0));
        let counted = Rc::clone(&rounds);
        spawn(async move {
            for round in 1..=1_000 {
                counted.set(round);
                yield_now().await;
            }
        });
        for _ in 0..READS {
            assert!(connection.receive().await.unwrap().is_some());
        }
        rounds.get()
    });
    assert!(rounds.unwrap().join().unwrap() >= READS - 1);
    server.join().unwrap();
}
