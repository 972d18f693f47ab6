//! A strategy that reacts to a trade: after a large one it would join the same side at the best price.
//!
//! `cargo run --example large_trades [-- HTTP_URL WS_URL]`. Without addresses it follows Polymarket; `venue-sim
//! --plain` prints those of a simulated venue. It sends no order: ringbook has none. It ends after a minute or 100
//! signals.
use ringbook::{
    BookState, BookView, Engine, Handler, MarketStage, MarketView, Polymarket, Price, Side,
    TokenId, Trade,
};
use std::collections::HashMap;
use std::error::Error;
use std::io::Write;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// A trade is large if it is so many times the mean of those before.
const LARGE: u64 = 2;

/// What the strategy would do.
struct Signal {
    token: TokenId,
    side: Side,
    price: Price,
}

/// Trades of a token so far, and the sum of their quantities.
#[derive(Clone, Copy, Default)]
struct Seen {
    trades: u64,
    units: u64,
}

struct LargeTrades {
    seen: HashMap<TokenId, Seen>,
    signals: SyncSender<Signal>,
}

impl Handler for LargeTrades {
    fn on_trade(&mut self, view: &BookView<'_>, trade: &Trade<'_>) {
        let seen = self.seen.entry(*view.token).or_default();
        let before = *seen;
        seen.trades += 1;
        seen.units = seen.units.saturating_add(trade.quantity.0);
        let is_large = trade.quantity.0.saturating_mul(before.trades) >= before.units * LARGE;
        // No decision without a proven book, or without a trade to compare with.
        if view.state != BookState::Live || before.trades == 0 || !is_large {
            return;
        }
        let best = match trade.side {
            Side::Bid => view.book.best_bid(),
            Side::Ask => view.book.best_ask(),
        };
        if let Some(best) = best {
            let signal = Signal { token: *view.token, side: trade.side, price: best.price };
            let _ = self.signals.try_send(signal);
        }
    }

    fn on_market(&mut self, view: &MarketView<'_>) {
        if view.stage == MarketStage::Ended {
            for outcome in &view.info.tokens {
                self.seen.remove(&outcome.token);
            }
        }
    }
}

/// Follows every market until there were so many signals, or for so long.
pub(crate) fn run(
    venue: Polymarket,
    signals_max: usize,
    timeout: Duration,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let (sender, signals) = sync_channel(1_000);
    let _engine = Engine::builder()
        .venue(venue)
        .all_markets()
        .start(|_shard| LargeTrades { seen: HashMap::new(), signals: sender.clone() })?;
    let end = Instant::now() + timeout;
    for _ in 0..signals_max {
        let left = end.saturating_duration_since(Instant::now());
        let Ok(Signal { token, side, price }) = signals.recv_timeout(left) else { break };
        let action = if side == Side::Bid { "buy" } else { "sell" };
        writeln!(out, "{action} {token} at {price}")?;
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
    run(venue, 100, Duration::from_secs(60), &mut std::io::stdout())
}
