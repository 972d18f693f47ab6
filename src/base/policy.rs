//! Choices of the user that reach the hot path.
//!
//! Runs on:  any (pure).

/// Which hashes are compared. One costs some microseconds of the shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashChecks {
    /// None.
    Off,
    /// One of [`HASH_SAMPLE`](super::limits::HASH_SAMPLE) groups of changes.
    #[default]
    Sampled,
    /// That of every group.
    All,
}
