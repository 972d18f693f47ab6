//! Progress on a terminal, and nothing of it in a pipe.
//!
//! Runs on:  test threads; the program and Python, which makes the terminal, are processes.
use std::path::Path;
use std::process::{Command, Output};

fn on_terminal(arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/terminal.py");
    Command::new("python3")
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_ringbook"))
        .args(arguments)
        .output()
        .unwrap()
}

fn in_pipe(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringbook")).args(arguments).output().unwrap()
}

#[test]
fn progress_is_for_terminals() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let day: String = (0..20_000)
        .map(|time| {
            format!(
                r#"{{"market":"0xa1","asset_id":"7","timestamp":"{time}","event_type":"book","bids":[],"asks":[]}}"#
            ) + "\n"
        })
        .collect();
    let file = path("day.ndjson");
    std::fs::write(&file, day).unwrap();
    for arguments in [&["replay", &file][..], &["export", &file, "--out", &path("out")]] {
        let drawn = on_terminal(arguments);
        let text = String::from_utf8_lossy(&drawn.stdout).into_owned();
        assert!(drawn.status.success() && text.contains("ETA"), "{arguments:?}: {text}");
        assert!(text.ends_with("\r\u{1b}[K"), "the line is cleared: {text:?}");
        let silent = in_pipe(arguments);
        assert!(silent.status.success() && silent.stderr.is_empty(), "{silent:?}");
    }
    let services = path("pools.toml");
    let service = "[[service]]\nname = \"none\"\nkind = \"http\"\naddress = \"127.0.0.1:1\"\n";
    std::fs::write(&services, service).unwrap();
    let drawn = on_terminal(&["pools", "--config", &services]);
    let text = String::from_utf8_lossy(&drawn.stdout);
    assert!(text.contains("1 services, at most 5 s"), "{text}");
}
