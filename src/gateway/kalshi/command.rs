//! Parser of client commands, with the venue's error codes.
//!
//! Runs on:  serve core (pure).
//! Bounds:   [`TEXT_BYTES_MAX`], [`NESTING_MAX`], `MARKETS_MAX` tickers; more is refused before it is copied.
//!
//! A field of the wrong type makes the whole text invalid (code 1); `null` equals a missing field. Unknown fields are
//! ignored.
use super::channel::Channel;
use super::session::MARKETS_MAX;
use crate::base::id::TokenId;
use sonic_rs::{JsonContainerTrait as _, JsonValueTrait as _, Value};

/// Longest command, bytes: [`MARKETS_MAX`] tickers of 60 bytes.
pub(super) const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Objects and lists within each other. A command has three.
const NESTING_MAX: usize = 32;
/// Subscription ids of one command.
const SIDS_MAX: usize = 1_024;

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Unreadable,
    ParamsRequired,
    ChannelsRequired,
    SidsRequired,
    UnknownCommand,
    UnknownSid,
    UnknownChannel,
    InvalidParameter,
    OneSidRequired,
    UnsupportedAction,
    TickerRequired,
    ActionRequired,
    TooManyMarkets,
    TooManyRequests,
}

impl Refusal {
    /// Code and text, as the venue publishes them.
    pub(super) const fn code(self) -> (u16, &'static str) {
        match self {
            Self::Unreadable => (1, "Unable to process message"),
            Self::ParamsRequired => (2, "Params required"),
            Self::ChannelsRequired => (3, "Channels required"),
            Self::SidsRequired => (4, "Subscription IDs required"),
            Self::UnknownCommand => (5, "Unknown command"),
            Self::UnknownSid => (7, "Unknown subscription ID"),
            Self::UnknownChannel => (8, "Unknown channel name"),
            Self::InvalidParameter => (11, "Invalid parameter"),
            Self::OneSidRequired => (12, "Exactly one subscription ID is required"),
            Self::UnsupportedAction => (13, "Unsupported action"),
            Self::TickerRequired => (14, "Market Ticker required"),
            Self::ActionRequired => (15, "Action required"),
            Self::TooManyMarkets => (26, "Subscription market limit exceeded"),
            Self::TooManyRequests => (27, "Too many requests"),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Subscribe {
    /// Without duplicates.
    pub(super) channels: Vec<Channel>,
    /// Empty if none is named.
    pub(super) tickers: Vec<TokenId>,
    /// Send a ticker at once.
    pub(super) initial: bool,
    pub(super) skip_ticker_ack: Option<bool>,
    pub(super) use_yes_price: Option<bool>,
}

/// Change of a subscription's markets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Add,
    Delete,
    Snapshot,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Update {
    pub(super) sid: u64,
    pub(super) action: Action,
    /// At least one.
    pub(super) tickers: Vec<TokenId>,
    /// Send a ticker at once.
    pub(super) initial: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Subscribe(Subscribe),
    Unsubscribe(Vec<u64>),
    Update(Update),
    List,
}

/// Parses a text: its id, if it has a valid one, and the command.
pub(super) fn parse(text: &str) -> (Option<u64>, Result<Command, Refusal>) {
    if text.len() > TEXT_BYTES_MAX || !is_flat(text) {
        return (None, Err(Refusal::Unreadable));
    }
    let value = match sonic_rs::from_str::<Value>(text) {
        Ok(value) if value.is_object() => value,
        _ => return (None, Err(Refusal::Unreadable)),
    };
    let fields = Fields(&value);
    match fields.number("id") {
        // Id 0 counts as none.
        Ok(id) => (id.filter(|&id| id > 0), command(&fields)),
        Err(refusal) => (None, Err(refusal)),
    }
}

/// Whether objects and lists are nested at most [`NESTING_MAX`] deep, so that no parser recurses further.
fn is_flat(text: &str) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                if depth > NESTING_MAX {
                    return false;
                }
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

fn command(fields: &Fields<'_>) -> Result<Command, Refusal> {
    let name = fields.text("cmd")?;
    let params = match fields.get("params") {
        Some(params) if params.is_object() => Some(Fields(params)),
        Some(_) => return Err(Refusal::Unreadable),
        None => None,
    };
    let params = || params.as_ref().ok_or(Refusal::ParamsRequired);
    match name {
        Some("subscribe") => subscribe(params()?),
        Some("unsubscribe") => {
            let sids = params()?.numbers("sids")?.filter(|sids| !sids.is_empty());
            Ok(Command::Unsubscribe(sids.ok_or(Refusal::SidsRequired)?))
        }
        Some("update_subscription") => update(params()?),
        Some("list_subscriptions") => Ok(Command::List),
        _ => Err(Refusal::UnknownCommand),
    }
}

fn subscribe(params: &Fields<'_>) -> Result<Command, Refusal> {
    let names = params.list("channels")?.filter(|names| !names.is_empty());
    let mut channels = Vec::new();
    for name in names.ok_or(Refusal::ChannelsRequired)? {
        let name = name.as_str().ok_or(Refusal::Unreadable)?;
        let channel = Channel::named(name).ok_or(Refusal::UnknownChannel)?;
        if !channels.contains(&channel) {
            channels.push(channel);
        }
    }
    Ok(Command::Subscribe(Subscribe {
        channels,
        tickers: params.tickers()?,
        initial: params.flag("send_initial_snapshot")?.unwrap_or(false),
        skip_ticker_ack: params.flag("skip_ticker_ack")?,
        use_yes_price: params.flag("use_yes_price")?,
    }))
}

fn update(params: &Fields<'_>) -> Result<Command, Refusal> {
    let sid = match (params.number("sid")?, params.numbers("sids")?.as_deref()) {
        (Some(sid), None) | (None, Some(&[sid])) => sid,
        _ => return Err(Refusal::OneSidRequired),
    };
    let action = match params.text("action")? {
        Some("add_markets") => Action::Add,
        Some("delete_markets") => Action::Delete,
        Some("get_snapshot") => Action::Snapshot,
        Some(_) => return Err(Refusal::UnsupportedAction),
        None => return Err(Refusal::ActionRequired),
    };
    let tickers = params.tickers()?;
    if tickers.is_empty() {
        return Err(Refusal::TickerRequired);
    }
    let initial = params.flag("send_initial_snapshot")?.unwrap_or(false);
    Ok(Command::Update(Update { sid, action, tickers, initial }))
}

/// An object; a field of another type than requested is an error.
struct Fields<'v>(&'v Value);

impl<'v> Fields<'v> {
    fn get(&self, name: &str) -> Option<&'v Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn read<T>(
        &self,
        name: &str,
        read: impl FnOnce(&'v Value) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        self.get(name).map(|value| read(value).ok_or(Refusal::Unreadable)).transpose()
    }

    fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        self.read(name, |value| value.as_u64())
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        self.read(name, |value| value.as_bool())
    }

    fn text(&self, name: &str) -> Result<Option<&'v str>, Refusal> {
        self.read(name, |value| value.as_str())
    }

    fn list(&self, name: &str) -> Result<Option<&'v [Value]>, Refusal> {
        self.read(name, |value| value.as_array().map(|list| list.as_slice()))
    }

    fn numbers(&self, name: &str) -> Result<Option<Vec<u64>>, Refusal> {
        let Some(list) = self.list(name)? else { return Ok(None) };
        if list.len() > SIDS_MAX {
            return Err(Refusal::InvalidParameter);
        }
        let numbers: Option<Vec<u64>> = list.iter().map(|value| value.as_u64()).collect();
        numbers.ok_or(Refusal::Unreadable).map(Some)
    }

    /// The markets of a command; an error if they are named in two ways or by id.
    fn tickers(&self) -> Result<Vec<TokenId>, Refusal> {
        let (one, many) = (self.text("market_ticker")?, self.list("market_tickers")?);
        let has_ids = self.get("market_id").or(self.get("market_ids")).is_some();
        if has_ids || one.is_some() && many.is_some() {
            return Err(Refusal::InvalidParameter);
        }
        let many = many.unwrap_or_default();
        if many.len() > MARKETS_MAX {
            return Err(Refusal::TooManyMarkets);
        }
        let ticker = |text: &str| TokenId::new(text).ok_or(Refusal::InvalidParameter);
        match one {
            Some(text) => Ok(vec![ticker(text)?]),
            None => many.iter().map(|v| ticker(v.as_str().ok_or(Refusal::Unreadable)?)).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
