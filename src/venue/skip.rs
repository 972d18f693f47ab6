//! Catalog entries that are not followed, and the reasons.
//!
//! Runs on:  the control core (pure).
//!
//! Some entries have no book by the venue's rules. For all others a missing book may mean a change of the venue's
//! schema: [`SkipReason::is_drift`].
use crate::base::id::MarketId;
use crate::base::limits::SKIPPED_NAME_BYTES_MAX;

/// A catalog entry that is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The market, if its id could be read.
    pub market: Option<MarketId>,
    /// Slug, number or beginning of the entry, escaped and cut.
    pub name: String,
    /// The reason.
    pub reason: SkipReason,
}

impl Skipped {
    /// The entry of `market`; `name` is any text of the venue that identifies it.
    pub fn new(market: Option<MarketId>, name: &str, reason: SkipReason) -> Self {
        let name = name[..name.floor_char_boundary(SKIPPED_NAME_BYTES_MAX)].escape_debug();
        Self { market, name: name.to_string(), reason }
    }
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.market {
            Some(market) if self.name.is_empty() => write!(f, "{market}"),
            Some(market) => write!(f, "{market} ({})", self.name),
            None if self.name.is_empty() => f.write_str("(no name)"),
            None => write!(f, "(no id; {})", self.name),
        }
    }
}

/// Why a catalog entry is not followed. *Count and go on.*
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipReason {
    /// `active` is false.
    Inactive,
    /// `enableOrderBook` is false.
    NoOrderBook,
    /// `acceptingOrders` is false.
    NotAccepting,
    /// A combination of markets: traded by quotes without a book, or not followed by configuration.
    Combo,
    /// Traded by requests for quotes (RFQ), without a book.
    QuotesOnly,
    /// Its end time has passed, and markets are closed at their end time by configuration.
    Ended,
    /// `version` has an unknown value.
    UnknownVersion,
    /// `version` is missing, and ids of more than one version are present.
    NoVersion,
    /// `active`, `enableOrderBook` or `acceptingOrders` is missing or not a boolean.
    NoFlag,
    /// The status is missing or unknown.
    UnknownStatus,
    /// The number of tokens is not two.
    NotTwoTokens,
    /// The market's id is missing or malformed.
    BadId,
    /// A token id is malformed, or both are the same.
    BadToken,
    /// A token belongs to another market.
    TokenTaken,
    /// The market is followed with other tokens than listed now.
    OtherTokens,
    /// The entry is no JSON object.
    NoObject,
    /// An event without a list of markets.
    NoMarkets,
    /// The registry is full.
    Full,
}

impl SkipReason {
    /// The reason in `/stats`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::NoOrderBook => "no_order_book",
            Self::NotAccepting => "not_accepting_orders",
            Self::Combo => "combo",
            Self::QuotesOnly => "quotes_only",
            Self::Ended => "ended",
            Self::UnknownVersion => "unknown_version",
            Self::NoVersion => "no_version",
            Self::NoFlag => "missing_flag",
            Self::UnknownStatus => "unknown_status",
            Self::NotTwoTokens => "not_two_tokens",
            Self::BadId => "bad_id",
            Self::BadToken => "bad_token",
            Self::TokenTaken => "token_taken",
            Self::OtherTokens => "other_tokens",
            Self::NoObject => "not_an_object",
            Self::NoMarkets => "event_without_markets",
            Self::Full => "too_many_markets",
        }
    }

    /// True if the market should have a book; false if it has none by the venue's rules.
    #[must_use]
    pub const fn is_drift(self) -> bool {
        !matches!(
            self,
            Self::Inactive
                | Self::NoOrderBook
                | Self::NotAccepting
                | Self::Combo
                | Self::QuotesOnly
                | Self::Ended
        )
    }

    /// The reason as a sentence.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Inactive => "it is not active",
            Self::NoOrderBook => "it has no order book",
            Self::NotAccepting => "it accepts no orders",
            Self::Combo => "it is a combination of markets without a book of its own",
            Self::QuotesOnly => "it is traded by requests for quotes and has no book",
            Self::Ended => "its end has passed",
            Self::UnknownVersion => "its version is not known to this program",
            Self::NoVersion => "it has no version, and ids of more than one version",
            Self::NoFlag => "active, enableOrderBook or acceptingOrders is missing",
            Self::UnknownStatus => "its status is not known to this program",
            Self::NotTwoTokens => "it does not have two tokens where its version has them",
            Self::BadId => "its id is missing or unusable",
            Self::BadToken => "one of its tokens is unusable",
            Self::TokenTaken => "one of its tokens belongs to another market",
            Self::OtherTokens => "it is followed by other tokens than it has now",
            Self::NoObject => "the entry is no JSON object",
            Self::NoMarkets => "the event has no list of markets",
            Self::Full => "as many markets are known as this program can hold",
        }
    }
}

#[cfg(test)]
mod tests;
