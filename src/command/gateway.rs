//! `ringbook gateway`: recorded days in the venues' own protocols.
//!
//! Runs on:  main thread; the server and the replays have their own threads.
use super::Failure;
use crate::config::{UsageError, replay_gateway::GatewayArgs};
use crate::replay::server::ReplayServer;
use crate::replay::sessions::{Recorded, Sessions};
use crate::serve::Site;
use log::{info, warn};
use std::process::ExitCode;
use std::time::Duration;

/// Interval in which signals are polled.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Serves until a signal.
///
/// # Errors
/// A flag is unusable, a file cannot be read, or the address cannot be used.
pub fn run(args: &GatewayArgs) -> Result<ExitCode, Failure> {
    let (defaults, settings) = args.check().map_err(UsageError)?;
    let fail = |line: String| Failure { line, code: 1 };
    let signals = super::run::listen()?;
    let mut recorded = Vec::new();
    for recording in args.recordings().map_err(fail)? {
        let (known, faults) = Recorded::open(recording).map_err(fail)?;
        faults.iter().for_each(|line| warn!("gateway: {line}"));
        recorded.push(known);
    }
    let venues: Vec<String> = recorded.iter().map(Recorded::venue).collect();
    let access = args.access(venues.iter().map(String::as_str))?;
    // Clients name the venue's host, so one port is enough.
    let by_name = access.impersonates.is_some();
    let mut listeners: Vec<(crate::serve::Listener, Site)> = Vec::new();
    for known in &recorded {
        let Some((site, offset)) = known.site() else { continue };
        if by_name && let Some((listener, _)) = listeners.first() {
            info!("gateway: {} at {} too; {}", known.venue(), listener.address(), known.span());
            continue;
        }
        let mut address = args.listen;
        if address.port() != 0 && !by_name {
            address.set_port(address.port().saturating_add(offset));
        }
        let listener = crate::serve::bind(address).map_err(|error| {
            fail(format!("cannot serve the gateway: {error}; set another address (--listen)"))
        })?;
        let (venue, span) = (known.venue(), known.span());
        info!("gateway: {venue} at {}, /v1/stream too; {span}", listener.address());
        listeners.push((listener.with_tls(access.tls()), Site::Gateway(site)));
    }
    if let Some((listener, _)) = listeners.first() {
        access.advice(listener.address()).iter().for_each(|line| info!("{line}"));
    }
    let sessions = Sessions::new(recorded, defaults, settings, usize::from(args.replays));
    let server = ReplayServer::start(sessions, listeners, access.keys).map_err(fail)?;
    while !signals.asked() {
        std::thread::sleep(LOOK_INTERVAL);
    }
    server.stop().map_err(fail)?;
    Ok(ExitCode::SUCCESS)
}
