//! What a library user sees: the builder of an engine, and every type that its methods and handlers name.
//!
//! Runs on:  main thread, before anything starts.
//!
//! The crate's root exports all of it; nothing else of the crate is public. The builder has one method for each setter
//! of [`Config`]; flags go through the same setters.
pub use crate::base::{
    id::{ConnectionId, MarketId, ShardId, ShortText, TokenId, TradeId, Venue},
    policy::HashChecks,
    price::{Price, Quantity},
};
pub use crate::bus::BusError;
#[cfg(feature = "kafka")]
pub use crate::bus::{
    BusReader,
    books::{BusBook, BusEvent, BusState, BusTrade},
    races::BusRacer,
};
pub use crate::config::{Capture, Config, Kalshi, Polymarket, SettingError, Trades, VenueSettings};
#[cfg(feature = "kafka")]
pub use crate::counter::bus_source::BusCounts;
pub use crate::counter::race::RaceCounts;
pub use crate::counter::report::EngineReport;
pub use crate::gateway::{Site as GatewaySite, StalePolicy};
pub use crate::link::main_control::{ControlEvent, RefusedToken};
pub use crate::market::book::{
    Book, BookState, Level, Side, StaleReason,
    image::{BookFacts, BookHash},
    ladder::Ladder,
};
pub use crate::market::event::{TickSize, TopOfBook, Trade};
pub use crate::market::info::{MarketInfo, MarketStage, Outcome, Resolution};
pub use crate::replay::feed;
pub use crate::shard::publish::{
    BookView, Change, ConnectionChange, ConnectionView, Handler, MarketView,
};
pub use crate::topology::{Idle, ThreadPlan, Topology};

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Connections to other HTTP services, pooled, for threads that may wait; [`guide::pools`](crate::guide::pools).
pub mod pools {
    pub use crate::config::pools::{PoolsError, load};
    pub use crate::io::executor::StartError;
    pub use crate::pool::blocking::{BlockingHandle, BlockingPools};
    pub use crate::pool::{PoolError, Service};
    pub use crate::wire::http::{Request, Response};
}

/// The settings of an engine that is about to start.
///
/// Every method takes one setting; the first that cannot be used is the error of
/// [`start`](EngineBuilder::start). What is not set is as in [`Config::default`].
#[derive(Clone, Debug, Default)]
#[must_use = "nothing runs before `start`"]
pub struct EngineBuilder {
    config: Config,
    error: Option<SettingError>,
}

impl From<Config> for EngineBuilder {
    fn from(config: Config) -> Self {
        Self { config, error: None }
    }
}

impl EngineBuilder {
    /// Follows this venue too: [`Polymarket`] or [`Kalshi`], each at most once.
    pub fn venue(self, venue: impl Into<VenueSettings>) -> Self {
        self.set(|config| config.venue(venue).map(drop))
    }

    /// Follows this market: a slug, a condition id, a token id or a ticker.
    pub fn market(self, name: &str) -> Self {
        self.set(|config| config.market(name).map(drop))
    }

    /// Follows every market of the catalogs.
    pub fn all_markets(self) -> Self {
        self.change(|config| _ = config.all_markets(true))
    }

    /// Follows at most so many markets.
    pub fn markets_max(self, count: usize) -> Self {
        self.change(|config| _ = config.markets_max(count))
    }

    /// The number of shards, 1 to 256, all venues together; at least one for each venue is started. Default: one for
    /// each usable core but two.
    pub fn shards(self, count: u16) -> Self {
        self.set(|config| config.shards(count).map(drop))
    }

    /// The cores of the shards, one shard a core.
    pub fn shard_cores(self, cores: &[u32]) -> Self {
        self.set(|config| config.shard_cores(cores).map(drop))
    }

    /// The core of the control thread.
    pub fn control_core(self, core: u32) -> Self {
        self.change(|config| _ = config.control_core(core))
    }

    /// The core of the serve thread.
    pub fn serve_core(self, core: u32) -> Self {
        self.change(|config| _ = config.serve_core(core))
    }

    /// What a shard does without work. Default: [`Idle::Park`].
    pub fn idle(self, idle: Idle) -> Self {
        self.change(|config| _ = config.idle(idle))
    }

    /// Stores every trade in a database, as in `"sqlite:trades.db"`; [`Trades`] has more settings.
    pub fn trades(self, trades: impl Into<Trades>) -> Self {
        self.set(|config| config.trades(trades).map(drop))
    }

    /// Writes every frame into a folder; [`Capture`] has more settings. For one venue only.
    pub fn capture(self, capture: impl Into<Capture>) -> Self {
        self.set(|config| config.capture(capture).map(drop))
    }

    /// Publishes every book and trade at a broker of the Kafka protocol, as in `"kafka://127.0.0.1:9092/ringbook"`;
    /// each book as a whole once in `snapshots`. Needs the cargo feature `kafka`; [`guide::bus`](crate::guide::bus).
    pub fn bus(self, address: &str, snapshots: Duration) -> Self {
        self.set(|config| config.bus(address, snapshots).map(drop))
    }

    /// Makes the engine a member of a cluster whose members divide the markets among themselves, those of each rack all
    /// of them; call it after [`EngineBuilder::bus`]. [`guide::cluster`](crate::guide::cluster).
    pub fn cluster(self, name: &str, rack: Option<&str>) -> Self {
        self.set(|config| config.cluster(name, rack).map(drop))
    }

    /// Has the books and trades of these venues (`"polymarket"`, `"kalshi"`) from a bus, to which other engines publish
    /// them, in place of the venues. Needs the cargo feature `kafka`; [`guide::bus`](crate::guide::bus).
    pub fn bus_source(self, address: &str, venues: &[&str]) -> Self {
        self.set(|config| config.bus_source(address, venues).map(drop))
    }

    /// Answers health, statistics, metrics and books over HTTP at this address; port 0 is a free one
    /// ([`Engine::serving`](crate::engine::Engine::serving)).
    pub fn serve(self, address: impl Into<SocketAddr>) -> Self {
        self.change(|config| _ = config.serve(address.into()))
    }

    /// Answers local clients that use this name or address in `Host` too.
    pub fn serve_name(self, name: &str) -> Self {
        self.set(|config| config.serve_name(name).map(drop))
    }

    /// Serves books to local clients of the venues' own protocols, as `--gateway` does
    /// ([`Engine::gateways`](crate::engine::Engine::gateways)).
    pub fn gateway(self, address: impl Into<SocketAddr>) -> Self {
        self.set(|config| config.gateway(address.into(), false).map(drop))
    }

    /// Serves the gateway with TLS; both files are PEM, and only their owner may read the key.
    pub fn gateway_tls(self, certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        self.set(|config| config.gateway_tls(certificate.as_ref(), key.as_ref()).map(drop))
    }

    /// Refuses requests to Kalshi's interface of the gateway that are not signed with the private key of this public
    /// key (PEM), or of another one that was given.
    pub fn gateway_verify(self, id: &str, file: impl AsRef<Path>) -> Self {
        self.set(|config| config.gateway_verify(id, file.as_ref()).map(drop))
    }

    /// What a client of a venue's protocol receives when a book is stale; an empty book by default.
    pub fn gateway_stale(self, policy: StalePolicy) -> Self {
        self.change(|config| _ = config.gateway_stale(policy))
    }

    /// Follows the markets that clients of the gateway subscribe to and that are not followed yet.
    pub fn gateway_follow(self) -> Self {
        self.change(|config| _ = config.gateway_follow(true))
    }

    /// MiB that may wait for one client of the gateway, 1 to 4,096; 8 by default.
    pub fn gateway_buffer_mib(self, mib: u32) -> Self {
        self.set(|config| config.gateway_buffer_mib(mib).map(drop))
    }

    /// Trusts the certificate authority of this file too (PEM).
    pub fn tls_ca(self, file: impl AsRef<Path>) -> Self {
        self.set(|config| config.tls_ca(file.as_ref()).map(drop))
    }

    /// Messages that are older than this when they are read are reported by `/health`; 0 is never. Default: 5 s.
    pub fn lag_warn(self, age: Duration) -> Self {
        self.set(|config| config.lag_warn(age).map(drop))
    }

    /// Which of the venue's hashes are compared with the books. Default: [`HashChecks::Sampled`].
    pub fn verify_hash(self, which: HashChecks) -> Self {
        self.change(|config| _ = config.verify_hash(which))
    }

    /// Every live book of a venue whose messages have no numbers is compared with its REST interface once in so long; 0
    /// is never. Default: 5 minutes. For Kalshi: [`Kalshi::rest_poll`].
    pub fn audit(self, round: Duration) -> Self {
        self.change(|config| _ = config.audit(round))
    }

    /// Reads the bounds of the engine's REST services from a file as `ringbook pools --example` prints it.
    pub fn pools(self, file: impl AsRef<Path>) -> Self {
        self.set(|config| config.pools(file.as_ref()).map(drop))
    }

    /// The settings.
    ///
    /// # Errors
    /// The first setting that could not be used, or that they do not fit together.
    pub fn config(self) -> Result<Config, SettingError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.config.check()?;
        Ok(self.config)
    }

    fn change(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    fn set(mut self, set: impl FnOnce(&mut Config) -> Result<(), SettingError>) -> Self {
        let result = set(&mut self.config);
        self.error = self.error.or(result.err());
        self
    }
}

#[cfg(test)]
mod tests;
