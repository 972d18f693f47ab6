//! Cores: availability, interruptions, power states.
//!
//! Runs on:  main thread (pure).
use super::{Finding, tune};
use crate::host::{Facts, Profile};
use crate::topology::format_cores;

const ISOLATION: Option<&str> = Some("cpu-isolation");
const POWER: Option<&str> = Some("cpu-power");

/// Steal time that affects the highest percentiles, percent.
const STEAL_WARN_PERCENT: f64 = 1.0;
/// Interrupts per second on a shard's core from which a warning is given.
const INTERRUPTS_WARN: f64 = 10.0;

/// Shard cores: those of the profile, or else of the layout.
fn shard_cores<'f>(facts: &'f Facts, profile: &'f Profile) -> &'f [u32] {
    if !profile.shard_cores.is_empty() {
        return &profile.shard_cores;
    }
    facts.layout.as_ref().map_or(&[], |layout| &layout.shard_cores)
}

fn within(inner: &[u32], outer: &[u32]) -> bool {
    inner.iter().all(|core| outer.contains(core))
}

pub(super) fn cores(facts: &Facts, profile: &Profile) -> Finding {
    let usable = facts.usable.len();
    let mut found =
        format!("{usable} of {} online ({})", facts.online.len(), format_cores(&facts.usable));
    let Some(layout) = &facts.layout else {
        return Finding::ok("cores", ISOLATION, found).bad(
            "the layout does not fit: run `ringbook topology` with the same flags for the reason",
        );
    };
    found += &format!(", {} threads", layout.threads);
    let shut = facts.isolated.iter().filter(|core| !facts.usable.contains(core)).count();
    if shut > 0 {
        let all = format_cores(&facts.online);
        let found = format!("{found}; {shut} isolated cores are not usable");
        return Finding::unless(
            false,
            Finding::ok("cores", ISOLATION, found),
            format!("isolated cores must be listed: CPUAffinity={all} or taskset -c {all}"),
        );
    }
    let apart = &profile.shard_cores;
    if !apart.is_empty() && !within(&layout.shard_cores, apart) {
        let found = format!("{found}, shards on {}", format_cores(&layout.shard_cores));
        return Finding::unless(
            false,
            Finding::ok("cores", ISOLATION, found),
            format!("the profile reserves others: --shard-cores {}", format_cores(apart)),
        );
    }
    Finding::unless(
        usable >= layout.threads,
        Finding::ok("cores", ISOLATION, found),
        "threads share cores: keep --idle park, or add cores",
    )
}

pub(super) fn cpu_quota(facts: &Facts) -> Finding {
    let Some(quota) = facts.cpu_quota else {
        return Finding::ok("cpu-quota", None, "none");
    };
    let busy = facts
        .layout
        .as_ref()
        .map_or(0, |layout| if layout.spins { layout.shard_cores.len() } else { 1 });
    let fine = quota >= facts.usable.len() as f64;
    let found = format!("{quota:.2} cores of {}", facts.usable.len());
    let ok = Finding::ok("cpu-quota", None, found);
    if quota < busy as f64 {
        return Finding::unless(
            false,
            ok,
            "a spinning shard exhausts the quota and is throttled: remove the quota (no quota), or use --idle park",
        );
    }
    Finding::unless(
        fine,
        ok,
        "a thread that exhausts it is throttled: CPUQuota= empty, cpu.max = max",
    )
}

pub(super) fn isolation(facts: &Facts, profile: &Profile) -> Finding {
    let wanted = &profile.shard_cores;
    let isolated = match facts.isolated.as_slice() {
        [] => "no core isolated".to_owned(),
        cores => format!("{} isolated", format_cores(cores)),
    };
    let tick = match &facts.nohz_full {
        None => "kernel without nohz_full".to_owned(),
        Some(cores) if cores.is_empty() => "all with a tick".to_owned(),
        Some(cores) => format!("{} without a tick", format_cores(cores)),
    };
    let ok = Finding::ok("isolation", ISOLATION, format!("{isolated}, {tick}"));
    let fine = within(wanted, &facts.isolated)
        && facts.nohz_full.as_ref().is_none_or(|cores| within(wanted, cores));
    let list = format_cores(wanted);
    let tick = facts.nohz_full.as_ref().map(|_| format!(" nohz_full={list} rcu_nocbs={list}"));
    let tick = tick.unwrap_or_default();
    Finding::unless(
        fine,
        ok,
        format!("kernel command line: isolcpus=domain,managed_irq,{list}{tick}"),
    )
}

pub(super) fn kernel_workers(facts: &Facts, profile: &Profile) -> Finding {
    let Some(cores) = &facts.worker_cores else {
        return Finding::info("kernel-workers", ISOLATION, "not reported by the kernel");
    };
    let fine = !profile.shard_cores.iter().any(|core| cores.contains(core));
    let ok = Finding::ok("kernel-workers", ISOLATION, format!("on cores {}", format_cores(cores)));
    Finding::unless(fine, ok, tune("cpu-isolation", profile))
}

pub(super) fn interrupts(facts: &Facts, profile: &Profile) -> Finding {
    const STAGE: Option<&str> = Some("irq-affinity");
    let shards = shard_cores(facts, profile);
    if facts.interrupts.is_empty() {
        return Finding::info("interrupts", STAGE, "the kernel lists no device interrupts");
    }
    let on_shards = |cores: &[(u32, f64)]| -> f64 {
        cores.iter().filter(|(core, _)| shards.contains(core)).map(|(_, rate)| rate).sum()
    };
    let mut busy: Vec<(f64, &str)> = (facts.interrupts.iter())
        .map(|it| (on_shards(&it.on_cores), it.device.as_str()))
        .filter(|(rate, _)| *rate > 0.0)
        .collect();
    busy.sort_by(|a, b| b.0.total_cmp(&a.0));
    let total = busy.iter().fold(0.0, |total, (rate, _)| total + rate);
    let who = busy.first().map_or(String::new(), |(_, device)| format!(", most of {device}"));
    let on = format_cores(shards);
    let ok = Finding::ok("interrupts", STAGE, format!("{total:.0}/s on shard cores {on}{who}"));
    if profile.word("interrupts").is_none() {
        return Finding::info("interrupts", STAGE, ok.found);
    }
    Finding::unless(total < INTERRUPTS_WARN, ok, tune("irq-affinity", profile))
}

pub(super) fn governor(facts: &Facts, profile: &Profile) -> Finding {
    if facts.governors.is_empty() {
        return Finding::info("governor", POWER, "no cpufreq here: the hypervisor decides");
    }
    let found = facts.governors.join(", ");
    let ok = Finding::ok("governor", POWER, found);
    let wanted = profile.word("governor");
    let fine = wanted.is_none_or(|wanted| facts.governors.iter().all(|it| it == wanted));
    Finding::unless(fine, ok, tune("cpu-power", profile))
}

pub(super) fn idle_states(facts: &Facts, profile: &Profile) -> Finding {
    let open = facts.idle_states.iter().filter(|state| !state.disabled);
    let Some(deepest) = open.max_by_key(|state| state.latency_us) else {
        return Finding::info("idle-states", POWER, "no cpuidle here: the hypervisor decides");
    };
    let found = format!("deepest {}, {} us to wake up", deepest.name, deepest.latency_us);
    let bound = profile.number("idle_latency_max_us");
    let fine = bound.is_none_or(|bound| deepest.latency_us <= bound);
    Finding::unless(fine, Finding::ok("idle-states", POWER, found), tune("cpu-power", profile))
}

pub(super) fn halt_polling(facts: &Facts, profile: &Profile) -> Finding {
    let Some(ns) = facts.halt_poll_ns else {
        let why =
            if facts.is_virtual() { "no haltpoll driver" } else { "only for virtual machines" };
        return Finding::info("halt-polling", POWER, why);
    };
    let found = if ns == 0 {
        "off: idle time goes to the hypervisor at once".to_owned()
    } else {
        format!("up to {} us before a halt", ns / 1000)
    };
    let fine = profile.number("halt_poll_us").is_none_or(|wanted| wanted * 1000 == ns);
    Finding::unless(fine, Finding::ok("halt-polling", POWER, found), tune("cpu-power", profile))
}

pub(super) fn steal(facts: &Facts) -> Finding {
    let Some(steal) = facts.steal else {
        return Finding::info("steal", None, "not reported by the kernel");
    };
    let window = match steal.window_ms {
        0 => "since boot".to_owned(),
        ms => format!("in {:.1} s", ms as f64 / 1e3),
    };
    let ok = Finding::ok("steal", None, format!("{:.2} % {window}", steal.percent));
    Finding::unless(
        steal.percent < STEAL_WARN_PERCENT,
        ok,
        "other guests use the processor: use a dedicated host; measurements are too slow",
    )
}

pub(super) fn load(facts: &Facts) -> Finding {
    let Some(load) = facts.load else {
        return Finding::info("load", None, "not reported by the kernel");
    };
    let cores = facts.online.len();
    let ok = Finding::ok("load", None, format!("{load:.2} on {cores} cores, last minute"));
    Finding::unless(
        load < (cores as f64 / 2.0).max(1.0),
        ok,
        "other programs are running: measurements are too slow; `top` lists them",
    )
}
