//! The market channel: handles the messages of a client.
//!
//! Runs on:  the venue's thread.
use std::borrow::Cow;

use super::connections::Connections;
use super::exchange::{Exchange, TokenIndex};
use super::frame::{ClientMessage, Opcode, push_close, push_frame};
use super::message;
use super::subscription::{Update, parse_initial, parse_update};
use crate::base::random::Random;

/// Close code: WebSocket protocol violation.
const CLOSE_PROTOCOL: u16 = 1002;
/// Close code: a message that the channel does not accept.
const CLOSE_POLICY: u16 = 1008;
const INVALID_SUBSCRIPTION: &str = "invalid subscription payload";

#[derive(Clone, Copy, Debug)]
pub(super) struct DumpFaults {
    /// Connections with more tokens receive no dump.
    pub(super) tokens_max: usize,
    /// Percentage of books omitted.
    pub(super) lost_percent: u64,
}

/// State that a message can change.
pub(super) struct Channel<'a> {
    pub(super) exchange: &'a mut Exchange,
    pub(super) connections: &'a mut Connections,
    pub(super) counters: &'a super::stats::Counters,
    pub(super) faults: DumpFaults,
    pub(super) random: &'a mut Random,
}

impl Channel<'_> {
    pub(super) fn handle_input(&mut self, slot: usize) {
        loop {
            let Some(connection) = self.connections.get(slot) else { return };
            let Some(client) = connection.client.as_mut().filter(|_| !connection.closing) else {
                return;
            };
            if client.half_open {
                connection.input.clear();
                return;
            }
            match client.assembly.poll_message(&mut connection.input) {
                Ok(Some(message)) => self.handle_message(slot, message),
                Ok(None) => return,
                Err(violation) => {
                    self.counters.violations.add(1);
                    self.close(slot, CLOSE_PROTOCOL, violation.0);
                }
            }
        }
    }

    fn handle_message(&mut self, slot: usize, message: ClientMessage) {
        let payload = message.payload;
        match message.opcode {
            Opcode::Ping => self.reply(slot, Opcode::Pong, &payload),
            Opcode::Close => {
                let code = payload.get(..2).unwrap_or(&[]);
                self.reply(slot, Opcode::Close, code);
                self.finish(slot);
            }
            Opcode::Pong | Opcode::Continuation => {}
            Opcode::Binary => self.close(slot, CLOSE_POLICY, INVALID_SUBSCRIPTION),
            Opcode::Text => self.handle_text(slot, &payload),
        }
    }

    fn handle_text(&mut self, slot: usize, text: &[u8]) {
        let subscribed = self.client(slot).is_some_and(|client| client.subscribed);
        if !subscribed {
            self.handle_initial(slot, text);
        } else if text == b"PING" {
            self.reply(slot, Opcode::Text, b"PONG");
        } else {
            match parse_update(text) {
                Some(Update::Subscribe { tokens, custom }) => self.subscribe(slot, &tokens, custom),
                Some(Update::Unsubscribe { tokens }) => self.unsubscribe(slot, &tokens),
                None => self.reply(slot, Opcode::Text, b"INVALID OPERATION"),
            }
        }
    }

    fn handle_initial(&mut self, slot: usize, text: &[u8]) {
        let Some(initial) = parse_initial(text) else {
            self.counters.violations.add(1);
            return self.close(slot, CLOSE_POLICY, INVALID_SUBSCRIPTION);
        };
        if let Some(client) = self.client(slot) {
            client.subscribed = true;
            client.custom = initial.custom;
        }
        let added = self.add(slot, &initial.tokens);
        if added.is_empty() {
            if !initial.tokens.is_empty() {
                self.reply(slot, Opcode::Text, b"[]");
            }
        } else if initial.dump {
            self.dump(slot, &added);
        }
    }

    fn subscribe(&mut self, slot: usize, tokens: &[Cow<'_, str>], custom: Option<bool>) {
        if let (Some(client), Some(custom)) = (self.client(slot), custom) {
            client.custom = custom;
        }
        let known = tokens.iter().any(|token| self.exchange.open_token(token).is_some());
        let added = self.add(slot, tokens);
        // A token subscribed again gets no book: Polymarket sends one only sometimes.
        let Some(client) = self.client(slot) else { return };
        let fresh: Vec<_> = added.iter().copied().filter(|&t| client.seen.insert(t)).collect();
        if !fresh.is_empty() {
            self.dump(slot, &fresh);
        } else if !known && !tokens.is_empty() {
            self.reply(slot, Opcode::Text, b"[]");
        } else if added.is_empty() {
            self.reply(slot, Opcode::Text, b"NO NEW ASSETS");
        }
    }

    fn unsubscribe(&mut self, slot: usize, tokens: &[Cow<'_, str>]) {
        for token in tokens {
            let Some(token) = self.exchange.token(token) else { continue };
            if self.client(slot).is_some_and(|client| client.tokens.remove(&token)) {
                self.exchange.unsubscribe(slot, token);
            }
        }
    }

    /// Subscribes the valid tokens; returns the new ones.
    fn add(&mut self, slot: usize, tokens: &[Cow<'_, str>]) -> Vec<TokenIndex> {
        let mut added = Vec::new();
        for token in tokens {
            let Some(token) = self.exchange.token(token) else { continue };
            if self.exchange.subscribe(slot, token) {
                added.push(token);
            }
        }
        if let Some(client) = self.client(slot) {
            client.tokens.extend(&added);
        }
        added
    }

    /// Sends one array with the books of `tokens`.
    fn dump(&mut self, slot: usize, tokens: &[TokenIndex]) {
        let DumpFaults { tokens_max, lost_percent } = self.faults;
        let Some(client) = self.client(slot) else { return };
        client.seen.extend(tokens);
        if client.tokens.len() > tokens_max || client.frozen {
            self.counters.lost_books.add(tokens.len() as u64);
            return;
        }
        let (mut out, mut scratch) = (vec![b'['], Vec::new());
        for &token in tokens {
            if self.random.chance(lost_percent, 100) {
                self.counters.lost_books.add(1);
                continue;
            }
            if out.len() > 1 {
                out.push(b',');
            }
            let market = &self.exchange.markets[token.market()];
            message::push_dump(&mut out, &mut scratch, market, token.outcome());
            self.counters.dumped_books.add(1);
        }
        out.push(b']');
        self.reply(slot, Opcode::Text, &out);
    }

    fn client(&mut self, slot: usize) -> Option<&mut super::connection::Client> {
        self.connections.get(slot)?.client.as_deref_mut()
    }

    fn reply(&mut self, slot: usize, opcode: Opcode, payload: &[u8]) {
        let mut frame = Vec::with_capacity(payload.len() + 10);
        push_frame(&mut frame, opcode, payload);
        self.connections.append(slot, &frame, 1);
    }

    fn close(&mut self, slot: usize, code: u16, reason: &str) {
        let mut frame = Vec::new();
        push_close(&mut frame, code, reason);
        self.connections.append(slot, &frame, 1);
        self.finish(slot);
    }

    fn finish(&mut self, slot: usize) {
        if let Some(connection) = self.connections.get(slot) {
            connection.closing = true;
        }
        self.connections.mark(slot);
    }
}
