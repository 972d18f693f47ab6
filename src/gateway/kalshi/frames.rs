//! Frames of one client, and the parts of them that all clients share.
//!
//! Runs on:  serve core (pure). Bounds: as long as the frames of one update; memory is kept.
use super::encode;
use std::fmt::Write as _;

/// Text frames in order, in one buffer.
#[derive(Debug, Default)]
pub struct Frames {
    text: String,
    ends: Vec<usize>,
}

impl Frames {
    /// Removes all.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Each frame, the first one first.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, &end)| &self.text[begin..end])
    }

    /// Appends a message of a subscription.
    pub(super) fn push(
        &mut self,
        kind: &str,
        id: Option<u64>,
        (sid, seq): (u64, Option<u64>),
        body: &str,
    ) {
        encode::begin(&mut self.text, kind, id);
        // Writing to a string cannot fail.
        let _ = match seq {
            Some(seq) => write!(self.text, r#","sid":{sid},"seq":{seq},"msg":"#),
            None => write!(self.text, r#","sid":{sid},"msg":"#),
        };
        self.text.push_str(body);
        self.text.push('}');
        self.ends.push(self.text.len());
    }
}

/// Which `msg` of an update.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    Snapshot { yes_price: bool },
    Empty,
    Delta { yes_price: bool },
    Ticker,
    Trade,
    Lifecycle,
}

impl Body {
    const COUNT: usize = 8;

    const fn place(self) -> usize {
        match self {
            Self::Snapshot { yes_price: false } => 0,
            Self::Snapshot { yes_price: true } => 1,
            Self::Empty => 2,
            Self::Delta { yes_price: false } => 3,
            Self::Delta { yes_price: true } => 4,
            Self::Ticker => 5,
            Self::Trade => 6,
            Self::Lifecycle => 7,
        }
    }
}

/// The `msg` of the frames of one update, each encoded when the first client needs it.
///
/// One value serves all clients; call [`begin`](Self::begin) before each update.
#[derive(Debug, Default)]
pub struct Bodies([String; Body::COUNT]);

impl Bodies {
    /// Forgets the update before, and keeps the memory.
    pub fn begin(&mut self) {
        self.0.iter_mut().for_each(String::clear);
    }

    /// The body, written if it is not yet there.
    pub(super) fn get(&mut self, body: Body, write: impl FnOnce(&mut String)) -> &str {
        let text = &mut self.0[body.place()];
        if text.is_empty() {
            write(text);
        }
        text
    }
}
