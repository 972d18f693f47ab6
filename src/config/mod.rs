//! Configuration: raw flags, and what becomes of them once they are checked.
//!
//! Runs on:  main thread, before anything starts. A [`Config`] exists only if it is valid.
pub mod bench_live;
pub mod export;
pub mod flags;
pub mod pools;
pub mod replay;
pub mod venue;

use self::venue::poll_round_ns;
use crate::base::id::{TokenId, Venue};
use crate::base::limits::SETTINGS_BYTES_MAX;
use crate::base::policy::HashChecks;
use crate::base::time::{MILLISECOND_NS, SECOND_NS};
use crate::io::authority::ServeName;
use crate::io::{driver::Driver, file};
use crate::pool::Service;
use crate::sink::capture::CaptureOptions;
use crate::sink::{ledger::Batching, store::StoreAddress, trades::SinkOptions};
use crate::topology::{Idle, LayoutFlags, parse_cores};
use crate::venue::Catalogue;
use crate::wire::endpoint::Endpoint;
use flags::RunFlags;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use venue::VenueConfig;

/// The market channel of the real venue.
pub const WS_URL: &str = "wss://ws-subscriptions-clob.polymarket.com/ws/market";
/// The catalogue of the real venue.
pub const GAMMA_URL: &str = "https://gamma-api.polymarket.com";
/// The order book interface of the real venue.
pub const CLOB_URL: &str = "https://clob.polymarket.com";

/// A flag whose value cannot be used: one line that names flag, value and remedy. Exit code 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError(pub String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Everything that the engine needs to run, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which thread runs where, as asked for.
    pub layout: LayoutFlags,
    /// The venues that are followed, at least one; none twice.
    pub venues: Vec<VenueConfig>,
    /// A certificate authority to trust besides the usual ones, PEM.
    pub tls_ca: Option<Vec<u8>>,
    /// Where to answer health, statistics and books.
    pub serve: Option<SocketAddr>,
    /// Names under which local clients may address it, besides the usual ones.
    pub serve_names: Vec<ServeName>,
    /// Messages that are older than this when they are read are reported, nanoseconds; 0 is never.
    pub lag_warn_ns: u64,
    /// Where to write histograms at exit.
    pub histograms: Option<PathBuf>,
    /// Whether to keep histograms of each connection too.
    pub connection_histograms: bool,
    /// Which books' hashes are compared with the venue's.
    pub hash_checks: HashChecks,
    /// Every live book is compared with the venue's REST interface once in so long, nanoseconds; 0 is
    /// never.
    pub audit_round_ns: u64,
    /// The same for books of a venue that numbers its messages, which are compared on their connection besides.
    pub poll_round_ns: u64,
    /// Markets to follow by condition id or slug.
    pub markets: Vec<String>,
    /// Tokens whose markets to follow.
    pub tokens: Vec<TokenId>,
    /// Whether to follow every market of the catalogue.
    pub discover: bool,
    /// Who tells the shards that a socket is ready.
    pub driver: Driver,
    /// Follow at most so many markets.
    pub markets_max: Option<usize>,
    /// Bounds of the engine's own REST services that are not the usual ones, by name.
    pub services: Vec<Service>,
    /// Where trades are kept.
    pub trades: Option<SinkOptions>,
    /// Where all that comes and goes is captured.
    pub capture: Option<CaptureOptions>,
    /// Stop by itself after this long.
    pub duration_ns: Option<u64>,
}

impl Config {
    /// Services of `--pools` whose bounds nobody takes: they are not among those that this run asks over REST.
    #[must_use]
    pub fn ignored_services(&self) -> Vec<&str> {
        let asked: Vec<&str> = self.asked_services();
        let names = self.services.iter().map(|service| service.name.as_str());
        names.filter(|name| !asked.contains(name)).collect()
    }

    /// Services that this run asks over REST, each once.
    #[must_use]
    pub fn asked_services(&self) -> Vec<&'static str> {
        let names = self.venues.iter().flat_map(|venue| venue.feed.service_names());
        let mut names: Vec<&str> = names.collect();
        names.dedup();
        names
    }

    /// Checks the flags of `ringbook run` and reads the files that they name.
    ///
    /// # Errors
    /// [`UsageError`]: one line.
    pub fn new(flags: &RunFlags) -> Result<Self, UsageError> {
        if flags.no_discovery && flags.markets.is_empty() && flags.tokens.is_empty() {
            return Err(UsageError(
                "--no-discovery leaves nothing to follow: name markets with --market or --token"
                    .into(),
            ));
        }
        let venues = venue::read(flags)?;
        if flags.capture.capture.is_some() && venues.len() > 1 {
            return Err(UsageError(
                "--capture takes one venue: run another process for each other".into(),
            ));
        }
        let tokens = flags.tokens.iter().map(|text| token(text, &venues));
        let tokens = tokens.collect::<Result<Vec<_>, _>>()?;
        let trades = trades(venues.iter().map(|venue| venue.feed.venue()), &flags.trades)?;
        Ok(Self {
            layout: layout(&flags.layout)?,
            venues,
            tls_ca: tls_ca(flags.tls_ca.as_deref())?,
            serve: flags.serve,
            lag_warn_ns: flags.lag_warn * SECOND_NS,
            serve_names: serve_names(&flags.serve_names)?,
            histograms: histograms(flags.histograms.as_deref())?,
            connection_histograms: flags.connection_histograms,
            hash_checks: hash_checks(&flags.verify_hash)?,
            audit_round_ns: u64::from(flags.audit) * SECOND_NS,
            poll_round_ns: poll_round_ns(flags),
            markets: flags.markets.clone(),
            tokens,
            discover: !flags.no_discovery,
            driver: driver(&flags.layout)?,
            markets_max: flags.markets_max,
            services: own_services(flags.pools.as_deref())?,
            trades,
            capture: capture(&flags.capture),
            duration_ns: (flags.duration > 0).then(|| flags.duration.saturating_mul(SECOND_NS)),
        })
    }
}

/// Reads the id of a token, which must be one of these venues'.
fn token(text: &str, venues: &[VenueConfig]) -> Result<TokenId, UsageError> {
    let id = TokenId::new(text);
    let is_of = |catalogue: &Catalogue| id.is_some_and(|id| catalogue.may_have_token(&id));
    let catalogues: Vec<Catalogue> =
        venues.iter().map(|venue| Catalogue::from(venue.feed)).collect();
    id.filter(|_| catalogues.iter().any(is_of)).ok_or_else(|| {
        let forms: Vec<&str> = catalogues.iter().map(|catalogue| catalogue.token_form()).collect();
        UsageError(format!("--token {text}: this is no token id ({})", forms.join(", or ")))
    })
}

fn serve_names(names: &[String]) -> Result<Vec<ServeName>, UsageError> {
    let read = |name: &String| {
        ServeName::parse(name).ok_or_else(|| {
            UsageError(format!(
                "--serve-name {name}: this is no host name or IP address; give it without scheme, port and path"
            ))
        })
    };
    names.iter().map(read).collect()
}

/// Reads the file that `--pools` names.
///
/// # Errors
/// [`UsageError`]: a line for each fault.
fn own_services(path: Option<&Path>) -> Result<Vec<Service>, UsageError> {
    let Some(path) = path else { return Ok(Vec::new()) };
    pools::load(path).map_err(|error| UsageError(error.of("--pools").to_string()))
}

/// Reads the certificate authority that `--tls-ca` names.
///
/// # Errors
/// [`UsageError`]: the file cannot be read.
pub fn tls_ca(path: Option<&Path>) -> Result<Option<Vec<u8>>, UsageError> {
    let Some(path) = path else { return Ok(None) };
    let pem = file::read_small(path, SETTINGS_BYTES_MAX);
    pem.map(Some).map_err(|why| UsageError(format!("--tls-ca {why}")))
}

/// Makes the folder that `--histograms` names, before anything runs.
///
/// # Errors
/// [`UsageError`]: it cannot be made.
pub fn histograms(dir: Option<&Path>) -> Result<Option<PathBuf>, UsageError> {
    let Some(dir) = dir else { return Ok(None) };
    std::fs::create_dir_all(dir).map_err(|error| {
        UsageError(format!("--histograms {}: cannot be made: {error}", dir.display()))
    })?;
    Ok(Some(dir.to_owned()))
}

/// Checks the flags of the core layout.
///
/// # Errors
/// [`UsageError`]: one line.
pub fn layout(flags: &flags::LayoutFlags) -> Result<LayoutFlags, UsageError> {
    let cores = |text: &String| {
        parse_cores(text).map_err(|error| UsageError(format!("--shard-cores {text}: {error}")))
    };
    let idle = |text: &String| match text.as_str() {
        "park" => Ok(Idle::Park),
        "adaptive" => Ok(Idle::Adaptive),
        "spin" => Ok(Idle::Spin),
        _ => Err(UsageError(format!("--idle {text}: expected park, adaptive or spin"))),
    };
    Ok(LayoutFlags {
        control_core: flags.control_core,
        shard_cores: flags.shard_cores.as_ref().map(cores).transpose()?.unwrap_or_default(),
        shards: flags.shards,
        serve_core: flags.serve_core,
        idle: flags.idle.as_ref().map(idle).transpose()?,
    })
}

/// Reads `--verify-hash`.
///
/// # Errors
/// [`UsageError`]: one line.
pub fn hash_checks(text: &str) -> Result<HashChecks, UsageError> {
    HashChecks::of(text)
        .ok_or_else(|| UsageError(format!("--verify-hash {text}: expected off, sampled or all")))
}

/// Checks the flag of the receive path.
///
/// # Errors
/// [`UsageError`]: one line.
pub fn driver(flags: &flags::LayoutFlags) -> Result<Driver, UsageError> {
    match flags.driver.as_deref() {
        None | Some("epoll") => Ok(Driver::Epoll),
        Some("native") => Ok(Driver::Native),
        Some(text) => Err(UsageError(format!("--driver {text}: expected epoll or native"))),
    }
}

/// Checks the flags of the trade database.
///
/// # Errors
/// [`UsageError`]: one line.
fn trades(
    venues: impl Iterator<Item = Venue>,
    flags: &flags::TradeFlags,
) -> Result<Option<SinkOptions>, UsageError> {
    let Some(text) = &flags.trades else { return Ok(None) };
    let address = StoreAddress::parse(text);
    let address = address.map_err(|error| UsageError(format!("--trades {error}")))?;
    address.check_files().map_err(|error| UsageError(format!("--trades {error}")))?;
    let journal = flags.trades_journal.clone().unwrap_or_else(|| address.journal());
    if address.file().is_some_and(|database| file::same_file(database, &journal)) {
        return Err(UsageError(format!(
            "--trades-journal {}: this is the database itself; name another file",
            journal.display()
        )));
    }
    let batching = Batching {
        trades_max: flags.trades_batch as usize,
        age_max_ns: flags.trades_batch_ms * MILLISECOND_NS,
    };
    let venues = venues.collect();
    Ok(Some(SinkOptions { venues, address, journal, batching }))
}

fn capture(flags: &flags::CaptureFlags) -> Option<CaptureOptions> {
    Some(CaptureOptions {
        folder: flags.capture.clone()?,
        flush_ns: flags.capture_flush_ms * MILLISECOND_NS,
        segment_bytes: flags.capture_file_mb * 1_000_000,
        segment_ns: flags.capture_file_minutes * 60 * SECOND_NS,
    })
}

fn endpoint(flag: &str, text: &str, schemes: [&str; 2]) -> Result<Endpoint, UsageError> {
    Endpoint::parse(text, schemes).map_err(|error| UsageError(format!("{flag} {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use flags::{Cli, Command};

    #[test]
    fn services_of_the_file_that_a_run_does_not_ask_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pools.toml");
        std::fs::write(&path, pools::EXAMPLE).unwrap();
        let line = ["ringbook", "run", "--pools", path.to_str().unwrap()];
        let Command::Run(flags) = Cli::parse_from(line).command else {
            panic!("`run` was asked for")
        };
        let config = Config::new(&flags).unwrap();
        assert_eq!(config.asked_services(), ["polymarket-gamma", "polymarket-clob"]);
        let own = ["comfyui", "litellm", "wan2gp", "rvc", "whisper"];
        let venues = ["polymarket-ws", "kalshi-rest", "kalshi-ws"];
        assert_eq!(config.ignored_services(), [&own[..], &venues].concat());
    }
}
