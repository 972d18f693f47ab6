//! A recording of another tool.
use super::*;
use crate::io::file::Source;
use crate::replay::Recording;

const FRAMES: [(u64, &str); 5] = [
    (
        10,
        r#"{"market":"0xa1","asset_id":"7","timestamp":"1","event_type":"book","bids":[{"price":"0.4","size":"1"}],"asks":[]}"#,
    ),
    (
        20,
        r#"{"market":"0xa1","asset_id":"8","timestamp":"1","event_type":"book","bids":[],"asks":[{"price":"0.6","size":"1"}]}"#,
    ),
    (
        30,
        r#"{"market":"0xb2","asset_id":"9","timestamp":"1","event_type":"book","bids":[{"price":"0.1","size":"1"}],"asks":[]}"#,
    ),
    (
        40,
        r#"{"market":"0xa1","timestamp":"2","price_changes":[{"asset_id":"7","side":"BUY","price":"0.5","size":"2"}],"event_type":"price_change"}"#,
    ),
    (
        90,
        r#"{"market":"0xb2","timestamp":"2","price_changes":[{"asset_id":"9","side":"BUY","price":"0.2","size":"2"}],"event_type":"price_change"}"#,
    ),
];

/// Token, state and bids of each book, or the error.
fn at(recorded: &Recorded, market: &str, at_ns: u64) -> Result<Vec<String>, String> {
    let found = books_at(std::slice::from_ref(recorded), market, at_ns, &Arc::default())?;
    let shown = |image: &BookImage| {
        let bids: Vec<String> = image.bids.iter().map(|level| level.price.to_string()).collect();
        format!("{} {} {}", image.token.as_ref().unwrap(), image.state.name(), bids.join(","))
    };
    Ok(found.books.iter().map(shown).collect())
}

#[test]
fn a_recording_of_another_tool_has_the_books_of_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("day.ndjson.zst");
    let line = |(at, frame): &(u64, &str)| {
        format!(r#"{{"t":{at},"c":1,"s":0,"k":"t","f":{frame}}}"#) + "\n"
    };
    let text: String = FRAMES.iter().map(line).collect();
    std::fs::write(&path, zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
    let recording = Recording { feed: crate::venue::ALL[0], files: vec![Source::Path(path)] };
    let recorded = Recorded::open(recording.clone()).unwrap().0;
    let books = |market: &str, at_ns: u64| at(&recorded, market, at_ns);
    assert_eq!(books("0xa1", 40).unwrap(), ["7 live 0.4,0.5", "8 live "]);
    assert_eq!(books("0xa1", 39).unwrap(), ["7 live 0.4", "8 live "]);
    assert_eq!(books("7", 100).unwrap(), ["7 live 0.4,0.5"]);
    assert_eq!(books("0xb2", 89).unwrap(), ["9 live 0.1"]);
    assert!(books("0xb2", 29).unwrap_err().contains("0xb2: no such market had a book at 1970"));
    assert!(books("0xa1", 9).unwrap_err().starts_with("nothing was recorded then"));
    // The engine was killed, and another one started later.
    let gap = r#"{"event":"gap","from":45,"to":85,"cause":"the process ended without stopping"}"#;
    std::fs::write(folder.path().join("manifest.ndjson"), format!("{gap}\n")).unwrap();
    let recorded = Recorded::open(recording).unwrap().0;
    assert_eq!(at(&recorded, "7", 45).unwrap(), ["7 live 0.4,0.5"]);
    assert_eq!(at(&recorded, "7", 60).unwrap(), ["7 stale:disconnected 0.4,0.5"]);
    let found = books_at(&[recorded], "7", 60, &Arc::default()).unwrap();
    assert!(found.not_live(60)[0].starts_with("7 was stale:disconnected at "));
    assert!(found.failures[0].ends_with("the process ended without stopping"));
}
