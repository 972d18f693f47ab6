//! Books of messages further on in the same read: on their way from memory before they are needed.
//!
//! Runs on:  shard cores, replay (pure). Bounds: `HINTS` messages.
//!
//! A book that was not used recently is three loads in a row away: index, book, levels. One message is not long enough
//! to overlap them, but the next ones are in the buffer already. A message's index entry is fetched two messages ahead,
//! its books one ahead. The place that was found is used when the message comes, if its token is the one there, so
//! that a token is hashed once. A hint changes the speed, never the result.
use super::directory::Directory;
use super::slots::Slots;
use crate::base::id::BookIndex;
use crate::base::prefetch::prefetch;

/// More than the frames that a WebSocket announces.
const HINTS: usize = 4;

/// What is known of a message that has not come yet.
#[derive(Clone, Copy, Debug, Default)]
struct Hint {
    /// Address of its text, by which it is recognized; never followed.
    frame: usize,
    hash: u32,
    place: Option<BookIndex>,
    is_looked_up: bool,
}

/// Messages that are announced, in their order.
#[derive(Debug, Default)]
pub(super) struct LookAhead {
    hints: [Hint; HINTS],
    first: usize,
    len: usize,
    /// A message may be about one book alone.
    single: bool,
}

impl LookAhead {
    /// Nothing is announced. `single`: messages are about one book each, not about both of a market.
    pub(super) fn new(single: bool) -> Self {
        Self { single, ..Self::default() }
    }

    /// A message that names `token` comes after the next one.
    #[inline]
    pub(super) fn announce(&mut self, frame: &[u8], token: &[u8], directory: &Directory) {
        if self.len == HINTS {
            self.len = 0;
        }
        let hash = directory.hash(token);
        directory.prefetch(hash);
        let hint = Hint { frame: frame.as_ptr().addr(), hash, place: None, is_looked_up: false };
        self.hints[(self.first + self.len) % HINTS] = hint;
        self.len += 1;
    }

    /// A message has come: the place of its book if it was announced.
    #[inline]
    pub(super) fn take(
        &mut self,
        frame: &str,
        slots: &Slots,
        directory: &Directory,
    ) -> Option<BookIndex> {
        if self.len == 0 {
            return None;
        }
        let first = self.hints[self.first];
        let mut place = None;
        if first.frame == frame.as_ptr().addr() {
            place = if first.is_looked_up { first.place } else { directory.place_of(first.hash) };
            self.first = (self.first + 1) % HINTS;
            self.len -= 1;
        }
        if self.len > 0 {
            let next = &mut self.hints[self.first];
            if !next.is_looked_up {
                (next.place, next.is_looked_up) = (directory.place_of(next.hash), true);
                let fetch = |place| slots.get(place).inspect(|slot| prefetch(*slot));
                if let Some(place) = next.place {
                    fetch(place);
                    if !self.single {
                        // The books of a market were opened together.
                        fetch(BookIndex(place.0 ^ 1));
                    }
                }
            }
        }
        place
    }
}
