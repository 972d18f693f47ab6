//! Instructions a message, for the stages of `session`, and of the decoders alone by the layout of the message.
//!
//! A count that a noisy machine does not change.
//! Each row runs once in a process of its own under `valgrind --tool=callgrind`, which counts
//! only inside [`counted`]. The cost of memory and of system calls is not in it, and the decryption is that of
//! the processor which valgrind imitates. Without valgrind it prints a note and exits with 0.
mod frames;
mod layouts;
mod wire;

use layouts::{LAYOUTS, Reader};
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

const ROWS: usize = STAGES.len() * PER_READ.len();
const READERS: [Reader; 2] = [Reader::Usual, Reader::Whole];

/// What is counted; valgrind finds it by its name.
#[inline(never)]
fn counted(mut run: impl FnMut()) {
    run();
}

fn run(row: usize) {
    if let Some(row) = row.checked_sub(ROWS) {
        let mut sample = (LAYOUTS[row / READERS.len()].sample)();
        return counted(|| sample.decode(READERS[row % READERS.len()]));
    }
    let frames = frames::frames(TOKENS, STREAM, 1);
    let (stage, _) = STAGES[row / PER_READ.len()];
    let per_read = PER_READ[row % PER_READ.len()];
    let mut client = Client::new(stage, &frames, per_read, &HostClock::new());
    counted(|| client.run());
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
    let figures = STAGES.iter().enumerate().try_for_each(|(place, (_, name))| {
        let row = place * PER_READ.len();
        print(name, [count(row)?, count(row + 1)?], STREAM)
    });
    let figures = figures.and_then(|()| {
        println!("\ninstructions of the decoder: usual layout / full parser alone");
        LAYOUTS.iter().enumerate().try_for_each(|(place, layout)| {
            let row = ROWS + place * READERS.len();
            print(layout.name, [count(row)?, count(row + 1)?], (layout.sample)().units)
        })
    });
    match figures {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn print(name: &str, counts: [u64; 2], units: usize) -> Result<(), String> {
    let [first, second] = counts.map(|count| count / units as u64);
    println!("{name:26} {first:6} {second:6}");
    Ok(())
}
