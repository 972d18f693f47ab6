//! Folders of captures for tests, and what is taken.
use crate::io::file;
use crate::sink::capture::segment::{Folder, Rotation};
use std::path::{Path, PathBuf};

/// Writes a run that starts at `wall_ns`, with a block for each record.
pub(crate) fn write_run(folder: &Path, wall_ns: u64, records: &[String]) {
    let rotation = Rotation { bytes: u64::MAX, ns: u64::MAX / 4 };
    let (mut files, _) = Folder::open(folder, rotation, wall_ns, 1).unwrap();
    let mut last_ns = wall_ns;
    for record in records {
        let digits = record.trim_start_matches(r#"{"t":"#).split(',').next().unwrap();
        last_ns = digits.parse().unwrap();
        files.text(last_ns).extend_from_slice(format!("{record}\n").as_bytes());
        files.flush(last_ns).unwrap();
    }
    files.finish(last_ns + 1).unwrap();
}

/// Writes a segment of two blocks, and one of the rest, of two frames each, at these times; their paths.
pub(crate) fn write(folder: &Path, times: &[u64]) -> Vec<PathBuf> {
    let rotation = Rotation { bytes: u64::MAX, ns: 1_500 };
    let (mut files, _) = Folder::open(folder, rotation, times[0], 1).unwrap();
    for &at in times {
        for place in 0..2 {
            let record = format!(r#"{{"t":{},"c":1,"s":0,"k":"t","f":{{"n":{at}}}}}"#, at + place);
            files.text(at + place).extend_from_slice(format!("{record}\n").as_bytes());
        }
        files.flush(at).unwrap();
    }
    files.finish(times[times.len() - 1] + 1).unwrap();
    file::segments(folder).unwrap()
}
