//! `shard_capture`: what a shard receives and does, on its way to the capture's files.
//!
//! Runs on:  the shard (producer), the capture's thread (consumer, at least every `SINK_LOOK_NS`).
//! Depth: `SHARD_CAPTURE_CHUNKS` chunks of `CAPTURE_CHUNK_BYTES`, which go round: full ones one way, empty
//! ones back. When none is empty: frames are dropped and counted, and a marker stands where they are
//! missing. What only the shard knows (which books were opened, what took over from what) is rare and is never
//! dropped: it waits in the chunk at hand, which grows.
use crate::base::id::{ConnectionId, MarketId, ShardId, TokenId};
use crate::base::limits::CAPTURE_CHUNK_BYTES;
use crate::base::policy::HashChecks;
use crate::base::price::{Price, Quantity};
use crate::capture::line::AnnotationRecord;
use crate::counter::loss::FrameCount;
use crate::io::clock::ring_clock;
use crate::link::control_shard::NamedOpening;
use crate::market::book::{BookOpening, Level};
use crate::ring::{Consumer, Producer};
use crate::session::Incoming;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text frame was received.
    Text,
    /// A text frame was received and not applied.
    TextSkipped,
    /// A binary frame was received; the payload is its base64.
    Binary,
    /// A binary frame was received and not applied; the payload is its base64.
    BinarySkipped,
    /// A text was sent.
    Sent,
    /// A connection ended; the payload is the reason.
    Ended,
    /// Frames were dropped here; the payload is their number and that of the trades in them.
    Lost,
    /// An answer of the venue's REST interface.
    Answer,
    /// An annotation; the payload is the rest of its line.
    Annotation(AnnotationRecord),
}

impl Kind {
    /// Whether it is a frame of the venue.
    #[must_use]
    pub const fn is_frame(self) -> bool {
        matches!(self, Self::Text | Self::TextSkipped | Self::Binary | Self::BinarySkipped)
    }
}

/// A record of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its connection; 0 is none.
    pub connection: ConnectionId,
    /// When, nanoseconds since the Unix epoch.
    pub wall_ns: u64,
    /// Its text; of an image without levels: [`Entry::text`] has them.
    pub payload: &'a str,
    /// The levels of an image.
    pub levels: &'a [Level],
}

/// Stands in the text of an image where a side's levels belong. JSON has no such character.
const SIDE: char = '\u{1}';
/// Ends a side's levels. None is empty.
const SIDE_END: Level = Level { price: Price::ZERO, quantity: Quantity::ZERO };

impl<'a> Entry<'a> {
    /// Its whole text.
    pub fn text(&self) -> Cow<'a, str> {
        if self.levels.is_empty() {
            return Cow::Borrowed(self.payload);
        }
        let mut text = String::with_capacity(self.payload.len() + size_of_val(self.levels));
        let mut levels = self.levels.iter();
        let mut parts = self.payload.split(SIDE);
        text.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let side = levels.by_ref().take_while(|level| **level != SIDE_END);
            for (place, Level { price, quantity }) in side.enumerate() {
                if place > 0 {
                    text.push(' ');
                }
                price.push_to(&mut text);
                text.push(' ');
                quantity.push_to(&mut text);
            }
            text.push_str(part);
        }
        Cow::Owned(text)
    }

    /// What is missing where this record is: itself if it is a frame, or what it marks as missing.
    pub fn count(&self) -> FrameCount {
        if self.kind.is_frame() {
            return count_of(self.kind, self.payload);
        }
        if self.kind != Kind::Lost {
            return FrameCount::default();
        }
        let (frames, trades) = self.payload.split_once(' ').unwrap_or((self.payload, ""));
        FrameCount { frames: frames.parse().unwrap_or(1), trades: trades.parse().unwrap_or(0) }
    }
}

fn count_of(kind: Kind, payload: &str) -> FrameCount {
    match kind {
        Kind::Text | Kind::TextSkipped => FrameCount::of_text(payload),
        _ => FrameCount::of_frames(1),
    }
}

#[derive(Clone, Copy, Debug)]
struct Head {
    kind: Kind,
    connection: ConnectionId,
    wall_ns: u64,
    end: usize,
    levels_end: u32,
}

/// Records, one behind the other.
#[derive(Debug, Default)]
pub struct Chunk {
    heads: Vec<Head>,
    text: String,
    /// Of images.
    levels: Vec<Level>,
}

impl Chunk {
    fn bytes(&self) -> usize {
        self.text.len() + size_of_val(self.levels.as_slice())
    }

    fn push(&mut self, kind: Kind, connection: ConnectionId, wall_ns: u64) {
        let (end, levels_end) = (self.text.len(), self.levels.len() as u32);
        self.heads.push(Head { kind, connection, wall_ns, end, levels_end });
    }

    /// The records, in order.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        let (mut start, mut levels_start) = (0, 0);
        self.heads.iter().map(move |&Head { kind, connection, wall_ns, end, levels_end }| {
            let levels_end = levels_end as usize;
            let (payload, levels) =
                (&self.text[start..end], &self.levels[levels_start..levels_end]);
            (start, levels_start) = (end, levels_end);
            Entry { kind, connection, wall_ns, payload, levels }
        })
    }

    /// Frames in it, and those that its markers count as missing.
    pub fn count(&self) -> FrameCount {
        self.iter().map(|entry| entry.count()).sum()
    }

    /// Forgets the records, and memory beyond what chunks mostly need.
    pub fn clear(&mut self) {
        self.heads.clear();
        self.text.clear();
        self.text.shrink_to(4 * CAPTURE_CHUNK_BYTES);
        self.levels.clear();
        self.levels.shrink_to(4 * CAPTURE_CHUNK_BYTES / size_of::<Level>());
    }
}

/// What stands before the books of an image.
#[derive(Clone, Copy, Debug)]
pub struct ImageHead {
    /// Their market.
    pub market: MarketId,
    /// Their connection.
    pub connection: ConnectionId,
    /// Subscription and number of the last message of the connection, where messages are numbered.
    pub position: Option<(u64, u64)>,
    /// When, nanoseconds since the Unix epoch.
    pub wall_ns: u64,
}

/// Where the books of an image are written. Levels are copied: the capture's thread formats them, which takes ten times
/// as long (`benches/RESULTS.md`).
#[derive(Debug)]
pub struct ImageOut<'c> {
    /// All but the levels.
    pub text: &'c mut String,
    levels: &'c mut Vec<Level>,
}

impl ImageOut<'_> {
    /// Bytes of the chunk.
    pub fn bytes(&self) -> usize {
        self.text.len() + size_of_val(self.levels.as_slice())
    }

    /// One side of a book, as it stands in the text.
    pub fn side(&mut self, levels: impl Iterator<Item = Level>) {
        self.text.push(SIDE);
        self.levels.extend(levels);
        self.levels.push(SIDE_END);
    }
}

/// What `write` writes of an image, its levels too, as it is recorded.
pub fn image_text(write: impl FnOnce(&mut ImageOut<'_>)) -> String {
    let (mut text, mut levels) = (String::new(), Vec::new());
    write(&mut ImageOut { text: &mut text, levels: &mut levels });
    let kind = Kind::Annotation(AnnotationRecord::Image);
    let (connection, wall_ns) = (ConnectionId(0), 0);
    let entry = Entry { kind, connection, wall_ns, payload: &text, levels: &levels };
    entry.text().into_owned()
}

/// The shard's end.
#[derive(Debug)]
pub struct CaptureSender {
    full: Producer<Chunk>,
    empty: Consumer<Chunk>,
    /// Chunks that may still be made: as few go round as are needed, which keeps them in the cache.
    unmade: usize,
    open: Chunk,
    /// Frames dropped since the last marker.
    dropped: FrameCount,
    /// Shards and hashes of the engine, as images repeat them.
    engine: String,
    slugs: HashMap<MarketId, String>,
    /// What the other end reads when this one is gone.
    unsent: Arc<Unsent>,
}

/// The capture's end of one shard's link.
#[derive(Debug)]
pub struct CaptureReceiver {
    /// The shard.
    pub shard: ShardId,
    /// Full chunks.
    pub full: Consumer<Chunk>,
    /// The way back.
    pub empty: Producer<Chunk>,
    unsent: Arc<Unsent>,
}

/// What never came out of a shard.
#[derive(Debug, Default)]
struct Unsent {
    frames: AtomicU64,
    trades: AtomicU64,
}

impl CaptureReceiver {
    /// Frames that never came out of the shard, once it has ended: the ring was full to the end.
    pub fn unsent(&self) -> FrameCount {
        let frames = self.unsent.frames.load(Ordering::Acquire);
        FrameCount { frames, trades: self.unsent.trades.load(Ordering::Relaxed) }
    }
}

/// Both ends of a new link with `chunks` chunks on it, besides the one at hand.
#[must_use]
pub fn capture_link(shard: ShardId, chunks: usize) -> (CaptureSender, CaptureReceiver) {
    let (full, full_receiver) = crate::ring::timed(chunks + 1, ring_clock);
    let (empty_sender, empty) = crate::ring::ring(chunks + 1);
    let (unmade, open, dropped) = (chunks, Chunk::default(), FrameCount::default());
    let unsent = Arc::new(Unsent::default());
    let theirs = Arc::clone(&unsent);
    let (engine, slugs) = Default::default();
    let sender = CaptureSender { full, empty, unmade, open, dropped, engine, slugs, unsent };
    (sender, CaptureReceiver { shard, full: full_receiver, empty: empty_sender, unsent: theirs })
}

impl Drop for CaptureSender {
    fn drop(&mut self) {
        let FrameCount { frames, trades } = [self.open.count(), self.dropped].into_iter().sum();
        self.unsent.trades.store(trades, Ordering::Relaxed);
        self.unsent.frames.store(frames, Ordering::Release);
    }
}

impl CaptureSender {
    /// A view of the way to the capture, for the reports.
    pub fn gauge(&self) -> crate::ring::Gauge<Chunk> {
        self.full.gauge()
    }

    /// A text frame that was received.
    #[inline]
    pub fn frame(&mut self, connection: ConnectionId, wall_ns: u64, frame: &str, passed: bool) {
        let kind = if passed { Kind::TextSkipped } else { Kind::Text };
        self.droppable(kind, connection, wall_ns, frame);
    }

    /// A binary frame that was received. Rare: no venue sends any.
    fn binary(&mut self, connection: ConnectionId, wall_ns: u64, frame: &[u8], passed: bool) {
        let kind = if passed { Kind::BinarySkipped } else { Kind::Binary };
        self.droppable(kind, connection, wall_ns, &STANDARD.encode(frame));
    }

    /// A message that was received; with `passed` nothing was applied of it.
    #[inline]
    pub fn message(
        &mut self,
        connection: ConnectionId,
        wall_ns: u64,
        message: &Incoming<'_>,
        passed: bool,
    ) {
        match message {
            Incoming::Text(text) => self.frame(connection, wall_ns, text, passed),
            Incoming::Large(text) => self.frame(connection, wall_ns, text, passed),
            Incoming::Binary(bytes) => self.binary(connection, wall_ns, bytes, passed),
            // The session ends with it.
            Incoming::Close { .. } => {}
        }
    }

    #[inline]
    fn droppable(&mut self, kind: Kind, connection: ConnectionId, wall_ns: u64, payload: &str) {
        if self.has_room(payload.len(), wall_ns) {
            self.open.text.push_str(payload);
            self.open.push(kind, connection, wall_ns);
        } else if kind.is_frame() {
            self.dropped += count_of(kind, payload);
        }
    }

    #[inline]
    fn has_room(&mut self, len: usize, wall_ns: u64) -> bool {
        let fits = self.open.text.is_empty() || self.open.bytes() + len <= CAPTURE_CHUNK_BYTES;
        // Once frames are missing, the next one comes behind a marker, in a fresh chunk.
        (fits && self.dropped.frames == 0) || self.ship(wall_ns)
    }

    /// Sends what there is, if there is an empty chunk to go on with.
    pub fn ship(&mut self, wall_ns: u64) -> bool {
        if self.open.heads.is_empty() && self.dropped.frames == 0 {
            return true;
        }
        let empty = match self.empty.try_receive() {
            Some(empty) => empty,
            None if self.unmade > 0 => {
                self.unmade -= 1;
                Chunk::default()
            }
            None => return false,
        };
        let full = std::mem::replace(&mut self.open, empty);
        // As many chunks go round as there is room for.
        let _ = self.full.try_send(full);
        if self.dropped.frames > 0 {
            let FrameCount { frames, trades } = std::mem::take(&mut self.dropped);
            let _ = write!(self.open.text, "{frames} {trades}");
            self.open.push(Kind::Lost, ConnectionId(0), wall_ns);
        }
        true
    }

    /// A text that was sent.
    pub fn sent(&mut self, connection: ConnectionId, wall_ns: u64, text: &str) {
        self.keep(Kind::Sent, connection, wall_ns, text);
    }

    /// A connection that ended.
    pub fn ended(&mut self, connection: ConnectionId, wall_ns: u64, why: &str) {
        self.keep(Kind::Ended, connection, wall_ns, why);
    }

    /// Books that were asked for over the venue's REST interface, by the question with this number.
    pub fn asked(&mut self, wall_ns: u64, question: u32, tokens: &[TokenId]) {
        let _ = write!(self.open.text, r#","q":{question}"#);
        self.tokens(AnnotationRecord::Asked, ConnectionId(0), wall_ns, None, tokens);
    }

    /// An answer of the venue's REST interface, with the number of the newest question before the request.
    pub fn answer(&mut self, wall_ns: u64, question: u32, text: &str) {
        let _ = write!(self.open.text, "{question} ");
        self.keep(Kind::Answer, ConnectionId(0), wall_ns, text);
    }

    /// A note without more.
    pub fn note(&mut self, note: AnnotationRecord, connection: ConnectionId, wall_ns: u64) {
        self.keep(Kind::Annotation(note), connection, wall_ns, "");
    }

    /// Housekeeping, with the time up to which all that had arrived is applied, 0 for none. It changes the states of
    /// books, so it is dropped only behind lost frames, whose marker makes all books stale.
    pub fn housekeeping(&mut self, wall_ns: u64, read_wall_ns: u64) {
        let kind = Kind::Annotation(AnnotationRecord::Housekeeping);
        let rest = format!(r#","read":{read_wall_ns}"#);
        if self.dropped.frames == 0 {
            self.keep(kind, ConnectionId(0), wall_ns, &rest);
        } else {
            self.droppable(kind, ConnectionId(0), wall_ns, &rest);
        }
    }

    /// How far a replacement has come, as `Books::handover_progress` gives it.
    pub fn progress(
        &mut self,
        connection: ConnectionId,
        wall_ns: u64,
        owing: u32,
        first_ms: Option<u64>,
        newest_ms: u64,
    ) {
        let text = &mut self.open.text;
        let _ = write!(text, r#","owing":{owing},"newest":{newest_ms}"#);
        if let Some(first_ms) = first_ms {
            let _ = write!(text, r#","first":{first_ms}"#);
        }
        self.open.push(Kind::Annotation(AnnotationRecord::Progress), connection, wall_ns);
    }

    /// The shard begins.
    pub fn begun(&mut self, shards: u16, hashes: HashChecks, races: bool, wall_ns: u64) {
        let races = if races { r#","race":true"# } else { "" };
        let rest = format!(r#","shards":{shards},"hashes":"{}"{races}"#, hashes.name());
        self.keep(Kind::Annotation(AnnotationRecord::Begun), ConnectionId(0), wall_ns, &rest);
        self.engine = rest;
    }

    /// Books that were opened, or described.
    pub fn books<'o>(
        &mut self,
        note: AnnotationRecord,
        connection: ConnectionId,
        wall_ns: u64,
        books: impl Iterator<Item = &'o NamedOpening>,
    ) {
        let Self { open, slugs, .. } = self;
        let text = &mut open.text;
        text.push_str(r#","books":["#);
        for (place, NamedOpening { opening, slug }) in books.enumerate() {
            let BookOpening { market, token, tick_size, min_order_size, neg_risk } = opening;
            let comma = if place > 0 { "," } else { "" };
            // Writing to a string cannot fail; ids hold no character that JSON escapes.
            let _ = write!(text, r#"{comma}{{"m":"{market}","a":"{token}","n":{neg_risk}"#);
            if let Some(tick_size) = tick_size {
                let _ = write!(text, r#","t":"{tick_size}""#);
            }
            if let Some(min_order_size) = min_order_size {
                let _ = write!(text, r#","o":"{min_order_size}""#);
            }
            if !slug.is_empty()
                && let Ok(slug) = sonic_rs::to_string(slug)
            {
                let _ = write!(text, r#","s":{slug}"#);
                slugs.insert(*market, slug);
            }
            text.push('}');
        }
        text.push(']');
        self.open.push(Kind::Annotation(note), connection, wall_ns);
    }

    /// Tokens that something happened to.
    pub fn tokens(
        &mut self,
        note: AnnotationRecord,
        connection: ConnectionId,
        wall_ns: u64,
        from: Option<ConnectionId>,
        tokens: &[TokenId],
    ) {
        let text = &mut self.open.text;
        if let Some(ConnectionId(from)) = from {
            let _ = write!(text, r#","from":{from}"#);
        }
        if !tokens.is_empty() {
            text.push_str(r#","a":["#);
            for (place, token) in tokens.iter().enumerate() {
                let comma = if place > 0 { "," } else { "" };
                let _ = write!(text, r#"{comma}"{token}""#);
            }
            text.push(']');
        }
        self.open.push(Kind::Annotation(note), connection, wall_ns);
    }

    /// A live book as it is.
    pub fn proof(&mut self, wall_ns: u64, token: &TokenId, digest: u64) {
        if self.has_room(128, wall_ns) {
            let _ = write!(self.open.text, r#","a":"{token}","z":"{digest:016x}""#);
            self.open.push(Kind::Annotation(AnnotationRecord::Proof), ConnectionId(0), wall_ns);
        }
    }

    /// Live books of a market, of about so many bytes. `write` appends them, with the slug of the market as a JSON
    /// string where it is known. False where there is no room.
    pub fn image(
        &mut self,
        head: ImageHead,
        bytes: usize,
        write: impl FnOnce(&mut ImageOut<'_>, Option<&str>),
    ) -> bool {
        let ImageHead { market, connection, position, wall_ns } = head;
        if !self.has_room(bytes, wall_ns) {
            return false;
        }
        let Self { open, slugs, engine, .. } = self;
        open.text.push_str(engine);
        if let Some((sid, seq)) = position {
            let _ = write!(open.text, r#","sid":{sid},"seq":{seq}"#);
        }
        open.text.push_str(r#","books":["#);
        let mut out = ImageOut { text: &mut open.text, levels: &mut open.levels };
        write(&mut out, slugs.get(&market).map(String::as_str));
        open.text.push(']');
        open.push(Kind::Annotation(AnnotationRecord::Image), connection, wall_ns);
        true
    }

    /// Every open market was opened, or has an image, at this time or later: nanoseconds since the Unix epoch. Dropped
    /// where there is no room.
    pub fn images_since(&mut self, wall_ns: u64, since_wall_ns: u64) {
        if self.has_room(128, wall_ns) {
            let Self { open, engine, .. } = self;
            let _ = write!(open.text, r#"{engine},"since":{since_wall_ns},"books":[]"#);
            open.push(Kind::Annotation(AnnotationRecord::Image), ConnectionId(0), wall_ns);
        }
    }

    /// Forgets the slugs of markets without books, if there are more than `most`.
    pub fn forget_slugs(&mut self, most: usize, has_books: impl Fn(&MarketId) -> bool) {
        if self.slugs.len() > most {
            self.slugs.retain(|market, _| has_books(market));
        }
    }

    fn keep(&mut self, kind: Kind, connection: ConnectionId, wall_ns: u64, payload: &str) {
        self.open.text.push_str(payload);
        self.open.push(kind, connection, wall_ns);
    }
}

#[cfg(test)]
mod tests;
