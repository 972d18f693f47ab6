//! Wakes before and during a wait.
use super::*;
use futures_lite::future::{block_on, poll_once};

#[test]
fn a_wake_before_the_wait_counts_once_and_another_thread_wakes() {
    let sleeper = Sleeper::default();
    let waker = sleeper.waker();
    waker.wake();
    waker.wake();
    assert_eq!(block_on(poll_once(sleeper.wait())), Some(()));
    assert_eq!(block_on(poll_once(sleeper.wait())), None);
    let thread = std::thread::spawn(move || waker.wake());
    block_on(sleeper.wait());
    thread.join().unwrap();
}
