//! Parts of captures of several runs.
use super::*;
use crate::archive::folder::tests::write_run;
use crate::archive::verify::verify;

fn frame(at: u64, market: &str) -> String {
    format!(r#"{{"t":{at},"c":1,"s":1,"k":"t","f":{{"market":"0x{market}","event_type":"book"}}}}"#)
}

fn books(at: u64, market: &str) -> String {
    format!(
        r#"{{"t":{at},"c":1,"s":0,"k":"m","d":0,"books":[{{"m":"0x{market}","a":"{market}","n":false}}]}}"#
    )
}

/// Of the part: the lines without headers.
fn lines(folder: &std::path::Path) -> Vec<String> {
    let segments = file::segments(folder).unwrap();
    let text = segments
        .iter()
        .flat_map(|path| zstd::decode_all(&std::fs::read(path).unwrap()[..]).unwrap());
    let text = String::from_utf8(text.collect()).unwrap();
    text.lines().filter(|line| !line.contains(r#""k":"v""#)).map(str::to_owned).collect()
}

#[test]
fn a_part_begins_with_the_engine_that_was_recording_and_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let second = 1_000_000_000;
    let runs: [Vec<String>; 3] = [10, 20, 30].map(|begun| {
        let begun = begun * second;
        vec![books(begun, "a1"), frame(begun + 1, "a1"), books(begun, "b7"), frame(begun + 9, "b7")]
    });
    for (run, begun) in runs.iter().zip([10, 20, 30]) {
        write_run(&whole, begun * second, run);
    }
    let part = |name: &str, range: Range<u64>, markets: &[&str]| {
        let out = folder.path().join(name);
        let markets = markets.iter().map(|&name| name.to_owned()).collect();
        let cut = Cut { folders: vec![whole.clone()], out: out.clone(), range, markets };
        let written = run(&cut, &Arc::default()).unwrap();
        assert_eq!(verify(&out, &Arc::default()).unwrap().faults, Vec::<String>::new(), "{name}");
        (lines(&out), written)
    };
    let (all, written) = part("all", 0..u64::MAX, &[]);
    assert_eq!((all, written.read, written.records), (runs.concat(), 12, 12));
    let (later, _) = part("later", 25 * second..u64::MAX, &[]);
    assert_eq!(later, runs[1..].concat());
    let (middle, _) = part("middle", 25 * second..30 * second + 5, &[]);
    assert_eq!(middle, [&runs[1][..], &runs[2][..3]].concat());
    let (of_one, written) = part("one", 0..u64::MAX, &["b7", "c9"]);
    assert_eq!(of_one, runs.iter().flat_map(|run| run[2..].to_vec()).collect::<Vec<_>>());
    assert_eq!(written.faults.len(), 1, "{written:?}");
    assert!(written.faults[0].starts_with("--market c9: no book"), "{written:?}");
    // Gaps between the runs, and their regular ends, are those of the whole.
    let manifest = |folder: &str| {
        let folder = CaptureFolder::open(&folder_of(&whole, folder)).unwrap();
        let of_runs = |entry: &Entry| !matches!(entry, Entry::Segment { .. });
        folder.manifest.into_iter().filter(of_runs).collect::<Vec<_>>()
    };
    assert_eq!(manifest("all"), manifest("whole"));
    let cut = Cut {
        folders: vec![whole.clone()],
        out: whole.clone(),
        range: 0..u64::MAX,
        markets: Vec::new(),
    };
    assert!(run(&cut, &Arc::default()).unwrap_err().contains("is not empty"));
    let cut = Cut { out: folder.path().join("none"), range: 0..7, ..cut };
    assert!(run(&cut, &Arc::default()).unwrap_err().contains("nothing is written"));
}

fn folder_of(whole: &std::path::Path, name: &str) -> PathBuf {
    whole.with_file_name(name)
}

#[test]
fn what_is_damaged_is_a_loss_in_the_part() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    write_run(&whole, 5, &[frame(5, "a1"), frame(6, "a1"), frame(7, "a1")]);
    let path = &file::segments(&whole).unwrap()[0];
    let mut bytes = std::fs::read(path).unwrap();
    let block = CaptureFolder::open(&whole).unwrap().segments[0].blocks[1];
    bytes[(block.offset + block.bytes / 2) as usize] ^= 0x55;
    std::fs::write(path, bytes).unwrap();
    let out = folder.path().join("part");
    let cut =
        Cut { folders: vec![whole], out: out.clone(), range: 0..u64::MAX, markets: Vec::new() };
    let written = run(&cut, &Arc::default()).unwrap();
    assert_eq!(written.faults.len(), 1, "{written:?}");
    let found = lines(&out);
    let lost = r#"{"t":5,"s":0,"k":"l","n":0}"#.to_owned();
    assert_eq!(found, [frame(5, "a1"), lost, frame(7, "a1")]);
}
