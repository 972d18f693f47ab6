//! Faults of clients that are chosen at random: data stops, invalid frames are sent.
//!
//! Runs on:  the venue's thread.
use super::connection::Client;
use super::connections::Connections;
use super::exchange::{Exchange, TokenIndex};
use super::fault::{push_malformed, push_unknown};
use super::stats::Counters;
use super::steering::Amount;
use crate::base::random::Random;

pub(super) struct ClientFaults<'a> {
    pub(super) exchange: &'a mut Exchange,
    pub(super) connections: &'a mut Connections,
    pub(super) counters: &'a Counters,
    pub(super) random: &'a mut Random,
    /// Invalid frames sent.
    pub(super) sent: &'a mut u64,
}

impl ClientFaults<'_> {
    fn client(&mut self, slot: usize) -> Option<&mut Client> {
        self.connections.get(slot)?.client.as_deref_mut()
    }

    /// A random choice of upgraded connections.
    pub(super) fn choose(
        &mut self,
        amount: Amount,
        admits: impl Fn(&Client) -> bool,
    ) -> Vec<usize> {
        let mut slots = self.connections.clients();
        slots.retain(|&slot| self.client(slot).is_some_and(|client| admits(client)));
        let count = amount.of(slots.len());
        for at in 0..count {
            let other = at + self.random.below((slots.len() - at) as u64) as usize;
            slots.swap(at, other);
        }
        slots.truncate(count);
        slots
    }

    /// Stops the data of clients; pings are answered.
    pub(super) fn freeze(&mut self, amount: Amount) -> u64 {
        let slots = self.choose(amount, |client| !client.frozen);
        for &slot in &slots {
            if let Some(client) = self.client(slot) {
                client.frozen = true;
            }
        }
        self.counters.frozen.add(slots.len() as u64);
        slots.len() as u64
    }

    pub(super) fn freeze_markets(&mut self, wanted: u64) -> u64 {
        let mut frozen = 0;
        for _ in 0..wanted {
            let slots = self.choose(Amount::Some(1), |client| !client.tokens.is_empty());
            let Some(&slot) = slots.first() else { break };
            let Some(client) = self.client(slot) else { break };
            let mut tokens: Vec<TokenIndex> = client.tokens.iter().copied().collect();
            tokens.sort_unstable();
            let market = tokens[self.random.below(tokens.len() as u64) as usize].market();
            tokens.retain(|token| token.market() == market);
            for token in tokens {
                self.exchange.unsubscribe(slot, token);
            }
            frozen += 1;
        }
        self.counters.frozen_markets.add(frozen);
        frozen
    }

    /// Sends additional frames to random subscribed connections.
    pub(super) fn send(&mut self, wanted: u64, unknown: bool) -> u64 {
        let slots = self.choose(Amount::All, |client| client.subscribed && !client.frozen);
        if slots.is_empty() {
            return 0;
        }
        for _ in 0..wanted {
            let slot = slots[self.random.below(slots.len() as u64) as usize];
            // Preferably about a subscribed market.
            let tokens = self.client(slot).map(|client| &client.tokens).into_iter().flatten();
            let mut listened: Vec<usize> = tokens.map(|token| token.market()).collect();
            listened.retain(|&market| self.exchange.markets[market].has_book());
            listened.sort_unstable();
            let at = self.random.below(listened.len() as u64) as usize;
            let market = &self.exchange.markets[listened.get(at).copied().unwrap_or(0)];
            let mut frame = Vec::new();
            if unknown {
                push_unknown(&mut frame, &mut Vec::new(), market, *self.sent);
                self.counters.unknown.add(1);
            } else {
                push_malformed(&mut frame, market, *self.sent);
                self.counters.malformed.add(1);
            }
            *self.sent += 1;
            self.connections.append(slot, &frame, 1);
        }
        wanted
    }
}
