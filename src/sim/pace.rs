//! A flow at scheduled times, for measurements: each message carries its intended send time.
//!
//! Runs on:  the venue's thread; the clock is the reader's.
//!
//! Open loop: the time of a beat does not depend on the duration of earlier beats. A venue that
//! falls behind sends late, and the stamps show it (no coordinated omission).
use super::book::Outcome;
use super::connections::Connections;
use super::exchange::Exchange;
use super::summary::{HASH_BYTES, Hash};
use crate::base::time::{Clock, SECOND_NS};
use hdrhistogram::Histogram;

/// Digits of a stamp's hash with the intended time: hexadecimal nanoseconds of the clock shared by
/// venue and reader.
pub const STAMP_DIGITS: std::ops::Range<usize> = 0..16;
/// Digits of a stamp's hash with the step, hexadecimal; step 0 is the warm-up.
pub const STEP_DIGITS: std::ops::Range<usize> = 16..18;
/// Position of the digit with the outcome: each message has one entry per outcome, `0` and `1`.
const OUTCOME_DIGIT: usize = 18;

/// A venue this far behind its schedule aborts the step.
const LATE_NS_MAX: u64 = SECOND_NS;
/// Beats between two checks of bytes queued for full sockets.
const BEATS_PER_BACKLOG_LOOK: u64 = 1024;
/// Further behind, several beats are made per write.
const BATCH_BEHIND_NS: u64 = 50_000;
/// Most beats per write.
const BATCH_BEATS_MAX: usize = 64;
/// Longest turn before sockets and commands are served.
const TURN_NS: u64 = 100_000;
/// Longest recorded lateness; longer ones count as this.
const LATENESS_MAX_NS: u64 = 60 * SECOND_NS;

/// Replaces a book's hash in a paced message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Intended send time, nanoseconds of the shared clock.
    pub(super) intended_ns: u64,
    pub(super) step: u8,
}

impl Stamp {
    /// 40 digits, like a hash.
    pub(super) fn hash(self, outcome: Outcome) -> Hash {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'0'; HASH_BYTES];
        for (place, digit) in text[STAMP_DIGITS].iter_mut().rev().enumerate() {
            *digit = DIGITS[(self.intended_ns >> (4 * place)) as usize & 15];
        }
        for (place, digit) in text[STEP_DIGITS].iter_mut().rev().enumerate() {
            *digit = DIGITS[usize::from(self.step >> (4 * place)) & 15];
        }
        text[OUTCOME_DIGIT] = b'0' + outcome.index() as u8;
        text
    }
}

/// Configuration of a paced flow. Times are of the clock in [`Host`](super::Host).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Level changes per second, above 0.
    pub rate: f64,
    /// Time of the first one, monotonic nanoseconds.
    pub start_ns: u64,
    /// Duration of step 0 (warm-up), nanoseconds.
    pub warm_up_ns: u64,
    /// Duration of the measured step, nanoseconds.
    pub measure_ns: u64,
    /// Number of the measured step, 1 to 255.
    pub step: u8,
}

impl Pace {
    /// Start of the measured part.
    pub const fn measured_from_ns(&self) -> u64 {
        self.start_ns + self.warm_up_ns
    }

    /// Its end.
    pub const fn end_ns(&self) -> u64 {
        self.measured_from_ns() + self.measure_ns
    }
}

/// Why a venue aborted a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// A second behind its schedule: the venue is too slow for the rate.
    Late,
    /// Too many bytes queued for full sockets: the reader is too slow for the rate.
    Backlog,
    /// Stopped by the caller.
    Cut,
}

/// Results of a step. Only `warm_up_messages` concerns the warm-up.
#[derive(Clone, Debug)]
pub struct PaceReport {
    /// Scheduled level changes.
    pub intended: u64,
    /// Of these, passed to the sockets before the end of the step.
    pub offered_in_time: u64,
    /// Stamped messages sent, including late ones.
    pub messages: u64,
    /// Stamped messages of the warm-up.
    pub warm_up_messages: u64,
    /// WebSocket frames of any type from the first to the last beat, including the warm-up.
    pub frames: u64,
    /// Beats after which a socket was full: their bytes may be queued at the venue.
    pub held_up: u64,
    /// Why it was aborted.
    pub given_up: Option<GivenUp>,
    /// From the intended time of a beat to the time when the kernel was passed its last byte,
    /// nanoseconds. Waits for a full socket are caused by the reader and not included.
    pub lateness: Histogram<u64>,
}

impl PaceReport {
    fn new() -> Self {
        let lateness = Histogram::new_with_bounds(1, LATENESS_MAX_NS, 2);
        Self {
            intended: 0,
            offered_in_time: 0,
            messages: 0,
            warm_up_messages: 0,
            frames: 0,
            held_up: 0,
            given_up: None,
            lateness: lateness.expect("the bounds are constant"),
        }
    }
}

/// A beat that is made and not written.
#[derive(Clone, Copy, Debug)]
struct Made {
    intended_ns: u64,
    actions: u32,
}

#[derive(Debug)]
pub(super) struct Pacer {
    pace: Pace,
    gap_ns: f64,
    /// Time of the next beat, from the start.
    next_ns: f64,
    next_actions: u32,
    beats: u64,
    made: Vec<Made>,
    frames_before: u64,
    report: PaceReport,
}

impl Pacer {
    /// `frames_before`: frames made by the venue so far.
    pub(super) fn new(pace: Pace, frames_before: u64, exchange: &mut Exchange) -> Self {
        let gap_ns = SECOND_NS as f64 / pace.rate;
        let (_, next_actions) = exchange.draw_beat(gap_ns);
        let made = Vec::with_capacity(BATCH_BEATS_MAX);
        let (report, next_ns) = (PaceReport::new(), 0.0);
        Self { pace, gap_ns, next_ns, next_actions, beats: 0, made, frames_before, report }
    }

    /// Makes and writes due beats; waits for the next if it is near. Returns what [`Self::ending`] returns, and
    /// appends the closed slots to `over`.
    pub(super) fn turn(
        &mut self,
        clock: &dyn Clock,
        exchange: &mut Exchange,
        connections: &mut Connections,
        backlog_max: usize,
        over: &mut Vec<usize>,
    ) -> Option<Option<GivenUp>> {
        let turn_ns = clock.mono_ns();
        let mut now_ns = turn_ns;
        let mut ending = self.ending(now_ns);
        while ending.is_none() && now_ns < turn_ns + TURN_NS {
            for _ in 0..self.batch(now_ns) {
                let Some((stamp, actions)) = self.take(now_ns, exchange) else { break };
                let count = exchange.beat(stamp, actions, connections);
                self.on_messages(stamp, count);
            }
            over.append(&mut connections.flush());
            now_ns = clock.mono_ns();
            self.on_offered(now_ns, connections.take_held_up());
            ending = self.ending(now_ns);
            if self.beats.is_multiple_of(BEATS_PER_BACKLOG_LOOK)
                && connections.backlog() > backlog_max
            {
                ending = Some(Some(GivenUp::Backlog));
            }
            // Poll timeouts have a resolution of milliseconds, too coarse here.
            while now_ns < self.next_ns() && now_ns < turn_ns + TURN_NS {
                std::hint::spin_loop();
                now_ns = clock.mono_ns();
            }
        }
        ending
    }

    /// Time of the next beat, nanoseconds of the shared clock.
    fn next_ns(&self) -> u64 {
        self.pace.start_ns + self.next_ns as u64
    }

    /// Beats to make before writing: one, unless the venue is behind.
    fn batch(&self, now_ns: u64) -> usize {
        match now_ns.saturating_sub(self.next_ns()) {
            0..BATCH_BEHIND_NS => 1,
            _ => BATCH_BEATS_MAX,
        }
    }

    /// The next beat if due: stamp and actions.
    fn take(&mut self, now_ns: u64, exchange: &mut Exchange) -> Option<(Stamp, u32)> {
        let intended_ns = self.next_ns();
        if intended_ns > now_ns || intended_ns >= self.pace.end_ns() {
            return None;
        }
        let actions = self.next_actions;
        self.draw(exchange);
        self.made.push(Made { intended_ns, actions });
        let warm = intended_ns < self.pace.measured_from_ns();
        Some((Stamp { intended_ns, step: if warm { 0 } else { self.pace.step } }, actions))
    }

    fn draw(&mut self, exchange: &mut Exchange) {
        self.beats += 1;
        let (gap_ns, actions) = exchange.draw_beat(self.gap_ns);
        self.next_actions = actions;
        // Even beats are computed from their index, so rounding does not accumulate.
        let even = gap_ns == self.gap_ns;
        self.next_ns = if even { self.beats as f64 * gap_ns } else { self.next_ns + gap_ns };
    }

    const fn on_messages(&mut self, stamp: Stamp, count: u64) {
        if stamp.step == 0 {
            self.report.warm_up_messages += count;
        } else {
            self.report.messages += count;
        }
    }

    /// Everything made was passed to the sockets; `full` of them are full.
    fn on_offered(&mut self, now_ns: u64, full: u64) {
        let (from_ns, end_ns) = (self.pace.measured_from_ns(), self.pace.end_ns());
        for beat in self.made.drain(..).filter(|beat| beat.intended_ns >= from_ns) {
            self.report.intended += u64::from(beat.actions);
            if now_ns <= end_ns {
                self.report.offered_in_time += u64::from(beat.actions);
            }
            let late_ns = now_ns.saturating_sub(beat.intended_ns).max(1);
            self.report.lateness.saturating_record(late_ns);
            self.report.held_up += u64::from(full > 0);
        }
    }

    /// Whether the flow ends at `now_ns`, and why; `Some(None)` at its scheduled end.
    fn ending(&self, now_ns: u64) -> Option<Option<GivenUp>> {
        if self.next_ns() >= self.pace.end_ns() {
            return Some(None);
        }
        (now_ns.saturating_sub(self.next_ns()) > LATE_NS_MAX).then_some(Some(GivenUp::Late))
    }

    /// The report. Beats due and not made count as intended, unless stopped by the caller.
    pub(super) fn finish(
        mut self,
        given_up: Option<GivenUp>,
        frames: u64,
        exchange: &mut Exchange,
    ) -> PaceReport {
        while given_up != Some(GivenUp::Cut) && self.next_ns() < self.pace.end_ns() {
            if self.next_ns() >= self.pace.measured_from_ns() {
                self.report.intended += u64::from(self.next_actions);
            }
            self.draw(exchange);
        }
        self.report.given_up = given_up;
        self.report.frames = frames - self.frames_before;
        self.report
    }
}

#[cfg(test)]
mod tests;
