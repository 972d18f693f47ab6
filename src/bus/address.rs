//! The address of a broker with the topics of ringbook, and what publishing needs beside.
//!
//! Runs on:  any (pure).
use super::BusError;
use crate::base::limits::{BUS_BUFFER_BYTES, BUS_STALL_NS, BUS_TOPS_NS};
use crate::base::text::percent_decoded;
use crate::base::time::{MILLISECOND_NS, SECOND_NS};
use std::path::PathBuf;

/// Longest topic name, bytes (Kafka's limit is 249), without the longest ending.
const PREFIX_BYTES_MAX: usize = 200;
/// What the address may say after `?`.
const PARAMETERS: &str = "engine, config, journal, partitions, replication, compression, buffer_mib, tops_ms, \
                          stall_seconds";
/// Properties of librdkafka that follow from the address, or on which what readers have depends; also by their other
/// names.
const OWN: [&str; 23] = [
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "client.id",
    "compression.codec",
    "compression.type",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.idempotence",
    "fetch.wait.max.ms",
    "group.id",
    "heartbeat.interval.ms",
    "linger.ms",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.timeout.ms",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "partitioner",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "request.required.acks",
    "session.timeout.ms",
];

/// A broker, the topics, and how they are filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusOptions {
    /// The address as it was given.
    pub address: String,
    /// `HOST:PORT` of brokers to begin with, separated by commas.
    pub servers: String,
    /// Beginning of the topics' names.
    pub prefix: String,
    /// Name of this engine in the headers of its records.
    pub engine: String,
    /// The address has this name.
    pub is_named: bool,
    /// The file with [`properties`] of librdkafka.
    pub file: Option<PathBuf>,
    /// The file of what waits for the broker, if it is named.
    pub journal: Option<PathBuf>,
    /// Partitions of topics that are created.
    pub partitions: u16,
    /// Replicas of topics that are created.
    pub replication: u16,
    /// librdkafka's name of the compression.
    pub compression: &'static str,
    /// Bytes that may wait in the serve core, and in the producer.
    pub buffer_bytes: usize,
    /// Shortest interval between best prices of a book, nanoseconds.
    pub tops_ns: u64,
    /// How long the broker may answer and acknowledge nothing before there is another producer, nanoseconds.
    pub stall_ns: u64,
    /// Interval in which each book is published as a whole, nanoseconds.
    pub snapshot_ns: u64,
}

impl BusOptions {
    /// Parses `kafka://HOST:PORT[,HOST:PORT…]/PREFIX[?…]`.
    ///
    /// # Errors
    /// [`BusError`]: the address, and what is wrong with it.
    pub fn parse(address: &str) -> Result<Self, BusError> {
        Self::parts(address).map_err(|why| BusError(format!("{address}: {why}")))
    }

    fn parts(address: &str) -> Result<Self, String> {
        let form = "as in kafka://127.0.0.1:9092/ringbook";
        let rest = address.strip_prefix("kafka://");
        let rest = rest.ok_or_else(|| format!("this is no address of a broker, {form}"))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (servers, prefix) = path.split_once('/').unwrap_or((path, ""));
        let is_server = |server: &str| {
            let (host, port) = server.rsplit_once(':').unwrap_or_default();
            !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
        };
        if !servers.split(',').all(is_server) {
            return Err(format!("name each broker as HOST:PORT, {form}"));
        }
        if !is_name(prefix) {
            return Err(format!(
                "name the topics after a slash, with letters, digits, `-`, `_` and `.`, {form}"
            ));
        }
        let mut options = Self {
            address: address.to_owned(),
            servers: servers.to_owned(),
            prefix: prefix.to_owned(),
            engine: "ringbook".to_owned(),
            is_named: false,
            file: None,
            journal: None,
            partitions: 8,
            replication: 1,
            compression: "lz4",
            buffer_bytes: BUS_BUFFER_BYTES,
            tops_ns: BUS_TOPS_NS,
            stall_ns: BUS_STALL_NS,
            snapshot_ns: 60 * SECOND_NS,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            options.set(name, value)?;
        }
        Ok(options)
    }

    /// The file of what waits for the broker.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        let Self { prefix, engine, .. } = self;
        self.journal.clone().unwrap_or_else(|| format!("{prefix}-{engine}.journal.ndjson").into())
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let number = |least: u64, most: u64| {
            let number = value.parse().ok().filter(|number| (least..=most).contains(number));
            number.ok_or_else(|| format!("{name}={value}: must be {least} to {most}"))
        };
        match name {
            "engine" if is_name(value) => {
                value.clone_into(&mut self.engine);
                self.is_named = true;
            }
            "engine" => {
                return Err(format!("engine={value}: use letters, digits, `-`, `_` and `.`"));
            }
            "config" if !value.is_empty() => {
                self.file = Some(percent_decoded(value)?.into_owned().into());
            }
            "config" => return Err("config=: name a file with properties of librdkafka".into()),
            "journal" if !value.is_empty() => {
                self.journal = Some(percent_decoded(value)?.into_owned().into());
            }
            "journal" => return Err("journal=: name a file for what waits for the broker".into()),
            "partitions" => self.partitions = number(1, 4096)? as u16,
            "replication" => self.replication = number(1, 32)? as u16,
            "compression" => {
                self.compression = match value {
                    "lz4" => "lz4",
                    "zstd" => "zstd",
                    "none" => "none",
                    _ => return Err(format!("compression={value}: must be lz4, zstd or none")),
                };
            }
            "buffer_mib" => self.buffer_bytes = (number(1, 4096)? as usize) << 20,
            "stall_seconds" => self.stall_ns = number(1, 3_600)? * SECOND_NS,
            "tops_ms" => self.tops_ns = number(0, 3_600_000)? * MILLISECOND_NS,
            _ => return Err(format!("`{name}` is no parameter; there are {PARAMETERS}")),
        }
        Ok(())
    }
}

/// The properties of librdkafka in a file: one `NAME=VALUE` on each line; `#` begins a comment. Values may be secrets.
///
/// # Errors
/// One line without a value: a line that is none, a property that follows from the address, or one that needs TLS in a
/// program without it.
pub fn properties(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let lines = (1..).zip(text.lines().map(str::trim));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(number, line)| property(number, line)).collect()
}

fn property(number: u32, line: &str) -> Result<(&str, &str), String> {
    let pair = line.split_once('=').filter(|(name, _)| !name.trim().is_empty());
    let (name, value) = pair.ok_or_else(|| format!("line {number} is no NAME=VALUE"))?;
    let (name, value) = (name.trim(), value.trim());
    if OWN.contains(&name) {
        return Err(format!("{name} is set by ringbook: remove it"));
    }
    if needs_tls(name, value) && !cfg!(feature = "kafka-tls") {
        return Err(format!(
            "{name} needs TLS, and this program was built without the cargo feature `kafka-tls`: build it with \
             `--features kafka-tls`"
        ));
    }
    Ok((name, value))
}

/// What librdkafka does with OpenSSL.
fn needs_tls(name: &str, value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    match name {
        "security.protocol" => value.ends_with("ssl"),
        "sasl.mechanism" | "sasl.mechanisms" => {
            value.starts_with("scram") || value.starts_with("oauth")
        }
        _ => name.starts_with("ssl.") || name.starts_with("enable.ssl."),
    }
}

/// Whether a text may be part of the name of a topic or a group.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=PREFIX_BYTES_MAX).contains(&text.len()) && text.chars().all(allowed)
}

#[cfg(test)]
mod tests;
