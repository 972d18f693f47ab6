//! Parser for client commands, with Kalshi's error codes (kalshi/protocol.md, 2).
//!
//! Runs on:  the venue's thread (pure).
//!
//! A field of the wrong type makes the whole text invalid (code 1); `null` equals a missing field.
use sonic_rs::{JsonContainerTrait as _, JsonValueTrait as _, Value};

pub(super) const CHANNELS: [&str; 5] = [
    "orderbook_delta",
    "trade",
    "market_lifecycle_v2",
    "ticker",
    // The simulator has no combos: no message is sent on it.
    "multivariate_market_lifecycle",
];
pub(super) const BOOKS: usize = 0;
pub(super) const TRADES: usize = 1;
pub(super) const LIFE: usize = 2;
pub(super) const TICKERS: usize = 3;
pub(super) const COMBO_LIFE: usize = 4;

pub(super) const fn is_numbered(channel: usize) -> bool {
    channel != TICKERS
}

pub(super) const fn has_markets(channel: usize) -> bool {
    !matches!(channel, LIFE | COMBO_LIFE)
}

/// An error: code and text (kalshi/protocol.md, 2.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: u64,
    pub(super) text: &'static str,
    /// The market concerned.
    pub(super) ticker: Option<String>,
}

impl Refusal {
    pub(super) const fn new(code: u64) -> Self {
        Self { code, text: text_of(code), ticker: None }
    }
}

const fn text_of(code: u64) -> &'static str {
    match code {
        1 => "Unable to process message",
        2 => "Params required",
        3 => "Channels required",
        4 => "Subscription IDs required",
        5 => "Unknown command",
        7 => "Unknown subscription ID",
        8 => "Unknown channel name",
        10 => "Channel error",
        11 => "Invalid parameter",
        12 => "Exactly one subscription ID is required",
        13 => "Unsupported action",
        14 => "Market Ticker required",
        15 => "Action required",
        18 => "Command timeout",
        25 => "Subscription buffer overflow",
        26 => "Subscription market limit exceeded",
        27 => "Too many requests",
        _ => "Error",
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Names {
    Tickers(Vec<String>),
    Ids(Vec<String>),
}

impl Names {
    pub(super) const fn is_ids(&self) -> bool {
        matches!(self, Self::Ids(_))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subscribe {
    /// Without duplicates.
    pub(super) channels: Vec<usize>,
    /// `None` is all markets.
    pub(super) names: Option<Names>,
    pub(super) skip_ticker_ack: Option<bool>,
    pub(super) use_yes_price: Option<bool>,
    pub(super) send_initial_snapshot: bool,
}

/// Change of a subscription's markets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Add { send_initial_snapshot: bool },
    Delete,
    Snapshot,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Subscribe(Subscribe),
    Unsubscribe(Vec<u64>),
    Update { sid: u64, action: Action, names: Names },
    List,
}

pub(super) fn parse(text: &str) -> (Option<u64>, Result<Command, Refusal>) {
    let unreadable = || Refusal::new(1);
    let value = match sonic_rs::from_str::<Value>(text) {
        Ok(value) if value.is_object() => value,
        _ => return (None, Err(unreadable())),
    };
    let fields = Fields(&value);
    match fields.number("id") {
        // Id 0 counts as missing.
        Ok(id) => (id.filter(|&id| id > 0), command(&fields)),
        Err(refusal) => (None, Err(refusal)),
    }
}

fn command(fields: &Fields<'_>) -> Result<Command, Refusal> {
    let name = fields.text("cmd")?;
    let params = match fields.get("params") {
        Some(params) if params.is_object() => Some(Fields(params)),
        Some(_) => return Err(Refusal::new(1)),
        None => None,
    };
    let params = || params.as_ref().ok_or(Refusal::new(2));
    match name {
        Some("subscribe") => subscribe(params()?),
        Some("unsubscribe") => {
            let sids = params()?.numbers("sids")?.filter(|sids| !sids.is_empty());
            Ok(Command::Unsubscribe(once(sids.ok_or(Refusal::new(4))?)))
        }
        Some("update_subscription") => update(params()?),
        Some("list_subscriptions") => Ok(Command::List),
        _ => Err(Refusal::new(5)),
    }
}

fn subscribe(params: &Fields<'_>) -> Result<Command, Refusal> {
    let skip_ticker_ack = params.flag("skip_ticker_ack")?;
    let use_yes_price = params.flag("use_yes_price")?;
    let send_initial_snapshot = params.flag("send_initial_snapshot")?.unwrap_or(false);
    let names = names(params)?;
    let channels = params.texts("channels")?.filter(|list| !list.is_empty());
    let channels: Option<Vec<usize>> = channels
        .ok_or(Refusal::new(3))?
        .iter()
        .map(|name| CHANNELS.iter().position(|known| known == name))
        .collect();
    let channels = once(channels.ok_or(Refusal::new(8))?);
    for &channel in &channels {
        fit(channel, names.as_ref())?;
    }
    Ok(Command::Subscribe(Subscribe {
        channels,
        names,
        skip_ticker_ack,
        use_yes_price,
        send_initial_snapshot,
    }))
}

/// Whether a channel accepts these markets: only books require them, only tickers accept ids, and
/// lifecycle messages are always for all markets.
pub(super) fn fit(channel: usize, names: Option<&Names>) -> Result<(), Refusal> {
    let empty = match names {
        Some(Names::Tickers(list) | Names::Ids(list)) => list.is_empty(),
        None => channel == BOOKS,
    };
    let by_id = names.is_some_and(Names::is_ids);
    match channel {
        _ if by_id && channel != TICKERS => Err(Refusal::new(11)),
        _ if names.is_some() && !has_markets(channel) => Err(Refusal::new(11)),
        _ if empty => Err(Refusal::new(if channel == BOOKS { 14 } else { 11 })),
        _ => Ok(()),
    }
}

fn update(params: &Fields<'_>) -> Result<Command, Refusal> {
    let sid = match (params.number("sid")?, params.numbers("sids")?.as_deref()) {
        (Some(sid), None) | (None, Some(&[sid])) => sid,
        _ => return Err(Refusal::new(12)),
    };
    let send_initial_snapshot = params.flag("send_initial_snapshot")?.unwrap_or(false);
    let action = match params.text("action")? {
        Some("add_markets") => Action::Add { send_initial_snapshot },
        Some("delete_markets") => Action::Delete,
        Some("get_snapshot") => Action::Snapshot,
        Some(_) => return Err(Refusal::new(13)),
        None => return Err(Refusal::new(15)),
    };
    // `get_snapshot` accepts only the list of tickers.
    if action == Action::Snapshot && params.get("market_ticker").is_some() {
        return Err(Refusal::new(11));
    }
    let names = names(params)?.ok_or(Refusal::new(14))?;
    match &names {
        Names::Tickers(list) | Names::Ids(list) if list.is_empty() => Err(Refusal::new(14)),
        _ => Ok(Command::Update { sid, action, names }),
    }
}

/// The markets of a command without duplicates; an error if named in two ways.
fn names(params: &Fields<'_>) -> Result<Option<Names>, Refusal> {
    let one = |name: &str| Ok(params.text(name)?.map(|text| vec![text.to_owned()]));
    let found = [
        one("market_ticker")?.map(Names::Tickers),
        params.texts("market_tickers")?.map(|list| Names::Tickers(once(list))),
        one("market_id")?.map(Names::Ids),
        params.texts("market_ids")?.map(|list| Names::Ids(once(list))),
    ];
    let mut found = found.into_iter().flatten();
    let first = found.next();
    match found.next() {
        Some(_) => Err(Refusal::new(11)),
        None => Ok(first),
    }
}

/// Without duplicates, in the order of first appearance.
fn once<T: Clone + Eq + std::hash::Hash>(mut list: Vec<T>) -> Vec<T> {
    let mut seen = std::collections::HashSet::new();
    list.retain(|item| seen.insert(item.clone()));
    list
}

/// An object; a field of another type than requested is an error.
struct Fields<'v>(&'v Value);

impl Fields<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn read<'s, T>(
        &'s self,
        name: &str,
        read: impl FnOnce(&'s Value) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        match self.get(name) {
            Some(value) => read(value).map(Some).ok_or(Refusal::new(1)),
            None => Ok(None),
        }
    }

    fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        self.read(name, |value| value.as_u64())
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        self.read(name, |value| value.as_bool())
    }

    fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        self.read(name, |value| value.as_str())
    }

    fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Refusal> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        self.read(name, |value| value.as_array()?.iter().map(text).collect())
    }

    fn numbers(&self, name: &str) -> Result<Option<Vec<u64>>, Refusal> {
        self.read(name, |value| value.as_array()?.iter().map(|item| item.as_u64()).collect())
    }
}

#[cfg(test)]
mod tests;
