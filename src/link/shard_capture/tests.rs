//! Order of records, and chunks that are missing.
use super::*;

const AT: ConnectionId = ConnectionId(3);

fn drain(receiver: &mut CaptureReceiver) -> Vec<(Kind, u64, String)> {
    let mut all = Vec::new();
    while let Some(mut chunk) = receiver.full.try_receive() {
        all.extend(chunk.iter().map(|e| (e.kind, e.wall_ns, e.payload.to_owned())));
        chunk.clear();
        assert!(receiver.empty.try_send(chunk).is_ok());
    }
    all
}

#[test]
fn records_come_out_in_order_as_they_went_in() {
    let (mut sender, mut receiver) = capture_link(ShardId(0), 2);
    sender.frame(AT, 1, "one", false);
    sender.sent(AT, 2, "two");
    sender.tokens(AnnotationRecord::Dropped, AT, 3, None, &[TokenId::new("7").unwrap()]);
    sender.frame(AT, 4, "", true);
    assert!(sender.ship(5));
    let text = |text: &str| text.to_owned();
    assert_eq!(
        drain(&mut receiver),
        [
            (Kind::Text, 1, text("one")),
            (Kind::Sent, 2, text("two")),
            (Kind::Annotation(AnnotationRecord::Dropped), 3, text(r#","a":["7"]"#)),
            (Kind::TextSkipped, 4, text("")),
        ]
    );
}

#[test]
fn books_have_the_slug_of_their_market() {
    let (mut sender, mut receiver) = capture_link(ShardId(0), 2);
    let opening = |token: &str| BookOpening {
        market: crate::base::id::MarketId::new("0xa1").unwrap(),
        token: TokenId::new(token).unwrap(),
        tick_size: None,
        min_order_size: None,
        neg_risk: false,
    };
    let books = [("7", r#"a-"b""#), ("8", "")];
    let books =
        books.map(|(token, slug)| NamedOpening { opening: opening(token), slug: slug.into() });
    sender.books(AnnotationRecord::Books, AT, 1, books.iter());
    assert!(sender.ship(2));
    let payload =
        r#","books":[{"m":"0xa1","a":"7","n":false,"s":"a-\"b\""},{"m":"0xa1","a":"8","n":false}]"#;
    assert_eq!(drain(&mut receiver)[0].2, payload);
}

#[test]
fn without_an_empty_chunk_frames_are_dropped_and_counted_and_commands_are_kept() {
    let (mut sender, mut receiver) = capture_link(ShardId(0), 1);
    let frame = "x".repeat(CAPTURE_CHUNK_BYTES);
    // One fills the chunk at hand, the second one takes the empty one; then there is none.
    (0..5).for_each(|at| sender.frame(AT, at, &frame, false));
    sender.ended(AT, 9, "reset");
    let seen = drain(&mut receiver);
    assert_eq!(seen.iter().map(|(_, at, _)| *at).collect::<Vec<_>>(), [0]);
    sender.frame(AT, 10, "after", false);
    assert!(!sender.ship(11), "none is empty");
    let rest = drain(&mut receiver);
    let short: Vec<_> = rest.iter().map(|(k, at, p)| (*k, *at, p.len().min(9))).collect();
    assert_eq!(short[..2], [(Kind::Text, 1, 9), (Kind::Ended, 9, 5)]);
    assert!(sender.ship(12));
    let rest = drain(&mut receiver);
    assert_eq!(rest[0], (Kind::Lost, 10, "3 0".into()));
    assert_eq!(rest[1], (Kind::Text, 10, "after".into()));
    assert_eq!(receiver.unsent(), FrameCount::default());
    // One that finds no room and no chunk at the end is known to the other end.
    (0..4).for_each(|at| sender.frame(AT, 20 + at, &frame, false));
    drop(sender);
    let seen = drain(&mut receiver).iter().filter(|(kind, ..)| *kind == Kind::Text).count();
    assert_eq!(receiver.unsent().frames + seen as u64, 4);
}

#[test]
fn housekeeping_is_dropped_only_behind_lost_frames() {
    let (mut sender, mut receiver) = capture_link(ShardId(0), 1);
    let frame = "x".repeat(CAPTURE_CHUNK_BYTES);
    (0..2).for_each(|at| sender.frame(AT, at, &frame, false));
    sender.housekeeping(2, 2);
    sender.frame(AT, 3, &frame, false);
    sender.housekeeping(4, 4);
    let mut seen = Vec::new();
    for at in 5..9 {
        seen.extend(drain(&mut receiver));
        sender.ship(at);
    }
    let kind = Kind::Annotation(AnnotationRecord::Housekeeping);
    let seen: Vec<u64> = seen.iter().filter(|(of, ..)| *of == kind).map(|(_, at, _)| *at).collect();
    assert_eq!(seen, [2]);
}

#[test]
fn trades_in_lost_frames_are_counted() {
    let (mut sender, mut receiver) = capture_link(ShardId(0), 1);
    let trade = |i: usize| format!("{}{}", r#"{"type":"trade","x":""#, "x".repeat(i));
    let long = trade(CAPTURE_CHUNK_BYTES);
    (0..4).for_each(|at| sender.frame(AT, at, &long, false));
    drain(&mut receiver);
    assert!(sender.ship(5));
    let mut chunk = receiver.full.try_receive().expect("one that was full");
    assert_eq!(chunk.count(), FrameCount { frames: 1, trades: 1 });
    chunk.clear();
    assert!(receiver.empty.try_send(chunk).is_ok());
    assert!(sender.ship(6));
    let chunk = receiver.full.try_receive().expect("the marker");
    assert_eq!(chunk.count(), FrameCount { frames: 2, trades: 2 });
    sender.frame(AT, 7, &trade(1), true);
    drop(sender);
    assert_eq!(receiver.unsent(), FrameCount { frames: 1, trades: 1 });
}
