//! A flow at times fixed beforehand, for measurements: each message reports when it was meant to be sent.
//!
//! Runs on:  the venue's thread (pure; time is an argument).
//!
//! Open loop: a beat's time does not depend on how long the beats before it took. A venue that
//! falls behind sends late, and the stamps show it, so that no delay is left out of the figures.
use super::book::Outcome;
use super::exchange::Exchange;
use super::summary::{HASH_BYTES, Hash};
use crate::base::time::SECOND_NS;
use hdrhistogram::Histogram;

/// Digits of a stamp's hash that tell the intended time: hexadecimal nanoseconds of the clock that
/// venue and reader share.
pub const STAMP_DIGITS: std::ops::Range<usize> = 0..16;
/// Digits of a stamp's hash that tell the step, hexadecimal; step 0 is the warm-up.
pub const STEP_DIGITS: std::ops::Range<usize> = 16..18;
/// Place of the digit that reports the outcome: each message has one entry of either, `0` and `1`.
const OUTCOME_DIGIT: usize = 18;

/// A venue this far behind its own beats gives the step up.
const LATE_NS_MAX: u64 = SECOND_NS;
/// Beats between two looks at what waits in the venue because sockets are full.
const BEATS_PER_BACKLOG_LOOK: u64 = 1024;
/// Further behind than this, several beats are made before they are written.
const BATCH_BEHIND_NS: u64 = 50_000;
/// Beats made together, at most.
const BATCH_BEATS_MAX: usize = 64;
/// Longest lateness kept; longer ones count as this.
const LATENESS_MAX_NS: u64 = 60 * SECOND_NS;

/// What stands in place of a book's hash in a paced message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// When the message was meant to be sent, nanoseconds of the shared clock.
    pub(super) intended_ns: u64,
    pub(super) step: u8,
}

impl Stamp {
    /// 40 digits like any other hash.
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

/// What a paced flow is to be. Times are of the clock that [`Host`](super::Host) gave the venue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Level changes a second, above 0.
    pub rate: f64,
    /// When the first one is due, monotonic nanoseconds.
    pub start_ns: u64,
    /// So long the stamps say step 0, nanoseconds.
    pub warm_up_ns: u64,
    /// So long, after that, they say `step`, nanoseconds.
    pub measure_ns: u64,
    /// 1 to 255.
    pub step: u8,
}

impl Pace {
    /// When the measured part begins.
    #[must_use]
    pub const fn measured_from_ns(&self) -> u64 {
        self.start_ns + self.warm_up_ns
    }

    /// When it ends.
    #[must_use]
    pub const fn end_ns(&self) -> u64 {
        self.measured_from_ns() + self.measure_ns
    }
}

/// Why a venue stopped before the end of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// It was a second behind its own beats: the venue is too slow for the rate.
    Late,
    /// Too many bytes waited for full sockets: the reader is too slow for the rate.
    Backlog,
    /// It was reported to stop.
    Cut,
}

/// How the venue did in one step. Only `warm_up_messages` is about the warm-up.
#[derive(Clone, Debug)]
pub struct PaceReport {
    /// Level changes that were due.
    pub intended: u64,
    /// Of these, offered to the sockets before the end of the step.
    pub offered_in_time: u64,
    /// Stamped messages offered, late ones included.
    pub messages: u64,
    /// Stamped messages of the warm-up.
    pub warm_up_messages: u64,
    /// WebSocket frames of any kind made from the first beat to the last, warm-up included.
    pub frames: u64,
    /// Beats after which a socket was full: what they made may wait at the venue.
    pub held_up: u64,
    /// Why it ended before its time, if it did.
    pub given_up: Option<GivenUp>,
    /// From the intended time of a beat to the moment when the kernel was offered its last byte,
    /// nanoseconds. What waits because a socket is full is the reader's fault and not in it.
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

/// A beat that was made and not yet written.
#[derive(Clone, Copy, Debug)]
struct Made {
    intended_ns: u64,
    actions: u32,
}

/// A paced flow under way.
#[derive(Debug)]
pub(super) struct Pacer {
    pace: Pace,
    gap_ns: f64,
    /// Of the next beat, from the start.
    next_ns: f64,
    next_actions: u32,
    beats: u64,
    made: Vec<Made>,
    frames_before: u64,
    report: PaceReport,
}

impl Pacer {
    /// `frames_before` are all frames that the venue has made so far.
    pub(super) fn new(pace: Pace, frames_before: u64, exchange: &mut Exchange) -> Self {
        let gap_ns = SECOND_NS as f64 / pace.rate;
        let (_, next_actions) = exchange.draw_beat(gap_ns);
        let made = Vec::with_capacity(BATCH_BEATS_MAX);
        let (report, next_ns) = (PaceReport::new(), 0.0);
        Self { pace, gap_ns, next_ns, next_actions, beats: 0, made, frames_before, report }
    }

    /// When the next beat is due, nanoseconds of the shared clock.
    pub(super) fn next_ns(&self) -> u64 {
        self.pace.start_ns + self.next_ns as u64
    }

    /// Beats to be made now before they are written: one, unless the venue is behind.
    pub(super) fn batch(&self, now_ns: u64) -> usize {
        match now_ns.saturating_sub(self.next_ns()) {
            0..BATCH_BEHIND_NS => 1,
            _ => BATCH_BEATS_MAX,
        }
    }

    /// The next beat, if it is due: its stamp and its actions.
    pub(super) fn take(&mut self, now_ns: u64, exchange: &mut Exchange) -> Option<(Stamp, u32)> {
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
        // Even beats are counted out, so that rounding does not add up over millions.
        let even = gap_ns == self.gap_ns;
        self.next_ns = if even { self.beats as f64 * gap_ns } else { self.next_ns + gap_ns };
    }

    /// Counts the stamped messages that a beat became.
    pub(super) const fn on_messages(&mut self, stamp: Stamp, count: u64) {
        if stamp.step == 0 {
            self.report.warm_up_messages += count;
        } else {
            self.report.messages += count;
        }
    }

    /// Everything made so far was offered to the sockets; `full` of them took not all of it.
    pub(super) fn on_offered(&mut self, now_ns: u64, full: u64) {
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

    /// Whether it is time to look at what waits for full sockets.
    pub(super) const fn wants_backlog(&self) -> bool {
        self.beats.is_multiple_of(BEATS_PER_BACKLOG_LOOK)
    }

    /// Why the flow is over at `now_ns`, if it is; `Some(None)` at its proper end.
    pub(super) fn ending(&self, now_ns: u64) -> Option<Option<GivenUp>> {
        if self.next_ns() >= self.pace.end_ns() {
            return Some(None);
        }
        (now_ns.saturating_sub(self.next_ns()) > LATE_NS_MAX).then_some(Some(GivenUp::Late))
    }

    /// The report; what was due and not made counts as intended, unless it was reported to stop.
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
mod tests {
    use super::*;
    use crate::sim::config::SimConfig;
    use crate::sim::stats::Counters;
    use std::sync::Arc;

    fn exchange(burst: f64) -> Exchange {
        let config = SimConfig { markets: 20, rate: 0.0, burst, ..SimConfig::default() };
        Exchange::new(&config, 1_000_000_000_000, Arc::new(Counters::default()))
    }

    fn pace(rate: f64) -> Pace {
        let (start_ns, measure_ns) = (5_000, 2 * SECOND_NS);
        Pace { rate, start_ns, warm_up_ns: SECOND_NS, measure_ns, step: 0x2a }
    }

    /// Makes every beat and offers it `late_ns` after its time.
    fn play(pace: Pace, burst: f64, late_ns: u64) -> (Vec<Stamp>, PaceReport) {
        let mut exchange = exchange(burst);
        let mut pacer = Pacer::new(pace, 7, &mut exchange);
        let mut stamps = Vec::new();
        while pacer.ending(0).is_none() {
            let now_ns = pacer.next_ns();
            let (stamp, actions) = pacer.take(now_ns, &mut exchange).unwrap();
            assert_eq!(stamp.intended_ns, now_ns);
            pacer.on_messages(stamp, u64::from(actions));
            pacer.on_offered(now_ns + late_ns, 0);
            stamps.push(stamp);
        }
        (stamps, pacer.finish(None, 10, &mut exchange))
    }

    #[test]
    fn a_stamp_is_a_hash_of_forty_digits() {
        let stamp = Stamp { intended_ns: 0x0123_4567_89ab_cdef, step: 0x2a };
        let hash = stamp.hash(Outcome::Second);
        assert_eq!(&hash, b"0123456789abcdef2a1000000000000000000000");
        assert_eq!(stamp.hash(Outcome::First)[OUTCOME_DIGIT], b'0');
    }

    #[test]
    fn even_beats_do_not_drift_and_lateness_is_from_the_intended_time() {
        let (stamps, report) = play(pace(30_000.0), 0.0, 700);
        assert_eq!(stamps.len(), 90_000);
        assert_eq!(stamps[89_999].intended_ns, 5_000 + 89_999 * SECOND_NS / 30_000);
        assert!(
            stamps.windows(2).all(|pair| {
                matches!(pair[1].intended_ns - pair[0].intended_ns, 33_333 | 33_334)
            })
        );
        let warm = stamps.iter().take_while(|stamp| stamp.step == 0).count();
        assert_eq!((warm, stamps[warm].step), (30_000, 0x2a));
        assert_eq!((report.intended, report.offered_in_time), (60_000, 60_000));
        assert_eq!((report.messages, report.warm_up_messages, report.frames), (60_000, 30_000, 3));
        assert_eq!((report.lateness.min(), report.lateness.len()), (700, 60_000));
        // Offered after the end: still sent, but not in time.
        let (_, report) = play(pace(30_000.0), 0.0, SECOND_NS);
        assert_eq!((report.intended, report.messages), (60_000, 60_000));
        assert!((29_990..=30_010).contains(&report.offered_in_time), "{report:?}");
    }

    #[test]
    fn bursts_keep_the_rate_on_average() {
        let long = Pace { measure_ns: 120 * SECOND_NS, ..pace(1_000.0) };
        let (stamps, report) = play(long, 1.0, 0);
        assert!((110_000..130_000).contains(&report.intended), "{}", report.intended);
        // Also where the gaps are longer than the rate's swings.
        let slow = Pace { measure_ns: 3_000 * SECOND_NS, ..pace(5.0) };
        let (_, slow) = play(slow, 1.0, 0);
        assert!((13_500..16_500).contains(&slow.intended), "{}", slow.intended);
        assert!(stamps.len() * 10 < report.intended as usize * 8, "several actions at one time");
    }

    #[test]
    fn a_venue_that_is_too_slow_gives_up_and_what_was_due_is_known() {
        let mut exchange = exchange(0.0);
        let mut pacer = Pacer::new(pace(1_000.0), 0, &mut exchange);
        assert_eq!(pacer.batch(5_000), 1);
        assert_eq!(pacer.batch(5_000 + BATCH_BEHIND_NS), BATCH_BEATS_MAX);
        assert_eq!(pacer.take(4_999, &mut exchange), None);
        assert_eq!(pacer.ending(SECOND_NS), None);
        assert_eq!(pacer.ending(SECOND_NS + 6_000), Some(Some(GivenUp::Late)));
        let report = pacer.finish(Some(GivenUp::Late), 0, &mut exchange);
        assert_eq!((report.intended, report.offered_in_time), (2_000, 0));
    }
}
