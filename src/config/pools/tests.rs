//! The example, files with faults, and values.
use super::*;

fn faults(text: &str) -> Vec<String> {
    parse(text).expect_err("it is wrong").0
}

#[test]
fn the_example_has_the_presets() {
    let services = parse(EXAMPLE).unwrap();
    let of = |name: &str| services.iter().find(|service| service.name == name).unwrap();
    let row = |name: &str| {
        let Service { kind, limits, .. } = of(name);
        let s = |ns: u64| ns / SECOND_NS;
        let (idle, connect) = (s(limits.idle_timeout_ns), s(limits.connect_timeout_ns));
        (kind.name(), limits.max, limits.min, s(limits.health_interval_ns), idle, connect)
    };
    assert_eq!(row("comfyui"), ("ws", 5, 1, 30, 300, 60));
    assert_eq!(row("litellm"), ("http", 20, 5, 30, 600, 60));
    assert_eq!(row("wan2gp"), ("http", 10, 2, 30, 300, 60));
    assert_eq!(row("rvc"), ("http", 10, 2, 30, 300, 60));
    assert_eq!(row("whisper"), ("http", 10, 2, 30, 300, 60));
    for (name, url) in [
        ("polymarket-gamma", super::super::GAMMA_URL),
        ("polymarket-clob", super::super::CLOB_URL),
        ("polymarket-ws", super::super::WS_URL),
        ("kalshi-rest", "https://external-api.kalshi.com/trade-api/v2"),
        ("kalshi-ws", "wss://external-api-ws.kalshi.com/trade-api/ws/v2"),
    ] {
        assert_eq!(of(name).url(), url);
    }
    assert_eq!(services.len(), 10);
}

#[test]
fn all_faults_are_reported_at_once_each_with_its_service() {
    let text = r#"
colour = "blue"

[[service]]
name = "one"
kind = "http"
address = "127.0.0.1:1"
min = 9
max = 3
connect_timeout = 5

[[service]]
name = "two"
kind = "gopher"
address = "https://two.test"
request_timeout_s = 0
max = 0

[[service]]
name = "one"
kind = "ws"
address = "two.test:99999"
probe = "/x"
rate_burst = 2
keep_alive = 1

[[service]]
kind = "http"
idle_timeout_s = -1
address = 7
"#;
    let reported = faults(text);
    let expected = [
        "unknown key `colour`; services are written as [[service]] tables",
        "service one: unknown key `connect_timeout`; is it `connect_timeout_s`?",
        "service one: min 9 is above max 3; lower min or raise max",
        "service two: unknown kind `gopher`; expected http, https, ws or wss",
        "service two: max = 0 is unusable; expected 1 to 256",
        "service two: request_timeout_s is zero; nothing would ever succeed: write 1 or more",
        "service one: another service has the same name; names are unique",
        "service one: address `two.test:99999` with path `` is unusable; expected HOST or HOST:PORT, without a scheme and without a path",
        "service one: keep_alive is neither true nor false",
        "service one: probe is for http and https; a WebSocket is probed by a ping",
        "service one: rate_burst means nothing without rate_per_s",
        "service 4: it has no name; write name = \"…\"",
        "service number 4: address is of type integer; expected a text in quotes",
        "service number 4: idle_timeout_s = -1 is unusable; expected 0 to 604800",
    ];
    assert_eq!(reported, expected);
}

#[test]
fn a_file_without_a_list_of_services_is_refused() {
    assert_eq!(faults(""), ["there is no service; write at least one [[service]] table"]);
    let line = &faults("[[service]]\nname = \"x\nkind = 1\n")[0];
    assert!(line.starts_with("line 2: this is no TOML: "), "{line}");
    assert!(faults("[service]\nname = \"x\"")[0].contains("write [[service]], not [service]"));
    assert!(faults("service = [1]")[0].contains("service 1: it is no table"));
}

#[test]
fn names_are_segments_and_addresses_of_this_host() {
    let named =
        |name: &str| Service::new(name, Kind::Http, "http://x.test").expect("it is an address");
    let own = ["stats"];
    let services = parse(EXAMPLE).unwrap();
    assert_eq!(check_paths(&services, &own), Ok(()));
    let PoolsError(reported) =
        check_paths(&[named("stats"), named("a b"), named(".."), named("a/b")], &own).unwrap_err();
    assert_eq!(reported.len(), 4, "{reported:?}");
    assert_eq!(reported[0], "service stats: /stats is a page of the pools; choose another name");
    assert!(reported[1].contains("letters, digits and - . _ ~"), "{reported:?}");
    let names = |address: &str, insecure| {
        listen_names(address.parse().unwrap(), insecure, &["pools.test".to_owned()])
    };
    assert_eq!(names("127.0.0.1:9500", false).unwrap().len(), 1);
    assert!(names("0.0.0.0:9500", true).is_ok());
    for address in ["0.0.0.0:9500", "[::]:9500", "10.0.0.1:9500"] {
        let line = names(address, false).unwrap_err().0;
        assert!(line.contains("--listen-insecure") && line.contains("127.0.0.1:9500"), "{line}");
    }
    let bad = listen_names("127.0.0.1:1".parse().unwrap(), false, &["a:1".to_owned()]);
    assert!(bad.unwrap_err().0.starts_with("--listen-name a:1: "));
}

#[test]
fn values_come_through() {
    let text = r#"
[[service]]
name = "x"
kind = "https"
address = "x.test:8443"
path = "/v1"
min = 0
max = 1
acquire_timeout_s = 0.25
keep_alive = false
body_bytes_max = 1000
probe = "/health"
rate_per_s = 2.5
rate_burst = 4
"#;
    let usual = parse("[[service]]\nname = 'x'\nkind = 'http'\naddress = 'x.test'");
    assert_eq!(usual.unwrap()[0].limits.acquire_timeout_ns, 30 * SECOND_NS);
    let services = parse(EXAMPLE).unwrap();
    let patient = services.iter().find(|service| service.name == "wan2gp").unwrap();
    assert!(patient.limits.acquire_timeout_ns > 30 * SECOND_NS, "a choice of the example");
    let service = parse(text).unwrap().remove(0);
    assert_eq!(service.url(), "https://x.test:8443/v1");
    let limits = service.limits;
    assert_eq!((limits.min, limits.max, limits.body_bytes_max), (0, 1, 1000));
    assert_eq!((limits.acquire_timeout_ns, limits.keep_alive), (SECOND_NS / 4, false));
    assert_eq!(service.rate, Some(Rate { per_second: 2.5, burst: 4 }));
    assert_eq!(service.probe.as_deref(), Some("/health"));
}
