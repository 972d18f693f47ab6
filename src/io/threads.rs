//! Threads of this process: pinning, CPU time; description of the machine.
//!
//! Runs on:  any thread that may read files under `/proc`.
use crate::base::time::SECOND_NS;
use core_affinity::CoreId;
use std::num::NonZeroU64;
use std::thread::JoinHandle;
use std::time::Duration;

/// Pins the calling thread; false if it may not use `core`.
pub fn pin_current(core: u32) -> bool {
    // core_affinity panics at core numbers that do not exist.
    super::executor::usable_cores().contains(&core)
        && core_affinity::set_for_current(CoreId { id: core as usize })
}

/// Lowers the priority of the calling thread relative to latency-critical ones on the same core. Best effort.
pub fn lower_priority() {
    let _ = rustix::process::nice(STAND_BACK);
}

/// Lets timers of the calling thread expire when they are due; the kernel defers those of other threads by up to 50 µs.
/// Best effort.
pub fn precise_timers() {
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

/// Nice level: at 10 a thread gets about a tenth of a contended core.
const STAND_BACK: i32 = 10;

/// Joins a thread within a time limit; false if it is still running or has panicked.
pub fn ends_within(thread: JoinHandle<()>, timeout_ns: u64) -> bool {
    let (timeout, step) = (Duration::from_nanos(timeout_ns), Duration::from_millis(2));
    let mut waited = Duration::ZERO;
    while !thread.is_finished() && waited < timeout {
        std::thread::sleep(step);
        waited += step;
    }
    thread.is_finished() && thread.join().is_ok()
}

/// A thread's name (15 bytes, as kept by the kernel) and its CPU time, nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadTime {
    /// The name.
    pub name: String,
    /// CPU time since its start.
    pub cpu_ns: u64,
}

/// All threads of this process; empty without `/proc`.
pub fn thread_times() -> Vec<ThreadTime> {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    let time = |task: std::io::Result<std::fs::DirEntry>| {
        let path = task.ok()?.path();
        let name = std::fs::read_to_string(path.join("comm")).ok()?.trim_end().to_owned();
        let schedule = std::fs::read_to_string(path.join("schedstat")).ok();
        let exact = schedule.as_deref().and_then(|text| text.split(' ').next()?.parse().ok());
        // Kernels without scheduler statistics count in 10 ms ticks.
        let cpu_ns = exact.or_else(|| ticks(&std::fs::read_to_string(path.join("stat")).ok()?))?;
        Some(ThreadTime { name, cpu_ns })
    };
    tasks.filter_map(time).collect()
}

/// User and system time from a `stat` line. The thread name may contain spaces and brackets.
fn ticks(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some((number(11)? + number(12)?) * (SECOND_NS / 100))
}

/// Processor, usable cores and kernel on one line.
pub fn machine_line() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    let cores = super::executor::usable_cores().len();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} usable cores, Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests;
