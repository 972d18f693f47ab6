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

use super::command::{self, Channel, Update};
use crate::base::{
    id::TokenId,
    limits::{
        COMMAND_PAUSE_NS, COMMAND_TIMEOUT_NS, COMMANDS_OPEN_MAX, OTHER_SUBSCRIPTION_MAX,
        RESUBSCRIBES_MAX, SNAPSHOT_TRIES, SNAPSHOT_WAIT_NS, TICKERS_PER_COMMAND,
    },
    time::SECOND_NS,
};
use crate::venue::{
    Envelope, ProtocolAction, Reply, Sequences, SubscriptionCounts, SubscriptionProtocol, Verdict,
};
use exceptions::Exceptions;
use foldhash::quality::FixedState;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// Window over which resubscriptions are counted.
const RESUBSCRIBE_WINDOW_NS: u64 = 60 * SECOND_NS;

/// A command, stored while it may have to be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Command {
    Subscribe(Vec<TokenId>),
    Update(Update, Vec<TokenId>),
    List,
}

impl Command {
    /// Whether no market is left in it.
    fn is_empty(&self, channel: Channel) -> bool {
        match self {
            Self::Subscribe(tokens) => tokens.is_empty() && channel == Channel::Books,
            Self::Update(_, tokens) => tokens.is_empty(),
            Self::List => false,
        }
    }
}

#[derive(Clone, Debug)]
struct Pending {
    command: Command,
    deadline_ns: u64,
    tries: u32,
}

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
    /// One of the markets is unknown: bisect.
    Split,
    /// The session is unusable.
    Reconnect,
    /// An invalid command, or a change of the protocol.
    Invalid,
}

const fn class(code: u64) -> Class {
    match code {
        7 | 10 | 17 | 25 => Class::Resubscribe,
        18 | 27 => Class::Retry,
        26 => Class::Full,
        11 | 14 | 16 => Class::Split,
        9 => Class::Reconnect,
        _ => Class::Invalid,
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
    pending: BTreeMap<u64, Pending>,
    /// Commands to repeat, with their number of tries.
    again: VecDeque<(Command, u32)>,
    to_add: VecDeque<TokenId>,
    to_delete: VecDeque<TokenId>,
    to_snapshot: VecDeque<TokenId>,
    to_list: bool,
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
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self {
            channel,
            last_id: 0,
            sid: None,
            ended_sid: None,
            sequences: Sequences::default(),
            others: 0,
            pending: BTreeMap::new(),
            again: VecDeque::new(),
            to_add: VecDeque::new(),
            to_delete: VecDeque::new(),
            to_snapshot: VecDeque::new(),
            to_list: false,
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
        self.pending.clear();
        self.again.clear();
        self.to_delete.clear();
        self.to_snapshot.clear();
        self.to_list = false;
        self.outstanding.clear();
        self.exceptions.clear();
        self.begun_after = self.last_id;
        self.to_add = tokens.iter().copied().collect();
        self.pause_ns = COMMAND_PAUSE_NS;
    }

    /// Removes these markets from queued repetitions: they are about to be added or deleted. A command that had no
    /// response may yet be executed: it is repeated, and what follows waits for its response.
    fn drop_repetitions(&mut self, tokens: &[TokenId]) {
        for (command, tries) in &mut self.again {
            let snapshot = matches!(command, Command::Update(Update::Snapshot, _));
            if (*tries == 0 || snapshot)
                && let Command::Subscribe(of) | Command::Update(_, of) = command
            {
                of.retain(|token| !tokens.contains(token));
            }
        }
        let channel = self.channel;
        self.again.retain(|(command, _)| !command.is_empty(channel));
    }

    /// Queues a command again, for the markets for which it still applies; for all if it may yet be executed.
    fn repeat(&mut self, mut command: Command, tries: u32) {
        if tries == 0 {
            self.drop_unwanted(&mut command);
        }
        if !command.is_empty(self.channel) {
            self.again.push_back((command, tries));
        }
    }

    /// Removes markets that were deleted (or added again) since the command was sent. Returns their number.
    fn drop_unwanted(&self, command: &mut Command) -> usize {
        let (tokens, since) = match command {
            Command::Subscribe(tokens) | Command::Update(Update::Add, tokens) => {
                (tokens, &self.to_delete)
            }
            Command::Update(Update::Delete, tokens) => (tokens, &self.to_add),
            Command::Update(Update::Snapshot, _) | Command::List => return 0,
        };
        let before = tokens.len();
        tokens.retain(|token| !since.contains(token));
        before - tokens.len()
    }

    /// Markets in unanswered commands that add them, or delete them.
    fn unanswered(&self, adds: bool) -> HashSet<TokenId> {
        let pending = self.pending.values().map(|pending| &pending.command);
        let commands = pending.chain(self.again.iter().map(|(command, _)| command));
        let tokens = commands.filter_map(|command| match command {
            Command::Subscribe(tokens) | Command::Update(Update::Add, tokens) => {
                adds.then_some(tokens)
            }
            Command::Update(Update::Delete, tokens) => (!adds).then_some(tokens),
            Command::Update(Update::Snapshot, _) | Command::List => None,
        });
        tokens.flatten().copied().collect()
    }

    /// Requests the snapshots of all subscribed books. Those whose addition is unanswered follow later.
    pub fn request_all(&mut self, tokens: &[TokenId], now_ns: u64) {
        let added = self.unanswered(true);
        self.to_snapshot.clear();
        let wanted =
            |token: &&TokenId| !self.to_add.contains(token) && !self.exceptions.is_refused(token);
        for token in tokens.iter().filter(wanted) {
            if added.contains(token) {
                self.outstanding
                    .entry(*token)
                    .or_insert(Outstanding { requested_ns: now_ns, tries: 0 });
            } else {
                self.to_snapshot.push_back(*token);
            }
        }
    }

    fn next_command(&mut self) -> Option<Command> {
        /// The next markets that are not in `wait`.
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
            return Some(Command::List);
        }
        if self.sid.is_none() {
            let open = |pending: &Pending| matches!(pending.command, Command::Subscribe(_));
            if self.pending.values().any(open) {
                return None;
            }
            if self.channel != Channel::Books {
                return Some(Command::Subscribe(Vec::new()));
            }
            return chunk(&mut self.to_add, &HashSet::new()).map(Command::Subscribe);
        }
        if self.to_delete.is_empty() && self.to_add.is_empty() && self.to_snapshot.is_empty() {
            return None;
        }
        let (added, deleted) = (self.unanswered(true), self.unanswered(false));
        if let Some(tickers) = chunk(&mut self.to_delete, &added) {
            return Some(Command::Update(Update::Delete, tickers));
        }
        if let Some(tickers) = chunk(&mut self.to_add, &deleted) {
            return Some(Command::Update(Update::Add, tickers));
        }
        let tickers = chunk(&mut self.to_snapshot, &added)?;
        Some(Command::Update(Update::Snapshot, tickers))
    }

    fn take(&mut self, id: Option<u64>) -> Option<Pending> {
        self.pending.remove(&id?)
    }

    fn on_subscribed(&mut self, id: Option<u64>, sid: Option<u64>) {
        let open =
            |(id, p): (&u64, &Pending)| matches!(p.command, Command::Subscribe(_)).then_some(*id);
        // Older response forms have no id.
        let Some(id) = id.or_else(|| self.pending.iter().find_map(open)) else { return };
        let Some(Pending { command, .. }) = self.take(Some(id)) else { return };
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
            if is_due && !self.to_snapshot.contains(token) {
                self.to_snapshot.push_back(*token);
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
        self.drop_unwanted(&mut command);
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
        let pending = self.take(id);
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
                self.repeat(command, tries);
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
        self.pending.clear();
        self.counts.resubscribes += 1;
        let too_often = self.resubscribes.len() > RESUBSCRIBES_MAX;
        self.actions.push_back(match too_often {
            true => ProtocolAction::Reconnect("the venue ended the subscription repeatedly"),
            false => ProtocolAction::Resubscribe,
        });
    }

    /// Bisects to the venue's limit: half of the refused markets is sent again, the other half queued; if one market
    /// alone does not fit, all queued ones are given up.
    fn on_full(&mut self, mut command: Command) {
        if self.drop_unwanted(&mut command) > 0 {
            // Fewer than were refused: they may fit.
            if !command.is_empty(self.channel) {
                self.again.push_front((command, 0));
            }
            return;
        }
        let (mut tokens, update) = match command {
            Command::Subscribe(tokens) => (tokens, None),
            Command::Update(Update::Add, tokens) => (tokens, Some(Update::Add)),
            Command::Update(..) | Command::List => return,
        };
        if tokens.len() > 1 {
            for token in tokens.split_off(tokens.len() / 2).into_iter().rev() {
                self.to_add.push_front(token);
            }
            let half =
                update.map_or(Command::Subscribe(tokens.clone()), |u| Command::Update(u, tokens));
            return self.again.push_front((half, 0));
        }
        tokens.extend(self.to_add.drain(..));
        for (command, _) in &mut self.again {
            if let Command::Subscribe(waiting) | Command::Update(Update::Add, waiting) = command {
                tokens.append(waiting);
            }
        }
        let channel = self.channel;
        self.again.retain(|(command, _)| !command.is_empty(channel));
        for token in &tokens {
            self.outstanding.remove(token);
        }
        self.actions.push_back(ProtocolAction::Full { tokens });
    }

    fn split(&mut self, mut command: Command, now_ns: u64) {
        if self.drop_unwanted(&mut command) > 0 {
            return self.repeat(command, 0);
        }
        let (tokens, update) = match command {
            Command::Subscribe(tokens) if tokens.len() > 1 => (tokens, None),
            Command::Update(update, tokens) if tokens.len() > 1 => (tokens, Some(update)),
            Command::Update(Update::Snapshot, tokens) => {
                tokens.iter().for_each(|token| _ = self.outstanding.remove(token));
                self.counts.refused += 1;
                return;
            }
            single => return self.refuse(single, now_ns),
        };
        let (front, back) = tokens.split_at(tokens.len() / 2);
        let (front, back) = (front.to_vec(), back.to_vec());
        match update {
            Some(update) => {
                let halves = [front, back].map(|half| (Command::Update(update, half), 0));
                self.again.extend(halves);
            }
            // Only one `subscribe` may be open, and nothing is subscribed yet.
            None => {
                self.to_add.extend(back);
                self.again.push_back((Command::Subscribe(front), 0));
            }
        }
    }

    /// Number of outstanding snapshots.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
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
        self.to_delete.retain(|token| !tokens.contains(token));
        self.drop_repetitions(tokens);
        self.exceptions.on_add(tokens, self.last_id);
        self.to_add.extend(tokens);
    }

    fn delete(&mut self, tokens: &[TokenId]) {
        for token in tokens {
            self.outstanding.remove(token);
            self.exceptions.on_delete(*token);
        }
        self.to_add.retain(|token| !tokens.contains(token));
        self.to_snapshot.retain(|token| !tokens.contains(token));
        self.drop_repetitions(tokens);
        // A repeated request must not name them: the venue answers for a market that is not subscribed too, and nothing
        // that happens to its book follows.
        for pending in self.pending.values_mut() {
            if let Command::Update(Update::Snapshot, asked) = &mut pending.command {
                asked.retain(|token| !tokens.contains(token));
            }
        }
        self.to_delete.extend(tokens);
    }

    /// Requests the snapshots of subscribed books, unless they are outstanding.
    fn ask(&mut self, tokens: &[TokenId]) -> bool {
        let added = self.unanswered(true);
        for token in tokens {
            let coming = self.outstanding.contains_key(token)
                || self.to_add.contains(token)
                || added.contains(token)
                || self.exceptions.is_refused(token);
            if !coming && !self.to_snapshot.contains(token) {
                self.to_snapshot.push_back(*token);
            }
        }
        true
    }

    /// Sends a command whose response shows that the connection is alive.
    fn probe(&mut self, book: Option<TokenId>) -> bool {
        match book {
            Some(token) if self.sid.is_some() => self.ask(&[token]),
            _ => {
                self.to_list = true;
                true
            }
        }
    }

    /// The next command, if one may be sent.
    fn poll(&mut self, now_ns: u64) -> Option<String> {
        if now_ns < self.not_before_ns || self.pending.len() >= COMMANDS_OPEN_MAX {
            return None;
        }
        let (command, tries) = match self.again.pop_front() {
            Some(again) => again,
            None => (self.next_command()?, 0),
        };
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
                for ticker in tickers.iter().filter(|ticker| !self.to_delete.contains(ticker)) {
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
        self.pending.insert(id, Pending { command, deadline_ns, tries });
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
            Reply::Unsubscribed { id, .. } => _ = self.take(id),
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
                let requested = id.and_then(|id| self.pending.get(&id));
                if requested
                    .is_some_and(|p| matches!(p.command, Command::Update(Update::Snapshot, _)))
                {
                    self.take(id);
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
        while let Some(id) = self.pending.iter().find_map(late) {
            let Some(Pending { command, tries, .. }) = self.take(Some(id)) else { break };
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
                self.repeat(command, tries + 1);
            }
        }
        self.to_add.extend(self.exceptions.take_due(now_ns));
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
            let added = self.unanswered(true);
            self.to_snapshot.extend(ask.iter().filter(|token| !added.contains(token)));
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

    fn counts(&self) -> SubscriptionCounts {
        self.counts
    }
}

#[cfg(test)]
mod tests;
