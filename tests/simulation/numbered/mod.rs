//! The venue that numbers and signs: a fixed table of connections, relative changes, commands and answers.
//!
//! Runs on:  the simulation's thread.
mod checks;
mod commands;
mod fault;
mod line;
mod market;
mod reading;
mod rest;
mod rig;
mod venue;
mod world;

use crate::number;
use fault::Fault;
use std::collections::BTreeMap;
use world::{Seen, World};

/// Runs seeds one after the other and says what was injected and seen.
fn run(first: u64, count: u64) {
    let _ = env_logger::builder().is_test(true).format_timestamp(None).try_init();
    let mut injected: BTreeMap<Fault, u64> = BTreeMap::new();
    let mut all = Seen::default();
    for seed in first..first + count {
        let mut world = World::new(seed);
        match world.run() {
            Ok(faults) => {
                faults.into_iter().for_each(|(f, n)| *injected.entry(f).or_default() += n)
            }
            Err(breach) => panic!("{breach}"),
        }
        let seen = world.seen;
        all = Seen {
            updates: all.updates + seen.updates,
            checked: all.checked + seen.checked,
            wronged: all.wronged + seen.wronged,
            trades: all.trades + seen.trades,
            trades_unheard: all.trades_unheard + seen.trades_unheard,
            trades_bookless: all.trades_bookless + seen.trades_bookless,
            holes: all.holes + seen.holes,
            tops: all.tops + seen.tops,
            audits: all.audits + seen.audits,
            settled_ns: all.settled_ns.max(seen.settled_ns),
        };
    }
    eprintln!("{count} seeds from {first}: {all:?}");
    for (fault, count) in &injected {
        eprintln!("{:>9} {fault:?}", count);
    }
    assert!(all.updates > 0 && all.checked > 0 && all.trades > 0, "nothing happened");
    assert!(all.tops > 0 && all.audits > 0, "nothing was compared");
    assert!(all.trades_bookless < all.trades, "most trades had no book");
}

#[test]
fn numbered_short() {
    run(number("SIMULATION_SEED", 1), number("SIMULATION_SEEDS", 40));
}

/// Seeds that found a bug of the engine: best prices that seemed to disprove a right book (2), a book that was live
/// without being subscribed (22), the end of a subscription that was taken for another's (207, 482), a market added
/// again to the connection that it had left (1075), a second subscription whose acknowledgement was lost (60093), a
/// ticker of a state within its millisecond that seemed to disprove a right book (60099).
#[test]
fn numbered_seeds_that_found_something() {
    [2, 22, 207, 482, 1075, 60093, 60099].into_iter().for_each(|seed| run(seed, 1));
}

#[test]
#[ignore = "long: as many seeds as SIMULATION_SEEDS says"]
fn numbered_long() {
    run(number("SIMULATION_SEED", 1), number("SIMULATION_SEEDS", 10_000));
}
