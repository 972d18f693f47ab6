//! Counters of a simulated venue: written by its thread, read by any.
//!
//! Runs on:  written on the venue's thread, read anywhere.
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counts {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Counters since the start of a venue; `connections` and `subscriptions` are current values.
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
            /// Name and value of each counter.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }
        }
    };
}

counts! {
    /// WebSocket frames sent on all connections.
    frames,
    /// Bytes written to sockets.
    bytes_sent,
    /// `price_change` messages made, with or without subscribers.
    price_changes,
    /// `book` messages made after trades and grid changes.
    books,
    /// `last_trade_price` messages made.
    trades,
    /// `tick_size_change` messages made.
    tick_size_changes,
    /// `best_bid_ask` messages made.
    best_bid_asks,
    /// `new_market` messages made, including repeats.
    new_markets,
    /// `market_resolved` messages made.
    markets_resolved,
    /// Books sent in snapshot dumps.
    dumped_books,
    /// Books omitted from dumps (fault).
    lost_books,
    /// Open WebSocket connections.
    connections,
    /// WebSocket connections upgraded.
    upgrades,
    /// Subscribed tokens of all connections.
    subscriptions,
    /// HTTP requests answered.
    requests,
    /// Of these, requests for lists of markets or events.
    catalog_requests,
    /// HTTP requests and upgrades refused by a rate limit.
    rate_limited,
    /// Upgrades refused (fault).
    refused,
    /// Connections closed abruptly (fault).
    dropped,
    /// Connections with stopped data (fault).
    frozen,
    /// Half-open connections: nothing is sent or read (fault).
    half_open,
    /// Connections closed within a frame (fault).
    cut,
    /// Frames not sent to one client (fault).
    lost_frames,
    /// Frames sent twice (fault).
    doubled_frames,
    /// Delayed frames, each with those after it (fault).
    late_frames,
    /// Frames sent after a later one (fault).
    reordered_frames,
    /// Forward steps of the venue's wall clock (fault).
    clock_steps,
    /// Markets stopped on one connection (fault).
    frozen_markets,
    /// Delayed REST answers (fault).
    slow_answers,
    /// Outdated books in REST answers (fault).
    old_books,
    /// Stalls of the venue (fault).
    stalls,
    /// Malformed frames sent (fault).
    malformed,
    /// Messages of unknown type or with unknown keys sent (fault).
    unknown,
    /// Connections closed because they did not read.
    slow_clients,
    /// Clients that violated a protocol.
    violations,
    /// Markets with a book.
    live_markets,
    /// Virtual milliseconds skipped because the machine was too slow for the rate.
    skipped_ms,
}

impl Stats {
    /// Messages made on the stream, of every type.
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

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, amount: u64) {
        // One writer: a load and a store suffice.
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
