//! Minutes of trading.
use super::*;
use crate::sim::book::Side;

/// Counts frames.
#[derive(Default)]
struct Sink(u64);

impl Outlet for Sink {
    fn send(&mut self, _: usize, _: &[u8]) {
        self.0 += 1;
    }
    fn send_custom(&mut self, _: usize, _: &[u8]) {}
    fn broadcast_custom(&mut self, _: &[u8]) {}
}

#[test]
fn minutes_of_trading_keep_the_recorded_mix_and_sound_books() {
    let config = SimConfig {
        markets: 60,
        rate: 4_000.0,
        births_per_minute: 20.0,
        resolutions_per_minute: 15.0,
        ending_soon_percent: 10,
        ..SimConfig::default()
    };
    let counters = Arc::new(Counters::default());
    let mut exchange = Exchange::new(&config, 1_000_000_000_000, Arc::clone(&counters));
    let mut sink = Sink::default();
    for market in 0..30 {
        assert!(exchange.subscribe(0, TokenIndex::new(market, Outcome::First)));
    }
    let end_ms = 6 * MINUTE_MS;
    while exchange.step(end_ms, &mut sink) {}
    let stats = counters.read();
    let messages = (stats.price_changes + stats.books + stats.trades) as f64;
    let percent = |count: u64| 100.0 * count as f64 / messages;
    println!("{stats:?}");
    assert!((94.0..97.5).contains(&percent(stats.price_changes)));
    assert!((2.0..3.5).contains(&percent(stats.books)));
    assert!((0.9..1.8).contains(&percent(stats.trades)));
    assert!(stats.tick_size_changes > 0 && stats.markets_resolved > 30 && sink.0 > 100_000);
    let (mut levels, mut fine, mut open) = (0, 0, 0);
    for market in exchange.markets.iter().filter(|market| market.phase == Phase::Open) {
        open += 1;
        fine += usize::from(market.tick == TICK_FINE);
        let sides = [Side::Bid, Side::Ask].map(|side| market.book.side(side).len());
        levels += sides.iter().sum::<usize>();
        assert!(!market.book.is_crossed());
        assert!(sides.iter().sum::<usize>() > 2, "{sides:?}");
    }
    println!("{open} open, {fine} fine, {} levels on average", levels / open);
    assert_eq!(open as u64 + ended(&exchange), stats.live_markets);
    assert!((20..=120).contains(&(levels / open)));
    let still: u64 = exchange.markets.iter().map(|market| market.subscribers.len() as u64).sum();
    assert_eq!(stats.subscriptions, still);
}

fn ended(exchange: &Exchange) -> u64 {
    exchange.markets.iter().filter(|market| market.phase == Phase::Ended).count() as u64
}
