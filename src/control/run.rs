//! The control core's executor loop: steps the supervisor, runs the errands of its venues.
//!
//! Runs on:  control core. Owns: the pools of each venue's REST services.
use super::{
    catalogue::Fetched,
    pump::{Control, Errand},
    resync::BooksRequest,
    supervisor::Supervisor,
};
use crate::base::id::ConnectionId;
use crate::base::limits::SERVICES_REPORT_INTERVAL_NS;
use crate::base::time::Clock as _;
use crate::io::{
    clock::HostClock,
    executor::{sleep, spawn},
    resolve::Resolver,
};
use crate::pool::rate::Rate;
use crate::pool::{Manager, Pool, PoolError, Service};
use crate::venue::{BooksQuestion, Feed, Signer};
use crate::wire::{
    endpoint::{Endpoint, EndpointError},
    http::{Request, Response},
};
use rustls::ClientConfig;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// Where the controller of a venue gets what it does not know.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The market channel.
    pub ws: Endpoint,
    /// What is sent to the venue.
    pub feed: Feed,
    /// Who signs requests for books, where the venue wants that.
    pub signer: Option<Arc<dyn Signer>>,
    /// TLS settings for both.
    pub tls: Arc<ClientConfig>,
    /// Names to addresses.
    pub resolver: Resolver,
    /// The REST services that catalogue and books are asked of; one where they are the same.
    pub services: Vec<Service>,
}

impl Sources {
    /// The REST services of a venue at these addresses, with the bounds of those of `wanted` that have their names.
    ///
    /// # Errors
    /// [`EndpointError`]: an address is of no use.
    pub fn services(
        feed: Feed,
        catalogue: &Endpoint,
        books: &Endpoint,
        wanted: &[Service],
    ) -> Result<Vec<Service>, EndpointError> {
        let mut services: Vec<Service> = Vec::new();
        for (name, endpoint) in feed.service_names().into_iter().zip([catalogue, books]) {
            if services.iter().any(|service| service.name == name) {
                continue;
            }
            let mut service = Service::rest(name, &endpoint.url)?;
            let rate = feed.rest_rate();
            service.rate = rate.map(|(each, burst)| Rate { per_second: f64::from(each), burst });
            if let Some(wanted) = wanted.iter().find(|wanted| wanted.name == name) {
                service.limits = wanted.limits;
                service.rate = wanted.rate.or(service.rate);
                // The engine's paths are whole ones.
                service.probe = wanted.probe.as_ref().map(|probe| wanted.path.clone() + probe);
            }
            services.push(service);
        }
        Ok(services)
    }
}

/// What a task brought home.
enum Outcome {
    Fetched(Fetched),
    Status(Fetched),
    Books(usize, Fetched),
    Resolved(ConnectionId, Result<Vec<SocketAddr>, String>),
}

/// What a task needs to do its errand and bring it home.
#[derive(Clone)]
struct Home {
    sources: Sources,
    catalogue: Rc<Pool>,
    books: Rc<Pool>,
    inbox: Rc<RefCell<Vec<Outcome>>>,
}

/// A venue's pools, and what its tasks have brought.
struct Venue {
    manager: Manager,
    home: Home,
}

impl Venue {
    fn new(mut sources: Sources) -> Self {
        let services = std::mem::take(&mut sources.services);
        let manager = Manager::new(services, &sources.resolver, &sources.tls);
        let manager = manager.expect("services of one venue have different names");
        let [catalogue, books] = sources.feed.service_names().map(|name| {
            manager.pool(name).expect("both services of the venue are among its sources")
        });
        Self { manager, home: Home { sources, catalogue, books, inbox: Rc::default() } }
    }

    /// Hands its controller what has come.
    fn bring_home(&self, control: &mut Control, clock: &HostClock) {
        for outcome in self.home.inbox.take() {
            match outcome {
                Outcome::Fetched(fetched) => control.on_fetched(fetched, clock.now()),
                Outcome::Status(fetched) => control.on_status(fetched, clock.now()),
                Outcome::Books(shard, fetched) => control.on_books(shard, fetched, clock.now()),
                Outcome::Resolved(connection, addresses) => {
                    control.on_resolved(connection, addresses, clock.now());
                }
            }
        }
    }
}

/// Steps until the supervisor says that all is over. The sources are those of its venues, in their order.
pub async fn run(mut supervisor: Supervisor, sources: Vec<Sources>, mut clock: HostClock) {
    let venues: Vec<Venue> = sources.into_iter().map(Venue::new).collect();
    let mut reported_ns = 0;
    loop {
        clock.align();
        let report_services = clock.mono_ns() >= reported_ns + SERVICES_REPORT_INTERVAL_NS;
        if report_services {
            reported_ns = clock.mono_ns();
        }
        for (place, venue) in venues.iter().enumerate() {
            let control = supervisor.venue_mut(place);
            if report_services {
                control.on_services(venue.manager.reports());
            }
            venue.bring_home(control, &clock);
        }
        let Some(rest_ns) = supervisor.step(clock.now()) else { return };
        while let Some((place, errand)) = supervisor.poll_errand() {
            send(errand, &venues[place].home);
        }
        sleep(rest_ns).await;
    }
}

fn fetched(result: Result<Response, PoolError>) -> Fetched {
    match result {
        Ok(response) if (300..400).contains(&response.status) => {
            Fetched::Failed(response.status_line())
        }
        Ok(response) => Fetched::Response {
            status: response.status,
            retry_after_s: response.retry_after_s(HostClock::new().now().wall_ns),
            body: response.body,
        },
        Err(error) => Fetched::Failed(error.to_string()),
    }
}

/// The request that asks for books, signed where the venue wants that.
fn request(home: &Home, question: BooksQuestion) -> Result<Request, String> {
    let url = home.books.url(&question.path);
    let (method, request) = match question.body {
        Some(body) => ("POST", Request::post_json(url, body.into_bytes())),
        None => ("GET", Request::get(url)),
    };
    let Some(signer) = &home.sources.signer else { return Ok(request) };
    let path = question.path.split('?').next().unwrap_or_default();
    let headers = signer.headers(method, path, HostClock::new().now().wall_ns)?;
    Ok(headers.into_iter().fold(request, |request, (name, value)| request.header(name, value)))
}

/// Starts a task for the errand; it ends by itself, at the latest at its time limit.
fn send(errand: Errand, home: &Home) {
    let home = home.clone();
    match errand {
        Errand::Fetch(path) => spawn(async move {
            let fetched = fetched(home.catalogue.get(&path).await);
            home.inbox.borrow_mut().push(Outcome::Fetched(fetched));
        }),
        Errand::Status(path) => spawn(async move {
            let fetched = fetched(home.catalogue.get(path).await);
            home.inbox.borrow_mut().push(Outcome::Status(fetched));
        }),
        Errand::Books(BooksRequest { shard, tokens }) => spawn(async move {
            let question = home.sources.feed.books_request(&tokens);
            let fetched = match request(&home, question) {
                Ok(request) => fetched(home.books.request(&request).await),
                Err(why) => Fetched::Failed(why),
            };
            home.inbox.borrow_mut().push(Outcome::Books(shard, fetched));
        }),
        Errand::Resolve(connection) => spawn(async move {
            let ws = &home.sources.ws;
            let addresses = home.sources.resolver.resolve(&ws.host, ws.port).await;
            let addresses = addresses.map_err(|error| error.to_string());
            home.inbox.borrow_mut().push(Outcome::Resolved(connection, addresses));
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::SECOND_NS;

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::parse(url, ["http", "https"]).unwrap()
    }

    #[test]
    fn services_have_the_venues_rate_or_the_bounds_of_a_file() {
        let (gamma, clob) = (endpoint("https://gamma.test"), endpoint("https://clob.test/v1"));
        let polymarket = Feed::Polymarket { custom_features: true };
        let usual = Sources::services(polymarket, &gamma, &clob, &[]).unwrap();
        let urls: Vec<String> = usual.iter().map(Service::url).collect();
        assert_eq!(urls, ["https://gamma.test", "https://clob.test/v1"]);
        assert!(usual.iter().all(|service| service.rate.is_none()));

        // One service where both are the same.
        let kalshi = Feed::Kalshi { combos: false };
        let rest = endpoint("https://rest.test");
        let usual = Sources::services(kalshi, &rest, &rest, &[]).unwrap();
        assert_eq!(usual.len(), 1);
        assert_eq!(usual[0].rate, Some(Rate { per_second: 20.0, burst: 40 }));

        let mut wanted =
            Service::rest("kalshi-rest", "https://elsewhere.test/trade-api/v2").unwrap();
        wanted.limits.max = 3;
        wanted.limits.health_interval_ns = 9 * SECOND_NS;
        wanted.probe = Some("/exchange/status".into());
        let bounded = Sources::services(kalshi, &rest, &rest, &[wanted.clone()]).unwrap();
        assert_eq!((bounded[0].limits, bounded[0].rate), (wanted.limits, usual[0].rate));
        assert_eq!(bounded[0].probe.as_deref(), Some("/trade-api/v2/exchange/status"));
        assert_eq!(bounded[0].url(), "https://rest.test", "the flags say where it is");
    }
}
