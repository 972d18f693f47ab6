//! Name resolution on a separate thread with the host's resolver.
//!
//! Runs on:  a thread that may block; any executor may send requests.
//! Owns:     the cache. Bounds: `RESOLVE_QUEUE_DEPTH` requests, `RESOLVE_NAMES_MAX` names.
//!
//! glommio resolves in place and uses only the first address; its blocking pool panics when an executor ends during a
//! lookup. The thread inherits the CPU mask of the caller of [`Resolver::new`]: create it before pinning.
use super::clock::HostClock;
use super::handoff::{Giver, handoff};
use crate::base::limits::{ADDRESSES_MAX, RESOLVE_NAMES_MAX, RESOLVE_QUEUE_DEPTH, RESOLVE_TTL_NS};
use crate::base::time::Clock as _;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Why a name has no addresses. *Back off and retry.*
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The resolver failed, and there is no cached result.
    #[error("the name {host} cannot be resolved: {why}")]
    Failed {
        /// The name.
        host: String,
        /// The resolver's error.
        why: String,
    },
    /// The name exists but has no address.
    #[error("the name {host} has no address")]
    Empty {
        /// The name.
        host: String,
    },
    /// `RESOLVE_QUEUE_DEPTH` requests are queued, or the thread has ended.
    #[error("the resolver's queue is full; {host} was not looked up")]
    Busy {
        /// The name.
        host: String,
    },
}

/// Names that this process serves itself. Where one of them leads to this host, clients find this process under it, and
/// this process must not.
#[derive(Clone, Debug, Default)]
pub struct OwnNames {
    /// The names, lower case.
    pub names: Vec<&'static str>,
    /// Where they are served.
    pub listen: Option<IpAddr>,
}

impl OwnNames {
    /// Addresses of `host` by the host's resolver; blocks.
    ///
    /// # Errors
    /// Those of the resolver; or the name is one of these and leads to this host.
    pub fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let addresses = look_up_any(host)?;
        match self.fault(host, &addresses) {
            Some(line) => Err(io::Error::other(line)),
            None => Ok(addresses),
        }
    }

    /// One line about a name of these that leads to this host; blocks where `host` is one of these.
    pub fn find_fault(&self, host: &str) -> Option<String> {
        let is_own = self.names.contains(&host);
        // A resolver that fails is reported with the connection.
        is_own.then(|| look_up_any(host).ok()).flatten().and_then(|all| self.fault(host, &all))
    }

    fn fault(&self, host: &str, addresses: &[IpAddr]) -> Option<String> {
        let is_here = |address: &&IpAddr| address.is_loopback() || Some(**address) == self.listen;
        let address = addresses.iter().find(is_here).filter(|_| self.names.contains(&host))?;
        Some(format!(
            "{host} leads to {address}, so this process would connect to itself; take the name out of this host's \
             /etc/hosts, and give it to clients in a container, in a mount namespace or on another host"
        ))
    }
}

fn look_up_any(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

type Answer = Result<Vec<IpAddr>, ResolveError>;
type Lookup = Box<dyn FnMut(&str) -> io::Result<Vec<IpAddr>> + Send>;

struct PendingLookup {
    host: String,
    answer: Giver<Answer>,
}

/// A handle to the resolver thread, which ends with its last handle.
#[derive(Clone)]
pub struct Resolver {
    requests: SyncSender<PendingLookup>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    /// Starts the thread, which calls `getaddrinfo`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn new() -> io::Result<Self> {
        Self::serving(OwnNames::default())
    }

    /// As [`Resolver::new`], in a process that serves these names itself.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn serving(own: OwnNames) -> io::Result<Self> {
        Self::with_lookup(RESOLVE_TTL_NS, move |host| own.look_up(host))
    }

    /// Starts the thread with another lookup function, and a cache lifetime of `ttl_ns`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn with_lookup(
        ttl_ns: u64,
        lookup: impl FnMut(&str) -> io::Result<Vec<IpAddr>> + Send + 'static,
    ) -> io::Result<Self> {
        let (requests, waiting) = sync_channel(RESOLVE_QUEUE_DEPTH);
        let lookup: Lookup = Box::new(lookup);
        std::thread::Builder::new()
            .name("resolve".to_owned())
            .spawn(move || serve_all(&waiting, lookup, ttl_ns))?;
        Ok(Self { requests })
    }

    /// All addresses of `host` with `port`, at most `ADDRESSES_MAX`. An IP address, IPv6 with or without brackets,
    /// needs no lookup. No timeout: the caller has one.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let (answer, awaited) = handoff();
        let request = PendingLookup { host: host.to_owned(), answer };
        self.requests.try_send(request).map_err(|refused| match refused {
            TrySendError::Full(q) | TrySendError::Disconnected(q) => {
                ResolveError::Busy { host: q.host }
            }
        })?;
        let busy = || ResolveError::Busy { host: host.to_owned() };
        let answer = awaited.await.ok_or_else(busy)??;
        Ok(answer.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }
}

struct Known {
    addresses: Vec<IpAddr>,
    since_ns: u64,
}

fn serve_all(waiting: &Receiver<PendingLookup>, mut lookup: Lookup, ttl_ns: u64) {
    let clock = HostClock::new();
    let mut known: HashMap<String, Known> = HashMap::new();
    while let Ok(request) = waiting.recv() {
        let now_ns = clock.mono_ns();
        let fresh = known.get(&request.host).filter(|k| now_ns - k.since_ns < ttl_ns);
        let answer = match fresh {
            Some(known) => Ok(known.addresses.clone()),
            None => look_up(&mut known, &mut lookup, &request.host, &clock),
        };
        request.answer.give(answer);
    }
}

fn look_up(
    known: &mut HashMap<String, Known>,
    lookup: &mut Lookup,
    host: &str,
    clock: &HostClock,
) -> Answer {
    let found = lookup(host).map_err(|e| ResolveError::Failed {
        host: host.to_owned(),
        why: e.to_string().replace('\n', " "),
    });
    let found = found.and_then(|mut addresses| {
        addresses.truncate(ADDRESSES_MAX);
        if addresses.is_empty() {
            return Err(ResolveError::Empty { host: host.to_owned() });
        }
        Ok(addresses)
    });
    match (found, known.get(host)) {
        (Ok(addresses), _) => {
            if known.len() >= RESOLVE_NAMES_MAX {
                known.clear();
            }
            let since_ns = clock.mono_ns();
            known.insert(host.to_owned(), Known { addresses: addresses.clone(), since_ns });
            Ok(addresses)
        }
        // Cached addresses are used while the resolver fails.
        (Err(error), Some(old)) => {
            log::warn!("{error}; the cached addresses are used");
            Ok(old.addresses.clone())
        }
        (Err(error), None) => Err(error),
    }
}

#[cfg(test)]
mod tests;
