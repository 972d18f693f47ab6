//! Messages of the clients of the market channel, well-formed and hostile.
use super::*;
use crate::base::random::Random;

fn token(text: &str) -> TokenId {
    TokenId::new(text).unwrap()
}

fn subscribe(ids: &[&str]) -> Vec<Request> {
    ids.iter().map(|id| Request::Subscribe(token(id))).collect()
}

fn read(session: &mut Session, text: &str) -> Vec<Request> {
    let mut out = Vec::new();
    session.on_text(text, &mut out);
    out
}

fn subscribed() -> Session {
    let mut session = Session::new(false);
    let first = r#"{"type":"market","assets_ids":["1"]}"#;
    assert_eq!(read(&mut session, first), subscribe(&["1"]));
    session
}

#[test]
fn the_first_message_of_each_client_subscribes() {
    for (text, ids, custom, dump) in [
        // The documentation.
        (
            r#"{"assets_ids":["1","22"],"type":"market","initial_dump":false,"level":2,"custom_feature_enabled":true}"#,
            &["1", "22"][..],
            true,
            false,
        ),
        // polymarket-client 0.14.0.
        (
            r#"{"type": "market", "assets_ids": ["1"], "custom_feature_enabled": false}"#,
            &["1"],
            false,
            true,
        ),
        // polymarket_client_sdk_v2 0.9.
        (
            r#"{"type":"market","operation":"subscribe","markets":[],"assets_ids":["1","1"],"initial_dump":true}"#,
            &["1"],
            false,
            true,
        ),
        // Older clients, and discovery of markets only.
        (r#"{"type":"MARKET","assets_ids":["1"],"auth":{"a":[{}]}}"#, &["1"], false, true),
        (r#"{"assets_ids":[],"custom_feature_enabled":true,"type":"market"}"#, &[], true, true),
    ] {
        let mut session = Session::new(true);
        let empty = vec![Request::Send("[]".to_owned())];
        let wanted = if ids.is_empty() { empty } else { subscribe(ids) };
        assert_eq!(read(&mut session, text), wanted, "{text}");
        assert!(session.subscribed() && session.wants_state());
        assert_eq!((session.custom(), session.wants_dump()), (custom, dump), "{text}");
    }
}

#[test]
fn without_a_valid_first_message_the_connection_is_closed_as_by_the_venue() {
    for text in [
        "PING",
        "",
        "x",
        "[]",
        "{}",
        r#"{"type":"market"}"#,
        r#"{"assets_ids":["1"]}"#,
        r#"{"type":"user","assets_ids":["1"]}"#,
        r#"{"type":"market","assets_ids":[1]}"#,
        r#"{"type":"market","assets_ids":["a b"]}"#,
        r#"{"type":"market","assets_ids":["1"],"initial_dump":"yes"}"#,
        r#"{"type":"market","operation":"unsubscribe","assets_ids":["1"]}"#,
        r#"{"operation":"subscribe","assets_ids":["1"]}"#,
        r#"{"type":"market","assets_ids":["1"]}{}"#,
    ] {
        let mut session = Session::new(false);
        let close = [Request::Close(1008, "invalid subscription payload")];
        assert_eq!(read(&mut session, text), close, "{text}");
        assert!(!session.subscribed());
        let late = r#"{"type":"market","assets_ids":["1"]}"#;
        assert_eq!(read(&mut session, late), [], "nothing is read after the close");
    }
}

#[test]
fn later_messages_change_the_subscription() {
    let mut session = subscribed();
    assert_eq!(read(&mut session, "PING"), [Request::Send("PONG".into())]);
    let more = r#"{"operation":"subscribe","assets_ids":["2","3"],"custom_feature_enabled":true,"initial_dump":false}"#;
    assert_eq!(read(&mut session, more), subscribe(&["2", "3"]));
    assert!(session.custom() && !session.wants_dump());
    // The Rust SDK repeats the type.
    let again = r#"{"type":"market","operation":"subscribe","markets":[],"assets_ids":["4"]}"#;
    assert_eq!(read(&mut session, again), subscribe(&["4"]));
    assert!(
        session.custom() && session.wants_dump(),
        "an absent option stays; the dump is the default"
    );
    // An active token with the option toggles it.
    let toggle = r#"{"operation":"subscribe","assets_ids":["2"],"custom_feature_enabled":false}"#;
    assert_eq!(read(&mut session, toggle), [Request::Send("NO NEW ASSETS".into())]);
    assert!(!session.custom());
    let fewer = r#"{"operation":"unsubscribe","assets_ids":["2","2","77"]}"#;
    assert_eq!(read(&mut session, fewer), [Request::Unsubscribe(token("2"))]);
    assert!(session.tokens.contains(&token("3")) && !session.tokens.contains(&token("2")));
    assert_eq!(read(&mut session, toggle), subscribe(&["2"]), "again, after it was left");
}

#[test]
fn later_messages_that_are_none() {
    for text in [
        r#"{"type":"market","assets_ids":["1"],"initial_dump":true}"#,
        r#"{"operation":"resubscribe","assets_ids":["1"]}"#,
        "{}",
    ] {
        let answer = [Request::Send("INVALID OPERATION".into())];
        assert_eq!(read(&mut subscribed(), text), answer, "{text}");
    }
    let missing = read(&mut subscribed(), r#"{"operation":"subscribe"}"#);
    assert_eq!(missing, [Request::Close(1008, "assets_ids is missing")]);
    for text in ["ping", "[]", "{", r#"{"operation":"subscribe","assets_ids":["\""]}"#] {
        let closed = read(&mut subscribed(), text);
        assert!(matches!(closed[..], [Request::Close(1008, _)]), "{text}: {closed:?}");
    }
}

#[test]
fn any_number_of_tokens_up_to_the_bound() {
    let message = |count: usize| {
        let ids: Vec<String> = (0..count).map(|id| format!("\"{id}\"")).collect();
        format!(r#"{{"type":"market","assets_ids":[{}]}}"#, ids.join(","))
    };
    assert_eq!(read(&mut Session::new(false), &message(16_000)).len(), 16_000);
    let mut session = Session::new(false);
    assert_eq!(read(&mut session, &message(TOKENS_MAX)).len(), TOKENS_MAX);
    let one_more = r#"{"operation":"subscribe","assets_ids":["x"]}"#;
    assert_eq!(read(&mut session, one_more), [Request::Close(1008, TOO_MANY)]);
    let beyond = read(&mut Session::new(false), &message(TOKENS_MAX + 1));
    assert_eq!(beyond, [Request::Close(1008, INVALID_SUBSCRIPTION)]);
}

/// Messages that random ones begin as.
const SEEDS: &[&str] = &[
    "PING",
    r#"{"type":"market","assets_ids":["1","2"],"initial_dump":true,"custom_feature_enabled":true}"#,
    r#"{"operation":"subscribe","assets_ids":["1","22"],"custom_feature_enabled":false}"#,
    r#"{"type":"market","operation":"subscribe","markets":[],"assets_ids":["4"],"initial_dump":true}"#,
    r#"{"operation":"unsubscribe","assets_ids":["1","2","3"]}"#,
];

/// Parts that are put into them.
const PARTS: &[&str] = &[
    "",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0031",
    "\\ud800",
    "null",
    "true",
    "1e999",
    "-",
    "type",
    "market",
    "operation",
    "subscribe",
    "unsubscribe",
    "assets_ids",
    "[\"1\",\"2\"]",
    ",\"7\"",
    "initial_dump",
    "custom_feature_enabled",
    "PING",
    "\u{0}",
    "é",
    " ",
    "\"a\":[{}],",
    "[[[[[[[[[[[[[[[[[",
    "1234567890123456789012345678901234567890123456789012345678901234567890123456789",
];

/// Messages of a slice of [`hostile_messages_in_full`].
const SLICE: u64 = 5_000;

/// A place between two characters.
fn place(random: &mut Random, text: &str) -> usize {
    let mut place = random.below(text.len() as u64 + 1) as usize;
    while !text.is_char_boundary(place) {
        place -= 1;
    }
    place
}

fn hostile(seed: u64, messages: u64) {
    let mut random = Random::new(seed);
    let pick =
        |random: &mut Random, from: &[&'static str]| from[random.below(from.len() as u64) as usize];
    let mut session = Session::new(false);
    let mut behaviours = HashSet::new();
    for _ in 0..messages {
        let mut text = pick(&mut random, SEEDS).to_owned();
        for _ in 0..random.below(4) {
            let (a, b) = (place(&mut random, &text), place(&mut random, &text));
            let end = if random.chance(1, 2) { a } else { a.max(b.min(a + 8)) };
            let end = (a..=end).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(a);
            text.replace_range(a..end, pick(&mut random, PARTS));
        }
        let mut out = Vec::new();
        session.on_text(&text, &mut out);
        // An id takes at least three bytes, two quotes among them.
        assert!(out.len() <= 1 + text.len() / 3, "{text}");
        assert!(out.iter().filter(|r| matches!(r, Request::Close(..))).count() <= 1, "{text}");
        behaviours.extend(out.first().map(std::mem::discriminant));
        if session.closed || random.chance(1, 64) {
            session = if random.chance(1, 4) { Session::new(false) } else { subscribed() };
        }
    }
    assert_eq!(behaviours.len(), 4, "each kind of request: {behaviours:?}");
}

#[test]
fn hostile_messages_end_in_an_answer_or_a_close() {
    hostile(1, SLICE);
}

#[test]
#[ignore = "200,000 messages"]
fn hostile_messages_in_full() {
    hostile(2, 200_000);
}

#[test]
fn deep_nesting_ends_in_a_close() {
    for unit in ["[", "{\"a\":", "[{\"a\":"] {
        let deep = format!(r#"{{"type":"market","x":{}"#, unit.repeat(200_000));
        let close = [Request::Close(1008, INVALID_SUBSCRIPTION)];
        assert_eq!(read(&mut Session::new(false), &deep), close);
    }
}
