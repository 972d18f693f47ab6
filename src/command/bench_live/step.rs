//! Measures one rate.
//!
//! Runs on:  main thread; polls clocks and counters every few milliseconds.
use super::gateway;
use super::ladder::{Evidence, Verdict, verdict};
use super::probe::Probe;
use crate::base::time::{Clock as _, MILLISECOND_NS, SECOND_NS};
use crate::command::{Failure, demo, run::Session, terminal::Signals};
use crate::config::Config;
use crate::counter::latency::{LatencySummary, Stage};
use crate::io::clock::HostClock;
use crate::io::threads::{ThreadTime, thread_times};
use crate::sim::{GivenUp, Pace, PaceReport, Venue};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

/// Poll interval.
const LOOK: Duration = Duration::from_millis(5);
/// Time from the command to the first beat.
const LEAD_NS: u64 = 50 * MILLISECOND_NS;
/// Messages that do not arrive within this time after the last one are lost.
const QUIET_NS: u64 = 3 * SECOND_NS;
const INTERVAL_TIMEOUT_NS: u64 = 4 * SECOND_NS;

#[derive(Clone, Debug, Serialize)]
pub(super) struct Step {
    /// Requested changes per second.
    pub rate: u64,
    /// Measured seconds.
    pub seconds: u64,
    /// Changes due within the step.
    pub intended: u64,
    /// Those offered to the sockets within the step.
    pub offered_in_time: u64,
    /// Messages sent, however late; each has one change of both tokens.
    pub sent: u64,
    /// Messages applied, however late.
    pub received: u64,
    /// Messages applied within the step.
    pub received_in_time: u64,
    /// `received_in_time / intended`, at most 1: a change may take two messages.
    pub in_time_share: f64,
    /// Frames per second, all types, warm-up included.
    pub frames_per_second: f64,
    /// Beats after which a socket was full.
    pub held_up: u64,
    /// Intended send time to applied.
    pub latency: LatencySummary,
    /// Lateness of the venue: intended send time to the kernel.
    pub venue_late: LatencySummary,
    /// Read to applied as measured by the engine: all messages, warm-up included; empty if missing.
    pub read_to_applied: LatencySummary,
    /// CPU share of each shard; 1 if it spins.
    pub shard_cpu: Vec<f64>,
    /// CPU share of the control core.
    pub control_cpu: f64,
    /// CPU share of the serve core.
    pub serve_cpu: f64,
    /// CPU share of the gateway clients' thread.
    #[serde(skip)]
    pub clients_cpu: f64,
    /// Frames that gateway clients received within the step.
    #[serde(skip)]
    pub client_frames: u64,
    /// CPU share of the venue, which polls.
    pub venue_cpu: f64,
    /// Reconnects during the step.
    pub reconnects: u64,
    /// The verdict.
    pub verdict: Verdict,
}

pub(super) struct Rig {
    /// The venue.
    pub venue: Venue,
    /// The engine.
    pub session: Session,
    /// Latencies on the shards.
    pub probe: Probe,
    /// Clock of venue, engine and probe.
    pub clock: HostClock,
    /// Ends the run.
    pub signals: Signals,
    /// Messages of warm-ups so far.
    pub warm_up_sent: u64,
    /// Settings of the engine.
    pub config: Config,
    /// Frames that gateway clients have received.
    pub client_frames: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Length {
    /// Measured seconds.
    pub seconds: u64,
    /// Warm-up seconds.
    pub warm_up: u64,
}

impl Rig {
    /// Measures `rate` as step `number`, 1 to 255.
    ///
    /// # Errors
    /// The venue has ended.
    pub(super) fn measure(
        &mut self,
        number: u8,
        rate: u64,
        length: Length,
    ) -> Result<Step, Failure> {
        let reconnects = self.reconnects();
        let pace = Pace {
            rate: rate as f64,
            start_ns: self.clock.mono_ns() + LEAD_NS,
            warm_up_ns: length.warm_up * SECOND_NS,
            measure_ns: length.seconds * SECOND_NS,
            step: number,
        };
        self.probe.set_end(number, pace.end_ns());
        let report = self.venue.pace(pace).map_err(demo::explain)?;
        self.rest_until(pace.measured_from_ns());
        let before = (self.clock.mono_ns(), thread_times());
        let frames = self.client_frames.load(Ordering::Relaxed);
        self.rest_until(pace.end_ns());
        let after = (self.clock.mono_ns(), thread_times());
        let frames = self.client_frames.load(Ordering::Relaxed) - frames;
        let report = self.await_report(&report)?;
        self.warm_up_sent += report.warm_up_messages;
        self.drain(number, report.messages);
        let read_to_applied = self.read_to_applied();
        let progress = self.probe.progress(number);
        let venue_late = LatencySummary::of("venue_late", &report.lateness);
        let latency = LatencySummary::of("send_to_applied", &progress.latency);
        let evidence = Evidence {
            intended: report.intended,
            offered_in_time: report.offered_in_time,
            sent: report.messages,
            received: progress.received,
            received_in_time: progress.in_time,
            venue_late_p99_ns: venue_late.p99_ns,
            latency_p99_ns: latency.p99_ns,
            backlog: report.given_up == Some(GivenUp::Backlog),
            cut: report.given_up == Some(GivenUp::Cut),
        };
        let cpu = |name: &str| busy(name, &before, &after);
        let shards = 0..self.session.topology().shards.len();
        let whole = (length.seconds + length.warm_up) as f64;
        Ok(Step {
            rate,
            seconds: length.seconds,
            intended: report.intended,
            offered_in_time: report.offered_in_time,
            sent: report.messages,
            received: progress.received,
            received_in_time: progress.in_time,
            in_time_share: (progress.in_time as f64 / report.intended.max(1) as f64).min(1.0),
            frames_per_second: report.frames as f64 / whole,
            held_up: report.held_up,
            latency,
            venue_late,
            read_to_applied,
            shard_cpu: shards.map(|shard| cpu(&format!("shard-{shard}"))).collect(),
            control_cpu: cpu("control"),
            serve_cpu: cpu("serve"),
            clients_cpu: cpu(gateway::THREAD),
            client_frames: frames,
            venue_cpu: cpu("venue-sim"),
            reconnects: self.reconnects().saturating_sub(reconnects),
            verdict: verdict(&evidence),
        })
    }

    /// Reconnects so far, by the last status report.
    fn reconnects(&mut self) -> u64 {
        self.session.look();
        self.session.report.as_ref().map_or(0, |report| report.pool.reconnects)
    }

    /// Waits; a signal ends the step and the flow.
    fn rest_until(&mut self, at_ns: u64) {
        while self.clock.mono_ns() < at_ns && !self.signals.asked() {
            self.session.look();
            let left = Duration::from_nanos(at_ns.saturating_sub(self.clock.mono_ns()));
            std::thread::sleep(left.min(LOOK));
        }
        if self.signals.asked() {
            // A venue that has ended is noticed by who waits for its report.
            drop(self.venue.cut_pace());
        }
    }

    fn await_report(&mut self, report: &Receiver<PaceReport>) -> Result<PaceReport, Failure> {
        loop {
            match report.try_recv() {
                Ok(report) => return Ok(report),
                Err(TryRecvError::Disconnected) => {
                    return Err(demo::explain(crate::sim::SimError::Gone));
                }
                Err(TryRecvError::Empty) => self.rest_until(self.clock.mono_ns() + 1),
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until all sent messages are applied or none arrive.
    fn drain(&mut self, number: u8, sent: u64) {
        let progress = |probe: &Probe| (probe.received(number), probe.received(0));
        let mut last = (progress(&self.probe), self.clock.mono_ns());
        while last.0 != (sent, self.warm_up_sent) && self.clock.mono_ns() - last.1 < QUIET_NS {
            self.session.look();
            std::thread::sleep(LOOK);
            let now = progress(&self.probe);
            if now != last.0 {
                last = (now, self.clock.mono_ns());
            }
        }
    }

    /// Read-to-applied latency since the last call.
    pub(super) fn read_to_applied(&mut self) -> LatencySummary {
        let stage = Stage::ReadToApplied;
        let deadline_ns = self.clock.mono_ns() + INTERVAL_TIMEOUT_NS;
        if self.session.cut_interval() {
            while self.session.interval.is_none() && self.clock.mono_ns() < deadline_ns {
                self.session.look();
                std::thread::sleep(LOOK);
            }
        }
        let none = LatencySummary { stage: stage.name().to_owned(), ..Default::default() };
        let interval = self.session.interval.as_ref();
        interval.map_or(none, |all| LatencySummary::of(stage.name(), all.stage(stage)))
    }
}

/// CPU share of the threads of a name between two samples.
fn busy(name: &str, before: &(u64, Vec<ThreadTime>), after: &(u64, Vec<ThreadTime>)) -> f64 {
    let of = |times: &[ThreadTime]| -> u64 {
        times.iter().filter(|thread| thread.name == name).map(|thread| thread.cpu_ns).sum()
    };
    let used_ns = of(&after.1).saturating_sub(of(&before.1));
    used_ns as f64 / after.0.saturating_sub(before.0).max(1) as f64
}

#[cfg(test)]
mod tests;
