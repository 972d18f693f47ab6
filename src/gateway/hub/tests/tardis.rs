//! Clients of the tardis interface: their books, best prices and snapshots are those of the shard.
//!
//! Runs on:  the test's thread.
use super::*;
use crate::gateway::Refusal;

const OPTIONS: &str = r#"options={"exchange":"polymarket","symbols":["11","12"],"dataTypes":["book_change","quote","book_ticker"],"withDisconnectMessages":true}"#;

fn units_of(number: &Value) -> u64 {
    (number.as_f64().unwrap() * 1e6).round() as u64
}

/// Levels that are not `{}`.
fn numbers_of(list: &Value) -> BTreeMap<u64, u64> {
    let levels = list.as_array().unwrap().iter().filter(|level| level["price"].is_number());
    levels.map(|level| (units_of(&level["price"]), units_of(&level["amount"]))).collect()
}

impl Reader {
    /// Keeps the books, and the best levels of a symbol under `quote` and `ticker` and its name.
    pub(super) fn on_tardis(&mut self, event: &Value) {
        let sides = ["bids", "asks"].map(|side| (side, &event[side]));
        let symbol = event["symbol"].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str().unwrap() {
            "book_change" if event["isSnapshot"] == true => {
                self.books.insert(symbol, sides.map(|(_, list)| numbers_of(list)));
            }
            "book_change" => {
                let book = self.books.get_mut(&symbol).expect("a snapshot comes first");
                for (mine, (_, list)) in book.iter_mut().zip(sides) {
                    numbers_of(list).into_iter().for_each(|(price, size)| set(mine, price, size));
                }
            }
            "book_snapshot" => {
                let best = sides.map(|(_, list)| numbers_of(list));
                self.books.insert(format!("quote {symbol}"), best);
            }
            "book_ticker" => {
                let side = |name: &str| {
                    let price = &event[&format!("{name}Price")];
                    let amount = &event[&format!("{name}Amount")];
                    let level = price.is_number().then(|| (units_of(price), units_of(amount)));
                    level.into_iter().collect()
                };
                self.books.insert(format!("ticker {symbol}"), [side("bid"), side("ask")]);
            }
            "disconnect" => *self.numbers.entry(0).or_default() += 1,
            other => panic!("{other}"),
        }
    }

    fn has_best_prices(&self) -> bool {
        TOKENS.iter().filter_map(|token| Some((token, self.books.get(*token)?))).all(
            |(token, [bids, asks])| {
                let best = [bids.iter().next_back(), asks.iter().next()];
                let best = best.map(|level| level.map(|(p, s)| (*p, *s)).into_iter().collect());
                ["quote", "ticker"]
                    .iter()
                    .all(|kind| self.books[&format!("{kind} {token}")] == best)
            },
        )
    }
}

#[test]
fn a_client_that_has_read_all_has_books_and_best_prices() {
    let mut random = Random::new(0x7a4d);
    let mut conflated = 0;
    for round in 0..60_u64 {
        let bytes = 4_000 + 8_000 * random.below(8) as usize;
        let mut rig = Rig::new("polymarket", bytes, StalePolicy::Clear);
        let mut fast = rig.connect(Site::Polymarket, "/ws-stream-normalized", OPTIONS);
        let mut slow = rig.connect(Site::Polymarket, "/ws-stream-normalized", OPTIONS);
        for _ in 0..150 {
            rig.act(&mut random);
            rig.read_all(&mut fast);
            if random.below(8) == 0 {
                rig.read(&mut slow, random.below(3_000) as usize);
            }
            for place in 0..2 {
                assert!(rig.agrees(&fast, place), "round {round}: {:?}", fast.books);
            }
            assert!(fast.has_best_prices(), "round {round}: {:?}", fast.books);
        }
        rig.now.mono_ns += SECOND_NS;
        rig.hub.handle_timeout(rig.now);
        rig.read_all(&mut slow);
        conflated += rig.hub.counts().conflated;
        assert_eq!(slow.closed, None);
        assert!((0..2).all(|place| rig.agrees(&slow, place)), "round {round}");
        assert!(slow.has_best_prices(), "round {round}: {:?}", slow.books);
        // The next frames are never taken.
        rig.shard.books[0].1 = BookState::Live;
        rig.image(0, false);
        rig.now.mono_ns += crate::base::limits::GATEWAY_STALL_NS;
        rig.hub.handle_timeout(rig.now);
        rig.read(&mut slow, 1);
        assert_eq!(slow.closed, Some(1008));
    }
    assert!(conflated > 0);
}

#[test]
fn a_client_hears_of_a_stale_book_and_has_it_again() {
    for (policy, closed, levels) in [
        (StalePolicy::Hold, None, 1),
        (StalePolicy::Clear, None, 0),
        (StalePolicy::Close, Some(1012), 1),
    ] {
        let mut rig = Rig::new("polymarket", 100_000, policy);
        rig.shard.books[0].1 = BookState::Live;
        let level = Level { price: Price(400_000), quantity: Quantity(5_000_000) };
        rig.shard.books[0].0.set(Side::Bid, level).unwrap();
        let mut reader = rig.connect(Site::Polymarket, "/ws-stream-normalized", OPTIONS);
        rig.read_all(&mut reader);
        assert_eq!(reader.books["11"][0].len(), 1);
        let state = BookState::Stale { why: StaleReason::Behind, since_wall_ns: 1 };
        rig.shard.books[0].1 = state;
        rig.send(0, BookUpdateKind::State(state));
        rig.read_all(&mut reader);
        assert_eq!((reader.closed, reader.books["11"][0].len()), (closed, levels), "{policy:?}");
        assert_eq!(reader.numbers[&0], 1, "one disconnect");
        // Live again without an image of its own.
        rig.shard.books[0].1 = BookState::Live;
        rig.send(0, BookUpdateKind::State(BookState::Live));
        rig.read_all(&mut reader);
        assert!(closed.is_some() || rig.agrees(&reader, 0));
    }
}

#[test]
fn options_that_are_none_close_the_connection_with_a_line() {
    let endpoint = Site::Kalshi.endpoint("/ws-stream-normalized", "options={}");
    assert!(matches!(endpoint, Err(Refusal::Close(1011, line)) if line.contains("exchange")));
    let mut rig = Rig::new("polymarket", 100_000, StalePolicy::Clear);
    let query = r#"options={"exchange":"polymarket","dataTypes":["trade"]}"#;
    let mut reader = rig.connect(Site::Polymarket, "/ws-stream-normalized", query);
    rig.read_all(&mut reader);
    assert_eq!(reader.closed, Some(1011));
}
