//! Commands of one connection: those to be sent, to be repeated, and unanswered.
//!
//! Runs on:  shards (pure; times are monotonic nanoseconds).
//! Bounds:   `TICKERS_PER_COMMAND` tickers of a command; the markets are those of the connection.
use super::super::command::{Channel, Update};
use crate::base::{id::TokenId, limits::TICKERS_PER_COMMAND};
use std::collections::{BTreeMap, HashSet, VecDeque};

/// A command, stored while it may have to be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Subscribe(Vec<TokenId>),
    Update(Update, Vec<TokenId>),
    List,
}

impl Command {
    /// Whether no market is left in it.
    pub(super) fn is_empty(&self, channel: Channel) -> bool {
        match self {
            Self::Subscribe(tokens) => tokens.is_empty() && channel == Channel::Books,
            Self::Update(_, tokens) => tokens.is_empty(),
            Self::List => false,
        }
    }
}

/// An unanswered command.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) command: Command,
    pub(super) deadline_ns: u64,
    pub(super) tries: u32,
}

/// The commands.
#[derive(Debug)]
pub(super) struct CommandQueue {
    channel: Channel,
    /// Unanswered commands by their id.
    pub(super) pending: BTreeMap<u64, Pending>,
    /// Commands to repeat, with their number of tries.
    pub(super) again: VecDeque<(Command, u32)>,
    pub(super) to_add: VecDeque<TokenId>,
    pub(super) to_delete: VecDeque<TokenId>,
    pub(super) to_snapshot: VecDeque<TokenId>,
    pub(super) to_list: bool,
}

impl CommandQueue {
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            channel,
            pending: BTreeMap::new(),
            again: VecDeque::new(),
            to_add: VecDeque::new(),
            to_delete: VecDeque::new(),
            to_snapshot: VecDeque::new(),
            to_list: false,
        }
    }

    /// Discards all commands and adds `tokens`.
    pub(super) fn restart(&mut self, tokens: &[TokenId]) {
        *self = Self { to_add: tokens.iter().copied().collect(), ..Self::new(self.channel) };
    }

    /// Adds markets.
    pub(super) fn add(&mut self, tokens: &[TokenId]) {
        self.to_delete.retain(|token| !tokens.contains(token));
        self.drop_repetitions(tokens);
        self.to_add.extend(tokens);
    }

    /// Deletes markets.
    pub(super) fn delete(&mut self, tokens: &[TokenId]) {
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

    /// Requests the snapshot of a market, once.
    pub(super) fn request_snapshot(&mut self, token: TokenId) {
        if !self.to_snapshot.contains(&token) {
            self.to_snapshot.push_back(token);
        }
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
    pub(super) fn repeat(&mut self, mut command: Command, tries: u32) {
        if tries == 0 {
            self.drop_unwanted(&mut command);
        }
        if !command.is_empty(self.channel) {
            self.again.push_back((command, tries));
        }
    }

    /// Removes markets that were deleted (or added again) since the command was sent. Returns their number.
    pub(super) fn drop_unwanted(&self, command: &mut Command) -> usize {
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
    pub(super) fn unanswered(&self, adds: bool) -> HashSet<TokenId> {
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

    /// The next command to send, and how often it was sent; a subscription begins before anything else if there is
    /// none.
    pub(super) fn next(&mut self, is_subscribed: bool) -> Option<(Command, u32)> {
        match self.again.pop_front() {
            Some(again) => Some(again),
            None => Some((self.next_new(is_subscribed)?, 0)),
        }
    }

    fn next_new(&mut self, is_subscribed: bool) -> Option<Command> {
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
        if !is_subscribed {
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

    /// Takes an unanswered command.
    pub(super) fn take(&mut self, id: Option<u64>) -> Option<Pending> {
        self.pending.remove(&id?)
    }

    /// The id of the unanswered `subscribe`.
    pub(super) fn open_subscribe(&self) -> Option<u64> {
        let open =
            |(id, p): (&u64, &Pending)| matches!(p.command, Command::Subscribe(_)).then_some(*id);
        self.pending.iter().find_map(open)
    }

    /// Bisects a command that the venue refused for one of its markets, unknown which. Given back if it has one at
    /// most.
    pub(super) fn split(&mut self, command: Command) -> Result<(), Command> {
        let (tokens, update) = match command {
            Command::Subscribe(tokens) if tokens.len() > 1 => (tokens, None),
            Command::Update(update, tokens) if tokens.len() > 1 => (tokens, Some(update)),
            single => return Err(single),
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
        Ok(())
    }

    /// Bisects a command that adds markets to the venue's limit: half of them is sent again, the other half queued. If
    /// one market alone does not fit, all that wait to be added are given up and returned.
    pub(super) fn split_full(&mut self, mut command: Command) -> Vec<TokenId> {
        if self.drop_unwanted(&mut command) > 0 {
            // Fewer than were refused: they may fit.
            if !command.is_empty(self.channel) {
                self.again.push_front((command, 0));
            }
            return Vec::new();
        }
        let (mut tokens, update) = match command {
            Command::Subscribe(tokens) => (tokens, None),
            Command::Update(Update::Add, tokens) => (tokens, Some(Update::Add)),
            Command::Update(..) | Command::List => return Vec::new(),
        };
        if tokens.len() > 1 {
            for token in tokens.split_off(tokens.len() / 2).into_iter().rev() {
                self.to_add.push_front(token);
            }
            let half = match update {
                None => Command::Subscribe(tokens),
                Some(update) => Command::Update(update, tokens),
            };
            self.again.push_front((half, 0));
            return Vec::new();
        }
        tokens.extend(self.to_add.drain(..));
        for (command, _) in &mut self.again {
            if let Command::Subscribe(waiting) | Command::Update(Update::Add, waiting) = command {
                tokens.append(waiting);
            }
        }
        let channel = self.channel;
        self.again.retain(|(command, _)| !command.is_empty(channel));
        tokens
    }
}
