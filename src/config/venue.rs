//! Settings of each venue: addresses, key, connections.
//!
//! Runs on:  main thread, before anything starts.
use super::{CLOB_URL, GAMMA_URL, WS_URL};
use super::{
    SettingError, UsageError, endpoint, nanoseconds, run::KalshiEnvironment, run::KalshiFlags,
    run::RunFlags,
};
use crate::base::{
    limits::{MARKETS_PER_SUBSCRIPTION_MAX, TABLE_CONNECTIONS_MAX, TOKENS_PER_CONNECTION_TARGET},
    policy::ConnectionTable,
};
use crate::io::file;
use crate::venue::{self, Feed, Headers, Signer, kalshi::sign::SigningKey};
use crate::wire::endpoint::Endpoint;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// REST and WebSocket URL of an environment of Kalshi (kalshi/protocol.md, 1).
const fn hosts(demo: bool) -> [&'static str; 2] {
    if demo {
        [
            "https://external-api.demo.kalshi.co/trade-api/v2",
            "wss://external-api-ws.demo.kalshi.co/trade-api/ws/v2",
        ]
    } else {
        [
            "https://external-api.kalshi.com/trade-api/v2",
            "wss://external-api-ws.kalshi.com/trade-api/ws/v2",
        ]
    }
}

/// A venue to follow, checked.
#[derive(Clone, Debug)]
pub struct VenueConfig {
    /// The venue and its feed settings.
    pub feed: Feed,
    /// The catalog.
    pub catalog: Endpoint,
    /// The order book interface.
    pub books: Endpoint,
    /// The stream.
    pub ws: Endpoint,
    /// The fixed connection table, if the venue has one.
    pub table: Option<ConnectionTable>,
    /// Signs requests, if the venue requires it.
    pub signer: Option<Arc<dyn Signer>>,
    /// Target number of tokens per connection.
    pub tokens_per_connection: usize,
    /// Interval in which every live book is compared with the REST interface, for venues with sequence numbers,
    /// nanoseconds; 0 disables it.
    pub poll_round_ns: u64,
}

/// A venue with its settings: [`Polymarket`] or [`Kalshi`].
///
/// An unusable setting is reported when the venue is added to a configuration.
#[derive(Clone, Debug)]
pub struct VenueSettings(pub(crate) Result<VenueConfig, SettingError>);

impl VenueSettings {
    /// A venue that implements [`Protocol`](crate::venue::Protocol), with URLs of its REST interface (`http://` or
    /// `https://`) and its stream (`ws://` or `wss://`). Requests are not signed.
    #[must_use]
    pub fn of(feed: Feed, rest_url: &str, ws_url: &str) -> Self {
        let check = || {
            let rest = endpoint("rest-url", rest_url, ["http", "https"])?;
            let capabilities = feed.capabilities();
            let most = capabilities.tokens_per_connection_max;
            Ok(VenueConfig {
                feed,
                catalog: rest.clone(),
                books: rest,
                ws: endpoint("ws-url", ws_url, ["ws", "wss"])?,
                table: capabilities.table,
                signer: None,
                tokens_per_connection: most.min(TOKENS_PER_CONNECTION_TARGET),
                poll_round_ns: 0,
            })
        };
        Self(check())
    }
}

impl From<Polymarket> for VenueSettings {
    fn from(settings: Polymarket) -> Self {
        Self(settings.check())
    }
}

impl From<Kalshi> for VenueSettings {
    fn from(settings: Kalshi) -> Self {
        Self(settings.check())
    }
}

/// Polymarket: market channel, catalog and REST books; public data without a key.
///
/// The default is the real venue.
#[derive(Clone, Debug)]
pub struct Polymarket {
    gamma_url: String,
    clob_url: String,
    ws_url: String,
    custom_features: bool,
    tokens_per_connection: u16,
}

impl Default for Polymarket {
    fn default() -> Self {
        Self {
            gamma_url: GAMMA_URL.into(),
            clob_url: CLOB_URL.into(),
            ws_url: WS_URL.into(),
            custom_features: true,
            tokens_per_connection: TOKENS_PER_CONNECTION_TARGET as u16,
        }
    }
}

impl Polymarket {
    /// A simulated venue with catalog and books on one host, like `venue-sim`: URLs as in `http://127.0.0.1:8080` and
    /// `ws://127.0.0.1:8080/ws/market`.
    #[must_use]
    pub fn at(http_url: &str, ws_url: &str) -> Self {
        Self::default().gamma_url(http_url).clob_url(http_url).ws_url(ws_url)
    }

    /// URL of the catalog: `http://` or `https://`.
    #[must_use]
    pub fn gamma_url(self, url: impl Into<String>) -> Self {
        Self { gamma_url: url.into(), ..self }
    }

    /// URL of the REST order books: `http://` or `https://`.
    #[must_use]
    pub fn clob_url(self, url: impl Into<String>) -> Self {
        Self { clob_url: url.into(), ..self }
    }

    /// URL of the market channel: `ws://` or `wss://`.
    #[must_use]
    pub fn ws_url(self, url: impl Into<String>) -> Self {
        Self { ws_url: url.into(), ..self }
    }

    /// Whether new and resolved markets are requested from the stream; otherwise discovery finds them within a minute.
    /// Default: yes.
    #[must_use]
    pub fn custom_features(self, custom_features: bool) -> Self {
        Self { custom_features, ..self }
    }

    /// Tokens that are placed on one connection, 2 to 400. Default: 400.
    #[must_use]
    pub fn tokens_per_connection(self, tokens_per_connection: u16) -> Self {
        Self { tokens_per_connection, ..self }
    }

    fn check(&self) -> Result<VenueConfig, SettingError> {
        let tokens = usize::from(self.tokens_per_connection);
        if !(2..=TOKENS_PER_CONNECTION_TARGET).contains(&tokens) {
            return Err(SettingError(format!(
                "tokens-per-connection {tokens}: must be 2 to {TOKENS_PER_CONNECTION_TARGET}"
            )));
        }
        Ok(VenueConfig {
            feed: venue::polymarket::feed(self.custom_features),
            catalog: endpoint("gamma-url", &self.gamma_url, ["http", "https"])?,
            books: endpoint("clob-url", &self.clob_url, ["http", "https"])?,
            ws: endpoint("ws-url", &self.ws_url, ["ws", "wss"])?,
            table: None,
            signer: None,
            tokens_per_connection: tokens,
            poll_round_ns: 0,
        })
    }
}

/// Kalshi: WebSocket v2 and REST interface. Connections are signed with a key, also for public data.
#[derive(Clone, Debug)]
pub struct Kalshi {
    key_id: String,
    key: PathBuf,
    demo: bool,
    rest_url: Option<String>,
    ws_url: Option<String>,
    plain_text: bool,
    connections: ConnectionTable,
    markets_per_connection: u32,
    rest_poll: Duration,
    combos: bool,
}

impl Kalshi {
    /// Production environment, with the id (UUID) and the private key file (PEM) of an API key. The file must be
    /// readable by its owner only; it is read when the venue is added to a configuration.
    #[must_use]
    pub fn with_key(key_id: impl Into<String>, key_file: impl Into<PathBuf>) -> Self {
        Self {
            key_id: key_id.into(),
            key: key_file.into(),
            demo: false,
            rest_url: None,
            ws_url: None,
            plain_text: false,
            connections: venue::kalshi::CONNECTIONS,
            markets_per_connection: 7_500,
            rest_poll: Duration::from_secs(900),
            combos: false,
        }
    }

    /// Demo environment; keys belong to one environment.
    #[must_use]
    pub fn demo(self) -> Self {
        Self { demo: true, ..self }
    }

    /// URL of the REST interface, as in `https://127.0.0.1:8444/trade-api/v2`.
    #[must_use]
    pub fn rest_url(self, url: impl Into<String>) -> Self {
        Self { rest_url: Some(url.into()), ..self }
    }

    /// URL of the WebSocket, as in `wss://127.0.0.1:8444/trade-api/ws/v2`.
    #[must_use]
    pub fn ws_url(self, url: impl Into<String>) -> Self {
        Self { ws_url: Some(url.into()), ..self }
    }

    /// Whether `http://` and `ws://` are allowed, for a simulated venue: signed requests are sent unencrypted. Default:
    /// no.
    #[must_use]
    pub fn plain_text(self, plain_text: bool) -> Self {
        Self { plain_text, ..self }
    }

    /// Connections for tickers, trades, lifecycle and books; at least one for books, at most 400 together. Default: 2,
    /// 2, 2 and 144.
    #[must_use]
    pub fn connections(self, tickers: u16, trades: u16, lifecycle: u16, books: u16) -> Self {
        Self { connections: ConnectionTable { tickers, trades, lifecycle, books }, ..self }
    }

    /// Most markets per connection, 1 to 10,000; lowered when the venue refuses more. Default: 7,500.
    #[must_use]
    pub fn markets_per_connection(self, markets_per_connection: u32) -> Self {
        Self { markets_per_connection, ..self }
    }

    /// Interval in which every live book is compared with the REST interface, whole seconds; 0 disables it. Default: 15
    /// minutes.
    #[must_use]
    pub fn rest_poll(self, rest_poll: Duration) -> Self {
        Self { rest_poll, ..self }
    }

    /// Whether combos (tickers that begin with `KXMVE`) are followed. Default: no.
    #[must_use]
    pub fn combos(self, combos: bool) -> Self {
        Self { combos, ..self }
    }

    fn check(&self) -> Result<VenueConfig, SettingError> {
        let [rest, ws] = hosts(self.demo);
        let rest = self.rest_url.as_deref().unwrap_or(rest).trim_end_matches('/');
        let ws = self.ws_url.as_deref().unwrap_or(ws);
        // The paths of the catalog begin with this one, and signatures are made over whole paths.
        let Some(host) = rest.strip_suffix("/trade-api/v2") else {
            return Err(SettingError(format!("kalshi-rest-url {rest}: must end in /trade-api/v2")));
        };
        let rest = endpoint("kalshi-rest-url", host, ["http", "https"])?;
        let ws = endpoint("kalshi-ws-url", ws, ["ws", "wss"])?;
        for (name, service) in [("kalshi-rest-url", &rest), ("kalshi-ws-url", &ws)] {
            if !service.tls && !self.plain_text {
                return Err(SettingError(format!(
                    "{name} {}: signed requests would travel unencrypted; use https:// and wss://, or allow \
                     plain text for a simulated venue (`Kalshi::plain_text`, --kalshi-plain-text)",
                    service.url
                )));
            }
        }
        let table = self.connections;
        if table.books == 0 || table.total() > TABLE_CONNECTIONS_MAX {
            let ConnectionTable { tickers, trades, lifecycle, books } = table;
            let table = format!("{tickers},{trades},{lifecycle},{books}");
            return Err(SettingError(format!("kalshi-connections {table}: {}", table_error())));
        }
        let markets = self.markets_per_connection;
        if !(1..=MARKETS_PER_SUBSCRIPTION_MAX as u32).contains(&markets) {
            return Err(SettingError(format!(
                "kalshi-markets-per-connection {markets}: must be 1 to {MARKETS_PER_SUBSCRIPTION_MAX}"
            )));
        }
        Ok(VenueConfig {
            feed: venue::kalshi::feed(self.combos),
            catalog: rest.clone(),
            books: rest,
            ws,
            table: Some(table),
            signer: Some(signer(&self.key_id, &self.key)?),
            tokens_per_connection: markets as usize,
            poll_round_ns: nanoseconds(self.rest_poll),
        })
    }
}

fn table_error() -> String {
    format!(
        "expected four numbers as in 2,2,2,144, at most {TABLE_CONNECTIONS_MAX} together, the last above 0"
    )
}

/// The table of `--kalshi-connections`.
pub(super) fn connection_table(text: &str) -> Result<ConnectionTable, String> {
    ConnectionTable::parse(text).ok_or_else(table_error)
}

/// A venue with its flags.
pub(super) fn from_flags(feed: Feed, flags: &RunFlags) -> Result<VenueSettings, UsageError> {
    match feed.venue() {
        venue::kalshi::VENUE => kalshi(&flags.kalshi).map(VenueSettings::from),
        _ => Ok(Polymarket::default()
            .gamma_url(&flags.gamma_url)
            .clob_url(&flags.clob_url)
            .ws_url(&flags.ws_url)
            .custom_features(!flags.no_custom_features)
            .into()),
    }
}

/// Refuses the flags of a venue that is not followed: the command line means something else.
///
/// # Errors
/// One line with the first of them.
pub(super) fn check_use(flags: &RunFlags) -> Result<(), UsageError> {
    let own = [
        (venue::polymarket::VENUE, flags.first_of_polymarket()),
        (venue::kalshi::VENUE, flags.kalshi.first_given()),
    ];
    for (venue, given) in own {
        let is_followed = flags.venues.iter().any(|feed| feed.venue() == venue);
        if let Some(flag) = given.filter(|_| !is_followed) {
            let venue = venue.name();
            return Err(UsageError(format!(
                "--{flag} is for {venue}, which is not followed: add {venue} to --venue, or leave the flag out"
            )));
        }
    }
    Ok(())
}

impl RunFlags {
    /// The first flag of Polymarket alone that differs from its default.
    fn first_of_polymarket(&self) -> Option<&'static str> {
        let given = [
            ("gamma-url", self.gamma_url != GAMMA_URL),
            ("clob-url", self.clob_url != CLOB_URL),
            ("ws-url", self.ws_url != WS_URL),
            ("no-custom-features", self.no_custom_features),
            ("race", self.race),
        ];
        first(&given)
    }
}

impl KalshiFlags {
    /// The first flag that differs from its default.
    fn first_given(&self) -> Option<&'static str> {
        let default = Kalshi::with_key("", "");
        let given = [
            ("kalshi-key-id", self.kalshi_key_id.is_some()),
            ("kalshi-key", self.kalshi_key.is_some()),
            ("kalshi-env", self.kalshi_env != KalshiEnvironment::Prod),
            ("kalshi-rest-url", self.kalshi_rest_url.is_some()),
            ("kalshi-ws-url", self.kalshi_ws_url.is_some()),
            ("kalshi-plain-text", self.kalshi_plain_text),
            ("kalshi-connections", self.kalshi_connections != default.connections),
            (
                "kalshi-markets-per-connection",
                self.kalshi_markets_per_connection != default.markets_per_connection,
            ),
            (
                "kalshi-rest-poll",
                Duration::from_secs(self.kalshi_rest_poll.into()) != default.rest_poll,
            ),
            ("kalshi-combos", self.kalshi_combos),
        ];
        first(&given)
    }
}

fn first(given: &[(&'static str, bool)]) -> Option<&'static str> {
    given.iter().find(|(_, is_given)| *is_given).map(|(flag, _)| *flag)
}

fn kalshi(flags: &KalshiFlags) -> Result<Kalshi, UsageError> {
    let (Some(id), Some(path)) = (&flags.kalshi_key_id, &flags.kalshi_key) else {
        return Err(UsageError(
            "--venue kalshi needs --kalshi-key-id and --kalshi-key: even public data is only sent to \
             connections that are signed; make a key in the venue's account settings"
                .into(),
        ));
    };
    Ok(Kalshi {
        demo: flags.kalshi_env == KalshiEnvironment::Demo,
        rest_url: flags.kalshi_rest_url.clone(),
        ws_url: flags.kalshi_ws_url.clone(),
        connections: flags.kalshi_connections,
        ..Kalshi::with_key(id, path)
    }
    .plain_text(flags.kalshi_plain_text)
    .markets_per_connection(flags.kalshi_markets_per_connection)
    .rest_poll(Duration::from_secs(flags.kalshi_rest_poll.into()))
    .combos(flags.kalshi_combos))
}

/// A key and its id.
#[derive(Debug)]
struct Key {
    id: String,
    key: SigningKey,
}

impl Signer for Key {
    fn refusal_hint(&self) -> &'static str {
        "check key id and key file (`Kalshi::with_key`, or --kalshi-key-id and --kalshi-key), which belong to prod or to \
         demo, and this machine's clock"
    }

    fn headers(&self, method: &str, path: &str, wall_ns: u64) -> Result<Headers, String> {
        let wall_ms = wall_ns / 1_000_000;
        let headers = self.key.headers(&self.id, wall_ms, method, path);
        headers.map(Vec::from).map_err(|error| error.to_string())
    }
}

fn signer(id: &str, path: &Path) -> Result<Arc<dyn Signer>, SettingError> {
    let shown = path.display();
    let pem = file::read_private(path).map_err(|why| SettingError(format!("kalshi-key {why}")))?;
    let key = SigningKey::from_pem(&pem).map_err(|error| {
        SettingError(format!(
            "kalshi-key {shown}: {error}; give the key file to `Kalshi::with_key` or --kalshi-key"
        ))
    })?;
    let key = Key { id: id.to_owned(), key };
    // What is wrong with the id shows now and not at every dial.
    let tried = key.headers("GET", "/", 0);
    tried.map_err(|error| SettingError(format!("kalshi-key-id: {error}")))?;
    Ok(Arc::new(key))
}
