//! What is known of a host: numbers and words as the kernel gives them.
//!
//! Runs on:  main thread (pure). `None` and empty mean: the kernel does not say.
use super::kernel_text::{IdleState, Interrupt};

/// A part of a core's time, over which window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Percent, 0 to 100.
    pub percent: f64,
    /// Length of the window, milliseconds; 0 when it goes back to the start of the machine.
    pub window_ms: u64,
}

/// One thread of the engine and its core, as a command line would start it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Cores of the shards, in order.
    pub shard_cores: Vec<u32>,
    /// Threads of the engine: control, shards, serve.
    pub threads: usize,
    /// Whether shards spin.
    pub spins: bool,
}

/// Everything that is judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Name of the processor, as in `AMD EPYC`.
    pub cpu_model: String,
    /// Words after `flags` in `/proc/cpuinfo`.
    pub cpu_flags: Vec<String>,
    /// Release of the kernel, as in `6.18.44`.
    pub kernel: String,
    /// Cores that are online.
    pub online: Vec<u32>,
    /// Cores that this process may run on.
    pub usable: Vec<u32>,
    /// Cores taken from the scheduler at boot.
    pub isolated: Vec<u32>,
    /// Cores without a tick.
    pub nohz_full: Option<Vec<u32>>,
    /// Cores of the kernel's unbound workers.
    pub worker_cores: Option<Vec<u32>>,
    /// Cores worth of time that the control group grants, if it sets a bound.
    pub cpu_quota: Option<f64>,
    /// Bytes that the control group grants, if it sets a bound.
    pub memory_max_bytes: Option<u64>,
    /// The threads that would be started; `None` when the layout does not fit the host.
    pub layout: Option<Layout>,
    /// Time that the hypervisor gave to others, all cores together.
    pub steal: Option<Share>,
    /// Mean number of runnable threads, one minute.
    pub load: Option<f64>,
    /// Device interrupts: how many a second (or since the start), where they may land.
    pub interrupts: Vec<Interrupt>,
    /// Governors of the cores, each once.
    pub governors: Vec<String>,
    /// Sleeps that a core may enter, over all cores.
    pub idle_states: Vec<IdleState>,
    /// How long a guest polls before it halts, nanoseconds.
    pub halt_poll_ns: Option<u64>,
    /// `always`, `madvise` or `never`.
    pub transparent_huge_pages: Option<String>,
    /// Bytes of swap in use and in all.
    pub swap_bytes: Option<(u64, u64)>,
    /// `net.core.rmem_max`, bytes.
    pub receive_buffer_max: Option<u64>,
    /// Third field of `net.ipv4.tcp_rmem`, bytes: what a socket that sets nothing can grow to.
    pub tcp_receive_max: Option<u64>,
    /// `net.core.busy_poll`, microseconds.
    pub busy_poll_us: Option<u64>,
    /// `net.core.netdev_max_backlog`, packets.
    pub netdev_backlog: Option<u64>,
    /// `net.ipv4.tcp_slow_start_after_idle`.
    pub slow_start_after_idle: Option<bool>,
    /// What starting an io_uring said; `None` is that it works.
    pub io_uring_fault: Option<String>,
    /// `kernel.io_uring_disabled`, where there is such a switch.
    pub io_uring_disabled: Option<u64>,
    /// Soft limit on locked memory, bytes; `None` is no limit.
    pub locked_memory_bytes: Option<u64>,
    /// Soft limit on open files; `None` is no limit.
    pub open_files: Option<u64>,
    /// Clock source in use.
    pub clock_source: Option<String>,
    /// Clock sources to choose from.
    pub clock_sources: Vec<String>,
    /// Programs that keep the clock right, of those that run here.
    pub time_daemons: Vec<String>,
    /// Number of memory nodes; 0 when the kernel does not say.
    pub numa_nodes: usize,
    /// `name: what is done about it`, of every weakness that this processor has.
    pub mitigations: Vec<String>,
    /// Whether a battery is there.
    pub battery: bool,
}

impl Facts {
    /// Whether the processor's flags name this one.
    #[must_use]
    pub fn has_flag(&self, flag: &str) -> bool {
        self.cpu_flags.iter().any(|it| it == flag)
    }

    /// Whether the kernel runs under a hypervisor.
    #[must_use]
    pub fn is_virtual(&self) -> bool {
        self.has_flag("hypervisor")
    }
}
