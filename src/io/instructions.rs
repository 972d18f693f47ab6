//! Instructions of the calling thread in user mode, as the processor counts them (`perf_event_open`).
//!
//! Runs on:  the shards of a replay. Cost: one system call a read: for batches, not per message.
use perf_event::{Builder, Counter, events::Hardware};
use rustix::io::Errno;

/// Counts the thread that started it.
pub struct InstructionCounter {
    counter: Counter,
}

impl InstructionCounter {
    /// Begins to count.
    ///
    /// # Errors
    /// Why they cannot be counted here: in one line, with the remedy if there is one.
    pub fn start() -> Result<Self, String> {
        let mut builder = Builder::new().kind(Hardware::INSTRUCTIONS);
        builder.enabled(true);
        match builder.build() {
            Ok(counter) => Ok(Self { counter }),
            Err(error) => Err(explain(&error)),
        }
    }

    /// Instructions since the start.
    ///
    /// # Errors
    /// The counter has not counted all the time: in one line.
    pub fn read(&mut self) -> Result<u64, String> {
        let counted = self.counter.read_count_and_time().map_err(|error| error.to_string())?;
        if counted.count == 0 {
            return Err("the counter of instructions stands still in this virtual machine".into());
        }
        if counted.time_running < counted.time_enabled {
            return Err("another program uses the processor's counters: end it".into());
        }
        Ok(counted.count)
    }
}

fn explain(error: &std::io::Error) -> String {
    let why = match Errno::from_io_error(error) {
        Some(Errno::PERM | Errno::ACCESS) => {
            "set sysctl kernel.perf_event_paranoid=2 or lower, and allow perf_event_open in the container's seccomp profile"
        }
        Some(Errno::NOSYS) => "the kernel has no perf_event_open",
        Some(Errno::NOENT | Errno::OPNOTSUPP | Errno::NODEV) => {
            "this processor or virtual machine has no counter of instructions"
        }
        _ => "`perf stat -e instructions:u true` fails likewise",
    };
    format!("{why} ({error})")
}

#[cfg(test)]
mod tests;
