//! The control core's executor loop: steps the pump, runs its errands.
//!
//! Runs on:  control core. Owns: the HTTP client of the catalogue.
use super::{
    catalogue::Fetched,
    pump::{Control, Errand},
};
use crate::base::id::ConnectionId;
use crate::io::{
    clock::HostClock,
    executor::{sleep, spawn},
    fetch::Fetcher,
    resolve::Resolver,
};
use crate::wire::endpoint::Endpoint;
use rustls::ClientConfig;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// Where the control core gets what it does not know.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The catalogue.
    pub gamma: Endpoint,
    /// The market channel.
    pub ws: Endpoint,
    /// TLS settings for both.
    pub tls: Arc<ClientConfig>,
    /// Names to addresses.
    pub resolver: Resolver,
}

/// What a task brought home.
enum Outcome {
    Fetched(Fetched),
    Resolved(ConnectionId, Result<Vec<SocketAddr>, String>),
}

/// Steps until the pump says that all is over.
pub async fn run(mut control: Control, sources: Sources, mut clock: HostClock) {
    let inbox: Rc<RefCell<Vec<Outcome>>> = Rc::default();
    loop {
        clock.align();
        for outcome in inbox.take() {
            match outcome {
                Outcome::Fetched(fetched) => control.on_fetched(fetched, clock.now()),
                Outcome::Resolved(connection, addresses) => {
                    control.on_resolved(connection, addresses, clock.now());
                }
            }
        }
        let Some(rest_ns) = control.step(clock.now()) else { return };
        while let Some(errand) = control.poll_errand() {
            send(errand, &sources, &inbox);
        }
        sleep(rest_ns).await;
    }
}
