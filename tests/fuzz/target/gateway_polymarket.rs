//! The gateway's Polymarket session and CLOB reads.
//!
//! Input: lines. A line that begins with a method is a request with its body, any other a message of one client. What
//! a message asks for is also read by a simple implementation over serde_json; answers are valid JSON.

use super::{Target, behaviour, magnitude};
use ringbook::base::id::{MarketId, TokenId};
use ringbook::base::price::{Price, Quantity};
use ringbook::gateway::catalog::Catalog;
use ringbook::gateway::polymarket::rest::{self, Kind, TOKENS_PER_REQUEST_MAX};
use ringbook::gateway::polymarket::{Session, polypy};
use ringbook::gateway::rest::{
    Answer, BookKind, Fetched, Known, Plan, Request as RestRequest, plan,
};
use ringbook::gateway::{Request, Site, nests_deeper};
use ringbook::market::book::image::{BookFacts, BookImage, BookProof};
use ringbook::market::book::{BookState, Level, StaleReason};
use ringbook::market::info::{MarketEvent, MarketStage};
use ringbook::venue::polymarket::{VENUE, catalog::parse_page};
use serde_json::Value;
use std::collections::{HashSet, VecDeque};

pub(super) const TARGET: Target = Target {
    name: "gateway_polymarket",
    run,
    seeds,
    dictionary: &[
        "{\"type\":\"market\",\"assets_ids\":[\"1\"]}",
        "\"type\":\"market\"",
        "\"operation\":\"subscribe\"",
        "\"operation\":\"unsubscribe\"",
        "\"assets_ids\":[\"1\",\"2\"]",
        "\"initial_dump\":false",
        "\"custom_feature_enabled\":true",
        "PING",
        "GET /price?token_id=1&side=BUY ",
        "GET /markets/keyset?limit=5&after_cursor=MC4x ",
        "GET /markets?next_cursor=MA==&condition_ids=0xa1&order=endDate ",
        "GET /midpoints?token_ids=1,2,3 ",
        "POST /books [{\"token_id\":\"1\"}]",
        "POST /prices [{\"token_id\":\"1\",\"side\":\"SELL\"}]",
        "&side=",
        "?token_id=",
        "%2C",
        "null",
        "\n",
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"",
        "\\u0031",
    ],
};

/// Depth that no message of the protocol has.
const DEPTH_MAX: usize = 16;

/// A client as the documentation describes it.
#[derive(Debug, Default)]
struct Reference {
    subscribed: bool,
    tokens: HashSet<TokenId>,
    custom: bool,
}

impl Reference {
    /// What a message asks for; `None` where two JSON parsers may differ.
    fn read(&mut self, text: &str) -> Option<Vec<Request>> {
        let close = || vec![Request::Close(1008, "")];
        if text.trim() == "PING" {
            let pong = vec![Request::Send("PONG".into())];
            return Some(if self.subscribed { pong } else { close() });
        }
        let once = |key: &str| text.matches(key).count() <= 1;
        let keys = ["type", "operation", "assets_ids", "initial_dump", "custom_feature_enabled"];
        if text.contains('\\') || !keys.iter().all(|key| once(key)) {
            return None;
        }
        if nests_deeper(text, DEPTH_MAX) {
            return Some(close());
        }
        let value: Value = serde_json::from_str(text).ok()?;
        Some(self.valid(&value).unwrap_or_else(close))
    }

    fn valid(&mut self, value: &Value) -> Option<Vec<Request>> {
        let object = value.as_object()?;
        let given = |key: &str| object.get(key).filter(|value| !value.is_null());
        let text = |key: &str| match given(key) {
            None => Some(None),
            Some(value) => value.as_str().map(Some),
        };
        let flag = |key: &str| match given(key) {
            None => Some(None),
            Some(value) => value.as_bool().map(Some),
        };
        let (kind, operation) = (text("type")?, text("operation")?);
        let custom = flag("custom_feature_enabled")?;
        let dump = flag("initial_dump")?.unwrap_or(true);
        let ids = match given("assets_ids") {
            None => None,
            Some(list) => {
                let ids = list.as_array()?.iter().map(|id| id.as_str().and_then(TokenId::new));
                Some(ids.collect::<Option<Vec<TokenId>>>()?)
            }
        };
        if !self.subscribed {
            let is_market = kind.is_some_and(|kind| kind.eq_ignore_ascii_case("market"));
            let ids = ids.filter(|_| is_market && matches!(operation, None | Some("subscribe")))?;
            self.subscribed = true;
            self.custom = custom.unwrap_or(false);
            let mut added = self.add(ids);
            if added.is_empty() && dump {
                added.push(Request::Send("[]".into()));
            }
            return Some(added);
        }
        match operation {
            Some("subscribe") => {
                let ids = ids?;
                self.custom = custom.unwrap_or(self.custom);
                let added = self.add(ids);
                let none = vec![Request::Send("NO NEW ASSETS".into())];
                Some(if added.is_empty() { none } else { added })
            }
            Some("unsubscribe") => {
                let left = ids?.into_iter().filter(|id| self.tokens.remove(id));
                Some(left.map(Request::Unsubscribe).collect())
            }
            _ => Some(vec![Request::Send("INVALID OPERATION".into())]),
        }
    }

    fn add(&mut self, ids: Vec<TokenId>) -> Vec<Request> {
        ids.into_iter().filter(|id| self.tokens.insert(*id)).map(Request::Subscribe).collect()
    }
}

fn run(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    let images = images();
    let (mut session, mut reference) = (Session::new(false), Reference::default());
    let mut page = polypy::Session::default();
    let mut did = Vec::new();
    for line in text.lines() {
        if let Some(status) = request(line, &images) {
            did.push(status);
            continue;
        }
        let mut asked = Vec::new();
        page.on_text(line, &mut asked);
        assert!(asked.len() <= 2 && !matches!(asked.last(), Some(Request::Close(..))), "{line}");
        did.push(asked.len() as u16);
        let mut out = Vec::new();
        session.on_text(line, &mut out);
        assert!(out.len() <= 1 + line.len() / 3, "an id takes three bytes at least");
        did.push(magnitude(out.len()) as u16);
        let is_closed = matches!(out.last(), Some(Request::Close(..)));
        match reference.read(line) {
            Some(expected) => {
                let shown: Vec<Request> = out.iter().cloned().map(without_reason).collect();
                assert_eq!(shown, expected, "{line}");
                assert_eq!(session.subscribed(), reference.subscribed);
                assert!(is_closed || session.custom() == reference.custom, "{line}");
            }
            // Which of the two parsers is right is not decided here.
            None => return behaviour((did, "not compared")),
        }
        if is_closed {
            (session, reference) = (Session::new(false), Reference::default());
        }
    }
    behaviour(did)
}

fn without_reason(request: Request) -> Request {
    match request {
        Request::Close(code, reason) => {
            assert!(!reason.is_empty() && reason.len() <= 123, "a close frame has 123 bytes");
            Request::Close(code, "")
        }
        other => other,
    }
}

/// A live book, a stale one, one that waits, and one with an empty side.
fn images() -> [BookImage; 4] {
    let image = |name: &str, state, asks: &[u32]| BookImage {
        market: MarketId::new("0xa1"),
        token: TokenId::new(name),
        state,
        facts: BookFacts { tick_size: Some(Price(1_000)), ..BookFacts::default() },
        proof: BookProof::default(),
        bids: vec![Level { price: Price(450_001), quantity: Quantity(7) }],
        asks: asks.iter().map(|&p| Level { price: Price(p), quantity: Quantity(1) }).collect(),
    };
    let stale = BookState::Stale { why: StaleReason::Moving, since_wall_ns: 1 };
    [
        image("1", BookState::Live, &[990_000, 460_000]),
        image("2", stale, &[460_000]),
        image("3", BookState::AwaitingSnapshot, &[]),
        image("4", BookState::Live, &[]),
    ]
}

/// One market.
fn catalog() -> Catalog {
    let page = r#"{"id":"5","conditionId":"0xa1","question":"Q","slug":"a-b","outcomes":["A","B"],"clobTokenIds":["1","2"],"active":true,"enableOrderBook":true,"acceptingOrders":true,"events":[{"id":"7","slug":"c-d","title":"T"}]}"#;
    let mut catalog = Catalog::default();
    for info in parse_page(page.as_bytes()).unwrap().markets {
        let event =
            MarketEvent { stage: MarketStage::Opened, info, resolution: None, is_repeated: false };
        catalog.on_event(VENUE, &event);
    }
    catalog
}

/// The status of the answer to `METHOD path?query body`; `None` if the line is no request.
fn request(line: &str, images: &[BookImage]) -> Option<u16> {
    let (method, rest) = line.split_once(' ')?;
    if !["GET", "HEAD", "POST", "DELETE"].contains(&method) {
        return None;
    }
    let (target, body) = rest.split_once(' ').unwrap_or((rest, ""));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let body = body.as_bytes();
    let request = RestRequest { method, path, query, body, now_wall_ns: 1 };
    let (catalog, trades) = (catalog(), VecDeque::new());
    let known = Known { catalog: &catalog, trades: &trades };
    // The same request to the catalog's interface.
    let gamma = plan(Site::Gamma, &request, known).answer(Fetched::default(), known);
    let is_json = serde_json::from_str::<Value>(&gamma.body).is_ok();
    assert_eq!(is_json, gamma.content_type == "application/json", "{gamma:?}");
    let answer = match plan(Site::Polymarket, &request, known) {
        Plan::Books { tokens, kind: BookKind::Polymarket(kind) } => {
            assert!(tokens.len() <= TOKENS_PER_REQUEST_MAX);
            let find = |token: &TokenId| images.iter().find(|image| image.token == Some(*token));
            let books: Vec<_> = tokens.iter().map(|token| (*token, find(token))).collect();
            let answer = rest::answer(&kind, &books, &trades);
            check(&kind, &books, &answer);
            answer
        }
        other => other.answer(Fetched::default(), known),
    };
    let value: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(answer.content_type, "application/json");
    assert_eq!(answer.status >= 400, value.get("error").is_some(), "{}", answer.body);
    Some(answer.status)
}

/// No price of a book that is not live.
fn check(kind: &Kind, books: &[(TokenId, Option<&BookImage>)], answer: &Answer) {
    let is_live = |image: &&BookImage| image.state == BookState::Live;
    match kind {
        Kind::Book | Kind::Books | Kind::TickSize | Kind::NegRisk => {}
        Kind::Price(_) | Kind::Midpoint | Kind::Spread | Kind::LastTradePrice | Kind::Polypy(_) => {
            let live = books[0].1.filter(is_live).is_some();
            assert!(live || matches!(answer.status, 404 | 503), "{answer:?}");
        }
        Kind::Prices(_) | Kind::Midpoints | Kind::Spreads | Kind::LastTradesPrices => {
            assert_eq!(answer.status, 200);
            for name in ["2", "3"] {
                assert!(!answer.body.contains(&format!("\"{name}\"")), "{answer:?}");
            }
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    [
        "{\"type\":\"market\",\"assets_ids\":[\"1\",\"2\"],\"initial_dump\":true,\"level\":2}\nPING\n\
         {\"operation\":\"subscribe\",\"assets_ids\":[\"2\",\"3\"],\"custom_feature_enabled\":true}\n\
         {\"operation\":\"unsubscribe\",\"assets_ids\":[\"1\"]}\n\
         {\"operation\":\"subscribe\",\"assets_ids\":[\"3\"],\"custom_feature_enabled\":false}",
        "{\"type\":\"MARKET\",\"operation\":\"subscribe\",\"markets\":[],\"assets_ids\":[]}\n{}",
        "{\"subscribe\":\"1\",\"interval_ms\":20}\n{\"subscribe\":\"2\"}\n{\"unsubscribe\":true}",
        "PING\n{\"type\":\"user\",\"assets_ids\":[]}\n[]\nx",
        "GET /book?token_id=1\nGET /price?token_id=1&side=BUY\nGET /midpoint?token_id=2\nGET /ok\n\
         GET /spread?token_id=4\nGET /last-trade-price?token_id=3\nGET /tick-size/1\nGET /neg-risk/9",
        "POST /books [{\"token_id\":\"1\"},{\"token_id\":\"9\"}]\nPOST /order {}\n\
         POST /prices [{\"token_id\":\"1\",\"side\":\"SELL\"},{\"token_id\":\"2\",\"side\":\"BUY\"}]\n\
         GET /spreads?token_ids=1,2,4\nPOST /last-trades-prices [{\"token_id\":\"1\"}]",
        "GET /clob-markets/0xa1\nGET /markets-by-token/1\nGET /fee-rate?token_id=1\nHEAD /time\n\
         GET /polypy/markets\nGET /polypy/orderbook/1?depth=2",
    ]
    .iter()
    .map(|seed| seed.as_bytes().to_vec())
    .collect()
}
