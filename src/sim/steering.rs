//! What may be asked of the simulator itself under `/sim`: pause, faults, numbers.
//!
//! Runs on:  the venue's thread (pure).
use super::request::{Query, Request};

/// How many of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    All,
    Some(u64),
}

impl Amount {
    /// At most `available`.
    pub(super) fn of(self, available: usize) -> usize {
        match self {
            Self::All => available,
            Self::Some(count) => usize::try_from(count).unwrap_or(available).min(available),
        }
    }
}

/// An order to the simulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Pause,
    Resume,
    Stats,
    /// Ends connections without a word.
    Drop(Amount),
    /// Stops the data of connections.
    Freeze(Amount),
    /// Refuses upgrades with a status for some milliseconds.
    Refuse {
        status: u16,
        for_ms: u64,
    },
    Malformed(u64),
    Unknown(u64),
    Birth(u64),
    Resolve(u64),
    FinerTick(u64),
}

/// Most frames or markets of one order.
const COUNT_MAX: u64 = 10_000;

/// The order of a request under `/sim`, or what is wrong with it.
pub(super) fn parse(request: &Request) -> Result<Order, (u16, &'static str)> {
    let query = &request.query;
    if (request.method.as_str(), request.path.as_str()) == ("GET", "/sim/stats") {
        return Ok(Order::Stats);
    }
    let order = match request.path.as_str() {
        "/sim/pause" => Order::Pause,
        "/sim/resume" => Order::Resume,
        "/sim/drop" => Order::Drop(amount(query)?),
        "/sim/freeze" => Order::Freeze(amount(query)?),
        "/sim/refuse" => Order::Refuse {
            status: match query.first("status") {
                None | Some("503") => 503,
                Some("429") => 429,
                Some(_) => return Err((400, "status must be 503 or 429")),
            },
            for_ms: number(query, "ms", 1_000, 3_600_000)?,
        },
        "/sim/malformed" => Order::Malformed(number(query, "count", 1, COUNT_MAX)?),
        "/sim/unknown" => Order::Unknown(number(query, "count", 1, COUNT_MAX)?),
        "/sim/birth" => Order::Birth(number(query, "count", 1, COUNT_MAX)?),
        "/sim/resolve" => Order::Resolve(number(query, "count", 1, COUNT_MAX)?),
        "/sim/tick" => Order::FinerTick(number(query, "count", 1, COUNT_MAX)?),
        _ => return Err((404, "no such path")),
    };
    if request.method == "POST" { Ok(order) } else { Err((405, "use POST")) }
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
