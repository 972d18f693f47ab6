//! A value, and ends that go away.
use super::*;
use futures_lite::future::{block_on, poll_once};

#[test]
fn a_value_is_handed_over() {
    let (giver, awaited) = handoff();
    assert!(giver.is_awaited());
    let thread = std::thread::spawn(move || giver.give(7));
    assert_eq!(block_on(awaited), Some(7));
    thread.join().unwrap();
}

#[test]
fn either_end_may_go_away() {
    let (giver, mut awaited) = handoff::<u8>();
    assert_eq!(block_on(poll_once(&mut awaited)), None);
    drop(giver);
    assert_eq!(block_on(awaited), None);
    let (giver, awaited) = handoff();
    drop(awaited);
    assert!(!giver.is_awaited());
    giver.give(7);
}
