//! Texts of `/proc` and `/sys`.
use super::*;

#[test]
fn choices_lists_and_masks() {
    assert_eq!(chosen("always [madvise] never\n"), Some("madvise"));
    assert_eq!(chosen("madvise"), None);
    assert_eq!(cores("0-2,5\n"), Some(vec![0, 1, 2, 5]));
    assert_eq!(cores("\n"), Some(vec![]));
    assert_eq!(cores("(null)"), Some(vec![]));
    assert_eq!(cores("0-"), None);
    assert_eq!(mask("3\n"), Some(vec![0, 1]));
    assert_eq!(mask("1,00000002"), Some(vec![1, 32]));
    assert_eq!(mask("1,x"), None);
    assert_eq!(mask(&"0,".repeat(500)), None);
}

#[test]
fn steal_is_the_eighth_column() {
    let stat = "cpu  10 0 5 80 1 0 1 3 7 0\ncpu0 1 2 3 4 5 6 7 8\n";
    assert_eq!(steal(stat), Some((3, 100)));
    assert_eq!(steal("cpu 1 2 3"), None);
    assert_eq!(steal(""), None);
}

#[test]
fn interrupts_are_counted_between_two_tables() {
    let text = |a: u64, b: u64| {
        format!(
            "       CPU0  CPU3\n 24:  {a}  {b}  PCI-MSI 1-edge  virtio3-rx\n\
             LOC:  5  6  Local timer interrupts\nERR:  0\n 25: 1\n"
        )
    };
    let before = interrupts(&text(10, 20));
    assert_eq!(before.cores, [0, 3]);
    assert_eq!(before.rows.len(), 1, "{before:?}");
    assert_eq!(before.rows[0].device, "virtio3-rx");
    let rated = interrupt_rates(&before, interrupts(&text(10, 30)), 0.5);
    assert_eq!(rated[0].on_cores, [(3, 20.0)]);
    let rated = interrupt_rates(&InterruptTable::default(), before, 10.0);
    assert_eq!(rated[0].on_cores, [(0, 1.0), (3, 2.0)]);
}

#[test]
fn names_values_and_quotas() {
    let text = "processor\t: 0\nmodel name\t: A B\nflags\t\t: x y\n\nmodel name\t: C\n";
    assert_eq!(cpuinfo(text, "model name"), Some("A B"));
    assert_eq!(cpuinfo(text, "model"), None);
    assert_eq!(meminfo("MemTotal:  4 kB\nSwapTotal:  8 kB\n", "SwapTotal"), Some(8192));
    assert_eq!(meminfo("MemTotal:  4 kB\n", "Mem"), None);
    assert_eq!(cpu_max("150000 100000\n"), Some(1.5));
    assert_eq!(cpu_max("max 100000\n"), None);
    assert_eq!(quota(-1, 100_000), None);
    let groups = "4:memory:/a/b\n3:cpu,cpuacct:/c\n0::/d\n";
    assert_eq!(cgroup_path(groups, "cpu"), Some("/c"));
    assert_eq!(cgroup_path(groups, ""), Some("/d"));
    assert_eq!(cgroup_path(groups, "cpuset"), None);
    assert_eq!(kernel_version("6.18.44-fc-v657"), Some((6, 18)));
    assert_eq!(kernel_version("x"), None);
}
