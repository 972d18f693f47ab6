//! Bounds of bytes and of time.
use super::*;

const MAX: usize = 100;

fn bytes(count: usize) -> Rc<[u8]> {
    vec![b'x'; count].into()
}

fn drain(outbox: &mut Outbox, now_ns: u64) -> usize {
    let mut taken = Vec::new();
    outbox.take(&mut taken, usize::MAX);
    outbox.on_sent(taken.len(), now_ns, |_| ());
    taken.len()
}

#[test]
fn a_book_is_conflated_above_half_and_its_image_is_due_below_a_quarter() {
    let mut outbox = Outbox::new(MAX);
    let [one, two] = [1, 2].map(SubscriptionKey);
    assert_eq!(
        outbox.push(bytes(51), FrameClass::Change(one), 0, 0),
        Pushed::Queued,
        "nothing is queued yet"
    );
    assert_eq!(outbox.push(bytes(5), FrameClass::Change(one), 0, 0), Pushed::Marked);
    assert_eq!(outbox.push(bytes(5), FrameClass::Other, 0, 0), Pushed::Queued, "never left out");
    assert_eq!(outbox.push(bytes(5), FrameClass::Image(two), 0, 0), Pushed::Marked);
    assert_eq!(outbox.take_marked(), None);
    let mut taken = Vec::new();
    outbox.take(&mut taken, 1);
    assert_eq!((taken.len(), outbox.bytes()), (51, 56), "taken and not sent");
    outbox.on_sent(51, 1, |_| ());
    assert_eq!(outbox.bytes(), 5);
    let result = outbox.push(bytes(5), FrameClass::Change(one), 1, 0);
    assert_eq!(result, Pushed::LeftOut, "its image comes first");
    assert_eq!(outbox.push(bytes(5), FrameClass::State(one), 1, 0), Pushed::LeftOut);
    assert_eq!(outbox.push(bytes(0), FrameClass::State(SubscriptionKey(3)), 1, 0), Pushed::Queued);
    assert_eq!(outbox.take_marked(), Some(MarkedBook { key: one, gap: true }));
    assert_eq!(outbox.push_marked(bytes(30), 1), Pushed::Queued);
    assert!(!outbox.is_marked(one));
    assert_eq!(outbox.take_marked(), None, "above a quarter again");
    assert_eq!(outbox.push(bytes(1), FrameClass::Change(one), 1, 0), Pushed::Queued);
    assert_eq!(drain(&mut outbox, 2), 36);
    assert_eq!(outbox.take_marked(), Some(MarkedBook { key: two, gap: false }));
    assert_eq!((outbox.take_marked(), outbox.is_empty()), (None, true));
    assert_eq!(outbox.counts(), OutboxCounts { queued: 5, conflated: 4, dropped: 0 });
    outbox.mark(one, false);
    outbox.mark(one, true);
    outbox.mark(two, false);
    outbox.unmark(one);
    outbox.unmark(one);
    assert_eq!(outbox.take_marked(), Some(MarkedBook { key: two, gap: false }));
    assert_eq!(outbox.take_marked(), None);
}

#[test]
fn a_full_outbox_and_a_client_that_takes_nothing_are_an_overflow() {
    let mut outbox = Outbox::new(MAX);
    assert_eq!(outbox.push(bytes(60), FrameClass::Other, 7, 0), Pushed::Queued);
    assert_eq!(outbox.push(bytes(40), FrameClass::Other, 8, 0), Pushed::Queued);
    assert_eq!(outbox.overflow(7 + GATEWAY_STALL_NS - 1), None);
    assert_eq!(outbox.overflow(7 + GATEWAY_STALL_NS), Some(Overflow::Stalled));
    outbox.on_sent(1, 100, |_| ());
    assert_eq!(outbox.overflow(7 + GATEWAY_STALL_NS), None, "a byte is progress");
    assert_eq!(outbox.push(bytes(2), FrameClass::Other, 100, 0), Pushed::Lost);
    assert_eq!(outbox.overflow(100), Some(Overflow::Full));
    drain(&mut outbox, 101);
    assert_eq!(outbox.overflow(101), Some(Overflow::Full), "a frame is lost: for ever");
    assert_eq!(outbox.counts().dropped, 1);
    let mut outbox = Outbox::new(MAX);
    assert_eq!(outbox.push(bytes(60), FrameClass::Other, 0, 0), Pushed::Queued);
    drain(&mut outbox, 1);
    assert_eq!(outbox.overflow(u64::MAX), None, "nothing waits");
}

#[test]
fn an_outbox_that_drops_goes_on() {
    let mut outbox = Outbox::new(MAX).dropping();
    assert_eq!(outbox.push(bytes(80), FrameClass::Other, 0, 0), Pushed::Queued);
    assert_eq!(outbox.push(bytes(30), FrameClass::Other, 0, 0), Pushed::Lost);
    assert_eq!(outbox.overflow(u64::MAX), None);
    drain(&mut outbox, 1);
    assert_eq!(outbox.push(bytes(30), FrameClass::Other, 1, 0), Pushed::Queued);
    assert_eq!((outbox.counts().dropped, outbox.overflow(u64::MAX)), (1, None));
}

#[test]
fn read_times_come_back_when_all_taken_bytes_are_sent() {
    let mut outbox = Outbox::new(MAX);
    for (read_wall_ns, size) in [(7, 4), (0, 5), (9, 6)] {
        outbox.push(bytes(size), FrameClass::Other, 1, read_wall_ns);
    }
    let (mut into, mut written) = (Vec::new(), Vec::new());
    outbox.take(&mut into, 5);
    assert_eq!(into.len(), 9);
    outbox.on_sent(8, 2, |read_wall_ns| written.push(read_wall_ns));
    assert!(written.is_empty(), "a byte of them is left");
    outbox.on_sent(1, 3, |read_wall_ns| written.push(read_wall_ns));
    assert_eq!(written, [7], "no read has caused the second");
    outbox.take(&mut into, 100);
    outbox.on_sent(6, 4, |read_wall_ns| written.push(read_wall_ns));
    assert_eq!(written, [7, 9]);
}
