//! Responses that are late, in another order, missing, or errors.
use super::*;
use crate::venue::BookContent;

const SECOND: u64 = SECOND_NS;

fn tokens(range: std::ops::Range<usize>) -> Vec<TokenId> {
    range.map(|number| TokenId::new(&format!("M-{number}")).unwrap()).collect()
}

/// A state machine that has begun with these tokens, at time 0.
fn begun(tokens: &[TokenId]) -> Subscriptions {
    let mut subscriptions = Subscriptions::new(Channel::Books);
    subscriptions.begin(tokens, 0);
    subscriptions
}

/// The same, subscribed (command 1, subscription 1).
fn acknowledged(tokens: &[TokenId]) -> Subscriptions {
    let mut subscriptions = begun(tokens);
    all(&mut subscriptions, 0);
    subscribed(&mut subscriptions, 1);
    subscriptions
}

/// The same, with every book.
fn live(tokens: &[TokenId]) -> Subscriptions {
    let mut subscriptions = acknowledged(tokens);
    snapshots(&mut subscriptions, tokens, None);
    subscriptions
}

fn all(subscriptions: &mut Subscriptions, now_ns: u64) -> Vec<String> {
    std::iter::from_fn(|| subscriptions.poll(now_ns)).collect()
}

fn snapshots(subscriptions: &mut Subscriptions, tokens: &[TokenId], id: Option<u64>) {
    for token in tokens {
        subscriptions.on_reply(&Reply::Snapshot { id, market: token.as_str() }, 1);
    }
}

fn subscribed(subscriptions: &mut Subscriptions, id: u64) {
    subscriptions.on_reply(&Reply::Subscribed { id: Some(id), sid: Some(1), channel: "" }, 1);
}

fn error(
    subscriptions: &mut Subscriptions,
    id: Option<u64>,
    sid: Option<u64>,
    code: u64,
    now_ns: u64,
) {
    subscriptions.on_reply(&Reply::Error { id, sid, code, text: "" }, now_ns);
}

#[test]
fn one_subscribe_is_awaited_before_anything_is_added() {
    let markets = tokens(0..600);
    let mut subscriptions = begun(&markets);
    let first = all(&mut subscriptions, 0);
    assert_eq!(first.len(), 1, "its response has the sid that the others need");
    assert!(first[0].starts_with(r#"{"id":1,"cmd":"subscribe""#), "{}", first[0]);
    subscribed(&mut subscriptions, 1);
    let more = all(&mut subscriptions, 1);
    assert_eq!(more.len(), 2, "600 markets in chunks of 256");
    assert!(more.iter().all(|text| text.contains(r#""sids":[1]"#) && text.contains("add_markets")));
    assert_eq!(subscriptions.outstanding.len(), 600);
    snapshots(&mut subscriptions, &markets, None);
    ok(&mut subscriptions, 3, 1);
    ok(&mut subscriptions, 2, 1);
    assert_eq!(
        (subscriptions.outstanding.len(), subscriptions.queue.pending.len()),
        (0, 0),
        "answers in any order"
    );
    subscriptions.handle_timeout(60 * SECOND);
    assert_eq!(all(&mut subscriptions, 60 * SECOND), Vec::<String>::new());
}

#[test]
fn channels_without_markets_subscribe_to_all() {
    let mut subscriptions = Subscriptions::new(Channel::Trades);
    subscriptions.begin(&[], 0);
    let text = subscriptions.poll(0).unwrap();
    assert!(text.contains(r#""channels":["trade"]"#) && !text.contains("market_tickers"), "{text}");
    assert_eq!(subscriptions.poll(0), None);
    subscribed(&mut subscriptions, 1);
    assert_eq!(subscriptions.poll(0), None);
    subscriptions.probe(None);
    assert!(subscriptions.poll(0).unwrap().contains("list_subscriptions"));
}

#[test]
fn a_gap_requests_every_snapshot_once() {
    let markets = tokens(0..300);
    let mut subscriptions = acknowledged(&markets);
    all(&mut subscriptions, 0);
    ok(&mut subscriptions, 2, 1);
    snapshots(&mut subscriptions, &markets, None);
    let envelope = |seq| Envelope { sid: Some(1), seq: Some(seq), ..Envelope::default() };
    assert_eq!(subscriptions.on_envelope(&envelope(1)), Verdict::Next);
    assert_eq!(subscriptions.on_envelope(&envelope(3)), Verdict::Hole(1));
    assert_eq!(subscriptions.on_envelope(&envelope(6)), Verdict::Hole(2));
    assert_eq!(subscriptions.on_envelope(&envelope(6)), Verdict::Duplicate);
    assert_eq!(subscriptions.poll_action(1, &markets), Some(ProtocolAction::Suspect));
    assert_eq!(subscriptions.poll_action(1, &markets), None, "two gaps in a row are one");
    let requested = all(&mut subscriptions, 1);
    assert_eq!(requested.len(), 2);
    assert!(requested.iter().all(|text| text.contains("get_snapshot")));
    // Answered by snapshots with the id, without an `ok`.
    snapshots(&mut subscriptions, &markets[..256], Some(3));
    snapshots(&mut subscriptions, &markets[256..], Some(4));
    assert_eq!((subscriptions.outstanding.len(), subscriptions.queue.pending.len()), (0, 0));
    let counts = subscriptions.counts();
    assert_eq!((counts.holes, counts.missing, counts.duplicates), (2, 3, 1));
}

#[test]
fn a_command_without_response_is_repeated_and_then_the_connection_is_closed() {
    let markets = tokens(0..2);
    let mut subscriptions = begun(&markets);
    all(&mut subscriptions, 0);
    subscriptions.handle_timeout(4 * SECOND);
    assert_eq!(all(&mut subscriptions, 4 * SECOND), Vec::<String>::new());
    subscriptions.handle_timeout(5 * SECOND);
    let again = all(&mut subscriptions, 5 * SECOND);
    assert!(again[0].starts_with(r#"{"id":2,"cmd":"subscribe""#), "{again:?}");
    // It had been carried out: answered as a second subscription is (kalshi/protocol.md, 2.2).
    subscriptions.on_reply(&Reply::Ok { id: Some(2), sid: Some(4) }, 5 * SECOND);
    snapshots(&mut subscriptions, &markets, None);
    subscriptions.add(&tokens(2..3));
    assert!(all(&mut subscriptions, 6 * SECOND)[0].contains(r#""sids":[4]"#));
    subscriptions.handle_timeout(11 * SECOND);
    assert!(!all(&mut subscriptions, 11 * SECOND).is_empty(), "again");
    for at in [16, 22] {
        subscriptions.handle_timeout(at * SECOND);
        all(&mut subscriptions, at * SECOND);
    }
    assert!(matches!(
        subscriptions.poll_action(22 * SECOND, &markets),
        Some(ProtocolAction::Reconnect(_))
    ));
}

#[test]
fn a_book_that_never_comes_is_no_reason_to_reconnect_where_others_do() {
    let markets = tokens(0..2);
    let mut subscriptions = acknowledged(&markets);
    snapshots(&mut subscriptions, &markets[..1], None);
    for second in 1..300 {
        subscriptions.on_data(second * SECOND);
        subscriptions.handle_timeout(second * SECOND);
        for text in all(&mut subscriptions, second * SECOND) {
            assert!(text.contains("get_snapshot") && text.contains("M-1") && !text.contains("M-0"));
            let id = subscriptions.last_id;
            ok(&mut subscriptions, id, second * SECOND);
        }
        assert_eq!(subscriptions.poll_action(second * SECOND, &markets), None);
    }
    assert!(
        subscriptions.counts().commands < 30,
        "less and less often: {}",
        subscriptions.counts().commands
    );
}

#[test]
fn a_subscription_that_the_venue_ends_begins_anew_and_not_for_ever() {
    let markets = tokens(0..3);
    let mut subscriptions = live(&markets);
    let mut now_ns = SECOND;
    for _ in 0..RESUBSCRIBES_MAX {
        error(&mut subscriptions, None, Some(1), 25, now_ns);
        assert_eq!(subscriptions.poll_action(now_ns, &markets), Some(ProtocolAction::Resubscribe));
        now_ns += SECOND;
        let texts = all(&mut subscriptions, now_ns);
        assert!(texts[0].contains("subscribe") && texts[0].contains("M-2"), "{texts:?}");
        let id = subscriptions.last_id;
        subscribed(&mut subscriptions, id);
    }
    error(&mut subscriptions, None, Some(1), 10, now_ns);
    assert!(matches!(
        subscriptions.poll_action(now_ns, &markets),
        Some(ProtocolAction::Reconnect(_))
    ));
}

#[test]
fn too_many_markets_go_elsewhere_and_too_many_commands_wait() {
    let markets = tokens(0..600);
    let mut subscriptions = acknowledged(&markets);
    all(&mut subscriptions, 0);
    ok(&mut subscriptions, 2, 1);
    snapshots(&mut subscriptions, &markets[..512], None);
    // The venue accepts 520 markets and answers in order.
    let (mut has, mut refused, mut answered) = (512, Vec::new(), 3);
    while answered <= subscriptions.last_id {
        let Some(Pending { command: Command::Update(_, of), .. }) =
            subscriptions.queue.pending.get(&answered)
        else {
            panic!("additions only");
        };
        let of = of.clone();
        if has + of.len() > 520 {
            error(&mut subscriptions, Some(answered), None, 26, SECOND);
        } else {
            has += of.len();
            ok(&mut subscriptions, answered, SECOND);
            snapshots(&mut subscriptions, &of, None);
        }
        while let Some(ProtocolAction::Full { tokens }) =
            subscriptions.poll_action(SECOND, &markets)
        {
            refused.extend(tokens);
        }
        answered += 1;
        all(&mut subscriptions, SECOND);
    }
    assert_eq!((has, refused.len()), (520, 80), "as many as fit");
    assert!(answered < 60, "{answered} commands");
    assert_eq!(subscriptions.outstanding.len(), 0, "refused markets are not outstanding");

    subscriptions.add(&tokens(700..701));
    assert_eq!(all(&mut subscriptions, SECOND).len(), 1);
    let id = subscriptions.last_id;
    error(&mut subscriptions, Some(id), None, 27, SECOND);
    assert_eq!(subscriptions.poll(SECOND), None, "a pause");
    let later = SECOND + COMMAND_PAUSE_NS;
    assert!(subscriptions.poll(later).unwrap().contains("M-700"));
    error(&mut subscriptions, Some(id + 1), None, 27, later);
    assert_eq!(subscriptions.poll(later + COMMAND_PAUSE_NS), None, "a longer one");
    assert!(subscriptions.poll(later + 2 * COMMAND_PAUSE_NS).is_some());
}

/// Not known to the venue, or refused with a code that is not documented.
#[test]
fn the_market_that_the_venue_refuses_is_found_by_halves() {
    for code in [16, 99] {
        one_of_nine_is_refused(code);
    }
}

fn one_of_nine_is_refused(code: u64) {
    let markets = tokens(0..9);
    let mut subscriptions = begun(&markets);
    let mut good = Vec::new();
    let mut sent = all(&mut subscriptions, 0);
    let mut rounds = 0;
    while let Some(text) = sent.pop() {
        let id: u64 = text[6..].split(',').next().unwrap().parse().unwrap();
        let names: Vec<usize> = (0..9).filter(|n| text.contains(&format!("\"M-{n}\""))).collect();
        if names.contains(&5) {
            error(&mut subscriptions, Some(id), None, code, 1);
        } else {
            good.extend(names);
            subscribed(&mut subscriptions, id);
        }
        sent.extend(all(&mut subscriptions, 1));
        rounds += 1;
        assert!(rounds < 30, "it ends");
    }
    good.sort_unstable();
    assert_eq!(good, [0, 1, 2, 3, 4, 6, 7, 8]);
    assert_eq!(subscriptions.counts().refused, 1);
    // An unsubscribed book that answers `get_snapshot` would be live without changes.
    snapshots(&mut subscriptions, &markets, None);
    subscriptions.ask(&markets[5..6]);
    subscriptions.request_all(&markets, 1);
    assert!(!all(&mut subscriptions, 1).concat().contains("\"M-5\""));
    let last_id = subscriptions.last_id;
    for id in [None, Some(last_id)] {
        assert!(!takes(&mut subscriptions, id, markets[5]), "{id:?}");
    }
    // The venue may know it later.
    let mut at = 1;
    for wait in [5, 10, 20, 40, 80, 80] {
        let last_id = subscriptions.last_id;
        snapshots(&mut subscriptions, &markets, Some(last_id));
        at += wait * SECOND;
        subscriptions.handle_timeout(at - 1);
        assert_eq!(all(&mut subscriptions, at - 1), [""; 0]);
        subscriptions.on_data(at);
        subscriptions.handle_timeout(at);
        let again = all(&mut subscriptions, at).concat();
        assert!(again.contains("add_markets") && again.contains(r#"["M-5"]"#), "{again}");
        let id = subscriptions.last_id;
        error(&mut subscriptions, Some(id), None, code, at);
    }
    at += 80 * SECOND;
    subscriptions.handle_timeout(at);
    assert!(all(&mut subscriptions, at).concat().contains("add_markets"));
    let id = subscriptions.last_id;
    ok(&mut subscriptions, id, at);
    assert!(takes(&mut subscriptions, None, markets[5]));
    subscriptions.ask(&markets[5..6]);
    assert!(all(&mut subscriptions, at).concat().contains("get_snapshot"));
}

#[test]
fn a_refused_market_that_is_deleted_or_belongs_to_an_ended_session_is_not_added_again() {
    let markets = tokens(0..3);
    for ends in [false, true] {
        let mut subscriptions = acknowledged(&markets[..1]);
        subscriptions.add(&markets[1..]);
        all(&mut subscriptions, 0);
        subscriptions.delete(&markets[1..2]);
        // This code concerns the whole command.
        error(&mut subscriptions, Some(2), None, 5, 1);
        assert_eq!((subscriptions.outstanding.len(), subscriptions.counts().refused), (1, 1));
        match ends {
            true => subscriptions.begin(&markets[..1], 1),
            false => subscriptions.delete(&markets[2..]),
        }
        subscriptions.on_data(5 * SECOND);
        subscriptions.handle_timeout(5 * SECOND + 1);
        let texts = all(&mut subscriptions, 5 * SECOND + 1).concat();
        assert!(!texts.contains("add_markets"), "{texts}");
        assert_eq!(subscriptions.exceptions.take_due(u64::MAX), []);
    }
}

#[test]
fn a_refused_channel_without_markets_is_subscribed_again_after_a_pause() {
    for code in [5, 16, 99] {
        let mut subscriptions = Subscriptions::new(Channel::Tickers);
        subscriptions.begin(&[], 0);
        assert_eq!(all(&mut subscriptions, 0).len(), 1);
        error(&mut subscriptions, Some(1), None, code, 1);
        assert_eq!(all(&mut subscriptions, 1).len(), 0, "code {code}");
        assert_eq!(all(&mut subscriptions, 1 + COMMAND_PAUSE_NS).len(), 1);
        error(&mut subscriptions, Some(2), None, code, 1 + COMMAND_PAUSE_NS);
        assert_eq!(all(&mut subscriptions, 1 + 2 * COMMAND_PAUSE_NS).len(), 0);
        assert_eq!(all(&mut subscriptions, 1 + 3 * COMMAND_PAUSE_NS).len(), 1);
    }
}

/// An unsubscribed book that answers `get_snapshot` would be live without changes.
#[test]
fn no_snapshot_is_requested_before_the_subscription_is_acknowledged() {
    let markets = tokens(0..3);
    let mut subscriptions = live(&markets[..2]);
    subscriptions.add(&markets[2..]);
    assert_eq!(all(&mut subscriptions, 1).len(), 1);
    subscriptions.on_broken_frame();
    assert_eq!(subscriptions.poll_action(1, &markets), Some(ProtocolAction::Suspect));
    subscriptions.ask(&markets);
    let requested = all(&mut subscriptions, 1).join(" ");
    assert!(
        requested.contains("M-0") && requested.contains("M-1") && !requested.contains("M-2"),
        "{requested}"
    );
    ok(&mut subscriptions, 2, 1);
    subscriptions.handle_timeout(1 + SNAPSHOT_WAIT_NS);
    assert!(
        all(&mut subscriptions, 1 + SNAPSHOT_WAIT_NS).join(" ").contains("M-2"),
        "it is by then"
    );
}

/// Commands may be carried out in any order, and those that are repeated come late.
#[test]
fn a_market_that_leaves_and_comes_back_is_subscribed_in_the_end() {
    let markets = tokens(0..2);
    let mut subscriptions = live(&markets);
    subscriptions.delete(&markets[1..]);
    assert!(all(&mut subscriptions, 1).join(" ").contains("delete_markets"));
    subscriptions.add(&markets[1..]);
    assert!(all(&mut subscriptions, 1).is_empty(), "the deletion is not acknowledged");
    error(&mut subscriptions, Some(2), None, 27, 1);
    let texts = all(&mut subscriptions, SECOND);
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(texts[0].contains("add_markets"), "it is not deleted any more: {}", texts[0]);
}

/// The refusal of an addition arrives after one of its markets was deleted.
#[test]
fn a_market_that_leaves_while_its_addition_is_refused_is_not_added_again() {
    for code in [26, 16] {
        let markets = tokens(0..8);
        let mut subscriptions = live(&markets[..2]);
        subscriptions.add(&markets[2..]);
        assert_eq!(all(&mut subscriptions, 1).len(), 1);
        subscriptions.delete(&markets[7..]);
        error(&mut subscriptions, Some(2), None, code, 1);
        let mut answered = 3;
        let mut sent = Vec::new();
        for at in 1..20 {
            sent.extend(all(&mut subscriptions, at));
            while answered <= subscriptions.last_id {
                ok(&mut subscriptions, answered, at);
                answered += 1;
            }
        }
        let named: Vec<&String> = sent.iter().filter(|text| text.contains("\"M-7\"")).collect();
        assert!(named.iter().all(|text| text.contains("delete_markets")), "{code}: {named:?}");
        for market in &markets[2..7] {
            let name = format!("\"{market}\"");
            let adds = |text: &&String| text.contains("add_markets") && text.contains(&name);
            assert_eq!(sent.iter().filter(adds).count(), 1, "{code}: {market}");
        }
    }
}

/// A command that had no response may be executed behind the next one.
#[test]
fn a_market_whose_addition_had_no_response_is_deleted_after_the_response_to_its_repetition() {
    let markets = tokens(0..2);
    for deleted_first in [true, false] {
        let mut subscriptions = live(&markets[..1]);
        subscriptions.add(&markets[1..]);
        assert!(all(&mut subscriptions, 1)[0].contains("add_markets"));
        subscriptions.on_data(COMMAND_TIMEOUT_NS);
        if deleted_first {
            subscriptions.delete(&markets[1..]);
        }
        subscriptions.handle_timeout(1 + COMMAND_TIMEOUT_NS);
        if !deleted_first {
            subscriptions.delete(&markets[1..]);
        }
        let again = all(&mut subscriptions, 2 + COMMAND_TIMEOUT_NS);
        assert_eq!(again.len(), 1, "{again:?}");
        assert!(again[0].contains("add_markets") && again[0].contains("\"M-1\""), "{again:?}");
        assert_eq!(subscriptions.outstanding.len(), 0, "no snapshot of a deleted market");
        ok(&mut subscriptions, 3, 3 + COMMAND_TIMEOUT_NS);
        let last = all(&mut subscriptions, 4 + COMMAND_TIMEOUT_NS);
        assert_eq!(last.len(), 1, "{last:?}");
        assert!(last[0].contains("delete_markets") && last[0].contains("\"M-1\""), "{last:?}");
    }
}

#[test]
fn a_deletion_is_repeated_until_it_is_answered() {
    let markets = tokens(0..2);
    let mut subscriptions = live(&markets);
    subscriptions.delete(&markets[1..]);
    let mut sent = all(&mut subscriptions, 0).len();
    for second in 1..=60 {
        subscriptions.on_data(second * SECOND);
        subscriptions.handle_timeout(second * SECOND);
        sent += all(&mut subscriptions, second * SECOND).len();
        assert_eq!(subscriptions.poll_action(second * SECOND, &markets[..1]), None);
    }
    assert_eq!(sent, 13, "once in five seconds");
}

#[test]
fn no_snapshot_of_a_deleted_market_is_requested() {
    let markets = tokens(0..4);
    let mut subscriptions = acknowledged(&markets);
    subscriptions.delete(&markets[..2]);
    let texts = all(&mut subscriptions, 1);
    assert!(texts[0].contains("delete_markets") && texts[0].contains("M-1"));
    assert_eq!(subscriptions.outstanding.len(), 2);
    subscriptions.delete(&markets[2..3]);
    subscriptions.add(&markets[2..3]);
    let texts = all(&mut subscriptions, 1);
    assert!(
        texts.iter().all(|text| !text.contains("delete")),
        "added again before it was sent: {texts:?}"
    );
    // Responses of an earlier session are ignored.
    error(&mut subscriptions, Some(999), None, 26, 1);
    assert_eq!(subscriptions.poll_action(1, &markets), None);
}

/// Two subscribed markets whose snapshots were requested (id 2); the first one was deleted (3) and added again (4).
fn added_again(markets: &[TokenId]) -> Subscriptions {
    let mut subscriptions = live(markets);
    subscriptions.ask(markets);
    assert!(all(&mut subscriptions, SECOND)[0].contains("get_snapshot"));
    subscriptions.delete(&markets[..1]);
    all(&mut subscriptions, SECOND);
    ok(&mut subscriptions, 3, SECOND);
    subscriptions.add(&markets[..1]);
    assert!(all(&mut subscriptions, SECOND)[0].contains("add_markets"));
    subscriptions
}

fn ok(subscriptions: &mut Subscriptions, id: u64, now_ns: u64) {
    subscriptions.on_reply(&Reply::Ok { id: Some(id), sid: Some(1) }, now_ns);
}

/// Whether a snapshot of a market may change its book.
fn takes(subscriptions: &mut Subscriptions, id: Option<u64>, market: TokenId) -> bool {
    subscriptions.on_reply(&Reply::Snapshot { id, market: market.as_str() }, SECOND)
}

#[test]
fn a_snapshot_requested_before_its_market_was_added_again_is_not_taken() {
    let markets = tokens(0..2);
    let mut subscriptions = added_again(&markets);
    assert!(!takes(&mut subscriptions, Some(2), markets[0]), "older than the addition");
    assert!(takes(&mut subscriptions, Some(2), markets[1]));
    ok(&mut subscriptions, 4, SECOND);
    assert!(takes(&mut subscriptions, None, markets[0]), "its own");
    assert!(takes(&mut subscriptions, Some(5), markets[0]));
    // What was requested from a subscription that has ended.
    subscriptions.restart(&markets);
    assert!(!takes(&mut subscriptions, Some(4), markets[1]));
    assert!(takes(&mut subscriptions, Some(5), markets[1]));
}

/// Simulation seed 100176: the venue answers `get_snapshot` without ids. The late answer made the book live, and what
/// changed before the addition was missing in it.
#[test]
fn a_snapshot_without_id_of_a_market_added_again_is_taken_once_the_addition_is_answered() {
    let markets = tokens(0..2);
    let mut subscriptions = added_again(&markets);
    assert!(!takes(&mut subscriptions, None, markets[0]), "of which request is unknown");
    assert!(takes(&mut subscriptions, None, markets[1]), "it was never deleted");
    assert_eq!(all(&mut subscriptions, SECOND), [""; 0]);
    ok(&mut subscriptions, 4, SECOND);
    // The one that was left may have been the addition's.
    let next = all(&mut subscriptions, SECOND).concat();
    assert!(next.contains("get_snapshot") && next.contains("\"M-0\""), "{next}");
    assert!(!next.contains("\"M-1\""), "{next}");
    assert!(takes(&mut subscriptions, None, markets[0]));
    assert_eq!(subscriptions.outstanding.len(), 0);

    // An answer before any snapshot: none is left, none is requested.
    let mut subscriptions = added_again(&markets);
    ok(&mut subscriptions, 4, SECOND);
    assert!(takes(&mut subscriptions, None, markets[0]));
    assert_eq!(all(&mut subscriptions, SECOND), [""; 0]);

    // A later request's answer came before the addition's: nothing is missing.
    let mut subscriptions = added_again(&markets);
    assert!(!takes(&mut subscriptions, None, markets[0]));
    assert!(takes(&mut subscriptions, Some(5), markets[0]));
    ok(&mut subscriptions, 4, SECOND);
    assert_eq!(all(&mut subscriptions, SECOND), [""; 0]);
}

#[test]
fn a_market_added_again_whose_addition_is_not_answered_is_requested_or_reconnects() {
    let markets = tokens(0..2);
    // The response is lost: the repetition (id 5) is answered.
    let mut subscriptions = added_again(&markets);
    assert!(!takes(&mut subscriptions, None, markets[0]));
    let later = SECOND + COMMAND_TIMEOUT_NS;
    subscriptions.on_data(later);
    subscriptions.handle_timeout(later);
    all(&mut subscriptions, later);
    let adds = |p: &Pending| matches!(p.command, Command::Update(Update::Add, _));
    let repetition = subscriptions.queue.pending.iter().find_map(|(id, p)| adds(p).then_some(*id));
    let repetition = repetition.expect("it is repeated");
    assert!(repetition > 4);
    assert!(!takes(&mut subscriptions, None, markets[0]));
    ok(&mut subscriptions, repetition, later);
    assert!(all(&mut subscriptions, later).concat().contains("get_snapshot"));
    assert!(takes(&mut subscriptions, None, markets[0]));

    // No repetition is answered.
    let mut subscriptions = added_again(&markets);
    let reconnects = (1..60).any(|second| {
        subscriptions.on_data(second * SECOND);
        subscriptions.handle_timeout(second * SECOND);
        all(&mut subscriptions, second * SECOND);
        assert!(!takes(&mut subscriptions, None, markets[0]));
        let action = subscriptions.poll_action(second * SECOND, &markets);
        matches!(action, Some(ProtocolAction::Reconnect(_)))
    });
    assert!(reconnects);
}

#[test]
fn a_repeated_request_for_snapshots_names_no_market_that_was_deleted_since() {
    let markets = tokens(0..3);
    let mut subscriptions = live(&markets);
    subscriptions.ask(&markets[..2]);
    assert!(all(&mut subscriptions, SECOND)[0].contains("get_snapshot"));
    subscriptions.delete(&markets[1..2]);
    assert!(all(&mut subscriptions, SECOND)[0].contains("delete_markets"));
    subscribed(&mut subscriptions, 3);
    subscriptions.handle_timeout(7 * SECOND);
    let again = all(&mut subscriptions, 7 * SECOND).join(" ");
    let (kept, deleted) = (markets[0].as_str(), markets[1].as_str());
    assert!(again.contains("get_snapshot") && again.contains(kept), "{again}");
    assert!(!again.contains(deleted), "{again}");
    // Nothing is left of one that named deleted markets only, nor to be split.
    subscriptions.delete(&markets[..1]);
    error(&mut subscriptions, Some(4), None, 16, 7 * SECOND);
    assert!(!all(&mut subscriptions, 8 * SECOND).join(" ").contains("get_snapshot"));
}

/// Simulation seed 60093: every later message counted as one of another subscription, and every book was requested
/// again and again.
#[test]
fn a_subscription_whose_acknowledgement_is_lost_is_ours_once_a_response_names_it() {
    let markets = tokens(0..3);
    let mut subscriptions = acknowledged(&markets);
    error(&mut subscriptions, None, Some(1), 25, 2);
    assert_eq!(subscriptions.poll_action(2, &markets), Some(ProtocolAction::Resubscribe));
    let again = 2 + COMMAND_PAUSE_NS;
    assert_eq!(all(&mut subscriptions, again).len(), 1);
    // The venue begins subscription 2; its `subscribed` is lost, and the repeated command is answered `ok`.
    let change = |seq| Envelope {
        sid: Some(2),
        seq: Some(seq),
        content: BookContent::Change,
        ..Envelope::default()
    };
    assert_eq!(subscriptions.on_envelope(&change(1)), Verdict::Hole(0));
    assert_eq!(subscriptions.poll_action(again, &markets), Some(ProtocolAction::Suspect));
    subscriptions.on_reply(&Reply::Ok { id: Some(3), sid: Some(2) }, again);
    assert_eq!(subscriptions.on_envelope(&change(2)), Verdict::Next);

    // Nothing names it: the connection is replaced.
    let mut subscriptions = acknowledged(&markets);
    for seq in 1..=u64::from(OTHER_SUBSCRIPTION_MAX) {
        assert!(
            subscriptions
                .poll_action(1, &markets)
                .is_none_or(|action| action == ProtocolAction::Suspect)
        );
        assert_eq!(subscriptions.on_envelope(&change(seq)), Verdict::Hole(0));
    }
    assert_eq!(subscriptions.poll_action(1, &markets), Some(ProtocolAction::Suspect));
    assert!(matches!(subscriptions.poll_action(1, &markets), Some(ProtocolAction::Reconnect(_))));
}
