//! Names to addresses, off the executor: one plain thread asks the host's resolver.
//!
//! Runs on:  a thread of its own that may block; any executor may ask it.
//! Owns:     the cache. Bounds: `RESOLVE_QUEUE_DEPTH` questions, `RESOLVE_NAMES_MAX` names.
//!
//! glommio resolves in place and takes the first address only; its blocking pool panics when an
//! executor ends while a lookup is under way. Hence this thread. It inherits the CPU mask of the
//! thread that calls [`Resolver::new`]: make it before anything is pinned.
use super::clock::HostClock;
use crate::base::limits::{ADDRESSES_MAX, RESOLVE_NAMES_MAX, RESOLVE_QUEUE_DEPTH, RESOLVE_TTL_NS};
use crate::base::time::Clock as _;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

/// Why a name has no addresses. *Back off and ask again.*
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The host's resolver failed, and there is no older answer to fall back on.
    #[error("the name {host} cannot be resolved: {why}")]
    Failed {
        /// The name.
        host: String,
        /// What the resolver said.
        why: String,
    },
    /// The name exists and has no address.
    #[error("the name {host} has no address")]
    Empty {
        /// The name.
        host: String,
    },
    /// `RESOLVE_QUEUE_DEPTH` questions are waiting already, or the thread is gone.
    #[error("the resolver is too busy to ask for {host}")]
    Busy {
        /// The name.
        host: String,
    },
}

type Answer = Result<Vec<IpAddr>, ResolveError>;
type Lookup = Box<dyn FnMut(&str) -> io::Result<Vec<IpAddr>> + Send>;

struct Question {
    host: String,
    slot: Arc<Mutex<Slot>>,
}

#[derive(Default)]
struct Slot {
    answer: Option<Answer>,
    waker: Option<Waker>,
}

/// A handle to the resolver's thread, which ends when the last handle is dropped.
#[derive(Clone)]
pub struct Resolver {
    questions: SyncSender<Question>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    /// Starts the thread, which asks the host's resolver (`getaddrinfo`).
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn new() -> io::Result<Self> {
        Self::with_lookup(RESOLVE_TTL_NS, |host| {
            Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
        })
    }

    /// Starts the thread with another way to look a name up, and answers kept for `ttl_ns`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn with_lookup(
        ttl_ns: u64,
        lookup: impl FnMut(&str) -> io::Result<Vec<IpAddr>> + Send + 'static,
    ) -> io::Result<Self> {
        let (questions, waiting) = sync_channel(RESOLVE_QUEUE_DEPTH);
        let lookup: Lookup = Box::new(lookup);
        std::thread::Builder::new()
            .name("resolve".to_owned())
            .spawn(move || answer_all(&waiting, lookup, ttl_ns))?;
        Ok(Self { questions })
    }

    /// Every address of `host` with `port`, at most `ADDRESSES_MAX`. An IP address, IPv6 with or
    /// without brackets, is answered at once. There is no timeout here: the caller has one.
    ///
    /// # Errors
    /// See [`ResolveError`].
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let slot = Arc::new(Mutex::new(Slot::default()));
        let question = Question { host: host.to_owned(), slot: Arc::clone(&slot) };
        self.questions.try_send(question).map_err(|refused| match refused {
            TrySendError::Full(q) | TrySendError::Disconnected(q) => {
                ResolveError::Busy { host: q.host }
            }
        })?;
        let waiting = Waiting(slot);
        let answer = poll_fn(|context| {
            let mut slot = waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(answer) = slot.answer.take() {
                return Poll::Ready(answer);
            }
            slot.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await?;
        Ok(answer.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }
}

/// Takes its waker back when it is dropped, so that no task of an executor that has ended is woken.
struct Waiting(Arc<Mutex<Slot>>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).waker = None;
    }
}

struct Known {
    addresses: Vec<IpAddr>,
    since_ns: u64,
}

fn answer_all(waiting: &Receiver<Question>, mut lookup: Lookup, ttl_ns: u64) {
    let clock = HostClock::new();
    let mut known: HashMap<String, Known> = HashMap::new();
    while let Ok(question) = waiting.recv() {
        let now_ns = clock.mono_ns();
        let fresh = known.get(&question.host).filter(|k| now_ns - k.since_ns < ttl_ns);
        let answer = match fresh {
            Some(known) => Ok(known.addresses.clone()),
            None => ask(&mut known, &mut lookup, &question.host, &clock),
        };
        let mut slot = question.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.answer = Some(answer);
        // Woken under the lock, so that the asker cannot go away in between.
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    }
}

fn ask(
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
        // An old address is better than none while the resolver is down.
        (Err(error), Some(old)) => {
            log::warn!("{error}; the addresses known before are used");
            Ok(old.addresses.clone())
        }
        (Err(error), None) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_needs_no_resolver() {
        let resolver = Resolver::with_lookup(0, |_| panic!("not asked")).unwrap();
        for (host, address) in
            [("127.0.0.1", "127.0.0.1:443"), ("::1", "[::1]:443"), ("[::1]", "[::1]:443")]
        {
            let found = block_on(resolver.resolve(host, 443)).unwrap();
            assert_eq!(found, [address.parse().unwrap()]);
        }
    }

    #[test]
    fn all_addresses_are_returned_and_remembered() {
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let resolver = Resolver::with_lookup(RESOLVE_TTL_NS, move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(vec![ip("10.0.0.1"), ip("::1")])
        })
        .unwrap();
        for _ in 0..3 {
            let found = block_on(resolver.resolve("venue.test", 80)).unwrap();
            assert_eq!(found, ["10.0.0.1:80".parse().unwrap(), "[::1]:80".parse().unwrap()]);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn an_old_answer_outlives_a_resolver_that_fails() {
        let mut calls = 0;
        let resolver = Resolver::with_lookup(0, move |_| {
            calls += 1;
            if calls == 1 { Ok(vec![ip("10.0.0.1")]) } else { Err(io::Error::other("down")) }
        })
        .unwrap();
        for _ in 0..2 {
            let found = block_on(resolver.resolve("venue.test", 80)).unwrap();
            assert_eq!(found, ["10.0.0.1:80".parse().unwrap()]);
        }
    }

    #[test]
    fn failures_are_told_apart() {
        let resolver = Resolver::with_lookup(0, |host| {
            if host == "empty.test" { Ok(vec![]) } else { Err(io::Error::other("no such name")) }
        })
        .unwrap();
        let empty = block_on(resolver.resolve("empty.test", 80)).unwrap_err();
        assert_eq!(empty, ResolveError::Empty { host: "empty.test".into() });
        let failed = block_on(resolver.resolve("gone.test", 80)).unwrap_err();
        assert_eq!(failed.to_string(), "the name gone.test cannot be resolved: no such name");
    }

    #[test]
    fn too_many_questions_are_refused() {
        let (hold, held) = sync_channel::<()>(0);
        let resolver = Resolver::with_lookup(0, move |_| {
            let _ = held.recv();
            Ok(vec![ip("10.0.0.1")])
        })
        .unwrap();
        // Questions whose askers went away stay in the queue.
        let mut busy = 0;
        for _ in 0..RESOLVE_QUEUE_DEPTH + 2 {
            let asked = block_on(futures_lite::future::poll_once(resolver.resolve("a.test", 1)));
            busy += usize::from(matches!(asked, Some(Err(ResolveError::Busy { .. }))));
        }
        assert!(busy >= 1, "{busy}");
        drop(hold);
    }
}
