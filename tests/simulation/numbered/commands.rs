//! What the numbered venue does with commands.
//!
//! Runs on:  the simulation's thread.
use super::fault::{Fault, Faults};
use super::line::{Channel, Line, Task};
use super::reading::{Effect, What};
use super::venue::{Time, Venue};
use ringbook::base::random::Random;
use ringbook::base::time::MILLISECOND_NS;
use serde_json::Value;

impl Line {
    /// A command comes in, and is carried out a little later.
    pub(super) fn hear(
        &mut self,
        command: Value,
        ns: u64,
        faults: &mut Faults,
        random: &mut Random,
    ) {
        self.commands += 1;
        if faults.strikes(Fault::LostCommand, random) {
            return;
        }
        let behind_ns = self.tasks.iter().map(|(due_ns, _)| *due_ns).max().unwrap_or(0);
        let mut due_ns = behind_ns.max(ns + random.below(20) * MILLISECOND_NS);
        if faults.strikes(Fault::Overtaken, random) {
            due_ns += random.below(200) * MILLISECOND_NS;
            // Those that come behind do not wait for it.
            self.tasks.insert(0, (due_ns, Task::Command(command)));
            return;
        }
        if faults.possible(Fault::Overtaken) {
            due_ns = ns + random.below(20) * MILLISECOND_NS;
        }
        self.tasks.push((due_ns, Task::Command(command)));
    }
}

/// A command that names markets.
#[derive(Clone, Copy)]
struct Named<'a> {
    place: usize,
    id: u64,
    wanted: &'a [&'a str],
    now: Time,
}

fn tickers(params: &Value) -> Vec<&str> {
    let one = params["market_ticker"].as_str();
    let many = params["market_tickers"].as_array();
    one.into_iter().chain(many.into_iter().flatten().map(|t| t.as_str().unwrap())).collect()
}

impl Venue {
    /// Carries out what is due on one connection.
    pub(super) fn work(&mut self, place: usize, now: Time, random: &mut Random) {
        let line = &mut self.lines[place];
        if line.frozen || line.half_open {
            return;
        }
        let (mut due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut line.tasks).into_iter().partition(|(at_ns, _)| *at_ns <= now.ns);
        line.tasks = later;
        due.sort_by_key(|(at_ns, _)| *at_ns);
        for (_, task) in due {
            match task {
                Task::Command(command) => self.run_command(place, &command, now, random),
                Task::Ok(id) => self.send_ok(place, id, now, random),
            }
        }
    }

    fn run_command(&mut self, place: usize, command: &Value, now: Time, random: &mut Random) {
        let id = command["id"].as_u64().expect("a command has an id");
        let params = &command["params"];
        match command["cmd"].as_str() {
            Some("subscribe") => self.subscribe(place, id, params, now, random),
            Some("update_subscription") => self.update(place, id, params, now, random),
            Some("list_subscriptions") => {
                let line = &mut self.lines[place];
                let all = line.subscriptions.iter().map(|(channel, (sid, _))| {
                    format!(r#"{{"channel":"{}","sid":{sid}}}"#, channel.name())
                });
                let all: Vec<String> = all.collect();
                let text = format!(r#"{{"id":{id},"type":"ok","msg":[{}]}}"#, all.join(","));
                line.text(now.ns, &text);
            }
            _ => self.violations.push(format!("an unknown command: {command}")),
        }
    }

    fn send_ok(&mut self, place: usize, id: u64, now: Time, random: &mut Random) {
        let sending = self.sending(now);
        let Self { lines, faults, .. } = self;
        let head = format!(r#""id":{id},"#);
        let channel = lines[place].subscriptions.keys().next().copied();
        if let Some(channel) = channel {
            let text = ("ok", head.as_str(), "");
            lines[place].number(channel, text, What::Other, (now.ns, &sending), faults, random);
        }
    }

    /// The acknowledgement of a command, unless it comes late or never.
    fn acknowledge(&mut self, place: usize, id: u64, now: Time, random: &mut Random) {
        if self.faults.strikes(Fault::LostAck, random) {
            return;
        }
        if self.faults.strikes(Fault::LateAck, random) {
            let due_ns = now.ns + random.below(9_000) * MILLISECOND_NS;
            return self.lines[place].tasks.push((due_ns, Task::Ok(id)));
        }
        self.send_ok(place, id, now, random);
    }

    fn error(&mut self, place: usize, id: u64, code: u64, now: Time, random: &mut Random) {
        let sending = self.sending(now);
        let Self { lines, faults, habits, .. } = self;
        let line = &mut lines[place];
        let channel = line.subscriptions.keys().next().copied();
        let body = format!(r#""code":{code},"msg":"no {code}""#);
        // What is not known has no number.
        if let (Some(channel), true) = (channel, habits.numbers_errors && code != 7) {
            let head = format!(r#""id":{id},"#);
            let text = ("error", head.as_str(), body.as_str());
            return line.number(channel, text, What::Other, (now.ns, &sending), faults, random);
        }
        line.text(now.ns, &format!(r#"{{"id":{id},"type":"error","msg":{{{body}}}}}"#));
    }

    /// The venue has no time for this command.
    fn is_busy(&mut self, place: usize, id: u64, now: Time, random: &mut Random) -> bool {
        let busy = self.faults.strikes(Fault::Busy, random);
        if busy {
            let code = if random.chance(1, 2) { 18 } else { 27 };
            self.error(place, id, code, now, random);
        }
        busy
    }

    fn subscribe(&mut self, place: usize, id: u64, params: &Value, now: Time, random: &mut Random) {
        let name = params["channels"][0].as_str();
        let channel = Channel::ALL.into_iter().find(|channel| Some(channel.name()) == name);
        let Some(channel) = channel else {
            return self.violations.push(format!("an unknown channel: {params}"));
        };
        if channel == Channel::Books && params["use_yes_price"] != Value::Bool(false) {
            self.violations.push("use_yes_price is missing".into());
        }
        let wanted = tickers(params);
        if (channel == Channel::Books) == wanted.is_empty() {
            self.violations.push(format!("tickers where there are none, or none: {params}"));
        }
        let named = Named { place, id, wanted: &wanted, now };
        if self.is_busy(place, id, now, random)
            || self.has_unknown(named, random)
            || self.is_full(named, random)
        {
            return;
        }
        let (sid, new) = self.lines[place].subscribe(channel);
        if new {
            if !self.faults.strikes(Fault::LostAck, random) {
                let text = format!(
                    r#"{{"type":"subscribed","id":{id},"msg":{{"channel":"{}","sid":{sid}}}}}"#,
                    channel.name()
                );
                self.lines[place].text(now.ns, &text);
            }
        } else {
            self.acknowledge(place, id, now, random);
        }
        self.add(place, &wanted, now, random);
    }

    /// One of the markets is not known yet: none is changed.
    fn has_unknown(&mut self, named: Named<'_>, random: &mut Random) -> bool {
        let Named { place, id, wanted, now } = named;
        let is_unknown = |ticker: &&str| self.markets[self.by_ticker[*ticker]].known_ms > now.ms;
        let has = wanted.iter().any(is_unknown);
        if has {
            self.error(place, id, 16, now, random);
        }
        has
    }

    fn is_full(&mut self, named: Named<'_>, random: &mut Random) -> bool {
        let Named { place, id, wanted, now } = named;
        let has = &self.lines[place].markets;
        let new = wanted.iter().filter(|ticker| !has.contains(&self.by_ticker[**ticker])).count();
        let full = new > 0 && has.len() + new > self.habits.cap;
        if full {
            self.faults.note(Fault::Full);
            self.error(place, id, 26, now, random);
        }
        full
    }

    /// Those that are new get a snapshot.
    fn add(&mut self, place: usize, wanted: &[&str], now: Time, random: &mut Random) {
        for ticker in wanted {
            let market = self.by_ticker[*ticker];
            let new = self.lines[place].markets.insert(market);
            if new && !self.faults.strikes(Fault::LostSnapshot, random) {
                self.snapshot(place, market, "", now, random);
            }
        }
    }

    fn update(&mut self, place: usize, id: u64, params: &Value, now: Time, random: &mut Random) {
        let wanted = tickers(params);
        let sid = params["sids"][0].as_u64();
        if wanted.is_empty() || sid.is_none() {
            return self.violations.push(format!("an update of nothing: {params}"));
        }
        if sid != self.lines[place].sid(Channel::Books) {
            return self.error(place, id, 7, now, random);
        }
        let named = Named { place, id, wanted: &wanted, now };
        if self.is_busy(place, id, now, random) || self.has_unknown(named, random) {
            return;
        }
        match params["action"].as_str() {
            Some("add_markets") => {
                if !self.is_full(named, random) {
                    self.acknowledge(place, id, now, random);
                    self.add(place, &wanted, now, random);
                }
            }
            Some("delete_markets") => {
                let markets: Vec<usize> = wanted.iter().map(|t| self.by_ticker[*t]).collect();
                let line = &mut self.lines[place];
                markets.iter().for_each(|market| _ = line.markets.remove(market));
                line.mark(now.ns, Effect::Dropped(markets));
                self.acknowledge(place, id, now, random);
            }
            Some("get_snapshot") => self.answer_snapshots(named, random),
            _ => self.violations.push(format!("an unknown action: {params}")),
        }
    }

    fn answer_snapshots(&mut self, named: Named<'_>, random: &mut Random) {
        let Named { place, id, wanted, now } = named;
        if self.habits.oks_first {
            self.acknowledge(place, id, now, random);
        }
        let head = format!(r#""id":{id},"#);
        for (nth, ticker) in wanted.iter().enumerate() {
            let named = nth == 0 || self.habits.names_each;
            if !self.faults.strikes(Fault::LostSnapshot, random) {
                let market = self.by_ticker[*ticker];
                self.snapshot(place, market, if named { &head } else { "" }, now, random);
            }
        }
    }
}
