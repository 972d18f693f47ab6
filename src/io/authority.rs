//! Parsing of the `Host` header, and the host names that the local server accepts.
//!
//! Runs on:  any (pure). Owns: the names of `--serve-name`.
//!
//! DNS rebinding: a web page can resolve a name of its own to an address of this host and read responses as
//! same-origin. It cannot choose the `Host` header, so unconfigured names are refused. IP addresses cannot be rebound.
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Maximum length of a host name, bytes (RFC 1035).
const NAME_BYTES_MAX: usize = 253;

/// A host name or address with optional port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Address(IpAddr),
    /// Lower case, without a trailing dot.
    Name(String),
}

impl Authority {
    /// Parses `host`, `host:port`, `[v6]` or `[v6]:port`; `None` for other forms.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, rest) = rest.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            let host = Host::Address(IpAddr::V6(address).to_canonical());
            let port = match rest.strip_prefix(':') {
                Some(port) => Some(parse_port(port)?),
                None if rest.is_empty() => None,
                None => return None,
            };
            return Some(Self { host, port });
        }
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(parse_port(port)?)),
            None => (text, None),
        };
        Some(Self { host: parse_name(name)?, port })
    }
}

fn parse_port(text: &str) -> Option<u16> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn parse_name(text: &str) -> Option<Host> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Host::Address(address.to_canonical()));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let is_name = name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label);
    is_name.then(|| Host::Name(name.to_ascii_lowercase()))
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Authority {
    /// The host without port, in the form of `--serve-name`.
    pub fn host(&self) -> String {
        self.host.to_string()
    }
}

/// A host name or IP address from `--serve-name`, without port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeName(Host);

impl ServeName {
    /// Parses a name or an address; `None` for other forms.
    pub fn parse(text: &str) -> Option<Self> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        parse_name(bare.unwrap_or(text)).map(Self)
    }
}

/// All accepted host names.
#[derive(Clone, Debug)]
pub struct Names {
    listen: IpAddr,
    given: Vec<ServeName>,
}

impl Names {
    /// The listen address and the names of `--serve-name`.
    pub fn new(listen: SocketAddr, given: Vec<ServeName>) -> Self {
        Self { listen: listen.ip().to_canonical(), given }
    }

    /// Whether `authority` is accepted. The port is ignored, because forwarding changes it.
    pub fn contain(&self, authority: &Authority) -> bool {
        if self.given.iter().any(|ServeName(host)| *host == authority.host) {
            return true;
        }
        match &authority.host {
            Host::Address(address) => {
                address.is_loopback() || self.listen.is_unspecified() || *address == self.listen
            }
            Host::Name(name) => name == "localhost",
        }
    }
}

#[cfg(test)]
mod tests;
