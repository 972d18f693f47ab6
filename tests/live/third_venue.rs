//! A third venue, made of the public traits alone: the engine follows it like the built-in ones.
//!
//! Runs on:  test threads; venue and engine run on threads of this process.
//!
//! Its catalog is lines of `ID open` or `ID over`. On its stream `+ID,ID` and `-ID` subscribe; it sends
//! `book ID TIME PRICE:SIZE… / PRICE:SIZE…`, `set ID TIME buy|sell PRICE SIZE` and `trade ID TIME buy|sell PRICE SIZE`.
use crate::program::TIMEOUT;
use ringbook::base::id::{MarketId, TokenId, Venue};
use ringbook::base::price::{Price, Quantity};
use ringbook::config::VenueSettings;
use ringbook::engine::Engine;
use ringbook::market::book::{BookState, Level, Side};
use ringbook::market::event::{ChangeSpan, Changes, Event, Snapshot, Span, Trade};
use ringbook::market::info::{Closed, MarketInfo, Outcome, Resolution};
use ringbook::shard::publish::{BookView, Change, Handler};
use ringbook::venue::catalog::{CatalogError, Cursor, Page};
use ringbook::venue::{
    BooksQuestion, Capabilities, Catalog, Decode, Decoder, SubscriptionProtocol,
};
use ringbook::venue::{DecodeNotice, Feed, MessageFault, Protocol, Role, Sink};
use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};
use tungstenite::Message;

#[derive(Debug)]
struct Toy;

const TOY: Feed = &Toy;

impl Protocol for Toy {
    fn venue(&self) -> Venue {
        Venue::named("toy")
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::USUAL
    }
    fn address_flags(&self) -> [&'static str; 2] {
        ["--toy-rest", "--toy-stream"]
    }
    fn service_names(&self) -> [&'static str; 2] {
        ["toy-rest", "toy-rest"]
    }
    fn stream_name(&self) -> &'static str {
        "toy-stream"
    }
    fn subscription(&self, _role: Role) -> Box<dyn SubscriptionProtocol> {
        Box::new(Commands::default())
    }
    fn decoder(&self) -> Decoder {
        Decoder::Other(Box::new(LineDecoder))
    }
    fn books_request(&self, tokens: &[TokenId]) -> BooksQuestion {
        BooksQuestion { path: format!("/books?{}", joined(tokens)), body: None }
    }
}

impl Catalog for Toy {
    fn scan_path(&self, _cursor: &Cursor) -> String {
        "/markets?".into()
    }
    fn confirm_path(&self, markets: &[MarketId]) -> String {
        format!("/markets?{}", joined(markets))
    }
    fn confirm_count(&self, markets: &mut dyn Iterator<Item = &MarketId>) -> usize {
        markets.take(50).count()
    }
    fn market_path(&self, market: &MarketId) -> String {
        format!("/markets?{market}")
    }
    fn slug_path(&self, slug: &str) -> String {
        format!("/markets?{slug}")
    }
    fn token_path(&self, token: &TokenId, _other: bool) -> String {
        format!("/markets?{token}")
    }
    fn parse_page(&self, body: &[u8]) -> Result<Page, CatalogError> {
        let text = std::str::from_utf8(body).map_err(|_| CatalogError::NotJson { offset: 0 })?;
        let mut page = Page::default();
        for (id, state) in text.lines().filter_map(|line| line.split_once(' ')) {
            let Some(market) = MarketId::new(id) else { continue };
            if state == "over" {
                page.closed.push(Closed { market, resolution: Resolution::default() });
                continue;
            }
            let outcome = Outcome { token: TokenId::new(id).unwrap(), name: "Yes".into() };
            page.markets.push(MarketInfo {
                market,
                tokens: vec![outcome],
                slug: id.into(),
                question: String::new(),
                start_wall_ns: None,
                end_wall_ns: None,
                tick_size: None,
                min_order_size: None,
                neg_risk: false,
                listing: None,
            });
        }
        Ok(page)
    }
}

fn joined(ids: &[impl ToString]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[derive(Debug, Default)]
struct Commands(VecDeque<String>);

impl SubscriptionProtocol for Commands {
    fn begin(&mut self, tokens: &[TokenId], _now_ns: u64) {
        self.0.clear();
        self.add(tokens);
    }
    fn add(&mut self, tokens: &[TokenId]) {
        self.0.push_back(format!("+{}", joined(tokens)));
    }
    fn delete(&mut self, tokens: &[TokenId]) {
        self.0.push_back(format!("-{}", joined(tokens)));
    }
    fn poll(&mut self, _now_ns: u64) -> Option<String> {
        self.0.pop_front()
    }
}

#[derive(Debug)]
struct LineDecoder;

fn level(price: &str, size: &str) -> Option<Level> {
    let quantity = Quantity::parse(size.as_bytes())?;
    Some(Level { price: Price::parse(price.as_bytes())?, quantity })
}

/// Delivers one line; `None` where it cannot be read.
fn deliver(line: &str, sink: &mut dyn Sink) -> Option<()> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [kind, id, time, ..] = fields[..] else { return None };
    let timestamp_ms: u64 = time.parse().ok()?;
    if kind == "book" {
        let mut sides = [Vec::new(), Vec::new()];
        let end = fields.iter().position(|field| *field == "/")?;
        for (place, part) in fields.iter().enumerate().skip(3).filter(|(_, part)| **part != "/") {
            let (price, size) = part.split_once(':')?;
            sides[usize::from(place > end)].push(level(price, size)?);
        }
        let [bids, asks] = &sides;
        let (market, token) = (id, id);
        let rest = Snapshot::default();
        sink.on_event(&Event::Snapshot(Snapshot {
            market,
            token,
            timestamp_ms,
            bids,
            asks,
            ..rest
        }));
        return Some(());
    }
    let side = if *fields.get(3)? == "buy" { Side::Bid } else { Side::Ask };
    let level = level(fields.get(4)?, fields.get(5)?)?;
    let token = Span { start: kind.len() as u32 + 1, len: id.len() as u32 };
    let changes = [ChangeSpan { token, side, level, hash: None, best_bid: None, best_ask: None }];
    let (market, Level { price, quantity }) = (id, level);
    let (fee_rate_bps, transaction_hash) = (None, "");
    sink.on_event(&match kind {
        "set" => Event::Changes(Changes { market, timestamp_ms, frame: line, changes: &changes }),
        "trade" => Event::Trade(Trade {
            market,
            token: id,
            timestamp_ms,
            price,
            quantity,
            side,
            fee_rate_bps,
            transaction_hash,
        }),
        _ => return None,
    });
    Some(())
}

impl Decode for LineDecoder {
    fn decode(&mut self, frame: &str, sink: &mut dyn Sink) -> u32 {
        if deliver(frame, sink).is_none() {
            let fault = MessageFault::Missing("fields");
            let (market, token, offset) = ("", "", frame.len());
            sink.on_decode_notice(&DecodeNotice::BadMessage {
                fault,
                offset,
                market,
                token,
                text: frame,
            });
        }
        1
    }
    fn decode_books(&mut self, text: &str, sink: &mut dyn Sink) -> u32 {
        text.lines().filter_map(|line| deliver(line, sink)).count() as u32
    }
}

/// Answers one request for the catalog.
fn answer(mut client: TcpStream) {
    let mut buffer = [0; 4096];
    let Ok(len) = client.read(&mut buffer) else { return };
    let head = String::from_utf8_lossy(&buffer[..len]).into_owned();
    let wanted = head.split([' ', '?']).nth(2).unwrap_or_default();
    let all = ["A open", "B open", "C over"];
    let is_wanted = |line: &&&str| wanted.is_empty() || wanted.contains(&line[..1]);
    let body = all.iter().filter(is_wanted).copied().collect::<Vec<_>>().join("\n");
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}", body.len());
    let _ = write!(client, "{head}\r\n\r\n{body}");
}

/// Serves one connection of the stream. The first one of all ends after its books: the engine must come back.
fn stream(client: TcpStream, is_first: bool) {
    let Ok(mut socket) = tungstenite::accept(client) else { return };
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else { continue };
        let Some(tokens) = text.strip_prefix('+') else { continue };
        for id in tokens.split(',') {
            let at = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
            for line in [
                format!("book {id} {at} 0.40:5 0.39:7 / 0.45:6"),
                format!("set {id} {at} buy 0.41 3"),
                format!("trade {id} {at} sell 0.41 2"),
            ] {
                let _ = socket.send(Message::Text(line.into()));
            }
        }
        if is_first {
            return;
        }
    }
}

/// The ports of the catalog and of the stream, which are served for as long as the process runs.
fn start() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = listeners.each_ref().map(|listener| listener.local_addr().unwrap().port());
    let [rest, streams] = listeners;
    std::thread::spawn(move || rest.incoming().flatten().for_each(answer));
    std::thread::spawn(move || {
        for (number, client) in streams.incoming().flatten().enumerate() {
            std::thread::spawn(move || stream(client, number == 0));
        }
    });
    ports
}

/// By token: times live, best bid, trades.
type Seen = Arc<Mutex<HashMap<String, (u32, String, u32)>>>;

struct Watch(Seen);

impl Watch {
    fn note(&self, view: &BookView<'_>, note: impl FnOnce(&mut (u32, String, u32))) {
        note(self.0.lock().unwrap().entry(view.token.to_string()).or_default());
    }
}

impl Handler for Watch {
    fn on_price_change(&mut self, view: &BookView<'_>, _change: &Change) {
        self.note(view, |of| of.1 = view.book.best_bid().unwrap().price.to_string());
    }
    fn on_trade(&mut self, view: &BookView<'_>, _trade: &Trade<'_>) {
        self.note(view, |of| of.2 += 1);
    }
    fn on_status(&mut self, view: &BookView<'_>, _before: BookState) {
        self.note(view, |of| of.0 += u32::from(view.state == BookState::Live));
    }
}

#[test]
fn a_venue_that_the_library_does_not_know_is_followed() {
    let [rest, ws] = start();
    let (rest, ws) = (format!("http://127.0.0.1:{rest}"), format!("ws://127.0.0.1:{ws}/"));
    let seen = Seen::default();
    let engine =
        Engine::builder().venue(VenueSettings::of(TOY, &rest, &ws)).all_markets().shards(1);
    let engine = engine.start(|_| Watch(Arc::clone(&seen))).unwrap();
    let begun = Instant::now();
    let done = |seen: &Seen| {
        let of = |&(live, ref best, trades): &(u32, String, u32)| {
            live > 1 && best == "0.41" && trades > 1
        };
        ["A", "B"].iter().all(|token| seen.lock().unwrap().get(*token).is_some_and(of))
    };
    while !done(&seen) {
        assert!(begun.elapsed() < TIMEOUT, "{:?}", seen.lock().unwrap());
        std::thread::sleep(crate::program::POLL_INTERVAL);
    }
    let report = engine.stop(|_event| ());
    assert!(report.left_behind.is_empty(), "{:?}", report.left_behind);
    let report = report.report.unwrap();
    assert_eq!(report.lifecycle.markets_discovered, 2, "the third is over");
    assert_eq!(seen.lock().unwrap().len(), 2);
}
