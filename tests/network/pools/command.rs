//! `ringbook pools` as a user runs it.
use super::server::{Authority, Server, echo_path, whole};
use std::process::{Command, Output};
use std::sync::Arc;

fn ringbook(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringbook")).arg("pools").args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn config(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pools.toml");
    std::fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap().to_owned();
    (folder, name)
}

#[test]
fn a_table_of_what_is_up_and_what_is_down() {
    let up = Server::start(echo_path);
    let failing = Server::start(|_, stream| stream.write_all(&whole("500 Oh", "", b"")).is_ok());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = Authority::new();
    let any = "127.0.0.1:0".parse().unwrap();
    let secure = Server::start_at(any, Some(authority.server("localhost")), Arc::new(echo_path));
    let entry = |name: &str, kind: &str, address: &str| {
        format!("[[service]]\nname = \"{name}\"\nkind = \"{kind}\"\naddress = \"{address}\"\n")
    };
    let good = entry("alpha", "http", &up.address.to_string())
        + &entry("secure", "https", &format!("localhost:{}", secure.address.port()));
    let bad = good.clone()
        + &entry("failing", "http", &failing.address.to_string())
        + &entry("half-open", "http", &silent.local_addr().unwrap().to_string())
        + &entry("gone", "ws", "127.0.0.1:1");
    let (folder, file) = config(&good);
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &authority.pem).unwrap();
    let ca = ca.to_str().unwrap();

    let output = ringbook(&["--config", &file, "--tls-ca", ca]);
    let table = text(&output.stdout);
    assert!(output.status.success(), "{table}{}", text(&output.stderr));
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("service  kind   address"), "{table}");
    assert!(lines[1].starts_with("alpha    http   http://127.0.0.1:"), "{table}");
    assert!(lines[1..].iter().all(|line| line.contains(" up ") && line.ends_with(" ms")));

    let (_folder, file) = config(&bad);
    let output = ringbook(&["--config", &file, "--tls-ca", ca, "--timeout", "500", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let reported = |name: &str| {
        let row = rows.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap();
        (row["up"].as_bool().unwrap(), row["error"].as_str().unwrap_or("").to_owned())
    };
    assert_eq!(reported("alpha"), (true, String::new()));
    assert_eq!(reported("failing"), (false, "the response to the probe was HTTP 500".into()));
    assert!(reported("half-open").1.contains("no response within 500 ms"), "{rows}");
    assert!(reported("gone").1.contains("connection refused"), "{rows}");
    // Without the authority, TLS is what is wrong.
    let output = ringbook(&["--config", &file, "--timeout", "500"]);
    let table = text(&output.stdout);
    let secure = table.lines().find(|line| line.starts_with("secure")).unwrap();
    assert!(secure.contains(" down ") && secure.contains("--tls-ca"), "{table}");
}

#[test]
fn bad_configurations_are_reported_all_at_once_and_exit_with_2() {
    let (_folder, file) = config(
        "[[service]]\nname = \"a\"\nkind = \"gopher\"\naddress = \"x\"\nmin = 3\nmax = 2\n\
         [[service]]\nname = \"a\"\nkind = \"http\"\naddress = \"http://x\"\nspeed = 1\n",
    );
    let output = ringbook(&["--config", &file]);
    let reported = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{reported}");
    let expected = [
        "service a: unknown kind `gopher`; expected http, https, ws or wss",
        "service a: min 3 is above max 2; lower min or raise max",
        "service a: another service has the same name; names are unique",
        "service a: unknown key `speed`",
        "service a: address `http://x` is unusable; expected HOST or HOST:PORT, without a scheme and without a path",
    ];
    let lines: Vec<&str> = reported.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{reported}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(&format!("--config {file}: {expected}")), "{line}");
    }
    let output = ringbook(&["--config", "/nowhere.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("cannot be read"));
    assert_eq!(ringbook(&[]).status.code(), Some(2));
}

#[test]
fn the_example_can_be_read_back() {
    let output = ringbook(&["--example"]);
    assert!(output.status.success());
    let (_folder, file) = config(&text(&output.stdout));
    let services = ringbook::config::pools::load(file.as_ref()).unwrap();
    let comfyui = services.iter().find(|service| service.name == "comfyui").unwrap();
    assert_eq!((comfyui.limits.min, comfyui.limits.max, comfyui.path.as_str()), (1, 5, "/ws"));
}
