//! The manifest of a capture: its runs, segments and gaps.
//!
//! Runs on:  the capture's writer, readers of captures (pure).
use serde::{Deserialize, Serialize};

/// File name in the capture's folder.
pub const FILE: &str = "manifest.ndjson";

/// One line of the manifest. Times are nanoseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Entry {
    /// A process started to capture.
    Started {
        /// Time.
        at: u64,
        /// Version of ringbook.
        version: String,
        /// Number of shards.
        shards: u16,
    },
    /// A segment is finished.
    Segment {
        /// File name.
        file: String,
        /// Earliest receive time.
        from: u64,
        /// Latest receive time.
        to: u64,
        /// Number of records.
        records: u64,
        /// Compressed length, bytes.
        bytes: u64,
        /// Uncompressed length, bytes.
        text_bytes: u64,
        /// Level of zstd at which it was compressed afterwards.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        level: Option<i32>,
    },
    /// Records are missing in this time range.
    Gap {
        /// Begin.
        from: u64,
        /// End.
        to: u64,
        /// The only connection concerned.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        connection: Option<u32>,
        /// The only shard concerned.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        shard: Option<u16>,
        /// Number of frames, if known.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        frames: Option<u64>,
        /// Number of trades among them, if known.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        trades: Option<u64>,
        /// Cause.
        cause: String,
    },
    /// A segment was removed because it is older, or the folder larger, than was to be kept.
    Removed {
        /// Time.
        at: u64,
        /// File name.
        file: String,
        /// Earliest receive time.
        from: u64,
        /// Latest receive time.
        to: u64,
        /// Bytes with its index.
        bytes: u64,
        /// Cause.
        cause: String,
    },
    /// The process stopped regularly.
    Stopped {
        /// Time.
        at: u64,
    },
}

impl Entry {
    /// Its line, with a newline.
    pub fn to_line(&self) -> String {
        // Serialization of texts and numbers cannot fail.
        sonic_rs::to_string(self).unwrap_or_default() + "\n"
    }
}

/// The entries of a manifest; damaged and unknown lines are skipped.
#[must_use]
pub fn read(text: &str) -> Vec<Entry> {
    text.lines().filter_map(|line| sonic_rs::from_str(line).ok()).collect()
}

/// Numbers of the damaged lines of a manifest, from 1. A line with an event of a later version is none.
#[must_use]
pub fn damaged(text: &str) -> Vec<usize> {
    #[derive(Deserialize)]
    struct AnyEntry {
        #[serde(rename = "event")]
        _event: String,
    }
    let is_damaged = |line: &str| {
        !line.is_empty()
            && sonic_rs::from_str::<Entry>(line).is_err()
            && sonic_rs::from_str::<AnyEntry>(line).is_err()
    };
    (1..).zip(text.lines()).filter(|(_, line)| is_damaged(line)).map(|(number, _)| number).collect()
}

/// Latest time known to be captured by an earlier process, and whether it stopped regularly.
#[must_use]
pub fn last_end(entries: &[Entry]) -> Option<(u64, bool)> {
    let times = entries.iter().map(|entry| match entry {
        Entry::Started { at, .. } | Entry::Stopped { at } => Some(*at),
        Entry::Segment { to, .. } | Entry::Gap { to, .. } => Some(*to),
        Entry::Removed { .. } => None,
    });
    let last = times.flatten().max()?;
    Some((last, matches!(entries.last(), Some(Entry::Stopped { .. }))))
}

#[cfg(test)]
mod tests;
