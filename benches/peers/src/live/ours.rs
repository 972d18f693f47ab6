//! ringbook itself: its engine as a user starts it, with a handler that reads the stamps.

use super::CHANNEL;
use super::client::Task;
use super::recorder::Recorder;
use ringbook::{BookView, Change, Engine, Handler, Idle, Polymarket};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Called on the shard's own thread, after each message was applied whole.
struct Stamps(Recorder);

impl Handler for Stamps {
    const WANTS_MARKETS: bool = false;

    fn on_snapshot(&mut self, _: &BookView<'_>) {
        self.0.shared().snapshots.fetch_add(1, Ordering::Relaxed);
    }

    fn on_price_change(&mut self, view: &BookView<'_>, _: &Change) {
        if let Some(hash) = &view.facts.hash {
            self.0.on_hash(hash);
        }
    }
}

/// A running engine.
pub struct Ours {
    engine: Engine,
}

impl Ours {
    /// Starts the engine for the tokens of the task with this idle policy, with as many tokens to a connection as a
    /// socket of the task has.
    pub(super) fn start(policy: &str, task: Task) -> Result<Self, String> {
        let address = task.address;
        let (http, ws) = (format!("http://{address}"), format!("ws://{address}{CHANNEL}"));
        let idle = match policy {
            "park" => Idle::Park,
            "adaptive" => Idle::ADAPTIVE,
            "adaptive-half" => Idle::Adaptive { cpu_percent: 50 },
            _ => Idle::Spin,
        };
        let of_socket = |markets: &Vec<super::frame::Market>| {
            markets.iter().map(|market| market.tokens.len()).sum::<usize>()
        };
        let tokens = task.sockets.iter().map(of_socket).max().unwrap_or_default();
        let builder = Engine::builder()
            .venue(Polymarket::at(&http, &ws).tokens_per_connection(tokens as u16))
            .idle(idle)
            .shard_cores(&[task.core as u32])
            .control_core(task.other_core as u32);
        // One token is enough to find a market.
        let first = task.sockets.iter().flatten().map(|market| market.tokens[0].as_str());
        let builder = first.fold(builder, |builder, token| builder.market(token));
        let shared = Arc::clone(&task.shared);
        let factory = |_| Stamps(Recorder::new(Arc::clone(&shared)));
        let engine = builder.start(factory).map_err(|error| error.to_string())?;
        Ok(Self { engine })
    }

    /// Reads the events, so that their ring never fills.
    pub(super) fn look(&mut self) {
        while self.engine.poll_event().is_some() {}
    }

    pub(super) fn end(self: Box<Self>) -> Result<(), String> {
        let report = self.engine.stop(|_| ());
        match report.left_behind.first() {
            Some(left) => Err(left.clone()),
            None => Ok(()),
        }
    }
}
