//! The index of a segment: offsets and times of its zstd frames.
//!
//! Runs on:  the capture's writer, the replay's reader (pure).
use serde::{Deserialize, Serialize};

/// One zstd frame of a segment: one line of its index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Offset in the segment, bytes.
    pub offset: u64,
    /// Compressed length, bytes.
    pub bytes: u64,
    /// Uncompressed length, bytes.
    pub text_bytes: u64,
    /// Number of records.
    pub records: u64,
    /// Earliest receive time, nanoseconds since the Unix epoch.
    pub from: u64,
    /// Latest receive time.
    pub to: u64,
}

impl Block {
    /// Adds a record with this receive time.
    pub fn add(&mut self, receive_ns: u64) {
        self.from = if self.records == 0 { receive_ns } else { self.from.min(receive_ns) };
        self.to = self.to.max(receive_ns);
        self.records += 1;
    }

    /// Its index line, with a newline.
    #[must_use]
    pub fn to_line(self) -> String {
        // Serialization of numbers cannot fail.
        sonic_rs::to_string(&self).unwrap_or_default() + "\n"
    }
}

/// The blocks of an index, up to the first damaged line.
#[must_use]
pub fn read(text: &str) -> Vec<Block> {
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map_while(|line| sonic_rs::from_str(line).ok()).collect()
}

/// Offset from which all records with times from `from_ns` on are read; `None` if all blocks are earlier. Records after
/// the last indexed block may be later: an index alone does not show that an unfinished segment has none.
#[must_use]
pub fn begin(blocks: &[Block], from_ns: u64) -> Option<u64> {
    blocks.iter().find(|block| block.to >= from_ns).map(|block| block.offset)
}

#[cfg(test)]
mod tests;
