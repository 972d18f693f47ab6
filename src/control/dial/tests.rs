//! A server that always has more bytes.
use super::*;
use crate::control::tests::fixture::target;
use rustix::fd::BorrowedFd;

/// A server that always has another empty line before its head.
#[derive(Debug)]
struct Endless;

impl Stream for Endless {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        into.fill(b'\n');
        Ok(into.len())
    }
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }
    fn handle(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl Connector for Endless {
    fn connect(&self, _: SocketAddr) -> std::io::Result<Box<dyn Stream>> {
        Ok(Box::new(Self))
    }
}

#[test]
fn a_server_that_always_has_more_ends_no_step_and_not_the_clock() {
    let target = Target { connector: Arc::new(Endless), ..target() };
    let begin = || Dial::new(target.clone(), vec!["127.0.0.1:9".parse().unwrap()], 10, 0);
    // Small reads: a step ends long before the bound in bytes, and the next one sees the deadline.
    let mut dial = begin();
    assert!(matches!(dial.step(1, &mut [0; 1000]), Progress::Pending));
    let late = dial.step(10, &mut [0; 1000]);
    assert!(matches!(late, Progress::Failed(DialError::Timeout(_))), "{late:?}");
    // Within the deadline, the bound in bytes ends it.
    let mut dial = begin();
    let ended = (0..1000).any(|_| {
        matches!(
            dial.step(1, &mut [0; 1000]),
            Progress::Failed(DialError::WebSocket(WebSocketError::Protocol(_)))
        )
    });
    assert!(ended);
}
