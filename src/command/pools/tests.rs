//! Columns and lines of services.
use super::*;

#[test]
fn columns_stand_under_each_other() {
    let row = |name: &str, probe_ns: Option<u64>, error: Option<&str>| Row {
        name: name.to_owned(),
        kind: "http",
        address: "http://127.0.0.1:1".to_owned(),
        up: error.is_none(),
        connect_ns: Some(12_345_678),
        probe_ns,
        error: error.map(str::to_owned),
    };
    let rows = [row("a", Some(1_250_000), None), row("longer", None, Some("no answer"))];
    let expected = "\
service  kind  address             health  connect   probe
a        http  http://127.0.0.1:1  up      12.3 ms  1.2 ms
longer   http  http://127.0.0.1:1  down    12.3 ms       -  no answer
";
    assert_eq!(table(&rows), expected);
}

#[test]
fn statistics_have_a_line_per_service() {
    let mut report =
        ServiceReport { service: "litellm".into(), kind: "http", ..Default::default() };
    (report.requests, report.failed, report.opened, report.reuse_rate) = (1200, 3, 20, 0.98);
    (report.request.count, report.request.p50_ns, report.request.p99_ns) =
        (1200, 1_500_000, 9_000_000);
    let idle = ServiceReport { service: "rvc".into(), kind: "http", ..Default::default() };
    let expected = "\
service  kind  health   requests  failed  repeated  opened  reused     p50     p99
litellm  http  unknown      1200       3         0      20    98 %  1.5 ms  9.0 ms
rvc      http  unknown         0       0         0       0     0 %       -       -
";
    assert_eq!(statistics(&[report, idle]), expected);
}
