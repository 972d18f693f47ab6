//! Sessions, duplicates and gaps in recordings that no engine captured, as a table.
use super::super::batch::Position;
use super::*;

const HERE: ConnectionSlot = ConnectionSlot(3);
const AT: Origin =
    Origin { slot: HERE, receive_ns: 7, position: Position { file: 0, line: 1, offset: 0 } };

fn frame(kind: &str, sid: Option<u64>, seq: Option<u64>, msg: &str) -> String {
    let sid = sid.map_or(String::new(), |sid| format!(r#","sid":{sid}"#));
    let seq = seq.map_or(String::new(), |seq| format!(r#","seq":{seq}"#));
    format!(r#"{{"type":"{kind}"{sid}{seq},"msg":{msg}}}"#)
}

/// Shorthand for frames: `s1` acknowledges subscription 1 of books, `t2` of trades, `1.5` is message 5
/// of subscription 1, `1.5b` a different message with that number, `-.5` one without subscription, `e25` an error,
/// `e25/1` an error of subscription 1, `u1.7` the end of subscription 1.
fn of(word: &str) -> String {
    let number = |text: &str| text.parse::<u64>().ok();
    if let Some(sid) = word.strip_prefix('s') {
        return frame("subscribed", None, None, &format!(r#"{{"channel":"books","sid":{sid}}}"#));
    }
    if let Some(sid) = word.strip_prefix('t') {
        return frame("subscribed", None, None, &format!(r#"{{"channel":"trade","sid":{sid}}}"#));
    }
    if let Some(error) = word.strip_prefix('e') {
        let (code, sid) = error.split_once('/').unwrap_or((error, ""));
        return frame("error", number(sid), None, &format!(r#"{{"code":{code}}}"#));
    }
    if let Some(ended) = word.strip_prefix('u') {
        let (sid, seq) = ended.split_once('.').unwrap();
        return frame("unsubscribed", number(sid), number(seq), "{}");
    }
    let (sid, seq) = word.split_once('.').unwrap();
    let other = seq.ends_with('b');
    let msg = format!(r#"{{"market_ticker":"KXA-1","delta_fp":"{}.00"}}"#, u8::from(other));
    frame("orderbook_delta", number(sid), number(seq.trim_end_matches('b')), &msg)
}

/// Shorthand for results: `.` next, `=` duplicate, `+n` a gap of n; `!` books of the previous session
/// are stale, `@` the session restarted, `?` held. A prefix has one `^` per released frame and one `=` per held
/// frame that is a duplicate.
fn found(recording: &str) -> String {
    let mut numbers = SequenceTracker::of(crate::venue::kalshi::feed(false)).unwrap();
    let classify = |word: &str| {
        let found = numbers.classify(&of(word), AT, false, 1);
        let verdict = match found.verdict {
            _ if found.held => "?".to_owned(),
            Verdict::Next => ".".to_owned(),
            Verdict::Duplicate => "=".to_owned(),
            Verdict::Hole(missing) => format!("+{missing}"),
        };
        let (stale_slots, restarted) = (!found.stale_slots.is_empty(), found.restarted);
        let before = "=".repeat(found.repeated.len()) + &"^".repeat(found.released.len());
        let (restarted, stale_slots) =
            (if restarted { "@" } else { "" }, if stale_slots { "!" } else { "" });
        format!("{before}{restarted}{stale_slots}{verdict}")
    };
    recording.split(' ').map(classify).collect::<Vec<_>>().join(" ")
}

#[test]
fn sessions_repetitions_and_holes_are_distinguished() {
    for (recording, expected) in [
        ("s1 1.1 1.2 1.3", ". . . ."),
        ("1.70 1.71 1.73 1.74", ". . +1 ."),
        // Restarted: by its acknowledgement, by number 1, by a different message with a known number.
        ("s1 1.1 1.2 s1 1.1 1.2", ". . . @!. . ."),
        ("1.1 1.2 1.3 1.1b 1.2b", ". . . @!. ."),
        // The first message again: a restart of a quiet market, if the second one follows.
        ("1.1 1.2 1.3 1.1 1.2b 1.3b", ". . . ? ^@!. ."),
        ("1.1 1.2 1.3 1.1 1.2 1.3b 1.4", ". . . ? ? ^^@!. ."),
        ("1.1 1.2 1.3 1.1 1.2 1.3 1.4", ". . . ? ? ? ^^^@!."),
        // A late duplicate, if the session continues; undecided if nothing fits: the books are stale.
        ("1.1 1.2 1.3 1.1 1.4 1.5", ". . . ? =. ."),
        ("1.1 1.2 1.3 1.1 1.2 1.4 1.1 1.5", ". . . ? ? ==. ? =."),
        ("1.1 1.2 1.3 1.1 1.6", ". . . ? =+2"),
        ("1.1 1.2 1.3 1.1 1.3b 1.4", ". . . ? =@!. ."),
        ("1.1 1.2 1.3 1.1 s1 1.1", ". . . ? =@!. ."),
        ("1.1 1.2 1.3 1.1 e99", ". . . ? =!."),
        ("1.1 2.1 1.2 2.2 1.1 2.1b 1.2 2.2", ". . . . ? ^@!. . ."),
        ("1.1 1.1 1.2", ". = ."),
        ("1.7 1.8 1.9 1.8b 1.9b", ". . . @!. ."),
        ("1.5000 1.5001 1.3 1.4", ". . @!. ."),
        ("s1 t2 1.1 2.1 1.2 s1 t2 1.1 2.1", ". . . . . @!. . . ."),
        ("t1 s2 2.1 2.2 s1 1.1", ". . . . @!. ."),
        // A duplicate is dropped and affects no book.
        ("1.1 1.2 1.2 1.3", ". . = ."),
        ("1.7 1.8 1.9 1.8 1.9 1.10", ". . . = = ."),
        // A late message is not proven to be a duplicate.
        ("1.7 1.9 1.8 1.10", ". +1 @!. +1"),
        // Without subscription.
        ("-.1 -.2 -.5", ". . +2"),
        ("-.1 -.2 -.1b -.2b", ". . @!. ."),
        ("s1 -.1 -.2 s1 -.1", ". . . @!. ."),
        // The same channel with another subscription number.
        ("s1 1.1 1.2 s2 2.1", ". . . !. ."),
        // Duplicates of an ended subscription; another one with its number.
        ("s1 1.1 1.2 u1.3 s2 2.1 1.2 u1.3 2.2", ". . . !. . . = = ."),
        ("s1 1.1 u1.2 s1 1.1", ". . !. . ."),
        ("s1 1.1 u1.2 s2 2.1 1.1b", ". . !. . . @!."),
        // Ended by the client, or by the venue.
        ("s1 1.1 u1.2 s2 2.1", ". . !. . ."),
        ("s1 1.1 u.2", ". . !."),
        ("s1 1.1 e25/1", ". . !."),
        ("s1 1.1 e10", ". . !."),
        ("s1 1.1 e17", ". . !."),
        ("s1 1.1 e7/1", ". . !."),
        ("s1 1.1 e99", ". . !."),
        ("s1 1.1 e26 e27 e8 e16 1.2", ". . . . . . ."),
        ("s1 1.1 e25/9 1.2", ". . . ."),
    ] {
        assert_eq!(found(recording), expected, "{recording}");
    }
}

#[test]
fn a_change_of_a_subscription_without_snapshots_beside_one_with_them_is_of_any_book() {
    let snapshot = |sid, seq| {
        frame("orderbook_snapshot", Some(sid), Some(seq), r#"{"market_ticker":"KXA-1"}"#)
    };
    let broken = |frames: &[String]| {
        let mut numbers = SequenceTracker::of(crate::venue::kalshi::feed(false)).unwrap();
        let classify = |frame: &String| numbers.classify(frame, AT, false, 1).broken;
        frames.iter().map(classify).collect::<Vec<_>>()
    };
    for other in ["9.1", "9.57", "-.1", "-.3", "-.57"] {
        let frames = [snapshot(1, 1), of("1.2"), of(other), of("1.3")];
        assert_eq!(broken(&frames), [false, false, true, false], "{other}");
    }
    // After a snapshot without a number it is not known which changes are in it.
    let unnumbered = frame("orderbook_snapshot", Some(1), None, r#"{"market_ticker":"KXA-1"}"#);
    assert_eq!(broken(&[unnumbered, of("1.2"), of("1.3")]), [false, true, false]);
    // A recording that begins in the middle, one with a replaced subscription, and its late messages.
    assert_eq!(broken(&["1.70", "2.9", "-.4"].map(of)), [false; 3]);
    let replaced = [of("s1"), snapshot(1, 1), of("u1.2"), of("s2"), of("2.1"), of("1.7")];
    assert_eq!(broken(&replaced), [false; 6]);
    let mut numbers = SequenceTracker::of(crate::venue::kalshi::feed(false)).unwrap();
    let mut classify = |frame: &str| numbers.classify(frame, AT, true, 1).verdict;
    let frames = [of("s1"), snapshot(1, 1), of("9.1"), of("-.1"), of("1.2")];
    let [next, hole] = [Verdict::Next, Verdict::Hole(0)];
    assert_eq!(frames.each_ref().map(|frame| classify(frame)), [next, next, hole, hole, next]);
}

#[test]
fn an_engines_capture_says_itself_where_sessions_begin() {
    let mut numbers = SequenceTracker::of(crate::venue::kalshi::feed(false)).unwrap();
    let mut classify = |word: &str| {
        let found = numbers.classify(&of(word), AT, true, 1);
        (found.slot, found.verdict, !found.stale_slots.is_empty())
    };
    assert_eq!(classify("s1"), (HERE, Verdict::Next, false));
    assert_eq!(classify("1.1"), (HERE, Verdict::Next, false));
    assert_eq!(classify("1.2"), (HERE, Verdict::Next, false));
    assert_eq!(classify("1.1b"), (HERE, Verdict::Duplicate, false), "as the live shard had it");
    assert_eq!(classify("e25/2"), (HERE, Verdict::Next, false), "of another subscription");
    assert_eq!(classify("e99"), (HERE, Verdict::Next, false), "the live shard went on");
    assert_eq!(classify("e25/1"), (HERE, Verdict::Next, true));
    assert_eq!(numbers.begin(HERE), []);
}

#[test]
fn places_are_one_for_each_subscription_and_fresh_in_each_session() {
    let mut numbers = SequenceTracker::of(crate::venue::kalshi::feed(false)).unwrap();
    let mut at = |word: &str| numbers.classify(&of(word), AT, false, 1).slot;
    let (one, two) = (at("1.1"), at("2.1"));
    assert!(one != two && one != HERE);
    assert_eq!((at("1.2"), at("2.2")), (one, two));
    let again = at("1.1b");
    assert!(again != one && again != two);
    assert_eq!(numbers.slots(HERE), [again]);
    assert_eq!(numbers.begin(HERE), [again]);
}

#[test]
fn what_is_held_back_at_the_end_is_given_up_with_the_books_of_its_connection() {
    let mut numbers = SequenceTracker::of(crate::venue::kalshi::feed(false)).unwrap();
    let mut classify = |word: &str| numbers.classify(&of(word), AT, false, 1);
    let (one, two) = (classify("1.1").slot, classify("2.1").slot);
    classify("1.2");
    assert!(classify("1.1").held);
    let (held, slots) = numbers.discard_held();
    assert_eq!((held.len(), &*held[0].frame), (1, &*of("1.1")));
    assert_eq!(slots, [one, two, HERE]);
    assert!(!numbers.holds());
    // A session longer than the stored fingerprints, repeated as a whole.
    let last = REPEATS_KNOWN as u64 + 9;
    let mut classify = |seq: u64| numbers.classify(&of(&format!("7.{seq}")), AT, false, 1);
    (1..=last).for_each(|seq| assert!(classify(seq).stale_slots.is_empty()));
    (1..=REPEATS_KNOWN as u64).for_each(|seq| assert!(classify(seq).held, "{seq}"));
    assert_eq!(classify(REPEATS_KNOWN as u64 + 1).released.len(), REPEATS_KNOWN);
}
