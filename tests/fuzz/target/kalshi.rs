//! Kalshi's frames: the decoder, its outline, the conversation and the catalog, cross-checked by `serde_json`.
//!
//! Input: frames, one a line; what is no UTF-8 is replaced.

use super::{Target, behaviour, magnitude};
use ringbook::base::id::TokenId;
use ringbook::base::limits::LEVELS_PER_SIDE_MAX;
use ringbook::market::event::Event;
use ringbook::market::info::MarketUpdate;
use ringbook::venue::kalshi::{catalog, decode::Decoder};
use ringbook::venue::{
    DecodeNotice, Envelope, Progress, ProtocolAction, Reply, Role, Sink, SubscriptionProtocol,
};
use serde_json::Value;

pub(super) const TARGET: Target = Target { name: "kalshi", run, seeds, dictionary: DICTIONARY };

const DICTIONARY: &[&str] = &[
    "\"type\":",
    "\"orderbook_snapshot\"",
    "\"orderbook_delta\"",
    "\"ticker\"",
    "\"trade\"",
    "\"ok\"",
    "\"subscribed\"",
    "\"error\"",
    "\"market_lifecycle_v2\"",
    "\"sid\":",
    "\"seq\":",
    "\"id\":",
    "\"msg\":",
    "\"market_ticker\":\"A-1\"",
    "\"yes_dollars_fp\":[[\"0.0100\",\"1.00\"]]",
    "\"no_dollars_fp\":",
    "\"price_dollars\":\"0.4300\"",
    "\"delta_fp\":\"-1.00\"",
    "\"side\":\"yes\"",
    "\"code\":25",
    "\"orderbooks\":[",
    "\"orderbook_fp\":{",
    "\"yes_dollars\":",
    "null",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\\u0041",
    "\n",
    "1e9",
    "-",
    "18446744073709551616",
];

#[derive(Default)]
struct Log {
    envelope: Option<(u64, u64)>,
    events: usize,
    bad_frame: bool,
    lost: bool,
    subscription: Option<Box<dyn SubscriptionProtocol>>,
    longest: usize,
    last: Option<(String, bool)>,
    /// All that was delivered, as text.
    all: Vec<String>,
    /// A response was not for the conversation, so that the rest of its message was dropped.
    refused: bool,
}

impl Sink for Log {
    fn on_envelope(&mut self, envelope: &Envelope) -> bool {
        self.envelope = envelope.sid.zip(envelope.seq);
        self.all.push(format!("{envelope:?}"));
        self.subscription.as_mut().is_none_or(|subscription| {
            subscription.on_envelope(envelope);
            true
        })
    }
    fn on_event(&mut self, event: &Event<'_>) {
        self.events += 1;
        self.all.push(format!("{event:?}"));
        self.last = Some((event.market().to_owned(), matches!(event, Event::Delta(_))));
        if let Event::Snapshot(book) = event {
            self.longest = self.longest.max(book.bids.len()).max(book.asks.len());
        }
    }
    fn on_market_update(&mut self, update: MarketUpdate) {
        self.events += 1;
        self.all.push(format!("{update:?}"));
    }
    fn on_lost(&mut self) {
        self.lost = true;
        self.all.push("lost".to_owned());
    }
    fn on_reply(&mut self, reply: &Reply<'_>) -> bool {
        self.all.push(format!("{reply:?}"));
        let mut subscription = self.subscription.as_mut();
        let taken = subscription.as_mut().is_none_or(|protocol| protocol.on_reply(reply, 1));
        self.refused |= !taken;
        taken
    }
    fn on_decode_notice(&mut self, notice: &DecodeNotice<'_>) {
        self.bad_frame |= matches!(notice, DecodeNotice::BadFrame { .. });
        self.all.push(format!("{notice:?}"));
    }
}

fn run(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    let mut decoder = Decoder::default();
    let tokens: Vec<TokenId> = (0..9).filter_map(|n| TokenId::new(&format!("A-{n}"))).collect();
    let mut subscription = ringbook::venue::kalshi::feed(false).subscription(Role::Books);
    subscription.begin(&tokens, 0);
    let (mut events, mut commands, mut turns) = (0, 0, 0);
    for (second, frame) in text.lines().enumerate().take(200) {
        let now_ns = second as u64 * 1_000_000_000;
        let mut log = Log { subscription: Some(subscription), ..Log::default() };
        let messages = decoder.decode(frame, &mut log);
        same_by_the_full_parser(frame, messages, &log);
        let outline = decoder.outline(frame);
        // The outline is what readers go by who decode nothing.
        assert_eq!(outline.broken, log.bad_frame || log.lost, "{frame}");
        assert_eq!(messages, u32::from(!log.bad_frame), "{frame}");
        assert!(log.longest <= LEVELS_PER_SIDE_MAX);
        second_opinion(frame, &log);
        subscription = log.subscription.take().expect("the log returns it");
        subscription.handle_timeout(now_ns);
        while let Some(turn) = subscription.poll_action(now_ns, &tokens) {
            turns += 1;
            if matches!(turn, ProtocolAction::Reconnect(_)) {
                subscription.begin(&tokens, now_ns);
            }
        }
        while let Some(command) = subscription.poll(now_ns) {
            let command: Value = serde_json::from_str(&command).expect("a command is JSON");
            assert!(command["id"].as_u64().is_some_and(|id| id > 0));
            commands += 1;
            assert!(commands < 100_000, "a conversation without end");
        }
        events += log.events;
    }
    let rest = rest_books(&text);
    let page = catalog::parse_page(input).map_or(0, |page| page.markets.len() + page.closed.len());
    let status = catalog::parse_exchange_status(input).is_ok();
    let counts = [events, commands, turns, page, rest].map(magnitude);
    behaviour((counts, status))
}

/// The full parser alone delivers the same, and more only where the sink refused it.
fn same_by_the_full_parser(frame: &str, messages: u32, log: &Log) {
    let mut whole = Log::default();
    assert_eq!(Decoder::default().decode_whole(frame, &mut whole), messages, "{frame}");
    if log.refused {
        whole.all.truncate(log.all.len());
    }
    assert_eq!(log.all, whole.all, "{frame}");
}

/// Books of the REST interface: the same whatever the size of the parts, and no more than are there.
fn rest_books(text: &str) -> usize {
    let read = |budget: usize| {
        let (mut log, mut progress, mut parts) = (Log::default(), Progress::default(), 0);
        let mut decoder = Decoder::default();
        while !progress.is_done() {
            decoder.decode_books_part(text, &mut progress, budget, &mut log);
            parts += 1;
            assert!(parts <= text.len() + 1, "it stands still: {text}");
        }
        assert!(log.longest <= LEVELS_PER_SIDE_MAX);
        (log.events, log.last, log.bad_frame)
    };
    let whole = read(usize::MAX);
    assert_eq!(whole, read(1 + text.len() / 7), "{text}");
    if let Ok(value) = serde_json::from_str::<Value>(text)
        && text.matches("\"orderbooks\"").count() == 1
        && !text.contains('\\')
        && let Some(books) = value["orderbooks"].as_array()
    {
        assert!(whole.0 <= books.len(), "{text}");
    }
    whole.0
}

/// What `serde_json` makes of the same frame.
fn second_opinion(frame: &str, log: &Log) {
    let Ok(value) = serde_json::from_str::<Value>(frame) else {
        // It knows fewer layouts of numbers, but what it cannot read must not have changed a book.
        return assert!(log.last.is_none() || frame.contains(['e', 'E', '.']), "{frame}");
    };
    if log.bad_frame {
        // Nested too deeply for the decoder, or a text that one of the two takes for no text.
        return assert!(!value.is_object() || frame.len() > 250 || frame.contains('\\'), "{frame}");
    }
    if let Some((market, is_delta)) = &log.last {
        assert!(
            !frame.contains('\\') && value["msg"]["market_ticker"] == **market
                || frame.contains('\\'),
            "{frame}"
        );
        assert_eq!(*is_delta, value["type"] == "orderbook_delta", "{frame}");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let frames = [
        r#"{"type":"subscribed","id":1,"msg":{"channel":"orderbook_delta","sid":1}}"#,
        r#"{"type":"orderbook_snapshot","sid":1,"seq":1,"msg":{"market_ticker":"A-1","yes_dollars_fp":[["0.0800","300.00"]],"no_dollars_fp":[["0.5400","20.00"]]}}"#,
        r#"{"type":"orderbook_delta","sid":1,"seq":2,"msg":{"market_ticker":"A-1","price_dollars":"0.4300","delta_fp":"-100.00","side":"yes","ts":"2026-08-07T06:46:28.97871Z","ts_ms":1786085188978}}"#,
        r#"{"type":"ok","id":2,"sid":1,"seq":3,"msg":{"market_tickers":["A-1"]}}"#,
        r#"{"type":"trade","sid":2,"seq":9,"msg":{"trade_id":"t","market_ticker":"A-1","yes_price_dollars":"0.36","count_fp":"1.00","taker_side":"no"}}"#,
        r#"{"type":"ticker","sid":3,"msg":{"market_ticker":"A-1","yes_bid_dollars":"0.1","yes_ask_dollars":"0.2","ts":5}}"#,
        r#"{"type":"orderbook_delta","sid":1,"seq":3,"msg":{"market_ticker":"A-1","market_id":"957ed958-9b9b-4a98-b024-16a394cd214c","price_dollars":"0.4300","delta_fp":"-100.00","side":"no","ts":"2026-08-07T06:46:28.97871Z","ts_ms":1786085188978}}"#,
        r#"{"type":"trade","sid":2,"seq":10,"msg":{"trade_id":"t","market_ticker":"A-1","yes_price_dollars":"0.3600","no_price_dollars":"0.6400","count_fp":"136.00","taker_side":"no","taker_outcome_side":"no","taker_book_side":"ask","is_block_trade":false,"ts":1669149841,"ts_ms":1669149841000}}"#,
        r#"{"type":"ticker","sid":3,"msg":{"market_id":"m","market_ticker":"A-1","price_dollars":"0.4800","yes_bid_dollars":"0.4500","yes_ask_dollars":"0.5300","volume_fp":"33896.00","open_interest_fp":"20422.00","dollar_volume":16948,"dollar_open_interest":10211,"yes_bid_size_fp":"300.00","yes_ask_size_fp":"150.00","last_trade_size_fp":"25.00","ts":1669149841,"ts_ms":1669149841000,"time":"2022-11-22T20:44:01Z"}}"#,
        r#"{"type":"market_lifecycle_v2","sid":4,"seq":1,"msg":{"market_ticker":"A-1","event_type":"created","open_ts":1,"close_ts":2,"additional_metadata":{"title":"x"}}}"#,
        r#"{"type":"error","sid":1,"msg":{"code":25,"msg":"overflow"}}"#,
        r#"{"events":[{"markets":[{"ticker":"A-1","status":"active"}]}],"cursor":""}"#,
        r#"{"orderbooks":[{"ticker":"A-1","orderbook_fp":{"yes_dollars":[["0.1500","100.00"]],"no_dollars":[]}},{"ticker":"A-2","orderbook_fp":{"yes_dollars":null}}]}"#,
    ];
    let all = frames.join("\n").into_bytes();
    frames.iter().map(|frame| frame.as_bytes().to_vec()).chain([all]).collect()
}
