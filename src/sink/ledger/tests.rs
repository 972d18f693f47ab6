//! The next action; no trade is lost or reordered.
use super::*;
use crate::base::id::{ConnectionId, MarketId, TokenId, Venue};
use crate::base::price::{Price, Quantity};
use crate::base::time::{MILLISECOND_NS, SECOND_NS};
use crate::market::book::Side;
use proptest::prelude::*;

const BATCHING: Batching = Batching { trades_max: 10, age_max_ns: 500 * MILLISECOND_NS };

fn trade(number: u64) -> TradeRecord {
    TradeRecord {
        venue: Venue::named("polymarket"),
        market: MarketId::new("0x1").unwrap(),
        token: TokenId::new("7").unwrap(),
        price: Price(1),
        quantity: Quantity(1),
        side: Side::Bid,
        venue_ms: number,
        receive_wall_ns: 0,
        id: None,
        fee_rate_bps: None,
        connection: ConnectionId(1),
    }
}

#[test]
fn a_batch_goes_when_it_is_full_or_old_or_nothing_more_comes() {
    let mut ledger = Ledger::new(BATCHING, 0);
    assert_eq!(ledger.poll(SECOND_NS, true), Todo::Wait);
    ledger.handle_trade(trade(1), 0);
    assert_eq!(ledger.poll(BATCHING.age_max_ns - 1, false), Todo::Wait);
    assert_eq!(ledger.poll(BATCHING.age_max_ns, false), Todo::StoreMemory);
    assert_eq!(ledger.poll(0, true), Todo::StoreMemory);
    (2..=11).for_each(|number| ledger.handle_trade(trade(number), 0));
    assert_eq!(ledger.poll(0, false), Todo::StoreMemory);
    assert_eq!(ledger.begin_memory().len(), 10);
    assert_eq!(ledger.poll(BATCHING.age_max_ns, false), Todo::Wait, "one at a time");
    ledger.on_stored(0);
    assert_eq!((ledger.waiting(), ledger.is_settled()), (1, false));
}

#[test]
fn a_database_that_fails_is_left_alone_longer_each_time_and_its_batch_comes_first() {
    let mut ledger = Ledger::new(BATCHING, 0);
    (0..30).for_each(|number| ledger.handle_trade(trade(number), 0));
    let mut now_ns = 0;
    let mut waits = Vec::new();
    assert_eq!(ledger.begin_memory()[0].venue_ms, 0);
    for _ in 0..7 {
        ledger.on_failed(now_ns);
        let mut wait_ns = 0;
        while ledger.poll(now_ns + wait_ns, false) != Todo::Retry {
            if ledger.poll(now_ns + wait_ns, false) == Todo::Spill {
                ledger.on_spilled();
            }
            wait_ns += 50 * MILLISECOND_NS;
        }
        waits.push(wait_ns / MILLISECOND_NS);
        now_ns += wait_ns;
        assert_eq!(ledger.retry_batch()[0].venue_ms, 0);
    }
    assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
    assert_eq!((ledger.waiting(), ledger.journaled()), (10, 20));
    ledger.on_stored(0);
    assert_eq!(ledger.poll(now_ns, false), Todo::StoreJournal);
}

#[test]
fn what_the_database_does_not_take_goes_into_the_journal_also_while_it_is_only_slow() {
    let mut ledger = Ledger::new(BATCHING, 0);
    (0..11).for_each(|number| ledger.handle_trade(trade(number), 0));
    ledger.begin_memory();
    assert_eq!(ledger.poll(SINK_SPILL_AGE_NS - 1, false), Todo::Wait);
    assert_eq!(ledger.poll(SINK_SPILL_AGE_NS, false), Todo::Spill);
    // The journal fails, too.
    ledger.on_spill_failed(SINK_SPILL_AGE_NS);
    assert_eq!(ledger.poll(2 * SINK_SPILL_AGE_NS - 1, false), Todo::Wait);
    assert_eq!(ledger.poll(2 * SINK_SPILL_AGE_NS, false), Todo::Spill);
    (0..SINK_MEMORY_TRADES_MAX as u64).for_each(|number| ledger.handle_trade(trade(number), 0));
    assert_eq!(ledger.lost(), 1, "memory is full");
    assert_eq!(ledger.waiting(), SINK_MEMORY_TRADES_MAX as u64 + 10);
}

proptest! {
    /// Database and disk fail at random: every trade is stored once, in order.
    #[test]
    fn every_trade_is_stored_in_the_order_in_which_it_came(
        fates in prop::collection::vec((0..4u8, 0..20u64, 1..900u64), 1..120),
    ) {
        let mut ledger = Ledger::new(BATCHING, 0);
        let (mut journal, mut stored) = (VecDeque::new(), Vec::new());
        let (mut now_ns, mut next) = (0, 0);
        let mut batch: Vec<u64> = Vec::new();
        let mut from_journal = false;
        // Faults end here.
        let calm = (0..400).map(|_| (0, 0, 900));
        for (fate, trades, wait_ms) in fates.into_iter().chain(calm) {
            (0..trades).for_each(|i| ledger.handle_trade(trade(next + i), now_ns));
            next += trades;
            now_ns += wait_ms * MILLISECOND_NS;
            // The submitted batch is answered now, later, or with a failure.
            if ledger.is_in_flight() && fate != 1 {
                if fate == 2 {
                    ledger.on_failed(now_ns);
                } else {
                    let count = if from_journal { batch.len() } else { 0 };
                    journal.drain(..count);
                    stored.append(&mut batch);
                    ledger.on_stored(count as u64);
                }
            }
            let numbers = |trades: &[TradeRecord]| trades.iter().map(|t| t.venue_ms).collect();
            match ledger.poll(now_ns, false) {
                Todo::Wait => {}
                Todo::Retry => (from_journal, batch) = (false, numbers(ledger.retry_batch())),
                Todo::StoreMemory => (from_journal, batch) = (false, numbers(ledger.begin_memory())),
                Todo::StoreJournal => {
                    (from_journal, batch) = (true, journal.iter().copied().take(10).collect());
                    ledger.begin_journal();
                }
                Todo::Spill if fate == 3 => ledger.on_spill_failed(now_ns),
                Todo::Spill => {
                    journal.extend(ledger.spill().map(|trade| trade.venue_ms));
                    ledger.on_spilled();
                }
            }
            prop_assert_eq!(ledger.journaled(), journal.len() as u64);
        }
        prop_assert!(ledger.is_settled(), "{:?}", ledger);
        prop_assert_eq!(stored, (0..next).collect::<Vec<_>>());
    }
}
