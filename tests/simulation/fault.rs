//! What may go wrong, how often, and how often it did.
//!
//! Runs on:  the simulation's thread.
use ringbook::base::random::Random;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// A new connection ends after some thousand bytes, be they of the handshake.
    Cut,
    /// A connection ends after some hundred bytes.
    Drop,
    /// A connection sends nothing and receives nothing, and never ends.
    HalfOpen,
    /// A connection answers pings and sends nothing else.
    Freeze,
    /// One market's messages stop on a connection.
    FreezeMarket,
    /// A message is not sent to one connection.
    Lost,
    /// A message is sent twice.
    Doubled,
    /// Two messages of different markets are swapped.
    Reordered,
    /// A book is left out of a dump.
    LostSnapshot,
    /// A frame that is no message.
    Garbage,
    /// Upgrades are answered with 429.
    TooMany,
    /// Upgrades are answered with 503.
    Unavailable,
    /// Connections are refused.
    Refused,
    /// The catalog does not answer, or with an error.
    CatalogDown,
    /// The catalog answers late.
    CatalogSlow,
    /// A request for books is not answered.
    BooksDown,
    /// The REST interface reports an old book.
    StaleBook,
    /// The host's wall clock is set.
    ClockStep,
    /// The control core does not run for a while: rings fill.
    ControlPause,
    /// A shard does not run for a while.
    ShardPause,
    /// A connection is replaced by order.
    Recycle,
    /// A connection has taken over from several at once. Not chosen: it happens where small ones are merged.
    Merge,
    /// Many markets are born.
    Births,
    /// Many markets end.
    Deaths,
    /// Most markets end at once. Not chosen: it comes once in a run where small connections are merged.
    MassDeaths,
}

use Fault::{
    Births, BooksDown, CatalogDown, CatalogSlow, ClockStep, ControlPause, Cut, Deaths, Doubled,
    Drop, Freeze, FreezeMarket, Garbage, HalfOpen, Lost, LostSnapshot, Recycle, Refused, Reordered,
    ShardPause, StaleBook, TooMany, Unavailable,
};

/// Every fault with its rate per chance in 100,000 where it is switched on.
const RATES: [(Fault, u64); 23] = [
    (Cut, 20_000),
    (Drop, 200),
    (HalfOpen, 60),
    (Freeze, 60),
    (FreezeMarket, 100),
    (Lost, 300),
    (Doubled, 1_000),
    (Reordered, 2_000),
    (LostSnapshot, 10_000),
    (Garbage, 300),
    (TooMany, 100),
    (Unavailable, 100),
    (Refused, 100),
    (CatalogDown, 30_000),
    (CatalogSlow, 50_000),
    (BooksDown, 20_000),
    (StaleBook, 10_000),
    (ClockStep, 100),
    (ControlPause, 200),
    (ShardPause, 300),
    (Recycle, 1_500),
    (Births, 60),
    (Deaths, 100),
];

pub(crate) type Faults = crate::frame::Faults<Fault>;

/// A choice of faults: of each seed's run some are on.
pub(crate) fn choose(random: &mut Random) -> Faults {
    let mut rates = BTreeMap::new();
    // One run in eight has recycles and delays only: then nothing at all may be lost.
    let calm = random.chance(1, 8);
    for (fault, rate) in RATES {
        let on = if calm { matches!(fault, Recycle | Reordered) } else { random.chance(2, 5) };
        if on {
            rates.insert(fault, rate);
        }
    }
    Faults::new(rates)
}

/// No message can be lost, malformed or duplicated in this run.
pub(crate) fn is_lossless(faults: &Faults) -> bool {
    faults.are_within(&[Recycle, Reordered, CatalogSlow, CatalogDown, StaleBook, BooksDown, Births])
}
