//! Settings with defaults and limits, and the flags that set them.
//!
//! Runs on:  main thread, before anything starts.
//!
//! Each setting of a [`Config`] is valid; [`Config::check`] compares them with each other at the start.
pub mod archive;
pub mod bench_live;
pub mod book;
pub mod bus;
pub mod cores;
pub mod export;
pub mod file;
pub mod flags;
pub mod gateway;
mod impersonation;
pub mod plot;
pub mod pools;
pub mod replay;
pub mod replay_gateway;
pub mod run;
mod settings;
pub mod venue;

pub use settings::{Capture, SettingError, Trades};
pub use venue::{Kalshi, Polymarket, VenueSettings};

use crate::base::id::TokenId;
use crate::base::limits::LAG_WARN_NS;
use crate::base::policy::HashChecks;
use crate::base::time::SECOND_NS;
use crate::bus::address::BusOptions;
use crate::gateway::hub::Settings as GatewaySettings;
use crate::io::authority::ServeName;
use crate::io::driver::Driver;
use crate::pool::Service;
use crate::sink::{capture::CaptureOptions, trades::SinkOptions};
use crate::topology::{RequestedLayout, TopologyError, parse_cores};
use crate::wire::endpoint::Endpoint;
use bus::Source;
use gateway::GatewayAccess;
use run::RunFlags;
use settings::nanoseconds;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use venue::VenueConfig;

/// URL of Polymarket's market channel.
pub const WS_URL: &str = "wss://ws-subscriptions-clob.polymarket.com/ws/market";
/// URL of Polymarket's catalog.
pub const GAMMA_URL: &str = "https://gamma-api.polymarket.com";
/// URL of Polymarket's REST order books.
pub const CLOB_URL: &str = "https://clob.polymarket.com";

/// An unusable flag: one line with flag, value and remedy. Exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

impl From<SettingError> for UsageError {
    /// Settings and flags have the same names; one line per setting.
    fn from(error: SettingError) -> Self {
        Self(format!("--{}", error.0.replace('\n', "\n--")))
    }
}

impl From<TopologyError> for UsageError {
    fn from(error: TopologyError) -> Self {
        Self(match error {
            TopologyError::ShardsAndCores { shards, cores } => {
                format!(
                    "--shards {shards}, but --shard-cores has {cores} cores; give one of the two"
                )
            }
            TopologyError::NoCores | TopologyError::CoreTwice { .. } => error.to_string(),
            TopologyError::CoreNotUsable { .. } | TopologyError::ShardCount { .. } => {
                format!("--{error}")
            }
        })
    }
}

/// Settings of an engine.
///
/// The default follows no venue; other settings are those of `ringbook run` without flags.
#[derive(Clone, Debug)]
pub struct Config {
    /// Requested threads and cores.
    pub(crate) layout: RequestedLayout,
    /// Venues to follow, each at most once.
    pub(crate) venues: Vec<VenueConfig>,
    /// Additional certificate authority, PEM.
    pub(crate) tls_ca: Option<Vec<u8>>,
    /// Address of the local HTTP server.
    pub(crate) serve: Option<SocketAddr>,
    /// Accepted `Host` names besides the default ones.
    pub(crate) serve_names: Vec<ServeName>,
    /// Where to serve books in the venues' protocols.
    pub(crate) gateway: Option<SocketAddr>,
    /// How clients of the gateway are treated.
    pub(crate) gateway_settings: GatewaySettings,
    /// The serve core polls while the gateway has clients, whatever the shards do.
    pub(crate) gateway_spin: bool,
    /// TLS and signatures of the gateway.
    pub(crate) gateway_access: GatewayAccess,
    /// Message age that `/health` reports, nanoseconds; 0 disables it.
    pub(crate) lag_warn_ns: u64,
    /// File in shared memory for the best prices.
    pub(crate) shm: Option<PathBuf>,
    /// Folder of the histograms written at exit.
    pub(crate) histograms: Option<PathBuf>,
    /// Whether each connection has histograms.
    pub(crate) connection_histograms: bool,
    /// Whether two connections with the same markets race, where messages are not numbered.
    pub(crate) race: bool,
    /// Which hashes are compared with the venue's.
    pub(crate) hash_checks: HashChecks,
    /// Interval in which every live book is compared with the REST interface, nanoseconds; 0 disables it.
    pub(crate) audit_round_ns: u64,
    /// Markets to follow: slugs, condition ids, token ids, tickers.
    pub(crate) markets: Vec<String>,
    /// Tokens whose markets are followed.
    pub(crate) tokens: Vec<TokenId>,
    /// Whether every market of the catalog is followed.
    pub(crate) discover: bool,
    /// Readiness driver of the shards.
    pub(crate) driver: Driver,
    /// Most markets to follow.
    pub(crate) markets_max: Option<usize>,
    /// Changed limits of the engine's REST services, by name.
    pub(crate) services: Vec<Service>,
    /// Trade database; its venues are set at the start.
    pub(crate) trades: Option<SinkOptions>,
    /// The capture.
    pub(crate) capture: Option<CaptureOptions>,
    /// Where every book and trade is published.
    pub(crate) bus: Option<BusOptions>,
    /// Where every book and trade is read, in place of the venues.
    pub(crate) source: Option<BusOptions>,
    /// The group of the cluster that this engine is a member of.
    pub(crate) cluster: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            layout: RequestedLayout::default(),
            venues: Vec::new(),
            tls_ca: None,
            serve: None,
            serve_names: Vec::new(),
            gateway: None,
            gateway_settings: GatewaySettings::default(),
            gateway_spin: false,
            gateway_access: GatewayAccess::default(),
            lag_warn_ns: LAG_WARN_NS,
            shm: None,
            histograms: None,
            connection_histograms: false,
            race: false,
            hash_checks: HashChecks::default(),
            audit_round_ns: 300 * SECOND_NS,
            markets: Vec::new(),
            tokens: Vec::new(),
            discover: false,
            driver: Driver::Epoll,
            markets_max: None,
            services: Vec::new(),
            trades: None,
            capture: None,
            bus: None,
            source: None,
            cluster: None,
        }
    }
}

impl Config {
    /// Services of `--pools` that this run does not use.
    #[must_use]
    pub fn ignored_services(&self) -> Vec<&str> {
        let asked: Vec<&str> = self.asked_services();
        let names = self.services.iter().map(|service| service.name.as_str());
        names.filter(|name| !asked.contains(name)).collect()
    }

    /// REST services that this run uses.
    #[must_use]
    pub fn asked_services(&self) -> Vec<&'static str> {
        let names = self.followed().iter().flat_map(|venue| venue.feed.service_names());
        let mut names: Vec<&str> = names.collect();
        names.dedup();
        names
    }

    /// Settings from the flags of `ringbook run`; reads the files that they name, and writes those of the gateway.
    ///
    /// # Errors
    /// [`UsageError`]: one line.
    pub fn from_flags(flags: &RunFlags) -> Result<Self, UsageError> {
        let mut config = Self::checked(flags)?;
        config.prepare_gateway()?;
        Ok(config)
    }

    /// The same, for a check: nothing is written.
    ///
    /// # Errors
    /// [`UsageError`]: one line.
    pub(crate) fn checked(flags: &RunFlags) -> Result<Self, UsageError> {
        let is_asked = flags.gateway_follow && flags.gateway.is_some();
        if flags.no_discovery && flags.markets.is_empty() && flags.tokens.is_empty() && !is_asked {
            return Err(UsageError(
                "--no-discovery leaves nothing to follow: name markets with --market or --token"
                    .into(),
            ));
        }
        venue::check_use(flags)?;
        let mut config = Self { layout: layout(&flags.layout)?, ..Self::default() };
        config.driver(flags.layout.driver);
        for feed in &flags.venues {
            match flags.bus.source {
                Source::Venue => config.venue(venue::from_flags(*feed, flags)?)?,
                Source::Bus => config.venue(VenueSettings::of(*feed, GAMMA_URL, WS_URL))?,
            };
        }
        config.set_followed(flags)?;
        config.set_served(flags)?;
        config.lag_warn(Duration::from_secs(flags.lag_warn))?;
        config.histograms.clone_from(&flags.histograms.histograms);
        config.shm.clone_from(&flags.shm);
        config.connection_histograms = flags.connection_histograms;
        config.race = flags.race;
        config.verify_hash(flags.verify_hash);
        config.audit(Duration::from_secs(flags.audit.into()));
        if let Some(file) = &flags.pools {
            config.pools(file)?;
        }
        if let Some(trades) = trades(&flags.trades) {
            config.trades(trades)?;
        }
        if let Some(capture) = capture(&flags.capture) {
            config.capture(capture)?;
        }
        config.bus_flags(&flags.bus)?;
        config.check()?;
        Ok(config)
    }

    /// Markets to follow.
    fn set_followed(&mut self, flags: &RunFlags) -> Result<(), SettingError> {
        self.all_markets(!flags.no_discovery);
        for name in &flags.markets {
            self.market(name)?;
        }
        for id in &flags.tokens {
            self.token(id)?;
        }
        if let Some(count) = flags.markets_max {
            self.markets_max(count as usize);
        }
        Ok(())
    }

    /// Venues with a connection: none where a bus is read.
    pub(crate) fn followed(&self) -> &[VenueConfig] {
        if self.source.is_some() { &[] } else { &self.venues }
    }

    /// Whether there is a serve core, with a hub: for clients of the gateway, for those of `/v1/stream` at `--serve`,
    /// and for the bus.
    pub(crate) const fn has_hub(&self) -> bool {
        self.gateway.is_some() || self.serve.is_some() || self.bus.is_some()
    }

    /// Local server and certificate authority.
    fn set_served(&mut self, flags: &RunFlags) -> Result<(), SettingError> {
        if let Some(file) = &flags.tls_ca {
            self.tls_ca(file)?;
        }
        if let Some(address) = flags.serve {
            self.serve(address);
        }
        for name in &flags.serve_names {
            self.serve_name(name)?;
        }
        self.gateway_flags(flags.gateway, &flags.gateway_access)?;
        self.gateway_follow(flags.gateway_follow);
        self.gateway_stale(flags.gateway_stale).gateway_buffer_mib(flags.gateway_buffer)?;
        Ok(())
    }
}

/// Reads a file of limits.
fn own_services(path: &Path) -> Result<Vec<Service>, SettingError> {
    pools::load(path).map_err(|error| SettingError(error.of("pools").to_string()))
}

/// Reads the file of `--tls-ca`.
///
/// # Errors
/// [`UsageError`]: it cannot be read.
pub fn tls_ca(path: Option<&Path>) -> Result<Option<Vec<u8>>, UsageError> {
    let mut config = Config::default();
    if let Some(path) = path {
        config.tls_ca(path)?;
    }
    Ok(config.tls_ca)
}

/// Creates the folder of `--histograms`.
///
/// # Errors
/// [`UsageError`]: it cannot be created.
pub fn make_histograms(dir: Option<&Path>) -> Result<(), UsageError> {
    let Some(dir) = dir else { return Ok(()) };
    std::fs::create_dir_all(dir).map_err(|error| {
        UsageError(format!("--histograms {}: cannot be made: {error}", dir.display()))
    })
}

/// Layout from its flags.
///
/// # Errors
/// [`UsageError`]: one line.
pub fn layout(flags: &cores::LayoutFlags) -> Result<RequestedLayout, UsageError> {
    Ok(RequestedLayout {
        control_core: flags.control_core,
        shard_cores: shard_cores(&flags.shards)?,
        shards: flags.shards.shards,
        serve_core: flags.serve_core,
        idle: flags.idle,
    })
}

/// The cores of `--shard-cores`; none without it.
fn shard_cores(flags: &cores::ShardFlags) -> Result<Vec<u32>, UsageError> {
    let cores = |text: &String| {
        parse_cores(text).map_err(|error| UsageError(format!("--shard-cores {text}: {error}")))
    };
    Ok(flags.shard_cores.as_ref().map(cores).transpose()?.unwrap_or_default())
}

fn trades(flags: &run::TradeFlags) -> Option<Trades> {
    let trades = Trades::new(flags.trades.as_ref()?)
        .batches(flags.trades_batch, Duration::from_millis(flags.trades_batch_ms));
    Some(match &flags.trades_journal {
        Some(file) => trades.journal(file),
        None => trades,
    })
}

fn capture(flags: &run::CaptureFlags) -> Option<Capture> {
    let minutes = Duration::from_secs(60 * flags.capture_file_minutes);
    let capture = Capture::new(flags.capture.as_ref()?)
        .flush(Duration::from_millis(flags.capture_flush_ms))
        .files(flags.capture_file_mb * 1_000_000, minutes)
        .images(Duration::from_secs(flags.capture_images));
    let capture = match flags.capture_keep_days {
        Some(days) => capture.keep_for(Duration::from_secs(86_400 * u64::from(days))),
        None => capture,
    };
    let capture = match flags.capture_keep_gb {
        Some(gb) => capture.keep_bytes(u64::from(gb) * 1_000_000_000),
        None => capture,
    };
    Some(match &flags.capture_on_close {
        Some(command) => capture.on_close(command),
        None => capture,
    })
}

fn endpoint(name: &str, text: &str, schemes: [&str; 2]) -> Result<Endpoint, SettingError> {
    Endpoint::parse(text, schemes).map_err(|error| SettingError(format!("{name} {error}")))
}

#[cfg(test)]
mod tests;
