//! Parsers for files of `/proc` and `/sys`.
//!
//! Runs on:  main thread (pure). Unreadable values are omitted.
use crate::topology::parse_cores;

/// Highest core number accepted in a mask.
const MASK_CORES_MAX: usize = 4096;

/// A CPU idle state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdleState {
    /// Name given by the driver: `C6`, `POLL`.
    pub name: String,
    /// Wake-up latency, microseconds.
    pub latency_us: u64,
    /// Whether it is disabled.
    pub disabled: bool,
}

/// A device interrupt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interrupt {
    /// Interrupt number.
    pub number: u32,
    /// Device name.
    pub device: String,
    /// Count for each core of [`InterruptTable::cores`].
    pub counts: Vec<u64>,
    /// Cores with interrupts in the window, and their rate per second.
    pub on_cores: Vec<(u32, f64)>,
}

/// `/proc/interrupts`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InterruptTable {
    /// Cores, in column order.
    pub cores: Vec<u32>,
    /// Device interrupts; those of the kernel (timer, inter-processor) are omitted.
    pub rows: Vec<Interrupt>,
}

/// The selected value of `always [madvise] never`.
pub fn chosen(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0)
}

/// Parses a list of cores such as `0-3,8`; empty text is no core.
pub fn cores(text: &str) -> Option<Vec<u32>> {
    let text = text.trim();
    if text.is_empty() || text == "(null)" {
        return Some(Vec::new());
    }
    parse_cores(text).ok()
}

/// Cores of a hexadecimal mask such as `1,00000003`, groups of 32, highest group first.
pub fn mask(text: &str) -> Option<Vec<u32>> {
    let groups: Vec<&str> = text.trim().split(',').collect();
    if groups.len() * 32 > MASK_CORES_MAX {
        return None;
    }
    let mut cores = Vec::new();
    for (place, group) in groups.iter().rev().enumerate() {
        let bits = u32::from_str_radix(group, 16).ok()?;
        cores.extend((0..32).filter(|bit| bits >> bit & 1 == 1).map(|bit| place as u32 * 32 + bit));
    }
    Some(cores)
}

/// Steal and total of all cores from `/proc/stat`, in ticks.
pub fn steal(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time is included in user time.
    let all: u64 = ticks.get(..8)?.iter().sum();
    Some((ticks[7], all))
}

/// `/proc/interrupts` without the kernel's own interrupts.
pub fn interrupts(text: &str) -> InterruptTable {
    let mut lines = text.lines();
    let core = |field: &str| field.strip_prefix("CPU")?.parse().ok();
    let cores: Vec<u32> = lines.next().unwrap_or("").split_whitespace().filter_map(core).collect();
    let row = |line: &str| {
        let (number, rest) = line.trim_start().split_once(':')?;
        let number = number.parse().ok()?;
        let mut fields = rest.split_whitespace();
        let counts = fields.by_ref().take(cores.len()).filter_map(|field| field.parse().ok());
        let counts: Vec<u64> = counts.collect();
        let device = fields.last().unwrap_or("?").to_owned();
        (counts.len() == cores.len()).then_some(Interrupt {
            number,
            device,
            counts,
            on_cores: Vec::new(),
        })
    };
    let rows = lines.filter_map(row).collect();
    InterruptTable { cores, rows }
}

/// Rates per core between two tables, per second. An interrupt without occurrences has no cores.
pub fn interrupt_rates(
    before: &InterruptTable,
    after: InterruptTable,
    seconds: f64,
) -> Vec<Interrupt> {
    let InterruptTable { cores, rows } = after;
    let mut rated = Vec::new();
    for mut row in rows {
        let old = before.rows.iter().find(|it| it.number == row.number);
        let old = old.map_or(&[][..], |it| &it.counts);
        for (place, &core) in cores.iter().enumerate() {
            let was = old.get(place).copied().unwrap_or(0);
            let came = row.counts[place].saturating_sub(was);
            if came > 0 {
                row.on_cores.push((core, came as f64 / seconds.max(1e-3)));
            }
        }
        rated.push(row);
    }
    rated
}

/// Value of `name : value` in `/proc/cpuinfo`, for the first core.
pub fn cpuinfo<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// Value of `name:` in `/proc/meminfo`, bytes.
pub fn meminfo(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// CPU quota in cores from `cpu.max` (cgroup v2): `quota period`, or `max period`.
pub fn cpu_max(text: &str) -> Option<f64> {
    let mut fields = text.split_whitespace();
    quota(fields.next()?.parse().ok()?, fields.next()?.parse().ok()?)
}

/// CPU quota in cores from quota and period in microseconds; a negative quota is unlimited.
pub fn quota(quota: i64, period: i64) -> Option<f64> {
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

/// Path of this process below a controller's mount, from `/proc/self/cgroup`; `""` is the unified hierarchy.
pub fn cgroup_path<'t>(text: &'t str, controller: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        controllers.split(',').any(|it| it == controller).then_some(path)
    })
}

/// Major and minor number of a kernel release such as `6.18.44-fc`.
pub fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests;
