//! The bus: where to publish, what to read, and the bus in place of venues.
//!
//! Runs on:  main thread, before anything starts.
use super::{Config, GAMMA_URL, SettingError, VenueSettings, WS_URL, settings::within};
use crate::base::time::SECOND_NS;
use crate::bus::address::{BusOptions, is_name};
use crate::bus::{check, record::Topic};
use crate::cluster::group;
use clap::{Args, Subcommand, ValueEnum};
use std::time::Duration;

/// Where an engine has its books and trades from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// The venues.
    Venue,
    /// A bus, to which other engines publish.
    Bus,
}

/// Publishing, and reading in place of venues.
#[derive(Args, Clone, Debug)]
pub struct BusFlags {
    /// Where books and trades come from: the venues, or the bus of --bus, to which other engines publish what they
    /// read.
    #[arg(long, value_enum, value_name = "SOURCE", default_value = "venue")]
    pub source: Source,

    /// Publish every book and trade to the topics that begin with this name, at a broker of the Kafka protocol, as in
    /// kafka://127.0.0.1:9092/ringbook; with `--source bus` read them there. Needs a build with the cargo feature
    /// `kafka`.
    #[arg(long, value_name = "URL")]
    pub bus: Option<String>,

    /// Publish each book as a whole once in so many seconds.
    #[arg(long, requires = "bus", value_name = "SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub bus_snapshot_seconds: u64,

    /// Be a member of this cluster: the broker of --bus divides the markets among its members, and this engine follows
    /// its share. Name each engine in the address, as in kafka://127.0.0.1:9092/ringbook?engine=east-1.
    #[arg(long, requires = "bus", value_name = "NAME")]
    pub cluster: Option<String>,

    /// The members of one rack follow every market among themselves: with two racks each market is followed twice.
    #[arg(long, requires = "cluster", value_name = "RACK")]
    pub rack: Option<String>,
}

/// Flags of `ringbook tail`.
///
/// Exit code: 0; 1 when the broker does not answer or has no such topic; 2 for wrong flags.
#[derive(Args, Clone, Debug)]
pub struct TailFlags {
    /// The broker and the beginning of the topics' names, as `run --bus` has them. Needs a build with the cargo feature
    /// `kafka`.
    #[arg(long, value_name = "URL", required_unless_present = "schema")]
    pub bus: Option<String>,

    /// Print the JSON Schema of all records and end.
    #[arg(long, exclusive = true)]
    pub schema: bool,

    /// A topic: trades, books, tops, markets, events, or the slices of clusters. Repeatable. Default: all but slices.
    #[arg(long = "topic", value_name = "NAME", value_parser = topic)]
    pub topics: Vec<Topic>,

    /// Begin with the oldest records that the broker has.
    #[arg(long)]
    pub from_beginning: bool,

    /// Print no records, but at the end how the engines that publish the same markets were against each other: who was
    /// first, by how much, and what only one of them had. It reads what comes from now on.
    #[arg(long, conflicts_with_all = ["topics", "from_beginning"])]
    pub races: bool,

    /// End after so many records.
    #[arg(long, value_name = "COUNT")]
    pub count: Option<u64>,
}

/// Subcommands of `ringbook cluster`.
#[derive(Subcommand, Clone, Debug)]
pub enum ClusterCommand {
    /// Print the members of a cluster, their slices, and what moves.
    Status(ClusterStatusFlags),
}

/// Flags of `ringbook cluster status`.
///
/// Exit code: 0; 1 when a slice has no live owner, or the broker does not answer; 2 for wrong flags.
#[derive(Args, Clone, Debug)]
pub struct ClusterStatusFlags {
    /// The broker and the beginning of the topics' names, as `run --bus` has them.
    #[arg(long, value_name = "URL")]
    pub bus: String,

    /// The cluster, as `run --cluster` names it.
    #[arg(long, value_name = "NAME")]
    pub cluster: String,

    /// How many racks (`run --rack`) each follow every market.
    #[arg(long, value_name = "COUNT", default_value_t = 1,
          value_parser = clap::value_parser!(u8).range(1..))]
    pub replicas: u8,
}

fn topic(name: &str) -> Result<Topic, String> {
    let all = Topic::ALL.map(Topic::name).join(", ");
    Topic::named(name).ok_or_else(|| format!("the topics are {all}"))
}

/// An address for this program.
///
/// # Errors
/// It is none, its file cannot be used, or the program has no client of brokers.
pub fn bus_options(address: &str) -> Result<BusOptions, SettingError> {
    let options = BusOptions::parse(address);
    let checked = options.and_then(|options| check(&options).map(|()| options));
    checked.map_err(|error| SettingError(format!("bus {error}")))
}

impl Config {
    /// Publishes every book and trade at a broker, as in `kafka://127.0.0.1:9092/ringbook`; each book as a whole once
    /// in `snapshots`, 1 s to a day. Needs the cargo feature `kafka`.
    ///
    /// # Errors
    /// The address or the interval is unusable, or the library was built without the feature.
    pub fn bus(&mut self, address: &str, snapshots: Duration) -> Result<&mut Self, SettingError> {
        let options = bus_options(address)?;
        within("bus-snapshot-seconds", snapshots.as_secs(), [1, 86_400])?;
        self.bus = Some(BusOptions { snapshot_ns: snapshots.as_secs() * SECOND_NS, ..options });
        Ok(self)
    }

    /// Has the books and trades of these venues (`polymarket`, `kalshi`) from the bus at this address, to which other
    /// engines publish them, and no connection to the venues. Needs the cargo feature `kafka`.
    ///
    /// # Errors
    /// The address is unusable, a venue is unknown, or the library was built without the feature.
    pub fn bus_source(
        &mut self,
        address: &str,
        venues: &[&str],
    ) -> Result<&mut Self, SettingError> {
        let options = bus_options(address)?;
        for name in venues {
            let feed = crate::venue::of(name).ok_or_else(|| {
                SettingError(format!("venue {name}: use {}", crate::venue::names()))
            })?;
            // Its addresses are not used.
            self.venue(VenueSettings::of(feed, GAMMA_URL, WS_URL))?;
        }
        self.source = Some(options);
        Ok(self)
    }

    /// Makes the engine a member of a cluster: the broker of [`Config::bus`] divides the markets among its members; the
    /// members of each rack follow all of them.
    ///
    /// # Errors
    /// There is no bus, its address does not name the engine, or a name has other characters than letters, digits, `-`
    /// and `_`.
    pub fn cluster(&mut self, name: &str, rack: Option<&str>) -> Result<&mut Self, SettingError> {
        let fault = |line: &str| SettingError(format!("cluster {name}: {line}"));
        let bus = self.bus.as_ref();
        let bus = bus.ok_or_else(|| fault("publish to a bus (`bus`, --bus), and follow venues"))?;
        if !bus.is_named {
            return Err(fault(
                "name this engine in the address of the bus, each one differently, as in ?engine=east-1",
            ));
        }
        // A dot separates the cluster from the rack in the name of the group.
        let is_part = |part: &str| is_name(part) && !part.contains('.');
        if !is_part(name) || rack.is_some_and(|rack| !is_part(rack)) {
            return Err(fault("use letters, digits, `-` and `_`, also for the rack"));
        }
        self.cluster = Some(group(name, rack));
        Ok(self)
    }

    /// The flags.
    ///
    /// # Errors
    /// As [`Config::bus`], [`Config::bus_source`] and [`Config::cluster`]; the bus is the source and has no address.
    pub(super) fn bus_flags(&mut self, flags: &BusFlags) -> Result<(), SettingError> {
        self.bus_address(flags)?;
        if let Some(name) = &flags.cluster {
            self.cluster(name, flags.rack.as_deref())?;
        }
        Ok(())
    }

    fn bus_address(&mut self, flags: &BusFlags) -> Result<(), SettingError> {
        match (&flags.bus, flags.source) {
            (Some(address), Source::Bus) => self.bus_source(address, &[]).map(drop),
            (Some(address), Source::Venue) => {
                self.bus(address, Duration::from_secs(flags.bus_snapshot_seconds)).map(drop)
            }
            (None, Source::Bus) => Err(SettingError(
                "source bus: name its broker and topics with --bus, as in kafka://127.0.0.1:9092/ringbook".into(),
            )),
            (None, Source::Venue) => Ok(()),
        }
    }

    /// What an engine cannot do whose source is a bus.
    ///
    /// # Errors
    /// It is to do that.
    pub(super) fn check_source(&self) -> Result<(), SettingError> {
        let asked = [
            (self.bus.is_some(), "bus"),
            (self.trades.is_some(), "trades"),
            (self.capture.is_some(), "capture"),
            (!self.markets.is_empty(), "market"),
            (!self.tokens.is_empty(), "token"),
            (self.gateway_settings.follow, "gateway-follow"),
        ];
        match asked.into_iter().find(|(is_asked, _)| *is_asked) {
            None => Ok(()),
            Some((_, what)) => Err(SettingError(format!(
                "source bus: `{what}` is for an engine that follows the venues: set it there"
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
