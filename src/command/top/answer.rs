//! Answers of an engine's local server, as far as `ringbook top` shows them.
//!
//! Runs on:  main thread (pure).
use crate::base::text::visible_json;
use crate::counter::health::is_instance;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Parses an answer. Escapes of its JSON stay escapes, so that no text of it has control characters, line separators
/// or direction characters: they are shown as `\u001b`.
///
/// # Errors
/// One line: it is no such JSON.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let json = visible_json(body.to_vec());
    let mut shown = Vec::with_capacity(json.len() + 16);
    let mut bytes = json.into_iter();
    while let Some(byte) = bytes.next() {
        shown.push(byte);
        if byte != b'\\' {
            continue;
        }
        match bytes.next() {
            Some(escaped @ (b'u' | b'n' | b'r' | b't' | b'b' | b'f')) => {
                shown.extend([b'\\', escaped])
            }
            Some(escaped) => shown.push(escaped),
            None => {}
        }
    }
    // The error's text has a part of the JSON on further lines.
    sonic_rs::from_slice(&shown)
        .map_err(|error| error.to_string().lines().next().unwrap_or("").to_owned())
}

/// Body of an answer that is an error.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    pub(super) error: String,
}

/// A condition of `/health`; a part of its text in braces stands for any text.
#[derive(Debug, Deserialize)]
pub(super) struct Condition {
    condition: String,
    pub(super) remedy: String,
}

impl Condition {
    /// Whether a line of `/health` is this condition.
    pub(super) fn is(&self, line: &str) -> bool {
        is_instance(&self.condition, line)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct HostReport {
    pub(super) ok: u64,
    pub(super) warn: u64,
    pub(super) bad: u64,
    pub(super) settings: Vec<HostSetting>,
}

#[derive(Debug, Deserialize)]
pub(super) struct HostSetting {
    pub(super) setting: String,
    /// `ok`, `info`, `warn` or `bad`.
    pub(super) verdict: String,
    pub(super) remedy: String,
}

/// `/markets`: the first markets that were found.
#[derive(Debug, Default, Deserialize)]
pub(super) struct MarketPage {
    pub(super) total: Option<u64>,
    pub(super) markets: Vec<Market>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Market {
    pub(super) venue: String,
    pub(super) market: String,
    pub(super) slug: String,
    pub(super) question: String,
    pub(super) stage: String,
    pub(super) end_ms: Option<u64>,
    pub(super) tick_size: Option<String>,
    pub(super) tokens: Vec<Outcome>,
}

impl Market {
    pub(super) fn title(&self) -> &str {
        let names = [&self.question, &self.slug, &self.market];
        names.into_iter().find(|name| !name.is_empty()).map_or("", |name| name)
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Outcome {
    pub(super) token: String,
    pub(super) outcome: String,
    pub(super) book: Option<BookFacts>,
}

/// State of a book, and when it was last equal to the venue's; milliseconds since the Unix epoch.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct BookFacts {
    pub(super) state: String,
    pub(super) read_ms: u64,
    pub(super) version: u64,
    pub(super) hash_right_ms: Option<u64>,
    pub(super) levels_right_ms: Option<u64>,
}

/// `/book`: the best level of a side is its last.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Book {
    pub(super) bids: Vec<Level>,
    pub(super) asks: Vec<Level>,
    #[serde(default)]
    pub(super) last_trade_price: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Level {
    pub(super) price: String,
    pub(super) size: String,
}

/// A trade of `/trades`, which lists the oldest first.
#[derive(Debug, Deserialize)]
pub(super) struct Trade {
    pub(super) token: String,
    pub(super) time_ms: u64,
    pub(super) price: String,
    pub(super) size: String,
    pub(super) side: String,
}

/// `/latency`: values of each stage since the start.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Histograms {
    pub(super) started_ms: u64,
    pub(super) now_ms: u64,
    pub(super) stages: Vec<Stage>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Stage {
    pub(super) stage: String,
    pub(super) buckets: Buckets,
}

/// Largest value of a bucket in nanoseconds, and the values in it, ascending.
pub(super) type Buckets = Vec<(u64, u64)>;

impl Histograms {
    /// The buckets of a stage; those that were counted since `before`.
    pub(super) fn since(&self, before: Option<&Self>, stage: &str) -> Buckets {
        let of = |one: &'_ Self| {
            one.stages.iter().find(|of| of.stage == stage).map(|of| of.buckets.clone())
        };
        let before = before.and_then(of).unwrap_or_default();
        let grown = of(self).unwrap_or_default().into_iter().map(|(upper, count)| {
            let known = before.binary_search_by_key(&upper, |(upper, _)| *upper);
            (upper, count.saturating_sub(known.map_or(0, |at| before[at].1)))
        });
        grown.filter(|(_, count)| *count > 0).collect()
    }
}

/// The bound of the bucket in which a quantile is; 0 without values.
pub(super) fn quantile(buckets: &[(u64, u64)], share: f64) -> u64 {
    let total: u64 = buckets.iter().map(|(_, count)| count).sum();
    let wanted = (total as f64 * share).ceil() as u64;
    let mut seen = 0;
    let reached = buckets.iter().find(|(_, count)| {
        seen += count;
        seen >= wanted
    });
    reached.map_or(0, |(upper, _)| *upper)
}

#[cfg(test)]
mod tests;
