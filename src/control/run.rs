//! Executor loop of the control core: steps the supervisor and carries out the requests of its venues.
//!
//! Runs on:  control core. Owns: the REST service pools of each venue.
use super::{
    controller::Controller,
    io_request::{Fetched, IoRequest},
    snapshot_requester::SnapshotRequest,
    supervisor::Supervisor,
};
use crate::base::id::ConnectionId;
use crate::base::limits::SERVICES_REPORT_INTERVAL_NS;
use crate::base::time::Clock as _;
use crate::io::{
    clock::HostClock,
    executor::{sleep, sleep_thread, spawn},
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

/// Addresses and services of one venue.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The market channel.
    pub ws: Endpoint,
    /// Subscription protocol and requests of the venue.
    pub feed: Feed,
    /// Signs book requests, if the venue requires it.
    pub signer: Option<Arc<dyn Signer>>,
    /// TLS settings for both.
    pub tls: Arc<ClientConfig>,
    /// Name resolver.
    pub resolver: Resolver,
    /// REST services of catalog and books; one if they are the same.
    pub services: Vec<Service>,
}

impl Sources {
    /// REST services at these addresses, with the limits of those in `wanted` that have their names.
    ///
    /// # Errors
    /// [`EndpointError`]: an address cannot be used.
    pub fn services(
        feed: Feed,
        catalog: &Endpoint,
        books: &Endpoint,
        wanted: &[Service],
    ) -> Result<Vec<Service>, EndpointError> {
        let mut services: Vec<Service> = Vec::new();
        for (name, endpoint) in feed.service_names().into_iter().zip([catalog, books]) {
            if services.iter().any(|service| service.name == name) {
                continue;
            }
            let mut service = Service::rest(name, &endpoint.url)?;
            let rate = feed.capabilities().rest_rate;
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

/// The result of a task.
enum Completion {
    Fetched(Fetched),
    Status(Fetched),
    Books(usize, u32, Fetched),
    Resolved(ConnectionId, Result<Vec<SocketAddr>, String>),
}

/// Context of a task.
#[derive(Clone)]
struct Context {
    sources: Sources,
    catalog: Rc<Pool>,
    books: Rc<Pool>,
    inbox: Rc<RefCell<Vec<Completion>>>,
}

/// REST pools of a venue and results of its tasks.
struct VenueServices {
    manager: Manager,
    context: Context,
}

impl VenueServices {
    fn new(mut sources: Sources) -> Self {
        let services = std::mem::take(&mut sources.services);
        let manager = Manager::new(services, &sources.resolver, &sources.tls);
        let manager = manager.expect("services of one venue have different names");
        let [catalog, books] = sources.feed.service_names().map(|name| {
            manager.pool(name).expect("both services of the venue are among its sources")
        });
        Self { manager, context: Context { sources, catalog, books, inbox: Rc::default() } }
    }

    /// Whether a request is under way: each task has a context.
    fn has_tasks(&self) -> bool {
        Rc::strong_count(&self.context.inbox) > 1
    }

    /// Passes results to the controller.
    fn deliver(&self, control: &mut Controller, clock: &HostClock) {
        for completion in self.context.inbox.take() {
            match completion {
                Completion::Fetched(fetched) => control.on_fetched(fetched, clock.now()),
                Completion::Status(fetched) => control.on_status(fetched, clock.now()),
                Completion::Books(shard, question, fetched) => {
                    control.on_books(shard, question, fetched, clock.now());
                }
                Completion::Resolved(connection, addresses) => {
                    control.on_resolved(connection, addresses, clock.now());
                }
            }
        }
    }
}

/// Runs until the supervisor has stopped. `sources` are in the order of its venues.
pub async fn run(mut supervisor: Supervisor, sources: Vec<Sources>, mut clock: HostClock) {
    let venues: Vec<VenueServices> = sources.into_iter().map(VenueServices::new).collect();
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
            venue.deliver(control, &clock);
        }
        let Some(rest_ns) = supervisor.step(clock.now()) else { return };
        while let Some((place, io_request)) = supervisor.poll_io_request() {
            send(io_request, &venues[place].context);
        }
        if venues.iter().any(VenueServices::has_tasks) {
            sleep(rest_ns).await;
        } else {
            sleep_thread(rest_ns).await;
        }
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

/// A book request, signed if the venue requires it.
fn request(context: &Context, question: BooksQuestion) -> Result<Request, String> {
    let url = context.books.url(&question.path);
    let (method, request) = match question.body {
        Some(body) => ("POST", Request::post_json(url, body.into_bytes())),
        None => ("GET", Request::get(url)),
    };
    let Some(signer) = &context.sources.signer else { return Ok(request) };
    let path = question.path.split('?').next().unwrap_or_default();
    let headers = signer.headers(method, path, HostClock::new().now().wall_ns)?;
    Ok(headers.into_iter().fold(request, |request, (name, value)| request.header(name, value)))
}

/// Starts a task for the request; it ends at its time limit at the latest.
fn send(io_request: IoRequest, context: &Context) {
    let context = context.clone();
    match io_request {
        IoRequest::Fetch(path) => spawn(async move {
            let fetched = fetched(context.catalog.get(&path).await);
            context.inbox.borrow_mut().push(Completion::Fetched(fetched));
        }),
        IoRequest::Status(path) => spawn(async move {
            let fetched = fetched(context.catalog.get(path).await);
            context.inbox.borrow_mut().push(Completion::Status(fetched));
        }),
        IoRequest::Books(SnapshotRequest { shard, tokens, question }) => spawn(async move {
            let books = context.sources.feed.books_request(&tokens);
            let fetched = match request(&context, books) {
                Ok(request) => fetched(context.books.request(&request).await),
                Err(why) => Fetched::Failed(why),
            };
            context.inbox.borrow_mut().push(Completion::Books(shard, question, fetched));
        }),
        IoRequest::Resolve(connection) => spawn(async move {
            let ws = &context.sources.ws;
            let addresses = context.sources.resolver.resolve(&ws.host, ws.port).await;
            let addresses = addresses.map_err(|error| error.to_string());
            context.inbox.borrow_mut().push(Completion::Resolved(connection, addresses));
        }),
    }
}

#[cfg(test)]
mod tests;
