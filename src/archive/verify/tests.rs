//! Captures with and without damage.
use super::*;
use crate::archive::folder::tests::write;
use crate::capture::index;
use crate::capture::manifest;

fn faults(folder: &Path) -> Vec<String> {
    let mut faults = verify(folder, &Arc::default()).unwrap().faults;
    let shown = format!("{}/", folder.display());
    faults.iter_mut().for_each(|fault| *fault = fault.replace(&shown, ""));
    faults
}

/// Changes a file.
fn change(path: &Path, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    std::fs::write(path, change(std::fs::read(path).unwrap())).unwrap();
}

#[test]
fn a_whole_capture_has_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let files = write(folder.path(), &[1_000, 2_000, 3_000]);
    let found = verify(folder.path(), &Arc::default()).unwrap();
    assert_eq!(found.faults, Vec::<String>::new());
    assert_eq!((found.files, found.records), (2, 6));
    let bytes: u64 = files.iter().map(|path| std::fs::metadata(path).unwrap().len()).sum();
    assert_eq!(found.bytes, bytes);
    let none = tempfile::tempdir().unwrap();
    assert!(verify(none.path(), &Arc::default()).unwrap_err().contains("without a capture"));
    assert!(verify(&files[0], &Arc::default()).unwrap_err().contains("is a file"));
}

#[test]
fn a_damaged_line_of_the_manifest_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[1_000, 2_000, 3_000]);
    change(&folder.path().join(FILE), |mut bytes| {
        let at = bytes.iter().position(|byte| *byte == b':').unwrap();
        bytes[at] = b'x';
        bytes
    });
    let found = faults(folder.path());
    assert!(found.len() == 1 && found[0].contains("line 1 is damaged"), "{found:?}");
}

#[test]
fn each_fault_is_a_line() {
    type Damage = fn(&Path, &Path);
    let cases: [(Damage, &[&str]); 7] = [
        (
            |first, _| std::fs::remove_file(first).unwrap(),
            &["the manifest lists this file, but it is missing"],
        ),
        (
            |first, _| {
                change(first, |mut bytes| {
                    let middle = bytes.len() / 4;
                    bytes[middle] ^= 0x55;
                    bytes
                })
            },
            &["block 1: "],
        ),
        (
            |first, _| change(first, |bytes| bytes[..bytes.len() - 3].to_vec()),
            &["its index leads to byte", "the manifest says"],
        ),
        (
            |first, _| change(first, |bytes| [bytes, b"xyz".to_vec()].concat()),
            &["behind byte", "the manifest says"],
        ),
        (|_, index| std::fs::remove_file(index).unwrap(), &["its index is missing or empty"]),
        (
            |_, index| {
                change(index, |bytes| {
                    let mut blocks = index::read(&String::from_utf8(bytes).unwrap());
                    blocks[1].records += 1;
                    blocks.into_iter().map(index::Block::to_line).collect::<String>().into_bytes()
                })
            },
            &["block 2 has 2 records"],
        ),
        (
            |first, _| {
                let manifest = first.parent().unwrap().join(manifest::FILE);
                change(&manifest, |bytes| {
                    let text = String::from_utf8(bytes).unwrap();
                    text.replacen("\"records\":4", "\"records\":5", 1).into_bytes()
                })
            },
            &["the file has 4 records"],
        ),
    ];
    for (damage, lines) in cases {
        let folder = tempfile::tempdir().unwrap();
        let files = write(folder.path(), &[1_000, 2_000, 3_000]);
        let index = files[0].with_extension("").with_extension("index");
        damage(&files[0], &index);
        let found = faults(folder.path());
        assert_eq!(found.len(), lines.len(), "{found:?} {lines:?}");
        for (fault, line) in found.iter().zip(lines) {
            assert!(fault.contains(line), "{fault}");
        }
    }
}
