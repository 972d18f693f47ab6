//! Configuration file of `ringbook pools`: services in TOML; all faults are reported at once.
//!
//! Runs on:  main thread. Bounds: `POOL_SERVICES_MAX` services, `POOL_CONNECTIONS_MAX` connections each.
//!
//! Tables are read key by key, because a derived reader ends at the first fault.
use super::UsageError;
use crate::base::limits::{POOL_CONNECTIONS_MAX, POOL_SERVICES_MAX, SETTINGS_BYTES_MAX};
use crate::base::time::SECOND_NS;
use crate::io::authority::ServeName;
use crate::io::file;
use crate::pool::rate::Rate;
use crate::pool::service::{Kind, Service};
use std::net::SocketAddr;
use std::path::Path;
use toml::{Table, Value};

/// Example configuration with every preset.
pub const EXAMPLE: &str = include_str!("pools.example.toml");

/// Longest configurable duration: a week.
const DURATION_MAX_S: f64 = 7.0 * 24.0 * 3600.0;

/// Faults of a file, one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct PoolsError(pub Vec<String>);

impl PoolsError {
    /// The faults, each prefixed with the flag that names the file.
    #[must_use]
    pub fn of(self, flag: &str) -> Self {
        Self(self.0.into_iter().map(|line| format!("{flag} {line}")).collect())
    }
}

/// Reads the services of a file.
///
/// # Errors
/// [`PoolsError`]: the file cannot be read, or its faults.
pub fn load(path: &Path) -> Result<Vec<Service>, PoolsError> {
    let name = path.display();
    let bytes = file::read_small(path, SETTINGS_BYTES_MAX).map_err(|why| PoolsError(vec![why]))?;
    let text = String::from_utf8(bytes)
        .map_err(|error| PoolsError(vec![format!("{name}: cannot be read: {error}")]))?;
    parse(&text).map_err(|PoolsError(lines)| {
        PoolsError(lines.into_iter().map(|line| format!("{name}: {line}")).collect())
    })
}

/// Reads the services of a text.
///
/// # Errors
/// [`PoolsError`]: its faults.
pub fn parse(text: &str) -> Result<Vec<Service>, PoolsError> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        PoolsError(vec![format!("line {line}: this is no TOML: {}", one_line(error.message()))])
    })?;
    let mut faults = Vec::new();
    for key in table.keys().filter(|key| *key != "service") {
        faults.push(format!("unknown key `{key}`; services are written as [[service]] tables"));
    }
    let services = match table.get("service") {
        None => {
            faults.push("there is no service; write at least one [[service]] table".to_owned());
            &Vec::new()
        }
        Some(Value::Array(services)) => services,
        Some(_) => {
            faults.push("`service` is no list of tables; write [[service]], not [service]".into());
            &Vec::new()
        }
    };
    if services.len() > POOL_SERVICES_MAX {
        faults.push(format!("{} services; {POOL_SERVICES_MAX} are the most", services.len()));
    }
    let mut read: Vec<Service> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for (place, value) in services.iter().enumerate() {
        let Value::Table(table) = value else {
            faults.push(format!("service {}: it is no table", place + 1));
            continue;
        };
        let mut entry = Entry::new(place, table, &mut faults);
        if names.contains(&entry.name) {
            entry.fault("another service has the same name; names are unique");
        }
        names.push(entry.name.clone());
        read.extend(entry.read());
    }
    if faults.is_empty() { Ok(read) } else { Err(PoolsError(faults)) }
}

/// Checks the names of services as first segments of paths.
///
/// # Errors
/// [`PoolsError`]: the names that are none.
pub fn check_paths(services: &[Service], own: &[&str]) -> Result<(), PoolsError> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let faults = services.iter().filter_map(|Service { name, .. }| {
        if own.contains(&name.as_str()) {
            return Some(format!("service {name}: /{name} is a page of the pools; choose another name"));
        }
        let is_segment = name.bytes().all(is_plain) && !name.bytes().all(|b| b == b'.');
        (!is_segment).then(|| {
            format!("service {name}: with --listen a name is part of a path; use letters, digits and - . _ ~")
        })
    });
    let faults: Vec<String> = faults.collect();
    if faults.is_empty() { Ok(()) } else { Err(PoolsError(faults)) }
}

/// Address and `Host` names of `--listen`.
///
/// # Errors
/// [`UsageError`]: the address is not of this host and `insecure` is false, or a name is none.
pub fn listen_names(
    address: SocketAddr,
    insecure: bool,
    names: &[String],
) -> Result<Vec<ServeName>, UsageError> {
    if !insecure && !address.ip().to_canonical().is_loopback() {
        return Err(UsageError(format!(
            "--listen {address}: without TLS anybody on the way can read and change what clients receive, and everybody can use the services; use an address of this host, as 127.0.0.1:{}, or allow it (--listen-insecure)",
            address.port()
        )));
    }
    let parsed = names.iter().map(|name| {
        ServeName::parse(name).ok_or_else(|| {
            UsageError(format!(
                "--listen-name {name}: this is no host name or IP address; give it without scheme, port and path"
            ))
        })
    });
    parsed.collect()
}

/// A table being read.
struct Entry<'a> {
    name: String,
    table: &'a Table,
    faults: &'a mut Vec<String>,
}

const KEYS: &[&str] = &[
    "name",
    "kind",
    "address",
    "path",
    "min",
    "max",
    "connect_timeout_s",
    "acquire_timeout_s",
    "request_timeout_s",
    "idle_timeout_s",
    "health_interval_s",
    "max_age_s",
    "guard_held_max_s",
    "keep_alive",
    "body_bytes_max",
    "probe",
    "rate_per_s",
    "rate_burst",
];

impl<'a> Entry<'a> {
    fn new(place: usize, table: &'a Table, faults: &'a mut Vec<String>) -> Self {
        let name = match table.get("name").and_then(Value::as_str) {
            Some(name) if !name.trim().is_empty() => name.to_owned(),
            _ => {
                let number = place + 1;
                faults.push(format!("service {number}: it has no name; write name = \"…\""));
                format!("number {number}")
            }
        };
        Self { name, table, faults }
    }

    fn fault(&mut self, what: &str) {
        self.faults.push(format!("service {}: {what}", self.name));
    }

    fn read(mut self) -> Option<Service> {
        for key in self.table.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            let near = KEYS.iter().find(|known| known.starts_with(key.trim_end_matches("_ms")));
            let hint = near.map_or_else(String::new, |near| format!("; is it `{near}`?"));
            self.fault(&format!("unknown key `{key}`{hint}"));
        }
        let service = self.place();
        // Bounds are read even where the place is wrong, so that all faults are reported.
        let mut service = service.unwrap_or_else(|| {
            let kind = self.table.get("kind").and_then(Value::as_str).and_then(Kind::of);
            let kind = kind.unwrap_or(Kind::Http);
            let somewhere = format!("{}://unknown.invalid", kind.name());
            Service::new(&self.name, kind, &somewhere).expect("it is an address")
        });
        self.bounds(&mut service);
        self.times(&mut service);
        self.extras(&mut service);
        Some(service)
    }

    fn place(&mut self) -> Option<Service> {
        let kind = match self.text("kind") {
            Some(text) => Kind::of(&text).or_else(|| {
                self.fault(&format!("unknown kind `{text}`; expected http, https, ws or wss"));
                None
            }),
            None => {
                self.missing("kind", "http, https, ws or wss");
                None
            }
        };
        let address = self.text("address");
        if address.is_none() {
            self.missing("address", "\"HOST\" or \"HOST:PORT\"");
        }
        let path = self.text("path").unwrap_or_default();
        if !path.is_empty() && !path.starts_with('/') {
            self.fault(&format!("path `{path}` does not start with a slash"));
            return None;
        }
        let (kind, address) = (kind?, address?);
        let expected = "expected HOST or HOST:PORT, without a scheme and without a path";
        if address.contains(['/', '?', '#', '@']) || address.trim().is_empty() {
            self.fault(&format!("address `{address}` is unusable; {expected}"));
            return None;
        }
        match Service::new(&self.name, kind, &format!("{}://{address}{path}", kind.name())) {
            Ok(service) if service.port > 0 => Some(service),
            _ => {
                self.fault(&format!(
                    "address `{address}` with path `{path}` is unusable; {expected}"
                ));
                None
            }
        }
    }

    fn bounds(&mut self, service: &mut Service) {
        let limits = &mut service.limits;
        let max = self.count("max", 1, POOL_CONNECTIONS_MAX);
        let min = self.count("min", 0, POOL_CONNECTIONS_MAX);
        limits.max = max.unwrap_or(limits.max);
        // Whoever says no minimum means none above the maximum.
        limits.min = min.unwrap_or(limits.min.min(limits.max));
        if limits.min > limits.max {
            let (min, max) = (limits.min, limits.max);
            self.fault(&format!("min {min} is above max {max}; lower min or raise max"));
        }
        if let Some(bytes) = self.count("body_bytes_max", 1, usize::MAX) {
            limits.body_bytes_max = bytes;
        }
    }

    fn times(&mut self, service: &mut Service) {
        let limits = &mut service.limits;
        for (key, ns) in [
            ("connect_timeout_s", &mut limits.connect_timeout_ns),
            ("acquire_timeout_s", &mut limits.acquire_timeout_ns),
            ("request_timeout_s", &mut limits.request_timeout_ns),
        ] {
            let Some(read_ns) = self.duration(key) else { continue };
            if read_ns == 0 {
                self.fault(&format!("{key} is zero; nothing would ever succeed: write 1 or more"));
            }
            *ns = read_ns;
        }
        for (key, ns) in [
            ("idle_timeout_s", &mut limits.idle_timeout_ns),
            ("health_interval_s", &mut limits.health_interval_ns),
            ("max_age_s", &mut limits.max_age_ns),
            ("guard_held_max_s", &mut limits.guard_held_max_ns),
        ] {
            *ns = self.duration(key).unwrap_or(*ns);
        }
    }

    fn extras(&mut self, service: &mut Service) {
        match self.table.get("keep_alive") {
            None => {}
            Some(Value::Boolean(keep)) => service.limits.keep_alive = *keep,
            Some(_) => self.fault("keep_alive is neither true nor false"),
        }
        if let Some(probe) = self.text("probe") {
            if service.kind.is_websocket() {
                self.fault("probe is for http and https; a WebSocket is probed by a ping");
            } else if !probe.starts_with('/') {
                self.fault(&format!("probe `{probe}` does not start with a slash"));
            }
            service.probe = Some(probe);
        }
        let per_second = self.number("rate_per_s");
        let burst = self.count("rate_burst", 1, u32::MAX as usize);
        match per_second {
            Some(rate) if rate > 0.0 && rate.is_finite() => {
                let burst = burst.map_or(1, |burst| burst as u32);
                service.rate = Some(Rate { per_second: rate, burst });
            }
            Some(_) => self.fault("rate_per_s is not above zero; leave it out for no limit"),
            None if burst.is_some() => self.fault("rate_burst means nothing without rate_per_s"),
            None => {}
        }
    }

    fn missing(&mut self, key: &str, expected: &str) {
        // A value of another type is reported already.
        if !self.table.contains_key(key) {
            self.fault(&format!("`{key}` is missing; expected {expected}"));
        }
    }

    fn text(&mut self, key: &str) -> Option<String> {
        match self.table.get(key)? {
            Value::String(text) => Some(text.clone()),
            other => {
                let what = other.type_str();
                self.fault(&format!("{key} is of type {what}; expected a text in quotes"));
                None
            }
        }
    }

    fn number(&mut self, key: &str) -> Option<f64> {
        match self.table.get(key)? {
            Value::Integer(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            other => {
                let what = other.type_str();
                self.fault(&format!("{key} is of type {what}; expected a number"));
                None
            }
        }
    }

    fn count(&mut self, key: &str, min: usize, max: usize) -> Option<usize> {
        let number = match self.table.get(key)? {
            Value::Integer(number) => usize::try_from(*number).ok(),
            _ => None,
        };
        let fits = number.filter(|number| (min..=max).contains(number));
        if fits.is_none() {
            let value = &self.table[key];
            let upto =
                if max > POOL_CONNECTIONS_MAX { String::new() } else { format!(" to {max}") };
            let from = if upto.is_empty() { format!("{min} or more") } else { min.to_string() };
            self.fault(&format!("{key} = {value} is unusable; expected {from}{upto}"));
        }
        fits
    }

    fn duration(&mut self, key: &str) -> Option<u64> {
        let seconds = self.number(key)?;
        if !(0.0..=DURATION_MAX_S).contains(&seconds) {
            self.fault(&format!("{key} = {seconds} is unusable; expected 0 to {DURATION_MAX_S}"));
            return None;
        }
        Some((seconds * SECOND_NS as f64) as u64)
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
