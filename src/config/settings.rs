//! Setters of [`Config`]: each checks its value; [`Config::check`] checks them together.
//!
//! Runs on:  main thread, before anything starts.
use super::{Config, VenueSettings, own_services};
use crate::base::id::TokenId;
use crate::base::limits::{SETTINGS_BYTES_MAX, SHARDS_MAX};
use crate::base::policy::HashChecks;
use crate::base::time::{MILLISECOND_NS, SECOND_NS};
use crate::gateway::StalePolicy;
use crate::io::{authority::ServeName, driver::Driver, file};
use crate::sink::capture::CaptureOptions;
use crate::sink::capture::retention::Retention;
use crate::sink::{ledger::Batching, store::StoreAddress, trades::SinkOptions};
use crate::topology::Idle;
use crate::venue::Feed;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An unusable setting: one line with setting, value and remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingError(pub(crate) String);

/// Nanoseconds of a duration, at most 584 years.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Trade database.
#[derive(Clone, Debug)]
pub struct Trades {
    database: String,
    journal: Option<PathBuf>,
    batch: u32,
    batch_age: Duration,
}

impl Trades {
    /// Address: `sqlite:FILE` or `postgres://USER@HOST/DATABASE`.
    #[must_use]
    pub fn new(database: impl Into<String>) -> Self {
        let batch_age = Duration::from_millis(500);
        Self { database: database.into(), journal: None, batch: 5_000, batch_age }
    }

    /// File for trades while the database is unavailable. Default: beside the database.
    #[must_use]
    pub fn journal(self, file: impl Into<PathBuf>) -> Self {
        Self { journal: Some(file.into()), ..self }
    }

    /// Limits of a transaction: 1 to 50,000 trades, a wait of 1 ms to 1 minute. Default: 5,000 and 500 ms.
    #[must_use]
    pub fn batches(self, trades_max: u32, age_max: Duration) -> Self {
        Self { batch: trades_max, batch_age: age_max, ..self }
    }

    fn check(&self) -> Result<SinkOptions, SettingError> {
        let address = StoreAddress::parse(&self.database);
        let address = address.map_err(|error| SettingError(format!("trades {error}")))?;
        address.check_files().map_err(|error| SettingError(format!("trades {error}")))?;
        let journal = self.journal.clone().unwrap_or_else(|| address.journal());
        if address.file().is_some_and(|database| file::same_file(database, &journal)) {
            return Err(SettingError(format!(
                "trades-journal {}: this is the database itself; name another file",
                journal.display()
            )));
        }
        within("trades-batch", u64::from(self.batch), [1, 50_000])?;
        let age_max_ns = nanoseconds(self.batch_age);
        within("trades-batch-ms", age_max_ns / MILLISECOND_NS, [1, 60_000])?;
        let batching = Batching { trades_max: self.batch as usize, age_max_ns };
        Ok(SinkOptions { venues: Vec::new(), address, journal, batching })
    }
}

impl From<&str> for Trades {
    fn from(database: &str) -> Self {
        Self::new(database)
    }
}

impl From<String> for Trades {
    fn from(database: String) -> Self {
        Self::new(database)
    }
}

/// Capture of all frames.
#[derive(Clone, Debug)]
pub struct Capture {
    folder: PathBuf,
    flush: Duration,
    file_bytes: u64,
    file_age: Duration,
    images: Duration,
    keep_age: Option<Duration>,
    keep_bytes: Option<u64>,
    on_close: Option<String>,
}

impl Capture {
    /// Folder of the capture; it may hold earlier ones.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            flush: Duration::from_secs(1),
            file_bytes: 1_024_000_000,
            file_age: Duration::from_hours(1),
            images: Duration::from_secs(30),
            keep_age: None,
            keep_bytes: None,
            on_close: None,
        }
    }

    /// Longest wait of a record before it is written, 10 ms to 1 minute; a killed process loses that much. Default: 1
    /// s.
    #[must_use]
    pub fn flush(self, flush: Duration) -> Self {
        Self { flush, ..self }
    }

    /// Limits of a file: compressed bytes, at least 1 MB, and age, 1 minute to 1 week. Default: 1024 MB and 1 hour.
    #[must_use]
    pub fn files(self, bytes: u64, age: Duration) -> Self {
        Self { file_bytes: bytes, file_age: age, ..self }
    }

    /// Writes an image of each live book once in so long, at most 5 minutes; 0 is never. A replay to some time begins
    /// at the last one. Default: 30 seconds.
    #[must_use]
    pub fn images(self, round: Duration) -> Self {
        Self { images: round, ..self }
    }

    /// Removes finished files whose last record is older, 1 day to 100 years. Default: none is removed.
    #[must_use]
    pub fn keep_for(self, age: Duration) -> Self {
        Self { keep_age: Some(age), ..self }
    }

    /// Removes the oldest finished files until the folder has no more than this, bytes: room for two files at least.
    /// Default: none is removed.
    #[must_use]
    pub fn keep_bytes(self, bytes: u64) -> Self {
        Self { keep_bytes: Some(bytes), ..self }
    }

    /// Runs a command of the shell for each closed file, with its path as the last argument. A failure is logged and
    /// counted.
    #[must_use]
    pub fn on_close(self, command: impl Into<String>) -> Self {
        Self { on_close: Some(command.into()), ..self }
    }

    fn check(self) -> Result<CaptureOptions, SettingError> {
        let [flush_ns, segment_ns, image_round_ns] =
            [self.flush, self.file_age, self.images].map(nanoseconds);
        within("capture-flush-ms", flush_ns / MILLISECOND_NS, [10, 60_000])?;
        within("capture-file-mb", self.file_bytes / 1_000_000, [1, 1 << 20])?;
        within("capture-file-minutes", segment_ns / (60 * SECOND_NS), [1, 7 * 24 * 60])?;
        within("capture-images", image_round_ns / SECOND_NS, [0, 300])?;
        if let Some(age) = self.keep_age {
            within("capture-keep-days", age.as_secs() / 86_400, [1, 36_500])?;
        }
        let (folder, segment_bytes, on_close) = (self.folder, self.file_bytes, self.on_close);
        if let Some(bytes) = self.keep_bytes.filter(|&bytes| bytes < 2 * segment_bytes) {
            let (gb, mb) = (bytes as f64 / 1e9, segment_bytes / 1_000_000);
            return Err(SettingError(format!(
                "capture-keep-gb {gb}: must have room for two files of {mb} MB; give more, or make files smaller \
                 (--capture-file-mb)"
            )));
        }
        if on_close.as_ref().is_some_and(|command| command.trim().is_empty()) {
            return Err(SettingError("capture-on-close \"\": names no command".into()));
        }
        let retention = Retention { ns: self.keep_age.map(nanoseconds), bytes: self.keep_bytes };
        Ok(CaptureOptions {
            folder,
            flush_ns,
            segment_bytes,
            segment_ns,
            image_round_ns,
            retention,
            on_close,
        })
    }
}

impl From<&str> for Capture {
    fn from(folder: &str) -> Self {
        Self::new(folder)
    }
}

impl From<&Path> for Capture {
    fn from(folder: &Path) -> Self {
        Self::new(folder)
    }
}

impl From<PathBuf> for Capture {
    fn from(folder: PathBuf) -> Self {
        Self::new(folder)
    }
}

pub(super) fn within(name: &str, value: u64, [least, most]: [u64; 2]) -> Result<(), SettingError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(SettingError(format!("{name} {value}: must be {least} to {most}")))
}

/// Each setter checks its value; after a [`SettingError`] nothing has changed.
impl Config {
    /// Adds a venue, [`Polymarket`](super::Polymarket) or [`Kalshi`](super::Kalshi), each at most once.
    ///
    /// # Errors
    /// An address, key or number of the venue is unusable, or the venue was added before.
    pub fn venue(&mut self, venue: impl Into<VenueSettings>) -> Result<&mut Self, SettingError> {
        let venue = venue.into().0?;
        let name = venue.feed.venue();
        if self.venues.iter().any(|other| other.feed.venue() == name) {
            return Err(SettingError(format!("venue {}: each venue once", name.name())));
        }
        self.venues.push(venue);
        Ok(self)
    }

    /// Adds a market: slug, condition id, token id or ticker.
    ///
    /// # Errors
    /// The name is empty.
    pub fn market(&mut self, name: &str) -> Result<&mut Self, SettingError> {
        if name.trim().is_empty() {
            return Err(SettingError(
                "market \"\": this names nothing; give a slug, a condition id, a token id or a ticker".into(),
            ));
        }
        self.markets.push(name.trim().to_owned());
        Ok(self)
    }

    /// Adds the market of a token. Whether a venue may have it is checked at the start.
    ///
    /// # Errors
    /// The text is no token id.
    pub fn token(&mut self, id: &str) -> Result<&mut Self, SettingError> {
        let token = TokenId::new(id).ok_or_else(|| self.no_token(id))?;
        self.tokens.push(token);
        Ok(self)
    }

    /// Whether every market of the catalog is followed, or only those that are named. Default: no.
    pub fn all_markets(&mut self, all: bool) -> &mut Self {
        self.discover = all;
        self
    }

    /// Most markets to follow.
    pub fn markets_max(&mut self, count: usize) -> &mut Self {
        self.markets_max = Some(count);
        self
    }

    /// Number of shards of all venues; more shards than cores share cores. Default: usable cores minus two, at least
    /// one per venue.
    ///
    /// # Errors
    /// 0 or above 256.
    pub fn shards(&mut self, count: u16) -> Result<&mut Self, SettingError> {
        within("shards", count.into(), [1, SHARDS_MAX as u64])?;
        self.layout.shards = Some(count);
        Ok(self)
    }

    /// Cores of the shards, one each.
    ///
    /// # Errors
    /// No core.
    pub fn shard_cores(&mut self, cores: &[u32]) -> Result<&mut Self, SettingError> {
        if cores.is_empty() {
            return Err(SettingError("shard-cores: no core is named".into()));
        }
        self.layout.shard_cores = cores.to_vec();
        Ok(self)
    }

    /// Core of the control thread.
    pub fn control_core(&mut self, core: u32) -> &mut Self {
        self.layout.control_core = Some(core);
        self
    }

    /// Core of the serve thread.
    pub fn serve_core(&mut self, core: u32) -> &mut Self {
        self.layout.serve_core = Some(core);
        self
    }

    /// Idle behavior of shards. Default: [`Idle::Park`].
    pub fn idle(&mut self, idle: Idle) -> &mut Self {
        self.layout.idle = Some(idle);
        self
    }

    /// Readiness driver of the shards.
    pub(crate) fn driver(&mut self, driver: Driver) -> &mut Self {
        self.driver = driver;
        self
    }

    /// Adds a certificate authority from a PEM file.
    ///
    /// # Errors
    /// The file cannot be read or is too large.
    pub fn tls_ca(&mut self, file: &Path) -> Result<&mut Self, SettingError> {
        let pem = file::read_small(file, SETTINGS_BYTES_MAX);
        self.tls_ca = Some(pem.map_err(|why| SettingError(format!("tls-ca {why}")))?);
        Ok(self)
    }

    /// Serves health, statistics, metrics and books over HTTP at this address; port 0 is a free one.
    pub fn serve(&mut self, address: SocketAddr) -> &mut Self {
        self.serve = Some(address);
        self
    }

    /// Adds an accepted `Host` name.
    ///
    /// # Errors
    /// Neither host name nor IP address.
    pub fn serve_name(&mut self, name: &str) -> Result<&mut Self, SettingError> {
        let parsed = ServeName::parse(name).ok_or_else(|| {
            SettingError(format!(
                "serve-name {name}: this is no host name or IP address; give it without scheme, port and path"
            ))
        })?;
        self.serve_names.push(parsed);
        Ok(self)
    }

    /// Serves books in the venues' own protocols: Polymarket's at this address, Kalshi's on the second port after it,
    /// `/v1/stream` at both; port 0 is a free one for each. Without TLS an address that is not of this host needs
    /// `insecure`, which [`Config::check`] checks.
    ///
    /// # Errors
    /// There is no second port after it.
    pub fn gateway(
        &mut self,
        address: SocketAddr,
        insecure: bool,
    ) -> Result<&mut Self, SettingError> {
        if address.port() > u16::MAX - 2 {
            return Err(SettingError(format!(
                "gateway {address}: the gateway uses the two ports after it too; use a lower one"
            )));
        }
        self.gateway = Some(address);
        self.gateway_access.insecure |= insecure;
        Ok(self)
    }

    /// Serves the gateway with TLS; both files are PEM, and only their owner may read the key.
    ///
    /// # Errors
    /// A file is unusable, the two do not belong together, or the certificate has expired.
    pub fn gateway_tls(
        &mut self,
        certificate: &Path,
        key: &Path,
    ) -> Result<&mut Self, SettingError> {
        self.gateway_access.certificate(certificate, key)?;
        Ok(self)
    }

    /// Refuses requests to Kalshi's interface of the gateway that are not signed with the private key of this public
    /// key (PEM), or of another one that was given.
    ///
    /// # Errors
    /// The file is unreadable or holds no RSA public key.
    pub fn gateway_verify(&mut self, id: &str, file: &Path) -> Result<&mut Self, SettingError> {
        self.gateway_access.verify(id, file)?;
        Ok(self)
    }

    /// What a client of a venue's protocol receives when a book is stale.
    pub fn gateway_stale(&mut self, policy: StalePolicy) -> &mut Self {
        self.gateway_settings.stale = policy;
        self
    }

    /// Whether markets are followed that clients of the gateway subscribe to and that are not followed yet.
    pub fn gateway_follow(&mut self, follow: bool) -> &mut Self {
        self.gateway_settings.follow = follow;
        self
    }

    /// MiB that may wait for one client of the gateway, 1 to 4,096.
    ///
    /// # Errors
    /// Out of range.
    pub fn gateway_buffer_mib(&mut self, mib: u32) -> Result<&mut Self, SettingError> {
        if !(1..=4096).contains(&mib) {
            return Err(SettingError(format!("gateway-buffer {mib}: must be 1 to 4096")));
        }
        self.gateway_settings.buffer_bytes = (mib as usize) << 20;
        Ok(self)
    }

    /// Message age that `/health` reports, at most 10 minutes; 0 disables it. Default: 5 s.
    ///
    /// # Errors
    /// Above 10 minutes.
    pub fn lag_warn(&mut self, age: Duration) -> Result<&mut Self, SettingError> {
        within("lag-warn", age.as_secs(), [0, 600])?;
        self.lag_warn_ns = nanoseconds(age);
        Ok(self)
    }

    /// Which hashes are compared with the venue's. Default: [`HashChecks::Sampled`].
    pub fn verify_hash(&mut self, which: HashChecks) -> &mut Self {
        self.hash_checks = which;
        self
    }

    /// Interval in which every live book is compared with the REST interface, for venues without sequence numbers; 0
    /// disables it. Default: 5 minutes.
    pub fn audit(&mut self, round: Duration) -> &mut Self {
        self.audit_round_ns = nanoseconds(round);
        self
    }

    /// Reads limits of the engine's REST services from a file as printed by `ringbook pools --example`.
    ///
    /// # Errors
    /// One line per fault of the file.
    pub fn pools(&mut self, file: &Path) -> Result<&mut Self, SettingError> {
        self.services = own_services(file)?;
        Ok(self)
    }

    /// Stores trades in a database, as in `"sqlite:trades.db"`.
    ///
    /// # Errors
    /// The address or a file that it names is unusable.
    pub fn trades(&mut self, trades: impl Into<Trades>) -> Result<&mut Self, SettingError> {
        self.trades = Some(trades.into().check()?);
        Ok(self)
    }

    /// Captures all frames. For one venue only.
    ///
    /// # Errors
    /// A limit is out of range.
    pub fn capture(&mut self, capture: impl Into<Capture>) -> Result<&mut Self, SettingError> {
        self.capture = Some(capture.into().check()?);
        Ok(self)
    }

    /// Checks the settings together; called by [`Engine::start`](crate::engine::Engine::start).
    ///
    /// # Errors
    /// No venue or nothing to follow, a token that no venue can have, a capture of two venues, a gateway without TLS on
    /// an address that is not of this host.
    pub fn check(&self) -> Result<(), SettingError> {
        if self.venues.is_empty() {
            return Err(SettingError("venue: none is named; name one to follow".into()));
        }
        if self.source.is_some() {
            self.check_source()?;
        }
        let names_none = self.markets.is_empty() && self.tokens.is_empty();
        let follows = self.discover || self.awaits_clients() || self.source.is_some();
        if names_none && !follows {
            return Err(SettingError(
                "market: nothing to follow; name a market or a token, or follow all markets".into(),
            ));
        }
        if self.capture.is_some() && self.venues.len() > 1 {
            return Err(SettingError(
                "capture takes one venue: run another process for each other".into(),
            ));
        }
        if let Some(address) = self.gateway {
            self.gateway_access.check(address)?;
        }
        let may_be = |id: &TokenId| self.catalogs().any(|c| c.may_have_token(id));
        match self.tokens.iter().find(|id| !may_be(id)) {
            Some(id) => Err(self.no_token(id.as_str())),
            None => Ok(()),
        }
    }

    /// Whether only clients of the gateway name what is to be followed.
    pub(crate) fn awaits_clients(&self) -> bool {
        let names_none = self.markets.is_empty() && self.tokens.is_empty();
        let follows = self.gateway_settings.follow && self.gateway.is_some();
        follows && names_none && !self.discover
    }

    fn catalogs(&self) -> impl Iterator<Item = Feed> {
        self.venues.iter().map(|venue| venue.feed)
    }

    fn no_token(&self, text: &str) -> SettingError {
        let forms: Vec<&str> = self.catalogs().map(|catalog| catalog.token_form()).collect();
        SettingError(format!("token {text}: this is no token id ({})", forms.join(", or ")))
    }
}

#[cfg(test)]
mod tests;
