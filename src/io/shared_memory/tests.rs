//! Words seen through two mappings, and other files.
use super::*;
use std::sync::atomic::Ordering;

const COUNT: usize = 1_000;

fn is_ours(words: &[AtomicU64]) -> bool {
    words[0].load(Ordering::Relaxed) == 7
}

#[test]
fn words_are_shared_and_there_is_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("words");
    let writer = SharedWords::create(&path, COUNT, is_ours).unwrap();
    let reader = SharedWords::open(&path).unwrap();
    assert_eq!((writer.words().len(), reader.words().len()), (COUNT, COUNT));
    writer.words()[0].store(7, Ordering::Release);
    writer.words()[COUNT - 1].store(8, Ordering::Release);
    assert_eq!(reader.words()[COUNT - 1].load(Ordering::Acquire), 8);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    let second = SharedWords::create(&path, COUNT, is_ours).unwrap_err();
    assert!(second.starts_with("is written by process"), "{second}");
    drop(writer);
    let again = SharedWords::create(&path, COUNT, is_ours).unwrap();
    assert_eq!(again.words()[COUNT - 1].load(Ordering::Relaxed), 8, "readers keep their mapping");
}

/// For Miri, which maps no files.
#[test]
fn the_words_are_those_of_the_mapping() {
    let map = MmapOptions::new().len(COUNT * WORD).map_anon().unwrap();
    let shared = SharedWords { map: map.into(), _file: File::open("/dev/null").unwrap() };
    assert_eq!(shared.words().len(), COUNT);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            (0..COUNT as u64).for_each(|place| {
                shared.words()[place as usize].store(place + 1, Ordering::Release);
            });
        });
        while shared.words()[COUNT - 1].load(Ordering::Acquire) == 0 {
            std::hint::spin_loop();
        }
        // What is written before the last word is seen with it.
        let seen = shared.words().iter().map(|word| word.load(Ordering::Relaxed));
        assert!(seen.eq(1..=COUNT as u64));
        writer.join().unwrap();
    });
}

#[test]
fn other_files_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("words");
    let refused = |path: &Path| SharedWords::create(path, COUNT, is_ours).unwrap_err();
    for content in [b"text".to_vec(), vec![1; COUNT * WORD]] {
        std::fs::write(&path, &content).unwrap();
        assert_eq!(refused(&path), FOREIGN);
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(!refused(&link).is_empty() && !refused(folder.path()).is_empty());
    assert!(!refused(&folder.path().join("none/words")).is_empty());
}
