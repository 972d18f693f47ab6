//! Rates of the benchmark, and the verdict on each step.
//!
//! Runs on:  main thread (pure).
use crate::base::time::MILLISECOND_NS;
use serde::Serialize;

/// Most rates.
pub(super) const RUNGS_MAX: usize = 64;
const RATE_MAX: u64 = 1_000_000;
/// Share of the due changes that must be applied within the step.
const IN_TIME_SHARE: f64 = 0.99;
/// Longest p99 lateness of the venue.
pub(super) const VENUE_LATE_NS_MAX: u64 = 10 * MILLISECOND_NS;
/// Longest p99 latency of the engine after the venue has sent.
pub(super) const ENGINE_LATE_NS_MAX: u64 = 100 * MILLISECOND_NS;

/// The rule of [`verdict`] as text.
pub(super) const RULE: &str = "kept up: 99 % of a step's changes sent and applied within it, venue at \
     most 10 ms late at p99, engine at most 100 ms behind it at p99, nothing lost";

/// Rates of `--rates`, rising.
pub(super) fn parse_rates(text: &str) -> Result<Vec<u64>, String> {
    let rates =
        text.split(',').map(|rate| parse_rate(rate.trim())).collect::<Result<Vec<_>, _>>()?;
    if let Some(pair) = rates.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(format!("{} comes after {}; a ladder rises", pair[1], pair[0]));
    }
    if rates.len() > RUNGS_MAX {
        return Err(format!("{} rates; {RUNGS_MAX} are the most", rates.len()));
    }
    Ok(rates)
}

fn parse_rate(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1_000),
        Some(b'M') => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    let rate = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    let rate = rate.filter(|rate| (1..=RATE_MAX).contains(rate));
    rate.ok_or_else(|| format!("`{text}` is no rate; numbers from 1 to {RATE_MAX}, such as 10k"))
}

/// Figures of a step that decide its verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    /// Changes due within the step.
    pub intended: u64,
    /// Those offered to the sockets within the step.
    pub offered_in_time: u64,
    /// Messages sent, however late.
    pub sent: u64,
    /// Messages applied, however late.
    pub received: u64,
    /// Messages applied within the step.
    pub received_in_time: u64,
    /// Lateness of the venue, p99.
    pub venue_late_p99_ns: u64,
    /// Intended send time to applied, p99.
    pub latency_p99_ns: u64,
    /// Whether the venue ended the step because sockets stayed full.
    pub backlog: bool,
    /// Whether a signal ended the step.
    pub cut: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// Venue and engine kept up.
    KeptUp,
    /// The venue was late: no statement about the engine.
    VenueTooSlow,
    /// The engine was late.
    EngineTooSlow,
    /// Both were late, or they shared cores.
    BothTooSlow,
    /// Messages were lost: a connection ended, or a book was not followed.
    Lost,
    /// Ended by a signal.
    Cut,
}

impl Verdict {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::KeptUp => "kept up",
            Self::VenueTooSlow => "venue late",
            Self::EngineTooSlow => "engine saturated",
            Self::BothTooSlow => "saturated, venue late",
            Self::Lost => "messages lost",
            Self::Cut => "cut short",
        }
    }
}

/// The rule; see [`RULE`].
pub(super) fn verdict(evidence: &Evidence) -> Verdict {
    let Evidence { intended, offered_in_time, sent, received, received_in_time, .. } = *evidence;
    if evidence.cut {
        return Verdict::Cut;
    }
    let short = |part: u64, whole: u64| (part as f64) < IN_TIME_SHARE * whole as f64;
    let late_ns = evidence.venue_late_p99_ns;
    let behind_ns = evidence.latency_p99_ns.saturating_sub(late_ns);
    // Full sockets are the engine's fault: the venue had something to send.
    let venue =
        !evidence.backlog && (short(offered_in_time, intended) || late_ns > VENUE_LATE_NS_MAX);
    // What the venue sent too late to be in time is not the engine's fault.
    let due = sent as f64 * offered_in_time as f64 / intended.max(1) as f64;
    let engine = evidence.backlog
        || behind_ns > ENGINE_LATE_NS_MAX
        || (received_in_time as f64) < IN_TIME_SHARE * due.min(sent as f64);
    match (venue, engine) {
        (true, true) => Verdict::BothTooSlow,
        (true, false) => Verdict::VenueTooSlow,
        (false, true) => Verdict::EngineTooSlow,
        (false, false) if received < sent => Verdict::Lost,
        (false, false) => Verdict::KeptUp,
    }
}

#[cfg(test)]
mod tests;
