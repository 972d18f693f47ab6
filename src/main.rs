//! `ringbook`: the command line.
use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};
use ringbook::config::replay::ReplayArgs;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A thread-per-core market-data engine for prediction markets.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Replay(ReplayArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Replay(args) => replay(&args),
    }
}

fn replay(args: &ReplayArgs) -> ExitCode {
    let plan = args
        .plan()
        .unwrap_or_else(|why| Cli::command().error(ErrorKind::ValueValidation, why).exit());
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second signal ends the process at once.
        let _ = signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop));
        let _ = signal_hook::flag::register(signal, Arc::clone(&stop));
    }
    ExitCode::from(ringbook::replay::execute(&plan, args.json, &stop))
}
