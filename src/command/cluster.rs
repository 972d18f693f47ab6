//! `ringbook cluster status`: the members of a cluster and their slices.
//!
//! Runs on:  main thread.
use super::Failure;
use crate::config::UsageError;
use crate::config::bus::{ClusterCommand, ClusterStatusFlags, bus_options};
use std::process::ExitCode;

/// Runs the subcommand.
///
/// # Errors
/// The address is unusable, or the broker does not answer.
pub fn run(command: &ClusterCommand) -> Result<ExitCode, Failure> {
    let ClusterCommand::Status(flags) = command;
    bus_options(&flags.bus).map_err(UsageError::from)?;
    status(flags)
}

/// Reads the claims, and waits until their engines have reported that they run, or are silent.
#[cfg(feature = "kafka")]
fn status(flags: &ClusterStatusFlags) -> Result<ExitCode, Failure> {
    use crate::base::limits::{BUS_BEAT_NS, BUS_SILENT_NS};
    use crate::base::time::Clock as _;
    use crate::bus::{BusConsumer, record::Topic};
    use crate::cluster::{claim::Claim, overview::Overview};
    use crate::io::{clock::HostClock, output::print_line};
    let fault = |error: crate::bus::BusError| Failure { line: format!("--bus {error}"), code: 1 };
    let topics = [Topic::Slices, Topic::Events];
    let mut consumer =
        BusConsumer::connect(&flags.bus, &topics, &[Topic::Slices]).map_err(fault)?;
    let signals = super::run::listen()?;
    let (clock, mut overview) = (HostClock::new(), Overview::default());
    let begun_ns = clock.mono_ns();
    let mut claimed_ns = begun_ns;
    loop {
        let record = consumer.poll(std::time::Duration::from_millis(100)).map_err(fault)?;
        let now_ns = clock.mono_ns();
        if let Some(record) = record {
            match Claim::parse(&record.text) {
                Ok(claim) if record.topic == Topic::Slices.name() => {
                    overview.on_claim(&claim);
                    claimed_ns = now_ns;
                }
                _ => overview.on_event(&record.text),
            }
        }
        // Claims come at once where there are any; an engine reports every second.
        let is_read = now_ns >= claimed_ns + BUS_BEAT_NS;
        let is_late = now_ns >= begun_ns + BUS_SILENT_NS + BUS_BEAT_NS;
        if is_read && claimed_ns > begun_ns && overview.is_complete() || is_late || signals.asked()
        {
            break;
        }
    }
    let status = overview.status(&flags.cluster, flags.replicas.into());
    status.lines.iter().for_each(print_line);
    Ok(if status.is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(not(feature = "kafka"))]
fn status(_flags: &ClusterStatusFlags) -> Result<ExitCode, Failure> {
    Err(Failure { line: format!("--bus: {}", crate::bus::NOT_BUILT), code: 2 })
}
