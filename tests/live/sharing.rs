//! Two engines that were given the same files: the second one refuses, the first one is not affected.
//!
//! Runs on:  test threads, with one venue and two engines as processes.
use crate::engine::Engine;
use crate::program::{Program, TIMEOUT};
use crate::venue::Venue;
use rustix::process::Signal;
use std::os::unix::fs::symlink;

/// Starts a second engine; it must end by itself with one line that names the first.
fn refused(venue: &Venue, first: &Engine, flags: &[&str], expected: &str) {
    let mut command = Program::ringbook();
    command.arg("run").args(venue.addresses()).args(["--shards", "1"]).args(flags);
    let mut second = Program::start(command);
    assert_eq!(second.wait(TIMEOUT).code(), Some(1), "{second}");
    let line = second.wait_for_line("in use by");
    let holder = format!("process {} (ringbook)", first.program.id());
    assert!(line.contains(&holder) && line.contains(expected), "{line}");
    second.assert_clean();
}

#[test]
fn a_journal_and_a_capture_have_one_engine_each() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let venue = Venue::start(&["--markets", "60", "--rate", "500"]);
    let (database, capture) = (format!("sqlite:{}", path("t.db")), path("capture"));
    let flags = ["--shards", "1", "--trades", &database, "--capture", &capture];
    let mut first = Engine::start(&venue, &flags);
    first.wait_live(120);
    refused(&venue, &first, &["--capture", &capture], "name another folder");
    symlink(&capture, path("alias")).unwrap();
    refused(&venue, &first, &["--capture", &path("alias")], "name another folder");
    refused(&venue, &first, &["--trades", &database], "--trades-journal");
    let (other, journal) = (format!("sqlite:{}", path("o.db")), path("t.db.journal.ndjson"));
    let flags = ["--trades", &other, "--trades-journal", &journal];
    refused(&venue, &first, &flags, "--trades-journal");
    first.program.signal(Signal::TERM);
    assert_eq!(first.program.wait(TIMEOUT).code(), Some(0), "{}", first.program);
    let manifest = std::fs::read_to_string(folder.path().join("capture/manifest.ndjson")).unwrap();
    let starts = manifest.matches("\"started\"").count();
    assert_eq!((starts, manifest.matches("\"gap\"").count()), (1, 0), "{manifest}");
    // The lock ends with the process.
    let mut next = Engine::start(&venue, &["--shards", "1", "--capture", &capture]);
    next.wait_live(120);
    next.program.signal(Signal::TERM);
    assert_eq!(next.program.wait(TIMEOUT).code(), Some(0), "{}", next.program);
}

#[test]
fn files_that_never_end_and_the_database_as_its_journal_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("t.db"), "").unwrap();
    let (database, pipe) = (format!("sqlite:{}", path("t.db")), path("pipe"));
    rustix::fs::mknodat(
        rustix::fs::CWD,
        pipe.as_str(),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let no = "--no-discovery";
    let lines: [(&[&str], &str, i32); 7] = [
        (&["--tls-ca", "/dev/zero"], "no regular file", 2),
        (&["--tls-ca", &pipe], "no regular file", 2),
        (&["--pools", &pipe], "no regular file", 2),
        (
            &["--venue", "polymarket,kalshi", "--kalshi-key-id", "x", "--kalshi-key", &pipe],
            "no regular file",
            2,
        ),
        (&["--trades", "postgres://a@127.0.0.1/b?passfile=/dev/zero"], "no regular file", 2),
        (&["--trades", &database, "--trades-journal", &path("t.db")], "the database itself", 2),
        (&["--trades", &database, "--trades-journal", &pipe], "no regular file", 1),
    ];
    for (flags, expected, code) in lines {
        let mut command = Program::ringbook();
        command.args(["run", no, "--market", "x", "--gamma-url", "http://127.0.0.1:1"]);
        command.args(["--clob-url", "http://127.0.0.1:1", "--ws-url", "ws://127.0.0.1:1"]);
        command.args(flags);
        let mut program = Program::start(command);
        assert_eq!(program.wait(TIMEOUT).code(), Some(code), "{program}");
        program.wait_for_line(expected);
        program.assert_clean();
    }
}

#[test]
fn kalshi_over_plain_text_needs_a_flag_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    let pem = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/rsa-pkcs1.pem");
    std::fs::copy(pem, &key).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, mode).unwrap();
    let (http, ws) = ("http://127.0.0.1:1/trade-api/v2", "ws://127.0.0.1:1/trade-api/ws/v2");
    let (https, wss) = ("https://127.0.0.1:1/trade-api/v2", "wss://127.0.0.1:1/trade-api/ws/v2");
    for (rest, stream, plain, code) in
        [(http, wss, false, 2), (https, ws, false, 2), (http, ws, false, 2), (http, ws, true, 0)]
    {
        let mut command = Program::ringbook();
        command.args(["run", "--venue", "kalshi", "--duration", "1", "--kalshi-key-id", "x"]);
        command.arg("--kalshi-key").arg(&key);
        command.args(["--kalshi-rest-url", rest, "--kalshi-ws-url", stream]);
        command.args(plain.then_some("--kalshi-plain-text"));
        let mut program = Program::start(command);
        assert_eq!(program.wait(TIMEOUT).code(), Some(code), "{rest} {stream}: {program}");
        if code == 2 {
            program.wait_for_line("--kalshi-plain-text");
        }
        program.assert_clean();
    }
}
