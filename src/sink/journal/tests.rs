//! Trades read back from the journal, including after a crash within a line.
use super::*;
use crate::base::id::{ConnectionId, MarketId, TokenId, Venue};

fn trade(number: u64) -> TradeRecord {
    TradeRecord {
        venue: Venue::named("polymarket"),
        market: MarketId::new("0x6c83cdd2").unwrap(),
        token: TokenId::new("727101664").unwrap(),
        price: Price(585_000),
        quantity: Quantity(number),
        side: if number.is_multiple_of(2) { Side::Bid } else { Side::Ask },
        venue_ms: 1_786_728_467_101 + number,
        receive_wall_ns: u64::MAX / 2,
        id: (!number.is_multiple_of(3)).then(|| TradeId::new("0x6c83").unwrap()),
        fee_rate_bps: number.is_multiple_of(5).then_some(Quantity(1_000_000)),
        connection: ConnectionId(3),
    }
}

fn trades(numbers: std::ops::Range<u64>) -> Vec<TradeRecord> {
    numbers.map(trade).collect()
}

#[test]
fn what_was_written_is_read_in_parts_until_it_is_consumed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (mut journal, found) = Journal::open(&path).unwrap();
    assert_eq!((found, journal.bytes()), (JournalContents::default(), 0));
    journal.append(&trades(0..7)).unwrap();
    let mut batch = Vec::new();
    journal.peek(5, &mut batch).unwrap();
    assert_eq!(batch, trades(0..5));
    // Not consumed: the same trades again. More are appended meanwhile.
    journal.append(&trades(7..9)).unwrap();
    journal.peek(5, &mut batch).unwrap();
    assert_eq!(batch, trades(0..5));
    journal.consume().unwrap();
    journal.peek(5, &mut batch).unwrap();
    assert_eq!(batch, trades(5..9));
    // Another process takes over before the trades are consumed: none is missing, some are repeated.
    let left = folder.path().join("left");
    std::fs::copy(&path, &left).unwrap();
    let (_, found) = Journal::open(&left).unwrap();
    assert_eq!(found, JournalContents { records: 9, incomplete: 0 });
    journal.consume().unwrap();
    assert_eq!((journal.bytes(), std::fs::metadata(&path).unwrap().len()), (0, 0));
    journal.peek(5, &mut batch).unwrap();
    assert!(batch.is_empty());
    journal.append(&trades(9..10)).unwrap();
    journal.peek(5, &mut batch).unwrap();
    assert_eq!(batch, trades(9..10));
}

#[test]
fn a_torn_line_costs_itself_only_wherever_it_breaks_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (mut journal, _) = Journal::open(&path).unwrap();
    journal.append(&trades(0..2)).unwrap();
    drop(journal);
    let text = std::fs::read(&path).unwrap();
    let first = text.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    for cut in first..text.len() {
        std::fs::write(&path, &text[..cut]).unwrap();
        let (mut journal, found) = Journal::open(&path).unwrap();
        let whole = cut + 1 == text.len();
        let incomplete = u64::from(cut > first && !whole);
        assert_eq!(
            found,
            JournalContents { records: 1 + u64::from(whole), incomplete },
            "cut at {cut}"
        );
        journal.append(&trades(5..6)).unwrap();
        let mut batch = Vec::new();
        journal.peek(9, &mut batch).unwrap();
        let left = [trade(0), trade(1), trade(5)];
        assert_eq!(batch.first(), left.first());
        assert_eq!(batch[1..], left[if whole { 1 } else { 2 }..], "cut at {cut}");
        journal.consume().unwrap();
        assert_eq!(journal.bytes(), 0);
    }
}

#[test]
fn what_is_no_trade_is_counted_and_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (mut journal, _) = Journal::open(&path).unwrap();
    journal.append(&trades(0..1)).unwrap();
    drop(journal);
    let line = std::fs::read_to_string(&path).unwrap();
    let other = line.replace("polymarket", "no venue");
    std::fs::write(&path, format!("{other}\0\0\0\nnull\n{{}}\n{line}")).unwrap();
    let (mut journal, found) = Journal::open(&path).unwrap();
    assert_eq!(found, JournalContents { records: 1, incomplete: 4 });
    let mut batch = Vec::new();
    journal.peek(9, &mut batch).unwrap();
    assert_eq!(batch, trades(0..1));
    assert!(Journal::open(folder.path()).is_err(), "a folder");
}

#[test]
fn a_journal_that_is_deleted_is_written_again_with_what_the_database_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (mut journal, _) = Journal::open(&path).unwrap();
    let mut batch = Vec::new();
    journal.append(&trades(0..5)).unwrap();
    journal.peek(2, &mut batch).unwrap();
    journal.consume().unwrap();
    journal.peek(1, &mut batch).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(journal.check().unwrap(), None);
    // One is in flight and may be stored afterwards.
    journal.consume().unwrap();
    journal.append(&trades(5..6)).unwrap();
    journal.peek(9, &mut batch).unwrap();
    assert_eq!(batch, trades(3..6));
    drop(journal);
    assert_eq!(Journal::open(&path).unwrap().1, JournalContents { records: 4, incomplete: 0 });
}

#[test]
fn a_journal_that_is_cut_says_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (mut journal, _) = Journal::open(&path).unwrap();
    journal.append(&trades(0..5)).unwrap();
    assert_eq!(journal.check().unwrap(), None);
    let (len, mut batch) = (std::fs::metadata(&path).unwrap().len(), Vec::new());
    std::fs::File::options().write(true).open(&path).unwrap().set_len(len / 2).unwrap();
    assert_eq!(journal.check().unwrap(), Some(2));
    assert_eq!(journal.check().unwrap(), None, "reported once");
    journal.append(&trades(7..8)).unwrap();
    journal.peek(9, &mut batch).unwrap();
    assert_eq!(batch[..2], trades(0..2));
    journal.consume().unwrap();
    assert_eq!(journal.bytes(), 0);
}

#[test]
fn what_is_older_is_put_before_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (mut journal, _) = Journal::open(&path).unwrap();
    journal.append(&trades(5..9)).unwrap();
    let mut batch = Vec::new();
    journal.peek(2, &mut batch).unwrap();
    journal.consume().unwrap();
    journal.prepend(&trades(0..3)).unwrap();
    journal.append(&trades(9..10)).unwrap();
    let left: Vec<_> = [0, 1, 2, 7, 8, 9].map(trade).into();
    journal.peek(10, &mut batch).unwrap();
    assert_eq!(batch, left);
    // The same file for the next run, and no other one.
    drop(journal);
    let (mut journal, found) = Journal::open(&path).unwrap();
    assert_eq!(found, JournalContents { records: 6, incomplete: 0 });
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    journal.peek(10, &mut batch).unwrap();
    journal.consume().unwrap();
    assert_eq!((batch, journal.bytes()), (left, 0));
}
