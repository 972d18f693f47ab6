//! The threads of the shards: plain ones, or the pinned executors that live shards run on.
//!
//! Runs on:  the starting thread.
use super::reader::ReplayError;
use super::worker::{Worker, WorkerResult};
use crate::base::limits::DECODE_STACK_BYTES;
use crate::io::executor::{Executor, StartError, check_host, check_pinning, no_thread};
use crate::shard::publish::Handler;
use std::thread::JoinHandle;

/// A shard that runs.
pub(super) enum ShardThread<H: Handler + Send> {
    Plain(JoinHandle<WorkerResult<H>>),
    Pinned(Executor<WorkerResult<H>>),
}

impl<H: Handler + Clone + Send> ShardThread<H> {
    /// Starts the thread `name`; with a core, on an executor pinned to it.
    ///
    /// # Errors
    /// [`ReplayError::Input`]: there is no further thread, or the host refuses executors or the core.
    pub(super) fn start(
        name: &str,
        core: Option<u32>,
        worker: Worker<H>,
    ) -> Result<Self, ReplayError> {
        let started = match core {
            Some(core) => pinned(name, core, worker).map(Self::Pinned),
            None => {
                let thread = std::thread::Builder::new().name(name.to_owned());
                let thread = thread.stack_size(DECODE_STACK_BYTES).spawn(move || worker.run());
                thread.map(Self::Plain).map_err(|error| no_thread(name, &error))
            }
        };
        started.map_err(|error| ReplayError::Input(error.to_string()))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`ReplayError::Input`]: the executor has failed.
    pub(super) fn join(self) -> Result<WorkerResult<H>, ReplayError> {
        match self {
            Self::Plain(thread) => {
                Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            }
            Self::Pinned(executor) => {
                executor.join().map_err(|error| ReplayError::Input(error.to_string()))
            }
        }
    }
}

fn pinned<H: Handler + Clone + Send>(
    name: &str,
    core: u32,
    worker: Worker<H>,
) -> Result<Executor<WorkerResult<H>>, StartError> {
    check_host()?;
    check_pinning(core)?;
    Executor::start(name, Some(core), move || worker.run_on_executor())
}
