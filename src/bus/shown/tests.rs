//! Live slices to shown ones.
use super::*;

#[test]
fn a_slice_is_shown_when_what_was_published_before_is_acknowledged() {
    let mut shown = Shown::default();
    let set = |slices: &[u8]| slices.iter().copied().collect::<SliceSet>();
    let mut poll = |live: &[u8], is_sent: bool, is_acknowledged: bool, ms: u64| {
        let now = Now { mono_ns: ms * MILLISECOND_NS, ..Now::default() };
        let mark = shown.poll(set(live), Progress { is_sent, is_acknowledged }, now);
        (mark, shown.slices())
    };
    assert_eq!(poll(&[], true, true, 0), (false, set(&[])));
    assert_eq!(poll(&[7], true, true, 10), (false, set(&[])));
    assert_eq!(poll(&[7], true, true, 109), (false, set(&[])), "the serve core may have some");
    assert_eq!(poll(&[7], false, true, 110), (false, set(&[])), "the link has some");
    assert_eq!(poll(&[7], true, true, 111), (true, set(&[])));
    assert_eq!(poll(&[7, 8], true, false, 112), (false, set(&[])), "the producer has some");
    assert_eq!(poll(&[7, 8], false, true, 113), (false, set(&[7])), "8 came later");
    assert_eq!(poll(&[7, 8], true, true, 114), (false, set(&[7])));
    assert_eq!(poll(&[7, 8], true, true, 214), (true, set(&[7])));
    // One is not live any more: at once.
    assert_eq!(poll(&[8], true, false, 215), (false, set(&[])));
    assert_eq!(poll(&[8], true, true, 216), (false, set(&[8])));
}
