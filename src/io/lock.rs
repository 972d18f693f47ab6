//! Locks of files and folders for one writing process.
//!
//! Runs on:  plain threads at startup; waits about half a second for a lock that is held.
use rustix::fs::{FlockOperation, fstat, major, minor};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::Duration;

/// Why a lock was not acquired.
#[derive(Debug)]
pub enum LockFault {
    /// Held by another process, described as in `process 4711 (ringbook)`: *report and exit*.
    Held(String),
    /// The file system has no locks: *warn and continue*.
    Impossible(io::Error),
}

/// A process that this one has just started, as `--capture-on-close` does, holds its locks too until it runs its
/// program. So a lock that is held is tried for about half a second.
const ATTEMPTS: u32 = 25;
const PAUSE: Duration = Duration::from_millis(20);

/// Locks an open file or folder until it is closed or the process ends. All names of the same file share the lock.
pub fn lock(file: &File) -> Result<(), LockFault> {
    for attempt in 1.. {
        match rustix::fs::flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if attempt < ATTEMPTS => sleep(PAUSE),
            Err(Errno::WOULDBLOCK) => break,
            Err(error) => return Err(LockFault::Impossible(error.into())),
            Ok(()) => return Ok(()),
        }
    }
    Err(LockFault::Held(holder(file)))
}

/// The holder according to `/proc/locks`, which lacks processes of other containers.
fn holder(file: &File) -> String {
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let found = fstat(file.as_fd())
        .ok()
        .and_then(|stat| holder_in(&locks, (major(stat.st_dev), minor(stat.st_dev)), stat.st_ino));
    let Some(id) = found else { return "another process".into() };
    match std::fs::read_to_string(format!("/proc/{id}/comm")) {
        Ok(name) => format!("process {id} ({})", name.trim_end()),
        Err(_) => format!("process {id}"),
    }
}

/// Parses lines such as `1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF`. Some file systems list a device other than
/// that of `fstat`, so a matching inode alone is the fallback.
fn holder_in(locks: &str, (major, minor): (u32, u32), inode: u64) -> Option<u32> {
    let mut near = None;
    for line in locks.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, id, place, ..] = fields[..] else { continue };
        let (Ok(id), Some((device, number))) = (id.parse(), place.rsplit_once(':')) else {
            continue;
        };
        if number.parse() != Ok(inode) {
            continue;
        }
        if device == format!("{major:02x}:{minor:02x}") {
            return Some(id);
        }
        near = near.or(Some(id));
    }
    near
}

#[cfg(test)]
mod tests;
