//! The pure parts together: a catalog of the venue's size is subscribed, lost and subscribed again.
mod churn;
pub(crate) mod fixture;

use super::dial::DialError;
use super::dial_queue::{Dial, DialQueue};
use super::dialer::pause_of;
use super::discovery::Discovery;
use super::lifecycle::{Lifecycle, LifecycleOptions};
use super::placement::{Action, ConnectionState, Placement};

use super::registry::Registry;
use crate::base::id::{ConnectionId, MarketId, TokenId};
use crate::base::limits;
use crate::base::time::{MILLISECOND_NS, SECOND_NS};
use crate::market::info::{Closed, Resolution};
use crate::venue::polymarket::catalog::Page;
use crate::wire::{http::RetryAfter, websocket::WebSocketError};
use fixture::{POLYMARKET, at, info};
use std::collections::HashSet;

const SHARDS: u16 = 2;
const MARKETS: u32 = 20_000;
const STEP_NS: u64 = 10 * MILLISECOND_NS;

struct Engine {
    now: u64,
    registry: Registry,
    placement: Placement,
    discovery: Discovery,
    lifecycle: Lifecycle,
    dials: DialQueue,
    /// What each open socket is subscribed to.
    sockets: std::collections::BTreeMap<ConnectionId, HashSet<TokenId>>,
    listed: u32,
    accepts: bool,
}

impl Engine {
    fn new() -> Self {
        let options = LifecycleOptions { scanning: true, ..LifecycleOptions::default() };
        Self {
            now: 0,
            registry: Registry::new(SHARDS),
            placement: Placement::new(SHARDS),
            discovery: Discovery::new(POLYMARKET, true, 1),
            lifecycle: Lifecycle::new(options),
            dials: DialQueue::new(1),
            sockets: Default::default(),
            listed: MARKETS,
            accepts: true,
        }
    }

    /// One cycle of the control core, with a venue that answers at once.
    fn step(&mut self) {
        self.now += STEP_NS;
        let now = at(self.now);
        if let Some(request) = self.discovery.poll(self.now) {
            let cursor =
                request.path.rsplit_once("after_cursor=").map_or("0", |(_, cursor)| cursor);
            let from: u32 = cursor.parse().unwrap();
            let to = (from + limits::DISCOVERY_PAGE_MARKETS as u32).min(self.listed);
            let mut page = Page { markets: (from..to).map(info).collect(), ..Page::default() };
            page.next_cursor = (to < self.listed).then(|| to.to_string());
            if request.path.contains("closed=true") {
                let ids = request.path.split("condition_ids=").skip(1);
                let id = |text: &str| MarketId::new(text.trim_end_matches('&')).unwrap();
                let closed = ids
                    .map(|number| Closed { market: id(number), resolution: Resolution::default() });
                page = Page { closed: closed.collect(), ..Page::default() };
            }
            let answer = self.discovery.on_page(now, page);
            if answer.scan_completed {
                self.placement.request_check();
            }
            self.lifecycle.on_answer(now, answer, &mut self.registry);
        }
        let upkeep = self.lifecycle.poll(now, &mut self.registry);
        self.discovery.confirm(upkeep.confirm);
        upkeep.actions.into_iter().for_each(|action| self.act(action));
        let actions = self.placement.poll(self.now, &mut self.registry);
        actions.into_iter().for_each(|action| self.act(action));
        while let Some(Dial { connection, .. }) = self.dials.poll(self.now) {
            self.placement.on_dialing(connection);
            if self.accepts {
                let tokens = self.placement.subscription(connection, &self.registry);
                self.sockets.insert(connection, tokens.into_iter().collect());
                self.dials.on_success(connection, self.now);
                self.placement.on_active(connection, self.now);
            } else {
                self.dials.on_failure(connection, self.now, None);
                self.placement.on_waiting(connection, "refused");
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Open { connection, .. } => self.dials.request(connection, self.now),
            Action::Subscribe { connection, tokens } => {
                if let Some(socket) = self.sockets.get_mut(&connection) {
                    socket.extend(tokens);
                }
            }
            Action::Unsubscribe { connection, tokens } => {
                if let Some(socket) = self.sockets.get_mut(&connection) {
                    tokens.iter().for_each(|token| _ = socket.remove(token));
                }
            }
            Action::Close { connection } => {
                self.dials.cancel(connection);
                self.sockets.remove(&connection);
                self.placement.on_closed(connection, self.now, &mut self.registry);
            }
        }
    }

    fn run(&mut self, seconds: u64) {
        (0..seconds * SECOND_NS / STEP_NS).for_each(|_| self.step());
    }

    /// Every active token is on exactly one socket, and no socket has more than it may.
    fn check(&self) {
        let mut seen = HashSet::new();
        for (connection, tokens) in &self.sockets {
            assert!(tokens.len() <= limits::TOKENS_PER_CONNECTION_MAX);
            assert!(tokens.iter().all(|token| seen.insert(*token)), "twice, on {connection}");
        }
        let active = self.registry.report().tokens_subscribed as usize;
        assert!(seen.len() >= active, "{} tokens on sockets, {active} active", seen.len());
        assert_eq!(self.registry.pending_tokens_total(), 0);
        for open in self.placement.connections() {
            assert_eq!(open.state, ConnectionState::Active);
            assert!(self.registry.active_tokens_of(open.id).all(|token| seen.contains(&token)));
        }
    }
}

#[test]
fn a_whole_catalog_is_subscribed_lost_regained_and_given_up() {
    let mut engine = Engine::new();
    engine.run(30);
    engine.check();
    let report = engine.registry.report();
    assert_eq!((report.markets, report.tokens_subscribed), (20_000, 40_000));
    assert!((100..=104).contains(&engine.sockets.len()), "{} sockets", engine.sockets.len());

    // Every connection drops; the venue stays away for two minutes.
    engine.accepts = false;
    for connection in std::mem::take(&mut engine.sockets).into_keys() {
        engine.placement.on_waiting(connection, "reset");
        engine.dials.request(connection, engine.now);
    }
    engine.run(120);
    assert!(engine.sockets.is_empty());
    engine.accepts = true;
    engine.run(13); // A probe within 1 s, then 104 dials at 10 a second.
    engine.check();
    assert_eq!(engine.placement.report(&engine.registry).reconnects as usize, engine.sockets.len());

    // New markets find a place within two intervals; those that are closed lose theirs.
    engine.listed = MARKETS + 10;
    engine.run(140);
    engine.check();
    assert_eq!(engine.registry.report().tokens_subscribed, 40_020);
    engine.listed = 1_000;
    engine.run(140);
    engine.check();
    let report = engine.registry.report();
    assert_eq!(report.tokens_subscribed, 2_000);
    let polluted = engine.placement.report(&engine.registry);
    assert!(polluted.connections.iter().all(|connection| connection.pollution < 1.0));
    assert!(engine.sockets.len() < 10, "{} sockets", engine.sockets.len());
}

/// `Retry-After` of a refused upgrade in all its forms; the dial queue bounds what is asked for.
#[test]
fn a_refused_upgrade_says_how_long_no_connection_dials() {
    let wall_ns = 1_000 * SECOND_NS;
    let pause = |status, text: &str| {
        let retry_after = RetryAfter::parse(text);
        let refused = WebSocketError::Refused { status, retry_after, location: None };
        pause_of(&DialError::WebSocket(refused), wall_ns)
    };
    let date = "Thu, 01 Jan 1970 00:17:00 GMT";
    assert_eq!(pause(429, date), Some(20 * SECOND_NS));
    assert_eq!(pause(503, date), Some(20 * SECOND_NS));
    assert_eq!(pause(429, "20"), Some(20 * SECOND_NS));
    let default = Some(limits::RETRY_AFTER_DEFAULT_NS);
    for text in ["", "soon", "0", "Thu, 01 Jan 1970 00:10:00 GMT"] {
        assert_eq!(pause(429, text), default, "{text}");
    }
    assert_eq!((pause(503, ""), pause(403, "soon")), (None, None));

    let mut dials = DialQueue::new(7);
    dials.request(ConnectionId(1), 0);
    let dial = dials.poll(0).unwrap();
    let huge = pause(429, "99999999999999999999");
    dials.on_failure(dial.connection, 0, huge);
    assert_eq!(dials.poll(limits::RETRY_AFTER_MAX_NS - 1), None);
    assert!(dials.poll(2 * limits::RETRY_AFTER_MAX_NS).is_some());
}
