//! One target's run: inputs out of a corpus that grows, and what is done about one that fails.

use crate::mutation::Mutator;
use crate::recordings;
use crate::target::Target;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Largest corpus; an input joins it when it shows a new behaviour.
const CORPUS_MAX: usize = 4_096;
/// Attempts to cut a failing input down.
const CUTS_MAX: usize = 3_000;

/// A run of one target.
pub(crate) struct Campaign {
    target: &'static Target,
    seed: u64,
    mutator: Mutator,
    corpus: Vec<Vec<u8>>,
    behaviours: HashSet<u64>,
    unplayed: Vec<Vec<u8>>,
    inputs: u64,
    bytes: u64,
}

impl Campaign {
    pub(crate) fn new(target: &'static Target, seed: u64) -> Self {
        let mut unplayed = (target.seeds)();
        unplayed.extend(recordings::for_target(target.name));
        Self {
            target,
            seed,
            mutator: Mutator::new(seed, target.dictionary),
            corpus: unplayed.clone(),
            behaviours: HashSet::new(),
            unplayed,
            inputs: 0,
            bytes: 0,
        }
    }

    /// Runs one input.
    pub(crate) fn step(&mut self) {
        let (input, fresh) = match self.unplayed.pop() {
            Some(seed) => (seed, false),
            None => (self.mutator.next(&self.corpus), true),
        };
        self.inputs += 1;
        self.bytes += input.len() as u64;
        match catch_unwind(AssertUnwindSafe(|| (self.target.run)(&input))) {
            Ok(behaviour) => {
                let new = self.behaviours.insert(behaviour);
                if new && fresh && self.corpus.len() < CORPUS_MAX {
                    self.corpus.push(input);
                }
            }
            Err(panic) => self.fail(input, &*panic),
        }
    }

    /// Different things that inputs did.
    pub(crate) fn behaviours(&self) -> usize {
        self.behaviours.len()
    }

    pub(crate) fn summary(&self) -> String {
        format!(
            "{}: {} inputs of {} bytes on average, {} behaviours, seed {}",
            self.target.name,
            self.inputs,
            self.bytes / self.inputs.max(1),
            self.behaviours.len(),
            self.seed
        )
    }

    /// Cuts the input down while it still fails, and reports it.
    fn fail(&self, mut input: Vec<u8>, panic: &(dyn std::any::Any + Send)) -> ! {
        let message = panic.downcast_ref::<String>().cloned();
        let message =
            message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        std::panic::set_hook(Box::new(|_| ()));
        let (mut size, mut cuts) = (input.len() / 2, 0);
        while size > 0 && cuts < CUTS_MAX {
            let mut at = 0;
            while at + size <= input.len() && cuts < CUTS_MAX {
                let shorter = [&input[..at], &input[at + size..]].concat();
                cuts += 1;
                if catch_unwind(AssertUnwindSafe(|| (self.target.run)(&shorter))).is_err() {
                    input = shorter;
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
        drop(std::panic::take_hook());
        let name = format!("ringbook-fuzz-{}-{}.bin", self.target.name, std::process::id());
        let file = std::env::temp_dir().join(name);
        let written = std::fs::write(&file, &input);
        panic!(
            "{}: input {} of seed {} fails: {}\n{} bytes, in {} ({written:?}): b\"{}\"",
            self.target.name,
            self.inputs,
            self.seed,
            message.unwrap_or_default(),
            input.len(),
            file.display(),
            input[..input.len().min(2_000)].escape_ascii()
        );
    }
}
