//! The venue: connections, subscriptions, queued messages and faults.
//!
//! Runs on:  the simulation's thread.
use crate::fault::{Fault, Faults};
use crate::market::{Market, Message};
use crate::wire::{ClientMessage, Pipe, Switchboard, frame, take_frame, take_upgrade};
use ringbook::base::random::Random;
use ringbook::base::time::MILLISECOND_NS;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

/// Bytes for one connection.
#[derive(Debug)]
struct Outgoing {
    due_ns: u64,
    bytes: Vec<u8>,
    /// The market and time of its content, if it has any; for a dump, its markets.
    content: Vec<(usize, u64)>,
    data: bool,
}

/// One connection, the venue's side.
#[derive(Debug)]
pub(crate) struct Line {
    pipe: Arc<Mutex<Pipe>>,
    upgraded: bool,
    subscribed_once: bool,
    pub(crate) markets: BTreeSet<usize>,
    outbox: VecDeque<Outgoing>,
    latency_ns: u64,
    last_due_ns: u64,
    /// So many bytes more, then it is cut.
    cut_after: Option<usize>,
    half_open: bool,
    frozen: bool,
    /// Frozen for these markets only.
    frozen_markets: BTreeSet<usize>,
    /// The newest time of each market that the client has read whole.
    pub(crate) delivered: BTreeMap<usize, u64>,
    closing: bool,
}

impl Line {
    pub(crate) fn is_up(&self) -> bool {
        let pipe = self.pipe.lock().unwrap();
        !pipe.venue_left && !pipe.client_left
    }

    /// It sends what it should.
    pub(crate) fn is_sound(&self) -> bool {
        self.is_up() && !self.half_open && !self.frozen && self.upgraded
    }

    fn push(&mut self, now_ns: u64, bytes: Vec<u8>, content: Vec<(usize, u64)>, data: bool) {
        self.last_due_ns = self.last_due_ns.max(now_ns + self.latency_ns);
        self.outbox.push_back(Outgoing { due_ns: self.last_due_ns, bytes, content, data });
    }
}

/// The venue.
#[derive(Debug)]
pub(crate) struct Venue {
    pub(crate) markets: Vec<Market>,
    pub(crate) lines: Vec<Line>,
    board: Switchboard,
    /// Messages that are sent later.
    later: Vec<(u64, Message)>,
    pub(crate) trades: u64,
    pub(crate) faults: Faults,
    /// Upgrades are answered with this.
    refusal: Option<&'static str>,
    refusal_until_ns: u64,
    pub(crate) born: usize,
    /// Markets of which a message was lost or malformed on some connection, and when.
    pub(crate) damaged: BTreeMap<usize, u64>,
    /// Trades that were sent twice.
    pub(crate) doubled: BTreeSet<String>,
    pub(crate) violations: Vec<String>,
    /// Trades that were sent to a connection.
    pub(crate) reported: BTreeSet<String>,
    /// When the last connection of a market was closed or left it.
    pub(crate) uncovered: BTreeMap<usize, u64>,
}

impl Venue {
    pub(crate) fn new(
        board: Switchboard,
        markets: usize,
        now_ms: u64,
        faults: Faults,
        random: &mut Random,
    ) -> Self {
        let markets: Vec<Market> = (0..markets).map(|i| Market::new(i, now_ms, random)).collect();
        Self {
            born: markets.len(),
            markets,
            lines: Vec::new(),
            board,
            later: Vec::new(),
            trades: 0,
            faults,
            refusal: None,
            refusal_until_ns: 0,
            damaged: BTreeMap::new(),
            doubled: BTreeSet::new(),
            violations: Vec::new(),
            reported: BTreeSet::new(),
            uncovered: BTreeMap::new(),
        }
    }

    /// One instant: new connections, what clients sent, what happens in the markets, what is due.
    pub(crate) fn step(&mut self, now_ns: u64, wall_ms: u64, busy: u64, random: &mut Random) {
        self.accept(random);
        self.misbehave(now_ns, random);
        for place in 0..self.lines.len() {
            self.listen(place, now_ns, random);
        }
        let (due, later) =
            std::mem::take(&mut self.later).into_iter().partition(|(at, _)| *at <= now_ns);
        self.later = later;
        let mut due: Vec<(u64, Message)> = due;
        due.sort_by_key(|(at, _)| *at);
        due.into_iter().for_each(|(_, message)| self.send(&message, now_ns, random));
        for _ in 0..random.below(busy + 1) {
            self.trade(now_ns, wall_ms, random);
        }
        for line in &mut self.lines {
            line.deliver(now_ns, random);
        }
        let (stays, gone) = std::mem::take(&mut self.lines).into_iter().partition(|line| {
            let pipe = line.pipe.lock().unwrap();
            !(pipe.client_left || pipe.venue_left && pipe.to_client.is_empty())
        });
        self.lines = stays;
        let gone: Vec<Line> = gone;
        gone.into_iter().for_each(|line| self.note_uncovered(line.markets, now_ns));
    }

    /// A connection carries these markets no more: those of them that no other carries.
    fn note_uncovered(&mut self, markets: BTreeSet<usize>, now_ns: u64) {
        for market in markets {
            let mut others = self.lines.iter().filter(|line| !line.closing);
            let covers = |line: &Line| {
                line.markets.contains(&market) && line.delivered.contains_key(&market)
            };
            if !others.any(covers) {
                self.uncovered.insert(market, now_ns);
            }
        }
    }

    fn accept(&mut self, random: &mut Random) {
        for pipe in self.board.take() {
            pipe.lock().unwrap().piece = 1 + random.below(3_000) as usize;
            let cut =
                self.faults.strikes(Fault::Cut, random).then(|| random.below(20_000) as usize);
            self.lines.push(Line {
                pipe,
                upgraded: false,
                subscribed_once: false,
                markets: BTreeSet::new(),
                outbox: VecDeque::new(),
                latency_ns: random.below(150) * MILLISECOND_NS,
                last_due_ns: 0,
                cut_after: cut,
                half_open: false,
                frozen: false,
                frozen_markets: BTreeSet::new(),
                delivered: BTreeMap::new(),
                closing: false,
            });
        }
    }

    /// Faults of whole connections and of the venue.
    fn misbehave(&mut self, now_ns: u64, random: &mut Random) {
        if now_ns >= self.refusal_until_ns {
            self.refusal = None;
            self.board.refuse(false);
            for (fault, text) in [
                (
                    Fault::TooMany,
                    Some(
                        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
                    ),
                ),
                (
                    Fault::Unavailable,
                    Some("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
                ),
                (Fault::Refused, None),
            ] {
                if self.refusal_until_ns <= now_ns && self.faults.strikes(fault, random) {
                    self.refusal = text;
                    self.board.refuse(text.is_none());
                    self.refusal_until_ns = now_ns + random.below(3_000) * MILLISECOND_NS;
                }
            }
        }
        let count = self.lines.len() as u64;
        if count == 0 {
            return;
        }
        let place = random.below(count) as usize;
        let line = &mut self.lines[place];
        if !line.upgraded || !line.is_up() {
            return;
        }
        if self.faults.strikes(Fault::Drop, random) {
            line.cut_after = Some(random.below(2_000) as usize);
        }
        if self.faults.strikes(Fault::HalfOpen, random) {
            line.half_open = true;
            let mut pipe = line.pipe.lock().unwrap();
            pipe.unread = true;
            // What had arrived can be read at once, not in the pieces of a network for longer than any bound of lag.
            pipe.piece = 1 << 20;
        }
        if self.faults.strikes(Fault::Freeze, random) {
            line.frozen = true;
        }
        if self.faults.strikes(Fault::FreezeMarket, random)
            && let Some(&market) = line.markets.iter().next()
        {
            line.frozen_markets.insert(market);
            self.damaged.insert(market, now_ns);
        }
        if self.faults.strikes(Fault::Garbage, random) {
            let market = line.markets.iter().next().copied();
            let text = match random.below(4) {
                0 => "{\"market\":".to_owned(),
                1 => "[[[[".to_owned(),
                2 => "<html>".to_owned(),
                _ => market.map_or(String::new(), |market| {
                    let id = &self.markets[market].id;
                    format!(r#"{{"market":"{id}","price_changes":[{{"asset_id":"#)
                }),
            };
            line.push(now_ns, frame(1, text.as_bytes()), Vec::new(), true);
        }
    }

    fn listen(&mut self, place: usize, now_ns: u64, random: &mut Random) {
        let line = &mut self.lines[place];
        let pipe = Arc::clone(&line.pipe);
        let mut pipe = pipe.lock().unwrap();
        if line.half_open || pipe.venue_left {
            return;
        }
        if !line.upgraded {
            let Some(answer) = take_upgrade(&mut pipe.to_venue) else { return };
            if let Some(refusal) = self.refusal {
                pipe.to_client.extend(refusal.as_bytes());
                pipe.venue_left = true;
                return;
            }
            line.upgraded = true;
            line.push(now_ns, answer, Vec::new(), false);
        }
        let mut sent = Vec::new();
        while let Some(next) = take_frame(&mut pipe.to_venue) {
            sent.push(next);
        }
        drop(pipe);
        for sent in sent {
            match sent {
                ClientMessage::Text(text) if text == "PING" => {
                    if !self.lines[place].subscribed_once {
                        self.violations.push("PING before the first subscription".into());
                    }
                    self.lines[place].push(now_ns, frame(1, b"PONG"), Vec::new(), false);
                }
                ClientMessage::Text(text) => self.subscribe(place, &text, now_ns, random),
                ClientMessage::Close => {
                    let line = &mut self.lines[place];
                    line.closing = true;
                    line.push(now_ns, frame(8, &1000u16.to_be_bytes()), Vec::new(), false);
                    let markets = line.markets.clone();
                    self.note_uncovered(markets, now_ns);
                }
                ClientMessage::Pong | ClientMessage::Other => {}
            }
        }
    }

    fn subscribe(&mut self, place: usize, text: &str, now_ns: u64, random: &mut Random) {
        let value: serde_json::Value = serde_json::from_str(text).expect("a client sends JSON");
        let ids: Vec<&str> =
            value["assets_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        let line = &mut self.lines[place];
        let operation = value["operation"].as_str();
        if operation.is_none() && std::mem::replace(&mut line.subscribed_once, true) {
            self.violations.push("the first message came twice on one connection".into());
        }
        let tokens = self.markets.iter().enumerate().flat_map(|(market, known)| {
            known
                .tokens
                .iter()
                .enumerate()
                .map(move |(outcome, token)| (token.as_str(), (market, outcome)))
        });
        let tokens: BTreeMap<&str, (usize, usize)> = tokens.collect();
        let named: Vec<(usize, usize)> =
            ids.iter().filter_map(|id| tokens.get(id)).copied().collect();
        if operation == Some("unsubscribe") {
            line.markets.retain(|market| !named.iter().any(|(named, _)| named == market));
            self.note_uncovered(named.iter().map(|(market, _)| *market).collect(), now_ns);
            return;
        }
        // Until now they were on no connection that the venue knows: on one that was dead when they were subscribed to.
        self.note_uncovered(named.iter().map(|(market, _)| *market).collect(), now_ns);
        let line = &mut self.lines[place];
        let (mut books, mut content) = (Vec::new(), Vec::new());
        for (market, outcome) in named {
            line.markets.insert(market);
            if self.faults.strikes(Fault::LostSnapshot, random) {
                continue;
            }
            books.push(self.markets[market].dump(outcome));
            content.push((market, self.markets[market].changed_ms));
        }
        let text = format!("[{}]", books.join(","));
        line.push(now_ns, frame(1, text.as_bytes()), content, true);
    }

    fn trade(&mut self, now_ns: u64, wall_ms: u64, random: &mut Random) {
        let market = random.below(self.markets.len() as u64) as usize;
        if !self.markets[market].open {
            return;
        }
        for message in self.markets[market].act(market, wall_ms, &mut self.trades, random) {
            if message.delay_ms > 0 {
                self.later.push((now_ns + message.delay_ms * MILLISECOND_NS, message));
            } else {
                self.send(&message, now_ns, random);
            }
        }
        if random.chance(1, 50) {
            let market = &mut self.markets[market];
            market.stale = [market.book(0), market.book(1)];
        }
    }

    fn send(&mut self, message: &Message, now_ns: u64, random: &mut Random) {
        let market = message.market;
        for place in 0..self.lines.len() {
            let line = &mut self.lines[place];
            if !line.markets.contains(&market) || line.frozen_markets.contains(&market) {
                continue;
            }
            if self.faults.strikes(Fault::Lost, random) {
                self.damaged.insert(market, now_ns);
                continue;
            }
            self.reported.extend(message.trade.clone());
            let bytes = frame(1, message.text.as_bytes());
            let content =
                if message.trade.is_none() { vec![(market, message.ms)] } else { Vec::new() };
            let line = &mut self.lines[place];
            if self.faults.strikes(Fault::Doubled, random) {
                line.push(now_ns, bytes.clone(), content.clone(), true);
                self.doubled.extend(message.trade.clone());
            }
            line.push(now_ns, bytes, content, true);
            let count = line.outbox.len();
            if count >= 2 && self.faults.possible(Fault::Reordered) {
                let other = |out: &Outgoing| {
                    out.data && out.content.len() == 1 && out.content[0].0 != market
                };
                if other(&line.outbox[count - 2])
                    && message.trade.is_none()
                    && self.faults.strikes(Fault::Reordered, random)
                {
                    line.outbox.swap(count - 2, count - 1);
                    let due_ns = line.outbox[count - 1].due_ns;
                    line.outbox[count - 2].due_ns = due_ns;
                }
            }
        }
    }

    /// New markets, listed at once and not announced: the next scan finds them.
    pub(crate) fn bear(&mut self, count: usize, now_ms: u64, random: &mut Random) {
        for _ in 0..count {
            self.markets.push(Market::new(self.born, now_ms, random));
            self.born += 1;
        }
    }

    /// Ends a market: the stream reports it on every connection that carries it.
    pub(crate) fn resolve(&mut self, market: usize, now_ns: u64, wall_ms: u64) {
        let known = &mut self.markets[market];
        if !std::mem::replace(&mut known.open, false) {
            return;
        }
        let text = format!(
            r#"{{"id":"1","market":"{}","assets_ids":["{}","{}"],"winning_asset_id":"{}","winning_outcome":"Yes","timestamp":"{wall_ms}","event_type":"market_resolved"}}"#,
            known.id, known.tokens[0], known.tokens[1], known.tokens[0]
        );
        for line in self.lines.iter_mut().filter(|line| line.markets.contains(&market)) {
            line.push(now_ns, frame(1, text.as_bytes()), Vec::new(), true);
        }
    }

    /// The answer of the catalog to a request.
    pub(crate) fn catalog(&self, path: &str) -> String {
        let asked = path.contains("condition_ids");
        let wanted = self
            .markets
            .iter()
            .filter(|market| if asked { path.contains(&market.id) } else { market.open });
        let list: Vec<String> = wanted.map(Market::listing).collect();
        if asked {
            format!("[{}]", list.join(","))
        } else {
            format!(r#"{{"markets":[{}]}}"#, list.join(","))
        }
    }

    /// The answer to a request for books.
    pub(crate) fn books(&mut self, tokens: &[String], now_ns: u64, random: &mut Random) -> String {
        let mut found = Vec::new();
        for token in tokens {
            let known = self.markets.iter().enumerate().find_map(|(place, market)| {
                let outcome = market.tokens.iter().position(|known| known == token)?;
                Some((place, market, outcome))
            });
            let Some((place, market, outcome)) = known else { continue };
            let old = self.faults.strikes(Fault::StaleBook, random);
            if old {
                self.damaged.insert(place, now_ns);
            }
            found.push(if old { market.stale[outcome].clone() } else { market.book(outcome) });
        }
        format!("[{}]", found.join(","))
    }

    /// Ends all faults; their effects remain.
    pub(crate) fn calm_down(&mut self) {
        self.faults.end();
        self.refusal_until_ns = 0;
        for line in &mut self.lines {
            line.cut_after = None;
        }
    }
}

impl Line {
    /// Moves what is due to the client, as far as the connection's faults allow.
    fn deliver(&mut self, now_ns: u64, random: &mut Random) {
        let mut pipe = self.pipe.lock().unwrap();
        if self.half_open || pipe.venue_left {
            return;
        }
        if random.chance(1, 10) {
            pipe.piece = 1 + random.below(3_000) as usize;
        }
        while self.outbox.front().is_some_and(|out| out.due_ns <= now_ns) {
            let Some(out) = self.outbox.pop_front() else { break };
            if self.frozen && out.data {
                continue;
            }
            if let Some(left) = &mut self.cut_after {
                if *left < out.bytes.len() {
                    pipe.to_client.extend(&out.bytes[..*left]);
                    pipe.venue_left = true;
                    return;
                }
                *left -= out.bytes.len();
            }
            pipe.to_client.extend(&out.bytes);
            for (market, ms) in out.content {
                let newest = self.delivered.entry(market).or_default();
                *newest = (*newest).max(ms);
            }
        }
        if self.closing && self.outbox.is_empty() {
            pipe.venue_left = true;
        }
    }
}
