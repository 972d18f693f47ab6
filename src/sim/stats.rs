//! Counts of a simulated venue: written by its one thread, read by anyone.
//!
//! Runs on:  written on the venue's thread, read anywhere.
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counts {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Counts since the start of a venue; `connections` and `subscriptions` are as of now.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: Counter,)+
        }

        impl Counters {
            pub(super) fn read(&self) -> Stats {
                Stats { $($name: self.$name.get(),)+ }
            }
        }

        impl Stats {
            /// Name and value of each count.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }
        }
    };
}

counts! {
    /// WebSocket frames sent, all connections together.
    frames,
    /// Bytes written to sockets.
    bytes_sent,
    /// `price_change` messages made, whether or not anybody listened.
    price_changes,
    /// `book` messages made after trades and grid changes.
    books,
    /// `last_trade_price` messages made.
    trades,
    /// `tick_size_change` messages made.
    tick_size_changes,
    /// `best_bid_ask` messages made.
    best_bid_asks,
    /// `new_market` messages made, repeats included.
    new_markets,
    /// `market_resolved` messages made.
    markets_resolved,
    /// Books sent in dumps.
    dumped_books,
    /// Books left out of dumps on purpose.
    lost_books,
    /// WebSocket connections open now.
    connections,
    /// WebSocket connections ever upgraded.
    upgrades,
    /// Tokens subscribed now, all connections together.
    subscriptions,
    /// HTTP requests answered.
    requests,
    /// HTTP requests and upgrades refused for their rate.
    rate_limited,
    /// Upgrades refused on purpose.
    refused,
    /// Connections ended abruptly on purpose.
    dropped,
    /// Connections whose data was stopped on purpose.
    frozen,
    /// Connections that neither send nor receive on purpose.
    half_open,
    /// Connections ended in the middle of a frame on purpose.
    cut,
    /// Frames not sent to one client on purpose.
    lost_frames,
    /// Frames sent twice on purpose.
    doubled_frames,
    /// Frames held back on purpose, each with what came behind it.
    late_frames,
    /// Frames that another was to overtake on purpose.
    reordered_frames,
    /// Times that the venue's wall clock was set forward.
    clock_steps,
    /// Markets that one connection no longer receives, on purpose.
    frozen_markets,
    /// REST answers held back on purpose.
    slow_answers,
    /// Books of REST answers that were old on purpose.
    old_books,
    /// Times that the whole venue stood still on purpose.
    stalls,
    /// Malformed frames sent on purpose.
    malformed,
    /// Messages of unknown kinds or with unknown keys sent on purpose.
    unknown,
    /// Connections ended because they did not read.
    slow_clients,
    /// Clients that broke a protocol.
    violations,
    /// Markets with a book now.
    live_markets,
    /// Virtual milliseconds skipped because the machine was too slow for the rate.
    skipped_ms,
}

impl Stats {
    /// Live messages made, of every kind.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.price_changes
            + self.books
            + self.trades
            + self.tick_size_changes
            + self.best_bid_asks
            + self.new_markets
            + self.markets_resolved
    }
}

/// One count with one writer.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, amount: u64) {
        // One writer: a load and a store are enough.
        self.set(self.get().wrapping_add(amount));
    }

    pub(super) fn subtract(&self, amount: u64) {
        self.set(self.get().saturating_sub(amount));
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
