//! Facts about a host: numbers and strings as reported by the kernel.
//!
//! Runs on:  main thread (pure). `None` and empty values: not reported by the kernel.
use super::kernel_text::{IdleState, Interrupt};

/// A share of CPU time over a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Percent, 0 to 100.
    pub percent: f64,
    /// Window, milliseconds; 0: since boot.
    pub window_ms: u64,
}

/// Cores and threads that a command line would start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Cores of the shards, in order.
    pub shard_cores: Vec<u32>,
    /// Threads of the engine: control, shards, serve.
    pub threads: usize,
    /// Whether shards spin.
    pub spins: bool,
}

/// All facts that [`judge`](super::judge()) uses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Processor model, for example `AMD EPYC`.
    pub cpu_model: String,
    /// `flags` in `/proc/cpuinfo`.
    pub cpu_flags: Vec<String>,
    /// Kernel release, for example `6.18.44`.
    pub kernel: String,
    /// Online cores.
    pub online: Vec<u32>,
    /// Cores that this process may run on.
    pub usable: Vec<u32>,
    /// Isolated cores (`isolcpus`).
    pub isolated: Vec<u32>,
    /// Cores of `nohz_full`.
    pub nohz_full: Option<Vec<u32>>,
    /// Cores of unbound kernel workers.
    pub worker_cores: Option<Vec<u32>>,
    /// CPU quota of the control group, cores; `None`: unlimited.
    pub cpu_quota: Option<f64>,
    /// Memory limit of the control group, bytes; `None`: unlimited.
    pub memory_max_bytes: Option<u64>,
    /// Threads that would be started; `None`: the layout does not fit the host.
    pub layout: Option<Layout>,
    /// CPU time taken by the hypervisor, all cores together.
    pub steal: Option<Share>,
    /// Load average, one minute.
    pub load: Option<f64>,
    /// Device interrupts, with rates per core.
    pub interrupts: Vec<Interrupt>,
    /// Frequency governors, each once.
    pub governors: Vec<String>,
    /// CPU idle states, over all cores.
    pub idle_states: Vec<IdleState>,
    /// Guest halt polling, nanoseconds.
    pub halt_poll_ns: Option<u64>,
    /// `always`, `madvise` or `never`.
    pub transparent_huge_pages: Option<String>,
    /// Swap in use and total, bytes.
    pub swap_bytes: Option<(u64, u64)>,
    /// `net.core.rmem_max`, bytes.
    pub receive_buffer_max: Option<u64>,
    /// Third field of `net.ipv4.tcp_rmem`, bytes: the automatic limit of a receive buffer.
    pub tcp_receive_max: Option<u64>,
    /// `net.core.busy_poll`, microseconds.
    pub busy_poll_us: Option<u64>,
    /// `net.core.netdev_max_backlog`, packets.
    pub netdev_backlog: Option<u64>,
    /// `net.ipv4.tcp_slow_start_after_idle`.
    pub slow_start_after_idle: Option<bool>,
    /// Error of an io_uring probe; `None`: it works.
    pub io_uring_fault: Option<String>,
    /// `kernel.io_uring_disabled`, if it exists.
    pub io_uring_disabled: Option<u64>,
    /// Soft limit of locked memory, bytes; `None`: unlimited.
    pub locked_memory_bytes: Option<u64>,
    /// Soft limit of open files; `None`: unlimited.
    pub open_files: Option<u64>,
    /// Current clock source.
    pub clock_source: Option<String>,
    /// Available clock sources.
    pub clock_sources: Vec<String>,
    /// Running time synchronization daemons.
    pub time_daemons: Vec<String>,
    /// Number of NUMA nodes; 0: unknown.
    pub numa_nodes: usize,
    /// CPU vulnerabilities with their mitigation, as `name (mitigation)`.
    pub mitigations: Vec<String>,
    /// Whether there is a battery.
    pub battery: bool,
}

impl Facts {
    /// Whether the processor has this flag.
    pub fn has_flag(&self, flag: &str) -> bool {
        self.cpu_flags.iter().any(|it| it == flag)
    }

    /// Whether the kernel runs under a hypervisor.
    pub fn is_virtual(&self) -> bool {
        self.has_flag("hypervisor")
    }
}
