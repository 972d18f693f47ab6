//! Findings for constructed hosts.
use super::facts::Layout;
use super::kernel_text::{IdleState, Interrupt};
use super::show::{can_run, report, summary, table};
use super::{Facts, Finding, Profile, Share, Verdict, judge};

/// A host that satisfies `server-32`.
fn tuned() -> Facts {
    let shards: Vec<u32> = (2..32).collect();
    Facts {
        cpu_model: "Test 9000".into(),
        cpu_flags: ["constant_tsc", "nonstop_tsc"].map(String::from).to_vec(),
        kernel: "6.18.44".into(),
        online: (0..32).collect(),
        usable: (0..32).collect(),
        isolated: shards.clone(),
        nohz_full: Some(shards.clone()),
        worker_cores: Some(vec![0, 1]),
        layout: Some(Layout { shard_cores: shards, threads: 32, spins: true }),
        steal: Some(Share { percent: 0.0, window_ms: 500 }),
        load: Some(0.3),
        interrupts: vec![Interrupt {
            number: 24,
            device: "eth0".into(),
            counts: vec![],
            on_cores: vec![(0, 5000.0)],
        }],
        governors: vec!["performance".into()],
        idle_states: vec![
            IdleState { name: "C1".into(), latency_us: 2, disabled: false },
            IdleState { name: "C6".into(), latency_us: 133, disabled: true },
        ],
        transparent_huge_pages: Some("madvise".into()),
        swap_bytes: Some((0, 0)),
        receive_buffer_max: Some(16 << 20),
        tcp_receive_max: Some(16 << 20),
        busy_poll_us: Some(50),
        netdev_backlog: Some(16_384),
        slow_start_after_idle: Some(false),
        io_uring_disabled: Some(0),
        locked_memory_bytes: Some(64 << 20),
        open_files: Some(65_536),
        clock_source: Some("tsc".into()),
        clock_sources: vec!["tsc".into(), "hpet".into()],
        time_daemons: vec!["chronyd".into()],
        numa_nodes: 1,
        ..Facts::default()
    }
}

fn server() -> Profile {
    Profile::ours("server-32").unwrap()
}

fn find<'f>(findings: &'f [Finding], setting: &str) -> &'f Finding {
    findings.iter().find(|it| it.setting == setting).unwrap_or_else(|| panic!("no {setting}"))
}

#[test]
fn a_tuned_host_has_no_remedies() {
    let findings = judge(&tuned(), &server());
    for finding in &findings {
        assert!(finding.verdict <= Verdict::Info, "{finding:?}");
        assert!(finding.remedy.is_empty(), "{finding:?}");
    }
    assert!(find(&findings, "interrupts").found.starts_with("0/s on shard cores 2-31"));
    assert!(can_run(&findings));
    let line = summary(&tuned(), &server(), &findings);
    assert!(line.starts_with("Test 9000, 32 own cores, Linux 6.18.44, clock tsc"), "{line}");
    assert!(!line.contains("warn") && !line.contains('\n'), "{line}");
}

/// A degradation, the setting concerned, its verdict, and a part of the remedy.
type Worse = (fn(&mut Facts), &'static str, Verdict, &'static str);

#[test]
fn each_fault_is_reported_by_its_setting_only() {
    use Verdict::{Bad, Warn};
    let worse: &[Worse] = &[
        (|f| f.kernel = "5.4.0".into(), "kernel", Bad, "upgrade"),
        (|f| f.kernel = "5.10.1".into(), "kernel", Warn, "6.1"),
        (
            |f| f.io_uring_fault = Some("not permitted".into()),
            "io-uring",
            Bad,
            "io_uring_disabled=0",
        ),
        (|f| f.locked_memory_bytes = Some(64 << 10), "locked-memory", Bad, "LimitMEMLOCK=64M"),
        (|f| f.locked_memory_bytes = Some(8 << 20), "locked-memory", Warn, "ulimit -l 65536"),
        (|f| f.open_files = Some(100), "open-files", Bad, "LimitNOFILE=65536"),
        (|f| f.open_files = Some(1024), "open-files", Warn, "ulimit -n 65536"),
        (|f| f.layout = None, "cores", Bad, "topology"),
        (|f| f.usable = (0..16).collect(), "cores", Warn, "CPUAffinity=0-31"),
        (|f| f.layout.as_mut().unwrap().shard_cores = vec![1], "cores", Warn, "--shard-cores 2-31"),
        (|f| f.cpu_quota = Some(2.0), "cpu-quota", Warn, "no quota"),
        (
            |f| f.isolated.clear(),
            "isolation",
            Warn,
            "isolcpus=domain,managed_irq,2-31 nohz_full=2-31",
        ),
        (|f| f.worker_cores = Some((0..32).collect()), "kernel-workers", Warn, "cpu-isolation"),
        (|f| f.interrupts[0].on_cores = vec![(2, 50.0)], "interrupts", Warn, "irq-affinity"),
        (|f| f.governors.push("powersave".into()), "governor", Warn, "cpu-power"),
        (|f| f.idle_states[1].disabled = false, "idle-states", Warn, "cpu-power"),
        (|f| f.steal = Some(Share { percent: 3.0, window_ms: 0 }), "steal", Warn, "dedicated"),
        (|f| f.load = Some(20.0), "load", Warn, "top"),
        (|f| f.transparent_huge_pages = Some("never".into()), "huge-pages", Warn, "huge-pages"),
        (|f| f.swap_bytes = Some((1 << 20, 1 << 30)), "swap", Warn, "swapoff"),
        (|f| f.memory_max_bytes = Some(1 << 20), "memory-bound", Warn, "MemoryMax"),
        (|f| f.receive_buffer_max = Some(212_992), "socket-buffers", Warn, "network"),
        (|f| f.busy_poll_us = Some(0), "busy-poll", Warn, "network"),
        (|f| f.netdev_backlog = Some(1000), "netdev-backlog", Warn, "network"),
        (|f| f.slow_start_after_idle = Some(true), "slow-start", Warn, "network"),
        (|f| f.clock_source = Some("hpet".into()), "clock-source", Warn, "clock"),
        (|f| f.cpu_flags.truncate(1), "tsc", Warn, "system call"),
        (|f| f.time_daemons.clear(), "time-daemon", Warn, "chrony"),
    ];
    for (change, setting, verdict, remedy) in worse {
        let mut facts = tuned();
        change(&mut facts);
        let findings = judge(&facts, &server());
        let finding = find(&findings, setting);
        assert_eq!(finding.verdict, *verdict, "{finding:?}");
        assert!(finding.remedy.contains(remedy), "{finding:?}");
        assert!(!finding.remedy.contains('\n') && !finding.found.is_empty(), "{finding:?}");
        let others: Vec<_> = (findings.iter())
            .filter(|it| it.setting != *setting && it.verdict > Verdict::Info)
            .collect();
        assert!(others.is_empty(), "{setting}: {others:?}");
        assert_eq!(can_run(&findings), *verdict != Bad);
    }
}

#[test]
fn unknown_facts_give_no_warning() {
    let silent = Facts { layout: Some(Layout::default()), ..Facts::default() };
    let laptop = Profile::ours("laptop").unwrap();
    let findings = judge(&silent, &laptop);
    for finding in findings.iter().filter(|it| it.setting != "time-daemon") {
        assert!(finding.verdict <= Verdict::Info, "{finding:?}");
    }
    assert_eq!(findings.len(), judge(&tuned(), &server()).len(), "always the same settings");
}

#[test]
fn a_table_is_aligned_and_colored_on_request() {
    let mut facts = tuned();
    facts.open_files = Some(100);
    let findings = judge(&facts, &server());
    let plain = table(&findings, false);
    assert_eq!(plain.lines().count(), findings.len());
    assert!(!plain.contains('\x1b'));
    assert!(plain.contains("bad   open-files      100  -> LimitNOFILE=65536"), "{plain}");
    assert!(table(&findings, true).contains("\x1b[31mbad \x1b[0m  open-files"));
    let profile = server();
    let report = report(&facts, &profile, &findings);
    assert_eq!((report.bad, report.warn), (1, 0));
    assert_eq!(report.profile, "server-32");
    assert!(report.summary.ends_with("1 bad (open-files)"), "{}", report.summary);
}
