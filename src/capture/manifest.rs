//! The manifest of a capture: its runs, its segments, its gaps.
//!
//! Runs on:  the capture's writer, whoever reads captures (pure).
use serde::{Deserialize, Serialize};

/// The name of the file in the capture's folder.
pub const FILE: &str = "manifest.ndjson";

/// One line of it. Times are nanoseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Entry {
    /// A process began to capture.
    Started {
        /// When.
        at: u64,
        /// Its version.
        version: String,
        /// Its shards.
        shards: u16,
    },
    /// A segment is finished.
    Segment {
        /// Its file.
        file: String,
        /// Earliest receive time in it.
        from: u64,
        /// Latest.
        to: u64,
        /// Records.
        records: u64,
        /// Bytes, compressed.
        bytes: u64,
        /// Bytes of its text.
        text_bytes: u64,
    },
    /// Something is missing between these times.
    Gap {
        /// From here.
        from: u64,
        /// To there.
        to: u64,
        /// On this connection only.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        connection: Option<u32>,
        /// On the connections of this shard only.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        shard: Option<u16>,
        /// So many frames, where that is known.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        frames: Option<u64>,
        /// So many trades in them, where that is known.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        trades: Option<u64>,
        /// Why.
        cause: String,
    },
    /// The process stopped as it should.
    Stopped {
        /// When.
        at: u64,
    },
}

impl Entry {
    /// Its line, with a newline.
    #[must_use]
    pub fn to_line(&self) -> String {
        // Texts and numbers always serialise.
        sonic_rs::to_string(self).unwrap_or_default() + "\n"
    }
}

/// The entries of a manifest; lines that are torn or unknown are passed over.
#[must_use]
pub fn read(text: &str) -> Vec<Entry> {
    text.lines().filter_map(|line| sonic_rs::from_str(line).ok()).collect()
}

/// The latest time that an earlier process is known to have captured, and whether it stopped as it should.
#[must_use]
pub fn last_end(entries: &[Entry]) -> Option<(u64, bool)> {
    let times = entries.iter().map(|entry| match entry {
        Entry::Started { at, .. } | Entry::Stopped { at } => *at,
        Entry::Segment { to, .. } | Entry::Gap { to, .. } => *to,
    });
    let last = times.max()?;
    Some((last, matches!(entries.last(), Some(Entry::Stopped { .. }))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_and_the_end_of_the_last_run_is_known() {
        let gap = |connection, shard| Entry::Gap {
            from: 3,
            to: 9,
            connection,
            shard,
            frames: None,
            trades: None,
            cause: "reset \"by\" peer".into(),
        };
        let mut entries = vec![
            Entry::Started { at: 1, version: "0.1.0".into(), shards: 2 },
            gap(Some(4), None),
            gap(None, Some(1)),
        ];
        let text: String = entries.iter().map(Entry::to_line).collect();
        assert_eq!(read(&text), entries);
        assert!(!text.contains("null"), "{text}");
        assert_eq!(last_end(&entries), Some((9, false)));
        entries.push(Entry::Stopped { at: 20 });
        assert_eq!(last_end(&entries), Some((20, true)));
        assert_eq!(last_end(&[]), None);
        assert_eq!(read(&(text + "{\"event\":\"gap\",")), entries[..3]);
    }
}
