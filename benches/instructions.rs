//! Instructions a message, for the stages of `session`.
//!
//! A count that a noisy machine does not change.
//! Each row runs once in a process of its own under `valgrind --tool=callgrind`, which counts
//! only inside [`counted`]. The cost of memory and of system calls is not in it, and the decryption is that of
//! the processor which valgrind imitates. Without valgrind it prints a note and exits with 0.
mod frames;
mod wire;

use ringbook::io::clock::HostClock;
use std::process::{Command, ExitCode};
use wire::{Client, Stage};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Number of a row, in the process that is counted.
const ROW: &str = "RINGBOOK_BENCH_ROW";
const TOKENS: usize = 1_000;
const STREAM: usize = 10_000;
const PER_READ: [usize; 2] = [1, 20];
const STAGES: [(Stage, &str); 5] = [
    (Stage::WebSocket, "websocket"),
    (Stage::Tls, "tls"),
    (Stage::Decode, "decode"),
    (Stage::Books { timed: false }, "books"),
    (Stage::Books { timed: true }, "books, timed"),
];

/// What is counted; valgrind finds it by its name.
#[inline(never)]
fn counted(client: &mut Client) {
    client.run();
}

fn run(row: usize) {
    let frames = frames::frames(TOKENS, STREAM, 1);
    let (stage, _) = STAGES[row / PER_READ.len()];
    let per_read = PER_READ[row % PER_READ.len()];
    counted(&mut Client::new(stage, &frames, per_read, &HostClock::new()));
}

/// Instructions of a row, or why there is no figure.
fn count(row: usize) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*counted*"])
        .arg("--callgrind-out-file=/dev/null")
        .arg(program)
        .env(ROW, row.to_string())
        .output()
        .map_err(|error| format!("valgrind cannot be run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected :"));
    let instructions = collected.and_then(|(_, count)| count.trim().parse().ok());
    match instructions {
        Some(instructions @ 1..) if output.status.success() => Ok(instructions),
        _ => Err(format!("valgrind counted nothing ({}): {text}", output.status)),
    }
}

fn main() -> ExitCode {
    if let Ok(row) = std::env::var(ROW) {
        run(row.parse().expect("a number of a row"));
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("no instructions counted: valgrind is not installed");
        return ExitCode::SUCCESS;
    }
    println!(
        "instructions a message, {TOKENS} tokens: one frame a record / {} frames",
        PER_READ[1]
    );
    for (place, (_, name)) in STAGES.iter().enumerate() {
        let each = PER_READ.len();
        match (count(place * each), count(place * each + 1)) {
            (Ok(single), Ok(batch)) => {
                let per_message = |count: u64| count / STREAM as u64;
                println!("{name:14} {:6} {:6}", per_message(single), per_message(batch));
            }
            (Err(why), _) | (_, Err(why)) => {
                println!("{name:14} {why}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
