//! Turns of shards, clocks set back, and lines without a shard.
use super::*;

fn order(lines: &[String]) -> Vec<u64> {
    let mut order = ReceiveOrder::default();
    let mut out = Vec::new();
    for (number, line) in (1..).zip(lines) {
        let position = Position { file: 0, line: number, offset: 0 };
        if !order.push_unless_next(&Record::read(line), line, position) {
            out.push(number);
        }
        out.extend(std::iter::from_fn(|| order.poll()).map(|next| next.position.line));
    }
    out.extend(std::iter::from_fn(|| order.pop()).map(|next| next.position.line));
    assert_eq!(order.bytes, 0);
    out
}

fn opened(t: u64, c: u64, d: u64) -> String {
    format!(r#"{{"t":{t},"c":{c},"s":0,"k":"m","d":{d},"books":[]}}"#)
}

fn started(t: u64, d: u64) -> String {
    format!(r#"{{"t":{t},"c":0,"s":0,"k":"p","d":{d},"shards":2,"hashes":"off"}}"#)
}

fn frame(t: u64, c: u64) -> String {
    format!(r#"{{"t":{t},"c":{c},"s":1,"k":"t","f":{{"event_type":"x"}}}}"#)
}

#[test]
fn the_turns_of_shards_are_merged_by_time() {
    let lines = [
        opened(100, 1, 0),
        frame(120, 1),
        frame(140, 1),
        opened(101, 2, 1),
        frame(121, 2),
        frame(150, 2),
        frame(145, 1),
    ];
    assert_eq!(order(&lines), [1, 4, 2, 5, 3, 7, 6]);
}

#[test]
fn a_record_waits_no_longer_than_until_every_shard_of_the_engine_has_a_later_one() {
    let mut order = ReceiveOrder::default();
    let mut push = |line: String| {
        order.push(&Record::read(&line), &line, Position::default());
        std::iter::from_fn(|| order.poll()).map(|next| next.key.receive_ns).collect::<Vec<_>>()
    };
    assert!(push(started(100, 0)).is_empty());
    assert_eq!(push(started(101, 1)), [100]);
    assert!(push(opened(130, 1, 1)).is_empty());
    assert_eq!(push(opened(120, 2, 0)), [101, 120]);
    assert_eq!(push(frame(140, 2)), [130]);
}

#[test]
fn the_records_of_one_shard_do_not_wait() {
    let mut order = ReceiveOrder::default();
    let start = started(100, 0).replace(r#""shards":2"#, r#""shards":1"#);
    for line in [start, opened(110, 1, 0), frame(105, 1), "PONG".to_owned()] {
        let waits = order.push_unless_next(&Record::read(&line), &line, Position::default());
        assert!(!waits, "{line}");
    }
    assert!(order.pop().is_none());
}

#[test]
fn connections_are_merged_by_time_also_where_their_shards_are_not_named() {
    let lines = [frame(120, 1), frame(140, 1), frame(110, 2), frame(130, 2), opened(135, 2, 1)];
    assert_eq!(order(&lines), [3, 1, 4, 5, 2]);
}

#[test]
fn one_shard_keeps_its_order_when_the_clock_is_set_back() {
    let lines = [opened(100, 1, 0), frame(130, 1), frame(110, 1), frame(120, 1), frame(140, 1)];
    assert_eq!(order(&lines), [1, 2, 3, 4, 5]);
    // Its shard is named later.
    let lines = [frame(130, 1), frame(110, 1), opened(120, 1, 0), frame(125, 1)];
    assert_eq!(order(&lines), [1, 2, 3, 4]);
}

#[test]
fn the_header_of_a_file_is_of_no_shard() {
    let header = r#"{"t":150,"c":0,"s":0,"k":"v","d":0,"f":""}"#.to_owned();
    let lines = [header, opened(100, 1, 0), opened(110, 2, 1), frame(105, 1)];
    assert_eq!(order(&lines), [2, 4, 3, 1]);
}

#[test]
fn a_line_without_a_time_follows_the_one_before_it() {
    let text = |text: &str| text.to_owned();
    assert_eq!(order(&[text("PONG"), text("{}"), text("[]")]), [1, 2, 3]);
    let lines = [frame(120, 1), text("PONG"), frame(110, 2), text("PONG"), frame(130, 1)];
    assert_eq!(order(&lines), [3, 4, 1, 2, 5]);
}

#[test]
fn another_recording_or_engine_follows_the_first_one() {
    let late = 100 * DISORDER_NS;
    let lines = [opened(late, 1, 0), frame(late + 5, 1), opened(7, 1, 0), frame(9, 1)];
    assert_eq!(order(&lines), [1, 2, 3, 4]);
    let lines = [
        started(100, 0),
        started(101, 1),
        opened(150, 1, 1),
        started(120, 0),
        started(121, 1),
        opened(122, 1, 0),
    ];
    assert_eq!(order(&lines), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn records_are_passed_on_when_none_can_precede_them_or_there_are_too_many() {
    let mut order = ReceiveOrder::default();
    let push = |order: &mut ReceiveOrder, line: String| {
        order.push(&Record::read(&line), &line, Position::default());
    };
    push(&mut order, opened(100, 1, 0));
    assert!(order.poll().is_none());
    push(&mut order, frame(100 + DISORDER_NS, 1));
    assert!(order.poll().is_some() && order.poll().is_none());
    let long = "x".repeat(REPLAY_ORDER_BYTES_MAX);
    push(&mut order, format!(r#"{{"t":200,"c":1,"s":2,"k":"x","f":"{long}"}}"#));
    assert_eq!(std::iter::from_fn(|| order.poll()).count(), 2);
    assert_eq!(order.bytes, 0);
}
