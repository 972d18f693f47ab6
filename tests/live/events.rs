//! What a handler receives in addition to books: markets, connections, tickers, of each venue.
//!
//! Runs on:  test threads; engine and venues run on threads of this process.
use crate::http::Client;
use crate::program::{POLL_INTERVAL, TIMEOUT};
use ringbook::link::main_control::ControlEvent;
use ringbook::sim::kalshi::{KalshiConfig, KalshiVenue};
use ringbook::sim::{SimConfig, Venue as Simulated};
use ringbook::{
    BookView, ConnectionChange, ConnectionView, Engine, Handler, Kalshi, MarketStage, MarketView,
    Polymarket, Price, TopOfBook, Venue,
};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// What handlers of all shards received.
#[derive(Debug, Default)]
struct Events {
    /// Stages of each market in order, with its resolution.
    markets: BTreeMap<(Venue, String), Vec<(MarketStage, String)>>,
    /// What became of each connection, in order.
    connections: BTreeMap<u32, Vec<String>>,
    /// Tokens with a best bid or ask of the venue's own.
    tickers: BTreeSet<(Venue, String)>,
    snapshots: BTreeSet<(Venue, String)>,
}

#[derive(Clone, Debug, Default)]
struct Listener(Arc<Mutex<Events>>);

impl Handler for Listener {
    fn on_snapshot(&mut self, view: &BookView<'_>) {
        self.0.lock().unwrap().snapshots.insert((view.venue, view.token.to_string()));
    }

    fn on_ticker(&mut self, view: &BookView<'_>, ticker: &TopOfBook<'_>) {
        assert_eq!(ticker.token, view.token.as_str());
        assert!(ticker.best_bid.is_none_or(|bid| bid < Price::ONE));
        // Polymarket's best prices come without them.
        let is_whole = ticker.volume.is_some() && ticker.open_interest.is_some();
        assert!(is_whole || view.venue != Venue::named("kalshi"), "{ticker:?}");
        self.0.lock().unwrap().tickers.insert((view.venue, view.token.to_string()));
    }

    fn on_market(&mut self, view: &MarketView<'_>) {
        let result = view.resolution.map_or(String::new(), |how| {
            how.result.clone().unwrap_or_else(|| how.winner.unwrap().to_string())
        });
        let mut events = self.0.lock().unwrap();
        let stages = events.markets.entry((view.venue, view.info.market.to_string()));
        stages.or_default().push((view.stage, result));
    }

    fn on_connection(&mut self, view: &ConnectionView<'_>) {
        let change = match view.change {
            ConnectionChange::Up => "up".to_owned(),
            ConnectionChange::Down { why } => format!("down: {why}"),
            ConnectionChange::Replaced { by } => format!("replaced by {}", by.0),
        };
        self.0.lock().unwrap().connections.entry(view.connection.0).or_default().push(change);
    }
}

impl Listener {
    fn wait(&self, what: &str, wanted: impl Fn(&Events) -> bool) {
        let begun = Instant::now();
        loop {
            let events = self.0.lock().unwrap();
            if wanted(&events) {
                return;
            }
            assert!(begun.elapsed() < TIMEOUT, "no {what}: {events:#?}");
            drop(events);
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

fn polymarket(markets: usize) -> Simulated {
    let config = SimConfig {
        tls: false,
        markets,
        rate: 50.0,
        levels: 8,
        births_per_minute: 0.0,
        resolutions_per_minute: 0.0,
        ending_soon_percent: 0,
        ..SimConfig::default()
    };
    Simulated::start(config).unwrap()
}

fn control(venue: &Simulated, what: &str) {
    let mut client = Client::new(&venue.http_url(), None);
    assert_eq!(client.request("POST", &format!("/sim/{what}")).unwrap().status, 200);
}

fn stages(reported: &[(MarketStage, String)]) -> Vec<MarketStage> {
    reported.iter().map(|(stage, _)| *stage).collect()
}

#[test]
fn a_handler_receives_the_life_of_markets_and_connections() {
    use MarketStage::{Ended, New, Opened, Resolved};
    let venue = polymarket(10);
    let listener = Listener::default();
    let mut engine = Engine::builder()
        .venue(Polymarket::at(&venue.http_url(), &venue.ws_url()))
        .all_markets()
        .shards(1)
        .start(|_| listener.clone())
        .unwrap();
    listener.wait("20 books", |events| events.snapshots.len() == 20);
    control(&venue, "birth?count=1");
    control(&venue, "resolve?count=1");
    listener.wait("11 markets and a resolution", |events| {
        let resolved =
            |reported: &Vec<(MarketStage, String)>| reported.last().unwrap().0 == Resolved;
        events.markets.len() == 11 && events.markets.values().any(resolved)
    });
    for ((venue, market), reported) in &listener.0.lock().unwrap().markets {
        assert_eq!(*venue, Venue::named("polymarket"));
        let (of, is_over) = (stages(reported), reported.len() > 2);
        assert_eq!(&of[..2], [New, Opened], "{market}: {reported:?}");
        if is_over {
            assert_eq!(of, [New, Opened, Ended, Resolved], "{market}: {reported:?}");
        }
        let named = reported.iter().filter(|(_, result)| !result.is_empty()).count();
        assert_eq!(named, usize::from(is_over), "the result at the resolution: {reported:?}");
    }
    control(&venue, "drop?connections=all");
    listener.wait("a connection that is up again", |events| {
        events.connections.values().any(|reported| {
            let [first, down, again] = reported.as_slice() else { return false };
            first == "up" && down.starts_with("down: ") && again == "up"
        })
    });
    let id = *listener.0.lock().unwrap().connections.keys().next().unwrap();
    let begun = Instant::now();
    // A connection that is not up for the control core yet is refused: asked again.
    while !listener.0.lock().unwrap().connections[&id].iter().any(|c| c.starts_with("replaced")) {
        assert!(begun.elapsed() < TIMEOUT, "{:#?}", listener.0.lock().unwrap().connections);
        engine.force_recycle(ringbook::ConnectionId(id));
        while let Some(event) = engine.poll_event() {
            drop::<ControlEvent>(event);
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    drop(engine);
    let connections = &listener.0.lock().unwrap().connections;
    // What is replaced is not reported as lost too.
    let last = connections[&id].last().unwrap();
    let by = last.strip_prefix("replaced by ").unwrap();
    assert_eq!(connections[&by.parse().unwrap()][0], "up");
}

#[test]
fn each_view_has_its_venue_and_tickers_come_from_kalshi() {
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("key.pem");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/rsa-pkcs8.pem"), &key).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let kalshi = KalshiVenue::start(&KalshiConfig {
        tls: false,
        markets: 12,
        rate: 200.0,
        births_per_minute: 60.0,
        deaths_per_minute: 60.0,
        ..KalshiConfig::default()
    });
    let (kalshi, venue) = (kalshi.unwrap(), polymarket(6));
    let listener = Listener::default();
    let settings = Kalshi::with_key("key-id", &key)
        .rest_url(kalshi.rest_url())
        .ws_url(kalshi.ws_url())
        .plain_text(true)
        .connections(1, 1, 1, 2);
    let engine = Engine::builder()
        .venue(Polymarket::at(&venue.http_url(), &venue.ws_url()))
        .venue(settings)
        .all_markets()
        .shards(3)
        .start(|_| listener.clone())
        .unwrap();
    listener.wait("books of both venues and tickers", |events| {
        let of = |venue| events.snapshots.iter().filter(|(of, _)| *of == venue).count();
        let tickers = events.tickers.iter().filter(|(of, _)| *of == Venue::named("kalshi")).count();
        of(Venue::named("polymarket")) == 12 && of(Venue::named("kalshi")) >= 12 && tickers >= 5
    });
    // Every third market that is made opens later, by time alone: it is new and opened apart. Some end.
    listener.wait("the life of Kalshi's markets", |events| {
        let of_kalshi =
            events.markets.iter().filter(|((venue, _), _)| *venue == Venue::named("kalshi"));
        let mut stages = of_kalshi.map(|(_, reported)| stages(reported));
        events.markets.len() > 20 && stages.any(|reported| reported.contains(&MarketStage::Ended))
    });
    drop(engine);
    let events = listener.0.lock().unwrap();
    for (venue, token) in events.tickers.iter().chain(&events.snapshots) {
        let is_ticker = token.starts_with("KX");
        assert_eq!(*venue == Venue::named("kalshi"), is_ticker, "{token}");
    }
    for ((_, market), reported) in &events.markets {
        assert_eq!(reported[0].0, MarketStage::New, "{market}: {reported:?}");
        let opened = reported.iter().filter(|(stage, _)| *stage == MarketStage::Opened).count();
        assert!(opened <= 1 || reported.iter().any(|(stage, _)| *stage == MarketStage::Ended));
    }
}
