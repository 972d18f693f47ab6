//! The program: what it prints, how it ends, what it reports when it cannot start.
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn program(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_venue-sim"));
    command.args(flags).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Reads the lines that begin with a keyword each, `run` last.
fn announced(child: &mut Child) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let (keyword, rest) = line.split_once(' ').unwrap();
        lines.push((keyword.to_owned(), rest.trim().to_owned()));
        if keyword == "run" {
            break;
        }
    }
    lines
}

#[test]
fn urls_are_printed_and_signals_end_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let flags = ["--listen", "127.0.0.1:0", "--markets", "5", "--tls-ca-out"];
    for signal in [Signal::INT, Signal::TERM] {
        let mut child = program(&flags).arg(&file).spawn().unwrap();
        let lines = announced(&mut child);
        let keywords: Vec<&str> = lines.iter().map(|(keyword, _)| keyword.as_str()).collect();
        assert_eq!(keywords, ["gamma", "clob", "ws", "ca", "run"]);
        assert!(lines[0].1.starts_with("https://127.0.0.1:"));
        assert!(lines[2].1.starts_with("wss://127.0.0.1:") && lines[2].1.ends_with("/ws/market"));
        assert!(lines[4].1.contains("--ws-url wss://") && lines[4].1.contains("--tls-ca "));
        assert!(std::fs::read_to_string(&file).unwrap().starts_with("-----BEGIN CERTIFICATE"));
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn what_is_wrong_is_one_clear_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let cases: [(&[&str], i32, &str); 4] = [
        (&["--plain", "--listen", &taken], 1, "cannot listen on"),
        (&["--listen", "127.0.0.1:0", "--tls-ca-out", "/nowhere/ca.pem"], 1, "cannot write"),
        (&["--plain", "--listen", "127.0.0.1:0", "--markets", "0"], 2, "markets is 0"),
        (&["--bogus"], 2, "--bogus"),
    ];
    for (flags, code, text) in cases {
        let output = program(flags).output().unwrap();
        let received = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {received}");
        assert!(received.contains(text), "{flags:?}: {received}");
        assert!(code == 2 || received.lines().count() == 1, "{received}");
    }
}

#[test]
fn a_duration_ends_it() {
    let flags = ["--plain", "--listen", "127.0.0.1:0", "--markets", "3", "--duration", "1"];
    let output = program(&flags).output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains(" events, "));
}
