//! The index of a segment: where each zstd frame stands, and which times are in it.
//!
//! Runs on:  the capture's writer, the replay's reader (pure).
use serde::{Deserialize, Serialize};

/// One zstd frame of a segment: one line of its index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Bytes before it in the segment.
    pub offset: u64,
    /// Its bytes, compressed.
    pub bytes: u64,
    /// Bytes of its text.
    pub text_bytes: u64,
    /// Records in it.
    pub records: u64,
    /// Earliest receive time of a record in it, nanoseconds since the Unix epoch.
    pub from: u64,
    /// Latest.
    pub to: u64,
}

impl Block {
    /// Adds a record of that receive time.
    pub fn add(&mut self, receive_ns: u64) {
        self.from = if self.records == 0 { receive_ns } else { self.from.min(receive_ns) };
        self.to = self.to.max(receive_ns);
        self.records += 1;
    }

    /// Its line, with a newline.
    #[must_use]
    pub fn to_line(&self) -> String {
        // Numbers always serialise.
        sonic_rs::to_string(self).unwrap_or_default() + "\n"
    }
}

/// The blocks of an index, as far as its lines are whole.
#[must_use]
pub fn read(text: &str) -> Vec<Block> {
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map_while(|line| sonic_rs::from_str(line).ok()).collect()
}

/// Where reading has to begin so that no record from `from_ns` on is missed; `None` when the whole of it is
/// earlier. What stands behind the last line of an index may be later than all of it, so an index alone
/// never says that a segment that is not finished has nothing.
#[must_use]
pub fn begin(blocks: &[Block], from_ns: u64) -> Option<u64> {
    blocks.iter().find(|block| block.to >= from_ns).map(|block| block.offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_a_torn_line_is_passed_over() {
        let mut block = Block { offset: 10, bytes: 20, text_bytes: 100, ..Block::default() };
        [7, 5, 9].into_iter().for_each(|at| block.add(at));
        assert_eq!((block.from, block.to, block.records), (5, 9, 3));
        let next = Block { offset: 30, from: 8, to: 12, ..block };
        let text = block.to_line() + &next.to_line();
        assert_eq!(read(&text), [block, next]);
        assert_eq!(read(&text[..text.len() - 1]), [block]);
        assert_eq!(read(""), []);
        assert_eq!(begin(&[block, next], 9), Some(10));
        assert_eq!(begin(&[block, next], 10), Some(30));
        assert_eq!(begin(&[block, next], 13), None);
    }
}
