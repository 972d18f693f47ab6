//! Frames that are lost, and the trades in them.
//!
//! Runs on:  any (pure).

/// How much is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameCount {
    /// Frames.
    pub frames: u64,
    /// Messages of trades in them. What is in a binary frame is not known.
    pub trades: u64,
}

impl FrameCount {
    /// A text frame of either venue.
    pub fn of_text(frame: &str) -> Self {
        let trades = frame.match_indices("trade").filter(|&(at, _)| is_trade(frame, at));
        Self { frames: 1, trades: trades.count() as u64 }
    }

    /// So many frames, whatever is in them.
    pub const fn of_frames(frames: u64) -> Self {
        Self { frames, trades: 0 }
    }

    /// For people, behind a number of frames: the trades, if there are any.
    #[must_use]
    pub fn with_trades(self) -> String {
        match self.trades {
            0 => String::new(),
            1 => " with 1 trade".to_owned(),
            trades => format!(" with {trades} trades"),
        }
    }

    /// What is left of it without `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self {
            frames: self.frames.saturating_sub(other.frames),
            trades: self.trades.saturating_sub(other.trades),
        }
    }
}

impl std::ops::AddAssign for FrameCount {
    fn add_assign(&mut self, other: Self) {
        self.frames += other.frames;
        self.trades += other.trades;
    }
}

impl std::iter::Sum for FrameCount {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |mut sum, count| {
            sum += count;
            sum
        })
    }
}

/// Whether the string at `at` is the kind of a message: `"event_type":"last_trade_price"` (Polymarket) or
/// `"type":"trade"` (Kalshi). A book has a key of the first name, too.
fn is_trade(frame: &str, at: usize) -> bool {
    let (before, behind) = frame.split_at(at);
    let (before, key) = match before.strip_suffix("last_") {
        Some(before) if behind.starts_with("trade_price\"") => (before, "\"event_type\""),
        None if behind.starts_with("trade\"") => (before, "\"type\""),
        _ => return false,
    };
    let name = before.strip_suffix('"').map(|before| before.trim_end());
    name.and_then(|name| name.strip_suffix(':')).is_some_and(|name| name.trim_end().ends_with(key))
}

#[cfg(test)]
mod tests;
