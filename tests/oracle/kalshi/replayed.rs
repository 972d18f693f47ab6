//! Recordings through the engine: its final books and counts are the reference's.

use super::Record;
use super::engine;
use super::reference::Reference;
use super::stored::{self, BTC, PROD, RECORDINGS, Recording};
use crate::generate;

fn replay(recording: &Recording, form: &str, packing: &str, records: &[Record]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let lines = if form == "raw" { stored::raw(records) } else { stored::capture(records) };
    let file = generate::pack(folder.path(), "recording", packing, &lines);
    let reference = Reference::of(records);
    let wrong = engine::failures(&reference, &file, true);
    let name = format!("{} as {form}{packing}", recording.file);
    wrong.into_iter().map(|w| format!("{name}: {w}")).collect()
}

#[test]
fn engine_replays_kalshi_recordings_to_the_reference() {
    let Some(folder) = stored::folder() else { return };
    if !engine::reads_kalshi() {
        return;
    }
    let mut failures = Vec::new();
    for recording in &RECORDINGS {
        let records = recording.records(&folder);
        for packing in ["", ".zst"] {
            failures.extend(replay(recording, "capture", packing, &records));
        }
    }
    assert!(failures.is_empty(), "{}", engine::shorten(&mut failures));
}

/// Without receive times and connections: each connection's frames alone, one a line.
#[test]
fn engine_replays_raw_kalshi_frames_to_the_reference() {
    let Some(folder) = stored::folder() else { return };
    if !engine::reads_kalshi() {
        return;
    }
    let mut failures = Vec::new();
    for recording in [PROD, BTC] {
        let records = recording.records(&folder);
        for connection in 1..=3 {
            let own = records.iter().filter(|r| r.connection == connection);
            let own: Vec<Record> = own.cloned().collect();
            if !own.is_empty() {
                failures.extend(replay(&recording, "raw", ".zst", &own));
            }
        }
    }
    assert!(failures.is_empty(), "{}", engine::shorten(&mut failures));
}

/// One recorded frame is missing: every book of its stream that no snapshot renews is stale.
#[test]
fn engine_notices_one_missing_kalshi_frame() {
    let Some(folder) = stored::folder() else { return };
    if !engine::reads_kalshi() {
        return;
    }
    let records = PROD.records(&folder);
    let mut failures = Vec::new();
    for missing in (1..records.len()).step_by(29) {
        let mut rest = records.clone();
        rest.remove(missing);
        let reference = Reference::of(&rest);
        let last = missing + 1 == records.len();
        assert_eq!(reference.holes + reference.joined_late, u64::from(!last), "{missing}");
        failures.extend(replay(&PROD, "capture", "", &rest));
    }
    assert!(failures.is_empty(), "{}", engine::shorten(&mut failures));
}
