//! The venues' own host names, and what each of them serves.
//!
//! Runs on:  serve core, main thread (pure). Owns: nothing.
//!
//! Several interfaces share one port where clients name the venue's host: in the header `Host` or in the TLS handshake.
use super::Site;

/// Names of the venues' public market data, lower case. Sources: Polymarket's documentation, page "Endpoints";
/// Kalshi's, page "API environments".
pub const HOSTS: [(&str, Site); 9] = [
    ("clob.polymarket.com", Site::Polymarket),
    ("ws-subscriptions-clob.polymarket.com", Site::Polymarket),
    ("gamma-api.polymarket.com", Site::Gamma),
    ("external-api.kalshi.com", Site::Kalshi),
    ("external-api-ws.kalshi.com", Site::Kalshi),
    ("api.elections.kalshi.com", Site::Kalshi),
    ("external-api.demo.kalshi.co", Site::Kalshi),
    ("external-api-ws.demo.kalshi.co", Site::Kalshi),
    ("demo-api.kalshi.co", Site::Kalshi),
];

/// What a host name in lower case serves; `None` if it is no venue's.
pub fn site(name: &str) -> Option<Site> {
    HOSTS.iter().find(|(host, _)| *host == name).map(|(_, site)| *site)
}

/// The host names of a venue.
pub fn names_of(venue: &str) -> impl Iterator<Item = &'static str> {
    HOSTS.iter().filter(move |(_, site)| site.venue() == venue).map(|(host, _)| *host)
}
