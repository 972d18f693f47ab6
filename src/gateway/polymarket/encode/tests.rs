//! Layouts to the byte, and what the engine's own decoder reads in them.
use super::*;
use crate::base::id::TradeId;
use crate::base::price::Quantity;
use crate::base::random::Random;
use crate::market::book::StaleReason;
use crate::market::book::image::{BookFacts, BookImage};
use crate::market::event::{ChangeSpan, Event};
use crate::market::info::{MarketUpdate, Outcome};
use crate::venue::polymarket::decode::Decoder;
use crate::venue::{DecodeNotice, Sink};

const MARKET: &str = "0x00000000000000000000000000000000000000000000000000000000000000a1";
const YES: &str = "1100000000000000000000000000000000000000000000000000000000000000000000000011";
const NO: &str = "2200000000000000000000000000000000000000000000000000000000000000000000000022";
const HASH: BookHash = *b"00112233445566778899aabbccddeeff00112233";
const HASH_TEXT: &str = "00112233445566778899aabbccddeeff00112233";
const TIME_MS: u64 = 1_790_000_000_123;

fn level((price, quantity): (u32, u64)) -> Level {
    Level { price: Price(price), quantity: Quantity(quantity) }
}

fn replica(token: &str, bids: &[(u32, u64)], asks: &[(u32, u64)]) -> Replica {
    let image = BookImage {
        market: MarketId::new(MARKET),
        token: TokenId::new(token),
        state: BookState::Live,
        facts: BookFacts {
            timestamp_ms: TIME_MS,
            hash: Some(HASH),
            tick_size: Some(Price(1_000)),
            last_trade: Some(Price(870_000)),
            ..BookFacts::default()
        },
        bids: bids.iter().copied().map(level).collect(),
        asks: asks.iter().copied().map(level).collect(),
        ..BookImage::default()
    };
    Replica::new(crate::base::id::Venue::named("polymarket"), &image, 1, 5_000_000).unwrap()
}

fn small() -> Replica {
    replica(YES, &[(10_000, 5_000_000), (20_000, 1_500_000)], &[(990_000, 1_000_000), (30_000, 2)])
}

fn written(encode: impl FnOnce(&mut String)) -> String {
    let mut out = String::new();
    encode(&mut out);
    out
}

fn change(side: Side, price: u32, quantity: u64) -> LevelChange {
    LevelChange {
        timestamp_ms: TIME_MS,
        side,
        level: level((price, quantity)),
        hash: Some(HASH),
        best_bid: Some(Price(850_000)),
        best_ask: Some(Price::ONE),
        first: true,
    }
}

fn trade() -> TradeUpdate {
    TradeUpdate {
        timestamp_ms: TIME_MS,
        price: Price(585_000),
        quantity: Quantity(219_217_767),
        side: Side::Ask,
        fee_rate_bps: Some(Quantity::ZERO),
        id: TradeId::new("0x00000000000000000000000000000000000000000000000000000000000000b2"),
    }
}

fn info() -> MarketInfo {
    let outcome =
        |token, name: &str| Outcome { token: TokenId::new(token).unwrap(), name: name.into() };
    MarketInfo {
        market: MarketId::new(MARKET).unwrap(),
        tokens: vec![outcome(YES, "Up"), outcome(NO, "Down")],
        slug: "up-or-down".into(),
        question: "\"Up\" or down?".into(),
        start_wall_ns: None,
        end_wall_ns: None,
        tick_size: Some(Price(10_000)),
        min_order_size: None,
        neg_risk: false,
        listing: None,
    }
}

#[test]
fn the_dump_is_compact_and_has_live_books_only() {
    assert_eq!(written(|out| initial_dump(out, [].iter())), "[]");
    let mut stale = small();
    stale.state = BookState::Stale { why: StaleReason::Moving, since_wall_ns: 0 };
    let mut bare = replica(NO, &[], &[]);
    (bare.facts.last_trade, bare.facts.tick_size) = (None, None);
    assert_eq!(
        written(|out| initial_dump(out, [stale, small(), bare].iter())),
        [
            r#"[{"market":"0x00000000000000000000000000000000000000000000000000000000000000a1","asset_id":"1100000000000000000000000000000000000000000000000000000000000000000000000011","#,
            r#""timestamp":"1790000000123","hash":"00112233445566778899aabbccddeeff00112233","bids":[{"price":"0.01","size":"5"},{"price":"0.02","size":"1.5"}],"#,
            r#""asks":[{"price":"0.99","size":"1"},{"price":"0.03","size":"0.000002"}],"tick_size":"0.001","event_type":"book","last_trade_price":"0.870"},"#,
            r#"{"market":"0x00000000000000000000000000000000000000000000000000000000000000a1","asset_id":"2200000000000000000000000000000000000000000000000000000000000000000000000022","#,
            r#""timestamp":"1790000000123","hash":"00112233445566778899aabbccddeeff00112233","bids":[],"asks":[],"tick_size":"","event_type":"book","last_trade_price":""}]"#,
        ]
        .concat()
    );
}

#[test]
fn later_messages_have_a_space_after_each_comma() {
    let head = format!(r#"{{"market":"{MARKET}", "asset_id":"{YES}", "#);
    let bids = r#"[{"price":"0.01", "size":"5"}, {"price":"0.02", "size":"1.5"}]"#;
    let asks = r#"[{"price":"0.99", "size":"1"}, {"price":"0.03", "size":"0.000002"}]"#;
    let time = r#""timestamp":"1790000000123""#;
    let mut stale = small();
    stale.state = BookState::Stale { why: StaleReason::Behind, since_wall_ns: 7_000_000 };
    let crossed = replica(YES, &[(500_000, 1)], &[(490_000, 1)]);
    for (got, wanted) in [
        (
            written(|out| book(out, &small())),
            format!(
                r#"{head}"bids":{bids}, "asks":{asks}, "hash":"{HASH_TEXT}", {time}, "event_type":"book"}}"#
            ),
        ),
        (
            written(|out| empty_book(out, &stale)),
            format!(r#"{head}"bids":[], "asks":[], "hash":"", {time}, "event_type":"book"}}"#),
        ),
        (
            written(|out| last_trade_price(out, &small(), &trade())),
            format!(
                r#"{head}"price":"0.585", "size":"219.217767", "fee_rate_bps":"0", "side":"SELL", {time}, "event_type":"last_trade_price", "transaction_hash":"0x00000000000000000000000000000000000000000000000000000000000000b2"}}"#
            ),
        ),
        (
            written(|out| {
                tick_size_change(out, &small(), TIME_MS, Some(Price(10_000)), Price(1_000))
            }),
            format!(
                r#"{head}"old_tick_size":"0.01", "new_tick_size":"0.001", {time}, "event_type":"tick_size_change"}}"#
            ),
        ),
        (
            written(|out| best_bid_ask(out, &small(), TIME_MS)),
            format!(
                r#"{head}"best_bid":"0.02", "best_ask":"0.03", "spread":"0.01", {time}, "event_type":"best_bid_ask"}}"#
            ),
        ),
        (
            written(|out| best_bid_ask(out, &replica(YES, &[], &[]), TIME_MS)),
            format!(
                r#"{head}"best_bid":"0", "best_ask":"1", "spread":"1", {time}, "event_type":"best_bid_ask"}}"#
            ),
        ),
        (
            written(|out| best_bid_ask(out, &crossed, TIME_MS)),
            format!(
                r#"{head}"best_bid":"0.5", "best_ask":"0.49", "spread":"-0.01", {time}, "event_type":"best_bid_ask"}}"#
            ),
        ),
        (
            written(|out| state(out, &stale)),
            format!(r#"{head}"state":"stale:behind", "timestamp":"7", "event_type":"state"}}"#),
        ),
        (
            written(|out| state(out, &small())),
            format!(r#"{head}"state":"live", "timestamp":"5", "event_type":"state"}}"#),
        ),
    ] {
        assert_eq!(got, wanted);
    }
}

#[test]
fn a_price_change_has_the_tokens_of_its_message() {
    let (yes, no) = (TokenId::new(YES).unwrap(), TokenId::new(NO).unwrap());
    let first = change(Side::Bid, 850_000, 503_320_000);
    let second = LevelChange { best_bid: None, best_ask: None, ..change(Side::Ask, 150_000, 0) };
    let market = MarketId::new(MARKET).unwrap();
    let got = written(|out| {
        price_change(out, &market, TIME_MS, [(&yes, &first), (&no, &second)].into_iter());
    });
    let entries = format!(
        r#"{{"asset_id":"{YES}", "price":"0.85", "size":"503.32", "side":"BUY", "hash":"{HASH_TEXT}", "best_bid":"0.85", "best_ask":"1"}}, {{"asset_id":"{NO}", "price":"0.15", "size":"0", "side":"SELL", "hash":"{HASH_TEXT}"}}"#
    );
    let wanted = format!(
        r#"{{"market":"{MARKET}", "price_changes":[{entries}], "timestamp":"1790000000123", "event_type":"price_change"}}"#
    );
    assert_eq!(got, wanted);
}

#[test]
fn announcements_have_what_the_registry_knows() {
    assert_eq!(
        written(|out| new_market(out, &info(), TIME_MS)),
        format!(
            r#"{{"id":"","question":"\"Up\" or down?","market":"{MARKET}","slug":"up-or-down","assets_ids":["{YES}","{NO}"],"outcomes":["Up","Down"],"timestamp":"1790000000123","event_type":"new_market","tags":[],"condition_id":"{MARKET}","clob_token_ids":["{YES}","{NO}"],"sports_market_type":"","line":"","game_start_time":"","order_price_min_tick_size":"0.01","group_item_title":""}}"#
        )
    );
    let won = Resolution { winner: TokenId::new(NO), ..Resolution::default() };
    let resolved = |resolution| written(|out| market_resolved(out, &info(), resolution, TIME_MS));
    let head = format!(
        r#"{{"id":"","question":"\"Up\" or down?","market":"{MARKET}","slug":"up-or-down","assets_ids":["{YES}","{NO}"],"outcomes":["Up","Down"]"#
    );
    let tail = r#","timestamp":"1790000000123","event_type":"market_resolved","tags":[]}"#;
    assert_eq!(
        resolved(&won),
        format!(r#"{head},"winning_asset_id":"{NO}","winning_outcome":"Down"{tail}"#)
    );
    assert_eq!(resolved(&Resolution::default()), format!("{head}{tail}"));
    // A market that was never announced: the name of its winner is the message's.
    let mut unknown = info();
    (unknown.question, unknown.slug) = (String::new(), String::new());
    unknown.tokens.iter_mut().for_each(|outcome| outcome.name.clear());
    let head = format!(r#"{{"id":"","market":"{MARKET}","assets_ids":["{YES}","{NO}"]"#);
    for (result, name) in [(Some("Down".to_owned()), "Down"), (None, "")] {
        let won = Resolution { winner: TokenId::new(NO), result, ..Resolution::default() };
        assert_eq!(
            written(|out| market_resolved(out, &unknown, &won, TIME_MS)),
            format!(r#"{head},"winning_asset_id":"{NO}","winning_outcome":"{name}"{tail}"#)
        );
    }
}

/// What the engine's decoder reads.
#[derive(Default)]
struct Read {
    books: Vec<(String, BookFacts, Vec<Level>, Vec<Level>)>,
    changes: Vec<(String, LevelChange)>,
    others: Vec<String>,
}

impl Sink for Read {
    fn on_event(&mut self, event: &Event<'_>) {
        match event {
            Event::Snapshot(s) => {
                assert_eq!(s.market, MARKET);
                let facts = BookFacts {
                    timestamp_ms: s.timestamp_ms,
                    hash: s.hash,
                    tick_size: s.tick_size,
                    last_trade: s.last_trade,
                    ..BookFacts::default()
                };
                self.books.push((s.token.into(), facts, s.bids.to_vec(), s.asks.to_vec()));
            }
            Event::Changes(c) => {
                assert_eq!(c.market, MARKET);
                for (place, (token, change)) in c.iter().enumerate() {
                    let &ChangeSpan { side, level, hash, best_bid, best_ask, .. } = change;
                    let (timestamp_ms, first) = (c.timestamp_ms, place == 0);
                    let change =
                        LevelChange { timestamp_ms, side, level, hash, best_bid, best_ask, first };
                    self.changes.push((token.into(), change));
                }
            }
            Event::Trade(t) => {
                let id = TradeId::new(t.transaction_hash);
                assert_eq!(
                    (t.price, t.quantity, t.side),
                    (trade().price, trade().quantity, Side::Ask)
                );
                assert_eq!(
                    (t.fee_rate_bps, id, t.timestamp_ms),
                    (Some(Quantity::ZERO), trade().id, TIME_MS)
                );
                self.others.push("trade".into());
            }
            Event::TickSize(t) => self.others.push(format!("{:?} {}", t.old.map(|p| p.0), t.new)),
            Event::TopOfBook(t) => {
                self.others.push(format!(
                    "{:?} {:?}",
                    t.best_bid.map(|p| p.0),
                    t.best_ask.map(|p| p.0)
                ));
            }
            Event::Delta(_) => panic!("no event of this venue"),
        }
    }
    fn on_market_update(&mut self, update: MarketUpdate) {
        match update {
            MarketUpdate::Announced(announced) => assert_eq!(announced, info()),
            MarketUpdate::Resolved { market, resolution } => {
                assert_eq!((market.as_str(), resolution.winner), (MARKET, TokenId::new(NO)));
            }
            other => panic!("{other:?}"),
        }
        self.others.push("market".into());
    }
    fn on_decode_notice(&mut self, notice: &DecodeNotice<'_>) {
        self.others.push(format!("{notice:?}"));
    }
}

fn decoded(frame: &str) -> Read {
    let mut read = Read::default();
    Decoder::default().decode(frame, &mut read);
    read
}

fn random_levels(random: &mut Random) -> Vec<(u32, u64)> {
    let mut prices: Vec<u32> =
        (0..random.below(40)).map(|_| random.below(1_000_000) as u32).collect();
    prices.sort_unstable();
    prices.dedup();
    prices.into_iter().map(|price| (price, 1 + random.below(1 << 50))).collect()
}

#[test]
fn the_engines_decoder_reads_the_same_books_and_changes() {
    let mut random = Random::new(7);
    for _ in 0..200 {
        let asks: Vec<(u32, u64)> = random_levels(&mut random).into_iter().rev().collect();
        let replicas = [
            replica(YES, &random_levels(&mut random), &asks),
            replica(NO, &random_levels(&mut random), &[]),
        ];
        let dumped = decoded(&written(|out| initial_dump(out, replicas.iter())));
        assert_eq!((dumped.books.len(), dumped.others.len()), (2, 0));
        for (replica, (token, facts, bids, asks)) in replicas.iter().zip(dumped.books) {
            assert_eq!((token.as_str(), facts), (replica.token.as_str(), replica.facts));
            assert!(bids.into_iter().eq(replica.book.bids.levels()), "worst first");
            assert!(asks.into_iter().eq(replica.book.asks.levels()), "worst first");
            let mut refreshed = decoded(&written(|out| book(out, replica)));
            let (_, facts, bids, asks) = refreshed.books.pop().unwrap();
            assert_eq!((facts.hash, facts.timestamp_ms), (Some(HASH), TIME_MS));
            assert!(bids.into_iter().eq(replica.book.bids.levels()));
            assert!(asks.into_iter().eq(replica.book.asks.levels()));
        }
        let changes: Vec<LevelChange> = (0..1 + random.below(4))
            .map(|place| LevelChange {
                first: place == 0,
                best_bid: Some(Price(random.below(1_000_001) as u32)),
                ..change(
                    if random.chance(1, 2) { Side::Bid } else { Side::Ask },
                    random.below(1_000_001) as u32,
                    random.below(1 << 50),
                )
            })
            .collect();
        let (token, market) = (TokenId::new(YES).unwrap(), MarketId::new(MARKET).unwrap());
        let frame = written(|out| {
            price_change(out, &market, TIME_MS, changes.iter().map(|change| (&token, change)));
        });
        let read = decoded(&frame);
        assert!(read.others.is_empty(), "{:?}", read.others);
        assert!(read.changes.iter().map(|(_, change)| change).eq(&changes), "{frame}");
    }
}

#[test]
fn the_engines_decoder_reads_the_other_messages() {
    let one = |frame: String| {
        let read = decoded(&frame);
        assert_eq!(read.others.len(), 1, "{frame}: {:?}", read.others);
        read.others.into_iter().next().unwrap()
    };
    assert_eq!(one(written(|out| last_trade_price(out, &small(), &trade()))), "trade");
    let tick = |old| written(|out| tick_size_change(out, &small(), TIME_MS, old, Price(1_000)));
    assert_eq!(one(tick(Some(Price(10_000)))), "Some(10000) 0.001");
    assert_eq!(one(tick(None)), "None 0.001");
    assert_eq!(one(written(|out| best_bid_ask(out, &small(), TIME_MS))), "Some(20000) Some(30000)");
    assert_eq!(one(written(|out| new_market(out, &info(), TIME_MS))), "market");
    let won = Resolution { winner: TokenId::new(NO), ..Resolution::default() };
    assert_eq!(one(written(|out| market_resolved(out, &info(), &won, TIME_MS))), "market");
    // A client that does not know the event ignores it.
    assert_eq!(one(written(|out| state(out, &small()))), r#"UnknownEvent("state")"#);
    let empty = decoded(&written(|out| empty_book(out, &small())));
    let (_, facts, bids, asks) = &empty.books[0];
    assert_eq!((facts.hash, facts.timestamp_ms, bids.len(), asks.len()), (None, TIME_MS, 0, 0));
}
