//! Command lines and hosts on which `ringbook run` cannot start: one line, the right exit code.
//!
//! Runs on:  test threads; each case is a process that must end by itself.
use crate::program::{Program, TIMEOUT};
use std::net::TcpListener;
use std::process::Command;

/// Runs to the end; gives the exit code and standard error.
pub(crate) fn run(command: Command) -> (Option<i32>, Vec<String>) {
    let mut program = Program::start(command);
    let status = program.wait(TIMEOUT);
    program.assert_clean();
    assert_eq!(program.stdout(), Vec::<String>::new(), "{program}");
    (status.code(), program.stderr())
}

/// Runs `ringbook run` with `flags` and without a venue.
pub(crate) fn flags(flags: &[&str]) -> (Option<i32>, Vec<String>) {
    let mut command = Program::ringbook();
    command.arg("run").args(flags);
    for (flag, url) in [("--gamma-url", "http://127.0.0.1:1"), ("--ws-url", "ws://127.0.0.1:1/ws")]
    {
        if !flags.contains(&flag) && !flags.contains(&"kalshi") {
            command.args([flag, url]);
        }
    }
    run(command)
}

/// Runs it from a shell that has changed something about itself first; `wrap` ends in `exec`.
fn within(program: &str, wrap: &[&str]) -> (Option<i32>, Vec<String>) {
    let mut command = Command::new(program);
    command.args(wrap).arg(env!("CARGO_BIN_EXE_ringbook"));
    command.args(["run", "--duration", "5", "--gamma-url", "http://127.0.0.1:1"]);
    command.args(["--ws-url", "ws://127.0.0.1:1/ws"]);
    command.env_remove("RUST_BACKTRACE");
    run(command)
}

/// One line that begins with our name and contains each of `parts`.
pub(crate) fn check((code, lines): (Option<i32>, Vec<String>), expected: i32, parts: &[&str]) {
    assert_eq!(code, Some(expected), "{lines:#?}");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].starts_with("ringbook: "), "{}", lines[0]);
    for part in parts {
        assert!(lines[0].contains(part), "no `{part}` in: {}", lines[0]);
    }
}

#[test]
fn unusable_flags_are_one_line_and_code_two() {
    let cases: [(&[&str], &[&str]); 19] = [
        (&["--shard-cores", "99"], &["--shard-cores", "99", "usable"]),
        (&["--control-core", "99"], &["--control-core", "99", "usable"]),
        (&["--serve-core", "4095"], &["--serve-core", "4095", "usable"]),
        (&["--shard-cores", "3-1"], &["--shard-cores", "3-1"]),
        (&["--shard-cores", ","], &["--shard-cores"]),
        (&["--shards", "0"], &["--shards 0", "1 to"]),
        (&["--shards", "2", "--shard-cores", "0"], &["--shards 2", "--shard-cores"]),
        (&["--ws-url", "http://127.0.0.1/"], &["--ws-url", "wss://HOST"]),
        (&["--ws-url", "wss://"], &["--ws-url", "wss://HOST"]),
        (&["--gamma-url", "gamma.example"], &["--gamma-url", "https://HOST"]),
        (&["--clob-url", "ftp://127.0.0.1"], &["--clob-url", "https://HOST"]),
        (&["--token", "0xabc"], &["--token 0xabc", "decimal"]),
        (&["--no-discovery"], &["--no-discovery", "--market", "--token"]),
        // What would be accepted and mean nothing.
        (&["--kalshi-key-id", "x"], &["--kalshi-key-id", "add kalshi to --venue"]),
        (&["--kalshi-connections", "1,1,1,1"], &["--kalshi-connections", "kalshi"]),
        (&["--kalshi-rest-poll", "5"], &["--kalshi-rest-poll", "kalshi"]),
        (&["--venue", "kalshi", "--ws-url", "ws://x"], &["--ws-url", "add polymarket to --venue"]),
        (&["--venue", "kalshi", "--no-custom-features"], &["--no-custom-features", "polymarket"]),
        (&["--venue", "kalshi", "--race"], &["--race is for polymarket", "add polymarket"]),
    ];
    for (line, parts) in cases {
        check(flags(line), 2, parts);
    }
}

/// The argument parser prints several lines; the first names the flag.
#[test]
fn unknown_flags_are_named_and_code_two() {
    let cases: [(&[&str], &str); 12] = [
        (&["--bogus"], "--bogus"),
        (&["--venue", "nyse"], "expected polymarket"),
        (&["--kalshi-connections", "1,2"], "four numbers"),
        (&["--serve", "nowhere"], "--serve"),
        (&["--duration", "soon"], "--duration"),
        (&["--markets-max", "-1"], "-1"),
        (&["--shard", "1"], "--shard"),
        (&["--idle", "fly"], "--idle"),
        (&["--driver", "fly"], "--driver"),
        (&["--verify-hash", "some"], "--verify-hash"),
        (&["--kalshi-env", "test"], "--kalshi-env"),
        (&["--markets-max", "0"], "--markets-max"),
    ];
    for (line, part) in cases {
        let (code, lines) = flags(line);
        assert_eq!(code, Some(2), "{lines:#?}");
        assert!(lines[0].starts_with("error: ") && lines[0].contains(part), "{lines:#?}");
    }
}

/// A flag that is accepted has an effect.
#[test]
fn a_flag_of_what_is_not_used_is_refused() {
    for (flag, value, of) in [
        ("--capture-flush-ms", "20", "--capture <DIR>"),
        ("--capture-file-mb", "5", "--capture <DIR>"),
        ("--capture-file-minutes", "5", "--capture <DIR>"),
        ("--trades-batch", "5", "--trades <DATABASE>"),
        ("--trades-batch-ms", "5", "--trades <DATABASE>"),
        ("--gateway-stale", "hold", "--gateway <ADDRESS>"),
        ("--gateway-buffer", "9", "--gateway <ADDRESS>"),
        ("--bus-snapshot-seconds", "5", "--bus <URL>"),
    ] {
        let (code, lines) = flags(&[flag, value]);
        assert_eq!(code, Some(2), "{flag}: {lines:#?}");
        assert!(lines.iter().any(|line| line.trim() == of), "{flag}: {lines:#?}");
    }
}

#[test]
fn unusable_files_and_addresses_are_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, text: &str| std::fs::write(path(name), text).unwrap();
    write("garbage.pem", "this is no certificate\n");
    write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    write("empty.pem", "");
    for name in ["garbage.pem", "broken.pem", "empty.pem"] {
        check(flags(&["--tls-ca", &path(name)]), 2, &["--tls-ca"]);
    }
    check(flags(&["--tls-ca", &path("missing.pem")]), 2, &["--tls-ca", "missing.pem"]);
    check(flags(&["--tls-ca", &path("")]), 2, &["--tls-ca"]);
    check(flags(&["--pools", &path("missing.toml")]), 2, &["--pools", "missing.toml"]);
    write(
        "pools.toml",
        "[[service]]\nname = \"kalshi-rest\"\nkind = \"https\"\naddress = \"h\"\nmin = 9\nmax = 3\n",
    );
    check(flags(&["--pools", &path("pools.toml")]), 2, &["--pools", "kalshi-rest", "max"]);
    // Below a file no folder can be made, not even by root.
    let below = path("empty.pem/histograms");
    check(flags(&["--histograms", &below]), 2, &["--histograms", &below]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    check(flags(&["--serve", &address]), 1, &["--serve", &address]);
    check(flags(&["--serve", "203.0.113.9:9300"]), 1, &["--serve", "203.0.113.9"]);
}

#[test]
fn histograms_that_cannot_be_written_at_the_end_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("latencies.hlog")).unwrap();
    let dir = folder.path().display().to_string();
    let (code, lines) = flags(&["--histograms", &dir, "--duration", "1"]);
    assert_eq!(code, Some(1), "{lines:#?}");
    let ours: Vec<&String> = lines.iter().filter(|l| l.starts_with("ringbook: ")).collect();
    assert_eq!(ours.len(), 1, "{lines:#?}");
    assert!(ours[0].contains("--histograms") && ours[0].contains("latencies.hlog"), "{ours:?}");
}

#[test]
fn too_little_locked_memory_is_one_line_with_a_remedy() {
    let result = within("sh", &["-c", "ulimit -l 64; exec \"$0\" \"$@\""]);
    check(result, 1, &["locked memory", "64 KiB", "ulimit -l"]);
}

#[test]
fn too_few_files_are_one_line_with_a_remedy() {
    for files in ["10", "16", "64"] {
        let wrap = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
        check(within("sh", &["-c", &wrap]), 1, &["open files", files, "ulimit -n"]);
    }
}

/// A seccomp filter that answers `io_uring_setup` with an error, as container runtimes do.
const NO_IO_URING: &str = r#"
import ctypes, os, struct, sys
op = lambda *parts: struct.pack("HBBI", *parts)
code = op(0x20, 0, 0, 0) + op(0x15, 0, 1, 425)
code += op(0x06, 0, 0, 0x00050000 | int(sys.argv[1])) + op(0x06, 0, 0, 0x7FFF0000)
code = ctypes.create_string_buffer(code)
class Filter(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
program = Filter(4, ctypes.addressof(code))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0
os.execv(sys.argv[2], sys.argv[2:])
"#;

/// Needs Python for the filter; without it there is nothing to see.
#[test]
fn a_host_without_io_uring_is_one_line_with_a_remedy() {
    let python = Command::new("python3").arg("--version").output();
    if !python.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no python3 to set a seccomp filter with");
        return;
    }
    // EPERM: seccomp or the sysctl. ENOSYS: an old kernel. Both name what to do.
    for errno in ["1", "38"] {
        let result = within("python3", &["-c", NO_IO_URING, errno]);
        check(result, 1, &["io_uring", "kernel.io_uring_disabled", "seccomp"]);
    }
}
