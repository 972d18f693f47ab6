//! Sessions joined, begun and ended.
use super::*;
use futures_lite::future::{block_on, poll_once};

#[test]
fn a_session_is_joined_until_it_begins_and_is_new_after_its_end() {
    let sessions = Sessions::default();
    let one = sessions.join(Some("a")).unwrap();
    let two = sessions.join(Some("a")).unwrap();
    assert!(Rc::ptr_eq(&one, &two));
    assert!(!Rc::ptr_eq(&one, &sessions.join(None).unwrap()));
    let (first, second) = (Step::new(&one), Step::new(&two));
    first.subscribed();
    assert!(!one.is_subscribed());
    second.subscribed();
    assert!(one.is_subscribed());
    one.begin();
    assert!(sessions.join(Some("a")).is_none());
    drop((one, two, first, second));
    assert!(sessions.join(Some("a")).is_some_and(|session| !session.has_begun()));
}

#[test]
fn the_client_with_the_earliest_message_is_next() {
    let session = Rc::<Session>::default();
    let (one, two) = (Step::new(&session), Step::new(&session));
    let first = |step: &Step, next_ns| block_on(poll_once(step.wait_until_first(next_ns)));
    assert_eq!(first(&one, 5), None, "the other one's is not known");
    assert_eq!(first(&two, 7), None);
    assert_eq!(first(&one, 5), Some(7));
    assert_eq!(first(&one, 8), None);
    assert_eq!(first(&two, 7), Some(8));
    drop(two);
    assert_eq!(first(&one, 8), Some(u64::MAX));
}
