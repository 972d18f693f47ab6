//! What waits for a broker that is away: trades and the stages of markets, in a journal on the disk.
//!
//! Runs on:  the thread `bus`; may block on the disk. Owns: the journal. Bounds: the disk; in memory, what one producer
//!           holds.
//!
//! Of books the newest state is enough. These records come one behind the other: what a producer has given back, the
//! journal, what has just come. While any of them waits, no record of these kinds is published before it. A batch stays
//! in the journal until the broker has acknowledged all of it, so after a crash some are published twice: readers tell
//! trades by their ids.
use super::producer::{Producer, Refused};
use super::record::{RecordHead, Topic};
use crate::base::limits::{BUS_JOURNAL_BATCH, BUS_RETRY_NS};
use crate::base::time::Now;
use crate::counter::bus::BusBoard;
use crate::io::journal::{Entry, Journal};
use log::{info, warn};
use std::io;
use std::path::Path;

/// A record, as the stream has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept(String);

impl Kept {
    /// Whether records of this kind are kept.
    pub(super) fn is_kept(kind: &str) -> bool {
        matches!(kind, "trade" | "market")
    }
}

impl Entry for Kept {
    const REMEDY: &'static str = "`journal=FILE` in the address of --bus";

    fn write(&self, out: &mut Vec<u8>) -> io::Result<()> {
        out.extend(self.0.as_bytes());
        Ok(())
    }

    fn read(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok().filter(|text| text.ends_with('}'))?;
        let head = RecordHead::read(text)?;
        Self::is_kept(head.kind).then(|| Self(text.to_owned()))
    }
}

/// The records that wait.
#[derive(Debug)]
pub(super) struct Backlog {
    journal: Journal<Kept>,
    journaled: u64,
    /// Older than the journal.
    given_back: Vec<Kept>,
    /// Newer than the journal.
    come: Vec<Kept>,
    /// From the front of the journal, and how many of it the producer has taken.
    batch: Vec<Kept>,
    taken: usize,
    /// When the next batch may begin, monotonic nanoseconds.
    retry_ns: u64,
}

impl Backlog {
    /// Opens the journal.
    ///
    /// # Errors
    /// One line: the file cannot be used.
    pub(super) fn open(path: &Path, board: &BusBoard) -> Result<Self, String> {
        let opened = Journal::open(path);
        let (journal, found) =
            opened.map_err(|error| format!("journal {}: {error}", path.display()))?;
        if found.records > 0 {
            info!(
                "{} trades and stages of markets of an earlier run are in {}",
                found.records,
                path.display()
            );
        }
        if found.incomplete > 0 {
            warn!("{}: {} incomplete lines are skipped", path.display(), found.incomplete);
        }
        board.journaled.set(found.records);
        let (given_back, come, batch) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self {
            journal,
            journaled: found.records,
            given_back,
            come,
            batch,
            taken: 0,
            retry_ns: 0,
        })
    }

    /// Whether nothing waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.journaled == 0 && self.given_back.is_empty() && self.come.is_empty()
    }

    /// A record has come that cannot be published now.
    pub(super) fn push(&mut self, text: &str) {
        self.come.push(Kept(text.to_owned()));
    }

    /// What a producer had taken and not published, oldest first.
    pub(super) fn give_back(&mut self, texts: Vec<String>) {
        self.given_back.extend(texts.into_iter().map(Kept));
    }

    /// Writes what has come to the disk.
    pub(super) fn store(&mut self, board: &BusBoard) {
        if self.given_back.is_empty() && self.come.is_empty() {
            return;
        }
        match self.journal.check() {
            Ok(left) => self.journaled = left.unwrap_or(self.journaled),
            Err(error) => {
                board.set_error(&format!("journal {}: {error}", self.journal.path().display()));
            }
        }
        let is_batched = !self.batch.is_empty();
        let parts = [(&mut self.given_back, true), (&mut self.come, false)];
        for (records, first) in parts {
            if records.is_empty() || (first && is_batched) {
                continue;
            }
            let stored = match first {
                true => self.journal.prepend(&*records),
                false => self.journal.append(&*records),
            };
            match stored {
                Ok(()) => self.journaled += records.len() as u64,
                Err(error) => {
                    let (path, count) = (self.journal.path().display(), records.len());
                    let line = format!(
                        "journal {path}: {error}; {count} trades and stages of markets are lost"
                    );
                    warn!("{line}");
                    board.set_error(&line);
                    board.trades_failed.add(count as u64);
                }
            }
            records.clear();
        }
        board.journaled.set(self.journaled);
    }

    /// Publishes a part of the journal, as far as the producer has room; `failed`: a record of the batch was refused.
    pub(super) fn publish(
        &mut self,
        producer: &Producer,
        failed: bool,
        board: &BusBoard,
        now: Now,
    ) -> io::Result<()> {
        if self.taken > 0 && self.taken == self.batch.len() {
            if !producer.is_batch_over() {
                return Ok(());
            }
            if failed {
                self.retry_ns = now.mono_ns + BUS_RETRY_NS;
            } else {
                self.journal.consume()?;
                self.journaled = self.journaled.saturating_sub(self.batch.len() as u64);
                if self.journaled == 0 {
                    info!("all that waited in {} is published", self.journal.path().display());
                }
            }
            self.begin_again();
            board.journaled.set(self.journaled);
            self.store(board);
        }
        if self.batch.is_empty() {
            if self.journaled == 0 || now.mono_ns < self.retry_ns {
                return Ok(());
            }
            self.journal.peek(BUS_JOURNAL_BATCH, &mut self.batch)?;
            if self.batch.is_empty() {
                // Another program has changed it.
                self.journaled = 0;
                return self.journal.consume();
            }
        }
        for Kept(text) in &self.batch[self.taken..] {
            if let Some(RecordHead { kind, key, .. }) = RecordHead::read(text) {
                for &topic in Topic::of_kind(kind) {
                    if producer.send_batched(topic, key, text) == Err(Refused::Full) {
                        return Ok(());
                    }
                }
            }
            self.taken += 1;
        }
        Ok(())
    }

    /// There is another producer: a batch that was not acknowledged is published again.
    pub(super) fn begin_again(&mut self) {
        self.batch.clear();
        self.taken = 0;
    }
}
