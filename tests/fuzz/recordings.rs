//! Recordings of the venue as further seeds: read in place where the folder exists.

use std::path::Path;

/// Longest recording that is taken whole; of a longer one, the first lines are.
const BYTES_MAX: usize = 64 * 1024;
/// Lines of one file.
const LINES_MAX: usize = 24;

/// Recordings that a target can read; none where the folder is missing.
pub(crate) fn for_target(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/polymarket");
    let mut files = Vec::new();
    gather(&folder, &mut files);
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let path = file.to_string_lossy().into_owned();
        let Ok(bytes) = std::fs::read(&file) else { continue };
        let catalog = path.contains("gamma") || path.contains("market");
        match name {
            "decode" => all.extend(lines(&bytes)),
            "catalog" if catalog && bytes.len() <= BYTES_MAX => all.push(bytes),
            "replay" if bytes.len() <= BYTES_MAX => all.push([&[0], &bytes[..]].concat()),
            _ => {}
        }
    }
    all
}

fn gather(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            gather(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// A file of one value as it is; the lines of one that has many.
fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Vec::new() };
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() && bytes.len() <= BYTES_MAX {
        return vec![bytes.to_vec()];
    }
    let short = text.lines().filter(|line| line.len() <= BYTES_MAX);
    short.take(LINES_MAX).map(|line| line.as_bytes().to_vec()).collect()
}
