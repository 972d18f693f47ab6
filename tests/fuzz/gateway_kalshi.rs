//! Whole conversations with the gateway's Kalshi session: the engine's own client, and clients at random.

use crate::seed;
use crate::target::gateway_kalshi::{Client, Hub, Wanted, converse, market};
use ringbook::base::id::TokenId;
use ringbook::base::random::Random;
use ringbook::gateway::kalshi::Options;
use ringbook::market::event::Event;
use ringbook::market::info::MarketUpdate;
use ringbook::venue::kalshi::decode::Decoder;
use ringbook::venue::{DecodeNotice, Envelope, Reply, Role, Sink, SubscriptionProtocol, Verdict};

const MARKETS: usize = 40;
const MILLISECOND_NS: u64 = 1_000_000;

/// The engine's client: its state machine of subscriptions, and books.
struct Engine {
    protocol: Box<dyn SubscriptionProtocol>,
    client: Client,
    now_ns: u64,
}

impl Sink for Engine {
    fn on_envelope(&mut self, envelope: &Envelope) -> bool {
        assert_eq!(self.protocol.on_envelope(envelope), Verdict::Next, "{envelope:?}");
        self.client.on_envelope(envelope)
    }
    fn on_lost(&mut self) {
        panic!("a message without market or number");
    }
    fn on_reply(&mut self, reply: &Reply<'_>) -> bool {
        self.client.on_reply(reply);
        self.protocol.on_reply(reply, self.now_ns)
    }
    fn on_event(&mut self, event: &Event<'_>) {
        self.protocol.on_data(self.now_ns);
        self.client.on_event(event);
    }
    fn on_market_update(&mut self, update: MarketUpdate) {
        self.client.on_market_update(update);
    }
    fn on_decode_notice(&mut self, notice: &DecodeNotice<'_>) {
        self.client.on_decode_notice(notice);
    }
}

/// The engine follows books of the gateway, whatever is added, removed, requested and left out.
#[test]
fn the_engine_follows_the_gateway_as_it_follows_the_venue() {
    let mut random = Random::new(seed());
    let mut hub = Hub::new(Options::default(), MARKETS);
    let mut wanted: Vec<TokenId> = (0..MARKETS / 2).map(market).collect();
    let protocol = ringbook::venue::kalshi::feed(false).subscription(Role::Books);
    let mut engine = Engine { protocol, client: Client::default(), now_ns: 1 };
    engine.protocol.begin(&wanted, engine.now_ns);
    let mut decoder = Decoder::default();
    for _ in 0..4_000 {
        engine.now_ns += MILLISECOND_NS;
        engine.protocol.handle_timeout(engine.now_ns);
        assert_eq!(engine.protocol.poll_action(engine.now_ns, &wanted), None);
        let token = market(random.below(MARKETS as u64) as usize);
        match (random.below(50), wanted.iter().position(|t| *t == token)) {
            (0, None) => {
                wanted.push(token);
                engine.protocol.add(&[token]);
            }
            (0, Some(place)) => {
                wanted.swap_remove(place);
                engine.protocol.delete(&[token]);
            }
            (1, Some(_)) => _ = engine.protocol.ask(&[token]),
            _ => {}
        }
        let mut frames = hub.step(&mut random);
        while let Some(command) = engine.protocol.poll(engine.now_ns) {
            frames.extend(hub.command(&command));
        }
        for frame in frames {
            assert_eq!(decoder.decode(&frame, &mut engine), 1, "{frame}");
        }
        Wanted::new(wanted.iter().copied()).compare(&hub, &engine.client);
    }
    let counts = engine.protocol.counts();
    let faults = [counts.errors, counts.retries, counts.timeouts, counts.refused, counts.holes];
    assert_eq!((faults, counts.duplicates), ([0; 5], 0));
    assert!(counts.commands > 100 && engine.client.messages > 500, "{counts:?}");
}

/// A command that is mostly right.
fn command(random: &mut Random) -> String {
    let some = |random: &mut Random, list: &[&'static str]| {
        let mut one = || list[random.below(list.len() as u64) as usize];
        (one(), one())
    };
    let (a, b) = some(random, &["M-0", "M-1", "M-2", "M-3", "X-1", "Y.5", "\\u0041", ""]);
    let tickers = match random.below(4) {
        0 => format!(r#""market_ticker":"{a}""#),
        1 => String::from(r#""market_tickers":[]"#),
        _ => format!(r#""market_tickers":["{a}","{b}"]"#),
    };
    let channels = ["orderbook_delta", "ticker", "trade", "market_lifecycle_v2", "fill"];
    let (a, b) = some(random, &channels);
    let channels = format!(r#""channels":["{a}","{b}"]"#);
    let (flag, _) = some(random, &["use_yes_price", "skip_ticker_ack", "send_initial_snapshot"]);
    let flag = format!(r#""{flag}":{}"#, random.chance(1, 3));
    let sid = 1 + random.below(6);
    let sids =
        if random.chance(1, 2) { format!(r#""sid":{sid}"#) } else { format!(r#""sids":[{sid}]"#) };
    let (action, _) =
        some(random, &["add_markets", "delete_markets", "get_snapshot", "get_snapshot", "run"]);
    let id = random.below(1_000);
    match random.below(10) {
        0..4 => {
            format!(r#"{{"id":{id},"cmd":"subscribe","params":{{{channels},{tickers},{flag}}}}}"#)
        }
        4..8 => format!(
            r#"{{"id":{id},"cmd":"update_subscription","params":{{{sids},{tickers},"action":"{action}"}}}}"#
        ),
        8 => format!(r#"{{"id":{id},"cmd":"unsubscribe","params":{{"sids":[{sid}]}}}}"#),
        _ => format!(r#"{{"id":{id},"cmd":"list_subscriptions"}}"#),
    }
}

/// Conversations of 50 messages, one message in ten with a changed byte.
fn random_messages(count: usize) {
    let mut random = Random::new(seed());
    for _ in 0..count / 50 {
        let mut messages: Vec<String> = (0..50).map(|_| command(&mut random)).collect();
        for message in &mut messages {
            if random.chance(1, 10) {
                let mut bytes = std::mem::take(message).into_bytes();
                let place = random.below(bytes.len() as u64) as usize;
                bytes[place] = random.below(128) as u8;
                *message = String::from_utf8(bytes).expect("ASCII");
            }
        }
        let options = Options { clear_stale: random.chance(1, 2) };
        converse(options, messages.iter().map(String::as_str));
    }
}

#[test]
fn random_messages_of_clients_are_answered() {
    random_messages(5_000);
}

#[test]
#[ignore = "takes ten seconds"]
fn many_random_messages_of_clients_are_answered() {
    random_messages(200_000);
}
