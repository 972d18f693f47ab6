//! glommio executors, one thread each, optionally pinned. The only file that builds them.
//!
//! Runs on:  main thread (start), then each executor's own.
//!
//! `io_memory(0)`, because otherwise 30 MiB would be pinned per executor. The preempt timer keeps its default, because
//! a shorter one can hang the executor.
use crate::base::limits;
use crate::base::time::SECOND_NS;
use glommio::{GlommioError, LocalExecutorBuilder, Placement};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::io_uring::{
    IoringEnterFlags, IoringRegisterOp, io_uring_enter, io_uring_params, io_uring_register,
    io_uring_setup,
};
use rustix::process::{Resource, getrlimit};
use std::future::Future;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// Locked memory that glommio requires for its rings, bytes per process.
const LOCKED_MEMORY_MIN_BYTES: u64 = 512 * 1024;
/// File descriptors for a few threads and their first sockets. glommio panics on its own thread when it gets none.
const FILES_MIN: u64 = 128;

/// Why an executor cannot start: one line with the remedy. Exit code 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

/// Checks the host's limits before any thread starts.
///
/// # Errors
/// [`StartError`] with the limit and how to raise it.
pub fn check_host() -> Result<(), StartError> {
    if let Some(files) = getrlimit(Resource::Nofile).current
        && files < FILES_MIN
    {
        return Err(StartError(format!(
            "too few open files: {files} allowed, {FILES_MIN} needed; raise them with `ulimit -n 65536` or LimitNOFILE=65536 in the service file"
        )));
    }
    if let Some(bytes) = getrlimit(Resource::Memlock).current
        && bytes < LOCKED_MEMORY_MIN_BYTES
    {
        return Err(StartError(format!(
            "too little locked memory for io_uring: {} KiB allowed, {} KiB needed; raise it with `ulimit -l 8192` or LimitMEMLOCK=8M in the service file",
            bytes / 1024,
            LOCKED_MEMORY_MIN_BYTES / 1024
        )));
    }
    super::driver::probe().map_err(|error| {
        StartError(format!(
            "the kernel refuses to wait for sockets: {error}; Linux 5.11 or newer is needed, and epoll_pwait2 and eventfd2 must be allowed in the container's seccomp profile"
        ))
    })?;
    probe_io_uring().map_err(|error| explain("control", &error.to_string()))
}

/// Creates the smallest ring and makes the calls that glommio makes: glommio panics if the kernel refuses any of them.
/// Seccomp profiles deny the three calls individually.
fn probe_io_uring() -> std::io::Result<()> {
    let refused = |call: &str, error: Errno| {
        let error = std::io::Error::from(error);
        std::io::Error::new(error.kind(), format!("the kernel refuses {call}: {error}"))
    };
    let ring = smallest_ring().map_err(|error| refused("io_uring_setup", error))?;
    let calls = [("io_uring_register", register(&ring)), ("io_uring_enter", enter(&ring))];
    for (call, result) in calls {
        // Other errors are expected, since the arguments request nothing.
        if let Err(error @ (Errno::PERM | Errno::ACCESS | Errno::NOSYS)) = result {
            return Err(refused(call, error));
        }
    }
    Ok(())
}

#[expect(unsafe_code, reason = "io_uring_setup has no safe form")]
fn smallest_ring() -> Result<OwnedFd, Errno> {
    let mut params = io_uring_params::default();
    // SAFETY: without flags the kernel only fills in `params`; the ring is never mapped and is freed with its
    // descriptor.
    unsafe { io_uring_setup(1, &mut params) }
}

#[expect(unsafe_code, reason = "io_uring_register has no safe form")]
fn register(ring: &OwnedFd) -> Result<u32, Errno> {
    let mut probe = [0_u64; 2];
    let place = (&raw mut probe).cast();
    // SAFETY: with room for no operation the kernel writes only the 16-byte header.
    unsafe { io_uring_register(ring, IoringRegisterOp::RegisterProbe, place, 0) }
}

#[expect(unsafe_code, reason = "io_uring_enter has no safe form")]
fn enter(ring: &OwnedFd) -> Result<u32, Errno> {
    // SAFETY: nothing is submitted and nothing is waited for.
    unsafe { io_uring_enter(ring, 0, 0, IoringEnterFlags::empty()) }
}

/// Threads that one executor needs at once, plus two that may be ending.
const EXECUTOR_THREADS: usize = 4;

/// Starts and ends as many threads as an executor needs: glommio panics on its own thread when it gets none.
fn probe_threads(name: &str) -> Result<(), StartError> {
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock();
    let start = |_| {
        let gate = Arc::clone(&gate);
        let wait = move || drop(gate.lock());
        std::thread::Builder::new().name("probe-threads".into()).spawn(wait)
    };
    let started: Vec<_> = (0..EXECUTOR_THREADS).map(start).collect();
    drop(closed);
    for thread in started {
        // The threads hold nothing and cannot fail.
        let _ = thread.map_err(|error| no_thread(name, &error))?.join();
    }
    Ok(())
}

/// Checks that threads can be pinned, on a temporary thread.
///
/// # Errors
/// [`StartError`]: the kernel refuses, or no thread can be started.
pub fn check_pinning(core: u32) -> Result<(), StartError> {
    let pin = move || super::threads::pin_current(core);
    let thread = std::thread::Builder::new().name("probe-pin".into()).spawn(pin);
    let thread = thread.map_err(|error| no_thread("probe-pin", &error))?;
    if thread.join().unwrap_or(false) {
        return Ok(());
    }
    Err(StartError(format!(
        "threads cannot be pinned: the kernel refuses sched_setaffinity for core {core}; allow it in the container's seccomp profile"
    )))
}

/// The error for a thread that cannot be started, with the remedy.
pub fn no_thread(name: &str, error: &std::io::Error) -> StartError {
    explain(name, &error.to_string())
}

/// Why the kernel refuses io_uring; `None` if it does not.
pub fn io_uring_fault() -> Option<String> {
    probe_io_uring().err().map(|error| error.to_string())
}

/// Cores that this process may run on, ascending.
pub fn usable_cores() -> Vec<u32> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let mut cores: Vec<u32> = cores.into_iter().map(|core| core.id as u32).collect();
    cores.sort_unstable();
    cores
}

/// A running executor.
pub struct Executor<T: Send + 'static> {
    handle: JoinHandle<Result<T, GlommioError<()>>>,
    /// Disconnects when the thread's work ends.
    over: mpsc::Receiver<()>,
}

impl<T: Send + 'static> std::fmt::Debug for Executor<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor").finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Executor<T> {
    /// Starts a thread `name`, pinned to `core` if given, that runs the future from `make`.
    ///
    /// Must be called from an unpinned thread: a new thread inherits the CPU mask.
    ///
    /// # Errors
    /// [`StartError`] if io_uring is refused or the core cannot be pinned.
    pub fn start<G, F>(name: &str, core: Option<u32>, make: G) -> Result<Self, StartError>
    where
        G: FnOnce() -> F + Send + 'static,
        F: Future<Output = T> + 'static,
    {
        Self::start_spinning(name, core, 0, make)
    }

    /// [`Executor::start`] with a runtime that polls for `spin_ns` before it sleeps; only for pinned executors.
    ///
    /// # Errors
    /// As [`Executor::start`].
    pub fn start_spinning<G, F>(
        name: &str,
        core: Option<u32>,
        spin_ns: u64,
        make: G,
    ) -> Result<Self, StartError>
    where
        G: FnOnce() -> F + Send + 'static,
        F: Future<Output = T> + 'static,
    {
        probe_threads(name)?;
        let placement = core.map_or(Placement::Unbound, |core| Placement::Fixed(core as usize));
        let builder = LocalExecutorBuilder::new(placement).io_memory(0);
        let builder = match spin_ns {
            0 => builder,
            ns => builder.spin_before_park(Duration::from_nanos(ns)),
        };
        let (running, over) = mpsc::channel();
        let run = move || {
            let executor = builder.make()?;
            executor.run(async move {
                // The first park of an executor costs 8 to 17 ms: do it before the first frame.
                glommio::timer::sleep(Duration::from_millis(1)).await;
                let _ = running.send(());
                let result = make().await;
                drop(running);
                Ok(result)
            })
        };
        // glommio's own thread builder has no stack size.
        let thread = std::thread::Builder::new().name(name.to_owned());
        let handle = thread.stack_size(limits::DECODE_STACK_BYTES).spawn(run);
        let handle = handle.map_err(|error| explain(name, &error.to_string()))?;
        // glommio creates its rings on the new thread; if that fails the thread ends.
        if over.recv().is_err() {
            let error = ended(handle).err().unwrap_or_else(|| "it ended at once".to_owned());
            return Err(explain(name, &error));
        }
        Ok(Self { handle, over })
    }

    /// Waits for the end of the thread.
    ///
    /// # Errors
    /// [`StartError`]: the thread has failed.
    pub fn join(self) -> Result<T, StartError> {
        ended(self.handle).map_err(|error| explain("executor", &error))
    }

    /// Waits at most `timeout_ns` for the end of the thread; after that it is detached.
    ///
    /// # Errors
    /// [`StartError`]: the thread has failed, or has not ended.
    pub fn join_within(self, timeout_ns: u64) -> Result<T, StartError> {
        match self.over.recv_timeout(Duration::from_nanos(timeout_ns)) {
            Err(mpsc::RecvTimeoutError::Disconnected) => self.join(),
            Ok(()) | Err(mpsc::RecvTimeoutError::Timeout) => {
                let seconds = timeout_ns / SECOND_NS;
                Err(StartError(format!("a thread did not end within {seconds} s after its stop")))
            }
        }
    }
}

fn ended<T>(handle: JoinHandle<Result<T, GlommioError<()>>>) -> Result<T, String> {
    match handle.join() {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("it panicked: {}", text.unwrap_or("no message")))
        }
    }
}

fn explain(name: &str, error: &str) -> StartError {
    let lower = error.to_lowercase();
    let remedy = if lower.contains("temporarily unavailable") {
        "no more threads are allowed here: raise their number with `ulimit -u 4096`, TasksMax= in the service file or the container's limit of processes"
    } else if lower.contains("not permitted")
        || lower.contains("not implemented")
        || lower.contains("permission denied")
    {
        "io_uring is disabled here: set sysctl kernel.io_uring_disabled=0, and allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp profile"
    } else if lower.contains("memory") || lower.contains("memlock") {
        "raise the locked memory with `ulimit -l 8192` or LimitMEMLOCK=8M in the service file, or start fewer shards"
    } else if lower.contains("too many open files") {
        "raise the number of files with `ulimit -n 65536`"
    } else {
        "`ringbook topology` shows which cores may be used"
    };
    StartError(format!("cannot start the thread {name}: {error}; {remedy}"))
}

/// Yields to other tasks of this executor.
pub async fn yield_now() {
    glommio::executor().yield_task_queue_now().await;
}

/// Suspends this task for `ns`.
pub async fn sleep(ns: u64) {
    glommio::timer::sleep(Duration::from_nanos(ns)).await;
}

/// Lets the whole thread sleep for `ns`, then the other tasks run. Costs less than [`sleep`], which parks the runtime
/// and interrupts every core of the process; for an executor on which nothing else is due earlier.
pub async fn sleep_thread(ns: u64) {
    std::thread::sleep(Duration::from_nanos(ns));
    yield_now().await;
}

/// Spawns `task` on this executor; it must end by itself (a cancelled task leaks).
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    glommio::spawn_local(task).detach();
}

#[cfg(test)]
mod tests;
