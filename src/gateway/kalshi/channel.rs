//! Channels of the WebSocket interface.
//!
//! Runs on:  serve core (pure).

/// A channel that the gateway serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Snapshots and changes of books.
    Books,
    /// Best prices.
    Tickers,
    /// Trades.
    Trades,
    /// Lifecycle of all markets but combos.
    Lifecycle,
    /// Lifecycle of combos.
    ComboLifecycle,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Books, Self::Tickers, Self::Trades, Self::Lifecycle, Self::ComboLifecycle];

    /// Name in commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Books => "orderbook_delta",
            Self::Tickers => "ticker",
            Self::Trades => "trade",
            Self::Lifecycle => "market_lifecycle_v2",
            Self::ComboLifecycle => "multivariate_market_lifecycle",
        }
    }

    /// The channel of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.name() == name)
    }

    /// Whether a subscription names markets. The lifecycle channels cover all.
    #[must_use]
    pub const fn has_markets(self) -> bool {
        matches!(self, Self::Books | Self::Tickers | Self::Trades)
    }
}

/// A set of channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channels(u8);

impl Channels {
    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it has this one.
    #[must_use]
    pub const fn has(self, channel: Channel) -> bool {
        self.0 & 1 << channel as u8 != 0
    }

    /// Adds one; whether it is new.
    pub const fn add(&mut self, channel: Channel) -> bool {
        let is_new = !self.has(channel);
        self.0 |= 1 << channel as u8;
        is_new
    }

    /// Removes one.
    pub const fn remove(&mut self, channel: Channel) {
        self.0 &= !(1 << channel as u8);
    }
}
