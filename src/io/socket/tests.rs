//! Bytes and a refusal on loopback.
use super::*;
use std::net::TcpListener;

fn wait(socket: &Socket) -> std::io::Result<()> {
    for _ in 0..5000 {
        if socket.poll_connected()? == Connecting::Done {
            return Ok(());
        }
        std::thread::yield_now();
    }
    panic!("loopback does not answer");
}

#[test]
fn bytes_flow_and_nothing_waits() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut socket = Socket::connect(listener.local_addr().unwrap()).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    wait(&socket).unwrap();
    let mut buffer = [0; 16];
    assert_eq!(socket.read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(socket.write(b"hello").unwrap(), 5);
    peer.read_exact(&mut buffer[..5]).unwrap();
    assert_eq!(&buffer[..5], b"hello");
    drop(peer);
    let end = (0..5000).find_map(|_| match socket.read(&mut buffer) {
        Ok(n) => Some(n),
        Err(_) => {
            std::thread::yield_now();
            None
        }
    });
    assert_eq!(end, Some(0));
}

#[test]
fn a_refused_connection_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let result = Socket::connect(address).and_then(|socket| wait(&socket));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
