//! The whole engine in virtual time, from a seed, with faults of the venue and the host.
//!
//! Runs on:  one thread a seed. The control core, the shards, their rings, dials, sessions, decoder and books
//!           are the real ones; the venue is a model of its own.
//!
//! `SIMULATION_SEED` is the first seed, `SIMULATION_SEEDS` their number.
#![allow(clippy::unwrap_used)] // tests

mod captured;
mod fault;
mod frame;
mod images;
mod market;
mod numbered;
mod recorder;
mod venue;
mod wire;
mod world;

use fault::Fault;
use world::Stream;

/// Seeds of a short run: a minute of two cores in a debug build. The long runs have thousands.
const SHORT: u64 = 15;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn number(name: &str, absent: u64) -> u64 {
    std::env::var(name).ok().map_or(absent, |text| text.parse().expect("a number"))
}

/// Runs seeds one after the other and prints what was injected and seen.
fn run(first: u64, count: u64) {
    let (mut seen, mut checked) = (0, 0);
    let injected = frame::run(first, count, |world: &Stream| {
        seen += world.seen();
        checked += world.checked;
    });
    eprintln!("{seen} updates seen, {checked} live books checked");
    assert!(seen > 0 && checked > 0, "nothing happened");
    assert!(count < 40 || injected.contains_key(&Fault::Merge), "no connections were merged");
}

#[test]
fn simulation_short() {
    run(number("SIMULATION_SEED", 1), number("SIMULATION_SEEDS", SHORT));
}

/// Seeds that found a bug of the engine, or of this model: a hole behind a stalled connection (19), books taken along
/// by a replacement that was given up (63), a trade reported again (132), what a dead connection had received and gave
/// over half a minute (82676, 92082), a repetition that undid a later change and a snapshot from before (211, 436,
/// 16626), false differences (236, 359, 361), a REST book compared with half of a group (10733), changes that were in
/// one snapshot of a market and not in the other (15006), a book that was opened again because its connection was a
/// replacement that was given up (30237, 61044, 81386), a late answer that was taken because the host's clock was
/// behind what was known (30384), an answer to a question from before the connection was lost (105828), an old
/// connection that ended within a millisecond (104377).
#[test]
fn regression_seeds_pass() {
    [
        19, 63, 132, 211, 236, 359, 361, 436, 5080, 5124, 5139, 10468, 10733, 15006, 16626, 30237,
        30384, 61044, 81386, 82676, 92082, 105828, 104377,
    ]
    .into_iter()
    .for_each(|seed| run(seed, 1));
}

#[test]
#[ignore = "long: as many seeds as SIMULATION_SEEDS has"]
fn simulation_long() {
    run(number("SIMULATION_SEED", 1), number("SIMULATION_SEEDS", 10_000));
}
