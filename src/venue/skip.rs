//! Entries of a catalogue that are not followed, and why.
//!
//! Runs on:  the control core (pure).
//!
//! Some entries have no book by the venue's own rules; that is no fault. All others should have one, and this program
//! cannot find it: the venue may have changed its schema. [`SkipReason::is_drift`] tells the two apart.
use crate::base::id::MarketId;
use crate::base::limits::SKIPPED_NAME_BYTES_MAX;

/// An entry that is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The market, if its id could be read.
    pub market: Option<MarketId>,
    /// What a person finds the entry by: its readable name, its number or its beginning. Escaped and cut.
    pub name: String,
    /// Why.
    pub reason: SkipReason,
}

impl Skipped {
    /// The entry of `market`, with any text of the venue's to find it by.
    #[must_use]
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

/// Why an entry of the catalogue is not followed. *Count and go on.*
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipReason {
    /// `active` is false.
    Inactive,
    /// `enableOrderBook` is false: it trades elsewhere.
    NoOrderBook,
    /// `acceptingOrders` is false: not yet, or no longer.
    NotAccepting,
    /// A combination of markets: it is traded by quotes and has no book, or is not asked for.
    Combo,
    /// It is traded by requests for quotes and has no book.
    QuotesOnly,
    /// Its end has passed, and ends are taken at their word.
    Ended,
    /// `version` is none that this program knows.
    UnknownVersion,
    /// `version` is missing, and there are ids of more than one version.
    NoVersion,
    /// `active`, `enableOrderBook` or `acceptingOrders` is missing or neither true nor false.
    NoFlag,
    /// The status is missing or none that is known.
    UnknownStatus,
    /// Not exactly two tokens where the version has them.
    NotTwoTokens,
    /// The market's id is missing or no id.
    BadId,
    /// A token is no id, or both are the same.
    BadToken,
    /// A token belongs to another market already.
    TokenTaken,
    /// It is followed by other tokens than the catalogue lists now.
    OtherTokens,
    /// The entry is no object.
    NoObject,
    /// An event has no list of markets.
    NoMarkets,
    /// As many markets are known as this program can hold.
    Full,
}

impl SkipReason {
    /// The word for it in statistics.
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

    /// True where the market should have a book that this program does not find; false where the venue's own rules
    /// say that it has none now.
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

    /// For people: what is wrong with the entry.
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
mod tests {
    use super::*;

    #[test]
    fn what_the_venue_writes_is_cut_and_escaped() {
        let market = MarketId::new("0xa1");
        let show = |market, name: &str| Skipped::new(market, name, SkipReason::BadId).to_string();
        assert_eq!(show(market, "a\u{1b}[31m\n"), "0xa1 (a\\u{1b}[31m\\n)");
        assert_eq!(show(market, ""), "0xa1");
        assert_eq!(show(None, "7"), "(no id; 7)");
        assert!(show(None, &"é".repeat(10_000)).len() < 200);
    }
}
