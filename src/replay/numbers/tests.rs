//! Sessions, repetitions and holes in recordings that no engine made, as a table.
use super::*;

const HERE: ConnectionSlot = ConnectionSlot(3);
const NOW: (u64, Place) = (7, Place { file: 0, line: 1, offset: 0 });

fn frame(kind: &str, sid: Option<u64>, seq: Option<u64>, msg: &str) -> String {
    let sid = sid.map_or(String::new(), |sid| format!(r#","sid":{sid}"#));
    let seq = seq.map_or(String::new(), |seq| format!(r#","seq":{seq}"#));
    format!(r#"{{"type":"{kind}"{sid}{seq},"msg":{msg}}}"#)
}

/// A recording in short: `s1` is the acknowledgement of subscription 1 of books, `t2` of trades, `1.5` message 5
/// of subscription 1, `1.5b` another message with that number, `-.5` one without subscription, `e25` an error,
/// `e25/1` one of subscription 1, `u1.7` the end of subscription 1.
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

/// What is found of each, in short: `.` the next one, `=` a repetition, `+n` n are missing; `!` where books of before
/// are over, `@` where a session begins anew. `?` is held back; in front of what tells what that was, as many `^` as
/// are to be applied now, or `=` as had been there.
fn found(recording: &str) -> String {
    let mut numbers = Numbers::of(crate::venue::kalshi::feed(false)).unwrap();
    let look = |word: &str| {
        let found = numbers.look(&of(word), HERE, false, 1, NOW);
        let verdict = match found.verdict {
            _ if found.held => "?".to_owned(),
            Verdict::Next => ".".to_owned(),
            Verdict::Duplicate => "=".to_owned(),
            Verdict::Hole(missing) => format!("+{missing}"),
        };
        let (over, restarted) = (!found.over.is_empty(), found.restarted);
        let before = "=".repeat(found.repeated.len()) + &"^".repeat(found.released.len());
        let (restarted, over) = (if restarted { "@" } else { "" }, if over { "!" } else { "" });
        format!("{before}{restarted}{over}{verdict}")
    };
    recording.split(' ').map(look).collect::<Vec<_>>().join(" ")
}

#[test]
fn sessions_repetitions_and_holes_are_told_apart() {
    for (recording, expected) in [
        ("s1 1.1 1.2 1.3", ". . . ."),
        ("1.70 1.71 1.73 1.74", ". . +1 ."),
        // Again: by its acknowledgement, by its first number, by another message with a known number.
        ("s1 1.1 1.2 s1 1.1 1.2", ". . . @!. . ."),
        ("1.1 1.2 1.3 1.1b 1.2b", ". . . @!. ."),
        // The very first message again: of the next session of a quiet market, if the second one follows.
        ("1.1 1.2 1.3 1.1 1.2b 1.3b", ". . . ? ^@!. ."),
        ("1.1 1.2 1.3 1.1 1.2 1.3b 1.4", ". . . ? ? ^^@!. ."),
        ("1.1 1.2 1.3 1.1 1.2 1.3 1.4", ". . . ? ? ? ^^^@!."),
        // Late, if the session goes on; neither, if nothing fits: the books are stale.
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
        // A message that came twice is dropped, and costs no book.
        ("1.1 1.2 1.2 1.3", ". . = ."),
        ("1.7 1.8 1.9 1.8 1.9 1.10", ". . . = = ."),
        // Late is not proven to be the same.
        ("1.7 1.9 1.8 1.10", ". +1 @!. +1"),
        // Without subscription.
        ("-.1 -.2 -.5", ". . +2"),
        ("-.1 -.2 -.1b -.2b", ". . @!. ."),
        ("s1 -.1 -.2 s1 -.1", ". . . @!. ."),
        // The same channel under another number.
        ("s1 1.1 1.2 s2 2.1", ". . . !. ."),
        // What comes twice of one that ended; another with its number.
        ("s1 1.1 1.2 u1.3 s2 2.1 1.2 u1.3 2.2", ". . . !. . . = = ."),
        ("s1 1.1 u1.2 s1 1.1", ". . !. . ."),
        ("s1 1.1 u1.2 s2 2.1 1.1b", ". . !. . . @!."),
        // Ended by us, or by the venue.
        ("s1 1.1 u1.2 s2 2.1", ". . !. . ."),
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
        let mut numbers = Numbers::of(crate::venue::kalshi::feed(false)).unwrap();
        let look = |frame: &String| numbers.look(frame, HERE, false, 1, NOW).broken;
        frames.iter().map(look).collect::<Vec<_>>()
    };
    for foreign in ["9.1", "9.57", "-.1", "-.3", "-.57"] {
        let frames = [snapshot(1, 1), of("1.2"), of(foreign), of("1.3")];
        assert_eq!(broken(&frames), [false, false, true, false], "{foreign}");
    }
    // A recording that begins in the middle, one whose subscription was replaced, and what comes late of that.
    assert_eq!(broken(&["1.70", "2.9", "-.4"].map(of)), [false; 3]);
    let replaced = [of("s1"), snapshot(1, 1), of("u1.2"), of("s2"), of("2.1"), of("1.7")];
    assert_eq!(broken(&replaced), [false; 6]);
    let mut numbers = Numbers::of(crate::venue::kalshi::feed(false)).unwrap();
    let mut look = |frame: &str| numbers.look(frame, HERE, true, 1, NOW).verdict;
    let frames = [of("s1"), snapshot(1, 1), of("9.1"), of("-.1"), of("1.2")];
    let [next, hole] = [Verdict::Next, Verdict::Hole(0)];
    assert_eq!(frames.each_ref().map(|frame| look(frame)), [next, next, hole, hole, next]);
}

#[test]
fn an_engines_capture_says_itself_where_sessions_begin() {
    let mut numbers = Numbers::of(crate::venue::kalshi::feed(false)).unwrap();
    let mut look = |word: &str| {
        let found = numbers.look(&of(word), HERE, true, 1, NOW);
        (found.slot, found.verdict, !found.over.is_empty())
    };
    assert_eq!(look("s1"), (HERE, Verdict::Next, false));
    assert_eq!(look("1.1"), (HERE, Verdict::Next, false));
    assert_eq!(look("1.2"), (HERE, Verdict::Next, false));
    assert_eq!(look("1.1b"), (HERE, Verdict::Duplicate, false), "as the live shard had it");
    assert_eq!(look("e25/2"), (HERE, Verdict::Next, false), "of another subscription");
    assert_eq!(look("e99"), (HERE, Verdict::Next, false), "the live shard went on");
    assert_eq!(look("e25/1"), (HERE, Verdict::Next, true));
    assert_eq!(numbers.begin(HERE), []);
}

#[test]
fn places_are_one_for_each_subscription_and_fresh_in_each_session() {
    let mut numbers = Numbers::of(crate::venue::kalshi::feed(false)).unwrap();
    let mut at = |word: &str| numbers.look(&of(word), HERE, false, 1, NOW).slot;
    let (one, two) = (at("1.1"), at("2.1"));
    assert!(one != two && one != HERE);
    assert_eq!((at("1.2"), at("2.2")), (one, two));
    let again = at("1.1b");
    assert!(again != one && again != two);
    assert_eq!(numbers.places(HERE), [again]);
    assert_eq!(numbers.begin(HERE), [again]);
}

#[test]
fn what_is_held_back_at_the_end_is_given_up_with_the_books_of_its_connection() {
    let mut numbers = Numbers::of(crate::venue::kalshi::feed(false)).unwrap();
    let mut look = |word: &str| numbers.look(&of(word), HERE, false, 1, NOW);
    let (one, two) = (look("1.1").slot, look("2.1").slot);
    look("1.2");
    assert!(look("1.1").held);
    let (held, places) = numbers.give_up();
    assert_eq!((held.len(), &*held[0].frame), (1, &*of("1.1")));
    assert_eq!(places, [one, two, HERE]);
    assert!(!numbers.holds());
    // More messages of a session than are known, and all of them again.
    let last = REPEATS_KNOWN as u64 + 9;
    let mut look = |seq: u64| numbers.look(&of(&format!("7.{seq}")), HERE, false, 1, NOW);
    (1..=last).for_each(|seq| assert!(look(seq).over.is_empty()));
    (1..=REPEATS_KNOWN as u64).for_each(|seq| assert!(look(seq).held, "{seq}"));
    assert_eq!(look(REPEATS_KNOWN as u64 + 1).released.len(), REPEATS_KNOWN);
}
