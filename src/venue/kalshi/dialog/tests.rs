//! Responses that are late, in another order, missing, or errors.
use super::*;
use crate::venue::{BookContent, SubscriptionProtocol as _};

const SECOND: u64 = SECOND_NS;

fn tokens(range: std::ops::Range<usize>) -> Vec<TokenId> {
    range.map(|number| TokenId::new(&format!("M-{number}")).unwrap()).collect()
}

/// A state machine that has begun with these tokens, at time 0.
fn begun(tokens: &[TokenId]) -> SubscriptionProtocol {
    let mut dialog = SubscriptionProtocol::new(Channel::Books);
    dialog.begin(tokens, 0);
    dialog
}

fn all(dialog: &mut SubscriptionProtocol, now_ns: u64) -> Vec<String> {
    std::iter::from_fn(|| dialog.poll(now_ns)).collect()
}

fn snapshots(dialog: &mut SubscriptionProtocol, tokens: &[TokenId], id: Option<u64>) {
    for token in tokens {
        dialog.on_reply(&Reply::Snapshot { id, market: token.as_str() }, 1);
    }
}

fn subscribed(dialog: &mut SubscriptionProtocol, id: u64) {
    dialog.on_reply(&Reply::Subscribed { id: Some(id), sid: Some(1), channel: "" }, 1);
}

fn error(
    dialog: &mut SubscriptionProtocol,
    id: Option<u64>,
    sid: Option<u64>,
    code: u64,
    now_ns: u64,
) {
    dialog.on_reply(&Reply::Error { id, sid, code, text: "" }, now_ns);
}

#[test]
fn one_subscribe_is_awaited_before_anything_is_added() {
    let markets = tokens(0..600);
    let mut dialog = begun(&markets);
    let first = all(&mut dialog, 0);
    assert_eq!(first.len(), 1, "its response has the sid that the others need");
    assert!(first[0].starts_with(r#"{"id":1,"cmd":"subscribe""#), "{}", first[0]);
    subscribed(&mut dialog, 1);
    let more = all(&mut dialog, 1);
    assert_eq!(more.len(), 2, "600 markets in chunks of 256");
    assert!(more.iter().all(|text| text.contains(r#""sids":[1]"#) && text.contains("add_markets")));
    assert_eq!(dialog.outstanding(), 600);
    snapshots(&mut dialog, &markets, None);
    dialog.on_reply(&Reply::Ok { id: Some(3), sid: Some(1) }, 1);
    dialog.on_reply(&Reply::Ok { id: Some(2), sid: Some(1) }, 1);
    assert_eq!((dialog.outstanding(), dialog.pending.len()), (0, 0), "answers in any order");
    dialog.handle_timeout(60 * SECOND);
    assert_eq!(all(&mut dialog, 60 * SECOND), Vec::<String>::new());
}

#[test]
fn channels_without_markets_subscribe_to_all() {
    let mut dialog = SubscriptionProtocol::new(Channel::Trades);
    dialog.begin(&[], 0);
    let text = dialog.poll(0).unwrap();
    assert!(text.contains(r#""channels":["trade"]"#) && !text.contains("market_tickers"), "{text}");
    assert_eq!(dialog.poll(0), None);
    subscribed(&mut dialog, 1);
    assert_eq!(dialog.poll(0), None);
    dialog.probe(None);
    assert!(dialog.poll(0).unwrap().contains("list_subscriptions"));
}

#[test]
fn a_gap_requests_every_snapshot_once() {
    let markets = tokens(0..300);
    let mut dialog = begun(&markets);
    all(&mut dialog, 0);
    subscribed(&mut dialog, 1);
    all(&mut dialog, 0);
    dialog.on_reply(&Reply::Ok { id: Some(2), sid: Some(1) }, 1);
    snapshots(&mut dialog, &markets, None);
    let envelope = |seq| Envelope { sid: Some(1), seq: Some(seq), ..Envelope::default() };
    assert_eq!(dialog.on_envelope(&envelope(1)), Verdict::Next);
    assert_eq!(dialog.on_envelope(&envelope(3)), Verdict::Hole(1));
    assert_eq!(dialog.on_envelope(&envelope(6)), Verdict::Hole(2));
    assert_eq!(dialog.on_envelope(&envelope(6)), Verdict::Duplicate);
    assert_eq!(dialog.poll_action(1, &markets), Some(ProtocolAction::Suspect));
    assert_eq!(dialog.poll_action(1, &markets), None, "two gaps in a row are one");
    let requested = all(&mut dialog, 1);
    assert_eq!(requested.len(), 2);
    assert!(requested.iter().all(|text| text.contains("get_snapshot")));
    // Answered by snapshots with the id, without an `ok`.
    snapshots(&mut dialog, &markets[..256], Some(3));
    snapshots(&mut dialog, &markets[256..], Some(4));
    assert_eq!((dialog.outstanding(), dialog.pending.len()), (0, 0));
    let counts = dialog.counts();
    assert_eq!((counts.holes, counts.missing, counts.duplicates), (2, 3, 1));
}

#[test]
fn a_command_without_response_is_repeated_and_then_the_connection_is_closed() {
    let markets = tokens(0..2);
    let mut dialog = begun(&markets);
    all(&mut dialog, 0);
    dialog.handle_timeout(4 * SECOND);
    assert_eq!(all(&mut dialog, 4 * SECOND), Vec::<String>::new());
    dialog.handle_timeout(5 * SECOND);
    let again = all(&mut dialog, 5 * SECOND);
    assert!(again[0].starts_with(r#"{"id":2,"cmd":"subscribe""#), "{again:?}");
    // It had been carried out: answered as a second subscription is (kalshi/protocol.md, 2.2).
    dialog.on_reply(&Reply::Ok { id: Some(2), sid: Some(4) }, 5 * SECOND);
    snapshots(&mut dialog, &markets, None);
    dialog.add(&tokens(2..3));
    assert!(all(&mut dialog, 6 * SECOND)[0].contains(r#""sids":[4]"#));
    dialog.handle_timeout(11 * SECOND);
    assert!(!all(&mut dialog, 11 * SECOND).is_empty(), "again");
    for at in [16, 22] {
        dialog.handle_timeout(at * SECOND);
        all(&mut dialog, at * SECOND);
    }
    assert!(matches!(
        dialog.poll_action(22 * SECOND, &markets),
        Some(ProtocolAction::Reconnect(_))
    ));
}

#[test]
fn a_book_that_never_comes_is_no_reason_to_reconnect_where_others_do() {
    let markets = tokens(0..2);
    let mut dialog = begun(&markets);
    all(&mut dialog, 0);
    subscribed(&mut dialog, 1);
    snapshots(&mut dialog, &markets[..1], None);
    for second in 1..300 {
        dialog.on_data(second * SECOND);
        dialog.handle_timeout(second * SECOND);
        for text in all(&mut dialog, second * SECOND) {
            assert!(text.contains("get_snapshot") && text.contains("M-1") && !text.contains("M-0"));
            let id = dialog.last_id;
            dialog.on_reply(&Reply::Ok { id: Some(id), sid: Some(1) }, second * SECOND);
        }
        assert_eq!(dialog.poll_action(second * SECOND, &markets), None);
    }
    assert!(dialog.counts().commands < 30, "less and less often: {}", dialog.counts().commands);
}

#[test]
fn a_subscription_that_the_venue_ends_begins_anew_and_not_for_ever() {
    let markets = tokens(0..3);
    let mut dialog = begun(&markets);
    all(&mut dialog, 0);
    subscribed(&mut dialog, 1);
    snapshots(&mut dialog, &markets, None);
    let mut now_ns = SECOND;
    for _ in 0..RESUBSCRIBES_MAX {
        error(&mut dialog, None, Some(1), 25, now_ns);
        assert_eq!(dialog.poll_action(now_ns, &markets), Some(ProtocolAction::Resubscribe));
        now_ns += SECOND;
        let texts = all(&mut dialog, now_ns);
        assert!(texts[0].contains("subscribe") && texts[0].contains("M-2"), "{texts:?}");
        let id = dialog.last_id;
        subscribed(&mut dialog, id);
    }
    error(&mut dialog, None, Some(1), 10, now_ns);
    assert!(matches!(dialog.poll_action(now_ns, &markets), Some(ProtocolAction::Reconnect(_))));
}

#[test]
fn too_many_markets_go_elsewhere_and_too_many_commands_wait() {
    let markets = tokens(0..600);
    let mut dialog = begun(&markets);
    all(&mut dialog, 0);
    subscribed(&mut dialog, 1);
    all(&mut dialog, 0);
    dialog.on_reply(&Reply::Ok { id: Some(2), sid: Some(1) }, 1);
    snapshots(&mut dialog, &markets[..512], None);
    // The venue accepts 520 markets and answers in order.
    let (mut has, mut refused, mut answered) = (512, Vec::new(), 3);
    while answered <= dialog.last_id {
        let Some(Pending { command: Command::Update(_, of), .. }) = dialog.pending.get(&answered)
        else {
            panic!("additions only");
        };
        let of = of.clone();
        if has + of.len() > 520 {
            error(&mut dialog, Some(answered), None, 26, SECOND);
        } else {
            has += of.len();
            dialog.on_reply(&Reply::Ok { id: Some(answered), sid: Some(1) }, SECOND);
            snapshots(&mut dialog, &of, None);
        }
        while let Some(ProtocolAction::Full { tokens }) = dialog.poll_action(SECOND, &markets) {
            refused.extend(tokens);
        }
        answered += 1;
        all(&mut dialog, SECOND);
    }
    assert_eq!((has, refused.len()), (520, 80), "as many as fit");
    assert!(answered < 60, "{answered} commands");
    assert_eq!(dialog.outstanding(), 0, "refused markets are not outstanding");

    dialog.add(&tokens(700..701));
    assert_eq!(all(&mut dialog, SECOND).len(), 1);
    let id = dialog.last_id;
    error(&mut dialog, Some(id), None, 27, SECOND);
    assert_eq!(dialog.poll(SECOND), None, "a pause");
    let later = SECOND + COMMAND_PAUSE_NS;
    assert!(dialog.poll(later).unwrap().contains("M-700"));
    error(&mut dialog, Some(id + 1), None, 27, later);
    assert_eq!(dialog.poll(later + COMMAND_PAUSE_NS), None, "a longer one");
    assert!(dialog.poll(later + 2 * COMMAND_PAUSE_NS).is_some());
}

#[test]
fn the_market_that_the_venue_does_not_know_is_found_by_halves() {
    let markets = tokens(0..9);
    let mut dialog = begun(&markets);
    let mut good = Vec::new();
    let mut sent = all(&mut dialog, 0);
    let mut rounds = 0;
    while let Some(text) = sent.pop() {
        let id: u64 = text[6..].split(',').next().unwrap().parse().unwrap();
        let names: Vec<usize> = (0..9).filter(|n| text.contains(&format!("\"M-{n}\""))).collect();
        if names.contains(&5) {
            error(&mut dialog, Some(id), None, 16, 1);
        } else {
            good.extend(names);
            subscribed(&mut dialog, id);
        }
        sent.extend(all(&mut dialog, 1));
        rounds += 1;
        assert!(rounds < 30, "it ends");
    }
    good.sort_unstable();
    assert_eq!(good, [0, 1, 2, 3, 4, 6, 7, 8]);
    assert_eq!(dialog.counts().refused, 1);
}

/// An unsubscribed book that answers `get_snapshot` would be live without changes.
#[test]
fn no_snapshot_is_requested_before_the_subscription_is_acknowledged() {
    let markets = tokens(0..3);
    let mut dialog = begun(&markets[..2]);
    all(&mut dialog, 0);
    subscribed(&mut dialog, 1);
    snapshots(&mut dialog, &markets[..2], None);
    dialog.add(&markets[2..]);
    assert_eq!(all(&mut dialog, 1).len(), 1);
    dialog.on_broken_frame();
    assert_eq!(dialog.poll_action(1, &markets), Some(ProtocolAction::Suspect));
    dialog.ask(&markets);
    let requested = all(&mut dialog, 1).join(" ");
    assert!(
        requested.contains("M-0") && requested.contains("M-1") && !requested.contains("M-2"),
        "{requested}"
    );
    dialog.on_reply(&Reply::Ok { id: Some(2), sid: Some(1) }, 1);
    dialog.handle_timeout(1 + SNAPSHOT_WAIT_NS);
    assert!(all(&mut dialog, 1 + SNAPSHOT_WAIT_NS).join(" ").contains("M-2"), "it is by then");
}

/// Commands may be carried out in any order, and those that are repeated come late.
#[test]
fn a_market_that_leaves_and_comes_back_is_subscribed_in_the_end() {
    let markets = tokens(0..2);
    let mut dialog = begun(&markets);
    all(&mut dialog, 0);
    subscribed(&mut dialog, 1);
    snapshots(&mut dialog, &markets, None);
    dialog.delete(&markets[1..]);
    assert!(all(&mut dialog, 1).join(" ").contains("delete_markets"));
    dialog.add(&markets[1..]);
    assert!(all(&mut dialog, 1).is_empty(), "the deletion is not acknowledged");
    error(&mut dialog, Some(2), None, 27, 1);
    let texts = all(&mut dialog, SECOND);
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(texts[0].contains("add_markets"), "it is not deleted any more: {}", texts[0]);
}

/// The refusal of an addition arrives after one of its markets was deleted.
#[test]
fn a_market_that_leaves_while_its_addition_is_refused_is_not_added_again() {
    for code in [26, 16] {
        let markets = tokens(0..8);
        let mut dialog = begun(&markets[..2]);
        all(&mut dialog, 0);
        subscribed(&mut dialog, 1);
        snapshots(&mut dialog, &markets[..2], None);
        dialog.add(&markets[2..]);
        assert_eq!(all(&mut dialog, 1).len(), 1);
        dialog.delete(&markets[7..]);
        error(&mut dialog, Some(2), None, code, 1);
        let mut answered = 3;
        let mut sent = Vec::new();
        for at in 1..20 {
            sent.extend(all(&mut dialog, at));
            while answered <= dialog.last_id {
                dialog.on_reply(&Reply::Ok { id: Some(answered), sid: Some(1) }, at);
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

#[test]
fn a_deletion_is_repeated_until_it_is_answered() {
    let markets = tokens(0..2);
    let mut dialog = begun(&markets);
    all(&mut dialog, 0);
    subscribed(&mut dialog, 1);
    snapshots(&mut dialog, &markets, None);
    dialog.delete(&markets[1..]);
    let mut sent = all(&mut dialog, 0).len();
    for second in 1..=60 {
        dialog.on_data(second * SECOND);
        dialog.handle_timeout(second * SECOND);
        sent += all(&mut dialog, second * SECOND).len();
        assert_eq!(dialog.poll_action(second * SECOND, &markets[..1]), None);
    }
    assert_eq!(sent, 13, "once in five seconds");
}

#[test]
fn no_snapshot_of_a_deleted_market_is_requested() {
    let markets = tokens(0..4);
    let mut dialog = begun(&markets);
    all(&mut dialog, 0);
    subscribed(&mut dialog, 1);
    dialog.delete(&markets[..2]);
    let texts = all(&mut dialog, 1);
    assert!(texts[0].contains("delete_markets") && texts[0].contains("M-1"));
    assert_eq!(dialog.outstanding(), 2);
    dialog.delete(&markets[2..3]);
    dialog.add(&markets[2..3]);
    let texts = all(&mut dialog, 1);
    assert!(
        texts.iter().all(|text| !text.contains("delete")),
        "added again before it was sent: {texts:?}"
    );
    // Responses of an earlier session are ignored.
    error(&mut dialog, Some(999), None, 26, 1);
    assert_eq!(dialog.poll_action(1, &markets), None);
}

/// Simulation seed 60093: every later message counted as one of another subscription, and every book was requested
/// again and again.
#[test]
fn a_subscription_whose_acknowledgement_is_lost_is_ours_once_a_response_names_it() {
    let markets = tokens(0..3);
    let mut dialog = begun(&markets);
    all(&mut dialog, 0);
    subscribed(&mut dialog, 1);
    error(&mut dialog, None, Some(1), 25, 2);
    assert_eq!(dialog.poll_action(2, &markets), Some(ProtocolAction::Resubscribe));
    let again = 2 + COMMAND_PAUSE_NS;
    assert_eq!(all(&mut dialog, again).len(), 1);
    // The venue begins subscription 2; its `subscribed` is lost, and the repeated command is answered `ok`.
    let change = |seq| Envelope {
        sid: Some(2),
        seq: Some(seq),
        content: BookContent::Change,
        ..Envelope::default()
    };
    assert_eq!(dialog.on_envelope(&change(1)), Verdict::Hole(0));
    assert_eq!(dialog.poll_action(again, &markets), Some(ProtocolAction::Suspect));
    dialog.on_reply(&Reply::Ok { id: Some(3), sid: Some(2) }, again);
    assert_eq!(dialog.on_envelope(&change(2)), Verdict::Next);

    // Nothing names it: the connection is replaced.
    let mut dialog = begun(&markets);
    all(&mut dialog, 0);
    subscribed(&mut dialog, 1);
    for seq in 1..=u64::from(OTHER_SUBSCRIPTION_MAX) {
        assert!(dialog.poll_action(1, &markets).is_none_or(|turn| turn == ProtocolAction::Suspect));
        assert_eq!(dialog.on_envelope(&change(seq)), Verdict::Hole(0));
    }
    assert_eq!(dialog.poll_action(1, &markets), Some(ProtocolAction::Suspect));
    assert!(matches!(dialog.poll_action(1, &markets), Some(ProtocolAction::Reconnect(_))));
}
