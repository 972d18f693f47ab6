//! Assignment of markets to shards by a consistent hash of the market id.
//!
//! Runs on:  any (pure).
//!
//! Both outcomes of a market are on one shard, and an additional shard moves about one market in n. The hash is not
//! seeded, so that all runs place alike.
use super::{id::ShardId, random::mix};

/// The shard, among `shards` (at least one), of the market with this venue id.
pub fn shard_of(market: &[u8], shards: u16) -> ShardId {
    ShardId(jump(fingerprint(market), shards.max(1)))
}

/// FNV-1a and a mixing step: short, well distributed, platform-independent.
pub(super) fn fingerprint(bytes: &[u8]) -> u64 {
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
mod tests;
