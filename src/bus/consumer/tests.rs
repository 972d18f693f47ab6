//! Which records are taken after the broker was away.
use super::*;

const KEY: (Topic, i32) = (Topic::Trades, 3);

type Known = HashMap<(Topic, i32), Last, FixedState>;

fn on(known: &mut Known, offset: i64, time_ms: i64) -> IsNext {
    is_next(known.entry(KEY), offset, (Timestamp::CreateTime(time_ms), 10))
}

fn set(known: &mut Known, reading: Reading) {
    known.get_mut(&KEY).unwrap().reading = reading;
}

#[test]
fn the_same_partition_goes_on_behind_the_last_record() {
    let mut known = Known::default();
    assert_eq!(on(&mut known, 7, 1), IsNext::Yes);
    set(&mut known, Reading::Held);
    assert_eq!(on(&mut known, 8, 2), IsNext::No, "it will be read again");
    set(&mut known, Reading::Again);
    assert_eq!(on(&mut known, 7, 1), IsNext::No, "it was read before");
    assert_eq!(on(&mut known, 8, 2), IsNext::Yes);
}

#[test]
fn another_partition_is_not_read_on() {
    let mut known = Known::default();
    on(&mut known, 7, 1);
    set(&mut known, Reading::Again);
    assert_eq!(on(&mut known, 7, 5), IsNext::Other);
    assert_eq!(on(&mut known, 8, 6), IsNext::No);
    known.remove(&KEY);
    assert_eq!(on(&mut known, 0, 4), IsNext::Yes);
}

#[test]
fn a_last_record_that_was_deleted_says_nothing() {
    let mut known = Known::default();
    on(&mut known, 7, 1);
    set(&mut known, Reading::Again);
    assert_eq!(on(&mut known, 9, 5), IsNext::Yes);
}
