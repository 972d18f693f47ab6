//! Waits before and after an event.
use super::*;
use futures_lite::future::{block_on, or, poll_once};

#[test]
fn an_event_frees_all_and_forgets_those_who_left() {
    let event = Event::default();
    assert_eq!(block_on(poll_once(event.wait())), None);
    assert!(event.waiting.borrow().is_empty(), "the waker was taken back");
    block_on(or(event.wait(), async { event.set() }));
    assert!(event.is_set());
    assert_eq!(block_on(poll_once(event.wait())), Some(()));
}

#[test]
fn a_bell_rung_before_the_wait_counts_once() {
    let bell = Bell::default();
    bell.ring();
    bell.ring();
    assert_eq!(block_on(poll_once(bell.wait())), Some(()));
    assert_eq!(block_on(poll_once(bell.wait())), None);
}

#[test]
fn a_slot_hands_its_value_over_once() {
    let slot = Slot::default();
    assert_eq!(block_on(poll_once(slot.take())), None);
    slot.put(3);
    assert_eq!(block_on(slot.take()), 3);
    assert_eq!(block_on(poll_once(slot.take())), None);
}
