//! How recorded frames are stored, and how to get the frames out again.

use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// One frame a line.
    Lines,
    /// The file is one frame, over several lines or not.
    Value,
    /// Lines `{"raw":"<escaped frame>",…}`.
    Raw,
    /// Lines `{"msg":{…},…}`.
    Msg,
}

/// The recordings, next to this clone; none of them is part of the repository.
pub(crate) fn folder() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = [root.join("../shared/fixtures"), root.join("../../shared/fixtures")];
    let found = shared.into_iter().map(|f| f.join("polymarket")).find(|f| f.is_dir());
    if found.is_none() {
        eprintln!("note: no recordings next to this clone; skipped");
    }
    found
}

pub(crate) fn read(path: &Path) -> String {
    let file = std::fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut text = String::new();
    match path.extension().and_then(|e| e.to_str()) {
        Some("zst") => zstd::Decoder::new(file).unwrap().read_to_string(&mut text).unwrap(),
        Some("gz") => flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap(),
        _ => std::io::BufReader::new(file).read_to_string(&mut text).unwrap(),
    };
    text
}

pub(crate) fn frames(path: &Path, stored: Stored) -> Vec<String> {
    let text = read(path);
    if stored == Stored::Value {
        return vec![text];
    }
    let unwrap = |line: &str| match stored {
        Stored::Lines | Stored::Value => line.to_owned(),
        Stored::Raw => {
            serde_json::from_str::<Value>(line).unwrap()["raw"].as_str().unwrap().to_owned()
        }
        Stored::Msg => serde_json::from_str::<Value>(line).unwrap()["msg"].to_string(),
    };
    text.lines().map(unwrap).collect()
}
