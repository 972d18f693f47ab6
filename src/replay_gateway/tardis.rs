//! Replays for the tardis interface: raw messages, or books through the shard's code to normalized messages.
//!
//! Runs on:  plain threads of each replay; they wait for its client. Bounds: `TARDIS_PARTS_DEPTH` parts in transit.
use super::sessions::{Running, Sessions, log};
use crate::base::id::{TokenId, TradeId};
use crate::base::limits::{DECODE_STACK_BYTES, TARDIS_PART_BYTES, TARDIS_PARTS_DEPTH};
use crate::gateway::tardis::options::Options;
use crate::gateway::tardis::raw::{Form, RawOptions};
use crate::gateway::tardis::{Messages, Session};
use crate::gateway::{Replica, StalePolicy, Traded};
use crate::io::executor::no_thread;
use crate::io::wake::TaskWaker;
use crate::link::shard_updates::{LevelChange, TradeUpdate};
use crate::market::book::{Book, BookState};
use crate::market::event::Trade;
use crate::replay::plan::{Plan, Speed};
use crate::replay::{Content, RawRecord, Recorded, ReplayError, run};
use crate::serve::parts::{self, Part};
use crate::serve::replays::{NoReplay, Reading};
use crate::shard::publish::{BookView, Change, Handler};
use flate2::Compression;
use flate2::write::GzEncoder;
use foldhash::fast::FixedState;
use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) fn start(
    sessions: &Sessions,
    reading: Reading,
    waker: TaskWaker,
) -> Result<Receiver<Part>, NoReplay> {
    let (venue, range) = match &reading {
        Reading::Raw { options, .. } => (options.venue, options.range),
        Reading::Normalized { venue, range, .. } => (*venue, *range),
    };
    let is_of = |recorded: &&Recorded| recorded.recording.feed.venue() == venue;
    let Some(recorded) = sessions.recorded.iter().find(is_of).cloned() else {
        let line = format!("exchange: the recording has no {}", venue.name());
        return Err(NoReplay { status: 404, line });
    };
    let busy = |line: String| NoReplay { status: 503, line };
    let running = sessions.begin()?;
    let range = range.from_ns..range.to_ns;
    let plan = recorded.plan(&range, Speed::Max).map_err(busy)?.in_receive_order();
    let (sender, receiver) = sync_channel(TARDIS_PARTS_DEPTH);
    let output = Output::new(sender, waker);
    let logged = Arc::clone(&sessions.logged);
    let clear = sessions.settings.stale == StalePolicy::Clear;
    let run = move || {
        let _running: Running = running;
        let (output, result) = match reading {
            Reading::Raw { options, form, gzip } => {
                read_raw(&recorded, &options, (form, gzip), output)
            }
            Reading::Normalized { options, .. } => {
                read_normalized(&plan, (range.start, clear), options, output)
            }
        };
        let result = result.map_err(|error| {
            let (ReplayError::Input(line) | ReplayError::Usage(line)) = error;
            log(&logged, &line);
            line
        });
        output.end(result);
    };
    std::thread::Builder::new()
        .name("replay-tardis".to_owned())
        .stack_size(DECODE_STACK_BYTES)
        .spawn(run)
        .map_err(|error| busy(no_thread("replay-tardis", &error).to_string()))?;
    Ok(receiver)
}

/// Messages on their way to the client.
#[derive(Debug)]
struct Output {
    sender: SyncSender<Part>,
    waker: TaskWaker,
    part: parts::Messages,
    /// The client has gone.
    stop: Arc<AtomicBool>,
}

impl Output {
    fn new(sender: SyncSender<Part>, waker: TaskWaker) -> Self {
        Self { sender, waker, part: parts::Messages::default(), stop: Arc::default() }
    }

    fn push(&mut self, at_ns: u64, message: &[u8]) {
        self.part.push(at_ns, message);
        if self.part.bytes.len() >= TARDIS_PART_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let part = std::mem::take(&mut self.part);
        if !part.ends.is_empty() {
            self.send(Part::Messages(part));
        }
    }

    fn send(&self, part: Part) {
        if self.sender.send(part).is_err() {
            self.stop.store(true, Ordering::Relaxed);
        }
        self.waker.wake();
    }

    fn end(mut self, result: Result<(), String>) {
        self.flush();
        self.send(Part::End(result));
    }
}

/// Raw messages of the range. An empty message stands for a disconnect of a connection that had some of them.
fn read_raw(
    recorded: &Recorded,
    options: &RawOptions,
    (form, gzip): (Form, bool),
    mut output: Output,
) -> (Output, Result<(), ReplayError>) {
    let range = options.range.from_ns..options.range.to_ns;
    let mut records = recorded.recording.records(range, Arc::clone(&output.stop));
    let mut encoder = gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
    let mut connections: HashSet<Option<u64>, FixedState> = HashSet::default();
    let (mut text, mut last_ns) = (String::new(), 0);
    let result = loop {
        let RawRecord { receive_ns, connection, content } = match records.next_record() {
            Ok(Some(record)) => record,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        text.clear();
        match content {
            Content::Text(frame) => {
                let Some(message) = options.filter.take(frame) else { continue };
                connections.insert(connection);
                form.write(&mut text, receive_ns, &message);
            }
            Content::Ended | Content::Lost | Content::EngineStarted => {
                let of_one = connection.filter(|_| content != Content::EngineStarted);
                let is_concerned = match of_one {
                    Some(_) => connections.remove(&of_one),
                    None => !std::mem::take(&mut connections).is_empty(),
                };
                if !is_concerned || !options.with_disconnects {
                    continue;
                }
            }
            Content::Opened | Content::Stopping => continue,
        }
        last_ns = receive_ns;
        match &mut encoder {
            None => output.push(receive_ns, text.as_bytes()),
            Some(encoder) => {
                // Writing to a vector cannot fail.
                let _ = encoder.write_all(text.as_bytes()).and_then(|()| encoder.write_all(b"\n"));
                if encoder.get_ref().len() >= TARDIS_PART_BYTES {
                    output.push(receive_ns, &std::mem::take(encoder.get_mut()));
                }
            }
        }
    };
    if let Some(Ok(rest)) = encoder.map(GzEncoder::finish) {
        output.push(last_ns, &rest);
    }
    (output, result)
}

/// Books of the range as normalized messages, beginning with the books as of its beginning.
fn read_normalized(
    plan: &Plan,
    settings: (u64, bool),
    options: Options,
    output: Output,
) -> (Output, Result<(), ReplayError>) {
    let stop = Arc::clone(&output.stop);
    let normalizer = Normalizer::new(options, output, settings);
    let shared = Shared(Arc::new(Mutex::new(normalizer)));
    let result = run(plan, &stop, &shared).map(|_| ());
    let mut normalizer = shared.lock();
    normalizer.begin();
    let Output { sender, waker, part, stop } = &mut normalizer.output;
    let (sender, waker) = (sender.clone(), waker.clone());
    let output = Output { sender, waker, part: std::mem::take(part), stop: Arc::clone(stop) };
    (output, result)
}

/// The normalizer; the replay wants a handler that can be copied.
#[derive(Clone, Debug)]
struct Shared(Arc<Mutex<Normalizer>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Normalizer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Normalizer {
    session: Session,
    output: Output,
    from_ns: u64,
    /// A stale book is sent empty.
    clear: bool,
    /// The books of the beginning were written.
    has_begun: bool,
    books: BTreeMap<TokenId, RecordedBook>,
    messages: Messages,
}

#[derive(Debug)]
struct RecordedBook {
    replica: Replica,
    /// The client has it.
    is_shown: bool,
}

impl RecordedBook {
    fn new(view: &BookView<'_>) -> Self {
        let replica = Replica {
            venue: view.venue,
            market: *view.market,
            token: *view.token,
            state: BookState::AwaitingSnapshot,
            facts: *view.facts,
            book: Book::default(),
            version: 0,
            read_wall_ns: view.read_wall_ns,
            traded: Traded::default(),
        };
        Self { replica, is_shown: false }
    }

    /// Writes it as of the beginning of the range.
    fn begin(&mut self, from_ns: u64, session: &mut Session, messages: &mut Messages) {
        self.is_shown = self.replica.state == BookState::Live;
        if self.is_shown {
            let read_wall_ns = std::mem::replace(&mut self.replica.read_wall_ns, from_ns);
            session.on_image(&self.replica, true, messages);
            self.replica.read_wall_ns = read_wall_ns;
        }
    }

    fn show(&mut self, session: &mut Session, messages: &mut Messages) {
        session.on_image(&self.replica, !self.is_shown, messages);
        self.is_shown = true;
    }
}

impl Normalizer {
    fn new(options: Options, output: Output, (from_ns, clear): (u64, bool)) -> Self {
        Self {
            session: Session::new(options),
            output,
            from_ns,
            clear,
            has_begun: false,
            books: BTreeMap::default(),
            messages: Messages::default(),
        }
    }

    /// Writes the books as of the beginning of the range.
    fn begin(&mut self) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        let Self { session, output, from_ns, books, messages, .. } = self;
        books.values_mut().for_each(|book| book.begin(*from_ns, session, messages));
        drain(messages, |message| output.push(*from_ns, message));
    }

    /// Applies an event to the copy of its book, and writes what follows of it.
    fn on_event(
        &mut self,
        view: &BookView<'_>,
        apply: impl FnOnce(&mut Replica),
        write: impl FnOnce(&mut Session, &mut RecordedBook, &mut Messages),
    ) {
        // The end of a book has no time.
        let last_ns = self.books.get(view.token).map_or(0, |book| book.replica.read_wall_ns);
        let at_ns = view.read_wall_ns.max(last_ns);
        if at_ns >= self.from_ns {
            self.begin();
        }
        let Self { session, output, books, messages, has_begun, .. } = self;
        let book = books.entry(*view.token).or_insert_with(|| RecordedBook::new(view));
        apply(&mut book.replica);
        (book.replica.state, book.replica.facts) = (view.state, *view.facts);
        book.replica.read_wall_ns = at_ns;
        if *has_begun {
            write(session, book, messages);
            drain(messages, |message| output.push(at_ns, message));
        }
    }
}

fn drain(messages: &mut Messages, write: impl FnMut(&[u8])) {
    messages.iter().map(|(_, text)| text.as_bytes()).for_each(write);
    messages.clear();
}

impl Handler for Shared {
    const WANTS_MARKETS: bool = false;

    fn on_snapshot(&mut self, view: &BookView<'_>) {
        let copy = |replica: &mut Replica| replica.book = view.book.clone();
        self.lock().on_event(view, copy, |session, book, out| {
            if book.replica.state == BookState::Live {
                book.show(session, out);
            }
        });
    }

    fn on_price_change(&mut self, view: &BookView<'_>, change: &Change) {
        let level = LevelChange {
            timestamp_ms: view.facts.timestamp_ms,
            side: change.side,
            level: change.level,
            hash: None,
            best_bid: None,
            best_ask: None,
            first: true,
        };
        // The shard has applied it to an equal book.
        let apply = |replica: &mut Replica| _ = replica.book.set(change.side, change.level);
        self.lock().on_event(view, apply, |session, book, out| {
            match (book.replica.state, book.is_shown) {
                (BookState::Live, true) => {
                    session.on_changes(&book.replica, [&level].into_iter(), out);
                }
                (BookState::Live, false) => book.show(session, out),
                _ => {}
            }
        });
    }

    fn on_trade(&mut self, view: &BookView<'_>, trade: &Trade<'_>) {
        let trade = TradeUpdate {
            timestamp_ms: trade.timestamp_ms,
            price: trade.price,
            quantity: trade.quantity,
            side: trade.side,
            fee_rate_bps: trade.fee_rate_bps,
            id: TradeId::new(trade.transaction_hash),
        };
        let write = |session: &mut Session, book: &mut RecordedBook, out: &mut Messages| {
            session.on_trade(&book.replica, &trade, out);
        };
        self.lock().on_event(view, |_| {}, write);
    }

    fn on_status(&mut self, view: &BookView<'_>, _: BookState) {
        let mut normalizer = self.lock();
        let clear = normalizer.clear;
        let write = |session: &mut Session, book: &mut RecordedBook, out: &mut Messages| {
            if book.replica.state != BookState::Live && std::mem::take(&mut book.is_shown) {
                let name = book.replica.state.name();
                let reason = name.split_once(':').map_or(name, |(_, reason)| reason);
                session.on_stale(&book.replica, reason, clear, out);
            }
        };
        normalizer.on_event(view, |_| {}, write);
    }
}

#[cfg(test)]
mod tests;
