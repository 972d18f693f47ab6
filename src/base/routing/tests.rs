//! Placement of random markets on one shard more, and on any number.
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
