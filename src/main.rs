//! `ringbook`: entry point of the command line.
//!
//! Runs on:  main thread.
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ringbook::command_line(std::env::args_os().collect())
}
