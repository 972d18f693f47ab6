//! What a venue must be able to do to be followed.
//!
//! Runs on:  any (pure).
use super::{Capabilities, Catalogue, Dialog, Outline, Role, Sink, kalshi, polymarket};
use crate::base::id::{TokenId, Venue};
use std::fmt::Debug;

/// A venue, and what is asked of it. A venue implements this, [`Catalogue`], [`Dialog`] and [`Decode`]; nothing else
/// in the engine changes.
pub trait Protocol: Catalogue + Debug + Sync {
    /// Whose it is.
    fn venue(&self) -> Venue;

    /// What the engine must know of the venue.
    fn capabilities(&self) -> Capabilities;

    /// The flags that say where the catalogue and the stream are.
    fn address_flags(&self) -> [&'static str; 2];

    /// Names of the REST services of the catalogue and of books among the services; one name where they are one.
    fn service_names(&self) -> [&'static str; 2];

    /// The stream's name among the services.
    fn stream_name(&self) -> &'static str;

    /// A connection of this role, on which nothing was asked yet.
    fn dialog(&self, role: Role) -> Box<dyn Dialog>;

    /// A decoder of the frames.
    fn decoder(&self) -> Decoder;

    /// What the REST interface is asked for the books of these tokens; those that the venue does not know are
    /// left out of the answer.
    fn books_request(&self, tokens: &[TokenId]) -> BooksQuestion;

    /// Whether this frame can only be one of this venue's; for recordings that do not say whose they are.
    fn is_certain_of(&self, frame: &str) -> bool {
        let _ = frame;
        false
    }
}

/// A [`Protocol`], of which there is one value for the whole process.
pub type Feed = &'static dyn Protocol;

/// A question for books over REST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BooksQuestion {
    /// Path and query behind the host.
    pub path: String,
    /// The JSON of a `POST`; without it the question is a `GET`.
    pub body: Option<String>,
}

/// Reads the frames of a venue; one per thread.
pub trait Decode: Debug + Send {
    /// Reads one text frame and delivers its messages to `sink` in order; gives their number. What cannot be read
    /// is delivered as an [`Oddity`](super::Oddity).
    fn decode(&mut self, frame: &str, sink: &mut dyn Sink) -> u32;

    /// Reads an answer to a [`BooksQuestion`]; gives the number of books.
    fn decode_books(&mut self, text: &str, sink: &mut dyn Sink) -> u32;

    /// What a reader must know of a frame without applying it. Empty where messages are not numbered.
    fn outline<'a>(&mut self, frame: &'a str) -> Outline<'a> {
        let _ = frame;
        Outline::default()
    }
}

/// The decoder of a venue's frames; one per thread. Those of this library are called without a table of functions: a
/// message takes some hundred nanoseconds.
#[derive(Debug)]
pub enum Decoder {
    /// Polymarket's.
    Polymarket(polymarket::decode::Decoder),
    /// Kalshi's.
    Kalshi(kalshi::decode::Decoder),
    /// Any other venue's.
    Other(Box<dyn Decode>),
}

impl Decoder {
    /// See [`Decode::outline`].
    pub fn outline<'a>(&mut self, frame: &'a str) -> Outline<'a> {
        match self {
            Self::Polymarket(_) => Outline::default(),
            Self::Kalshi(decoder) => decoder.outline(frame),
            Self::Other(decoder) => decoder.outline(frame),
        }
    }

    /// Goes on with a frame, for about `budget_bytes` of it; gives the number of messages delivered by this
    /// part. Only lists of messages are divided.
    pub fn decode_part(
        &mut self,
        frame: &str,
        progress: &mut Progress,
        budget_bytes: usize,
        sink: &mut impl Sink,
    ) -> u32 {
        if let Self::Polymarket(decoder) = self {
            return decoder.decode_part(frame, progress, budget_bytes, sink);
        }
        if progress.is_done() {
            return 0;
        }
        *progress = Progress::done();
        match self {
            Self::Kalshi(decoder) => decoder.decode(frame, sink),
            Self::Other(decoder) => decoder.decode(frame, sink),
            Self::Polymarket(_) => unreachable!("read above"),
        }
    }

    /// Goes on with an answer to a [`BooksQuestion`], for about `budget_bytes` of it; gives the number of books
    /// delivered by this part.
    pub fn decode_books_part(
        &mut self,
        text: &str,
        progress: &mut Progress,
        budget_bytes: usize,
        sink: &mut impl Sink,
    ) -> u32 {
        match self {
            Self::Polymarket(decoder) => decoder.decode_part(text, progress, budget_bytes, sink),
            Self::Kalshi(decoder) => decoder.decode_books_part(text, progress, budget_bytes, sink),
            Self::Other(decoder) => {
                *progress = Progress::done();
                decoder.decode_books(text, sink)
            }
        }
    }
}

/// How far the decoding of one frame is; for frames that are decoded in parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub(super) phase: Phase,
    /// Byte of the frame that is looked at next.
    pub(super) at: usize,
    /// Messages found by the check.
    pub(super) checked: u32,
}

/// A list is read twice: once to see that it is whole, then to deliver. So nothing of a torn one
/// is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing was looked at.
    #[default]
    New,
    /// A list's messages are checked one by one.
    Check,
    /// A list's messages are delivered one by one.
    Deliver,
    /// Everything was delivered.
    Done,
}

impl Progress {
    /// Of a frame that is decoded at once.
    pub(super) const fn done() -> Self {
        Self { phase: Phase::Done, at: 0, checked: 0 }
    }

    /// Of a text that is decoded from `at` on next; its end is [`Progress::done`].
    pub(super) const fn from(at: usize) -> Self {
        Self { phase: Phase::Deliver, at, checked: 0 }
    }

    /// The byte that is looked at next.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// True when the frame was decoded to its end.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }
}

/// There is one value of a protocol for what is asked of a venue.
impl PartialEq for dyn Protocol {
    fn eq(&self, other: &Self) -> bool {
        self.venue() == other.venue()
    }
}

impl Eq for dyn Protocol {}
