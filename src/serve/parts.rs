//! Messages of a replay on their way to a client: parts of each source, merged by time.
//!
//! Runs on:  serve core. Bounds: the depth of the channel.
use std::sync::mpsc::{Receiver, TryRecvError};

/// Messages of one source, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// The messages, one behind the other.
    pub bytes: Vec<u8>,
    /// For each: when it was received, nanoseconds since the Unix epoch, and where it ends in `bytes`.
    pub ends: Vec<(u64, usize)>,
}

impl Messages {
    /// Adds a message.
    pub fn push(&mut self, at_ns: u64, message: &[u8]) {
        self.bytes.extend_from_slice(message);
        self.ends.push((at_ns, self.bytes.len()));
    }
}

/// A part of what a source sends.
#[derive(Debug)]
pub enum Part {
    /// Messages.
    Messages(Messages),
    /// There are no more; one line where the recording cannot be read.
    End(Result<(), String>),
}

/// A source as its client reads it.
#[derive(Debug)]
pub(super) struct Source {
    parts: Receiver<Part>,
    head: Messages,
    /// The next message of `head`, and where it begins.
    next: usize,
    begin: usize,
    end: Option<Result<(), String>>,
}

impl Source {
    pub(super) fn new(parts: Receiver<Part>) -> Self {
        Self { parts, head: Messages::default(), next: 0, begin: 0, end: None }
    }

    /// Whether the next message is there, or it is known that there is none.
    fn is_filled(&mut self) -> bool {
        while self.next == self.head.ends.len() && self.end.is_none() {
            match self.parts.try_recv() {
                Ok(Part::Messages(messages)) => {
                    (self.head, self.next, self.begin) = (messages, 0, 0);
                }
                Ok(Part::End(end)) => self.end = Some(end),
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => {
                    self.end = Some(Err("the replay has failed; the log says why".to_owned()));
                }
            }
        }
        true
    }

    fn time(&self) -> Option<u64> {
        self.head.ends.get(self.next).map(|&(at_ns, _)| at_ns)
    }

    fn take(&mut self) -> &[u8] {
        let begin = self.begin;
        self.begin = self.head.ends[self.next].1;
        self.next += 1;
        &self.head.bytes[begin..self.begin]
    }
}

/// What became of a request for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// There were some.
    Some,
    /// The next one is of a later time than asked for.
    Later,
    /// A source has not sent its next one yet.
    Nothing,
    /// All sources have ended.
    End,
}

/// Sources of one client, in the order of time.
#[derive(Debug)]
pub(super) struct Merge(Vec<Source>);

impl Merge {
    pub(super) const fn new(sources: Vec<Source>) -> Self {
        Self(sources)
    }

    /// The time of the next message, `Some(None)` at the end; `None` while a source has not sent its next one.
    ///
    /// # Errors
    /// The recording cannot be read: one line.
    pub(super) fn next_time(&mut self) -> Result<Option<Option<u64>>, String> {
        let mut is_filled = true;
        self.0.iter_mut().for_each(|source| is_filled &= source.is_filled());
        if !is_filled {
            return Ok(None);
        }
        for source in &self.0 {
            if let (None, Some(Err(line))) = (source.time(), &source.end) {
                return Err(line.clone());
            }
        }
        Ok(Some(self.0.iter().filter_map(Source::time).min()))
    }

    /// Gives messages up to a time to `write`, until it was given so many bytes.
    ///
    /// # Errors
    /// As [`Merge::next_time`].
    pub(super) fn take(
        &mut self,
        until_ns: u64,
        bytes: usize,
        mut write: impl FnMut(&[u8]),
    ) -> Result<Taken, String> {
        let mut written = None;
        while written.is_none_or(|written| written < bytes) {
            let next = match self.next_time() {
                Ok(Some(Some(next))) => next,
                _ if written.is_some() => break,
                Ok(None) => return Ok(Taken::Nothing),
                Ok(Some(None)) => return Ok(Taken::End),
                Err(line) => return Err(line),
            };
            if next > until_ns {
                return Ok(if written.is_some() { Taken::Some } else { Taken::Later });
            }
            let mut sources = self.0.iter_mut();
            let Some(source) = sources.find(|source| source.time() == Some(next)) else { break };
            let message = source.take();
            write(message);
            *written.get_or_insert(0) += message.len();
        }
        Ok(Taken::Some)
    }
}

#[cfg(test)]
mod tests;
