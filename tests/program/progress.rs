//! Progress on a terminal, and nothing of it in a pipe.
//!
//! Runs on:  test threads; the program and Python, which makes the terminal, are processes.
use rustix::process::{Pid, Signal, kill_process};
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

fn terminal(arguments: &[&str]) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/terminal.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(env!("CARGO_BIN_EXE_ringbook")).args(arguments);
    command
}

fn on_terminal(arguments: &[&str]) -> Output {
    terminal(arguments).output().unwrap()
}

/// What the terminal has received when it has these texts, one after the other, and after an interrupt.
fn until(arguments: &[&str], texts: [&str; 2]) -> String {
    let mut child = terminal(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_child(&child);
    // A program that never shows them is ended, or the read below would wait for ever.
    let (shown, waits) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if waits.recv_timeout(Duration::from_secs(120)) == Err(RecvTimeoutError::Timeout) {
            let _ = kill_process(pid, Signal::INT);
        }
    });
    let mut output = child.stdout.take().unwrap();
    let mut screen = Vec::new();
    let has_all = |screen: &[u8]| {
        let text = String::from_utf8_lossy(screen);
        text.split_once(texts[0]).is_some_and(|(_, rest)| rest.contains(texts[1]))
    };
    while !has_all(&screen) {
        let mut piece = [0; 4096];
        let count = output.read(&mut piece).unwrap();
        screen.extend_from_slice(&piece[..count]);
        assert!(count > 0, "no {texts:?}: {}", String::from_utf8_lossy(&screen));
    }
    kill_process(pid, Signal::INT).unwrap();
    output.read_to_end(&mut screen).unwrap();
    assert!(child.wait().unwrap().success());
    drop(shown);
    watch.join().unwrap();
    String::from_utf8(screen).unwrap()
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
    // It reads what has receive times, and goes on serving.
    let day: String = (1..20_000)
        .map(|time| {
            format!(
                r#"{{"t":{time},"c":1,"s":{time},"k":"t","f":{{"market":"0xa1","asset_id":"7","timestamp":"{time}","event_type":"book","bids":[],"asks":[]}}}}"#
            ) + "\n"
        })
        .collect();
    std::fs::write(&file, day).unwrap();
    let served = ["gateway", "--venue", "polymarket", "--listen", "127.0.0.1:0", &file];
    let text = until(&served, ["ETA", "\r\u{1b}[K"]);
    assert_eq!(text.matches("gateway: ").count(), 2, "{text}");
    let services = path("pools.toml");
    let service = "[[service]]\nname = \"none\"\nkind = \"http\"\naddress = \"127.0.0.1:1\"\n";
    std::fs::write(&services, service).unwrap();
    let drawn = on_terminal(&["pools", "--config", &services]);
    let text = String::from_utf8_lossy(&drawn.stdout);
    assert!(text.contains("1 services, at most 5 s"), "{text}");
}
