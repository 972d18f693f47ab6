//! Prints every change of a spread: `cargo run --example spreads [-- HTTP_URL WS_URL]`.
//!
//! Without addresses it follows Polymarket; `venue-sim --plain` prints those of a simulated venue. It ends after a
//! minute or 1,000 changes.
use ringbook::{BookView, Change, Engine, Handler, Polymarket, TokenId};
use std::collections::HashMap;
use std::error::Error;
use std::io::Write;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

struct Spreads {
    last: HashMap<TokenId, i64>,
    lines: SyncSender<String>,
}

impl Spreads {
    fn compare(&mut self, view: &BookView<'_>) {
        let Some(spread) = view.book.spread() else { return };
        if self.last.insert(*view.token, spread) != Some(spread) {
            let line = format!("{} {} {}", view.venue.name(), view.token, spread as f64 / 1e6);
            // A handler never waits: when the queue is full, this line is lost.
            let _ = self.lines.try_send(line);
        }
    }
}

impl Handler for Spreads {
    fn on_snapshot(&mut self, view: &BookView<'_>) {
        self.compare(view);
    }

    fn on_price_change(&mut self, view: &BookView<'_>, _change: &Change) {
        self.compare(view);
    }
}

/// Follows every market until there were so many changes, or for so long.
pub(crate) fn run(
    venue: Polymarket,
    changes: usize,
    timeout: Duration,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let (sender, lines) = sync_channel(10_000);
    let _engine = Engine::builder()
        .venue(venue)
        .all_markets()
        .start(|_shard| Spreads { last: HashMap::new(), lines: sender.clone() })?;
    let end = Instant::now() + timeout;
    for _ in 0..changes {
        let left = end.saturating_duration_since(Instant::now());
        let Ok(line) = lines.recv_timeout(left) else { break };
        writeln!(out, "{line}")?;
    }
    Ok(())
}

#[allow(dead_code)] // the test calls `run`
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let venue = match arguments.as_slice() {
        [http, ws] => Polymarket::at(http, ws),
        _ => Polymarket::default(),
    };
    run(venue, 1_000, Duration::from_secs(60), &mut std::io::stdout())
}
