//! Sets of slices, and markets spread over them.
use super::*;

#[test]
fn a_set_has_what_was_added() {
    let slices: SliceSet = [0, 63, 64, 255].into_iter().collect();
    assert_eq!(slices.iter().collect::<Vec<_>>(), [0, 63, 64, 255]);
    let mut less = slices;
    less.set(64, false);
    assert_eq!((less.len(), slices.without(&less).iter().next()), (3, Some(64)));
    assert_eq!(slices.and(&less), less);
    let shared = SharedSlices::default();
    assert!(shared.get().is_empty());
    shared.set(SliceSet::ALL);
    assert_eq!((shared.get(), shared.get().len()), (SliceSet::ALL, SLICES));
}

#[test]
fn markets_are_spread_over_slices_and_over_the_shards_within_one() {
    let mut counts = [0u32; SLICES];
    let mut of_slice_7 = [0u32; 2];
    for market in 0..100_000u32 {
        let id = format!("0x{market:064x}");
        let slice = slice_of(id.as_bytes());
        counts[usize::from(slice)] += 1;
        if slice == 7 {
            of_slice_7[usize::from(routing::shard_of(id.as_bytes(), 2).0)] += 1;
        }
    }
    // 390 each on average.
    assert!(counts.iter().all(|count| (290..500).contains(count)), "{counts:?}");
    assert!(of_slice_7.iter().all(|&count| count > 120), "{of_slice_7:?}");
}
