//! The tuning program on a made-up machine, and the doctor on this one.
//!
//! What init changes, fini puts back byte for byte.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files of a machine with four cores, a network card, two interrupts and no cpufreq.
const MACHINE: &[(&str, &str)] = &[
    ("proc/cpuinfo", "flags : fpu hypervisor\n"),
    ("proc/sys/kernel/random/boot_id", "first\n"),
    ("proc/sys/kernel/watchdog_cpumask", "0-3\n"),
    ("proc/sys/kernel/nmi_watchdog", "1\n"),
    ("proc/sys/kernel/numa_balancing", "0\n"),
    ("proc/sys/kernel/io_uring_disabled", "2\n"),
    ("proc/sys/vm/stat_interval", "1\n"),
    ("proc/sys/vm/swappiness", "60\n"),
    ("proc/sys/vm/compaction_proactiveness", "20\n"),
    ("proc/sys/net/core/rmem_max", "212992\n"),
    ("proc/sys/net/core/wmem_max", "99999999\n"),
    ("proc/sys/net/core/netdev_max_backlog", "1000\n"),
    ("proc/sys/net/core/busy_poll", "0\n"),
    ("proc/sys/net/core/busy_read", "0\n"),
    ("proc/sys/net/ipv4/tcp_rmem", "8192\t131072\t6291456\n"),
    ("proc/sys/net/ipv4/tcp_slow_start_after_idle", "1\n"),
    ("proc/sys/fs/nr_open", "1048576\n"),
    ("proc/sys/fs/file-max", "1000\n"),
    ("proc/irq/default_smp_affinity", "f\n"),
    ("proc/irq/24/smp_affinity_list", "0-3\n"),
    ("proc/irq/24/virtio0-input/name", "\n"),
    ("proc/irq/25/smp_affinity_list", "2\n"),
    ("proc/irq/25/effective_affinity_list", "2\n"),
    ("sys/devices/virtual/workqueue/cpumask", "0000000f\n"),
    ("sys/devices/system/cpu/online", "0-3\n"),
    ("sys/devices/system/cpu/isolated", "\n"),
    ("sys/devices/system/cpu/nohz_full", "(null)\n"),
    ("sys/devices/system/cpu/cpu2/cpuidle/state0/name", "POLL\n"),
    ("sys/devices/system/cpu/cpu2/cpuidle/state0/latency", "0\n"),
    ("sys/devices/system/cpu/cpu2/cpuidle/state0/disable", "0\n"),
    ("sys/devices/system/cpu/cpu2/cpuidle/state1/name", "C6\n"),
    ("sys/devices/system/cpu/cpu2/cpuidle/state1/latency", "133\n"),
    ("sys/devices/system/cpu/cpu2/cpuidle/state1/disable", "0\n"),
    ("sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet\n"),
    ("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n"),
    ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
    ("sys/fs/cgroup/system.slice/cpuset.cpus", "\n"),
    ("sys/class/net/eth0/device/vendor", "0x1af4\n"),
    ("sys/class/net/eth0/napi_defer_hard_irqs", "0\n"),
    ("etc/security/limits.d/README", "not ours\n"),
];

const PROFILE: &str = "\
# Shards on 2 and 3.
about=a test
shard_cores=2-3
interrupts=off_shard_cores
governor=performance
idle_latency_max_us=10
transparent_huge_pages=always
compaction_proactiveness=0
swappiness=1
socket_buffer_max_kib=16384
busy_poll_us=50
netdev_backlog=4096
slow_start_after_idle=off
defer_hard_irqs=2
locked_memory_mib=64
open_files=65536
io_uring=on
clock_source=tsc
";

/// Invalid profiles, and how they are reported.
const BAD_PROFILES: &[(&str, &str)] = &[
    ("swappiness", "line 1: expected key=value"),
    ("swappiness = 1", "line 1: expected key=value"),
    ("about=x\nswapiness=1", "line 2: no key swapiness"),
    ("swappiness=1\nswappiness=2", "line 2: swappiness is given twice"),
    ("swappiness=$(id)", "line 1: swappiness does not take this value"),
    ("swappiness=1;id", "does not take this value"),
    ("swappiness=-1", "does not take this value"),
    ("swappiness=1234", "does not take this value"),
    ("governor=../../etc", "does not take this value"),
    ("shard_cores=3-2", "shard_cores takes a list"),
    ("shard_cores=2-", "shard_cores takes a list"),
    ("limits_user=root x", "does not take this value"),
];

struct Machine {
    dir: tempfile::TempDir,
}

struct Answer {
    code: i32,
    out: String,
    err: String,
}

impl Answer {
    /// The line of a report about this setting.
    fn line(&self, name: &str) -> &str {
        let mut lines = self.out.lines().filter(|line| line.get(10..).is_some());
        let found = lines.find(|line| line[10..].starts_with(name));
        found.unwrap_or_else(|| panic!("no line `{name}` in\n{}\n{}", self.out, self.err))
    }

    fn assert_line(&self, name: &str, verdict: &str, text: &str) {
        let line = self.line(name);
        assert_eq!(line[2..10].trim(), verdict, "{line}");
        assert!(line.contains(text), "{line}: no `{text}`");
    }
}

fn tune(arguments: &[&str]) -> Answer {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning/tune");
    let output = Command::new("bash").arg(program).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Answer {
        code: output.status.code().unwrap(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

impl Machine {
    fn new() -> Self {
        let machine = Self { dir: tempfile::tempdir().unwrap() };
        for (file, text) in MACHINE {
            let path = machine.path(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        machine
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join("root").join(file)
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).unwrap()
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path(file), text).unwrap();
    }

    fn profile(&self, text: &str) -> String {
        let file = self.dir.path().join("test.profile");
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Runs the program and then does what a kernel does to a choice: brackets around the chosen.
    fn tune(&self, action: &str, more: &[&str]) -> Answer {
        let (root, state) = (self.path(""), self.state());
        let mut arguments = vec![action, "--root", root.to_str().unwrap()];
        arguments.extend(["--state", state.to_str().unwrap()]);
        arguments.extend(more);
        let answer = tune(&arguments);
        let choice = "sys/kernel/mm/transparent_hugepage/enabled";
        let chosen = self.read(choice);
        if !chosen.contains('[') {
            let chosen = chosen.trim_end();
            let options = "always madvise never".replace(chosen, &format!("[{chosen}]"));
            self.write(choice, &format!("{options}\n"));
        }
        answer
    }

    /// Every file with its bytes.
    fn image(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut image = BTreeMap::new();
        let mut left = vec![self.path("")];
        while let Some(path) = left.pop() {
            if path.is_dir() {
                let entries = std::fs::read_dir(&path).unwrap();
                left.extend(entries.map(|entry| entry.unwrap().path()));
            } else {
                image.insert(path.clone(), std::fs::read(path).unwrap());
            }
        }
        image
    }
}

#[test]
fn init_changes_what_check_lists_and_fini_restores_every_byte() {
    let machine = Machine::new();
    let profile = machine.profile(PROFILE);
    let before = machine.image();
    let check = machine.tune("check", &["--profile", &profile]);
    assert_eq!(check.code, 1, "{}", check.err);
    assert_eq!(machine.image(), before, "check changes nothing");
    assert!(!machine.state().exists(), "and keeps nothing");
    check.assert_line("swappiness", "differs", "60, wanted at most 1");
    check.assert_line("largest send buffer", "ok", "99999999");
    check.assert_line("governor", "-", "no cpufreq here");
    check.assert_line("isolated cores", "boot", "wanted 2-3");
    assert!(check.out.contains("isolcpus=domain,managed_irq,2-3 nohz_full=2-3 rcu_nocbs=2-3"));

    let init = machine.tune("init", &["--profile", &profile]);
    // What needs a start of the machine stays open.
    assert_eq!(init.code, 1, "{}", init.err);
    init.assert_line("kernel workers", "set", "0-3 -> 0-1");
    init.assert_line("interrupt 24 (virtio0-input)", "set", "0-3 -> 0-1");
    init.assert_line("core 2 sleeps not in C6", "set", "0 -> 1");
    assert!(!init.out.contains("sleeps not in POLL"));
    let saved = machine.state().join("irq-affinity/+proc+irq+25+smp_affinity_list/effective");
    assert_eq!(std::fs::read_to_string(saved).unwrap(), "2\n", "the core, not only the mask");
    assert!(init.out.contains("\nclock: fully configured\n"), "{}", init.out);
    assert!(init.out.contains("cpu-isolation: partly configured"), "{}", init.out);
    for (file, text) in [
        ("sys/devices/virtual/workqueue/cpumask", "3\n"),
        ("proc/irq/default_smp_affinity", "3\n"),
        ("proc/irq/25/smp_affinity_list", "0-1\n"),
        ("proc/sys/kernel/watchdog_cpumask", "0-1\n"),
        ("proc/sys/kernel/io_uring_disabled", "0\n"),
        ("proc/sys/net/core/wmem_max", "99999999\n"),
        // Each field at least what is wanted: what was larger stays.
        ("proc/sys/net/ipv4/tcp_rmem", "8192 131072 16777216\n"),
        ("sys/class/net/eth0/napi_defer_hard_irqs", "2\n"),
        ("sys/fs/cgroup/system.slice/cpuset.cpus", "0-1\n"),
        ("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n"),
        ("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"),
    ] {
        assert_eq!(machine.read(file), text, "{file}");
    }
    let limits = machine.read("etc/security/limits.d/60-ringbook.conf");
    assert!(limits.ends_with("ringbook - nofile 65536\nringbook - memlock 65536\n"), "{limits}");

    // Twice is once: nothing left to do, and what was there first stays what is put back.
    let tuned = machine.image();
    let again = machine.tune("init", &["--profile", &profile]);
    assert!(!again.out.contains("  set "), "{}", again.out);
    let other = machine.profile(&PROFILE.replace("swappiness=1", "swappiness=0"));
    let other = machine.tune("init", &["--profile", &other, "huge-pages"]);
    other.assert_line("swappiness", "set", "1 -> 0");
    assert_ne!(machine.image(), tuned);

    let fini = machine.tune("fini", &[]);
    assert_eq!(fini.code, 0, "{}\n{}", fini.out, fini.err);
    fini.assert_line("swappiness", "back", "0 -> 60");
    assert_eq!(machine.image(), before);
    assert!(!machine.state().exists(), "no saved state is left");
    let fini = machine.tune("fini", &[]);
    assert_eq!(fini.code, 0);
    assert!(fini.out.contains("clock: nothing was changed here"), "{}", fini.out);
}

#[test]
fn one_stage_is_one_stage() {
    let machine = Machine::new();
    let profile = machine.profile(PROFILE);
    let before = machine.image();
    let init = machine.tune("init", &["--profile", &profile, "clock", "io-uring"]);
    assert_eq!(init.code, 0, "{}{}", init.out, init.err);
    let changed: Vec<_> = machine.image().into_iter().filter(|it| before[&it.0] != it.1).collect();
    assert_eq!(changed.len(), 2, "{changed:?}");
    assert_eq!(machine.tune("fini", &["clock"]).code, 0);
    assert_eq!(machine.read("proc/sys/kernel/io_uring_disabled"), "0\n");
    assert_eq!(machine.tune("fini", &[]).code, 0);
    assert_eq!(machine.image(), before);
}

#[test]
fn what_the_kernel_refuses_is_reported_and_stops_nothing() {
    let machine = Machine::new();
    let profile = machine.profile(PROFILE);
    // What is no file cannot be read; a kernel file that is read-only even for root.
    let (no_file, not_to_be_written) = (
        machine.path("proc/irq/24/smp_affinity_list"),
        machine.path("proc/sys/net/core/busy_poll"),
    );
    std::fs::remove_file(&no_file).unwrap();
    std::fs::create_dir(&no_file).unwrap();
    std::fs::remove_file(&not_to_be_written).unwrap();
    std::os::unix::fs::symlink("/proc/version", &not_to_be_written).unwrap();
    std::fs::remove_file(machine.path("proc/sys/vm/swappiness")).unwrap();
    let before = machine.image();
    let init = machine.tune("init", &["--profile", &profile]);
    assert_eq!(init.code, 1);
    init.assert_line("interrupt 24", "fault", "cannot be read: /proc/irq/24/smp_affinity_list");
    init.assert_line("interrupt 25", "set", "2 -> 0-1");
    init.assert_line("busy poll of epoll", "fault", "stays Linux version");
    init.assert_line("busy poll of reads", "set", "0 -> 50");
    init.assert_line("swappiness", "-", "not here");
    assert!(init.out.contains("irq-affinity: partly configured, 2 of 3"), "{}", init.out);
    assert_eq!(machine.tune("fini", &[]).code, 0);
    assert_eq!(machine.image(), before);
}

#[test]
fn a_change_of_somebody_else_is_not_undone_unasked() {
    let machine = Machine::new();
    let profile = machine.profile(PROFILE);
    machine.tune("init", &["--profile", &profile]);
    machine.write("proc/irq/25/smp_affinity_list", "3\n");
    let fini = machine.tune("fini", &[]);
    assert_eq!(fini.code, 1);
    fini.assert_line("interrupt 25", "left", "0-1 -> 3; it was 2");
    assert_eq!(machine.read("proc/irq/25/smp_affinity_list"), "3\n");
    assert_eq!(machine.read("proc/irq/24/smp_affinity_list"), "0-3\n");
    let forced = machine.tune("fini", &["--force"]);
    assert_eq!(forced.code, 0, "{}", forced.out);
    assert_eq!(machine.read("proc/irq/25/smp_affinity_list"), "2\n");
}

#[test]
fn after_a_start_of_the_machine_only_files_are_put_back() {
    let machine = Machine::new();
    let profile = machine.profile(PROFILE);
    machine.tune("init", &["--profile", &profile]);
    machine.write("proc/sys/kernel/random/boot_id", "second\n");
    machine.write("proc/irq/25/smp_affinity_list", "1\n");
    let fini = machine.tune("fini", &[]);
    assert_eq!(fini.code, 0, "{}", fini.out);
    fini.assert_line("interrupt 25", "gone", "started anew");
    fini.assert_line("limits of logins", "back", "removed");
    assert_eq!(machine.read("proc/irq/25/smp_affinity_list"), "1\n");
    assert!(!machine.path("etc/security/limits.d/60-ringbook.conf").exists());
}

#[test]
fn a_drop_in_that_was_there_is_put_back() {
    let machine = Machine::new();
    let profile = machine.profile(PROFILE);
    let file = "etc/security/limits.d/60-ringbook.conf";
    machine.write(file, "mine, without an end of line");
    machine.tune("init", &["--profile", &profile, "limits"]);
    assert!(machine.read(file).contains("ringbook - nofile 65536"));
    assert_eq!(machine.tune("fini", &[]).code, 0);
    assert_eq!(machine.read(file), "mine, without an end of line");
}

#[test]
fn bad_profiles_are_refused_before_anything_changes() {
    let machine = Machine::new();
    let before = machine.image();
    let marker = machine.dir.path().join("executed");
    let touch = format!("about=$(touch {})", marker.display());
    for (text, why) in BAD_PROFILES.iter().copied().chain([
        ("shard_cores=2-9", "shard core 4 is not online here (0-3)"),
        ("shard_cores=0-3", "leaves no core for anything else"),
    ]) {
        let profile = machine.profile(text);
        for action in ["check", "init"] {
            let answer = machine.tune(action, &["--profile", &profile]);
            assert_eq!(answer.code, 2, "{text}: {}", answer.out);
            assert!(answer.err.contains(why), "{text}: {}", answer.err);
        }
    }
    let answer = machine.tune("check", &["--profile", &machine.profile(&touch)]);
    assert!(answer.out.contains("$(touch"), "{}", answer.out);
    assert!(!marker.exists(), "a profile is never executed");
    for (arguments, why) in [
        (&["--profile", "/no/such"][..], "no such file"),
        (&["--profile", "no-such"], "no profile no-such"),
        (&[], "init needs --profile"),
        (&["--profile", "vm-2", "no-such"], "no stage no-such"),
        (&["--profile"], "--profile needs a value"),
        (&["--what"], "unknown flag --what"),
    ] {
        let answer = machine.tune("init", arguments);
        assert_eq!(answer.code, 2, "{arguments:?}: {}", answer.out);
        assert!(answer.err.contains(why), "{arguments:?}: {}", answer.err);
    }
    assert_eq!(machine.image(), before);
    assert!(!machine.state().exists());
}

#[test]
fn a_state_directory_leads_nowhere_else() {
    let machine = Machine::new();
    let profile = machine.profile(PROFILE);
    machine.tune("init", &["--profile", &profile, "clock"]);
    let target = machine.path("etc/passwd");
    std::fs::write(&target, "root\n").unwrap();
    let stage = machine.state().join("clock");
    let entry = std::fs::read_dir(&stage).unwrap().next().unwrap().unwrap().path();
    for path in ["/etc/passwd", "/sys/../etc/passwd", "/sys/a b", "relative"] {
        std::fs::write(entry.join("path"), format!("{path}\n")).unwrap();
        let fini = machine.tune("fini", &["--force"]);
        assert_eq!(fini.code, 1, "{path}: {}", fini.out);
        fini.assert_line("clock source", "fault", "is damaged");
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "root\n");
    }
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(machine.state(), open).unwrap();
    let fini = machine.tune("fini", &[]);
    assert_eq!(fini.code, 2);
    assert!(fini.err.contains("can be written by others"), "{}", fini.err);
}

#[test]
fn every_stage_and_profile_is_listed() {
    let answer = tune(&["list"]);
    assert_eq!((answer.code, answer.err.as_str()), (0, ""));
    for name in ["cpu-isolation", "clock", "laptop", "vm-2", "server-32"] {
        assert!(answer.out.lines().any(|line| line.trim().starts_with(name)), "{}", answer.out);
    }
}

fn doctor(arguments: &[&str]) -> Answer {
    let program = env!("CARGO_BIN_EXE_ringbook");
    let output = Command::new(program).arg("doctor").args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Answer {
        code: output.status.code().unwrap(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// Names of the stages, as `tune list` prints them.
fn stages() -> Vec<String> {
    let list = tune(&["list"]).out;
    let lines = list.lines().skip(1).take_while(|line| line.starts_with(' '));
    lines.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn the_doctor_judges_this_host_and_knows_every_stage() {
    let answer = doctor(&["--json"]);
    let report: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    let settings = report["settings"].as_array().unwrap();
    let mut counts = BTreeMap::from([("ok", 0), ("info", 0), ("warn", 0), ("bad", 0)]);
    for setting in settings {
        let text = |key: &str| setting[key].as_str().unwrap();
        *counts.get_mut(text("verdict")).unwrap() += 1;
        assert!(!text("setting").is_empty() && !text("found").is_empty(), "{setting}");
        let open = matches!(text("verdict"), "warn" | "bad");
        assert_eq!(open, !text("remedy").is_empty(), "{setting}");
    }
    for verdict in ["ok", "warn", "bad"] {
        assert_eq!(report[verdict].as_u64().unwrap(), counts[verdict], "{verdict}: {report}");
    }
    assert_eq!(answer.code, i32::from(counts["bad"] > 0), "{report}");
    let judged: Vec<&str> = settings.iter().filter_map(|it| it["stage"].as_str()).collect();
    let stages = stages();
    assert!(stages.len() >= 8, "{stages:?}");
    for stage in &stages {
        assert!(judged.contains(&stage.as_str()), "no setting of the stage {stage}");
    }
    for stage in judged {
        assert!(stages.iter().any(|it| it == stage), "there is no stage {stage}");
    }

    let answer = doctor(&[]);
    for setting in settings {
        let name = setting["setting"].as_str().unwrap();
        let line =
            answer.out.lines().find(|line| line.get(6..).is_some_and(|it| it.starts_with(name)));
        assert!(line.is_some(), "no line of {name} in\n{}", answer.out);
    }
    assert!(!answer.out.contains('\x1b'), "colours are for terminals");
    // Both choose the same profile for this host.
    let profile = report["profile"].as_str().unwrap();
    let check = tune(&["check"]);
    assert!(
        check.out.starts_with(&format!("profile {profile} (chosen by the host)")),
        "{}",
        check.out
    );
}

#[test]
fn the_doctor_refuses_what_the_tuning_program_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.profile");
    for (text, why) in BAD_PROFILES {
        std::fs::write(&file, text).unwrap();
        let answer = doctor(&["--profile", file.to_str().unwrap()]);
        assert_eq!(answer.code, 2, "{text}: {}", answer.out);
        assert!(answer.err.contains(why), "{text}: {}", answer.err);
    }
    std::fs::write(&file, PROFILE).unwrap();
    let answer = doctor(&["--profile", file.to_str().unwrap(), "--json"]);
    assert_ne!(answer.code, 2, "{}", answer.err);
    for (name, why) in
        [("no-such", "there are laptop, vm-2, server-32"), ("./no-such", "cannot be read")]
    {
        let answer = doctor(&["--profile", name]);
        assert_eq!(answer.code, 2);
        assert!(answer.err.contains(why), "{}", answer.err);
    }
}

#[test]
fn the_unit_has_the_limits_of_the_profiles() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning");
    let unit = std::fs::read_to_string(folder.join("ringbook.service")).unwrap();
    for name in ["vm-2", "server-32"] {
        let profile = folder.join(format!("profiles/{name}.profile"));
        let profile = std::fs::read_to_string(profile).unwrap();
        let value = |key: &str| {
            let value = profile.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            value.unwrap_or_else(|| panic!("{name} has no {key}"))
        };
        for line in [
            format!("LimitMEMLOCK={}M", value("locked_memory_mib")),
            format!("LimitNOFILE={}", value("open_files")),
        ] {
            assert!(unit.lines().any(|it| it == line), "{name}: the unit has no {line}");
        }
    }
}
