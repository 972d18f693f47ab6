//! The venue's flags: addresses, the key, the connections.
//!
//! Runs on:  main thread, before anything starts.
use super::{UsageError, endpoint, flags::KalshiFlags, flags::RunFlags};
use crate::base::{
    id::Venue,
    limits::{TABLE_CONNECTIONS_MAX, TOKENS_PER_CONNECTION_TARGET},
    policy::ConnectionTable,
    time::SECOND_NS,
};
use crate::io::file;
use crate::venue::{Feed, Headers, Signer, kalshi::sign::SigningKey};
use crate::wire::endpoint::Endpoint;
use std::sync::Arc;

/// Hosts of an environment of Kalshi's: REST and WebSocket (kalshi/protocol.md, 1).
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

/// What a venue's flags mean.
#[derive(Clone, Debug)]
pub struct VenueConfig {
    /// The venue, and what is asked of it.
    pub feed: Feed,
    /// The catalogue.
    pub catalogue: Endpoint,
    /// The order book interface.
    pub books: Endpoint,
    /// The stream.
    pub ws: Endpoint,
    /// The connections, where they are a fixed table.
    pub table: Option<ConnectionTable>,
    /// Who signs requests, where the venue wants that.
    pub signer: Option<Arc<dyn Signer>>,
    /// Tokens that are put on one connection.
    pub tokens_per_connection: usize,
}

/// Checks the flags of the venues that are asked for, in their order.
pub(super) fn read(flags: &RunFlags) -> Result<Vec<VenueConfig>, UsageError> {
    let names: Vec<&str> = flags.venue.split(',').map(str::trim).collect();
    if (1..names.len()).any(|place| names[..place].contains(&names[place])) {
        return Err(UsageError(format!("--venue {}: each venue once", flags.venue)));
    }
    names.into_iter().map(|name| one(name, flags)).collect()
}

/// Once in so long the books of a venue that numbers its messages are compared with its REST interface.
pub(super) fn poll_round_ns(flags: &RunFlags) -> u64 {
    u64::from(flags.kalshi.kalshi_rest_poll) * SECOND_NS
}

fn one(name: &str, flags: &RunFlags) -> Result<VenueConfig, UsageError> {
    match Venue::of(name) {
        Some(Venue::Polymarket) => Ok(VenueConfig {
            feed: Feed::Polymarket { custom_features: !flags.no_custom_features },
            catalogue: endpoint("--gamma-url", &flags.gamma_url, ["http", "https"])?,
            books: endpoint("--clob-url", &flags.clob_url, ["http", "https"])?,
            ws: endpoint("--ws-url", &flags.ws_url, ["ws", "wss"])?,
            table: None,
            signer: None,
            tokens_per_connection: TOKENS_PER_CONNECTION_TARGET,
        }),
        Some(Venue::Kalshi) => kalshi(&flags.kalshi),
        None => Err(UsageError(format!(
            "--venue {name}: expected {}, or both with a comma between them",
            Venue::ALL.map(Venue::name).join(" or ")
        ))),
    }
}

fn kalshi(flags: &KalshiFlags) -> Result<VenueConfig, UsageError> {
    let demo = match flags.kalshi_env.as_str() {
        "prod" => false,
        "demo" => true,
        other => return Err(UsageError(format!("--kalshi-env {other}: expected prod or demo"))),
    };
    let [rest, ws] = hosts(demo);
    let rest = flags.kalshi_rest_url.as_deref().unwrap_or(rest).trim_end_matches('/');
    let ws = flags.kalshi_ws_url.as_deref().unwrap_or(ws);
    // The paths of the catalogue begin with this one, and signatures are made over whole paths.
    let Some(host) = rest.strip_suffix("/trade-api/v2") else {
        return Err(UsageError(format!("--kalshi-rest-url {rest}: must end in /trade-api/v2")));
    };
    let rest = endpoint("--kalshi-rest-url", host, ["http", "https"])?;
    let ws = endpoint("--kalshi-ws-url", ws, ["ws", "wss"])?;
    for (flag, service) in [("--kalshi-rest-url", &rest), ("--kalshi-ws-url", &ws)] {
        if !service.tls && !flags.kalshi_plain_text {
            return Err(UsageError(format!(
                "{flag} {}: signed requests would travel unencrypted; use https:// and wss://, or \
                 --kalshi-plain-text for a venue of your own",
                service.url
            )));
        }
    }
    let table = ConnectionTable::parse(&flags.kalshi_connections).ok_or_else(|| {
        UsageError(format!(
            "--kalshi-connections {}: expected four numbers as in 2,2,2,144, at most {TABLE_CONNECTIONS_MAX} together, the last above 0",
            flags.kalshi_connections
        ))
    })?;
    Ok(VenueConfig {
        feed: Feed::Kalshi { combos: flags.kalshi_combos },
        catalogue: rest.clone(),
        books: rest,
        ws,
        table: Some(table),
        signer: Some(signer(flags)?),
        tokens_per_connection: flags.kalshi_markets_per_connection as usize,
    })
}

/// A key and its id.
#[derive(Debug)]
struct Key {
    id: String,
    key: SigningKey,
}

impl Signer for Key {
    fn when_refused(&self) -> &'static str {
        "check --kalshi-key-id and --kalshi-key, which belong to prod or to demo, and this machine's clock"
    }

    fn headers(&self, method: &str, path: &str, wall_ns: u64) -> Result<Headers, String> {
        let wall_ms = wall_ns / 1_000_000;
        let headers = self.key.headers(&self.id, wall_ms, method, path);
        headers.map(Vec::from).map_err(|error| error.to_string())
    }
}

fn signer(flags: &KalshiFlags) -> Result<Arc<dyn Signer>, UsageError> {
    let (Some(id), Some(path)) = (&flags.kalshi_key_id, &flags.kalshi_key) else {
        return Err(UsageError(
            "--venue kalshi needs --kalshi-key-id and --kalshi-key: even public data is only sent to \
             connections that are signed; make a key in the venue's account settings"
                .into(),
        ));
    };
    let shown = path.display();
    let pem = file::read_private(path).map_err(|why| UsageError(format!("--kalshi-key {why}")))?;
    let key = SigningKey::from_pem(&pem)
        .map_err(|error| UsageError(format!("--kalshi-key {shown}: {error}")))?;
    let key = Key { id: id.clone(), key };
    // What is wrong with the id shows now and not at every dial.
    let tried = key.headers("GET", "/", 0);
    tried.map_err(|error| UsageError(format!("--kalshi-key-id: {error}")))?;
    Ok(Arc::new(key))
}
