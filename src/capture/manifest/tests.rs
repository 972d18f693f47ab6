//! Manifest lines.
use super::*;

#[test]
fn entries_come_back_and_the_end_of_the_last_run_is_known() {
    let gap = |connection, shard| Entry::Gap {
        from: 3,
        to: 9,
        connection,
        shard,
        frames: None,
        trades: None,
        cause: "reset \"by\" peer".into(),
    };
    let mut entries = vec![
        Entry::Started { at: 1, version: "0.1.0".into(), shards: 2 },
        gap(Some(4), None),
        gap(None, Some(1)),
    ];
    let text: String = entries.iter().map(Entry::to_line).collect();
    assert_eq!(read(&text), entries);
    assert!(!text.contains("null"), "{text}");
    assert_eq!(last_end(&entries), Some((9, false)));
    entries.push(Entry::Stopped { at: 20 });
    assert_eq!(last_end(&entries), Some((20, true)));
    assert_eq!(last_end(&[]), None);
    let text = text + "{\"event\":\"moved\"}\n\n{\"event\":\"gap\",";
    assert_eq!(read(&text), entries[..3]);
    assert_eq!(damaged(&text), [6]);
}
