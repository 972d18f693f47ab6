//! The control core's executor loop: steps the pump, runs its errands.
//!
//! Runs on:  control core. Owns: the HTTP client of the catalogue.
use super::{
    catalogue::Fetched,
    pump::{Control, Errand},
    resync::BooksRequest,
};
use crate::base::id::ConnectionId;
use crate::io::{
    clock::HostClock,
    executor::{sleep, spawn},
    fetch::{FetchError, Fetcher},
    resolve::Resolver,
};
use crate::venue::{BooksQuestion, Feed, Signer};
use crate::wire::{
    endpoint::Endpoint,
    http::{Request, Response},
};
use futures_lite::future::zip;
use rustls::ClientConfig;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// Where the control core gets what it does not know.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The catalogue.
    pub gamma: Endpoint,
    /// Books over REST.
    pub clob: Endpoint,
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
    catalogue: Rc<Fetcher>,
    books: Rc<Fetcher>,
    inbox: Rc<RefCell<Vec<Outcome>>>,
}

/// The REST clients of the control core, made on it.
#[derive(Debug)]
pub struct Fetchers {
    /// The catalogue's.
    pub catalogue: Fetcher,
    /// The books'.
    pub books: Fetcher,
}

/// Runs the pumps of one venue or of two until all is over.
pub async fn run_all(desks: Vec<(Control, Sources, Fetchers)>, clock: HostClock) {
    let mut desks = desks.into_iter();
    match (desks.next(), desks.next()) {
        (Some((control, sources, fetchers)), None) => run(control, sources, fetchers, clock).await,
        (Some((first, one, fetch_one)), Some((second, other, fetch_other))) => {
            let (first, second) = Control::pair(first, second);
            let (a, b) = (clock.clone(), clock);
            zip(run(first, one, fetch_one, a), run(second, other, fetch_other, b)).await;
        }
        (None, _) => {}
    }
}

/// Steps until the pump says that all is over.
pub async fn run(mut control: Control, sources: Sources, fetchers: Fetchers, mut clock: HostClock) {
    let Fetchers { catalogue, books } = fetchers;
    let (catalogue, books) = (Rc::new(catalogue), Rc::new(books));
    let home = Home { sources, catalogue, books, inbox: Rc::default() };
    loop {
        clock.align();
        for outcome in home.inbox.take() {
            match outcome {
                Outcome::Fetched(fetched) => control.on_fetched(fetched, clock.now()),
                Outcome::Status(fetched) => control.on_status(fetched, clock.now()),
                Outcome::Books(shard, fetched) => control.on_books(shard, fetched, clock.now()),
                Outcome::Resolved(connection, addresses) => {
                    control.on_resolved(connection, addresses, clock.now());
                }
            }
        }
        let Some(rest_ns) = control.step(clock.now()) else { return };
        while let Some(errand) = control.poll_errand() {
            send(errand, &home);
        }
        sleep(rest_ns).await;
    }
}

fn fetched(result: Result<Response, FetchError>) -> Fetched {
    match result {
        Ok(response) => Fetched::Response {
            status: response.status,
            retry_after_s: response.retry_after_s(),
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
                Ok(request) => fetched(home.books.send(&request).await),
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
