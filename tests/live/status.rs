//! The status line of `ringbook run` on a terminal.
//!
//! Runs on:  test threads; venue, engine and Python, which makes the terminal of 80 columns, are processes.
use crate::program::{Program, TIMEOUT};
use crate::venue::Venue;
use rustix::process::{Pid, Signal, kill_process};
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const WIPE: &str = "\r\u{1b}[K";

#[test]
fn the_status_line_fits_the_terminal_and_log_lines_stay_whole() {
    let venue = Venue::start(&["--plain", "--rate", "200", "--markets", "10"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/terminal.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(Program::ringbook().get_program()).arg("run").args(venue.addresses());
    let mut child = command.env("NO_COLOR", "1").stdout(Stdio::piped()).spawn().unwrap();
    let (mut screen, begun) = (Vec::new(), Instant::now());
    let mut output = child.stdout.take().unwrap();
    // Latency is the last part of the line, so it is cut off.
    let is_complete = |screen: &[u8]| {
        let text = String::from_utf8_lossy(screen);
        text.matches(" msg/s  read→book p50 ").count() > 2
    };
    while !is_complete(&screen) {
        let mut piece = [0; 4096];
        let count = output.read(&mut piece).unwrap();
        screen.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&screen);
        assert!(count > 0 && begun.elapsed() < TIMEOUT, "{text}");
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    output.read_to_end(&mut screen).unwrap();
    assert!(child.wait().unwrap().success());
    let text = String::from_utf8(screen).unwrap();
    // What stands between two wipes: a status line, or whole lines.
    let (mut shown, mut lines) = (0, 0);
    for part in text.split(WIPE) {
        assert!(!part.contains('\u{1b}'), "{part:?}");
        match part.contains("books live  ") {
            true => {
                assert!(part.chars().count() < 80 && !part.contains(['\r', '\n']), "{part:?}");
                shown += 1;
            }
            false => {
                assert!(part.is_empty() || part.ends_with("\r\n"), "{part:?}");
                lines += part.lines().filter(|line| line.contains(" INFO ")).count();
            }
        }
    }
    assert!(shown > 2 && lines > 5 && text.contains("INFO ] stopped in "), "{text}");
}
