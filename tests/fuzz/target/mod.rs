//! The targets.
//!
//! Each reads one input, holds what it finds against a second opinion, and gives a number for what the
//! input did. It panics when the two differ.

mod books;
mod catalog;
mod decode;
mod exchange;
mod frames;
pub(crate) mod gateway_kalshi;
mod gateway_polymarket;
mod kalshi;
mod messages;
mod replay;
mod request;
mod upgrade;

use std::hash::{DefaultHasher, Hash, Hasher};

/// Something that reads bytes from outside.
pub(crate) struct Target {
    /// Its name, as in `cargo test --test fuzz NAME`.
    pub(crate) name: &'static str,
    /// Reads one input; what it did, as a number.
    pub(crate) run: fn(&[u8]) -> u64,
    /// Inputs to begin with.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Fragments of such inputs, as a libFuzzer dictionary.
    pub(crate) dictionary: &'static [&'static str],
}

/// All targets.
pub(crate) const TARGETS: &[Target] = &[
    frames::TARGET,
    upgrade::TARGET,
    decode::TARGET,
    catalog::TARGET,
    exchange::TARGET,
    request::TARGET,
    replay::TARGET,
    books::TARGET,
    kalshi::TARGET,
    gateway_kalshi::TARGET,
    gateway_polymarket::TARGET,
];

/// The target of that name.
pub(crate) fn named(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).expect("a target of that name")
}

/// One number for what an input did.
fn behaviour(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// The order of magnitude of a count: enough to distinguish what an input did.
fn magnitude(count: usize) -> u32 {
    usize::BITS - count.leading_zeros()
}

/// An input's first byte decides how the rest is cut into pieces.
fn pieces(input: &[u8]) -> (u8, Vec<&[u8]>) {
    let Some((&plan, bytes)) = input.split_first() else { return (0, Vec::new()) };
    let size = match plan {
        0 => bytes.len().max(1),
        1..128 => usize::from(plan),
        _ => (usize::from(plan) - 127) * 97,
    };
    // A reader that begins anew at every piece would take the day over thousands of them.
    (plan, bytes.chunks(size.max(bytes.len() / 256)).collect())
}
