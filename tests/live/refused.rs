//! A kernel that refuses: one line with the remedy, exit code 1, no panic.
//!
//! Runs on:  test threads. A few lines of Python deny a system call or threads and then become the program; where
//!           there is no Python the tests report that they are skipped.
use crate::program::{Program, TIMEOUT};
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

/// `deny NUMBER PROGRAM…`: that system call fails with EPERM. `threads COUNT PROGRAM…`: so many for a user of its own.
const LAUNCHER: &str = r#"
import ctypes, os, resource, struct, sys
what, number, program = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
if what == "deny":
    libc = ctypes.CDLL(None, use_errno=True)
    code = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (6, 0, 0, 0x50001), (6, 0, 0, 0x7fff0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    whole = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 4, ctypes.addressof(code)))
    denied = libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(whole)), 0, 0)
    assert denied == 0, ctypes.get_errno()
else:
    resource.setrlimit(resource.RLIMIT_NPROC, (number, number))
    if os.geteuid() == 0:
        os.setgid(54321)
        os.setuid(54321)
os.execv(program[0], program)
"#;

/// Starts `ringbook run` under it, towards a venue that is away.
fn start(what: &str, number: u32) -> Option<Program> {
    if Command::new("python3").arg("-c").arg("import ctypes").output().is_err() {
        eprintln!("skipped: python3 is not on the path");
        return None;
    }
    let mut command = Command::new("python3");
    command.args(["-c", LAUNCHER, what, &number.to_string(), env!("CARGO_BIN_EXE_ringbook")]);
    command.args(["run", "--duration", "1", "--shards", "1", "--serve", "127.0.0.1:0"]);
    command.args(["--gamma-url", "http://127.0.0.1:1", "--clob-url", "http://127.0.0.1:1"]);
    command.args(["--ws-url", "ws://127.0.0.1:1"]);
    Some(Program::start(command))
}

#[test]
fn a_denied_system_call_is_named_with_its_remedy() {
    let affinity = if cfg!(target_arch = "x86_64") { 203 } else { 122 };
    for (number, name) in [
        (425, "io_uring_setup"),
        (426, "io_uring_enter"),
        (427, "io_uring_register"),
        (affinity, "sched_setaffinity"),
    ] {
        let Some(mut program) = start("deny", number) else { return };
        assert_eq!(program.wait(TIMEOUT).code(), Some(1), "{name}: {program}");
        let line = program.wait_for_line("ringbook: ");
        assert!(line.contains(&format!("the kernel refuses {name}")), "{line}");
        assert!(line.contains("seccomp profile"), "{line}");
        program.assert_clean();
    }
}

#[test]
fn too_few_threads_are_reported_with_the_remedy() {
    let mut refused = 0;
    for count in [1, 2, 3, 4, 5, 6, 8, 10] {
        let Some(mut program) = start("threads", count) else { return };
        let code = program.wait(TIMEOUT).code();
        if program.stderr().iter().any(|line| line.contains("Permission denied")) {
            eprintln!("skipped: another user may not execute {}", env!("CARGO_BIN_EXE_ringbook"));
            return;
        }
        assert!(matches!(code, Some(0 | 1)), "{count} threads: {code:?} {program}");
        if code == Some(1) {
            refused += 1;
            let line = program.wait_for_line("ringbook: ");
            assert!(line.contains("`ulimit -u 4096`"), "{count} threads: {line}");
        }
        program.assert_clean();
    }
    assert!(refused > 0, "eight limits, and none was met");
}

#[test]
fn silent_venues_share_one_start_deadline() {
    let silent: Vec<TcpListener> =
        (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let url = |place: usize| silent[place].local_addr().unwrap();
    let mut command = Program::ringbook();
    command.args(["run", "--duration", "1", "--shards", "1"]);
    command.args(["--gamma-url", &format!("https://{}", url(0))]);
    command.args(["--clob-url", &format!("https://{}", url(1))]);
    command.args(["--ws-url", &format!("wss://{}", url(2))]);
    let begun = Instant::now();
    let mut program = Program::start(command);
    program.wait_for_line("`ringbook topology` has the links");
    // One after the other they would take six seconds, and one that drips bytes for ever.
    eprintln!("looked for {:?}", begun.elapsed());
    assert!(begun.elapsed() > Duration::from_secs(2), "no venue was waited for");
    assert_eq!(program.wait(TIMEOUT).code(), Some(0), "{program}");
}
