//! Executes client commands (kalshi/protocol.md, 2). A refused command changes nothing.
//!
//! Runs on:  the venue's thread (pure: texts in, texts out).
use super::allowance::Allowance;
use super::command::{
    self, Action, BOOKS, CHANNELS, Command, Names, Refusal, Subscribe, TICKERS, has_markets,
};
use super::config::YesPrice;
use super::exchange::Exchange;
use super::messages;
use super::session::{Sessions, Slot, Subscription};

/// A command with its markets resolved.
struct Request {
    id: Option<u64>,
    /// `None` is all markets.
    markets: Option<Vec<u32>>,
    by_id: bool,
    skip_ticker_ack: Option<bool>,
    yes_price: bool,
    /// Send tickers at once.
    initial: bool,
}

impl Sessions {
    /// Handles one command of a client, `now_ms` after the venue's start.
    pub(super) fn on_text(&mut self, slot: Slot, text: &str, exchange: &Exchange, now_ms: u64) {
        self.count("commands");
        let (id, command) = command::parse(text);
        let result = self.admit(slot, now_ms).and(command).and_then(|command| match command {
            Command::Subscribe(request) => self.subscribe(slot, id, request, exchange, now_ms),
            Command::Unsubscribe(sids) => self.unsubscribe(slot, id, &sids, now_ms),
            Command::Update { sid, action, names } => {
                let place = self.named(slot, sid, now_ms)?;
                self.update(slot, id, place, (action, &names), exchange)
            }
            Command::List => {
                self.list(slot, id);
                Ok(())
            }
        });
        if let Err(refusal) = result {
            self.refuse(slot, id, &refusal);
        }
    }

    /// Applies the command rate limits.
    fn admit(&mut self, slot: Slot, now_ms: u64) -> Result<(), Refusal> {
        let own = self.sessions.get_mut(&slot).and_then(|session| session.allowance.as_mut());
        let within_limit = own.or(self.allowance.as_mut()).is_none_or(|a| a.take(now_ms, 1.0));
        if !within_limit || self.faults.due_anywhere("error-27").is_some() {
            return Err(Refusal::new(27));
        }
        match self.faults.due_anywhere("error-18") {
            Some(_) => Err(Refusal::new(18)),
            None => Ok(()),
        }
    }

    /// The subscription named in a command, within its rate limit.
    fn named(&mut self, slot: Slot, sid: u64, now_ms: u64) -> Result<usize, Refusal> {
        let session = self.sessions.get_mut(&slot).ok_or(Refusal::new(7))?;
        let place = session.place_of_sid(sid).ok_or(Refusal::new(7))?;
        let allowance = session.subscriptions[place].allowance.as_mut();
        match allowance.is_none_or(|allowance| allowance.take(now_ms, 1.0)) {
            true => Ok(place),
            false => Err(Refusal::new(27)),
        }
    }

    fn subscribe(
        &mut self,
        slot: Slot,
        id: Option<u64>,
        asked: Subscribe,
        exchange: &Exchange,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let by_id = asked.names.as_ref().is_some_and(Names::is_ids);
        let markets = asked.names.as_ref().map(|names| find(names, exchange)).transpose()?;
        self.check_room(slot, &asked.channels, markets.as_deref(), exchange)?;
        let sids = self.sessions.get(&slot).map_or(Vec::new(), |session| {
            let known = session.subscriptions.iter();
            known.filter(|s| asked.channels.contains(&s.channel)).map(|s| s.sid).collect()
        });
        for sid in sids {
            self.named(slot, sid, now_ms)?;
        }
        let yes_price = match exchange.config.yes_price {
            YesPrice::Off => asked.use_yes_price.unwrap_or(false),
            YesPrice::On => asked.use_yes_price.unwrap_or(true),
            YesPrice::Always => true,
        };
        let request = Request {
            id,
            markets,
            by_id,
            skip_ticker_ack: asked.skip_ticker_ack,
            yes_price,
            initial: asked.send_initial_snapshot,
        };
        for channel in asked.channels {
            self.subscribe_to(slot, channel, &request, exchange);
        }
        Ok(())
    }

    /// Checks the market limits of each channel and of the session.
    fn check_room(
        &self,
        slot: Slot,
        channels: &[usize],
        markets: Option<&[u32]>,
        exchange: &Exchange,
    ) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get(&slot) else { return Ok(()) };
        let mut all = session.markets();
        for &channel in channels.iter().filter(|&&channel| has_markets(channel)) {
            let place = session.place_of_channel(channel);
            let held = place.map(|place| &session.subscriptions[place].markets);
            let (held, new) = match (held, markets) {
                // A subscription to all markets counts as zero.
                (Some(None), _) | (_, None) => (0, 0),
                (None, Some(markets)) => (0, markets.len()),
                (Some(Some(held)), Some(markets)) => {
                    (held.len(), markets.iter().filter(|market| !held.contains(market)).count())
                }
            };
            all += new;
            let most = exchange.config.markets_per_subscription_max;
            if new > 0 && (held + new > most || all > exchange.config.markets_per_session_max) {
                return Err(Refusal::new(26));
            }
        }
        Ok(())
    }

    /// Executes a subscription that was checked.
    fn subscribe_to(&mut self, slot: Slot, channel: usize, request: &Request, exchange: &Exchange) {
        let Some(session) = self.sessions.get_mut(&slot) else { return };
        if let Some(place) = session.place_of_channel(channel) {
            let subscription = &mut session.subscriptions[place];
            subscription.lists = request.skip_ticker_ack.map_or(subscription.lists, |skip| !skip);
            return self.add_markets(slot, place, request, exchange);
        }
        session.last_sid += 1;
        let sid = session.last_sid;
        session.subscriptions.push(Subscription {
            sid,
            channel,
            seq: 0,
            markets: request.markets.as_ref().map(|list| list.iter().copied().collect()),
            lists: !request.skip_ticker_ack.unwrap_or(false),
            by_id: request.by_id,
            yes_price: request.yes_price && channel == BOOKS,
            allowance: Allowance::of_commands(
                exchange.config.commands_per_second_of_subscription_max,
            ),
        });
        let place = session.subscriptions.len() - 1;
        let id = request.id.map_or(String::new(), |id| format!(r#","id":{id}"#));
        let name = CHANNELS[channel];
        self.answer(
            slot,
            format!(r#"{{"type":"subscribed"{id},"msg":{{"channel":"{name}","sid":{sid}}}}}"#),
        );
        let markets = request.markets.as_deref().unwrap_or_default();
        self.begin_with(slot, place, markets, request.initial, exchange);
    }

    /// Initial messages for markets added to a subscription.
    fn begin_with(
        &mut self,
        slot: Slot,
        place: usize,
        markets: &[u32],
        initial: bool,
        exchange: &Exchange,
    ) {
        let channel = self.sessions.get(&slot).map(|s| s.subscriptions[place].channel);
        for &market in markets {
            match channel {
                Some(BOOKS) => {
                    let slots = self.followers.entry(market).or_default();
                    if !slots.contains(&slot) {
                        slots.push(slot);
                    }
                    self.send_snapshot(slot, place, market, None, exchange);
                }
                Some(TICKERS) if initial => {
                    self.count("tickers");
                    let market = &exchange.markets[market as usize];
                    let body = messages::ticker(market, market.changed_ms);
                    self.send_data(slot, place, "ticker", None, &body);
                }
                _ => {}
            }
        }
    }

    fn add_markets(&mut self, slot: Slot, place: usize, request: &Request, exchange: &Exchange) {
        let Some(session) = self.sessions.get_mut(&slot) else { return };
        let subscription = &mut session.subscriptions[place];
        let mut new: Vec<u32> = request.markets.clone().unwrap_or_default();
        match &mut subscription.markets {
            Some(markets) => new.retain(|&market| markets.insert(market)),
            None => new.clear(),
        }
        self.send_ok(slot, place, request.id, exchange);
        self.begin_with(slot, place, &new, request.initial, exchange);
    }

    fn send_ok(&mut self, slot: Slot, place: usize, id: Option<u64>, exchange: &Exchange) {
        let Some(session) = self.sessions.get(&slot) else { return };
        let subscription = &session.subscriptions[place];
        let config = &exchange.config;
        let markets = subscription.markets.as_ref();
        let body = if let Some(markets) =
            markets.filter(|_| subscription.lists || config.ok_always_lists)
        {
            let by_id = subscription.by_id;
            let name = |&market: &u32| {
                let market = &exchange.markets[market as usize];
                messages::quoted(if by_id { &market.id } else { &market.ticker })
            };
            let mut names: Vec<String> = markets.iter().map(name).collect();
            names.sort_unstable();
            let key = if by_id { "market_ids" } else { "market_tickers" };
            Some(format!(r#"{{"{key}":[{}]}}"#, names.join(",")))
        } else {
            config.ok_empty_msg.then(|| "{}".to_owned())
        };
        self.send_answer(slot, place, "ok", id, body.as_deref());
    }

    fn update(
        &mut self,
        slot: Slot,
        id: Option<u64>,
        place: usize,
        (action, names): (Action, &Names),
        exchange: &Exchange,
    ) -> Result<(), Refusal> {
        let channel = self.sessions.get(&slot).map_or(BOOKS, |s| s.subscriptions[place].channel);
        if action == Action::Snapshot && channel != BOOKS {
            return Err(Refusal::new(13));
        }
        command::fit(channel, Some(names))?;
        let markets = find(names, exchange)?;
        match action {
            Action::Add { send_initial_snapshot: initial } => {
                self.check_room(slot, &[channel], Some(&markets), exchange)?;
                let request = Request {
                    id,
                    markets: Some(markets),
                    by_id: names.is_ids(),
                    skip_ticker_ack: None,
                    yes_price: false,
                    initial,
                };
                self.add_markets(slot, place, &request, exchange);
                Ok(())
            }
            Action::Delete => self.delete_markets(slot, id, place, &markets, exchange),
            Action::Snapshot => {
                if exchange.config.snapshot_ok_first {
                    self.send_ok(slot, place, id, exchange);
                }
                for (number, market) in markets.into_iter().enumerate() {
                    let bears = number == 0 || !exchange.config.snapshot_id_on_first;
                    self.send_snapshot(slot, place, market, id.filter(|_| bears), exchange);
                }
                Ok(())
            }
        }
    }

    fn delete_markets(
        &mut self,
        slot: Slot,
        id: Option<u64>,
        place: usize,
        markets: &[u32],
        exchange: &Exchange,
    ) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get_mut(&slot) else { return Ok(()) };
        let subscription = &mut session.subscriptions[place];
        // Markets cannot be removed from a subscription to all.
        let held = subscription.markets.as_mut().ok_or(Refusal::new(11))?;
        for market in markets {
            held.remove(market);
        }
        if subscription.channel == BOOKS {
            for market in markets {
                if let Some(slots) = self.followers.get_mut(market) {
                    slots.retain(|&other| other != slot);
                }
            }
        }
        self.send_ok(slot, place, id, exchange);
        Ok(())
    }

    /// One answer per subscription, or an error if one is unknown.
    fn unsubscribe(
        &mut self,
        slot: Slot,
        id: Option<u64>,
        sids: &[u64],
        now_ms: u64,
    ) -> Result<(), Refusal> {
        for &sid in sids {
            self.named(slot, sid, now_ms)?;
        }
        for &sid in sids {
            let place = self.sessions.get(&slot).and_then(|session| session.place_of_sid(sid));
            if let Some(place) = place {
                self.send_answer(slot, place, "unsubscribed", id, None);
                self.drop_subscription(slot, place);
            }
        }
        Ok(())
    }

    fn list(&mut self, slot: Slot, id: Option<u64>) {
        let Some(session) = self.sessions.get(&slot) else { return };
        let one = |s: &Subscription| {
            format!(r#"{{"channel":"{}","sid":{}}}"#, CHANNELS[s.channel], s.sid)
        };
        let all: Vec<String> = session.subscriptions.iter().map(one).collect();
        let id = id.map_or(String::new(), |id| format!(r#""id":{id},"#));
        self.answer(slot, format!(r#"{{{id}"type":"ok","msg":[{}]}}"#, all.join(",")));
    }
}

/// Resolves the markets of a command; an unknown one is an error.
fn find(names: &Names, exchange: &Exchange) -> Result<Vec<u32>, Refusal> {
    let (list, by_id) = match names {
        Names::Tickers(list) => (list, false),
        Names::Ids(list) => (list, true),
    };
    let place = |name: &String| {
        let found = if by_id { exchange.find_id(name) } else { exchange.find(name) };
        found.ok_or_else(|| Refusal { ticker: (!by_id).then(|| name.clone()), ..Refusal::new(11) })
    };
    list.iter().map(place).collect()
}
