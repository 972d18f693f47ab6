//! `ringbook tail`: records of the bus, one line each.
//!
//! Runs on:  main thread.
use super::Failure;
use crate::config::UsageError;
use crate::config::bus::{TailFlags, bus_options};
use std::process::ExitCode;

/// Prints records until a signal, or the wanted number.
///
/// # Errors
/// The address is unusable, or the broker does not answer.
pub fn run(flags: &TailFlags) -> Result<ExitCode, Failure> {
    bus_options(&flags.bus).map_err(UsageError::from)?;
    print(flags)
}

#[cfg(feature = "kafka")]
fn print(flags: &TailFlags) -> Result<ExitCode, Failure> {
    use crate::bus::{BusConsumer, record::Topic};
    use crate::io::output::print_line;
    let fault = |error: crate::bus::BusError| Failure { line: format!("--bus {error}"), code: 1 };
    let topics = if flags.topics.is_empty() { &Topic::ALL[..] } else { &flags.topics };
    let from_beginning = if flags.from_beginning { topics } else { &[] };
    let mut consumer = BusConsumer::connect(&flags.bus, topics, from_beginning).map_err(fault)?;
    let signals = super::run::listen()?;
    let mut left = flags.count.unwrap_or(u64::MAX);
    while left > 0 && !signals.asked() {
        if let Some(record) = consumer.poll(std::time::Duration::from_millis(100)).map_err(fault)? {
            left -= 1;
            print_line(&record.text);
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "kafka"))]
fn print(_flags: &TailFlags) -> Result<ExitCode, Failure> {
    Err(Failure { line: format!("--bus: {}", crate::bus::NOT_BUILT), code: 2 })
}
