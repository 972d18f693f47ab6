//! A full socket and a closed one.
use super::*;
use std::io::Read as _;

#[test]
fn a_full_socket_takes_nothing_and_a_closed_one_is_an_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, _) = listener.accept().unwrap();
    socket.set_nonblocking(true).unwrap();
    let direct = DirectSocket::new(&socket).unwrap();
    let part = [7; 64 * 1024];
    let mut sum = 0;
    loop {
        match direct.try_write(&part).unwrap() {
            0 => break,
            count => sum += count,
        }
    }
    let mut received = vec![0; sum];
    peer.read_exact(&mut received).unwrap();
    assert!(sum > 0 && received.iter().all(|&byte| byte == 7));
    drop(peer);
    // The first write after the end may still succeed.
    assert!((0..2_000).any(|_| direct.try_write(&part).is_err()));
}
