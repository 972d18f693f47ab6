//! `ringbook gateway`: recorded days in the venues' own protocols.
//!
//! Runs on:  main thread; the server and the replays have their own threads.
use super::Failure;
use crate::config::{UsageError, gateway::GatewayAccess, replay_gateway::GatewayArgs};
use crate::replay::Recorded;
use crate::replay_gateway::server::ReplayServer;
use crate::replay_gateway::sessions::{Sessions, sites};
use crate::serve::{Listener, Site};
use log::info;
use std::process::ExitCode;

/// Serves until a signal.
///
/// # Errors
/// A flag is unusable, a file cannot be read, or the address cannot be used.
pub fn run(args: &GatewayArgs) -> Result<ExitCode, Failure> {
    let (defaults, settings) = args.check().map_err(UsageError)?;
    let signals = super::run::listen()?;
    let (mut recorded, mut faults) = (Vec::new(), Vec::new());
    for recording in args.recordings()? {
        let (known, mut faults_of) = Recorded::open(recording)?;
        recorded.push(known);
        faults.append(&mut faults_of);
    }
    let venues: Vec<String> = recorded.iter().map(Recorded::venue).collect();
    let access = args.access(venues.iter().map(String::as_str))?;
    let listeners = bind(args, &access, &recorded)?;
    if let Some((listener, _)) = listeners.first() {
        access.advice(listener.address()).iter().for_each(|line| info!("{line}"));
    }
    let sessions = Sessions::new(recorded, defaults, settings, usize::from(args.replays));
    sessions.log(&faults);
    let server = ReplayServer::start(sessions, listeners, access.keys)?;
    signals.poll_until(|| false);
    server.stop()?;
    Ok(ExitCode::SUCCESS)
}

/// Listeners for the interfaces of the recorded venues; one for all where clients name the venue's host.
fn bind(
    args: &GatewayArgs,
    access: &GatewayAccess,
    recorded: &[Recorded],
) -> Result<Vec<(Listener, Site)>, String> {
    let by_name = access.impersonates.is_some();
    let mut listeners: Vec<(Listener, Site)> = Vec::new();
    for known in recorded {
        for &(site, offset) in sites(known) {
            let span =
                if site.has_stream() { format!("; {}", known.span()) } else { String::new() };
            if by_name && let Some((listener, _)) = listeners.first() {
                info!("gateway: {} at {} too{span}", site.name(), listener.address());
                continue;
            }
            let mut address = args.listen;
            if address.port() != 0 && !by_name {
                let port = address.port().checked_add(offset).ok_or_else(|| {
                    let name = site.name();
                    format!("--listen {address}: no port is left for {name}: give a lower one")
                })?;
                address.set_port(port);
            }
            let listener = crate::serve::bind(address).map_err(|error| {
                format!("cannot serve the gateway: {error}; set another address (--listen)")
            })?;
            let stream = if site.has_stream() { ", /v1/stream too" } else { "" };
            info!("gateway: {} at {}{stream}{span}", site.name(), listener.address());
            listeners.push((listener.with_tls(access.tls()), Site::Gateway(site)));
        }
    }
    Ok(listeners)
}
