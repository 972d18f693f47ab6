//! Compressed files have the text of those before, and a failure leaves those.
use super::*;
use crate::archive::folder::tests::write_run;
use crate::archive::verify::verify;

const EVERYTHING: Compaction = Compaction { level: 19, before_ns: u64::MAX };

fn capture(folder: &Path) -> PathBuf {
    let frame = |at: u64| {
        let price = 400 + at % 100;
        format!(
            r#"{{"t":{},"c":1,"s":{at},"k":"t","f":{{"market":"0xa1","price":"0.{price}","event_type":"price_change"}}}}"#,
            1_000 + at
        )
    };
    write_run(folder, 1_000, &(0..200).map(frame).collect::<Vec<_>>());
    file::segments(folder).unwrap().remove(0)
}

fn text(path: &Path) -> Vec<u8> {
    zstd::decode_all(&std::fs::read(path).unwrap()[..]).unwrap()
}

fn compact(folder: &Path, compaction: Compaction) -> Compacted {
    run(folder, compaction, &Arc::default(), |_, _, _| {}).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_smaller_has_its_text_and_is_left_alone_the_next_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(folder.path());
    let (before, files) = (text(&path), names(folder.path()));
    let young = Compaction { before_ns: 1_000, ..EVERYTHING };
    assert_eq!(compact(folder.path(), young), Compacted::default());
    let done = compact(folder.path(), EVERYTHING);
    assert_eq!((done.files, &done.faults), (1, &Vec::new()));
    assert!(done.after < done.before / 2, "{done:?}");
    assert_eq!((text(&path), names(folder.path())), (before, files));
    let verified = verify(folder.path(), &Arc::default()).unwrap();
    assert_eq!((verified.records, &verified.faults), (200, &Vec::new()));
    assert_eq!(verified.bytes, done.after);
    assert_eq!(compact(folder.path(), EVERYTHING), Compacted::default());
}

#[test]
fn a_damaged_file_and_an_interruption_leave_everything_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(folder.path());
    let whole = std::fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(&path, &bytes).unwrap();
    let (files, manifest) = (names(folder.path()), folder.path().join(manifest::FILE));
    let listed = std::fs::read(&manifest).unwrap();
    let done = compact(folder.path(), EVERYTHING);
    assert_eq!((done.files, done.faults.len()), (0, 1), "{done:?}");
    assert!(done.faults[0].ends_with("the file is as it was"), "{done:?}");
    let is_unchanged = |bytes: &[u8]| {
        assert_eq!(names(folder.path()), files);
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!(std::fs::read(&manifest).unwrap(), listed);
    };
    is_unchanged(&bytes);
    std::fs::write(&path, &whole).unwrap();
    let stop = Arc::new(AtomicBool::new(true));
    let done = run(folder.path(), EVERYTHING, &stop, |_, _, _| {}).unwrap();
    assert_eq!(done, Compacted::default());
    is_unchanged(&whole);
}

/// Wherever the process ends between the steps, a replay has everything.
#[test]
fn a_replay_misses_nothing_between_the_steps() {
    use crate::replay::lost_segments;
    let folder = tempfile::tempdir().unwrap();
    let path = capture(folder.path());
    let before = text(&path);
    let opened = CaptureFolder::open(folder.path()).unwrap();
    let segment = &opened.segments[0];
    let new = folder.path().join("new");
    let (blocks, ..) = write(segment, &new, 19, &Arc::default()).unwrap();
    let bytes = blocks.iter().map(|block| block.bytes).sum();
    let Listed { from, to, records, text_bytes, .. } = segment.listed.unwrap();
    let file = path.file_name().unwrap().to_str().unwrap().to_owned();
    let entry = Entry::Segment { file, from, to, records, bytes, text_bytes, level: Some(19) };
    let is_whole = || {
        assert_eq!(lost_segments(folder.path()), Vec::<String>::new());
        assert_eq!(text(&path), before);
        let len = std::fs::metadata(&path).unwrap().len();
        assert!(len >= bytes, "a file shorter than listed is reported as cut");
    };
    append(folder.path(), &entry).unwrap();
    is_whole();
    std::fs::remove_file(path.with_extension("").with_extension("index")).unwrap();
    is_whole();
    std::fs::rename(&new, &path).unwrap();
    is_whole();
}
