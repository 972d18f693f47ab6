//! Readiness of many sockets and a doorbell, without any wait that was not asked for.
//!
//! What is above does not know who says that a socket is ready: [`Driver`].
//!
//! Runs on:  shard cores (inside the glommio executor). Owns: one epoll set, one eventfd.
//! Bounds:   `EVENTS_PER_WAIT` sockets a turn; level-triggered, so nothing is lost beyond it.
//!
//! The runtime's own TCP path costs 35 to 45 µs a message and saturates at 50,000 wake-ups a
//! second; this one polls the kernel from inside a task (both measured).
use super::{native::Native, socket::Stream};
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::fd::OwnedFd;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// Sockets that one wait may report.
const EVENTS_PER_WAIT: usize = 256;
/// The doorbell's key; sockets use their slot numbers.
const DOORBELL_KEY: u64 = u64::MAX;

/// Wakes a parked shard. The producer of a ring rings it after each message.
#[derive(Clone, Debug)]
pub struct Doorbell {
    event: Arc<OwnedFd>,
    asleep: Arc<AtomicBool>,
}

impl Doorbell {
    fn new() -> std::io::Result<Self> {
        let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { event: Arc::new(event), asleep: Arc::new(AtomicBool::new(false)) })
    }

    /// Costs a system call only when the other side sleeps.
    pub fn ring(&self) {
        // Pairs with the fence in `Readiness::wait`: either the sleeper sees the message, or this
        // sees that it sleeps.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
            // It fails only when the counter is full, and then the sleeper wakes anyway.
            let _ = rustix::io::write(&*self.event, &1u64.to_ne_bytes());
        }
    }

    fn clear(&self) {
        let mut count = [0u8; 8];
        let _ = rustix::io::read(&*self.event, &mut count);
    }
}

/// Whether this kernel waits to the nanosecond (`epoll_pwait2`, Linux 5.11).
///
/// # Errors
/// It does not, or the process has no file descriptors left.
pub fn probe() -> std::io::Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut events = [MaybeUninit::<epoll::Event>::uninit(); 1];
    epoll::wait(&epoll, &mut events[..], Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    Ok(())
}

/// Who says which sockets are ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// Our own epoll set, polled inside the executor.
    #[default]
    Epoll,
    /// The runtime's reactor: three to six times slower, for comparison.
    Native,
}

/// Which sockets can be read or written.
pub struct Readiness {
    /// The runtime's reactor instead of the epoll set, once the shard runs on its executor.
    native: Option<Native>,
    /// Sockets with bytes to send that found no room; the native driver tries them each time.
    full: Vec<u32>,
    /// Streams of memory: nobody can tell when they are ready, so they are looked at each time.
    memory: Vec<u32>,
    epoll: OwnedFd,
    doorbell: Doorbell,
    reported: Vec<Ready>,
    rung: bool,
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readiness").field("epoll", &self.epoll).finish_non_exhaustive()
    }
}

/// What a socket is ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The key it was added with.
    pub key: u32,
    /// There are bytes, an end or an error.
    pub readable: bool,
    /// There is room.
    pub writable: bool,
}

impl Readiness {
    /// An empty set.
    ///
    /// # Errors
    /// The process has no file descriptors left: `ulimit -n`.
    pub fn new() -> std::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let doorbell = Doorbell::new()?;
        let data = epoll::EventData::new_u64(DOORBELL_KEY);
        epoll::add(&epoll, &*doorbell.event, data, epoll::EventFlags::IN)?;
        let reported = Vec::with_capacity(EVENTS_PER_WAIT);
        let (full, memory) = (Vec::new(), Vec::new());
        Ok(Self { native: None, full, memory, epoll, doorbell, reported, rung: false })
    }

    /// Hands the sockets that are added from now on to the runtime. Call it on the executor.
    pub fn go_native(&mut self) {
        self.native = Some(Native::default());
    }

    /// [`Self::wait`] by the runtime, for [`Driver::Native`].
    pub async fn wait_native(&mut self, timeout_ns: u64) {
        self.reported.clear();
        self.rung = false;
        let Some(native) = &self.native else { return };
        let mut readable = Vec::new();
        native.wait(timeout_ns, &mut readable).await;
        let ready = |key, readable| Ready { key, readable, writable: !readable };
        self.reported.extend(readable.into_iter().map(|key| ready(key, true)));
        self.reported.extend(self.full.iter().map(|&key| ready(key, false)));
    }

    /// The bell that ends a wait.
    #[must_use]
    pub fn doorbell(&self) -> Doorbell {
        self.doorbell.clone()
    }

    /// Reports `stream` from now on under `key`; a stream of memory is reported at each wait, which
    /// then does not wait.
    ///
    /// # Errors
    /// As the kernel's `epoll_ctl`.
    pub fn add(&mut self, stream: &dyn Stream, key: u32) -> std::io::Result<()> {
        if let Some(native) = &self.native {
            return native.add(stream, key);
        }
        let Some(handle) = stream.handle() else {
            self.memory.push(key);
            return Ok(());
        };
        let data = epoll::EventData::new_u64(u64::from(key));
        Ok(epoll::add(&self.epoll, handle, data, epoll::EventFlags::IN)?)
    }

    /// Whether to report room to write too.
    ///
    /// # Errors
    /// As the kernel's `epoll_ctl`.
    pub fn want_write(
        &mut self,
        stream: &dyn Stream,
        key: u32,
        wanted: bool,
    ) -> std::io::Result<()> {
        if self.native.is_some() {
            self.full.retain(|&full| full != key);
            self.full.extend(wanted.then_some(key));
            return Ok(());
        }
        let Some(handle) = stream.handle() else { return Ok(()) };
        let mut flags = epoll::EventFlags::IN;
        flags.set(epoll::EventFlags::OUT, wanted);
        let data = epoll::EventData::new_u64(u64::from(key));
        Ok(epoll::modify(&self.epoll, handle, data, flags)?)
    }

    /// Forgets `stream`, which was added under `key`.
    pub fn remove(&mut self, stream: &dyn Stream, key: u32) {
        if let Some(native) = &self.native {
            self.full.retain(|&full| full != key);
            return native.remove(stream, key);
        }
        self.memory.retain(|&known| known != key);
        if let Some(handle) = stream.handle() {
            // A socket that is not in the set is what was wanted.
            let _ = epoll::delete(&self.epoll, handle);
        }
    }

    /// Waits up to `timeout_ns` (0: not at all) unless `is_idle` says that there is work after
    /// all; it is asked once, after the doorbell was armed. Ready sockets are in [`Self::ready`].
    pub fn wait(&mut self, timeout_ns: u64, is_idle: impl FnOnce() -> bool) {
        self.reported.clear();
        let mut timeout_ns = if self.memory.is_empty() { timeout_ns } else { 0 };
        if timeout_ns > 0 {
            self.doorbell.asleep.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if !is_idle() {
                timeout_ns = 0;
            }
        }
        let timeout = Timespec {
            tv_sec: (timeout_ns / 1_000_000_000) as i64,
            tv_nsec: (timeout_ns % 1_000_000_000) as i64,
        };
        let mut events = [MaybeUninit::<epoll::Event>::uninit(); EVENTS_PER_WAIT];
        // An interrupted wait is a short one.
        let found = epoll::wait(&self.epoll, &mut events[..], Some(&timeout));
        self.doorbell.asleep.store(false, Ordering::Relaxed);
        self.rung = false;
        for event in found.map(|(found, _)| found).unwrap_or_default() {
            // The structure is packed: copy before looking.
            let epoll::Event { flags, data } = *event;
            if data.u64() == DOORBELL_KEY {
                self.rung = true;
                continue;
            }
            let readable = epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
            self.reported.push(Ready {
                key: data.u64() as u32,
                readable: flags.intersects(readable),
                writable: flags.contains(epoll::EventFlags::OUT),
            });
        }
        if self.rung {
            self.doorbell.clear();
        }
        let memory = self.memory.iter();
        self.reported.extend(memory.map(|&key| Ready { key, readable: true, writable: true }));
    }

    /// Whether the doorbell ended the last wait.
    #[must_use]
    pub fn was_rung(&self) -> bool {
        self.rung
    }

    /// Number of sockets that the last wait reported.
    #[must_use]
    pub fn reported(&self) -> usize {
        self.reported.len()
    }

    /// One report of the last wait, `place` in `0..reported()`.
    #[must_use]
    pub fn ready(&self, place: usize) -> Ready {
        self.reported[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::socket::Socket;
    use std::io::Write as _;

    #[test]
    fn a_socket_is_reported_while_it_has_bytes_and_a_bell_ends_a_wait() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut socket = Socket::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let mut set = Readiness::new().unwrap();
        set.add(&socket, 7).unwrap();
        set.wait(0, || true);
        assert_eq!(set.reported(), 0);
        peer.write_all(b"x").unwrap();
        let expected = Ready { key: 7, readable: true, writable: false };
        for _ in 0..2 {
            set.wait(5_000_000_000, || true);
            assert_eq!((set.reported(), set.ready(0)), (1, expected));
        }
        let mut buffer = [0; 4];
        assert_eq!(socket.read(&mut buffer).unwrap(), 1);
        set.want_write(&socket, 7, true).unwrap();
        set.wait(0, || true);
        assert!(set.ready(0).writable);
        set.remove(&socket, 7);

        let bell = set.doorbell();
        let ringer = std::thread::spawn(move || {
            // Rings until the other side slept once: a bell at nobody asleep is free and lost.
            for _ in 0..2000 {
                bell.ring();
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        set.wait(60_000_000_000, || true);
        assert_eq!((set.reported(), set.was_rung()), (0, true));
        set.wait(60_000_000_000, || false);
        drop(ringer);
    }
}
