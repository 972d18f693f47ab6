//! The trait that a venue implements.
//!
//! Runs on:  any (pure).
use super::{Capabilities, Catalog, Outline, Role, Sink, SubscriptionProtocol, kalshi, polymarket};
use crate::base::id::{TokenId, Venue};
use std::fmt::Debug;

/// A venue and its options. A new venue implements this, [`Catalog`], [`SubscriptionProtocol`] and [`Decode`]; nothing
/// else in the engine changes.
pub trait Protocol: Catalog + Debug + Sync {
    /// The venue's name.
    fn venue(&self) -> Venue;

    /// Properties that the engine depends on.
    fn capabilities(&self) -> Capabilities;

    /// Flags that set the addresses of the catalog and the stream.
    fn address_flags(&self) -> [&'static str; 2];

    /// Service names of the catalog and of the books; equal if they are one service.
    fn service_names(&self) -> [&'static str; 2];

    /// Service name of the stream.
    fn stream_name(&self) -> &'static str;

    /// A new subscription state machine for a connection of this role.
    fn subscription(&self, role: Role) -> Box<dyn SubscriptionProtocol>;

    /// A frame decoder.
    fn decoder(&self) -> Decoder;

    /// The REST request for the books of these tokens; the response omits tokens that the venue does not know.
    fn books_request(&self, tokens: &[TokenId]) -> BooksQuestion;

    /// Whether this frame can only be this venue's; for captures that do not name their venue.
    fn recognizes(&self, frame: &str) -> bool {
        let _ = frame;
        false
    }
}

/// A [`Protocol`] that lives as long as the process.
pub type Feed = &'static dyn Protocol;

/// A book request over REST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BooksQuestion {
    /// Path and query.
    pub path: String,
    /// JSON body of a `POST`; `None`: a `GET`.
    pub body: Option<String>,
}

/// Decodes the frames of a venue; one per thread.
pub trait Decode: Debug + Send {
    /// Decodes one text frame and delivers its messages to `sink` in order; returns their number. Input that cannot be
    /// read is delivered as an [`DecodeNotice`](super::DecodeNotice).
    fn decode(&mut self, frame: &str, sink: &mut dyn Sink) -> u32;

    /// Decodes the response to a [`BooksQuestion`]; returns the number of books.
    fn decode_books(&mut self, text: &str, sink: &mut dyn Sink) -> u32;

    /// Summary of a frame, read without applying it. Empty for venues without sequence numbers.
    fn outline<'a>(&mut self, frame: &'a str) -> Outline<'a> {
        let _ = frame;
        Outline::default()
    }
}

/// A venue's frame decoder; one per thread. The built-in ones are dispatched statically: a message takes some hundred
/// nanoseconds.
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
            Self::Polymarket(_) => polymarket::outline::outline(frame),
            Self::Kalshi(decoder) => decoder.outline(frame),
            Self::Other(decoder) => decoder.outline(frame),
        }
    }

    /// The first token of a frame if it is at its usual place; nothing is validated.
    #[inline]
    pub fn first_token<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Self::Polymarket(_) => polymarket::scan::first_token(frame),
            Self::Kalshi(_) => kalshi::scan::first_token(frame),
            Self::Other(_) => None,
        }
    }

    /// Decodes about `budget_bytes` more of a frame; returns the number of messages delivered. Only lists of messages
    /// are divided.
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
            Self::Polymarket(_) => unreachable!("handled above"),
        }
    }

    /// Decodes about `budget_bytes` more of the response to a [`BooksQuestion`]; returns the number of books delivered.
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

/// Position in a frame that is decoded in parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub(super) phase: Phase,
    /// Next byte.
    pub(super) at: usize,
    /// Messages validated.
    pub(super) checked: u32,
}

/// A list is read twice, first to validate it, then to deliver it: a truncated list is never applied in part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing read.
    #[default]
    New,
    /// Validating the list's messages.
    Check,
    /// Delivering the list's messages.
    Deliver,
    /// All delivered.
    Done,
}

impl Progress {
    /// A frame that is decoded at once.
    pub(super) const fn done() -> Self {
        Self { phase: Phase::Done, at: 0, checked: 0 }
    }

    /// A text whose next byte is `at`; ends with [`Progress::done`].
    pub(super) const fn from(at: usize) -> Self {
        Self { phase: Phase::Deliver, at, checked: 0 }
    }

    /// Next byte.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Whether the frame is decoded to its end.
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }
}

/// Equal by venue: options do not count.
impl PartialEq for dyn Protocol {
    fn eq(&self, other: &Self) -> bool {
        self.venue() == other.venue()
    }
}

impl Eq for dyn Protocol {}
