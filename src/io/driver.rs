//! Readiness of sockets, and a doorbell that wakes the waiting thread.
//!
//! [`Driver`] selects the implementation; callers do not depend on it.
//!
//! Runs on:  shard cores (inside the glommio executor). Owns: one epoll set, one eventfd.
//! Bounds:   `EVENTS_PER_WAIT` sockets per wait; level-triggered, so further ones are reported next time.
//!
//! glommio's TCP stream costs 35 to 45 µs per message and saturates at 50,000 wake-ups per second; this set is polled
//! from within a task (both measured).
use super::{native::Native, socket::Stream};
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::fd::OwnedFd;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// Maximum sockets reported by one wait.
const EVENTS_PER_WAIT: usize = 256;
/// The doorbell's key; sockets use their slot numbers.
const DOORBELL_KEY: u64 = u64::MAX;

/// Wakes a parked shard. A ring's producer rings it after each message.
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

    /// Costs a system call only if the other side sleeps.
    pub fn ring(&self) {
        // Pairs with the fence in `Readiness::wait`: either the sleeper sees the message, or this sees that it sleeps.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
            // Fails only if the counter is full; the sleeper then wakes anyway.
            let _ = rustix::io::write(&*self.event, &1u64.to_ne_bytes());
        }
    }

    fn clear(&self) {
        let mut count = [0u8; 8];
        let _ = rustix::io::read(&*self.event, &mut count);
    }
}

/// Whether the kernel supports waits of nanosecond precision (`epoll_pwait2`, Linux 5.11).
///
/// # Errors
/// It does not, or no file descriptors are left.
pub fn probe() -> std::io::Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut events = [MaybeUninit::<epoll::Event>::uninit(); 1];
    epoll::wait(&epoll, &mut events[..], Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    Ok(())
}

/// Source of socket readiness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// An epoll set polled inside the executor.
    #[default]
    Epoll,
    /// glommio's reactor: three to six times slower, for comparison.
    Native,
}

/// The set of watched sockets.
pub struct Readiness {
    /// glommio's reactor, if used instead of the epoll set.
    native: Option<Native>,
    /// Sockets with unsent bytes; the native driver reports them writable at each wait.
    full: Vec<u32>,
    /// In-memory streams, whose readiness is unknown: reported at each wait.
    memory: Vec<u32>,
    epoll: OwnedFd,
    doorbell: Doorbell,
    reported: Vec<Ready>,
    rung: bool,
    /// The last wait may not have reported every ready socket.
    partial: bool,
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readiness").field("epoll", &self.epoll).finish_non_exhaustive()
    }
}

/// Readiness of one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The key given to [`Readiness::add`].
    pub key: u32,
    /// Bytes, end of stream or an error are available.
    pub readable: bool,
    /// There is room in the send buffer.
    pub writable: bool,
}

impl Readiness {
    /// An empty set.
    ///
    /// # Errors
    /// No file descriptors are left: `ulimit -n`.
    pub fn new() -> std::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let doorbell = Doorbell::new()?;
        let data = epoll::EventData::new_u64(DOORBELL_KEY);
        epoll::add(&epoll, &*doorbell.event, data, epoll::EventFlags::IN)?;
        let reported = Vec::with_capacity(EVENTS_PER_WAIT);
        let (full, memory) = (Vec::new(), Vec::new());
        Ok(Self {
            native: None,
            full,
            memory,
            epoll,
            doorbell,
            reported,
            rung: false,
            partial: false,
        })
    }

    /// Uses glommio's reactor for sockets added from now on. Must be called on the executor.
    pub fn go_native(&mut self) {
        self.native = Some(Native::default());
    }

    /// [`Self::wait`] for [`Driver::Native`].
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

    /// The doorbell that ends a wait.
    pub fn doorbell(&self) -> Doorbell {
        self.doorbell.clone()
    }

    /// Adds `stream` under `key`. An in-memory stream is reported at each wait, which then does not block.
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

    /// Sets whether to report writability.
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

    /// Removes `stream`, which was added under `key`.
    pub fn remove(&mut self, stream: &dyn Stream, key: u32) {
        if let Some(native) = &self.native {
            self.full.retain(|&full| full != key);
            return native.remove(stream, key);
        }
        self.memory.retain(|&known| known != key);
        if let Some(handle) = stream.handle() {
            // Fails if the socket is not in the set.
            let _ = epoll::delete(&self.epoll, handle);
        }
    }

    /// Waits up to `timeout_ns` (0: polls) unless `is_idle`, called once after the doorbell is armed, returns false.
    /// Results are in [`Self::ready`].
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
        // An interrupted wait reports nothing.
        let found = epoll::wait(&self.epoll, &mut events[..], Some(&timeout));
        self.doorbell.asleep.store(false, Ordering::Relaxed);
        self.rung = false;
        self.partial = found.as_ref().map_or(true, |(found, _)| found.len() == EVENTS_PER_WAIT);
        for event in found.map(|(found, _)| found).unwrap_or_default() {
            // The structure is packed: fields must be copied before use.
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

    /// Whether the doorbell rang during the last wait.
    pub fn was_rung(&self) -> bool {
        self.rung
    }

    /// Number of sockets reported by the last wait.
    pub fn reported(&self) -> usize {
        self.reported.len()
    }

    /// Whether the last wait may not have reported every ready socket: more were ready than it has room for, or it was
    /// interrupted.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// Report `place` of the last wait, `place` in `0..reported()`.
    pub fn ready(&self, place: usize) -> Ready {
        self.reported[place]
    }
}

#[cfg(test)]
mod tests;
