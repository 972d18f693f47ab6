//! The hub with a hand-fed shard.
