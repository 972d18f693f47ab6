//! ringbook itself: its engine as a user starts it, with a handler that reads the stamps.

use super::CHANNEL;
use super::client::Task;
use super::recorder::Recorder;
use ringbook::link::main_control::ControlEvent;
use ringbook::{BookView, Change, Engine, Handler, Idle, Polymarket, TokenId};
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
    /// Sockets that are not asked for yet: their tokens.
    waiting: Vec<Vec<TokenId>>,
    /// The socket that is being asked for.
    asked: Option<(u64, Vec<TokenId>)>,
}

impl Ours {
    /// Starts the engine for the tokens of the task with this idle policy.
    pub(super) fn start(policy: &str, task: Task) -> Result<Self, String> {
        let address = task.address;
        let (http, ws) = (format!("http://{address}"), format!("ws://{address}{CHANNEL}"));
        let idle = match policy {
            "park" => Idle::Park,
            "adaptive" => Idle::ADAPTIVE,
            "adaptive-half" => Idle::Adaptive { cpu_percent: 50 },
            _ => Idle::Spin,
        };
        let builder = Engine::builder()
            .venue(Polymarket::at(&http, &ws))
            .idle(idle)
            .shard_cores(&[task.core as u32])
            .control_core(task.other_core as u32);
        // One token is enough to find a market.
        let first = task.sockets.iter().flatten().map(|market| market.tokens[0].as_str());
        let builder = first.fold(builder, |builder, token| builder.market(token));
        let shared = Arc::clone(&task.shared);
        let factory = |_| Stamps(Recorder::new(Arc::clone(&shared)));
        let engine = builder.start(factory).map_err(|error| error.to_string())?;
        let tokens = |text: &String| TokenId::new(text).ok_or_else(|| format!("{text}: no token"));
        let of_socket = |markets: &Vec<super::frame::Market>| {
            markets.iter().flat_map(|market| &market.tokens).map(tokens).collect()
        };
        let waiting: Result<Vec<_>, String> = task.sockets.iter().map(of_socket).collect();
        let mut waiting = waiting?;
        waiting.reverse();
        Ok(Self { engine, waiting, asked: None })
    }

    /// Reads the events; asks for one connection after the other, each with its own tokens, because
    /// placement by itself would put all of them on one.
    pub(super) fn look(&mut self) -> Result<(), String> {
        while let Some(event) = self.engine.poll_event() {
            let ControlEvent::Forced { ticket, refused, .. } = event else { continue };
            if let Some((_, tokens)) = self.asked.take_if(|(asked, _)| *asked == ticket)
                && !refused.is_empty()
            {
                // Its markets are not looked up yet.
                self.waiting.push(tokens);
            }
        }
        if self.asked.is_none()
            && let Some(tokens) = self.waiting.pop()
        {
            self.asked = match self.engine.force_subscribe(tokens.clone()) {
                Some(ticket) => Some((ticket, tokens)),
                None => return Err("the engine takes no commands".into()),
            };
        }
        Ok(())
    }

    pub(super) fn end(self: Box<Self>) -> Result<(), String> {
        let report = self.engine.stop(|_| ());
        match report.left_behind.first() {
            Some(left) => Err(left.clone()),
            None => Ok(()),
        }
    }
}
