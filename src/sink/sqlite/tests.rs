//! Rows read back through another connection.
use super::*;
use crate::base::id::{ConnectionId, MarketId, ShardId, TokenId, Venue};
use crate::base::price::{Price, Quantity};
use crate::link::control_sink::MarketStatus;
use crate::link::shard_trade::TradeRecord;
use crate::market::info::{Outcome, Resolution};

fn batch(trades: &[TradeRecord]) -> Batch {
    Batch { trades: trades.to_vec(), ..Batch::default() }
}

fn trade(number: u64) -> TradeRecord {
    TradeRecord {
        venue: Venue::named("polymarket"),
        market: MarketId::new("0x12dc").unwrap(),
        token: TokenId::new("727").unwrap(),
        price: Price(585_000),
        quantity: Quantity(2_460_000),
        side: Side::Ask,
        venue_ms: 1_786_728_467_101 + number,
        receive_wall_ns: 1_786_728_467_135_000_001,
        id: TradeId::new("0x6c83"),
        fee_rate_bps: Some(Quantity(0)),
        connection: ConnectionId(9),
    }
}

fn count(path: &Path, table: &str) -> u64 {
    let reader = Connection::open(path).unwrap();
    let count = format!("SELECT count(*) FROM {table}");
    reader.query_row(&count, [], |row| row.get::<_, i64>(0)).unwrap().cast_unsigned()
}

#[test]
fn a_trade_is_stored_exactly_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trades.db");
    let mut store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.insert(&batch(&[trade(0), trade(1), trade(0)])).unwrap(), 2);
    assert_eq!(store.insert(&batch(&[trade(1), trade(2)])).unwrap(), 1);
    // Each of these is a different trade.
    let sold = TradeRecord { side: Side::Bid, ..trade(0) };
    let dearer = TradeRecord { price: Price(586_000), ..trade(0) };
    let larger = TradeRecord { quantity: Quantity(2_460_001), ..trade(0) };
    let other = TradeRecord { id: None, fee_rate_bps: None, ..trade(0) };
    // The same trade from another connection.
    let again = TradeRecord { receive_wall_ns: 7, connection: ConnectionId(1), ..trade(0) };
    assert_eq!(store.insert(&batch(&[sold, dearer, larger, other, again])).unwrap(), 4);
    let reader = Connection::open(&path).unwrap();
    let mut rows = reader.prepare("SELECT * FROM trades WHERE side = 'sell' LIMIT 1").unwrap();
    let names: Vec<String> = rows.column_names().map(str::to_owned).collect();
    let row = rows.query_row([], |row| {
        Ok((0..names.len()).map(|at| format!("{:?}", row.get_ref(at).unwrap())).collect::<Vec<_>>())
    });
    let row: Vec<String> =
        names.iter().zip(row.unwrap()).map(|(n, v)| format!("{n}={v}")).collect();
    let text = row.join(" ");
    for part in
        ["price_e6=Integer(585000)", "size_e6=Integer(2460000)", "venue_ms=Integer(1786728467101)"]
    {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(count(&path, "trades"), 7);
}

#[test]
fn prices_of_a_time_are_read_in_order_and_in_slices() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trades.db");
    let mut store = SqliteStore::open(&path).unwrap();
    let other = TradeRecord { token: TokenId::new("728").unwrap(), ..trade(5_000) };
    let trades = [trade(2_000_000), trade(9_000), other, trade(4_000), trade(0)];
    assert_eq!(store.insert(&batch(&trades)).unwrap(), 5);
    let begin_s = trade(0).venue_ms / 1_000;
    let mut read = |begin_s, end_s, most: usize| {
        let token = TokenId::new("727").unwrap();
        let (request, mut seen) = (PriceRequest { token, begin_s, end_s, step_s: 60 }, Vec::new());
        let mut each = |price: Option<(u64, Price)>| {
            seen.push(price.map(|(ms, price)| (ms - trade(0).venue_ms, price.0)));
            seen.len() < most
        };
        store.each_price(&request, &mut each).unwrap();
        seen
    };
    let [first, second, third, late] = [0, 4_000, 9_000, 2_000_000].map(|ms| Some((ms, 585_000)));
    for dropped in ["", "DROP INDEX trades_by_token"] {
        Connection::open(&path).unwrap().execute_batch(dropped).unwrap();
        assert_eq!(read(0, u64::MAX, 9), [first, second, third, None, late, None]);
        assert_eq!(read(begin_s, begin_s + 8, 9), [first, second, None]);
        assert_eq!(read(begin_s + 1, u64::MAX, 2), [second, third]);
        assert_eq!(read(begin_s + 10, begin_s + 1_999, 1), []);
        assert_eq!(read(u64::MAX, 0, 9), []);
    }
}

#[test]
fn a_venue_time_near_zero_is_one_slice_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(&folder.path().join("trades.db")).unwrap();
    let early = TradeRecord { venue_ms: 5, ..trade(0) };
    let token = early.token;
    assert_eq!(store.insert(&batch(&[early, trade(0)])).unwrap(), 2);
    let request = PriceRequest { token, begin_s: 0, end_s: u64::MAX, step_s: 60 };
    let mut seen = Vec::new();
    let mut each = |price: Option<(u64, Price)>| {
        seen.push(price.map(|(ms, _)| ms));
        seen.len() < 100
    };
    store.each_price(&request, &mut each).unwrap();
    assert_eq!(seen, [Some(5), None, Some(trade(0).venue_ms), None]);
}

fn plan_of_prices(path: &Path, is_indexed: bool) -> String {
    let reader = Connection::open(path).unwrap();
    let explained = format!("EXPLAIN QUERY PLAN {}", prices(is_indexed));
    reader.query_row(&explained, params![0, 1, "727"], |row| row.get("detail")).unwrap()
}

#[test]
fn prices_are_read_from_the_index_by_token_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trades.db");
    let mut store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.has_token_index(), Ok(true));
    let wanted = "SEARCH trades USING COVERING INDEX trades_by_token (<expr>=? AND token=? AND venue_ms>? AND venue_ms<?)";
    assert_eq!(plan_of_prices(&path, true), wanted);
    // Also with the statistics of few rows.
    store.insert(&batch(&[trade(0), trade(1)])).unwrap();
    Connection::open(&path).unwrap().execute_batch("ANALYZE").unwrap();
    assert_eq!(plan_of_prices(&path, true), wanted);
    // One of an earlier version.
    Connection::open(&path).unwrap().execute_batch("DROP INDEX trades_by_token").unwrap();
    let mut store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.has_token_index(), Ok(false));
    assert!(!plan_of_prices(&path, false).contains("trades_by_token"));
    store.add_token_index().unwrap();
    assert_eq!(store.has_token_index(), Ok(true));
    assert_eq!(plan_of_prices(&path, true), wanted);
}

#[test]
fn losses_stand_beside_the_trades_and_a_batch_is_stored_wholly_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trades.db");
    let mut store = SqliteStore::open(&path).unwrap();
    let loss = Loss { shard: ShardId(1), wall_ns: 5, trades: 3 };
    store.insert(&Batch { losses: vec![loss], ..batch(&[trade(0)]) }).unwrap();
    assert_eq!(count(&path, "trade_losses"), 1);
    // The second table is dropped externally.
    Connection::open(&path).unwrap().execute("DROP TABLE trade_losses", []).unwrap();
    assert!(store.insert(&Batch { losses: vec![loss], ..batch(&[trade(1)]) }).is_err());
    assert_eq!(count(&path, "trades"), 1);
}

#[test]
fn what_cannot_be_opened_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trades.db");
    drop(SqliteStore::open(&path).unwrap());
    drop(SqliteStore::open(&path).expect("its own tables"));
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = SqliteStore::open(&path).unwrap_err().to_string();
    assert!(error.contains("version 99") && error.contains("newer ringbook"), "{error}");
    std::fs::write(folder.path().join("text"), "no database, but long enough to look like one")
        .unwrap();
    let error = SqliteStore::open(&folder.path().join("text")).unwrap_err().to_string();
    assert!(error.contains("not a database"), "{error}");
    assert!(SqliteStore::open(&folder.path().join("nowhere/trades.db")).is_err());
}

fn text(path: &Path, query: &str) -> String {
    let reader = Connection::open(path).unwrap();
    reader.query_row(query, [], |row| row.get::<_, String>(0)).unwrap()
}

#[test]
fn markets_are_kept_current_and_trades_say_the_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trades.db");
    let mut store = SqliteStore::open(&path).unwrap();
    let outcome = |token: &str, name: &str| Outcome {
        token: TokenId::new(token).unwrap(),
        name: name.to_owned(),
    };
    let open = MarketRow {
        venue: Venue::named("polymarket"),
        market: MarketId::new("0x12dc").unwrap(),
        slug: "will-it".into(),
        question: "Will it 'rain'?".into(),
        tokens: vec![outcome("727", "Yes"), outcome("728", "No")],
        tick_size: Some(Price(10_000)),
        min_order_size: None,
        neg_risk: true,
        start_wall_ns: Some(8),
        end_wall_ns: Some(9),
        status: MarketStatus::Open,
        resolution: Resolution::default(),
        resolved_wall_ns: None,
        wall_ns: 5,
    };
    // Unknown; known within the batch; a market that is stored twice.
    let unknown = TradeRecord { token: TokenId::new("999").unwrap(), ..trade(0) };
    let known = Batch { markets: vec![open.clone(), open.clone()], ..batch(&[unknown, trade(1)]) };
    assert_eq!(store.insert(&known).unwrap(), 2);
    let outcomes = "SELECT group_concat(token || '=' || outcome) FROM trades ORDER BY venue_ms";
    assert_eq!(text(&path, outcomes), "999=,727=Yes");
    assert_eq!((count(&path, "markets"), count(&path, "tokens")), (1, 2));
    let resolved_wall_ns = Some(7);
    let resolved = MarketRow {
        status: MarketStatus::Resolved,
        resolution: how(Some("728"), "No", Some(0)),
        resolved_wall_ns,
        wall_ns: 7,
        ..open.clone()
    };
    // An older row that arrives later does not change the outcome.
    let later = MarketRow { wall_ns: 8, question: "Did it?".into(), ..open.clone() };
    let markets = vec![resolved.clone(), later];
    store.insert(&Batch { markets, ..Batch::default() }).unwrap();
    let row =
        "SELECT question || ' ' || status || ' ' || winner || ' ' || resolved_ns || ' ' || first_ns
               || ' ' || updated_ns || ' ' || tick_e6 || ' ' || neg_risk FROM markets";
    assert_eq!(text(&path, row), "Did it? resolved 728 7 5 8 10000 1");
    let decision = "SELECT coalesce(winner, '-') || ' ' || result || ' ' ||
                           coalesce(settlement_value, '-') FROM markets";
    assert_eq!(text(&path, decision), "728 No 0");
    for (amended, expected) in [
        (how(None, "split", Some(500_000)), "- split 0.5"),
        (how(None, "void", None), "- void -"),
        (how(None, "scalar", Some(123_456)), "- scalar 0.123456"),
        (how(Some("727"), "Yes", Some(1_000_000)), "727 Yes 1"),
    ] {
        let markets = vec![MarketRow { resolution: amended, ..resolved.clone() }, open.clone()];
        store.insert(&Batch { markets, ..Batch::default() }).unwrap();
        assert_eq!(text(&path, decision), expected);
    }
}

fn how(winner: Option<&str>, result: &str, settles_at: Option<u32>) -> Resolution {
    Resolution {
        winner: winner.map(|token| TokenId::new(token).unwrap()),
        result: Some(result.to_owned()),
        settlement_value: settles_at.map(Price),
    }
}

#[test]
fn a_database_of_an_earlier_program_gets_the_new_columns_and_keeps_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trades.db");
    let earlier = Connection::open(&path).unwrap();
    earlier.execute_batch(STEPS[0]).unwrap();
    earlier.pragma_update(None, "user_version", 1).unwrap();
    let row = "INSERT INTO markets VALUES
        ('kalshi', 'KXA', 's', 'q', NULL, NULL, 0, NULL, NULL, 'resolved', 'KXA', 7, 1, 7)";
    earlier.execute(row, []).unwrap();
    drop(earlier);
    drop(SqliteStore::open(&path).unwrap());
    drop(SqliteStore::open(&path).expect("each step is taken once"));
    let expected =
        "SELECT winner || status || coalesce(result, '-') || coalesce(settlement_value, '-')
                FROM markets";
    assert_eq!(text(&path, expected), "KXAresolved--");
}
