//! Full rings, waits, and messages between threads.
use super::*;

#[test]
fn a_full_ring_gives_the_message_back_and_counts_it() {
    let (mut producer, mut consumer) = ring(2);
    let gauge = producer.gauge();
    assert_eq!(producer.try_send(1), Ok(()));
    assert_eq!(producer.try_send(2), Ok(()));
    assert_eq!(producer.try_send(3), Err(3));
    assert_eq!((gauge.sent(), gauge.refused(), gauge.depth(), gauge.capacity()), (2, 1, 2, 2));
    assert_eq!(consumer.try_receive(), Some(1));
    assert_eq!(consumer.try_receive(), Some(2));
    assert_eq!(consumer.try_receive(), None);
    assert!(consumer.is_empty() && !consumer.is_ended());
    producer.try_send(4).unwrap();
    drop(producer);
    assert!(!consumer.is_ended());
    assert_eq!(consumer.try_receive(), Some(4));
    assert!(consumer.is_ended());
}

#[test]
fn waits_are_measured_by_a_clock_or_by_the_consumer() {
    use std::sync::atomic::AtomicU64;
    static NOW: AtomicU64 = AtomicU64::new(0);
    let (mut producer, mut consumer) = timed(4, || NOW.load(Ordering::Relaxed));
    let gauge = producer.gauge();
    assert_eq!(gauge.waits(), [0, 0]);
    for (sent, received) in [(100, 110), (200, 250)] {
        NOW.store(sent, Ordering::Relaxed);
        producer.try_send(1).unwrap();
        NOW.store(received, Ordering::Relaxed);
        assert_eq!(consumer.try_receive(), Some(1));
    }
    assert_eq!(gauge.waits(), [30, 50]);
    let (mut producer, mut consumer) = ring(4);
    producer.try_send(1).unwrap();
    assert_eq!(consumer.try_receive(), Some(1));
    assert_eq!(producer.gauge().waits(), [0, 0], "nobody knows");
    consumer.note_wait(7);
    assert_eq!(producer.gauge().waits(), [7, 7]);
}

#[test]
fn messages_cross_threads_in_order_and_none_is_lost() {
    let (mut producer, mut consumer) = ring(64);
    let sender = std::thread::spawn(move || {
        for i in 0..100_000u32 {
            let mut message = i;
            while let Err(back) = producer.try_send(message) {
                message = back;
                std::thread::yield_now();
            }
        }
    });
    let mut expected = 0;
    while expected < 100_000 {
        match consumer.try_receive() {
            Some(message) => {
                assert_eq!(message, expected);
                expected += 1;
            }
            None => std::thread::yield_now(),
        }
    }
    sender.join().unwrap();
}
