//! Where replays read, and the last message of a recording.
use super::*;

const HOUR: u64 = 3_600 * SECOND_NS;
/// 2026-11-27T07:00:00Z
const SEVEN: u64 = 1_795_762_800 * SECOND_NS;

impl Recorded {
    /// Two engines an hour each.
    pub(crate) fn of_two_hours(first_ns: u64) -> Self {
        let recording = Recording { feed: crate::venue::ALL[0], files: Vec::new() };
        let starts = vec![first_ns, first_ns + HOUR];
        let (first_ns, last_ns) = (Some(first_ns), Some(first_ns + 2 * HOUR));
        Self { recording, first_ns, last_ns, starts, gaps: Vec::new() }
    }
}

#[test]
fn a_replay_reads_from_the_start_of_the_engine_that_was_recording() {
    let recorded = Recorded::of_two_hours(SEVEN);
    assert_eq!(recorded.reads(&(0..u64::MAX)), None);
    let first = SEVEN - START_MARGIN_NS;
    assert_eq!(recorded.reads(&(SEVEN + 5..u64::MAX)), Some(first..u64::MAX));
    let range = SEVEN + HOUR + 5..SEVEN + HOUR + 9;
    assert_eq!(recorded.reads(&range), Some(first + HOUR..range.end));
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
        let recorded =
            Recorded { recording, first_ns: None, last_ns: None, starts, gaps: Vec::new() };
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
