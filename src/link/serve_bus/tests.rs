//! Chunks of repeated and of all books.
use super::*;

#[test]
fn chunks_go_round_and_too_many_repeats_are_all() {
    let feed = BusFeed { buffer_bytes: 1, snapshot_ns: 1, tops_ns: 0 };
    let (mut sender, mut receiver) = link(feed, Arc::default(), TaskWaker::default());
    for place in 0..BUS_CHUNKS {
        let mut chunk = sender.chunk().unwrap();
        chunk.extend(std::iter::repeat_n(0, place));
        sender.send(chunk);
    }
    assert_eq!(sender.chunk(), None);
    for _ in 0..3 {
        let chunk = receiver.try_receive().unwrap();
        receiver.give_back(chunk);
    }
    let lengths: Vec<usize> = std::iter::from_fn(|| sender.take_back()).collect();
    assert_eq!((lengths, sender.chunk()), (vec![0, 1, 2], Some(Vec::new())));
    let token = TokenId::new("7").unwrap();
    for _ in 0..=BUS_REPEATS_DEPTH {
        receiver.repeat(Repeat::Book(token));
    }
    let first = std::iter::from_fn(|| sender.poll_repeat()).take(BUS_REPEATS_DEPTH).last();
    assert_eq!(first, Some(Repeat::Book(token)));
    receiver.retry();
    receiver.retry();
    assert_eq!((sender.poll_repeat(), sender.poll_repeat()), (Some(Repeat::All), None));
}
