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

/// What a task needs to do its errand and bring it home.
#[derive(Clone)]
struct Home {
    sources: Sources,
    catalogue: Rc<Fetcher>,
    inbox: Rc<RefCell<Vec<Outcome>>>,
}

/// Steps until the pump says that all is over. `catalogue` is made on this core.
pub async fn run(mut control: Control, sources: Sources, catalogue: Fetcher, mut clock: HostClock) {
    let home = Home { sources, catalogue: Rc::new(catalogue), inbox: Rc::default() };
    loop {
        clock.align();
        for outcome in home.inbox.take() {
            match outcome {
                Outcome::Fetched(fetched) => control.on_fetched(fetched, clock.now()),
                Outcome::Resolved(connection, addresses) => {
                    control.on_resolved(connection, addresses, clock.now());
                }
            }
        }
        let Some(rest_ns) = control.step(clock.now()) else { return };
        while let Some(errand) = control.poll_errand() {
            send(errand, &home);
        }
        sleep(rest_ns).await;
    }
}

/// Starts a task for the errand; it ends by itself, at the latest at its time limit.
fn send(errand: Errand, home: &Home) {
    let home = home.clone();
    match errand {
        Errand::Fetch(path) => spawn(async move {
            let fetched = match home.catalogue.get(&path).await {
                Ok(response) => Fetched::Response {
                    status: response.status,
                    retry_after_s: response.retry_after_s(),
                    body: response.body,
                },
                Err(error) => Fetched::Failed(error.to_string()),
            };
            home.inbox.borrow_mut().push(Outcome::Fetched(fetched));
        }),
        Errand::Resolve(connection) => spawn(async move {
            let ws = &home.sources.ws;
            let addresses = home.sources.resolver.resolve(&ws.host, ws.port).await;
            let addresses = addresses.map_err(|error| error.to_string());
            home.inbox.borrow_mut().push(Outcome::Resolved(connection, addresses));
        }),
    }
}
