//! Books that REST repairs, and books that it proves to be behind.
use super::*;
use crate::base::id::{MarketId, ShardId};
use crate::base::limits::{AUDIT_TIMEOUT_NS, REPAIR_CHANGES_MAX};
use crate::base::time::{MILLISECOND_NS, SECOND_NS, StillClock};
use crate::market::book::StaleReason;
use crate::market::book::{BookOpening, image::BookImage};
use crate::shard::books::Admission;
use crate::shard::intake::{Findings, FrameProgress, Intake};

const HERE: ConnectionSlot = ConnectionSlot(0);

fn token(i: u32) -> TokenId {
    TokenId::new(&i.to_string()).unwrap()
}

fn intake(tokens: &[u32]) -> Intake<(), StillClock> {
    let mut books =
        Books::new(ShardId(0), crate::venue::polymarket::feed(true), Admission::Listed, ());
    for &i in tokens {
        let opening = BookOpening {
            market: MarketId::new("0x1").unwrap(),
            token: token(i),
            tick_size: None,
            min_order_size: None,
            neg_risk: false,
        };
        books.open(&opening, HERE).unwrap();
    }
    Intake::new(crate::venue::polymarket::feed(true), books, StillClock(0))
}

fn at(ms: u64) -> Now {
    Now { mono_ns: ms * MILLISECOND_NS, wall_ns: ms * MILLISECOND_NS }
}

fn feed(intake: &mut Intake<(), StillClock>, frame: &str) {
    intake.on_frame(frame, HERE, at(0), &mut Findings::default());
}

/// An answer to the newest question.
fn rest(intake: &mut Intake<(), StillClock>, text: &str, now: Now) {
    rest_to(intake, u32::MAX, text, now);
}

fn rest_to(intake: &mut Intake<(), StillClock>, question: u32, text: &str, now: Now) {
    let mut progress = FrameProgress::default();
    while !progress.is_done() {
        intake.on_rest_part(text, &mut progress, 16, (question, now));
    }
}

/// A book of bids as the REST interface tells it.
fn book(i: u32, ms: u64, bids: &[(&str, &str)]) -> String {
    let bids: Vec<String> =
        bids.iter().map(|(p, s)| format!(r#"{{"price":"{p}","size":"{s}"}}"#)).collect();
    format!(
        r#"{{"market":"0x1","asset_id":"{i}","timestamp":"{ms}","bids":[{}],"asks":[],"min_order_size":"5","tick_size":"0.01","neg_risk":false,"last_trade_price":""}}"#,
        bids.join(",")
    )
}

fn change(i: u32, ms: u64, price: &str, size: &str) -> String {
    format!(
        r#"{{"market":"0x1","price_changes":[{{"asset_id":"{i}","price":"{price}","size":"{size}","side":"BUY"}}],"timestamp":"{ms}","event_type":"price_change"}}"#
    )
}

fn shown(intake: &Intake<(), StillClock>, i: u32) -> String {
    let mut image = BookImage::default();
    assert!(intake.books.fill_image(token(i).as_str(), &mut image));
    let bids: Vec<String> =
        image.bids.iter().map(|l| format!("{}x{}", l.price, l.quantity)).collect();
    format!("{} {}", image.state.name(), bids.join(" "))
}

/// What a check of the token asks for at this time.
fn check(intake: &mut Intake<(), StillClock>, tokens: &[u32], ms: u64) -> usize {
    let tokens: Vec<TokenId> = tokens.iter().map(|&i| token(i)).collect();
    let mut wanted = Vec::new();
    intake.books.check_snapshots(&tokens, HERE, ms * MILLISECOND_NS, &mut wanted);
    wanted.len()
}

#[test]
fn a_snapshot_that_never_came_is_fetched_and_what_changed_meanwhile_is_applied() {
    let mut intake = intake(&[11, 12]);
    feed(&mut intake, &change(11, 90, "0.1", "9"));
    assert_eq!(check(&mut intake, &[11, 12], 5_000), 2);
    // Between question and answer: older, of the same time and newer than the answer.
    feed(&mut intake, &change(11, 99, "0.2", "9"));
    feed(&mut intake, &change(11, 100, "0.3", "3"));
    feed(&mut intake, &change(11, 101, "0.4", "0"));
    let answer = format!("[{}]", book(11, 100, &[("0.3", "3"), ("0.4", "4"), ("0.5", "5")]));
    rest(&mut intake, &answer, at(5_100));
    assert_eq!(shown(&intake, 11), "live 0.3x3 0.5x5");
    assert_eq!(shown(&intake, 12), "awaiting_snapshot ", "the venue left it out");
    feed(&mut intake, &change(11, 102, "0.5", "6"));
    assert_eq!(shown(&intake, 11), "live 0.3x3 0.5x6");
    let counts = intake.books.repairs();
    assert_eq!((counts.asked, counts.repaired), (2, 1));
    assert_eq!(intake.books.counts().changes_before_snapshot, 4);
}

#[test]
fn an_answer_older_than_what_was_known_at_the_asking_is_not_used() {
    let mut intake = intake(&[11]);
    feed(&mut intake, &change(11, 90, "0.1", "9"));
    assert_eq!(check(&mut intake, &[11], 5_000), 1);
    rest(&mut intake, &book(11, 89, &[("0.2", "2")]), at(5_100));
    assert_eq!(shown(&intake, 11), "awaiting_snapshot ");
    assert_eq!(intake.books.repairs().answers_old, 1);
    // Asked again after a pause, each twice as long; the next answer is good.
    assert_eq!(check(&mut intake, &[11], 6_000), 0);
    assert_eq!(check(&mut intake, &[11], 7_000), 1);
    assert_eq!(check(&mut intake, &[11], 10_999), 0);
    assert_eq!(check(&mut intake, &[11], 11_000), 1);
    rest(&mut intake, &book(11, 90, &[("0.1", "9")]), at(11_100));
    assert_eq!(shown(&intake, 11), "live 0.1x9");
    assert_eq!(check(&mut intake, &[11], 99_000), 0);
}

/// Simulation seed 105828: the answer came while the connection was down, and what changed until it was up again was
/// missing in a live book.
#[test]
fn an_answer_to_a_question_from_before_messages_were_lost_is_not_used() {
    type Loss = fn(&mut Intake<(), StillClock>);
    let losses: [Loss; 2] = [
        |intake| _ = intake.books.set_connection_stale(HERE, StaleReason::Disconnected, 1),
        // A message of the book that cannot be read.
        |intake| feed(intake, &change(11, 92, "x", "9")),
    ];
    for loss in losses {
        let mut intake = intake(&[11]);
        feed(&mut intake, &change(11, 90, "0.1", "9"));
        assert_eq!(check(&mut intake, &[11], 5_000), 1);
        loss(&mut intake);
        let answer = book(11, 90, &[("0.1", "9")]);
        let first = intake.books.next_question();
        rest_to(&mut intake, first, &answer, at(5_100));
        assert_eq!(shown(&intake, 11), "awaiting_snapshot ");
        // Another answer to that question may still be on its way, also after the next question.
        assert_eq!(check(&mut intake, &[11], 7_000), 1);
        let second = intake.books.next_question();
        feed(&mut intake, &change(11, 95, "0.2", "2"));
        rest_to(&mut intake, first, &answer, at(7_100));
        assert_eq!(shown(&intake, 11), "awaiting_snapshot ");
        rest_to(&mut intake, second, &answer, at(7_100));
        assert_eq!(shown(&intake, 11), "live 0.1x9 0.2x2");
    }
}

/// The book was live when it was asked for, to be compared, and lost a change that the answer does not have.
#[test]
fn a_comparison_from_before_messages_were_lost_repairs_nothing() {
    let mut intake = live(&[11]);
    let comparison = intake.books.next_question();
    // A change that cannot be read.
    feed(&mut intake, &change(11, 101, "x", "9"));
    assert_eq!(shown(&intake, 11), "stale:undecoded_message 0.4x1");
    assert_eq!(check(&mut intake, &[11], 1_000), 1);
    let repair = intake.books.next_question();
    rest_to(&mut intake, comparison, &book(11, 100, &[("0.4", "1")]), at(1_100));
    assert_eq!(shown(&intake, 11), "stale:undecoded_message 0.4x1");
    assert_eq!(intake.books.repairs().answers_old, 1);
    rest_to(&mut intake, repair, &book(11, 101, &[("0.4", "1"), ("0.5", "9")]), at(1_200));
    assert_eq!(shown(&intake, 11), "live 0.4x1 0.5x9");
}

#[test]
fn an_answer_without_its_hash_is_not_used() {
    let mut intake = intake(&[11]);
    assert_eq!(check(&mut intake, &[11], 5_000), 1);
    let hash = "0123456789012345678901234567890123456789";
    let spoilt =
        book(11, 89, &[("0.2", "2")]).replace(r#""bids""#, &format!(r#""hash":"{hash}","bids""#));
    rest(&mut intake, &spoilt, at(5_100));
    assert_eq!(shown(&intake, 11), "awaiting_snapshot ");
    assert_eq!(intake.books.repairs().answers_broken, 1);
}

#[test]
fn too_many_changes_between_question_and_answer_begin_the_repair_anew() {
    let mut intake = intake(&[11]);
    assert_eq!(check(&mut intake, &[11], 5_000), 1);
    for ms in 0..=REPAIR_CHANGES_MAX as u64 {
        feed(&mut intake, &change(11, ms + 1, "0.1", "1"));
    }
    let last_ms = REPAIR_CHANGES_MAX as u64 + 1;
    rest(&mut intake, &book(11, last_ms, &[("0.1", "1")]), at(5_100));
    assert_eq!(shown(&intake, 11), "awaiting_snapshot ", "a change may be missing");
    assert_eq!(check(&mut intake, &[11], 10_000), 1);
    feed(&mut intake, &change(11, last_ms + 1, "0.2", "2"));
    rest(&mut intake, &book(11, last_ms, &[("0.1", "1")]), at(10_100));
    assert_eq!(shown(&intake, 11), "live 0.1x1 0.2x2");
}

#[test]
fn a_stale_book_is_repaired_and_a_stream_snapshot_makes_the_answer_needless() {
    let mut intake = intake(&[11, 12]);
    for i in [11, 12] {
        let dumped =
            book(i, 10, &[("0.4", "1")]).replace("\"bids\"", "\"event_type\":\"book\",\"bids\"");
        feed(&mut intake, &dumped);
    }
    intake.books.set_all_stale(StaleReason::UndecodedMessage, 1);
    assert_eq!(check(&mut intake, &[11, 12], 5_000), 2);
    feed(&mut intake, &change(11, 20, "0.4", "2"));
    let newer =
        book(12, 30, &[("0.6", "6")]).replace("\"bids\"", "\"event_type\":\"book\",\"bids\"");
    feed(&mut intake, &newer);
    let answer = format!("[{},{}]", book(11, 15, &[("0.4", "1"), ("0.5", "5")]), book(12, 15, &[]));
    rest(&mut intake, &answer, at(5_100));
    assert_eq!(shown(&intake, 11), "live 0.4x2 0.5x5");
    assert_eq!(shown(&intake, 12), "live 0.6x6", "older than the book: not used");
    let counts = intake.books.repairs();
    assert_eq!((counts.repaired, counts.audits_older), (1, 1));
}

/// A live book, seen at 100 with one bid.
fn live(tokens: &[u32]) -> Intake<(), StillClock> {
    let mut intake = intake(tokens);
    for &i in tokens {
        let dumped =
            book(i, 100, &[("0.4", "1")]).replace("\"bids\"", "\"event_type\":\"book\",\"bids\"");
        feed(&mut intake, &dumped);
    }
    intake
}

#[test]
fn a_book_that_never_hears_what_rest_knows_is_behind() {
    let mut intake = live(&[11]);
    let mut wanted = Vec::new();
    intake.books.next_for_rest(10, &mut wanted);
    assert_eq!(wanted, [token(11)]);
    rest(&mut intake, &book(11, 120, &[("0.4", "2")]), at(1_000));
    let due_ns = SECOND_NS + AUDIT_TIMEOUT_NS;
    assert!(intake.books.poll_behind(due_ns - 1).is_none(), "it may be on its way");
    assert_eq!(shown(&intake, 11), "live 0.4x1");
    let behind = intake.books.poll_behind(due_ns).expect("it never came");
    assert_eq!((behind.connection, behind.read_ns), (HERE, SECOND_NS));
    assert_eq!(shown(&intake, 11), "stale:behind 0.4x1");
    assert_eq!(check(&mut intake, &[11], 4_000), 1);
    rest(&mut intake, &book(11, 120, &[("0.4", "2")]), at(4_100));
    assert_eq!(shown(&intake, 11), "live 0.4x2");
}

#[test]
fn a_book_that_hears_it_in_time_is_not_behind_and_equal_levels_are_enough() {
    let mut intake = live(&[11]);
    rest(&mut intake, &book(11, 120, &[("0.4", "2")]), at(1_000));
    feed(&mut intake, &change(11, 120, "0.4", "2"));
    assert!(intake.books.poll_behind(9 * SECOND_NS).is_none());
    // The venue's time may move without a change of levels.
    rest(&mut intake, &book(11, 140, &[("0.4", "2")]), at(10_000));
    assert!(intake.books.poll_behind(19 * SECOND_NS).is_none());
    let counts = intake.books.repairs();
    assert_eq!((counts.audits_caught_up, counts.audits_matched, counts.audits_behind), (1, 1, 0));
}

#[test]
fn other_levels_at_one_time_and_hash_are_wrong_and_at_another_hash_undecided() {
    let (ours, others) = ("0".repeat(40), "1".repeat(40));
    for (hash, state) in [(&ours, "stale:disproved 0.4x1"), (&others, "live 0.4x1")] {
        let mut intake = intake(&[11]);
        let with = |text: String, hash: &str, kind: &str| {
            text.replace("\"bids\"", &format!("{kind}\"hash\":\"{hash}\",\"bids\""))
        };
        let kind = "\"event_type\":\"book\",";
        feed(&mut intake, &with(book(11, 100, &[("0.4", "1")]), &ours, kind));
        // More of this time may be on its way.
        rest(&mut intake, &with(book(11, 100, &[("0.4", "7")]), hash, ""), at(1));
        assert_eq!(shown(&intake, 11), "live 0.4x1");
        intake.books.settle(1, SECOND_NS);
        rest(&mut intake, &with(book(11, 100, &[("0.4", "7")]), hash, ""), at(1_000));
        assert_eq!(shown(&intake, 11), state);
    }
}

#[test]
fn two_books_of_a_market_at_rest_mirror_each_other_or_are_compared() {
    let mut intake = intake(&[11, 12]);
    let both = r#"[{"market":"0x1","asset_id":"11","timestamp":"100","event_type":"book","bids":[{"price":"0.4","size":"1"}],"asks":[{"price":"0.7","size":"2"}]},{"market":"0x1","asset_id":"12","timestamp":"100","event_type":"book","bids":[{"price":"0.3","size":"2"}],"asks":[{"price":"0.6","size":"1"}]}]"#;
    feed(&mut intake, both);
    let mut wanted = Vec::new();
    intake.books.check_mirrors(10, AUDIT_TIMEOUT_NS - 1, &mut wanted);
    assert_eq!(intake.books.repairs().mirrors_matched, 0, "not at rest");
    intake.books.check_mirrors(2, AUDIT_TIMEOUT_NS, &mut wanted);
    assert_eq!((intake.books.repairs().mirrors_matched, wanted.len()), (1, 0));
    // One of them misses a change that the other has.
    feed(&mut intake, &change(11, 101, "0.4", "5"));
    intake.books.check_mirrors(2, AUDIT_TIMEOUT_NS, &mut wanted);
    assert_eq!(intake.books.repairs().mirrors_mismatched, 1);
    assert_eq!(wanted, [token(11), token(12)]);
}

#[test]
fn a_audit_goes_round_the_live_books_in_turn() {
    let mut intake = live(&[11, 12, 13, 14, 15]);
    intake.books.store.set_tokens_stale(&[token(13)], HERE, StaleReason::FramesLost, 1);
    let mut seen = Vec::new();
    for _ in 0..4 {
        let mut wanted = Vec::new();
        intake.books.next_for_rest(2, &mut wanted);
        assert_eq!(wanted.len(), 2);
        seen.extend(wanted.iter().map(|token| token.as_str().to_owned()));
    }
    for i in ["11", "12", "14", "15"] {
        assert_eq!(seen.iter().filter(|&token| token == i).count(), 2, "{i} in {seen:?}");
    }
}
