//! Facts about this host from `/proc`, `/sys` and resource limits; read-only.
//!
//! Runs on:  main thread; may block. Collects only; `host` interprets.
use super::executor::{io_uring_fault, usable_cores};
use crate::host::facts::{Facts, Share};
use crate::host::kernel_text::{self, IdleState, InterruptTable};
use crate::host::{Profile, judge, show};
use rustix::process::{Resource, getrlimit};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time synchronization daemons, with names as truncated by the kernel.
const TIME_DAEMONS: &[&str] =
    &["chronyd", "ntpd", "ntpsec", "openntpd", "systemd-timesyn", "ptp4l", "phc2sys"];
/// The cgroup v1 value for "no limit" is near 2^63.
const NO_BOUND_BYTES: u64 = 1 << 60;
const CPUS: &str = "/sys/devices/system/cpu";
const CLOCK: &str = "/sys/devices/system/clocksource/clocksource0";

/// Collects all facts. Rates are measured over `window`, or since boot if it is zero.
pub fn facts(window: Duration) -> Facts {
    let mut facts = Facts {
        online: kernel_text::cores(&read(format!("{CPUS}/online"))).unwrap_or_default(),
        usable: usable_cores(),
        isolated: kernel_text::cores(&read(format!("{CPUS}/isolated"))).unwrap_or_default(),
        kernel: read("/proc/sys/kernel/osrelease"),
        load: read("/proc/loadavg").split(' ').next().and_then(|text| text.parse().ok()),
        io_uring_fault: io_uring_fault(),
        io_uring_disabled: number("/proc/sys/kernel/io_uring_disabled"),
        locked_memory_bytes: getrlimit(Resource::Memlock).current,
        open_files: getrlimit(Resource::Nofile).current,
        ..Facts::default()
    };
    cpu(&mut facts);
    groups(&mut facts);
    memory(&mut facts);
    network(&mut facts);
    system(&mut facts);
    activity(&mut facts, window);
    facts
}

/// One line to accompany measurements: the host and its deviating settings. Takes some milliseconds.
pub fn summary() -> String {
    let mut facts = facts(Duration::ZERO);
    // Measurements do not depend on a thread layout, so it is left out.
    facts.layout = Some(crate::host::facts::Layout::default());
    let profile = Profile::guess(&facts);
    let findings = judge(&facts, &profile);
    show::summary(&facts, &profile, &findings)
}

/// Trimmed content of a file; empty if it cannot be read.
fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn text(path: impl AsRef<Path>) -> Option<String> {
    Some(read(path)).filter(|text| !text.is_empty())
}

fn number(path: impl AsRef<Path>) -> Option<u64> {
    read(path).parse().ok()
}

/// Sorted entries of a folder; empty if it does not exist.
fn entries(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or("")
}

fn cpu(facts: &mut Facts) {
    let info = read("/proc/cpuinfo");
    facts.cpu_model = kernel_text::cpuinfo(&info, "model name").unwrap_or("unknown").to_owned();
    let flags = kernel_text::cpuinfo(&info, "flags").unwrap_or("");
    facts.cpu_flags = flags.split_whitespace().map(str::to_owned).collect();
    let nohz = format!("{CPUS}/nohz_full");
    if Path::new(&nohz).exists() {
        facts.nohz_full = kernel_text::cores(&read(nohz));
    }
    facts.worker_cores =
        text("/sys/devices/virtual/workqueue/cpumask").and_then(|text| kernel_text::mask(&text));
    for core in &facts.online {
        let core = PathBuf::from(format!("{CPUS}/cpu{core}"));
        if let Some(governor) = text(core.join("cpufreq/scaling_governor"))
            && !facts.governors.contains(&governor)
        {
            facts.governors.push(governor);
        }
        for state in entries(core.join("cpuidle")) {
            let Some(latency_us) = number(state.join("latency")) else { continue };
            let disabled = number(state.join("disable")) != Some(0);
            facts.idle_states.push(IdleState {
                name: read(state.join("name")),
                latency_us,
                disabled,
            });
        }
    }
    facts.halt_poll_ns = number("/sys/module/haltpoll/parameters/guest_halt_poll_ns");
    for weakness in entries(format!("{CPUS}/vulnerabilities")) {
        let text = read(&weakness);
        let done = text.strip_prefix("Mitigation: ").unwrap_or(&text);
        if done != "Not affected" && !done.is_empty() {
            let first = done.split([';', ',']).next().unwrap_or(done);
            facts.mitigations.push(format!("{} ({first})", name(&weakness)));
        }
    }
    let is_battery = |path: &PathBuf| name(path).starts_with("BAT");
    facts.battery = entries("/sys/class/power_supply").iter().any(is_battery);
}

/// Smallest limits on the path from this process's cgroup to the root.
fn groups(facts: &mut Facts) {
    let lines = read("/proc/self/cgroup");
    let above = |mount: &str, controller: &str| -> Vec<PathBuf> {
        let path = kernel_text::cgroup_path(&lines, controller).unwrap_or("/");
        let full = Path::new(mount).join(path.trim_start_matches('/'));
        full.ancestors().take_while(|it| it.starts_with(mount)).map(Path::to_owned).collect()
    };
    let mut quotas = Vec::new();
    let mut bounds = Vec::new();
    for mount in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
        for group in above(mount, "") {
            quotas.extend(kernel_text::cpu_max(&read(group.join("cpu.max"))));
            bounds.extend(number(group.join("memory.max")));
        }
    }
    for group in above("/sys/fs/cgroup/cpu", "cpu") {
        let value = |file| read(group.join(file)).parse().ok();
        let pair = value("cpu.cfs_quota_us").zip(value("cpu.cfs_period_us"));
        quotas.extend(pair.and_then(|(quota, period)| kernel_text::quota(quota, period)));
    }
    for group in above("/sys/fs/cgroup/memory", "memory") {
        bounds.extend(number(group.join("memory.limit_in_bytes")));
    }
    facts.cpu_quota = quotas.into_iter().min_by(f64::total_cmp);
    facts.memory_max_bytes = bounds.into_iter().filter(|&bytes| bytes < NO_BOUND_BYTES).min();
}

fn memory(facts: &mut Facts) {
    let pages = read("/sys/kernel/mm/transparent_hugepage/enabled");
    facts.transparent_huge_pages = kernel_text::chosen(&pages).map(str::to_owned);
    let info = read("/proc/meminfo");
    let all = kernel_text::meminfo(&info, "SwapTotal");
    let free = kernel_text::meminfo(&info, "SwapFree");
    facts.swap_bytes = all.zip(free).map(|(all, free)| (all.saturating_sub(free), all));
    let is_node = |path: &PathBuf| {
        let digits = name(path).strip_prefix("node").unwrap_or("");
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let nodes = entries("/sys/devices/system/node");
    facts.numa_nodes = nodes.iter().filter(|path| is_node(path)).count();
}

fn network(facts: &mut Facts) {
    let core = Path::new("/proc/sys/net/core");
    let ipv4 = Path::new("/proc/sys/net/ipv4");
    facts.receive_buffer_max = number(core.join("rmem_max"));
    let fields = read(ipv4.join("tcp_rmem"));
    facts.tcp_receive_max = fields.split_whitespace().nth(2).and_then(|text| text.parse().ok());
    facts.busy_poll_us = number(core.join("busy_poll"));
    facts.netdev_backlog = number(core.join("netdev_max_backlog"));
    facts.slow_start_after_idle =
        number(ipv4.join("tcp_slow_start_after_idle")).map(|value| value != 0);
}

fn system(facts: &mut Facts) {
    facts.clock_source = text(format!("{CLOCK}/current_clocksource"));
    let sources = read(format!("{CLOCK}/available_clocksource"));
    facts.clock_sources = sources.split_whitespace().map(str::to_owned).collect();
    for process in entries("/proc") {
        if !name(&process).bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let program = read(process.join("comm"));
        if TIME_DAEMONS.contains(&program.as_str()) && !facts.time_daemons.contains(&program) {
            facts.time_daemons.push(program);
        }
    }
}

/// Interrupts and steal time over `window`.
fn activity(facts: &mut Facts, window: Duration) {
    let look = || {
        let table = kernel_text::interrupts(
            &std::fs::read_to_string("/proc/interrupts").unwrap_or_default(),
        );
        (kernel_text::steal(&read("/proc/stat")), table)
    };
    let uptime = read("/proc/uptime");
    let uptime = uptime.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    let ((steal_before, table_before), seconds) = if window.is_zero() {
        ((Some((0, 0)), InterruptTable::default()), uptime)
    } else {
        let before = look();
        std::thread::sleep(window);
        (before, window.as_secs_f64())
    };
    let (steal_after, table_after) = look();
    facts.interrupts = kernel_text::interrupt_rates(&table_before, table_after, seconds);
    facts.steal = steal_before.zip(steal_after).map(|((stolen, all), (stolen_now, all_now))| {
        let all = all_now.saturating_sub(all).max(1);
        let percent = stolen_now.saturating_sub(stolen) as f64 * 100.0 / all as f64;
        Share { percent, window_ms: window.as_millis() as u64 }
    });
}

#[cfg(test)]
mod tests;
