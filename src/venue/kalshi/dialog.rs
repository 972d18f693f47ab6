//! What is asked of the venue on one connection, and what its answers mean.
//!
//! Runs on:  shards (pure; times are monotonic nanoseconds). Owns: commands that wait for their answer, the
//!           subscription's number, its sequence, the books whose snapshot is owed.
//! Bounds:   `COMMANDS_OPEN_MAX` commands unanswered, `TICKERS_PER_COMMAND` tickers each.
//!
//! Answers arrive in any order and are matched by id (kalshi/protocol.md, 2.7). Only one `subscribe` is open at a time:
//! its answer has the `sid` that every later command needs. A book counts as asked for until its snapshot is there,
//! whatever the acknowledgements say. While a command that adds or deletes a market is not answered, no other one
//! about the same market is sent: they may be carried out in any order, and `get_snapshot` answers for markets that
//! are not subscribed too, whose books would never hear of a change.
use super::command::{self, Channel, Update};
use crate::base::{
    id::TokenId,
    limits::{
        COMMAND_PAUSE_NS, COMMAND_TIMEOUT_NS, COMMANDS_OPEN_MAX, RESUBSCRIBES_MAX, SNAPSHOT_TRIES,
        SNAPSHOT_WAIT_NS, TICKERS_PER_COMMAND,
    },
    time::SECOND_NS,
};
use crate::venue::{self, DialogCounts, Envelope, Reply, Sequences, Turn, Verdict};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// Resubscriptions are counted over this long.
const RESUBSCRIBE_WINDOW_NS: u64 = 60 * SECOND_NS;

/// A command, for as long as it may have to be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wish {
    Subscribe(Vec<TokenId>),
    Update(Update, Vec<TokenId>),
    List,
}

impl Wish {
    /// It asks for nothing.
    fn is_idle(&self, channel: Channel) -> bool {
        match self {
            Self::Subscribe(tokens) => tokens.is_empty() && channel == Channel::Books,
            Self::Update(_, tokens) => tokens.is_empty(),
            Self::List => false,
        }
    }
}

#[derive(Clone, Debug)]
struct Pending {
    wish: Wish,
    deadline_ns: u64,
    tries: u32,
}

/// A book whose snapshot has not come.
#[derive(Clone, Copy, Debug)]
struct Owed {
    asked_ns: u64,
    tries: u32,
}

impl Owed {
    /// When it is asked for again. One that the venue never sends is asked for ever more rarely.
    const fn due_ns(self) -> u64 {
        self.asked_ns + SNAPSHOT_WAIT_NS * (1 + (self.tries / SNAPSHOT_TRIES) as u64)
    }
}

/// What an error means for the command (kalshi/protocol.md, 2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// The subscription is over: ask for it again.
    Resubscribe,
    /// Later.
    Retry,
    /// The subscription holds as many markets as it may.
    Full,
    /// One of the markets is not known: find out which.
    Split,
    /// The session is of no use.
    Reconnect,
    /// A fault of ours, or a change of the protocol.
    Ours,
}

const fn class(code: u64) -> Class {
    match code {
        7 | 10 | 17 | 25 => Class::Resubscribe,
        18 | 27 => Class::Retry,
        26 => Class::Full,
        11 | 14 | 16 => Class::Split,
        9 => Class::Reconnect,
        _ => Class::Ours,
    }
}

/// One connection's commands and answers.
#[derive(Debug)]
pub struct Dialog {
    channel: Channel,
    last_id: u64,
    sid: Option<u64>,
    /// The subscription that the venue ended last.
    over: Option<u64>,
    sequences: Sequences,
    pending: BTreeMap<u64, Pending>,
    /// To be sent again, with the number of times it was.
    again: VecDeque<(Wish, u32)>,
    to_add: VecDeque<TokenId>,
    to_delete: VecDeque<TokenId>,
    to_ask: VecDeque<TokenId>,
    to_list: bool,
    owed: HashMap<TokenId, Owed>,
    /// Nothing is sent before, and the pause that comes next.
    not_before_ns: u64,
    pause_ns: u64,
    heard_ns: u64,
    resubscribes: VecDeque<u64>,
    turns: VecDeque<Turn>,
    counts: DialogCounts,
}

impl Dialog {
    /// Nothing asked yet.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self {
            channel,
            last_id: 0,
            sid: None,
            over: None,
            sequences: Sequences::default(),
            pending: BTreeMap::new(),
            again: VecDeque::new(),
            to_add: VecDeque::new(),
            to_delete: VecDeque::new(),
            to_ask: VecDeque::new(),
            to_list: false,
            owed: HashMap::new(),
            not_before_ns: 0,
            pause_ns: COMMAND_PAUSE_NS,
            heard_ns: 0,
            resubscribes: VecDeque::new(),
            turns: VecDeque::new(),
            counts: DialogCounts::default(),
        }
    }

    /// The subscription is over and begins anew.
    fn subscribe_anew(&mut self, tokens: &[TokenId]) {
        self.sid = None;
        self.pending.clear();
        self.again.clear();
        self.to_delete.clear();
        self.to_ask.clear();
        self.to_list = false;
        self.owed.clear();
        self.to_add = tokens.iter().copied().collect();
        self.pause_ns = COMMAND_PAUSE_NS;
    }

    /// These markets are to come or to go: what would be sent again about them says something else.
    fn forget_repetitions(&mut self, tokens: &[TokenId]) {
        for (wish, _) in &mut self.again {
            if let Wish::Subscribe(of) | Wish::Update(_, of) = wish {
                of.retain(|token| !tokens.contains(token));
            }
        }
        let channel = self.channel;
        self.again.retain(|(wish, _)| !wish.is_idle(channel));
    }

    /// A command is sent again, for the markets of which it is still wanted.
    fn repeat(&mut self, mut wish: Wish, tries: u32) {
        self.drop_unwanted(&mut wish);
        if !wish.is_idle(self.channel) {
            self.again.push_back((wish, tries));
        }
    }

    /// Takes the markets out of a command that are to leave, or to come back, since it was sent. Returns how many.
    fn drop_unwanted(&self, wish: &mut Wish) -> usize {
        let (tokens, since) = match wish {
            Wish::Subscribe(tokens) | Wish::Update(Update::Add, tokens) => {
                (tokens, &self.to_delete)
            }
            Wish::Update(Update::Delete, tokens) => (tokens, &self.to_add),
            Wish::Update(Update::Snapshot, _) | Wish::List => return 0,
        };
        let before = tokens.len();
        tokens.retain(|token| !since.contains(token));
        before - tokens.len()
    }

    /// Markets that commands without an answer add, or delete.
    fn under_way(&self, adds: bool) -> HashSet<TokenId> {
        let pending = self.pending.values().map(|pending| &pending.wish);
        let wishes = pending.chain(self.again.iter().map(|(wish, _)| wish));
        let tokens = wishes.filter_map(|wish| match wish {
            Wish::Subscribe(tokens) | Wish::Update(Update::Add, tokens) => adds.then_some(tokens),
            Wish::Update(Update::Delete, tokens) => (!adds).then_some(tokens),
            Wish::Update(Update::Snapshot, _) | Wish::List => None,
        });
        tokens.flatten().copied().collect()
    }

    /// Every book is suspect: asks for the snapshots of all that are subscribed. Those that are about to be may have
    /// come and be suspect too; they are asked for later.
    pub fn ask_all(&mut self, tokens: &[TokenId], now_ns: u64) {
        let added = self.under_way(true);
        self.to_ask.clear();
        for token in tokens.iter().filter(|token| !self.to_add.contains(token)) {
            if added.contains(token) {
                self.owed.entry(*token).or_insert(Owed { asked_ns: now_ns, tries: 0 });
            } else {
                self.to_ask.push_back(*token);
            }
        }
    }

    fn next_wish(&mut self) -> Option<Wish> {
        /// The next few, but for those that must wait.
        fn chunk(from: &mut VecDeque<TokenId>, wait: &HashSet<TokenId>) -> Option<Vec<TokenId>> {
            let mut waiting: VecDeque<TokenId> = VecDeque::new();
            let mut taken = Vec::new();
            while taken.len() < TICKERS_PER_COMMAND
                && let Some(token) = from.pop_front()
            {
                if wait.contains(&token) {
                    waiting.push_back(token);
                } else {
                    taken.push(token);
                }
            }
            waiting.append(from);
            *from = waiting;
            (!taken.is_empty()).then_some(taken)
        }
        if std::mem::take(&mut self.to_list) {
            return Some(Wish::List);
        }
        if self.sid.is_none() {
            let open = |pending: &Pending| matches!(pending.wish, Wish::Subscribe(_));
            if self.pending.values().any(open) {
                return None;
            }
            if self.channel != Channel::Books {
                return Some(Wish::Subscribe(Vec::new()));
            }
            return chunk(&mut self.to_add, &HashSet::new()).map(Wish::Subscribe);
        }
        if self.to_delete.is_empty() && self.to_add.is_empty() && self.to_ask.is_empty() {
            return None;
        }
        let (added, deleted) = (self.under_way(true), self.under_way(false));
        if let Some(tickers) = chunk(&mut self.to_delete, &added) {
            return Some(Wish::Update(Update::Delete, tickers));
        }
        if let Some(tickers) = chunk(&mut self.to_add, &deleted) {
            return Some(Wish::Update(Update::Add, tickers));
        }
        let tickers = chunk(&mut self.to_ask, &added)?;
        Some(Wish::Update(Update::Snapshot, tickers))
    }

    fn take(&mut self, id: Option<u64>) -> Option<Pending> {
        self.pending.remove(&id?)
    }

    fn on_subscribed(&mut self, id: Option<u64>, sid: Option<u64>) {
        let subscribing = match id {
            Some(_) => self.take(id).is_some_and(|p| matches!(p.wish, Wish::Subscribe(_))),
            // Older shapes name no command.
            None => {
                let open =
                    |(id, p): (&u64, &Pending)| matches!(p.wish, Wish::Subscribe(_)).then_some(*id);
                let id = self.pending.iter().find_map(open);
                self.take(id).is_some()
            }
        };
        if subscribing {
            self.sid = sid.or(self.sid);
        }
    }

    fn on_error(&mut self, id: Option<u64>, sid: Option<u64>, code: u64, now_ns: u64) {
        self.counts.errors += 1;
        let pending = self.take(id);
        match (class(code), pending) {
            (Class::Resubscribe, pending) => {
                // One whose number was never told is ours, if it is not the one from before.
                let untold = self.sid.is_none() && sid != self.over;
                let ours = sid.is_none() || sid == self.sid || untold;
                // An answer to a command that named a subscription from before is about that one.
                if ours && (pending.is_some() || id.is_none() || sid.is_some()) {
                    self.over = sid.or(self.sid);
                    self.resubscribe(now_ns);
                }
            }
            (Class::Reconnect, _) => {
                self.turns.push_back(Turn::Reconnect("the venue wants authentication again"));
            }
            (Class::Retry, Some(Pending { wish, tries, .. })) => {
                self.counts.retries += 1;
                self.not_before_ns = now_ns + self.pause_ns;
                self.pause_ns = (self.pause_ns * 2).min(32 * COMMAND_PAUSE_NS);
                self.repeat(wish, tries);
            }
            (Class::Full, Some(Pending { wish, .. })) => self.on_full(wish),
            (Class::Split, Some(Pending { wish, .. })) => self.split(wish),
            (Class::Ours, Some(_)) => self.counts.refused += 1,
            (_, None) => {}
        }
    }

    fn resubscribe(&mut self, now_ns: u64) {
        while self.resubscribes.front().is_some_and(|&at| at + RESUBSCRIBE_WINDOW_NS < now_ns) {
            self.resubscribes.pop_front();
        }
        self.resubscribes.push_back(now_ns);
        self.sid = None;
        self.pending.clear();
        self.counts.resubscribes += 1;
        let often = self.resubscribes.len() > RESUBSCRIBES_MAX;
        self.turns.push_back(match often {
            true => Turn::Reconnect("the venue ends the subscription again and again"),
            false => Turn::Resubscribe,
        });
    }

    /// What the venue takes is learnt to the market: half of what was refused is tried at once, the other half
    /// waits; where not even one fits, none of those that wait does.
    fn on_full(&mut self, mut wish: Wish) {
        if self.drop_unwanted(&mut wish) > 0 {
            // Fewer than were refused: they may fit.
            if !wish.is_idle(self.channel) {
                self.again.push_front((wish, 0));
            }
            return;
        }
        let (mut tokens, update) = match wish {
            Wish::Subscribe(tokens) => (tokens, None),
            Wish::Update(Update::Add, tokens) => (tokens, Some(Update::Add)),
            Wish::Update(..) | Wish::List => return,
        };
        if tokens.len() > 1 {
            for token in tokens.split_off(tokens.len() / 2).into_iter().rev() {
                self.to_add.push_front(token);
            }
            let half = update.map_or(Wish::Subscribe(tokens.clone()), |u| Wish::Update(u, tokens));
            return self.again.push_front((half, 0));
        }
        tokens.extend(self.to_add.drain(..));
        for (wish, _) in &mut self.again {
            if let Wish::Subscribe(waiting) | Wish::Update(Update::Add, waiting) = wish {
                tokens.append(waiting);
            }
        }
        let channel = self.channel;
        self.again.retain(|(wish, _)| !wish.is_idle(channel));
        for token in &tokens {
            self.owed.remove(token);
        }
        self.turns.push_back(Turn::Full { tokens });
    }

    fn split(&mut self, mut wish: Wish) {
        if self.drop_unwanted(&mut wish) > 0 {
            return self.repeat(wish, 0);
        }
        let (tokens, update) = match wish {
            Wish::Subscribe(tokens) => (tokens, None),
            Wish::Update(update, tokens) => (tokens, Some(update)),
            Wish::List => return,
        };
        if let [token] = tokens[..] {
            self.owed.remove(&token);
            self.counts.refused += 1;
            return;
        }
        let (front, back) = tokens.split_at(tokens.len() / 2);
        let (front, back) = (front.to_vec(), back.to_vec());
        match update {
            Some(update) => {
                let halves = [front, back].map(|half| (Wish::Update(update, half), 0));
                self.again.extend(halves);
            }
            // Only one `subscribe` may be open, and it has subscribed nothing yet.
            None => {
                self.to_add.extend(back);
                self.again.push_back((Wish::Subscribe(front), 0));
            }
        }
    }

    /// Books whose snapshot has been asked for and has not come.
    #[must_use]
    pub fn owed(&self) -> usize {
        self.owed.len()
    }
}

impl venue::Dialog for Dialog {
    fn begin(&mut self, tokens: &[TokenId], now_ns: u64) {
        self.sequences.reset();
        self.over = None;
        self.resubscribes.clear();
        self.turns.clear();
        self.not_before_ns = 0;
        self.heard_ns = now_ns;
        self.subscribe_anew(tokens);
    }

    fn add(&mut self, tokens: &[TokenId]) {
        self.to_delete.retain(|token| !tokens.contains(token));
        self.forget_repetitions(tokens);
        self.to_add.extend(tokens);
    }

    fn delete(&mut self, tokens: &[TokenId]) {
        for token in tokens {
            self.owed.remove(token);
        }
        self.to_add.retain(|token| !tokens.contains(token));
        self.to_ask.retain(|token| !tokens.contains(token));
        self.forget_repetitions(tokens);
        self.to_delete.extend(tokens);
    }

    /// Asks for the snapshots of these books, which are subscribed, unless they are on their way.
    fn ask(&mut self, tokens: &[TokenId]) -> bool {
        let added = self.under_way(true);
        for token in tokens {
            let coming = self.owed.contains_key(token)
                || self.to_add.contains(token)
                || added.contains(token);
            if !coming && !self.to_ask.contains(token) {
                self.to_ask.push_back(*token);
            }
        }
        true
    }

    /// A connection that brings nothing: a command shows whether it is alive.
    fn probe(&mut self, book: Option<TokenId>) -> bool {
        match book {
            Some(token) if self.sid.is_some() => self.ask(&[token]),
            _ => {
                self.to_list = true;
                true
            }
        }
    }

    /// The next command to send, if there is one and it may be sent.
    fn poll(&mut self, now_ns: u64) -> Option<String> {
        if now_ns < self.not_before_ns || self.pending.len() >= COMMANDS_OPEN_MAX {
            return None;
        }
        let (wish, tries) = match self.again.pop_front() {
            Some(again) => again,
            None => (self.next_wish()?, 0),
        };
        self.last_id += 1;
        let id = self.last_id;
        let text = match (&wish, self.sid) {
            (Wish::Subscribe(tickers), _) => command::subscribe(id, self.channel, tickers),
            (Wish::Update(update, tickers), Some(sid)) => {
                command::update(id, sid, *update, tickers)
            }
            (Wish::List, _) => command::list(id),
            // The subscription is gone in the meantime: all is asked for anew.
            (Wish::Update(..), None) => return None,
        };
        match &wish {
            Wish::Subscribe(tickers) | Wish::Update(Update::Add | Update::Snapshot, tickers) => {
                for ticker in tickers {
                    let owed = self.owed.entry(*ticker).or_insert(Owed { asked_ns: 0, tries: 0 });
                    owed.asked_ns = now_ns;
                }
            }
            Wish::Update(Update::Delete, _) | Wish::List => {}
        }
        self.counts.commands += 1;
        let deadline_ns = now_ns + COMMAND_TIMEOUT_NS;
        self.pending.insert(id, Pending { wish, deadline_ns, tries });
        Some(text)
    }

    /// Takes the number of a message. [`Verdict::Hole`] is followed by [`Turn::Suspect`].
    fn on_envelope(&mut self, envelope: &Envelope) -> Verdict {
        let (Some(sid), Some(seq)) = (envelope.sid, envelope.seq) else { return Verdict::Next };
        let verdict = self.sequences.take((sid, seq), envelope.content, false);
        match verdict {
            Verdict::Next => {}
            Verdict::Duplicate => self.counts.duplicates += 1,
            Verdict::Hole(missing) => {
                self.counts.holes += 1;
                self.counts.missing += missing;
                self.turns.push_back(Turn::Suspect);
            }
        }
        verdict
    }

    /// A frame was no JSON: whatever it was to say is lost.
    fn on_broken_frame(&mut self) -> bool {
        self.turns.push_back(Turn::Suspect);
        true
    }

    fn on_reply(&mut self, reply: &Reply<'_>, now_ns: u64) {
        self.heard_ns = now_ns;
        match *reply {
            Reply::Subscribed { id, sid, .. } => {
                self.pause_ns = COMMAND_PAUSE_NS;
                if let Some(sid) = sid {
                    self.sequences.begin(sid);
                }
                self.on_subscribed(id, sid);
            }
            Reply::Ok { id, sid } => {
                self.pause_ns = COMMAND_PAUSE_NS;
                self.on_subscribed(id, sid);
            }
            Reply::Unsubscribed { id, .. } => _ = self.take(id),
            Reply::Snapshot { id, market } => {
                if let Some(token) = TokenId::new(market) {
                    self.owed.remove(&token);
                }
                // Answered without an `ok` of its own (kalshi/protocol.md, 2.4).
                let asked = id.and_then(|id| self.pending.get(&id));
                if asked.is_some_and(|p| matches!(p.wish, Wish::Update(Update::Snapshot, _))) {
                    self.take(id);
                }
            }
            Reply::Error { id, sid, code, .. } => self.on_error(id, sid, code, now_ns),
        }
    }

    /// Something sequenced or at least readable came.
    fn on_data(&mut self, now_ns: u64) {
        self.heard_ns = now_ns;
    }

    /// Does what is due: commands without answer, snapshots that did not come.
    fn handle_timeout(&mut self, now_ns: u64) {
        let late = |(id, pending): (&u64, &Pending)| (now_ns >= pending.deadline_ns).then_some(*id);
        while let Some(id) = self.pending.iter().find_map(late) {
            let Some(Pending { wish, tries, .. }) = self.take(Some(id)) else { break };
            self.counts.timeouts += 1;
            if tries > 0 && self.heard_ns + COMMAND_TIMEOUT_NS <= now_ns {
                self.turns.push_back(Turn::Reconnect("commands are not answered"));
                return;
            }
            if tries >= SNAPSHOT_TRIES && matches!(wish, Wish::Update(Update::Add, _)) {
                // Whether these markets are subscribed cannot be known here.
                self.turns.push_back(Turn::Reconnect("markets cannot be added"));
                return;
            }
            // A subscription that was carried out without an answer is answered `ok` the second time; a market that is
            // not deleted stays subscribed beside its new connection for as long as this one lives.
            let until_answered =
                matches!(wish, Wish::Subscribe(_) | Wish::Update(Update::Delete, _));
            if tries < SNAPSHOT_TRIES || until_answered {
                self.repeat(wish, tries + 1);
            }
        }
        let mut silent = false;
        let mut ask = Vec::new();
        for (token, owed) in &mut self.owed {
            if owed.due_ns() > now_ns {
                continue;
            }
            silent |= owed.tries >= SNAPSHOT_TRIES && self.heard_ns < owed.asked_ns;
            owed.tries += 1;
            owed.asked_ns = now_ns;
            ask.push(*token);
        }
        if silent {
            self.turns.push_back(Turn::Reconnect("snapshots do not come"));
            return;
        }
        if self.sid.is_some() && !ask.is_empty() {
            // Those that are not subscribed for sure wait on.
            let added = self.under_way(true);
            self.to_ask.extend(ask.iter().filter(|token| !added.contains(token)));
        }
    }

    fn poll_turn(&mut self, now_ns: u64, tokens: &[TokenId]) -> Option<Turn> {
        let turn = self.turns.pop_front()?;
        match turn {
            Turn::Suspect => {
                // Several holes in a row are one.
                while self.turns.front() == Some(&Turn::Suspect) {
                    self.turns.pop_front();
                }
                self.ask_all(tokens, now_ns);
            }
            Turn::Resubscribe => {
                self.subscribe_anew(tokens);
                self.not_before_ns = now_ns + COMMAND_PAUSE_NS;
            }
            Turn::Reconnect(_) | Turn::Full { .. } => {}
        }
        Some(turn)
    }

    fn counts(&self) -> DialogCounts {
        self.counts
    }
}

#[cfg(test)]
mod tests;
