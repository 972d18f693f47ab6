//! Subscription state machine of one connection: commands, responses, sequence numbers.
//!
//! Runs on:  shards (pure; times are monotonic nanoseconds). Owns: unanswered commands, the subscription id, its
//!           sequence counter, the books whose snapshot is outstanding.
//! Bounds:   `COMMANDS_OPEN_MAX` unanswered commands of `TICKERS_PER_COMMAND` tickers each.
//!
//! Responses arrive in any order and are matched by id (kalshi/protocol.md, 2.7). One `subscribe` is open at a time:
//! its response has the `sid` that later commands need. A snapshot is outstanding until it arrives, whatever is
//! acknowledged. While a command that adds or deletes a market is unanswered, no other command for that market is sent:
//! the order of execution is undefined, and `get_snapshot` is also answered for unsubscribed markets, which receive no
//! changes.
mod exceptions;
mod queue;

use super::command::{self, Channel, Update};
use crate::base::{
    id::TokenId,
    limits::{
        COMMAND_PAUSE_NS, COMMAND_TIMEOUT_NS, COMMANDS_OPEN_MAX, OTHER_SUBSCRIPTION_MAX,
        RESUBSCRIBES_MAX, SNAPSHOT_TRIES, SNAPSHOT_WAIT_NS,
    },
    time::SECOND_NS,
};
use crate::venue::{
    Envelope, ProtocolAction, Reply, Sequences, SubscriptionCounts, SubscriptionProtocol, Verdict,
};
use exceptions::Exceptions;
use foldhash::quality::FixedState;
use queue::{Command, CommandQueue, Pending};
use std::collections::{HashMap, VecDeque};

/// Window over which resubscriptions are counted.
const RESUBSCRIBE_WINDOW_NS: u64 = 60 * SECOND_NS;

/// A requested snapshot that has not arrived.
#[derive(Clone, Copy, Debug)]
struct Outstanding {
    requested_ns: u64,
    tries: u32,
}

impl Outstanding {
    /// Time of the next request. The interval grows with the number of tries.
    const fn due_ns(self) -> u64 {
        self.requested_ns + SNAPSHOT_WAIT_NS * (1 + (self.tries / SNAPSHOT_TRIES) as u64)
    }
}

/// Meaning of an error for its command (kalshi/protocol.md, 2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// The subscription has ended: subscribe again.
    Resubscribe,
    /// Repeat after a pause.
    Retry,
    /// The subscription is at its market limit.
    Full,
    /// One of the markets is unknown, or may be what the venue refuses: bisect.
    Split,
    /// The session is unusable.
    Reconnect,
    /// An invalid command.
    Invalid,
}

const fn class(code: u64) -> Class {
    match code {
        7 | 10 | 17 | 25 => Class::Resubscribe,
        18 | 27 => Class::Retry,
        26 => Class::Full,
        11 | 14 | 16 => Class::Split,
        9 => Class::Reconnect,
        1..=28 => Class::Invalid,
        // A code that is not documented.
        _ => Class::Split,
    }
}

/// Commands and responses of one connection.
#[derive(Debug)]
pub struct Subscriptions {
    channel: Channel,
    last_id: u64,
    sid: Option<u64>,
    /// The subscription that the venue ended last.
    ended_sid: Option<u64>,
    sequences: Sequences,
    /// Messages of another subscription in this session.
    others: u32,
    queue: CommandQueue,
    outstanding: HashMap<TokenId, Outstanding, FixedState>,
    exceptions: Exceptions,
    /// The last command before the subscription began: a snapshot with this id or a lower one is not taken.
    begun_after: u64,
    /// No command is sent before this time.
    not_before_ns: u64,
    /// Pause after the next rate-limit response.
    pause_ns: u64,
    /// Time of the last input, or of the begin of the session.
    last_input_ns: u64,
    resubscribes: VecDeque<u64>,
    actions: VecDeque<ProtocolAction>,
    counts: SubscriptionCounts,
}

impl Subscriptions {
    /// A state machine without a session.
    pub fn new(channel: Channel) -> Self {
        Self {
            channel,
            last_id: 0,
            sid: None,
            ended_sid: None,
            sequences: Sequences::default(),
            others: 0,
            queue: CommandQueue::new(channel),
            outstanding: HashMap::default(),
            exceptions: Exceptions::default(),
            begun_after: 0,
            not_before_ns: 0,
            pause_ns: COMMAND_PAUSE_NS,
            last_input_ns: 0,
            resubscribes: VecDeque::new(),
            actions: VecDeque::new(),
            counts: SubscriptionCounts::default(),
        }
    }

    /// Discards all command state and subscribes `tokens` again.
    fn restart(&mut self, tokens: &[TokenId]) {
        self.sid = None;
        self.others = 0;
        self.queue.restart(tokens);
        self.outstanding.clear();
        self.exceptions.clear();
        self.begun_after = self.last_id;
        self.pause_ns = COMMAND_PAUSE_NS;
    }

    /// Requests the snapshots of all subscribed books. Those whose addition is unanswered follow later.
    pub fn request_all(&mut self, tokens: &[TokenId], now_ns: u64) {
        let added = self.queue.unanswered(true);
        self.queue.to_snapshot.clear();
        let wanted = |token: &&TokenId| {
            !self.queue.to_add.contains(token) && !self.exceptions.is_refused(token)
        };
        for token in tokens.iter().filter(wanted) {
            if added.contains(token) {
                self.outstanding
                    .entry(*token)
                    .or_insert(Outstanding { requested_ns: now_ns, tries: 0 });
            } else {
                self.queue.to_snapshot.push_back(*token);
            }
        }
    }

    fn on_subscribed(&mut self, id: Option<u64>, sid: Option<u64>) {
        // Older response forms have no id.
        let Some(id) = id.or_else(|| self.queue.open_subscribe()) else { return };
        let Some(Pending { command, .. }) = self.queue.take(Some(id)) else { return };
        match command {
            Command::Subscribe(tokens) => {
                self.sid = sid.or(self.sid);
                self.on_added(id, &tokens);
            }
            Command::Update(Update::Add, tokens) => self.on_added(id, &tokens),
            Command::Update(..) | Command::List => {}
        }
    }

    /// The venue has answered the addition of these markets.
    fn on_added(&mut self, id: u64, tokens: &[TokenId]) {
        for token in tokens {
            // The one that was not taken may have been the addition's.
            let is_due =
                self.exceptions.on_added(id, token) && self.outstanding.contains_key(token);
            if is_due {
                self.queue.request_snapshot(*token);
            }
        }
    }

    /// The next command waits; each time longer.
    fn pause(&mut self, now_ns: u64) {
        self.not_before_ns = now_ns + self.pause_ns;
        self.pause_ns = (self.pause_ns * 2).min(32 * COMMAND_PAUSE_NS);
    }

    /// The venue refused a command for all its markets. Those that it adds are not subscribed: they are added again
    /// later, and no snapshot of them is taken until then.
    fn refuse(&mut self, mut command: Command, now_ns: u64) {
        self.counts.refused += 1;
        self.queue.drop_unwanted(&mut command);
        match command {
            // Of a channel without markets; it is sent again.
            Command::Subscribe(tokens) if tokens.is_empty() => self.pause(now_ns),
            Command::Subscribe(tokens) | Command::Update(Update::Add, tokens) => {
                for token in tokens {
                    self.outstanding.remove(&token);
                    self.exceptions.on_refused(token, now_ns);
                }
            }
            Command::Update(..) | Command::List => {}
        }
    }

    fn on_error(&mut self, id: Option<u64>, sid: Option<u64>, code: u64, now_ns: u64) {
        self.counts.errors += 1;
        let pending = self.queue.take(id);
        match (class(code), pending) {
            (Class::Resubscribe, pending) => {
                // Our `sid` is unknown until `subscribed` arrives; an error of any `sid` but the ended one is then
                // ours.
                let unknown = self.sid.is_none() && sid != self.ended_sid;
                let ours = sid.is_none() || sid == self.sid || unknown;
                // A response without `sid` to a command of an ended subscription concerns that one.
                if ours && (pending.is_some() || id.is_none() || sid.is_some()) {
                    self.ended_sid = sid.or(self.sid);
                    self.resubscribe(now_ns);
                }
            }
            (Class::Reconnect, _) => {
                self.actions.push_back(ProtocolAction::Reconnect(
                    "the venue requires authentication again",
                ));
            }
            (Class::Retry, Some(Pending { command, tries, .. })) => {
                self.counts.retries += 1;
                self.pause(now_ns);
                self.queue.repeat(command, tries);
            }
            (Class::Full, Some(Pending { command, .. })) => self.on_full(command),
            (Class::Split, Some(Pending { command, .. })) => self.split(command, now_ns),
            (Class::Invalid, Some(Pending { command, .. })) => self.refuse(command, now_ns),
            (_, None) => {}
        }
    }

    fn resubscribe(&mut self, now_ns: u64) {
        while self.resubscribes.front().is_some_and(|&at| at + RESUBSCRIBE_WINDOW_NS < now_ns) {
            self.resubscribes.pop_front();
        }
        self.resubscribes.push_back(now_ns);
        self.sid = None;
        self.queue.pending.clear();
        self.counts.resubscribes += 1;
        let too_often = self.resubscribes.len() > RESUBSCRIBES_MAX;
        self.actions.push_back(match too_often {
            true => ProtocolAction::Reconnect("the venue ended the subscription repeatedly"),
            false => ProtocolAction::Resubscribe,
        });
    }

    /// Bisects to the venue's limit; what does not fit goes elsewhere.
    fn on_full(&mut self, command: Command) {
        let tokens = self.queue.split_full(command);
        if tokens.is_empty() {
            return;
        }
        for token in &tokens {
            self.outstanding.remove(token);
        }
        self.actions.push_back(ProtocolAction::Full { tokens });
    }

    /// Bisects to the market that was refused.
    fn split(&mut self, mut command: Command, now_ns: u64) {
        if self.queue.drop_unwanted(&mut command) > 0 {
            return self.queue.repeat(command, 0);
        }
        match self.queue.split(command) {
            Ok(()) => {}
            Err(Command::Update(Update::Snapshot, tokens)) => {
                tokens.iter().for_each(|token| _ = self.outstanding.remove(token));
                self.counts.refused += 1;
            }
            Err(single) => self.refuse(single, now_ns),
        }
    }
}

impl SubscriptionProtocol for Subscriptions {
    fn begin(&mut self, tokens: &[TokenId], now_ns: u64) {
        self.sequences.reset();
        self.ended_sid = None;
        self.resubscribes.clear();
        self.actions.clear();
        self.not_before_ns = 0;
        self.last_input_ns = now_ns;
        self.restart(tokens);
    }

    fn add(&mut self, tokens: &[TokenId]) {
        self.exceptions.on_add(tokens, self.last_id);
        self.queue.add(tokens);
    }

    fn delete(&mut self, tokens: &[TokenId]) {
        for token in tokens {
            self.outstanding.remove(token);
            self.exceptions.on_delete(*token);
        }
        self.queue.delete(tokens);
    }

    /// Requests the snapshots of subscribed books, unless they are outstanding.
    fn ask(&mut self, tokens: &[TokenId]) -> bool {
        let added = self.queue.unanswered(true);
        for token in tokens {
            let coming = self.outstanding.contains_key(token)
                || self.queue.to_add.contains(token)
                || added.contains(token)
                || self.exceptions.is_refused(token);
            if !coming {
                self.queue.request_snapshot(*token);
            }
        }
        true
    }

    /// Sends a command whose response shows that the connection is alive.
    fn probe(&mut self, book: Option<TokenId>) -> bool {
        match book {
            Some(token) if self.sid.is_some() => self.ask(&[token]),
            _ => {
                self.queue.to_list = true;
                true
            }
        }
    }

    /// The next command, if one may be sent.
    fn poll(&mut self, now_ns: u64) -> Option<String> {
        if now_ns < self.not_before_ns || self.queue.pending.len() >= COMMANDS_OPEN_MAX {
            return None;
        }
        let (command, tries) = self.queue.next(self.sid.is_some())?;
        self.last_id += 1;
        let id = self.last_id;
        let text = match (&command, self.sid) {
            (Command::Subscribe(tickers), _) => command::subscribe(id, self.channel, tickers),
            (Command::Update(update, tickers), Some(sid)) => {
                command::update(id, sid, *update, tickers)
            }
            (Command::List, _) => command::list(id),
            // The subscription has ended meanwhile: everything is subscribed again.
            (Command::Update(..), None) => return None,
        };
        match &command {
            Command::Subscribe(tickers)
            | Command::Update(Update::Add | Update::Snapshot, tickers) => {
                // One that is to be deleted is repeated for its response only.
                for ticker in tickers.iter().filter(|ticker| !self.queue.to_delete.contains(ticker))
                {
                    let outstanding = self
                        .outstanding
                        .entry(*ticker)
                        .or_insert(Outstanding { requested_ns: 0, tries: 0 });
                    outstanding.requested_ns = now_ns;
                }
            }
            Command::Update(Update::Delete, _) | Command::List => {}
        }
        self.counts.commands += 1;
        let deadline_ns = now_ns + COMMAND_TIMEOUT_NS;
        self.queue.pending.insert(id, Pending { command, deadline_ns, tries });
        Some(text)
    }

    /// Checks a sequence number. [`Verdict::Hole`] is followed by [`ProtocolAction::Suspect`].
    fn on_envelope(&mut self, envelope: &Envelope) -> Verdict {
        let (Some(sid), Some(seq)) = (envelope.sid, envelope.seq) else { return Verdict::Next };
        let verdict = self.sequences.take((sid, seq), envelope.content, false);
        match verdict {
            Verdict::Next => {}
            Verdict::Duplicate => self.counts.duplicates += 1,
            Verdict::Hole(missing) => {
                self.counts.holes += 1;
                self.counts.missing += missing;
                self.actions.push_back(ProtocolAction::Suspect);
                self.others += u32::from(missing == 0);
                if self.others == OTHER_SUBSCRIPTION_MAX {
                    let why = "messages belong to a subscription that was not acknowledged";
                    self.actions.push_back(ProtocolAction::Reconnect(why));
                }
            }
        }
        verdict
    }

    /// Invalid JSON: a message of any book may be lost.
    fn on_broken_frame(&mut self) -> bool {
        self.actions.push_back(ProtocolAction::Suspect);
        true
    }

    fn on_reply(&mut self, reply: &Reply<'_>, now_ns: u64) -> bool {
        self.last_input_ns = now_ns;
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
                if sid.is_some_and(|sid| self.sequences.confirm(sid)) {
                    self.others = 0;
                }
                self.on_subscribed(id, sid);
            }
            Reply::Unsubscribed { id, .. } => _ = self.queue.take(id),
            Reply::Snapshot { id, market } => {
                let token = TokenId::new(market);
                let follows = id.is_none_or(|id| id > self.begun_after)
                    && token.is_none_or(|token| self.exceptions.takes_snapshot(id, &token));
                if let Some(token) = token
                    && follows
                {
                    self.outstanding.remove(&token);
                }
                // A snapshot may be the only response (kalshi/protocol.md, 2.4).
                let requested = id.and_then(|id| self.queue.pending.get(&id));
                if requested
                    .is_some_and(|p| matches!(p.command, Command::Update(Update::Snapshot, _)))
                {
                    self.queue.take(id);
                }
                return follows;
            }
            Reply::Error { id, sid, code, .. } => self.on_error(id, sid, code, now_ns),
        }
        true
    }

    /// Valid data arrived.
    fn on_data(&mut self, now_ns: u64) {
        self.last_input_ns = now_ns;
    }

    /// Repeats commands without response and snapshot requests; reconnects when they stay unanswered.
    fn handle_timeout(&mut self, now_ns: u64) {
        let late = |(id, pending): (&u64, &Pending)| (now_ns >= pending.deadline_ns).then_some(*id);
        while let Some(id) = self.queue.pending.iter().find_map(late) {
            let Some(Pending { command, tries, .. }) = self.queue.take(Some(id)) else { break };
            self.counts.timeouts += 1;
            if tries > 0 && self.last_input_ns + COMMAND_TIMEOUT_NS <= now_ns {
                self.actions.push_back(ProtocolAction::Reconnect("commands get no response"));
                return;
            }
            if tries >= SNAPSHOT_TRIES && matches!(command, Command::Update(Update::Add, _)) {
                // Whether these markets are subscribed is unknown.
                self.actions.push_back(ProtocolAction::Reconnect("markets cannot be added"));
                return;
            }
            // Repeated without limit: a second `subscribe` is answered `ok`; an undeleted market stays subscribed on
            // two connections.
            let until_answered =
                matches!(command, Command::Subscribe(_) | Command::Update(Update::Delete, _));
            if tries < SNAPSHOT_TRIES || until_answered {
                self.queue.repeat(command, tries + 1);
            }
        }
        self.queue.to_add.extend(self.exceptions.take_due(now_ns));
        let mut silent = false;
        let mut ask = Vec::new();
        for (token, outstanding) in &mut self.outstanding {
            if outstanding.due_ns() > now_ns {
                continue;
            }
            silent |= outstanding.tries >= SNAPSHOT_TRIES
                && self.last_input_ns < outstanding.requested_ns;
            outstanding.tries += 1;
            outstanding.requested_ns = now_ns;
            ask.push(*token);
        }
        if silent {
            self.actions.push_back(ProtocolAction::Reconnect("snapshots do not arrive"));
            return;
        }
        if self.sid.is_some() && !ask.is_empty() {
            // Markets whose addition is unanswered wait.
            let added = self.queue.unanswered(true);
            self.queue.to_snapshot.extend(ask.iter().filter(|token| !added.contains(token)));
        }
    }

    fn poll_action(&mut self, now_ns: u64, tokens: &[TokenId]) -> Option<ProtocolAction> {
        let action = self.actions.pop_front()?;
        match action {
            ProtocolAction::Suspect => {
                // Consecutive gaps are one.
                while self.actions.front() == Some(&ProtocolAction::Suspect) {
                    self.actions.pop_front();
                }
                self.request_all(tokens, now_ns);
            }
            ProtocolAction::Resubscribe => {
                self.restart(tokens);
                self.not_before_ns = now_ns + COMMAND_PAUSE_NS;
            }
            ProtocolAction::Reconnect(_) | ProtocolAction::Full { .. } => {}
        }
        Some(action)
    }

    fn position(&self) -> Option<(u64, u64)> {
        self.sequences.position()
    }

    fn counts(&self) -> SubscriptionCounts {
        self.counts
    }
}

#[cfg(test)]
mod tests;
