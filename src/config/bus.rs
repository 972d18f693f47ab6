//! The bus: where to publish, and what to read.
//!
//! Runs on:  main thread, before anything starts.
use super::{Config, SettingError, settings::within};
use crate::base::time::SECOND_NS;
use crate::bus::{IS_BUILT, NOT_BUILT, address::BusOptions, record::Topic};
use clap::Args;
use std::time::Duration;

/// Publishing.
#[derive(Args, Clone, Debug)]
pub struct BusFlags {
    /// Publish every book and trade to the topics that begin with this name, at a broker of the Kafka protocol, as in
    /// kafka://127.0.0.1:9092/ringbook. Needs a build with the cargo feature `kafka`.
    #[arg(long, value_name = "URL")]
    pub bus: Option<String>,

    /// Publish each book as a whole once in so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub bus_snapshot_seconds: u64,
}

/// Flags of `ringbook tail`.
///
/// Exit code: 0; 1 when the broker does not answer or has no such topic; 2 for wrong flags.
#[derive(Args, Clone, Debug)]
pub struct TailFlags {
    /// The broker and the beginning of the topics' names, as `run --bus` has them. Needs a build with the cargo feature
    /// `kafka`.
    #[arg(long, value_name = "URL")]
    pub bus: String,

    /// A topic: trades, books, tops, markets or events. Repeatable. Default: all.
    #[arg(long = "topic", value_name = "NAME", value_parser = topic)]
    pub topics: Vec<Topic>,

    /// Begin with the oldest records that the broker has.
    #[arg(long)]
    pub from_beginning: bool,

    /// End after so many records.
    #[arg(long, value_name = "COUNT")]
    pub count: Option<u64>,
}

fn topic(name: &str) -> Result<Topic, String> {
    let all = Topic::ALL.map(Topic::name).join(", ");
    Topic::named(name).ok_or_else(|| format!("the topics are {all}"))
}

/// An address for this program.
///
/// # Errors
/// It is none, or the program has no client of brokers.
pub fn bus_options(address: &str) -> Result<BusOptions, SettingError> {
    if !IS_BUILT {
        return Err(SettingError(format!("bus {address}: {NOT_BUILT}")));
    }
    BusOptions::parse(address).map_err(|error| SettingError(format!("bus {error}")))
}

impl Config {
    /// Publishes every book and trade at a broker, as in `kafka://127.0.0.1:9092/ringbook`; each book as a whole once in
    /// `snapshots`, 1 s to a day. Needs the cargo feature `kafka`.
    ///
    /// # Errors
    /// The address or the interval is unusable, or the library was built without the feature.
    pub fn bus(&mut self, address: &str, snapshots: Duration) -> Result<&mut Self, SettingError> {
        let options = bus_options(address)?;
        within("bus-snapshot-seconds", snapshots.as_secs(), [1, 86_400])?;
        self.bus = Some(BusOptions { snapshot_ns: snapshots.as_secs() * SECOND_NS, ..options });
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
