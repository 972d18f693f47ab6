//! What may go wrong at the venue that numbers its messages, how often, and how often it did.
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
    /// A connection pings and answers pings, and sends nothing else.
    Freeze,
    /// A connection's bytes are held back for some time, then all of them come.
    Stall,
    /// One market's changes are left out on a connection, and take no number.
    Silent,
    /// A message took its number and is not sent.
    Lost,
    /// A message is sent twice.
    Doubled,
    /// Two messages are swapped.
    Reordered,
    /// A frame that is no message, in the place of one or by itself.
    Garbage,
    /// A change whose price cannot be read.
    Malformed,
    /// A snapshot that was asked for is not sent, and takes no number.
    LostSnapshot,
    /// A command is carried out and not answered.
    LostAck,
    /// A command is carried out and answered seconds later.
    LateAck,
    /// A command is not received.
    LostCommand,
    /// A command is carried out behind later ones.
    Overtaken,
    /// Error 27 or 18: to be repeated later.
    Busy,
    /// Error 10: the subscription is over.
    Ended,
    /// Error 25: the subscription is over because it was not read.
    Overflow,
    /// Error 16: commands do not know a market yet that is listed.
    Unknown,
    /// Error 26: the subscription holds as many markets as it may.
    Full,
    /// Upgrades are answered with 429.
    TooMany,
    /// Upgrades are answered with 503.
    Unavailable,
    /// Upgrades are answered with 401.
    Unauthorized,
    /// Connections are refused.
    Refused,
    /// One connection of a pair cannot be had.
    HalfPair,
    /// A third of the connections for books end at once and cannot be had.
    ThirdDead,
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
    /// Markets are born.
    Births,
    /// Markets are decided.
    Deaths,
    /// A market ends by the clock.
    Closed,
    /// A market begins by the clock.
    Opened,
    /// A market pauses, resumes, or gets another end.
    Lifecycle,
}

use Fault as F;

/// Every fault with its rate per chance in 100,000 where it is switched on.
const RATES: [(Fault, u64); 34] = [
    (F::Cut, 15_000),
    (F::Drop, 200),
    (F::HalfOpen, 60),
    (F::Freeze, 60),
    (F::Stall, 150),
    (F::Lost, 150),
    (F::Doubled, 1_000),
    (F::Reordered, 300),
    (F::Garbage, 100),
    (F::Malformed, 200),
    (F::LostSnapshot, 5_000),
    (F::LostAck, 5_000),
    (F::LateAck, 5_000),
    (F::LostCommand, 5_000),
    (F::Overtaken, 20_000),
    (F::Busy, 10_000),
    (F::Ended, 60),
    (F::Overflow, 60),
    (F::TooMany, 100),
    (F::Unavailable, 100),
    (F::Unauthorized, 60),
    (F::Refused, 100),
    (F::HalfPair, 150),
    (F::ThirdDead, 80),
    (F::CatalogDown, 30_000),
    (F::CatalogSlow, 50_000),
    (F::BooksDown, 20_000),
    (F::StaleBook, 10_000),
    (F::ClockStep, 100),
    (F::ControlPause, 200),
    (F::ShardPause, 300),
    (F::Births, 300),
    (F::Deaths, 150),
    (F::Lifecycle, 300),
];
/// What no number shows: rare, because then books may be wrong for a while.
const SILENT: (Fault, u64) = (F::Silent, 100);
/// Of so many markets.
const UNKNOWN: (Fault, u64) = (F::Unknown, 30_000);

pub(crate) type Faults = crate::frame::Faults<Fault>;

/// A choice of faults: of each seed's run some are on; of one in sixteen none but births and deaths. `other` has the
/// draws of what was added later, so that a seed stays what it was where that is off.
pub(crate) fn choose(random: &mut Random, other: &mut Random) -> Faults {
    let mut rates = BTreeMap::new();
    let calm = random.chance(1, 16);
    for (fault, rate) in RATES {
        let life = matches!(fault, F::Births | F::Deaths | F::Lifecycle);
        let on = if calm { life } else { random.chance(2, 5) };
        if on {
            rates.insert(fault, rate);
        }
    }
    if !calm && random.chance(1, 8) {
        rates.insert(SILENT.0, SILENT.1);
    }
    if !calm && other.chance(1, 4) {
        rates.insert(UNKNOWN.0, UNKNOWN.1);
    }
    Faults::new(rates)
}
