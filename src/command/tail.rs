//! `ringbook tail`: records of the bus, one line each, their schema, or who was first with them.
//!
//! Runs on:  main thread.
use super::Failure;
use crate::bus::SCHEMA;
use crate::config::UsageError;
use crate::config::bus::{TailFlags, bus_options};
use crate::io::output::print_line;
use std::process::ExitCode;

/// Prints records until a signal, or the wanted number.
///
/// # Errors
/// The address is unusable, or the broker does not answer.
pub fn run(flags: &TailFlags) -> Result<ExitCode, Failure> {
    let Some(address) = &flags.bus else {
        print_line(SCHEMA.trim_end());
        return Ok(ExitCode::SUCCESS);
    };
    bus_options(address).map_err(UsageError::from)?;
    if flags.races { race(address, flags) } else { print(address, flags) }
}

/// Reads as a consumer of books and trades does, and prints who was first.
#[cfg(feature = "kafka")]
fn race(address: &str, flags: &TailFlags) -> Result<ExitCode, Failure> {
    use crate::bus::{BusReader, races::table};
    let mut reader = BusReader::connect(address, false).map_err(fault)?;
    let signals = super::run::listen()?;
    let wanted = flags.count.unwrap_or(u64::MAX);
    while reader.counts().records < wanted && !signals.asked() {
        reader.poll(std::time::Duration::from_millis(100)).map_err(fault)?;
    }
    table(&reader.racers()).into_iter().for_each(print_line);
    let differing = reader.differing();
    if let Some(token) = differing.first() {
        let books = differing.len();
        print_line(format!("{books} books are different at two engines, such as that of {token}"));
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(feature = "kafka")]
fn fault(error: crate::bus::BusError) -> Failure {
    Failure { line: format!("--bus {error}"), code: 1 }
}

#[cfg(feature = "kafka")]
fn print(address: &str, flags: &TailFlags) -> Result<ExitCode, Failure> {
    use crate::bus::{BusConsumer, record::Topic};
    let topics = if flags.topics.is_empty() { &Topic::ALL[..] } else { &flags.topics };
    let from_beginning = if flags.from_beginning { topics } else { &[] };
    let mut consumer = BusConsumer::connect(address, topics, from_beginning).map_err(fault)?;
    let signals = super::run::listen()?;
    let mut left = flags.count.unwrap_or(u64::MAX);
    while left > 0 && !signals.asked() {
        if let Some(record) = consumer.poll(std::time::Duration::from_millis(100)).map_err(fault)? {
            left -= 1;
            if record.deleted.is_none() {
                print_line(&record.text);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "kafka"))]
fn race(address: &str, flags: &TailFlags) -> Result<ExitCode, Failure> {
    print(address, flags)
}

#[cfg(not(feature = "kafka"))]
fn print(_address: &str, _flags: &TailFlags) -> Result<ExitCode, Failure> {
    Err(Failure { line: format!("--bus: {}", crate::bus::NOT_BUILT), code: 2 })
}
