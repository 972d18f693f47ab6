//! The gateway over recordings: links and server.
//!
//! Runs on:  the starting thread; the server on the serve core.
use super::sessions::{RestLinks, Sessions};
use crate::base::limits::THREAD_END_NS;
use crate::gateway::hub::Settings;
use crate::gateway::signature::Keys;
use crate::io::clock::HostClock;
use crate::io::executor::Executor;
use crate::io::wake::Sleeper;
use crate::link::replay_gate::ReplayGate;
use crate::ring::{Consumer, Producer, ring};
use crate::serve::gateway::GatewayLinks;
use crate::serve::{Listener, ServeLinks, Server, Site};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A running server.
#[derive(Debug)]
pub struct ReplayServer {
    executor: Executor<()>,
    stop: Arc<AtomicBool>,
    gates: Vec<Arc<ReplayGate>>,
}

impl ReplayServer {
    /// Serves replays of `sessions` on bound listeners; `keys` verify signatures.
    ///
    /// # Errors
    /// No thread can start.
    pub fn start(
        sessions: Sessions,
        listeners: Vec<(Listener, Site)>,
        keys: Keys,
    ) -> Result<Self, String> {
        let sleeper = Sleeper::default();
        let (mut shards, mut updates, mut gates) = (Vec::new(), Vec::new(), Vec::new());
        for rest in sessions.read_for_rest(&sleeper)? {
            let RestLinks { queries, answers, updates: of_markets, gate } = rest;
            shards.push((queries, answers));
            updates.push(of_markets);
            gates.push(gate);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let start = move || async move {
            let (_unread, control_queries, control_answers) = no_control();
            let gateway = GatewayLinks {
                shards: updates,
                sleeper,
                settings: Settings::default(),
                spin_ns: 0,
                clock: HostClock::new(),
                keys,
                replays: Some(Box::new(sessions)),
                prices: None,
                bus: None,
            };
            let links = ServeLinks {
                control_queries,
                control_answers,
                shards,
                gateway: Some(gateway),
                host: None,
                wake: Box::new(|_| {}),
            };
            Server::new(links, listeners, &[]).run(stopping).await;
        };
        let executor = Executor::start("serve", None, start).map_err(|error| error.to_string())?;
        Ok(Self { executor, stop, gates })
    }

    /// Closes every client and ends every replay.
    ///
    /// # Errors
    /// The server has not ended in time.
    pub fn stop(self) -> Result<(), String> {
        self.stop.store(true, Ordering::Release);
        self.gates.iter().for_each(|gate| gate.stop.store(true, Ordering::Relaxed));
        self.executor.join_within(THREAD_END_NS).map_err(|error| error.to_string())
    }
}

type NoControl<Q, A> = ((Consumer<Q>, Producer<A>), Producer<Q>, Consumer<A>);

/// Links to a control core that does not answer.
fn no_control<Q, A>() -> NoControl<Q, A> {
    let (queries, unread) = ring(1);
    let (unsent, answers) = ring(1);
    ((unread, unsent), queries, answers)
}
