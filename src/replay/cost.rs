//! What batches cost a shard: CPU time, and instructions where the processor counts them.
//!
//! Runs on:  the thread of the shard. Cost: two system calls for each figure a batch.
use crate::io::clock::thread_cpu_ns;
use crate::io::instructions::InstructionCounter;
use serde::Serialize;

/// The cost of batches; of no batch by default.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
pub struct Cost {
    /// CPU time, nanoseconds.
    pub busy_ns: u64,
    /// Instructions in user mode; `None` before the first batch, or where they are not counted.
    pub instructions: Option<u64>,
    /// Why they are not counted.
    pub instructions_uncounted: Option<String>,
}

impl Cost {
    pub(super) fn of(busy_ns: u64, instructions: Result<u64, String>) -> Self {
        let (instructions, instructions_uncounted) = match instructions {
            Ok(count) => (Some(count), None),
            Err(why) => (None, Some(why)),
        };
        Self { busy_ns, instructions, instructions_uncounted }
    }

    /// Adds the cost of another shard. What one of them has not counted is not counted.
    pub(super) fn add(&mut self, other: &Self) {
        self.busy_ns += other.busy_ns;
        if self.instructions_uncounted.is_none() {
            self.instructions_uncounted.clone_from(&other.instructions_uncounted);
        }
        let sum = self.instructions.unwrap_or(0) + other.instructions.unwrap_or(0);
        self.instructions = self.instructions_uncounted.is_none().then_some(sum);
    }
}

/// Measures the thread that started it.
pub(super) struct CostMeter {
    counter: Result<InstructionCounter, String>,
    busy_ns: u64,
    instructions: u64,
    begun_ns: u64,
    begun_instructions: u64,
}

impl CostMeter {
    pub(super) fn start() -> Self {
        let counter = InstructionCounter::start();
        Self { counter, busy_ns: 0, instructions: 0, begun_ns: 0, begun_instructions: 0 }
    }

    /// A batch begins.
    pub(super) fn begin(&mut self) {
        self.begun_instructions = self.read();
        self.begun_ns = thread_cpu_ns();
    }

    pub(super) fn end(&mut self) {
        self.busy_ns += thread_cpu_ns().saturating_sub(self.begun_ns);
        self.instructions += self.read().saturating_sub(self.begun_instructions);
    }

    /// The cost of all batches.
    pub(super) fn cost(self) -> Cost {
        Cost::of(self.busy_ns, self.counter.map(|_| self.instructions))
    }

    fn read(&mut self) -> u64 {
        let Ok(counter) = &mut self.counter else { return 0 };
        match counter.read() {
            Ok(count) => count,
            Err(why) => {
                self.counter = Err(why);
                0
            }
        }
    }
}
