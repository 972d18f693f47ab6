//! Rings of the doorbell.
use super::*;
use crate::io::driver::Readiness;
use crate::ring::ring;
use std::time::Duration;

#[test]
fn the_bell_is_rung_for_a_command_and_not_for_nothing() {
    let mut set = Readiness::new().unwrap();
    let (commands, _commands) = ring(8);
    let (reports, receiver) = ring(8);
    let gauge = reports.gauge();
    let mut proxy = ShardProxy::new(ShardId(0), None, commands, receiver, gauge, set.doorbell());
    let sleeper = std::thread::spawn(move || {
        set.wait(300_000_000, || true);
        let rung = set.was_rung();
        set.wait(60_000_000_000, || true);
        (rung, set.was_rung())
    });
    for _ in 0..200 {
        proxy.flush(Now::default());
        std::thread::sleep(Duration::from_millis(1));
    }
    // By then it has gone to sleep for the second time.
    while !sleeper.is_finished() {
        std::thread::sleep(Duration::from_millis(150));
        proxy.close(ConnectionId(1), Now::default());
    }
    assert_eq!(sleeper.join().unwrap(), (false, true));
}
