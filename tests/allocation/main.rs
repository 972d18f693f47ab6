//! No allocation per message of market data: decoder and books of a shard, once every buffer has its size.
//!
//! Runs on:  test threads; the allocations of the thread are counted.
#![allow(clippy::unwrap_used, reason = "a test")]
use allocation_counter::measure;
use ringbook::base::id::{MarketId, ShardId, TokenId};
use ringbook::base::limits::TRADE_IDS_STORED_MAX;
use ringbook::base::policy::HashChecks;
use ringbook::base::time::{MILLISECOND_NS, Now};
use ringbook::io::clock::HostClock;
use ringbook::market::book::BookOpening;
use ringbook::shard::books::{Admission, Books, ConnectionSlot};
use ringbook::shard::intake::{Findings, FrameProgress, Intake};
use ringbook::venue::{Feed, Role, SubscriptionProtocol, kalshi, polymarket};

const MARKETS: u64 = 12;
/// More messages than any of the bounded queues remembers.
const WARM_UP_ROUNDS: u64 = 600;
const ROUNDS: u64 = 200;
const BEGIN_MS: u64 = 1_790_000_000_000;

struct Rig {
    intake: Intake<(), HostClock>,
    protocol: Box<dyn SubscriptionProtocol>,
    findings: Findings,
    now_ms: u64,
}

impl Rig {
    /// Each market with its tokens.
    fn new(feed: Feed, markets: &[(String, Vec<String>)]) -> Self {
        let mut books =
            Books::new(ShardId(0), feed, Admission::Listed, ()).with_hash_checks(HashChecks::Off);
        for (market, tokens) in markets {
            for token in tokens {
                let (market, token) =
                    (MarketId::new(market).unwrap(), TokenId::new(token).unwrap());
                let (tick_size, min_order_size, neg_risk) = (None, None, false);
                let opening = BookOpening { market, token, tick_size, min_order_size, neg_risk };
                books.open(&opening, ConnectionSlot(1)).unwrap();
            }
        }
        Self {
            intake: Intake::new(feed, books, HostClock::new()),
            protocol: feed.subscription(Role::Books),
            findings: Findings::default(),
            now_ms: BEGIN_MS,
        }
    }

    fn read(&mut self, frame: &str) {
        self.now_ms += 1;
        let wall_ns = self.now_ms * MILLISECOND_NS;
        let read = Now { mono_ns: wall_ns, wall_ns };
        let from = (ConnectionSlot(1), Some(&mut self.protocol));
        let mut progress = FrameProgress::default();
        self.intake.on_part(frame, &mut progress, usize::MAX, from, read, &mut self.findings);
        assert_eq!(self.findings.bad, None, "{frame}");
        self.intake.books.settle(4, wall_ns);
    }

    /// Reads the rounds of a venue, and counts allocations once it is warm.
    fn check(mut self, books: u64, round: impl Fn(u64) -> Vec<String>) {
        for warm in 0..WARM_UP_ROUNDS {
            round(warm).iter().for_each(|frame| self.read(frame));
        }
        let updates = self.intake.books.counts().updates;
        let frames: Vec<String> =
            (WARM_UP_ROUNDS..WARM_UP_ROUNDS + ROUNDS).flat_map(round).collect();
        let mut of_frames = Vec::with_capacity(frames.len());
        for frame in &frames {
            of_frames.push(measure(|| self.read(frame)).count_total);
        }
        let counts = self.intake.books.counts();
        assert_eq!((counts.live, counts.stale), (books, 0));
        assert!(
            counts.updates > updates + MARKETS * ROUNDS,
            "{} updates",
            counts.updates - updates
        );
        let guilty = frames.iter().zip(&of_frames).filter(|(_, count)| **count > 0);
        let guilty: Vec<_> = guilty.map(|(frame, count)| (count, frame)).take(5).collect();
        assert!(guilty.is_empty(), "{} allocations: {guilty:#?}", of_frames.iter().sum::<u64>());
    }
}

/// A side of twenty levels, worst first, from price 0.`from` on, in steps of a cent.
fn levels(from: i64, step: i64, level: impl Fn(i64) -> String) -> String {
    (0..20).map(|n| level(from + step * n)).collect::<Vec<_>>().join(",")
}

fn polymarket_market(number: u64) -> (String, Vec<String>) {
    let token = |outcome: u64| format!("1{number:038}{outcome:038}");
    (format!("0x{number:064x}"), vec![token(0), token(1)])
}

/// Changes of both books of a market below the best prices, a trade, and from time to time other events.
fn polymarket_frames(round: u64) -> Vec<String> {
    let mut frames = Vec::new();
    for number in 0..MARKETS {
        let (market, tokens) = polymarket_market(number);
        let ms = BEGIN_MS + 10 * (round * MARKETS + number);
        let (price, size) = (30 + round % 19, round % 3 * 10);
        let change = |place: usize, price: u64, side: &str| {
            let (token, hash) = (&tokens[place], round * 100 + number);
            format!(
                r#"{{"asset_id":"{token}","price":"0.{price}","size":"{size}","side":"{side}","hash":"{hash:040x}","best_bid":"0.49","best_ask":"0.51"}}"#
            )
        };
        let (yes, no) = (change(0, price, "BUY"), change(1, 100 - price, "SELL"));
        frames.push(format!(
            r#"{{"market":"{market}","price_changes":[{yes},{no}],"timestamp":"{ms}","event_type":"price_change"}}"#
        ));
        // The same in another order of keys, which takes the general path.
        frames.push(format!(
            r#"{{"event_type":"price_change","timestamp":"{}","price_changes":[{yes},{no}],"market":"{market}"}}"#,
            ms + 1
        ));
        let token = &tokens[(round % 2) as usize];
        frames.push(format!(
            r#"{{"market":"{market}","asset_id":"{token}","price":"0.5","size":"10","fee_rate_bps":"0","side":"BUY","timestamp":"{}","event_type":"last_trade_price","transaction_hash":"0x{ms:064x}"}}"#,
            ms + 2
        ));
        match (round + number) % 4 {
            0 => {
                let level = |cents: i64| format!(r#"{{"price":"0.{cents}","size":"100"}}"#);
                let (bids, asks) = (levels(30, 1, level), levels(70, -1, level));
                frames.push(format!(
                    r#"{{"market":"{market}","asset_id":"{token}","timestamp":"{}","hash":"{ms:040x}","bids":[{bids}],"asks":[{asks}],"event_type":"book"}}"#,
                    ms + 3
                ));
            }
            1 => frames.push(format!(
                r#"{{"market":"{market}","asset_id":"{token}","best_bid":"0.49","best_ask":"0.51","spread":"0.02","timestamp":"{}","event_type":"best_bid_ask"}}"#,
                ms + 3
            )),
            2 => frames.push(format!(
                r#"{{"market":"{market}","asset_id":"{token}","old_tick_size":"0.01","new_tick_size":"0.01","timestamp":"{}","event_type":"tick_size_change"}}"#,
                ms + 3
            )),
            _ => frames.push("PONG".to_owned()),
        }
    }
    if round == 0 {
        // Snapshots of all books come first.
        let (level, mut first) =
            (|cents: i64| format!(r#"{{"price":"0.{cents}","size":"100"}}"#), Vec::new());
        for (market, tokens) in (0..MARKETS).map(polymarket_market) {
            for token in tokens {
                let (bids, asks) = (levels(30, 1, level), levels(70, -1, level));
                first.push(format!(
                    r#"{{"market":"{market}","asset_id":"{token}","timestamp":"{BEGIN_MS}","hash":"","bids":[{bids}],"asks":[{asks}],"tick_size":"0.01","event_type":"book","last_trade_price":"0.5"}}"#
                ));
            }
        }
        frames.insert(0, format!("[{}]", first.join(",")));
    }
    frames
}

fn kalshi_ticker(number: u64) -> String {
    format!("KXSIM-26NOV27E{}-T{number}", number / 5)
}

fn has_snapshot(round: u64, number: u64) -> bool {
    round == 0 || (round + number).is_multiple_of(4)
}

/// Messages with a number on the subscription of books before a round.
fn numbers_before(round: u64) -> u64 {
    let snapshots =
        |round| (0..MARKETS).filter(|number| has_snapshot(round, *number)).count() as u64;
    (0..round).map(|round| 2 * MARKETS + snapshots(round)).sum()
}

/// Deltas of a level of either side, a trade, a ticker, and from time to time a snapshot.
fn kalshi_frames(round: u64) -> Vec<String> {
    let mut frames = Vec::new();
    let mut seq = numbers_before(round);
    let mut seq = || {
        seq += 1;
        seq
    };
    let level = |cents: i64| format!(r#"["0.{cents}00","100.00"]"#);
    let side = levels(30, 1, level);
    for number in 0..MARKETS {
        let ticker = kalshi_ticker(number);
        let ms = BEGIN_MS + 10 * (round * MARKETS + number);
        if has_snapshot(round, number) {
            frames.push(format!(
                r#"{{"type":"orderbook_snapshot","sid":2,"seq":{},"msg":{{"market_ticker":"{ticker}","market_id":"","yes_dollars_fp":[{side}],"no_dollars_fp":[{side}]}}}}"#,
                seq()
            ));
        } else {
            frames.push(format!(r#"{{"type":"ticker","sid":3,"msg":{{"market_ticker":"{ticker}","market_id":"","price_dollars":"0.5000","yes_bid_dollars":"0.4900","yes_ask_dollars":"0.5100","volume_fp":"1.00","open_interest_fp":"2.00","dollar_volume":1,"dollar_open_interest":2,"yes_bid_size_fp":"1.00","yes_ask_size_fp":"1.00","last_trade_size_fp":"1.00","ts":{},"ts_ms":{ms}}}}}"#, ms / 1000));
        }
        for (place, of) in ["yes", "no"].into_iter().enumerate() {
            let (price, sign) =
                (30 + round / 2 % 19, if round.is_multiple_of(2) { "" } else { "-" });
            frames.push(format!(
                r#"{{"type":"orderbook_delta","sid":2,"seq":{},"msg":{{"market_ticker":"{ticker}","market_id":"","price_dollars":"0.{price}00","delta_fp":"{sign}50.00","side":"{of}","ts":"2026-11-27T00:00:00Z","ts_ms":{}}}}}"#,
                seq(),
                ms + place as u64
            ));
        }
        frames.push(format!(
            r#"{{"type":"trade","sid":4,"seq":{},"msg":{{"trade_id":"{ms:032x}","market_ticker":"{ticker}","yes_price_dollars":"0.5000","no_price_dollars":"0.5000","count_fp":"7.00","taker_side":"yes","ts":{},"ts_ms":{ms}}}}}"#,
            round * MARKETS + number + 1,
            ms / 1000
        ));
    }
    frames
}

#[test]
fn no_message_of_polymarket_allocates() {
    let markets: Vec<_> = (0..MARKETS).map(polymarket_market).collect();
    Rig::new(polymarket::feed(true), &markets).check(2 * MARKETS, polymarket_frames);
}

#[test]
fn no_message_of_kalshi_allocates() {
    let market = |number| (kalshi_ticker(number), vec![kalshi_ticker(number)]);
    let markets: Vec<_> = (0..MARKETS).map(market).collect();
    let mut rig = Rig::new(kalshi::feed(false), &markets);
    // Ids of trades are remembered: as many as there is room for.
    for number in 0..TRADE_IDS_STORED_MAX {
        rig.read(&format!(r#"{{"type":"trade","msg":{{"trade_id":"{number}","market_ticker":"KX-OTHER","yes_price_dollars":"0.5000","count_fp":"7.00","taker_side":"yes","ts_ms":{BEGIN_MS}}}}}"#));
    }
    rig.check(MARKETS, kalshi_frames);
}
