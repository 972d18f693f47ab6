//! The flags of threads and cores.
//!
//! Runs on:  main thread.
use crate::base::policy::Idle;
use crate::io::driver::Driver;
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

/// Threads and cores.
#[derive(Args, Clone, Debug, Default)]
pub struct LayoutFlags {
    /// Core of the control thread (registry, discovery, dials). Default: not pinned, or the first
    /// core where there are enough.
    #[arg(long, value_name = "CORE")]
    pub control_core: Option<u32>,

    /// Shards and their cores.
    #[command(flatten)]
    pub shards: ShardFlags,

    /// Core of the serve thread (--serve). Default: that of the control thread.
    #[arg(long, value_name = "CORE")]
    pub serve_core: Option<u32>,

    /// What a shard does without work: park (sleep until woken), adaptive (poll while messages come
    /// often enough, otherwise sleep), adaptive:CPU% (the same within so much CPU time) or
    /// spin (poll; lowest delay, needs a core of its own). Default: park.
    #[arg(long, value_name = "POLICY", value_parser = idle)]
    pub idle: Option<Idle>,

    /// Readiness driver of the shards: epoll (an epoll set of the shard) or native (the runtime's
    /// reactor, slower; for comparison).
    #[arg(long, value_name = "DRIVER", default_value = "epoll")]
    pub driver: Driver,
}

/// Shards and their cores. A replay without them has one shard, on no core of its own.
#[derive(Args, Clone, Debug, Default)]
pub struct ShardFlags {
    /// Cores of the shards, one shard a core, as in 1-3,5. Default: all but the control core; `replay` pins
    /// nothing.
    #[arg(long, value_name = "CORES")]
    pub shard_cores: Option<String>,

    /// Number of shards, where --shard-cores does not say. More shards than cores share cores.
    #[arg(long, value_name = "COUNT")]
    pub shards: Option<u16>,
}

/// An idle policy.
fn idle(text: &str) -> Result<Idle, String> {
    Idle::parse(text)
        .ok_or_else(|| "use park, adaptive, adaptive:CPU% such as adaptive:50%, or spin".to_owned())
}

impl ValueEnum for Driver {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Epoll, Self::Native]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Epoll => "epoll",
            Self::Native => "native",
        }))
    }
}
