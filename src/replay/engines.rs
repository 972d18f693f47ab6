//! Where engines start in a recording.
//!
//! Runs on:  the replay's reader (pure).

/// Shards of the engine that is recording.
#[derive(Clone, Debug, Default)]
pub(super) struct Engines {
    begun: Vec<u64>,
    shards: u64,
}

impl Engines {
    /// An engine of so many shards that is recording already.
    pub(super) fn running(shards: u16) -> Self {
        Self { begun: (0..u64::from(shards)).collect(), shards: shards.into() }
    }

    /// A shard starts, by its record. Whether another engine starts than before: every shard of an engine starts once.
    pub(super) fn on_shard_start(&mut self, line: &str) -> bool {
        let (shard, shards) = (number_in(line, r#","d":"#), number_in(line, r#","shards":"#));
        let is_next = self.begun.is_empty() || self.begun.contains(&shard) || self.shards != shards;
        if is_next {
            self.begun.clear();
        }
        self.begun.push(shard);
        self.shards = shards;
        is_next
    }

    /// Number of the engine's shards; 0 if no engine has recorded.
    pub(super) const fn shards(&self) -> u64 {
        self.shards
    }

    /// Whether an engine has recorded what was read so far.
    pub(super) const fn is_any(&self) -> bool {
        !self.begun.is_empty()
    }
}

/// The number behind a key of an annotation; 0 without one.
pub(super) fn number_in(line: &str, key: &str) -> u64 {
    let rest = line.split_once(key).map_or("", |(_, rest)| rest);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest[..digits].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests;
