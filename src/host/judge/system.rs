//! Kernel: resource limits, network, clocks.
//!
//! Runs on:  main thread (pure).
use super::{Finding, Verdict, tune};
use crate::host::kernel_text::kernel_version;
use crate::host::{Facts, Profile};

const LIMITS: Option<&str> = Some("limits");
const NETWORK: Option<&str> = Some("network");
const CLOCK: Option<&str> = Some("clock");

/// Oldest supported kernel, and the oldest that is tested.
const KERNEL_MIN: (u32, u32) = (5, 8);
const KERNEL_WANTED: (u32, u32) = (6, 1);
/// Locked memory required by glommio, bytes; `io::executor` refuses to start with less.
const LOCKED_MEMORY_MIN_BYTES: u64 = 512 * 1024;
/// Locked memory for several shards, bytes.
const LOCKED_MEMORY_WANTED_BYTES: u64 = 8 << 20;
/// Open files required at startup; `io::executor` refuses to start with less.
const OPEN_FILES_MIN: u64 = 128;
/// Open files for several hundred connections and clients.
const OPEN_FILES_WANTED: u64 = 4096;

pub(super) fn kernel(facts: &Facts) -> Finding {
    let found = Finding::ok("kernel", None, format!("Linux {}", facts.kernel));
    match kernel_version(&facts.kernel) {
        None => Finding::info("kernel", None, "unknown release"),
        Some(version) if version < KERNEL_MIN => {
            found.bad("io_uring needs Linux 5.8 or newer: upgrade the kernel")
        }
        Some(version) => Finding::unless(
            version >= KERNEL_WANTED,
            found,
            "Linux 6.1 or newer has a complete io_uring",
        ),
    }
}

pub(super) fn io_uring(facts: &Facts) -> Finding {
    const STAGE: Option<&str> = Some("io-uring");
    match (&facts.io_uring_fault, facts.io_uring_disabled) {
        (None, None) => Finding::ok("io-uring", STAGE, "works"),
        (None, Some(level)) => {
            Finding::ok("io-uring", STAGE, format!("works, kernel.io_uring_disabled = {level}"))
        }
        (Some(fault), _) => Finding::ok("io-uring", STAGE, format!("refused: {fault}")).bad(
            "sysctl kernel.io_uring_disabled=0, or allow io_uring_setup in the container's seccomp profile",
        ),
    }
}

pub(super) fn locked_memory(facts: &Facts, profile: &Profile) -> Finding {
    let Some(bytes) = facts.locked_memory_bytes else {
        return Finding::ok("locked-memory", LIMITS, "no limit");
    };
    let ok = Finding::ok("locked-memory", LIMITS, format!("{} KiB", bytes / 1024));
    let wanted =
        profile.number("locked_memory_mib").map_or(LOCKED_MEMORY_WANTED_BYTES, |m| m << 20);
    let remedy =
        format!("LimitMEMLOCK={}M in the unit, or ulimit -l {}", wanted >> 20, wanted >> 10);
    if bytes < LOCKED_MEMORY_MIN_BYTES {
        return ok.bad(remedy);
    }
    Finding::unless(bytes >= wanted, ok, remedy)
}

pub(super) fn open_files(facts: &Facts, profile: &Profile) -> Finding {
    let Some(files) = facts.open_files else {
        return Finding::ok("open-files", LIMITS, "no limit");
    };
    let ok = Finding::ok("open-files", LIMITS, files.to_string());
    let wanted = profile.number("open_files").unwrap_or(OPEN_FILES_WANTED);
    let remedy = format!("LimitNOFILE={wanted} in the unit, or ulimit -n {wanted}");
    if files < OPEN_FILES_MIN {
        return ok.bad(remedy);
    }
    Finding::unless(files >= wanted, ok, remedy)
}

pub(super) fn socket_buffers(facts: &Facts, profile: &Profile) -> Finding {
    let (Some(most), Some(tcp)) = (facts.receive_buffer_max, facts.tcp_receive_max) else {
        return Finding::info("socket-buffers", NETWORK, "not reported by the kernel");
    };
    let found = format!("rmem_max {} KiB, tcp_rmem up to {} KiB", most >> 10, tcp >> 10);
    let wanted = profile.number("socket_buffer_max_kib").map(|kib| kib << 10);
    let fine = wanted.is_none_or(|wanted| most >= wanted && tcp >= wanted);
    Finding::unless(fine, Finding::ok("socket-buffers", NETWORK, found), tune("network", profile))
}

pub(super) fn busy_poll(facts: &Facts, profile: &Profile) -> Finding {
    let Some(us) = facts.busy_poll_us else {
        return Finding::info("busy-poll", NETWORK, "not supported by this kernel");
    };
    let found = if us == 0 { "off".to_owned() } else { format!("{us} us") };
    let fine = profile.number("busy_poll_us").is_none_or(|wanted| wanted == us);
    Finding::unless(fine, Finding::ok("busy-poll", NETWORK, found), tune("network", profile))
}

pub(super) fn backlog(facts: &Facts, profile: &Profile) -> Finding {
    let Some(packets) = facts.netdev_backlog else {
        return Finding::info("netdev-backlog", NETWORK, "not reported by the kernel");
    };
    let fine = profile.number("netdev_backlog").is_none_or(|wanted| packets >= wanted);
    let ok = Finding::ok("netdev-backlog", NETWORK, format!("{packets} packets"));
    Finding::unless(fine, ok, tune("network", profile))
}

pub(super) fn slow_start(facts: &Facts, profile: &Profile) -> Finding {
    let Some(on) = facts.slow_start_after_idle else {
        return Finding::info("slow-start", NETWORK, "not reported by the kernel");
    };
    let state = if on { "on" } else { "off" };
    let fine = profile.word("slow_start_after_idle").is_none_or(|wanted| wanted == state);
    let ok = Finding::ok("slow-start", NETWORK, format!("after idle: {state}"));
    Finding::unless(fine, ok, tune("network", profile))
}

pub(super) fn clock_source(facts: &Facts, profile: &Profile) -> Finding {
    let Some(source) = &facts.clock_source else {
        return Finding::info("clock-source", CLOCK, "not reported by the kernel");
    };
    let ok = Finding::ok("clock-source", CLOCK, source.as_str());
    let wanted = profile.word("clock_source").unwrap_or("tsc");
    if !facts.clock_sources.iter().any(|it| it == wanted) {
        let found = format!("{source}; {wanted} is not available");
        return Finding::unless(
            source == "tsc",
            Finding { found, ..ok },
            "the hypervisor or firmware hides the TSC: every timestamp costs more",
        );
    }
    Finding::unless(source == wanted, ok, tune("clock", profile))
}

pub(super) fn tsc(facts: &Facts) -> Finding {
    if facts.cpu_flags.is_empty() {
        return Finding::info("tsc", None, "the processor lists no flags");
    }
    let missing: Vec<&str> =
        ["constant_tsc", "nonstop_tsc"].into_iter().filter(|flag| !facts.has_flag(flag)).collect();
    if missing.is_empty() {
        return Finding::ok("tsc", None, "invariant (constant_tsc, nonstop_tsc)");
    }
    let found = Finding::ok("tsc", None, format!("without {}", missing.join(", ")));
    Finding::unless(
        false,
        found,
        "timestamps fall back to a system call; in a virtual machine, pass the host's processor through",
    )
}

pub(super) fn time_daemon(facts: &Facts) -> Finding {
    let ok = Finding::info(
        "time-daemon",
        None,
        format!(
            "{} runs; check its offset with `chronyc tracking` or `timedatectl`",
            facts.time_daemons.join(", ")
        ),
    );
    let none =
        Finding { found: "none of chrony, ntpd, timesyncd, ptp4l runs".into(), ..ok.clone() };
    if facts.time_daemons.is_empty() {
        return Finding::unless(
            false,
            none,
            "delays against the venue's clock have the error of the local clock: apt install chrony",
        );
    }
    ok
}

pub(super) fn mitigations(facts: &Facts) -> Finding {
    let found = match facts.mitigations.as_slice() {
        [] => "none, or not reported by the kernel".to_owned(),
        all => format!("{} active: {}", all.len(), all.join("; ")),
    };
    Finding::new("mitigations", None, Verdict::Info, found)
}
