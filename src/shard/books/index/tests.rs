//! Random operations compared with a map, and bytes of a table.
use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug)]
enum Step {
    Insert(u32, u32),
    /// What is taken out or changed is named by its number among those in it.
    Remove(u32),
    Replace(u32, u32),
}

fn step() -> impl Strategy<Value = Step> {
    // Few hashes, some at the very end: entries crowd and go around the end.
    let hash = prop_oneof![0u32..8, (u32::MAX - 8)..=u32::MAX, any::<u32>()];
    let place = 0u32..64;
    (hash, place.clone(), place, 0..8).prop_map(|(hash, place, other, kind)| match kind {
        0..5 => Step::Insert(hash, place),
        5..7 => Step::Remove(place),
        _ => Step::Replace(place, other),
    })
}

proptest! {
    #[test]
    fn it_holds_what_was_put_in_and_not_taken_out(
        steps in prop::collection::vec(step(), 1..400),
    ) {
        let mut index = Index::default();
        let mut model: BTreeSet<(u32, u32)> = BTreeSet::new();
        for step in steps {
            match step {
                Step::Insert(hash, place) if model.insert((hash, place)) => {
                    index.insert(hash, place);
                }
                Step::Insert(..) => {}
                Step::Remove(at) => {
                    if let Some(&(hash, place)) = model.iter().nth(at as usize) {
                        index.remove(hash, place);
                        model.remove(&(hash, place));
                    } else {
                        index.remove(7, 1_000);
                    }
                }
                Step::Replace(at, other) => {
                    let Some(&(hash, place)) = model.iter().nth(at as usize) else { continue };
                    if !model.contains(&(hash, other)) {
                        index.replace(hash, place, other);
                        model.remove(&(hash, place));
                        model.insert((hash, other));
                    }
                }
            }
            prop_assert_eq!(index.len, model.len());
            for &(hash, place) in &model {
                prop_assert_eq!(index.find(hash, |p| p == place), Some(place));
            }
            for hash in [0, 3, u32::MAX] {
                let mut seen = BTreeSet::new();
                index.find(hash, |p| { seen.insert((hash, p)); false });
                let expected: BTreeSet<_> =
                    model.iter().copied().filter(|&(h, _)| h == hash).collect();
                prop_assert_eq!(seen, expected);
            }
        }
    }
}

#[test]
fn it_grows_and_stays_within_its_bytes() {
    let mut index = Index::default();
    assert_eq!(index.find(5, |_| true), None);
    let hash = |i: u32| i.wrapping_mul(0x9E37_79B9);
    for i in 0..100_000 {
        index.insert(hash(i), i);
    }
    assert!((0..100_000).all(|i| index.find(hash(i), |p| p == i) == Some(i)));
    assert!(index.heap_bytes() <= 100_000 * 16 + 64, "{}", index.heap_bytes());
}
