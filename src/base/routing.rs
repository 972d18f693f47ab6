//! Assignment of markets to shards by a consistent hash of the market id.
//!
//! Runs on:  any (pure).
//!
//! Both outcomes of a market are on one shard, and an additional shard moves about one market in n. The hash is not
//! seeded, so that all runs place alike.
use super::{id::ShardId, random::mix};

/// The shard, among `shards` (at least one), of the market with this venue id.
#[must_use]
pub fn shard_of(market: &[u8], shards: u16) -> ShardId {
    ShardId(jump(fingerprint(market), shards.max(1)))
}

/// FNV-1a and a mixing step: short, well distributed, platform-independent.
fn fingerprint(bytes: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for &byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    mix(hash)
}

/// Jump consistent hash (Lamping and Veach 2014): minimal moves, no table.
fn jump(mut key: u64, buckets: u16) -> u16 {
    let (mut bucket, mut next) = (-1i64, 0i64);
    while next < i64::from(buckets) {
        bucket = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        next = ((bucket + 1) as f64 * ((1u64 << 31) as f64 / ((key >> 33) + 1) as f64)) as i64;
    }
    bucket as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn adding_a_shard_moves_about_one_market_in_n(shards in 1u16..32, seed in any::<u64>()) {
            let markets: Vec<String> =
                (0..4000u64).map(|i| format!("0x{:064x}", mix(seed ^ i))).collect();
            let mut moved = 0usize;
            let mut load = vec![0usize; usize::from(shards) + 1];
            for market in &markets {
                let before = shard_of(market.as_bytes(), shards);
                let after = shard_of(market.as_bytes(), shards + 1);
                load[usize::from(after.0)] += 1;
                if before != after {
                    // Markets move only to the new shard.
                    prop_assert_eq!(after, ShardId(shards));
                    moved += 1;
                }
            }
            let fair = markets.len() / (usize::from(shards) + 1);
            prop_assert!(moved > fair / 2 && moved < fair * 2, "{} moved, fair is {}", moved, fair);
            prop_assert!(load.iter().all(|&n| n > fair / 2 && n < fair * 2), "{:?}", load);
        }
    }

    #[test]
    fn placement_is_stable_between_runs() {
        let market = b"0x78443f961b9a65869dcb39359de9960165c7e5cbad0904eac7f29cd77872a63b";
        assert_eq!(shard_of(market, 1), ShardId(0));
        assert_eq!(shard_of(market, 7), shard_of(market, 7));
    }
}
