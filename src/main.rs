//! `ringbook`: the command line, turned into one of its subcommands.
//!
//! Runs on:  main thread.
use clap::Parser;
use ringbook::command;
use ringbook::config::flags::{Cli, Command};
use ringbook::io::output::complain;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    command::terminal::start_logging(cli.log);
    let result = match cli.command {
        Command::Run(flags) => command::run::run(&flags),
        Command::Demo(flags) => command::demo::run(&flags),
        Command::BenchLive(flags) => command::bench_live::run(&flags),
        Command::Replay(args) => command::replay::run(&args),
        Command::Export(args) => command::export::run(&args),
        Command::Compare(flags) => command::compare::run(&flags),
        Command::Topology(flags) => command::topology::run(&flags),
        Command::Doctor(flags) => command::doctor::run(&flags),
        Command::Pools(flags) => command::pools::run(&flags),
        Command::Counters => command::counters::run(),
    };
    match result {
        Ok(code) => code,
        Err(failure) => {
            complain(format_args!("ringbook: {}", failure.line));
            ExitCode::from(failure.code)
        }
    }
}
