//! Short measurements of a host: interruptions of a core, wake-up and timer delays.
//!
//! Runs on:  pinned threads of its own; blocks the caller for the requested duration.
//!
//! Measure, change a setting, and measure again to see its effect.
use super::clock::HostClock;
use super::executor::usable_cores;
use crate::base::time::Clock as _;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

/// Shortest gap between two clock readings that counts as an interruption, nanoseconds.
const GAP_MIN_NS: u64 = 1_000;
/// Pause between two messages, and duration of the timer.
const PAUSE: Duration = Duration::from_millis(1);

/// Interruptions of a core by anything but a busy thread.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Gaps {
    /// The core.
    pub core: u32,
    /// Gaps of at least 1 µs, per second.
    pub per_second: f64,
    /// Share of time, percent.
    pub lost_percent: f64,
    /// 99th percentile of their length, nanoseconds.
    pub p99_ns: u64,
    /// Longest gap, nanoseconds.
    pub max_ns: u64,
}

/// Percentiles of a delay, nanoseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Delay {
    /// Number of measurements.
    pub count: u64,
    /// Median.
    pub p50_ns: u64,
    /// 90th percentile.
    pub p90_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
    /// Maximum.
    pub max_ns: u64,
}

/// Results.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Per core, measured one after the other.
    pub gaps: Vec<Gaps>,
    /// Time from a send on the first core, over loopback, to the end of a blocking read on the last core.
    pub wake_up: Option<Delay>,
    /// Lateness of a 1 ms sleep on the last core.
    pub timer: Option<Delay>,
}

/// Measures on the given cores; takes about `duration` in total. A thread that cannot be started or pinned yields no
/// result.
pub fn measure(cores: &[u32], duration: Duration) -> Measured {
    let clock = HostClock::new();
    let third = duration / 3;
    let each = third / u32::try_from(cores.len().max(1)).unwrap_or(1);
    let gaps = cores.iter().filter_map(|&core| {
        let clock = clock.clone();
        on_core(core, move || gaps(core, &clock, each))
    });
    let gaps = gaps.collect();
    let ends = cores.first().zip(cores.last());
    let wake_up = ends.and_then(|(&from, &to)| wake_up(from, to, &clock, third));
    let timer = cores.last().and_then(|&core| {
        let clock = clock.clone();
        on_core(core, move || timer(&clock, third)).flatten()
    });
    Measured { gaps, wake_up, timer }
}

fn on_core<T: Send + 'static>(core: u32, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if !usable_cores().contains(&core) {
        return None;
    }
    let pinned = move || {
        let core = core_affinity::CoreId { id: core as usize };
        core_affinity::set_for_current(core).then(work)
    };
    let thread = std::thread::Builder::new().name(format!("probe-{core}")).spawn(pinned).ok()?;
    thread.join().ok().flatten()
}

fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are allowed")
}

fn record(histogram: &mut Histogram<u64>, ns: u64) {
    histogram.record(ns).expect("it grows to any value");
}

fn delay(histogram: &Histogram<u64>) -> Option<Delay> {
    (!histogram.is_empty()).then(|| Delay {
        count: histogram.len(),
        p50_ns: histogram.value_at_quantile(0.5),
        p90_ns: histogram.value_at_quantile(0.9),
        p99_ns: histogram.value_at_quantile(0.99),
        max_ns: histogram.max(),
    })
}

fn gaps(core: u32, clock: &HostClock, duration: Duration) -> Gaps {
    let mut found = histogram();
    let (start_ns, mut lost_ns) = (clock.mono_ns(), 0);
    let end_ns = start_ns + duration.as_nanos() as u64;
    let mut before_ns = start_ns;
    while before_ns < end_ns {
        let now_ns = clock.mono_ns();
        let gap_ns = now_ns.saturating_sub(before_ns);
        if gap_ns >= GAP_MIN_NS {
            record(&mut found, gap_ns);
            lost_ns += gap_ns;
        }
        before_ns = now_ns;
    }
    let all_ns = (before_ns - start_ns).max(1) as f64;
    Gaps {
        core,
        per_second: found.len() as f64 * 1e9 / all_ns,
        lost_percent: lost_ns as f64 * 100.0 / all_ns,
        p99_ns: found.value_at_quantile(0.99),
        max_ns: found.max(),
    }
}

fn timer(clock: &HostClock, duration: Duration) -> Option<Delay> {
    let mut late = histogram();
    let end_ns = clock.mono_ns() + duration.as_nanos() as u64;
    loop {
        let due_ns = clock.mono_ns() + PAUSE.as_nanos() as u64;
        std::thread::sleep(PAUSE);
        let now_ns = clock.mono_ns();
        record(&mut late, now_ns.saturating_sub(due_ns));
        if now_ns >= end_ns {
            return delay(&late);
        }
    }
}

/// The reader blocks between two messages, each of which is its send time.
fn wake_up(from: u32, to: u32, clock: &HostClock, duration: Duration) -> Option<Delay> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    let mut sender = TcpStream::connect(listener.local_addr().ok()?).ok()?;
    let (mut reader, _) = listener.accept().ok()?;
    sender.set_nodelay(true).ok()?;
    let send_clock = clock.clone();
    let end_ns = clock.mono_ns() + duration.as_nanos() as u64;
    let send = move || {
        while send_clock.mono_ns() < end_ns {
            std::thread::sleep(PAUSE);
            if sender.write_all(&send_clock.mono_ns().to_le_bytes()).is_err() {
                return;
            }
        }
        // Closing the socket ends the reader.
    };
    let sending = std::thread::Builder::new().name("probe-send".into());
    let sending = sending.spawn(move || on_core(from, send)).ok()?;
    let clock = clock.clone();
    let read = move || {
        let (mut late, mut sent) = (histogram(), [0; 8]);
        while reader.read_exact(&mut sent).is_ok() {
            record(&mut late, clock.mono_ns().saturating_sub(u64::from_le_bytes(sent)));
        }
        delay(&late)
    };
    let measured = on_core(to, read).flatten();
    sending.join().ok()??;
    measured
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |ns: u64| ns as f64 / 1e3;
        for gaps in &self.gaps {
            let Gaps { core, per_second, lost_percent, p99_ns, max_ns } = *gaps;
            writeln!(
                f,
                "core {core}: {per_second:.0} gaps/s of 1 us and more, {lost_percent:.2} % of its time; p99 {:.1} us, longest {:.1} us",
                micros(p99_ns),
                micros(max_ns)
            )?;
        }
        let delays =
            [("wake-up over loopback", self.wake_up), ("sleep of 1 ms, late by", self.timer)];
        for (what, delay) in delays {
            let Some(delay) = delay else { continue };
            let Delay { count, p50_ns, p90_ns, p99_ns, max_ns } = delay;
            writeln!(
                f,
                "{what}: p50 {:.1} us, p90 {:.1} us, p99 {:.1} us, longest {:.1} us ({count} times)",
                micros(p50_ns),
                micros(p90_ns),
                micros(p99_ns),
                micros(max_ns)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
