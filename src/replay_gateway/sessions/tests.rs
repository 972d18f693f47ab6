//! Ranges and speeds that clients ask for, and how many replays run.
use super::*;

const HOUR: u64 = 3_600 * SECOND_NS;
/// 2026-11-27T07:00:00Z
const SEVEN: u64 = 1_795_762_800 * SECOND_NS;

fn recorded() -> Recorded {
    let recording = Recording { feed: crate::venue::ALL[0], files: Vec::new() };
    let starts = vec![SEVEN, SEVEN + HOUR];
    Recorded { recording, first_ns: Some(SEVEN), last_ns: Some(SEVEN + 2 * HOUR), starts }
}

fn sessions(from_ns: Option<u64>) -> Sessions {
    let defaults = Defaults { from_ns, to_ns: None, speed: Speed::Times(1.0) };
    Sessions::new(vec![recorded()], defaults, Settings::default(), 2)
}

fn asked(from: &str, to: &str, speed: &str) -> AskedRange {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    AskedRange { from: given(from), to: given(to), speed: given(speed) }
}

#[test]
fn a_client_chooses_range_and_speed_or_gets_the_defaults() {
    let recorded = recorded();
    let range = |from: &str, to: &str, speed: &str| {
        sessions(Some(SEVEN + 1)).asked(&recorded, &asked(from, to, speed))
    };
    assert_eq!(range("", "", ""), Ok((SEVEN + 1..u64::MAX, Speed::Times(1.0))));
    let half_past = SEVEN + HOUR / 2;
    let both = range("2026-11-27T07:30:00Z", "2026-11-27T09:00:00+01:00", "max");
    assert_eq!(both, Ok((half_past..SEVEN + HOUR, Speed::Max)));
    assert_eq!(range("", "", "10").unwrap().1, Speed::Times(10.0));
    assert_eq!(range("", "", "2.5x").unwrap().1, Speed::Times(2.5));
    assert_eq!(range(&half_past.to_string(), "", "").unwrap().0, half_past..u64::MAX);
}

#[test]
fn what_is_no_range_is_refused_with_one_line() {
    let recorded = recorded();
    let refused = |from: &str, to: &str, speed: &str| {
        sessions(None).asked(&recorded, &asked(from, to, speed)).unwrap_err()
    };
    assert!(refused("noon", "", "").starts_with("from=: expected a time such as"));
    assert!(refused("", "noon", "").starts_with("to=: "));
    for speed in ["0", "-1", "fast", "1e3"] {
        assert!(refused("", "", speed).starts_with("speed=: use `max`"), "{speed}");
    }
    assert_eq!(refused("8", "7", ""), "from= must be before to=");
    assert_eq!(
        refused("2026-11-28T00:00:00Z", "", ""),
        "nothing was recorded then; the capture has 2026-11-27T07:00:00.000Z to 2026-11-27T09:00:00.000Z"
    );
    assert!(refused("", "2026-11-26T00:00:00Z", "").starts_with("nothing was recorded"));
}

#[test]
fn a_replay_reads_from_the_start_of_the_engine_that_was_recording() {
    let recorded = recorded();
    assert_eq!(recorded.reads(&(0..u64::MAX)), None);
    let first = SEVEN - START_MARGIN_NS;
    assert_eq!(recorded.reads(&(SEVEN + 5..u64::MAX)), Some(first..u64::MAX));
    let range = SEVEN + HOUR + 5..SEVEN + HOUR + 9;
    assert_eq!(recorded.reads(&range), Some(first + HOUR..range.end));
}

#[test]
fn replays_are_bounded() {
    let count = Arc::default();
    let first = Running::begin(&count, 2);
    let second = Running::begin(&count, 2);
    assert!(first.is_some() && second.is_some() && Running::begin(&count, 2).is_none());
    drop(first);
    assert!(Running::begin(&count, 2).is_some());
}

#[test]
fn the_last_message_is_that_before_the_engine_began_to_stop() {
    let last = |starts: Vec<u64>, blocks: &[&[(u64, &str)]]| {
        let folder = tempfile::tempdir().unwrap();
        let (mut segment, mut index) = (Vec::new(), String::new());
        for records in blocks {
            let mut block = index::Block { offset: segment.len() as u64, ..Default::default() };
            let line = |(seconds, rest): &(u64, &str)| {
                let at_ns = SEVEN + seconds * SECOND_NS;
                block.add(at_ns);
                format!("{{\"t\":{at_ns},\"c\":1,\"s\":0,{rest}}}\n")
            };
            let text: String = records.iter().map(line).collect();
            segment.extend(zstd::encode_all(text.as_bytes(), 1).unwrap());
            block.bytes = segment.len() as u64 - block.offset;
            index += &block.to_line();
        }
        std::fs::write(folder.path().join("a.ndjson.zst"), segment).unwrap();
        std::fs::write(folder.path().join("a.index"), index).unwrap();
        let files = vec![Source::Path(folder.path().join("a.ndjson.zst"))];
        let recording = Recording { feed: crate::venue::ALL[0], files };
        let recorded = Recorded { recording, first_ns: None, last_ns: None, starts };
        recorded.last_message_ns().map(|at_ns| at_ns - SEVEN)
    };
    const TEXT: &str = r#""k":"t","f":{}"#;
    const STOPPING: &str = r#""k":"s","d":0"#;
    const ENDED: &str = r#""k":"e","why":"reset""#;
    let second = |seconds: u64| Some(seconds * SECOND_NS);
    // Messages come until a connection is closed; the shards stop one after the other, and write in turns.
    let late = [(90, TEXT), (92, STOPPING), (93, TEXT), (93, ENDED)];
    let early = [(90, TEXT), (91, STOPPING), (92, TEXT)];
    let blocks: [&[_]; 3] = [&[(20, TEXT), (21, STOPPING), (80, ENDED)], &early, &late];
    assert_eq!(last(vec![SEVEN, SEVEN + 30 * SECOND_NS], &blocks), Some(91 * SECOND_NS - 1));
    // Connections that ended by themselves just before are no stop, nor is that of an earlier engine.
    let blocks: [&[_]; 2] = [&[(84, STOPPING), (85, TEXT)], &[(90, TEXT), (91, ENDED), (92, TEXT)]];
    assert_eq!(last(vec![SEVEN + 85 * SECOND_NS], &blocks), second(92));
    assert_eq!(last(Vec::new(), &[&[(5, TEXT), (6, ENDED)], &[(7, ENDED)]]), second(5));
    assert_eq!(last(Vec::new(), &[]), None);
}
