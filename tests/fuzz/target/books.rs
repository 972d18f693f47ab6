//! A shard's books under any sequence of events, cross-checked by sorted maps.
//!
//! Input: a program of two bytes and more a step, see [`step`]. The first byte decides whether books
//! are opened by hand or implied by what appears.

use super::{Target, behaviour, magnitude};
use ringbook::base::id::{MarketId, ShardId, TokenId};
use ringbook::base::limits::LEVELS_PER_SIDE_MAX;
use ringbook::base::price::{Price, Quantity};
use ringbook::base::time::Now;
use ringbook::market::book::image::BookImage;
use ringbook::market::book::{BookOpening, BookState, Level, Side, StaleReason};
use ringbook::market::event::{ChangeSpan, Changes, Event, Snapshot, Span, TickSize, Trade};
use ringbook::shard::books::{Admission, Books, ConnectionSlot, OpenBook};
use ringbook::shard::publish::{BookView, Change, Handler};
use std::collections::BTreeMap;

pub(super) const TARGET: Target = Target { name: "books", run, seeds, dictionary: &[] };

const MARKETS: [&str; 3] = ["0xa1", "0xb2", "0xc3"];
/// Two of each market, in order; one text that is no id comes last.
const TOKENS: [&str; 7] = ["11", "12", "21", "22", "31", "32", "no id"];
/// Prices of a few levels, and of many.
const STEP: u32 = 10_000;

/// What a handler is callbacks, one line each.
#[derive(Debug, Default)]
struct Callbacks(Vec<String>);

impl Handler for Callbacks {
    fn on_snapshot(&mut self, view: &BookView<'_>) {
        let (bids, asks) = (view.book.bids.len(), view.book.asks.len());
        self.0.push(format!("{} snapshot {bids} {asks}", view.token));
    }
    fn on_price_change(&mut self, view: &BookView<'_>, change: &Change) {
        let best = (view.book.best_bid(), view.book.best_ask());
        self.0.push(format!("{} change {:?} {best:?}", view.token, change.level));
    }
    fn on_trade(&mut self, view: &BookView<'_>, _: &Trade<'_>) {
        self.0.push(format!("{} trade {:?}", view.token, view.facts.last_trade));
    }
    fn on_status(&mut self, view: &BookView<'_>, before: BookState) {
        self.0.push(format!("{} {} -> {}", view.token, before.name(), view.state.name()));
    }
}

/// One book of the model.
#[derive(Clone, Debug, Default)]
struct Naive {
    connection: u32,
    state: BookState,
    bids: BTreeMap<u32, u64>,
    asks: BTreeMap<u32, u64>,
    snapshot_ms: u64,
    /// The time of what was last applied.
    newest_ms: u64,
    last_trade: Option<Price>,
}

impl Naive {
    fn side(&mut self, side: Side) -> &mut BTreeMap<u32, u64> {
        match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        }
    }

    fn best(&self) -> (Option<Level>, Option<Level>) {
        let level = |(&p, &q): (&u32, &u64)| Level { price: Price(p), quantity: Quantity(q) };
        (self.bids.last_key_value().map(level), self.asks.first_key_value().map(level))
    }
}

/// The books by market and token, and what a handler should have been callbacks.
#[derive(Debug, Default)]
struct Model {
    books: BTreeMap<(usize, usize), Naive>,
    callbacks: Vec<String>,
    implied: bool,
}

fn set(levels: &mut BTreeMap<u32, u64>, level: Level) {
    match level.quantity.0 {
        0 => drop(levels.remove(&level.price.0)),
        quantity => drop(levels.insert(level.price.0, quantity)),
    }
}

impl Model {
    /// The book that an event about this token changes.
    fn admit(&mut self, market: usize, token: usize) -> Option<(usize, usize)> {
        let key = if self.implied { (market, token) } else { (token / 2, token) };
        if self.implied && token + 1 < TOKENS.len() {
            self.books.entry(key).or_default();
        }
        self.books.contains_key(&key).then_some(key)
    }

    fn set_state(&mut self, key: (usize, usize), state: BookState) {
        let book = self.books.get_mut(&key).expect("it is there");
        if book.state != state {
            let before = std::mem::replace(&mut book.state, state);
            let line = format!("{} {} -> {}", TOKENS[key.1], before.name(), state.name());
            self.callbacks.push(line);
        }
    }

    fn set_stale(&mut self, key: (usize, usize), why: StaleReason) {
        if self.books[&key].state == BookState::Live {
            self.set_state(key, BookState::Stale { why, since_wall_ns: 0 });
        }
    }

    fn snapshot(
        &mut self,
        key: (usize, usize),
        connection: u32,
        time: u64,
        sides: &[Vec<Level>; 2],
    ) {
        let book = self.books.get_mut(&key).expect("it is there");
        book.connection = connection;
        if time < book.newest_ms {
            // It would roll the book back, or lacks a change.
            return;
        }
        (book.snapshot_ms, book.newest_ms) = (time, time);
        book.bids.clear();
        book.asks.clear();
        let fault = sides.iter().find_map(|side| {
            let quantities: BTreeMap<_, _> = side.iter().map(|l| (l.price, l.quantity)).collect();
            let is_repeated = side.iter().any(|level| quantities[&level.price] != level.quantity);
            match side.len() > LEVELS_PER_SIDE_MAX {
                true => Some(StaleReason::TooManyLevels),
                false => is_repeated.then_some(StaleReason::UndecodedMessage),
            }
        });
        if fault.is_none() {
            sides[0].iter().for_each(|&level| set(&mut book.bids, level));
            sides[1].iter().for_each(|&level| set(&mut book.asks, level));
        }
        let sizes = (book.bids.len(), book.asks.len());
        match fault {
            Some(why) => self.set_stale(key, why),
            None => self.set_state(key, BookState::Live),
        }
        self.callbacks.push(format!("{} snapshot {} {}", TOKENS[key.1], sizes.0, sizes.1));
    }

    fn changes(&mut self, market: usize, time: u64, changes: &[(usize, Side, Level)]) {
        let mut applied = Vec::new();
        for &(token, side, level) in changes {
            let Some(key) = self.admit(market, token) else { continue };
            let book = self.books.get_mut(&key).expect("it is there");
            if book.state == BookState::AwaitingSnapshot {
                book.newest_ms = book.newest_ms.max(time);
                continue;
            }
            if time < book.snapshot_ms {
                continue;
            }
            book.newest_ms = time;
            let levels = book.side(side);
            let room = levels.contains_key(&level.price.0) || levels.len() < LEVELS_PER_SIDE_MAX;
            if room || level.quantity == Quantity::ZERO {
                set(levels, level);
            } else {
                self.set_stale(key, StaleReason::TooManyLevels);
            }
            applied.push((key, level));
        }
        for (key, level) in applied {
            let best = self.books[&key].best();
            self.callbacks.push(format!("{} change {level:?} {best:?}", TOKENS[key.1]));
        }
    }
}

/// Reads a program.
struct Program<'a>(&'a [u8]);

impl Program<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    fn level(&mut self) -> Level {
        let price = match self.byte() {
            byte @ 0..240 => (u32::from(byte) % 30 + 1) * STEP,
            240..248 => 1_000_000,
            _ => u32::from(self.byte()),
        };
        let quantity = match self.byte() {
            0..60 => 0,
            byte @ 60..220 => u64::from(byte) * 10_000,
            byte @ 220..240 => u64::from(byte),
            byte @ 240..252 => 1 << (byte - 240 + 40),
            _ => u64::MAX,
        };
        Level { price: Price(price), quantity: Quantity(quantity) }
    }

    fn levels(&mut self) -> Vec<Level> {
        match self.byte() {
            byte @ 0..250 => (0..byte % 12).map(|_| self.level()).collect(),
            byte => {
                let count = LEVELS_PER_SIDE_MAX as u32 + u32::from(byte) - 252;
                let level = |price| Level { price: Price(price), quantity: Quantity(1) };
                (0..count).map(level).collect()
            }
        }
    }
}

struct Both {
    books: Books<Callbacks>,
    model: Model,
    time: u64,
}

impl Both {
    /// One step of a program, done to the books and to the model.
    fn step(&mut self, program: &mut Program<'_>) {
        let (step, token) = (program.byte() % 20, program.below(TOKENS.len()));
        let market =
            if program.byte().is_multiple_of(16) { program.below(3) } else { (token / 2).min(2) };
        let connection = program.below(3) as u32;
        self.time = (self.time + program.below(4) as u64).saturating_sub(1);
        match step {
            0..4 if !self.model.implied => self.open(token, connection),
            4 if !self.model.implied => self.close(token, connection),
            5..9 => self.snapshot(market, token, connection, program),
            9..15 => self.changes(market, program),
            15 => self.trade(market, token),
            16 => self.tick(market, token),
            17 => self.undecoded(market, token),
            18 => self.stale(connection),
            _ => {}
        }
    }

    fn open(&mut self, token: usize, connection: u32) {
        let (Some(market), Some(id)) =
            (MARKETS.get(token / 2).and_then(|m| MarketId::new(m)), TokenId::new(TOKENS[token]))
        else {
            return;
        };
        let opening = BookOpening {
            market,
            token: id,
            tick_size: None,
            min_order_size: None,
            neg_risk: false,
        };
        self.books.open(&opening, ConnectionSlot(connection)).expect("a shard has room");
        self.model.books.entry((token / 2, token)).or_default().connection = connection;
    }

    fn close(&mut self, token: usize, connection: u32) {
        let Some(id) = TokenId::new(TOKENS[token]) else { return };
        self.books.close_on(&id, ConnectionSlot(connection));
        let key = (token / 2, token);
        if self.model.books.get(&key).is_some_and(|book| book.connection == connection) {
            self.model.set_state(key, BookState::AwaitingSnapshot);
            self.model.books.remove(&key);
        }
    }

    fn snapshot(
        &mut self,
        market: usize,
        token: usize,
        connection: u32,
        program: &mut Program<'_>,
    ) {
        let sides = [program.levels(), program.levels()];
        let event = Event::Snapshot(Snapshot {
            market: MARKETS[market],
            token: TOKENS[token],
            timestamp_ms: self.time,
            hash: None,
            bids: &sides[0],
            asks: &sides[1],
            tick_size: None,
            last_trade: None,
            min_order_size: None,
            neg_risk: None,
        });
        self.books.on_event(&event, ConnectionSlot(connection), Now::default());
        if let Some(key) = self.model.admit(market, token) {
            self.model.snapshot(key, connection, self.time, &sides);
        }
    }

    fn changes(&mut self, market: usize, program: &mut Program<'_>) {
        let mut frame = String::new();
        let (mut spans, mut changes) = (Vec::new(), Vec::new());
        for _ in 0..=program.below(6) {
            // Mostly of the market's own two tokens.
            let token = match program.byte() {
                byte @ 0..230 => market * 2 + usize::from(byte) % 2,
                byte => usize::from(byte) % TOKENS.len(),
            };
            let side = if program.byte().is_multiple_of(2) { Side::Bid } else { Side::Ask };
            let level = program.level();
            let (start, len) = (frame.len() as u32, TOKENS[token].len() as u32);
            frame.push_str(TOKENS[token]);
            let span = Span { start, len };
            spans.push(ChangeSpan {
                token: span,
                side,
                level,
                hash: None,
                best_bid: None,
                best_ask: None,
            });
            changes.push((token, side, level));
        }
        let event = Event::Changes(Changes {
            market: MARKETS[market],
            timestamp_ms: self.time,
            frame: &frame,
            changes: &spans,
        });
        self.books.on_event(&event, ConnectionSlot(0), Now::default());
        self.model.changes(market, self.time, &changes);
    }

    fn trade(&mut self, market: usize, token: usize) {
        let price = Price(self.time as u32 % 1_000_000);
        let event = Event::Trade(Trade {
            market: MARKETS[market],
            token: TOKENS[token],
            timestamp_ms: self.time,
            price,
            quantity: Quantity(1),
            side: Side::Bid,
            fee_rate_bps: None,
            transaction_hash: "",
        });
        self.books.on_event(&event, ConnectionSlot(0), Now::default());
        let Some(key) = self.model.admit(market, token) else { return };
        let siblings = self.model.books.iter_mut().filter(|(other, _)| other.0 == key.0);
        siblings.for_each(|(_, book)| book.last_trade = Some(price));
        self.model.callbacks.push(format!("{} trade {:?}", TOKENS[token], Some(price)));
    }

    fn tick(&mut self, market: usize, token: usize) {
        let event = Event::TickSize(TickSize {
            market: MARKETS[market],
            token: TOKENS[token],
            timestamp_ms: self.time,
            old: None,
            new: Price(1_000),
        });
        self.books.on_event(&event, ConnectionSlot(0), Now::default());
        let _ = self.model.admit(market, token);
    }

    /// A message that could not be decoded: of a token, or of a whole market.
    fn undecoded(&mut self, market: usize, token: usize) {
        let why = StaleReason::UndecodedMessage;
        if self.time.is_multiple_of(2) {
            self.books.on_undecoded(MARKETS[market], TOKENS[token], 0);
            let key = if self.model.implied { (market, token) } else { (token / 2, token) };
            if self.model.books.contains_key(&key) {
                self.model.set_stale(key, why);
            }
        } else {
            // The order of the ring of siblings is unspecified.
            let before = self.callback_count();
            self.books.on_undecoded(MARKETS[market], "", 0);
            let keys: Vec<_> = self.model.books.keys().copied().filter(|k| k.0 == market).collect();
            keys.into_iter().for_each(|key| self.model.set_stale(key, why));
            self.sort_reported_since(before);
        }
    }

    fn stale(&mut self, connection: u32) {
        let before = self.callback_count();
        let (marked, why) = if connection == 2 {
            (self.books.set_all_stale(StaleReason::FramesLost, 0), StaleReason::FramesLost)
        } else {
            let why = StaleReason::Disconnected;
            (self.books.set_connection_stale(ConnectionSlot(connection), why, 0), why)
        };
        let meant = |book: &Naive| connection == 2 || book.connection == connection;
        let live = |book: &Naive| book.state == BookState::Live;
        let books = self.model.books.iter();
        let keys: Vec<_> =
            books.filter(|(_, b)| meant(b) && live(b)).map(|(&key, _)| key).collect();
        assert_eq!(marked, keys.len());
        keys.into_iter().for_each(|key| self.model.set_stale(key, why));
        self.sort_reported_since(before);
    }

    fn callback_count(&self) -> usize {
        self.model.callbacks.len()
    }

    /// The model reports in the order of its keys. The engine's order is compared sorted, see
    /// [`Both::check`].
    fn sort_reported_since(&mut self, before: usize) {
        self.model.callbacks[before..].sort();
    }

    /// Books and counts agree.
    fn check(&self) {
        let counts = self.books.counts();
        let states = self.model.books.values().map(|book| book.state);
        let (mut live, mut awaiting, mut stale) = (0, 0, 0);
        states.for_each(|state| match state {
            BookState::Live => live += 1,
            BookState::AwaitingSnapshot => awaiting += 1,
            BookState::Stale { .. } => stale += 1,
        });
        assert_eq!((counts.live, counts.awaiting, counts.stale), (live, awaiting, stale));
        assert_eq!(counts.books, self.model.books.len() as u64);
        for connection in 0..3 {
            let on = |book: &&Naive| book.connection == connection && book.state == BookState::Live;
            let expected = self.model.books.values().filter(on).count();
            assert_eq!(self.books.live_on(ConnectionSlot(connection)) as usize, expected);
        }
    }

    /// Every level of every book agrees.
    fn check_levels(&self) {
        let mut places: BTreeMap<(String, String), _> = BTreeMap::new();
        for OpenBook { token, market, index } in self.books.open_books() {
            let before = places.insert((market.to_string(), token.to_string()), index);
            assert!(before.is_none(), "{market} {token} is there twice");
        }
        assert_eq!(places.len(), self.model.books.len());
        let mut image = BookImage::default();
        for (&(market, token), book) in &self.model.books {
            let index = places[&(MARKETS[market].to_owned(), TOKENS[token].to_owned())];
            assert!(self.books.fill_image_at(index, &mut image));
            let level = |(&p, &q): (&u32, &u64)| Level { price: Price(p), quantity: Quantity(q) };
            let bids: Vec<Level> = book.bids.iter().map(level).collect();
            let asks: Vec<Level> = book.asks.iter().rev().map(level).collect();
            assert!(
                image.bids == bids && image.asks == asks,
                "{}: {image:?} {book:?}",
                TOKENS[token]
            );
            assert_eq!(image.state, book.state);
            assert_eq!(image.facts.last_trade, book.last_trade);
        }
    }
}

fn run(input: &[u8]) -> u64 {
    let mut program = Program(&input[..input.len().min(4_000)]);
    let implied = program.byte() % 3 == 0;
    let admission = if implied { Admission::Implied { shards: 1 } } else { Admission::Listed };
    let books = Books::new(
        ShardId(0),
        ringbook::venue::polymarket::feed(true),
        admission,
        Callbacks::default(),
    );
    let model = Model { implied, ..Model::default() };
    let mut both = Both { books, model, time: 100 };
    let mut steps = 0usize;
    while !program.0.is_empty() {
        both.step(&mut program);
        both.check();
        steps += 1;
        if steps.is_multiple_of(16) {
            both.check_levels();
        }
    }
    both.check_levels();
    let counts = *both.books.counts();
    let callbacks = both.books.into_handler().0;
    // Marks of several books at once come in any order: each line is there as often.
    let sorted = |lines: &[String]| {
        let mut lines = lines.to_vec();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&callbacks), sorted(&both.model.callbacks));
    behaviour((
        [counts.updates, counts.snapshots, counts.changes_stale, counts.unknown_instruments]
            .map(|count| magnitude(count as usize)),
        [counts.live, counts.stale, counts.awaiting, u64::from(implied)],
    ))
}

fn seeds() -> Vec<Vec<u8>> {
    let mut random = ringbook::base::random::Random::new(7);
    let bytes = |length: usize, random: &mut ringbook::base::random::Random| {
        (0..length).map(|_| random.next_u64() as u8).collect::<Vec<u8>>()
    };
    (0..60).map(|round| bytes(20 + 20 * round, &mut random)).collect()
}
