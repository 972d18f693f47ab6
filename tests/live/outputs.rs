//! Output that is not read: closed pipes, a full disk, a closed terminal. The work is completed.
//!
//! Runs on:  test threads, with the programs as processes.
use crate::engine::Engine;
use crate::program::{POLL_INTERVAL, Program, TIMEOUT};
use crate::venue::Venue;
use rustix::process::Signal;
use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

/// Where unread output goes.
#[derive(Clone, Copy, Debug)]
enum Gone {
    /// A pipe whose reader has ended.
    Pipe,
    /// A disk that is full.
    Full,
}

impl Gone {
    fn output(self) -> Stdio {
        match self {
            Self::Pipe => std::io::pipe().unwrap().1.into(),
            Self::Full => File::options().write(true).open("/dev/full").unwrap().into(),
        }
    }
}

/// A process without readers that ends with its test.
struct Unread(std::process::Child);

impl Unread {
    fn start(mut command: Command, gone: Gone) -> Self {
        command.stdin(Stdio::null()).stdout(gone.output()).stderr(gone.output());
        Self(command.spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), signal).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < TIMEOUT, "no end");
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < TIMEOUT, "never: {what}");
        std::thread::sleep(POLL_INTERVAL);
    }
}

#[test]
fn every_subcommand_ends_normally_when_its_output_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("r.ndjson");
    std::fs::write(&recording, "{\"market\":\"0x1\"}\nPONG\n").unwrap();
    let recording = recording.to_str().unwrap();
    let out = folder.path().join("out");
    let lines: [&[&str]; 11] = [
        &["topology"],
        &["counters"],
        &["doctor"],
        &["doctor", "--json"],
        &["pools", "--example"],
        &["pools"],
        &["replay", recording],
        &["replay", "--json", "/no/such/file"],
        &["export", recording, "--out", out.to_str().unwrap()],
        &["run", "--no-discovery"],
        &["--help"],
    ];
    for line in lines {
        let command = || {
            let mut command = Program::ringbook();
            command.args(line);
            command
        };
        let expected = command().output().unwrap().status;
        assert!(expected.code().is_some(), "{line:?}: {expected}");
        for gone in [Gone::Pipe, Gone::Full] {
            let unread = Unread::start(command(), gone).wait();
            // What a full disk has not taken is lost; what a closed pipe has not is not wanted. The help is clap's.
            let lost = matches!(gone, Gone::Full) && expected.success() && line != ["--help"];
            let code = if lost { Some(1) } else { expected.code() };
            assert_eq!(unread.code(), code, "{line:?} with {gone:?}");
        }
    }
}

/// As `| head`.
#[test]
fn an_export_whose_reader_has_gone_ends_silently() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("r.ndjson");
    let book = r#"{"market":"0xa1","asset_id":"11","bids":[{"price":"0.4","size":"7"}],"asks":[],"timestamp":"1786000000000","event_type":"book"}"#;
    std::fs::write(&recording, book).unwrap();
    for format in ["csv", "arrow"] {
        let mut command = Program::ringbook();
        command.arg("export").arg(&recording).args(["--out", "-", "--tables", "levels", "--to"]);
        command.arg(format).stdout(Gone::Pipe.output());
        let output = command.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), printed.as_str()), (Some(0), ""), "{format}");
    }
}

#[test]
fn a_demo_without_readers_compares_and_writes_its_histograms() {
    for gone in [Gone::Pipe, Gone::Full] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Program::ringbook();
        command.args(["demo", "--markets", "60", "--duration", "4", "--histograms"]);
        command.arg(folder.path());
        let status = Unread::start(command, gone).wait();
        // 1: on a machine so slow that no book was live by then. A panic is 101, an abort a signal.
        assert!(matches!(status.code(), Some(0 | 1)), "{gone:?}: {status}");
        assert!(folder.path().join("latencies.hlog").exists(), "{gone:?}");
    }
}

/// True once the capture has a segment and the database a row.
fn has_begun(folder: &Path) -> bool {
    let capture = std::fs::read_dir(folder.join("capture"));
    let mut names = capture.into_iter().flatten().flatten().map(|entry| entry.path());
    names.any(|path| path.extension().is_some_and(|extension| extension == "zst"))
}

#[test]
fn a_run_without_readers_stops_and_finishes_its_files() {
    let venue = Venue::start(&["--markets", "30", "--rate", "500"]);
    for (gone, signal) in [(Gone::Pipe, Signal::TERM), (Gone::Full, Signal::HUP)] {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut command = Program::ringbook();
        command.arg("run").args(venue.addresses()).args(["--shards", "1", "--log", "debug"]);
        command.args(["--capture", &path("capture"), "--capture-flush-ms", "50"]);
        command.args(["--trades", &format!("sqlite:{}", path("t.db"))]);
        command.args(["--histograms", &path("h")]);
        let mut engine = Unread::start(command, gone);
        wait_for("a segment", || has_begun(folder.path()));
        engine.signal(signal);
        assert_eq!(engine.wait().code(), Some(0), "{gone:?}");
        assert!(folder.path().join("h/latencies.hlog").exists(), "{gone:?}");
        let manifest = std::fs::read_to_string(folder.path().join("capture/manifest.ndjson"));
        assert!(manifest.unwrap().contains("\"stopped\""), "{gone:?}");
    }
}

#[test]
fn a_simulated_venue_without_readers_runs_to_its_end() {
    for gone in [Gone::Pipe, Gone::Full] {
        let folder = tempfile::tempdir().unwrap();
        for venue in ["polymarket", "kalshi"] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_venue-sim"));
            command.args(["--venue", venue, "--listen", "127.0.0.1:0", "--duration", "1"]);
            command.arg("--tls-ca-out").arg(folder.path().join("ca.pem"));
            assert_eq!(Unread::start(command, gone).wait().code(), Some(0), "{venue} {gone:?}");
        }
    }
}

#[test]
fn repeated_hangups_stop_the_run_once() {
    let venue = Venue::start(&["--markets", "30"]);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display().to_string();
    let mut engine = Engine::start(&venue, &["--shards", "1", "--histograms", &dir]);
    engine.wait_live(60);
    // The kernel and the shell both send it; a service manager sends it with SIGTERM.
    for signal in [Signal::HUP, Signal::HUP, Signal::TERM, Signal::HUP] {
        engine.program.signal(signal);
    }
    assert_eq!(engine.program.wait(TIMEOUT).code(), Some(0), "{}", engine.program);
    assert!(folder.path().join("latencies.hlog").exists());
    engine.program.assert_clean();
}

#[test]
fn a_run_that_was_started_to_survive_its_terminal_does() {
    let venue = Venue::start(&["--markets", "30"]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_ringbook"), "run"]);
    command.args(venue.addresses()).args(["--shards", "1"]);
    let mut program = Program::start(command);
    program.wait_for_line("`ringbook topology` has the links");
    program.signal(Signal::HUP);
    program.signal(Signal::TERM);
    assert_eq!(program.wait(TIMEOUT).code(), Some(0), "{program}");
    // A hangup that counted would have been the first of two.
    program.assert_clean();
}
