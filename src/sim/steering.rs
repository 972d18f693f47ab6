//! Parser for control requests under `/sim`: pause, faults, counters.
//!
//! Runs on:  the venue's thread (pure).
use super::request::{Query, Request};
use super::stream_fault::{KINDS, Kind};

/// A number of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    All,
    Some(u64),
}

impl Amount {
    pub(super) fn of(self, available: usize) -> usize {
        match self {
            Self::All => available,
            Self::Some(count) => usize::try_from(count).unwrap_or(available).min(available),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ControlRequest {
    Pause,
    Resume,
    Stats,
    /// Closes sockets without a close frame.
    Drop(Amount),
    /// Stops data on connections; pings are answered.
    Freeze(Amount),
    /// Stops data of this many markets, each on one connection.
    FreezeMarkets(u64),
    /// Answers upgrades with `status` for `for_ms`, and the `next` whenever they come.
    Refuse {
        status: u16,
        for_ms: u64,
        next: u64,
    },
    /// Affects `rate` of 100,000 frames for `for_ms`.
    Fault {
        kind: Kind,
        rate: u64,
        for_ms: u64,
    },
    /// The venue's thread sleeps, like a stopped process.
    Stall {
        for_ms: u64,
    },
    /// REST answers are delayed by `by_ms` for `for_ms`.
    Slow {
        by_ms: u64,
        for_ms: u64,
    },
    /// Sets the venue's wall clock forward permanently.
    Clock {
        by_ms: u64,
    },
    /// Requests for books are answered with the first answer again, for `for_ms`.
    OldBooks {
        for_ms: u64,
    },
    /// Requests for books are answered with `status` for `for_ms`.
    RefuseBooks {
        status: u16,
        for_ms: u64,
    },
    Malformed(u64),
    Unknown(u64),
    Birth(u64),
    Resolve(u64),
    FinerTick(u64),
}

/// Most frames or markets of one request.
const COUNT_MAX: u64 = 10_000;

pub(super) fn parse(request: &Request) -> Result<ControlRequest, (u16, &'static str)> {
    let query = &request.query;
    if (request.method.as_str(), request.path.as_str()) == ("GET", "/sim/stats") {
        return Ok(ControlRequest::Stats);
    }
    let control = match request.path.as_str() {
        "/sim/pause" => ControlRequest::Pause,
        "/sim/resume" => ControlRequest::Resume,
        "/sim/drop" => ControlRequest::Drop(amount(query)?),
        "/sim/freeze" if query.first("markets").is_some() => {
            ControlRequest::FreezeMarkets(number(query, "markets", 1, COUNT_MAX)?)
        }
        "/sim/freeze" => ControlRequest::Freeze(amount(query)?),
        "/sim/refuse" => ControlRequest::Refuse {
            status: status(query)?,
            for_ms: duration(query)?,
            next: number(query, "next", 0, COUNT_MAX)?,
        },
        "/sim/fault" => fault(query)?,
        "/sim/malformed" => ControlRequest::Malformed(number(query, "count", 1, COUNT_MAX)?),
        "/sim/unknown" => ControlRequest::Unknown(number(query, "count", 1, COUNT_MAX)?),
        "/sim/birth" => ControlRequest::Birth(number(query, "count", 1, COUNT_MAX)?),
        "/sim/resolve" => ControlRequest::Resolve(number(query, "count", 1, COUNT_MAX)?),
        "/sim/tick" => ControlRequest::FinerTick(number(query, "count", 1, COUNT_MAX)?),
        _ => return Err((404, "no such path")),
    };
    if request.method == "POST" { Ok(control) } else { Err((405, "use POST")) }
}

/// `/sim/fault`: `kind` is one of [`KINDS`], `stall`, `slow`, `clock`, `old-books` or `books`.
fn fault(query: &Query) -> Result<ControlRequest, (u16, &'static str)> {
    let for_ms = duration(query)?;
    match query.first("kind") {
        Some("stall") => Ok(ControlRequest::Stall { for_ms: for_ms.min(STALL_MS_MAX) }),
        Some("slow") => {
            Ok(ControlRequest::Slow { by_ms: number(query, "by", 2_000, STALL_MS_MAX)?, for_ms })
        }
        Some("clock") => {
            Ok(ControlRequest::Clock { by_ms: number(query, "by", 2_000, STALL_MS_MAX)? })
        }
        Some("old-books") => Ok(ControlRequest::OldBooks { for_ms }),
        Some("books") => Ok(ControlRequest::RefuseBooks { status: status(query)?, for_ms }),
        Some(name) => {
            let known = KINDS.iter().find(|(known, _)| *known == name);
            let &(_, kind) = known.ok_or((400, KINDS_HELP))?;
            Ok(ControlRequest::Fault { kind, rate: number(query, "rate", 100, 100_000)?, for_ms })
        }
        None => Err((400, KINDS_HELP)),
    }
}

const STALL_MS_MAX: u64 = 60_000;
const KINDS_HELP: &str = "kind must be lost, doubled, late, reordered, cut, half-open, stall, slow, clock, old-books or books";

fn status(query: &Query) -> Result<u16, (u16, &'static str)> {
    match query.first("status") {
        None | Some("503") => Ok(503),
        Some("429") => Ok(429),
        Some(_) => Err((400, "status must be 503 or 429")),
    }
}

fn duration(query: &Query) -> Result<u64, (u16, &'static str)> {
    number(query, "ms", 1_000, 3_600_000)
}

fn amount(query: &Query) -> Result<Amount, (u16, &'static str)> {
    match query.first("connections") {
        None => Ok(Amount::Some(1)),
        Some("all") => Ok(Amount::All),
        Some(_) => Ok(Amount::Some(number(query, "connections", 1, COUNT_MAX)?)),
    }
}

fn number(query: &Query, name: &str, absent: u64, most: u64) -> Result<u64, (u16, &'static str)> {
    let Some(text) = query.first(name) else { return Ok(absent) };
    let number = text.parse::<u64>().ok().filter(|&number| number <= most);
    number.ok_or((400, "a number is malformed or too large"))
}
