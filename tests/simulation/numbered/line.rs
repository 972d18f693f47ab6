//! One connection, the numbered venue's side: subscriptions, numbers, what is on its way, and what was read.
//!
//! Runs on:  the simulation's thread.
use super::fault::{Fault, Faults};
use super::reading::{Effect, Reading, What};
use crate::wire::{Pipe, frame};
use ringbook::base::random::Random;
use ringbook::base::time::MILLISECOND_NS;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Channel {
    Books,
    Tickers,
    Trades,
    Lifecycle,
}

impl Channel {
    pub(crate) const ALL: [Self; 4] = [Self::Books, Self::Tickers, Self::Trades, Self::Lifecycle];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Books => "orderbook_delta",
            Self::Tickers => "ticker",
            Self::Trades => "trade",
            Self::Lifecycle => "market_lifecycle_v2",
        }
    }
}

/// Habits of the venue that the protocol leaves open; the same for a whole run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// Messages have their time of sending.
    pub(crate) says_sending: bool,
    /// Errors of a subscription take a number.
    pub(crate) numbers_errors: bool,
    /// Every snapshot of an answer names the command, or only the first.
    pub(crate) names_each: bool,
    /// An answer with snapshots begins with `ok`.
    pub(crate) oks_first: bool,
    /// The subscription that ends is named.
    pub(crate) names_ended: bool,
    /// Markets of one subscription.
    pub(crate) cap: usize,
}

/// Bytes for the client.
#[derive(Debug)]
struct Outgoing {
    due_ns: u64,
    bytes: Vec<u8>,
    effect: Effect,
    data: bool,
}

/// What is still to be done for a client.
#[derive(Debug)]
pub(crate) enum Task {
    Command(serde_json::Value),
    Ok(u64),
}

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) pipe: Arc<Mutex<Pipe>>,
    pub(crate) port: u16,
    pub(crate) upgraded: bool,
    /// Number and last message of each subscription.
    pub(crate) subscriptions: BTreeMap<Channel, (u64, u64)>,
    last_sid: u64,
    pub(crate) markets: BTreeSet<usize>,
    pub(crate) tasks: Vec<(u64, Task)>,
    pub(crate) commands: u64,
    outbox: VecDeque<Outgoing>,
    /// On its way to the reader: where it ends, and what it does.
    sent: VecDeque<(u64, Effect)>,
    given: u64,
    pub(crate) latency_ns: u64,
    last_due_ns: u64,
    /// So many bytes more, then it is cut.
    pub(crate) cut_after: Option<usize>,
    pub(crate) half_open: bool,
    pub(crate) frozen: bool,
    pub(crate) stalled_until_ns: u64,
    /// One market that is left out until then.
    pub(crate) silent: Option<(usize, u64)>,
    pub(crate) reading: Reading,
    pub(crate) next_ping_ns: u64,
    pub(crate) pings: u32,
    pub(crate) closing: bool,
}

impl Line {
    pub(crate) fn new(pipe: Arc<Mutex<Pipe>>, now_ns: u64, random: &mut Random) -> Self {
        let port = pipe.lock().unwrap().port;
        Self {
            pipe,
            port,
            upgraded: false,
            subscriptions: BTreeMap::new(),
            last_sid: 0,
            markets: BTreeSet::new(),
            tasks: Vec::new(),
            commands: 0,
            outbox: VecDeque::new(),
            sent: VecDeque::new(),
            given: 0,
            latency_ns: random.below(150) * MILLISECOND_NS,
            last_due_ns: 0,
            cut_after: None,
            half_open: false,
            frozen: false,
            stalled_until_ns: 0,
            silent: None,
            reading: Reading::default(),
            next_ping_ns: now_ns + 10_000 * MILLISECOND_NS,
            pings: 0,
            closing: false,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        let pipe = self.pipe.lock().unwrap();
        !pipe.venue_left && !pipe.client_left
    }

    /// The client still reads it.
    pub(crate) fn is_read(&self) -> bool {
        !self.pipe.lock().unwrap().client_left
    }

    /// It sends what it should.
    pub(crate) fn is_sound(&self) -> bool {
        self.is_up() && !self.half_open && !self.frozen && self.upgraded
    }

    pub(crate) fn sid(&self, channel: Channel) -> Option<u64> {
        self.subscriptions.get(&channel).map(|&(sid, _)| sid)
    }

    /// The subscription of a channel, made if there is none. True when it is new.
    pub(crate) fn subscribe(&mut self, channel: Channel) -> (u64, bool) {
        if let Some(sid) = self.sid(channel) {
            return (sid, false);
        }
        self.last_sid += 1;
        self.subscriptions.insert(channel, (self.last_sid, 0));
        (self.last_sid, true)
    }

    /// A subscription is over.
    pub(crate) fn end(&mut self, channel: Channel, now_ns: u64) {
        self.subscriptions.remove(&channel);
        if channel == Channel::Books {
            self.markets.clear();
        }
        self.mark(now_ns, Effect::Over);
    }

    pub(crate) fn push(&mut self, now_ns: u64, bytes: Vec<u8>, effect: Effect, data: bool) {
        self.last_due_ns = self.last_due_ns.max(now_ns + self.latency_ns);
        self.outbox.push_back(Outgoing { due_ns: self.last_due_ns, bytes, effect, data });
    }

    pub(crate) fn text(&mut self, now_ns: u64, text: &str) {
        self.push(now_ns, frame(1, text.as_bytes()), Effect::Nothing, true);
    }

    /// Something that happens in the stream without a frame.
    pub(crate) fn mark(&mut self, now_ns: u64, effect: Effect) {
        self.push(now_ns, Vec::new(), effect, true);
    }

    /// A message that has a number, with all that can go wrong with it. `head` are more keys of the envelope.
    pub(crate) fn number(
        &mut self,
        channel: Channel,
        (kind, head, body): (&str, &str, &str),
        what: What,
        (now_ns, sending): (u64, &str),
        faults: &mut Faults,
        random: &mut Random,
    ) {
        let Some((sid, seq)) = self.subscriptions.get_mut(&channel) else { return };
        *seq += 1;
        let (sid, seq) = (*sid, *seq);
        if faults.strikes(Fault::Lost, random) {
            return;
        }
        // The order of keys is not stable.
        let text = if random.chance(1, 2) {
            format!(
                r#"{{"type":"{kind}",{head}"sid":{sid},"seq":{seq},"msg":{{{body}}}{sending}}}"#
            )
        } else {
            format!(
                r#"{{{head}"sid":{sid},"msg":{{{body}}},"seq":{seq},"type":"{kind}"{sending}}}"#
            )
        };
        if faults.strikes(Fault::Garbage, random) {
            let cut = random.below(text.len() as u64) as usize;
            let broken = frame(1, &text.as_bytes()[..text.floor_char_boundary(cut)]);
            return self.push(now_ns, broken, Effect::Broken, true);
        }
        let bytes = frame(1, text.as_bytes());
        let effect = Effect::Numbered { sid, seq, what };
        if faults.strikes(Fault::Doubled, random) {
            self.push(now_ns, bytes.clone(), effect.clone(), true);
        }
        self.push(now_ns, bytes, effect, true);
        let count = self.outbox.len();
        let numbered = |out: &Outgoing| matches!(out.effect, Effect::Numbered { .. });
        if count >= 2
            && numbered(&self.outbox[count - 2])
            && faults.strikes(Fault::Reordered, random)
        {
            self.outbox.swap(count - 2, count - 1);
            let due_ns = self.outbox[count - 1].due_ns;
            self.outbox[count - 2].due_ns = due_ns;
        }
    }

    /// Moves what is due to the client, as far as the connection's faults allow.
    pub(crate) fn deliver(&mut self, now_ns: u64, random: &mut Random) {
        let mut pipe = self.pipe.lock().unwrap();
        if self.half_open || pipe.venue_left || now_ns < self.stalled_until_ns {
            return;
        }
        if random.chance(1, 10) {
            pipe.piece = 1 + random.below(3_000) as usize;
        }
        while self.outbox.front().is_some_and(|out| out.due_ns <= now_ns) {
            let Some(out) = self.outbox.pop_front() else { break };
            if self.frozen && out.data {
                continue;
            }
            if let Some(left) = &mut self.cut_after {
                if *left < out.bytes.len() {
                    pipe.to_client.extend(&out.bytes[..*left]);
                    pipe.venue_left = true;
                    return;
                }
                *left -= out.bytes.len();
            }
            pipe.to_client.extend(&out.bytes);
            self.given += out.bytes.len() as u64;
            self.sent.push_back((self.given, out.effect));
        }
        if self.closing && self.outbox.is_empty() {
            pipe.venue_left = true;
        }
    }

    /// Records what the client has read since.
    pub(crate) fn read(&mut self) {
        let taken = self.pipe.lock().unwrap().taken;
        while self.sent.front().is_some_and(|(end, _)| *end <= taken) {
            let Some((_, effect)) = self.sent.pop_front() else { break };
            self.reading.take(effect);
        }
    }
}
