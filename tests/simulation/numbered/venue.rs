//! The numbered venue: connections, what they receive, and faults.
//!
//! Runs on:  the simulation's thread.
use super::fault::{Fault, Faults};
use super::line::{Channel, Habits, Line};
use super::market::{LevelChange, Market, Phase, contracts, dollars};
use super::reading::{Effect, What};
use crate::wire::{ClientMessage, Switchboard, answer_to, frame, header, take_frame, take_head};
use ringbook::base::random::Random;
use ringbook::base::time::{MILLISECOND_NS, SECOND_NS};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The venue pings this often, and closes a connection that leaves so many unanswered.
const PING_NS: u64 = 10 * SECOND_NS;
const PINGS_MAX: u32 = 4;

/// A trade as it was reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trade {
    pub(crate) ticker: String,
    pub(crate) price: u32,
    pub(crate) size: u64,
    pub(crate) yes: bool,
    /// Some connection has brought it, at that time.
    pub(crate) read_ns: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Venue {
    pub(crate) markets: Vec<Market>,
    pub(super) by_ticker: HashMap<String, usize>,
    pub(crate) lines: Vec<Line>,
    board: Switchboard,
    pub(crate) faults: Faults,
    pub(crate) habits: Habits,
    /// Upgrades are answered with this.
    refusal: Option<&'static str>,
    refusal_until_ns: u64,
    /// Ports that cannot be dialed, until then.
    dead: BTreeMap<u16, u64>,
    pub(crate) trades: Vec<Trade>,
    pub(crate) markets_max: usize,
    pub(crate) violations: Vec<String>,
    /// Draws of what was added later.
    other: Random,
    /// The host's wall clock, for signatures.
    pub(crate) wall_ms: u64,
}

/// What time it is, for the venue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    pub(crate) ns: u64,
    pub(crate) ms: u64,
}

impl Venue {
    pub(crate) fn new(
        board: Switchboard,
        now: Time,
        faults: Faults,
        other: Random,
        random: &mut Random,
    ) -> Self {
        let count = 12 + random.below(100) as usize;
        let markets_max = count + count / 2;
        let tight = random.chance(1, 3);
        let habits = Habits {
            says_sending: random.chance(1, 2),
            numbers_errors: random.chance(1, 2),
            names_each: random.chance(1, 2),
            oks_first: random.chance(1, 4),
            names_ended: random.chance(1, 2),
            // All of them fit even where one shard has them all.
            cap: if tight { markets_max / 3 + 2 } else { usize::MAX },
        };
        let mut venue = Self {
            markets: Vec::new(),
            by_ticker: HashMap::new(),
            lines: Vec::new(),
            board,
            faults,
            habits,
            refusal: None,
            refusal_until_ns: 0,
            dead: BTreeMap::new(),
            trades: Vec::new(),
            markets_max,
            violations: Vec::new(),
            other,
            wall_ms: now.ms,
        };
        for _ in 0..count {
            let open_ms = match random.chance(1, 5) {
                true => now.ms + random.below(60_000),
                false => now.ms - 1_000 - random.below(10_000_000),
            };
            venue.list(open_ms, now, random);
        }
        venue
    }

    /// A new market. Its times are whole seconds.
    fn list(&mut self, open_ms: u64, now: Time, random: &mut Random) -> usize {
        let soon = random.chance(1, 8);
        let life_ms = if soon { 10_000 + random.below(60_000) } else { 36_000_000 };
        let begin_ms = open_ms.max(now.ms);
        let (open_ms, close_ms) = (open_ms / 1_000 * 1_000, (begin_ms + life_ms) / 1_000 * 1_000);
        let number = self.markets.len();
        let mut market = Market::new(number, number / 3, open_ms, close_ms);
        if self.faults.strikes(Fault::Unknown, &mut self.other) {
            market.known_ms = now.ms + self.other.below(15_000);
        }
        if open_ms <= now.ms {
            market.fill(open_ms, random);
            market.ticker_due = false;
        }
        self.by_ticker.insert(market.ticker.clone(), number);
        self.markets.push(market);
        number
    }

    /// One instant: new connections, what clients sent, what happens in the markets, what is due.
    pub(crate) fn step(&mut self, now: Time, busy: u64, random: &mut Random) {
        self.accept(now, random);
        self.misbehave(now, random);
        for place in 0..self.lines.len() {
            self.listen(place, now, random);
            self.work(place, now, random);
        }
        self.pass_time(now, random);
        for _ in 0..random.below(busy + 1) {
            self.act(now, random);
        }
        self.tell_tops(now);
        for line in &mut self.lines {
            line.deliver(now.ns, random);
        }
        self.read(now);
        self.lines.retain(|line| {
            let pipe = line.pipe.lock().unwrap();
            !(pipe.client_left || pipe.venue_left && pipe.to_client.is_empty())
        });
    }

    /// Records what clients have read.
    pub(crate) fn read(&mut self, now: Time) {
        let Self { lines, trades, .. } = self;
        for line in lines {
            line.read();
            for trade in std::mem::take(&mut line.reading.trades) {
                trades[trade as usize].read_ns.get_or_insert(now.ns);
            }
        }
    }

    fn accept(&mut self, now: Time, random: &mut Random) {
        for pipe in self.board.take() {
            pipe.lock().unwrap().piece = 1 + random.below(3_000) as usize;
            let mut line = Line::new(pipe, now.ns, random);
            if self.faults.strikes(Fault::Cut, random) {
                line.cut_after = Some(random.below(30_000) as usize);
            }
            self.lines.push(line);
        }
    }

    /// Faults of whole connections and of the venue.
    fn misbehave(&mut self, now: Time, random: &mut Random) {
        if now.ns >= self.refusal_until_ns {
            self.refusal = None;
            self.board.refuse(false);
            for (fault, text) in [
                (Fault::TooMany, Some("429 Too Many Requests")),
                (Fault::Unavailable, Some("503 Service Unavailable")),
                (Fault::Unauthorized, Some("401 Unauthorized")),
                (Fault::Refused, None),
            ] {
                if self.refusal_until_ns <= now.ns && self.faults.strikes(fault, random) {
                    self.refusal = text;
                    self.board.refuse(text.is_none());
                    self.refusal_until_ns = now.ns + random.below(3_000) * MILLISECOND_NS;
                }
            }
        }
        let Self { dead, board, .. } = self;
        dead.retain(|&port, until_ns| {
            let stays = *until_ns > now.ns;
            if !stays {
                board.kill(port, false);
            }
            stays
        });
        if self.faults.strikes(Fault::HalfPair, random) {
            let channels = [Channel::Tickers, Channel::Trades, Channel::Lifecycle];
            self.kill(channels[random.below(3) as usize], 1, now, random);
        }
        if self.faults.strikes(Fault::ThirdDead, random) {
            self.kill(Channel::Books, 2, now, random);
        }
        if !self.lines.is_empty() {
            self.misbehave_on(random.below(self.lines.len() as u64) as usize, now, random);
        }
    }

    fn kill(&mut self, channel: Channel, count: usize, now: Time, random: &mut Random) {
        let until_ns = now.ns + (1 + random.below(20)) * SECOND_NS;
        let of = self.lines.iter_mut().filter(|line| line.sid(channel).is_some() && line.is_up());
        let mut of: Vec<&mut Line> = of.collect();
        for _ in 0..count.min(of.len()) {
            let line = of.swap_remove(random.below(of.len() as u64) as usize);
            line.cut_after = Some(0);
            self.board.kill(line.port, true);
            self.dead.insert(line.port, until_ns);
        }
    }

    /// Faults of one connection.
    fn misbehave_on(&mut self, place: usize, now: Time, random: &mut Random) {
        let Self { lines, faults, habits, .. } = self;
        let line = &mut lines[place];
        if !line.upgraded || !line.is_up() {
            return;
        }
        if faults.strikes(Fault::Drop, random) {
            line.cut_after = Some(random.below(2_000) as usize);
        }
        if faults.strikes(Fault::HalfOpen, random) {
            line.half_open = true;
            let mut pipe = line.pipe.lock().unwrap();
            pipe.unread = true;
            // What had arrived can be read at once, not in the pieces of a network for longer than any bound of lag.
            pipe.piece = 1 << 20;
        }
        if faults.strikes(Fault::Freeze, random) {
            line.frozen = true;
        }
        if faults.strikes(Fault::Stall, random) {
            line.stalled_until_ns = now.ns + random.below(20_000) * MILLISECOND_NS;
        }
        if faults.strikes(Fault::Silent, random)
            && let Some(&market) = line.markets.iter().next()
        {
            line.silent = Some((market, now.ns + random.below(5_000) * MILLISECOND_NS));
        }
        if faults.strikes(Fault::Garbage, random) {
            let text = ["{\"type\":", "[[[[", "<html>", "[]", "7"][random.below(5) as usize];
            line.push(now.ns, frame(1, text.as_bytes()), Effect::Broken, true);
        }
        for (fault, code) in [(Fault::Ended, 10), (Fault::Overflow, 25)] {
            let Some((&channel, &(sid, _))) = line.subscriptions.iter().next() else { continue };
            if faults.strikes(fault, random) {
                let sid =
                    if habits.names_ended { format!(r#","sid":{sid}"#) } else { String::new() };
                let text =
                    format!(r#"{{"type":"error"{sid},"msg":{{"code":{code},"msg":"over"}}}}"#);
                line.text(now.ns, &text);
                line.end(channel, now.ns);
            }
        }
    }

    fn listen(&mut self, place: usize, now: Time, random: &mut Random) {
        let line = &mut self.lines[place];
        let pipe = Arc::clone(&line.pipe);
        let mut pipe = pipe.lock().unwrap();
        if line.half_open || pipe.venue_left || now.ns < line.stalled_until_ns {
            return;
        }
        if !line.upgraded {
            let Some(head) = take_head(&mut pipe.to_venue) else { return };
            if let Some(why) = unsigned(&head, self.wall_ms) {
                self.violations.push(why);
            }
            if let Some(refusal) = self.refusal {
                let text = format!("HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n");
                pipe.to_client.extend(text.as_bytes());
                pipe.venue_left = true;
                return;
            }
            line.upgraded = true;
            line.push(now.ns, answer_to(&head), Effect::Nothing, false);
        }
        let mut sent = Vec::new();
        while let Some(next) = take_frame(&mut pipe.to_venue) {
            sent.push(next);
        }
        drop(pipe);
        if now.ns >= line.next_ping_ns {
            line.next_ping_ns = now.ns + PING_NS;
            line.pings += 1;
            line.push(now.ns, frame(9, b"heartbeat"), Effect::Nothing, false);
            if line.pings > PINGS_MAX {
                line.cut_after = Some(0);
            }
        }
        for sent in sent {
            match sent {
                ClientMessage::Text(text) if line.frozen => drop(text),
                ClientMessage::Text(text) => {
                    let value = serde_json::from_str(&text).expect("a client sends JSON");
                    line.hear(value, now.ns, &mut self.faults, random);
                }
                ClientMessage::Close => {
                    line.closing = true;
                    line.push(now.ns, frame(8, &1000u16.to_be_bytes()), Effect::Nothing, false);
                }
                ClientMessage::Pong => line.pings = 0,
                ClientMessage::Other => {}
            }
        }
    }

    /// Markets begin and end by the clock.
    fn pass_time(&mut self, now: Time, random: &mut Random) {
        for market in 0..self.markets.len() {
            let known = &mut self.markets[market];
            if known.phase == Phase::Unopened && known.open_ms <= now.ms {
                let changes = known.fill(now.ms, random);
                self.faults.note(Fault::Opened);
                self.send(market, &changes, now, random);
            }
            let known = &self.markets[market];
            if known.is_alive() && known.close_ms <= now.ms {
                self.faults.note(Fault::Closed);
                self.close(market, Phase::Closed, now, random);
            }
        }
    }

    /// Trading ends: all orders go at one time, and unrequested empty snapshots are sent.
    fn close(&mut self, market: usize, phase: Phase, now: Time, random: &mut Random) {
        let changes = self.markets[market].empty(now.ms);
        self.send(market, &changes, now, random);
        self.markets[market].phase = phase;
        for _ in 0..random.below(3) {
            for place in 0..self.lines.len() {
                if self.lines[place].markets.contains(&market) {
                    self.snapshot(place, market, "", now, random);
                }
            }
        }
    }

    pub(super) fn sending(&self, now: Time) -> String {
        match self.habits.says_sending {
            true => format!(r#","sending_ts_ms":{}"#, now.ms),
            false => String::new(),
        }
    }

    /// A snapshot on one connection; `head` names the command, if one asked.
    pub(super) fn snapshot(
        &mut self,
        place: usize,
        market: usize,
        head: &str,
        now: Time,
        random: &mut Random,
    ) {
        let sending = self.sending(now);
        let known = &self.markets[market];
        let what = What::Snapshot { market, version: known.version() };
        let sent = known.snapshot();
        let text = ("orderbook_snapshot", head, sent.as_str());
        let Self { lines, faults, .. } = self;
        lines[place].number(Channel::Books, text, what, (now.ns, &sending), faults, random);
    }

    /// Sends changes of a market to its subscribers.
    fn send(&mut self, market: usize, changes: &[LevelChange], now: Time, random: &mut Random) {
        let sending = self.sending(now);
        let Self { lines, faults, markets, .. } = self;
        let known = &markets[market];
        for change in changes {
            let text = known.delta(change, now.ms, &dollars(change.price));
            for line in lines.iter_mut().filter(|line| line.markets.contains(&market)) {
                let silent =
                    |&(silent, until_ns): &(usize, u64)| silent == market && now.ns < until_ns;
                if line.silent.as_ref().is_some_and(silent) {
                    line.mark(now.ns, Effect::Wronged(market));
                    continue;
                }
                let malformed = faults.strikes(Fault::Malformed, random);
                let what = match malformed {
                    true => What::Malformed { market },
                    false => What::Delta { market, version: change.version },
                };
                let bad = malformed.then(|| known.delta(change, now.ms, "0.12a"));
                let text = ("orderbook_delta", "", bad.as_deref().unwrap_or(&text));
                line.number(Channel::Books, text, what, (now.ns, &sending), faults, random);
            }
        }
    }

    fn act(&mut self, now: Time, random: &mut Random) {
        let market = random.below(self.markets.len() as u64) as usize;
        if !self.markets[market].trades() {
            return;
        }
        if !random.chance(1, 5) {
            let changes = self.markets[market].act(now.ms, random);
            return self.send(market, &changes, now, random);
        }
        let yes = random.chance(1, 2);
        let Some((price, size, change)) = self.markets[market].take(yes, now.ms, random) else {
            return;
        };
        self.send(market, &[change], now, random);
        let id = self.trades.len() as u64;
        let ticker = self.markets[market].ticker.clone();
        // Whoever takes a bid for YES is for NO.
        let taker = if yes { "no" } else { "yes" };
        let body = format!(
            r#""trade_id":"d91bc706-ee49-470d-82d8-{id:012}","market_ticker":"{ticker}","yes_price_dollars":"{}","no_price_dollars":"{}","count_fp":"{}","taker_side":"{taker}","taker_outcome_side":"{taker}","taker_book_side":"bid","is_block_trade":false,"ts":{},"ts_ms":{}"#,
            dollars(price),
            dollars(super::market::DOLLAR - price),
            contracts(size),
            now.ms / 1_000,
            now.ms
        );
        self.trades.push(Trade { ticker, price, size, yes: !yes, read_ns: None });
        self.broadcast(Channel::Trades, "trade", &body, &What::Trade(id), now, random);
    }

    /// Sends to all subscribers of a channel.
    fn broadcast(
        &mut self,
        channel: Channel,
        kind: &str,
        body: &str,
        what: &What,
        now: Time,
        random: &mut Random,
    ) {
        let sending = self.sending(now);
        let Self { lines, faults, .. } = self;
        for line in lines {
            let text = (kind, "", body);
            line.number(channel, text, what.clone(), (now.ns, &sending), faults, random);
        }
    }

    /// The best prices of all markets in which something has happened, at the end of the millisecond.
    fn tell_tops(&mut self, now: Time) {
        let sending = self.sending(now);
        let Self { markets, lines, .. } = self;
        for market in markets.iter_mut().filter(|market| market.ticker_due) {
            market.ticker_due = false;
            let body = market.top();
            for line in lines.iter_mut() {
                if let Some(sid) = line.sid(Channel::Tickers) {
                    let text =
                        format!(r#"{{"type":"ticker","sid":{sid},"msg":{{{body}}}{sending}}}"#);
                    line.text(now.ns, &text);
                }
            }
        }
    }

    /// Some markets are born and announced.
    pub(crate) fn bear(&mut self, now: Time, random: &mut Random) {
        for _ in 0..1 + random.below(10) {
            if self.markets.len() >= self.markets_max {
                return;
            }
            let later = random.chance(1, 2);
            let open_ms = if later { now.ms + random.below(20_000) } else { now.ms };
            let market = self.list(open_ms, now, random);
            let body = self.markets[market].created();
            let what = What::Other;
            self.broadcast(Channel::Lifecycle, "market_lifecycle_v2", &body, &what, now, random);
        }
    }

    fn announce(&mut self, market: usize, rest: &str, now: Time, random: &mut Random) {
        let body = format!(r#""market_ticker":"{}",{rest}"#, self.markets[market].ticker);
        let kind = "market_lifecycle_v2";
        self.broadcast(Channel::Lifecycle, kind, &body, &What::Other, now, random);
    }

    /// Some markets are decided.
    pub(crate) fn decide(&mut self, now: Time, random: &mut Random) {
        let count = self.markets.len() as u64;
        for _ in 0..1 + random.below(count / 4 + 1) {
            let market = random.below(count) as usize;
            if !matches!(self.markets[market].phase, Phase::Open | Phase::Closed) {
                continue;
            }
            self.close(market, Phase::Determined, now, random);
            let rest = format!(
                r#""event_type":"determined","result":"no","determination_ts":{},"settlement_value":"0.0000""#,
                now.ms / 1_000
            );
            self.announce(market, &rest, now, random);
        }
    }

    /// A lifecycle message of one market that is neither its beginning nor its end.
    pub(crate) fn say_something(&mut self, now: Time, random: &mut Random) {
        let mut market = random.below(self.markets.len() as u64) as usize;
        let closed = self.markets.iter().position(|market| market.phase == Phase::Closed);
        if let (Some(closed), true) = (closed, random.chance(1, 3)) {
            market = closed;
        }
        let known = &mut self.markets[market];
        match known.phase {
            Phase::Open if random.chance(1, 2) => {
                known.phase = Phase::Paused;
                self.announce(
                    market,
                    r#""event_type":"deactivated","is_deactivated":true"#,
                    now,
                    random,
                );
            }
            Phase::Paused => {
                known.phase = Phase::Open;
                self.announce(
                    market,
                    r#""event_type":"activated","is_deactivated":false"#,
                    now,
                    random,
                );
            }
            Phase::Open | Phase::Unopened => {
                let close_ms = (now.ms.max(known.open_ms) + 5_000 + random.below(100_000)) / 1_000;
                known.close_ms = close_ms * 1_000;
                let rest = format!(r#""event_type":"close_date_updated","close_ts":{close_ms}"#);
                self.announce(market, &rest, now, random);
            }
            // It was closed, and trades again: its new end comes first.
            Phase::Closed => {
                let close_ms = (now.ms + 60_000 + random.below(100_000)) / 1_000;
                known.close_ms = close_ms * 1_000;
                let rest = format!(r#""event_type":"close_date_updated","close_ts":{close_ms}"#);
                self.announce(market, &rest, now, random);
                let changes = self.markets[market].fill(now.ms, random);
                self.send(market, &changes, now, random);
                self.announce(market, r#""event_type":"activated""#, now, random);
            }
            Phase::Determined => {}
        }
    }

    /// Ends all faults; their effects remain.
    pub(crate) fn calm_down(&mut self) {
        self.faults.end();
        self.refusal_until_ns = 0;
        self.markets.iter_mut().for_each(|market| market.known_ms = 0);
        for line in &mut self.lines {
            line.cut_after = None;
            line.silent = None;
        }
    }

    /// Healthy connections that carry a market.
    pub(crate) fn carriers(&self, market: usize) -> usize {
        let sound = self.lines.iter().filter(|line| line.is_sound());
        sound.filter(|line| line.markets.contains(&market)).count()
    }

    /// Ports of healthy connections with a subscription; one for books needs none without markets.
    pub(crate) fn at_work(&self, first_for_books: u16) -> BTreeSet<u16> {
        let sound = self.lines.iter().filter(|line| line.is_sound());
        let works = |line: &&Line| line.port >= first_for_books || !line.subscriptions.is_empty();
        sound.filter(works).map(|line| line.port).collect()
    }
}

/// What is wrong with the signature of an upgrade.
fn unsigned(head: &str, wall_ms: u64) -> Option<String> {
    let sent = header(head, "kalshi-access-timestamp").and_then(|text| text.parse::<u64>().ok());
    let Some(sent) = sent else { return Some("an upgrade without a time".into()) };
    let wanted = format!("signed {sent}GET/trade-api/ws/v2");
    if header(head, "kalshi-access-signature") != Some(&wanted) {
        return Some(format!("an upgrade is signed wrong: {head}"));
    }
    // A dial takes a while, and the clock may be set meanwhile.
    (sent.abs_diff(wall_ms) > 25_000).then(|| format!("signed {sent}, it is {wall_ms}"))
}
