//! Ranges and speeds that clients ask for, and how many replays run.
use super::*;
use crate::base::time::SECOND_NS;

const HOUR: u64 = 3_600 * SECOND_NS;
/// 2026-11-27T07:00:00Z
const SEVEN: u64 = 1_795_762_800 * SECOND_NS;

fn recorded() -> Recorded {
    Recorded::of_two_hours(SEVEN)
}

fn sessions(from_ns: Option<u64>) -> Sessions {
    let defaults = Defaults { from_ns, to_ns: None, speed: Speed::Times(1.0) };
    Sessions::new(vec![recorded()], defaults, Settings::default(), 2)
}

fn asked(from: &str, to: &str, speed: &str) -> AskedRange {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    AskedRange { from: given(from), to: given(to), speed: given(speed) }
}

#[test]
fn a_client_chooses_range_and_speed_or_gets_the_defaults() {
    let recorded = recorded();
    let range = |from: &str, to: &str, speed: &str| {
        sessions(Some(SEVEN + 1)).asked(&recorded, &asked(from, to, speed))
    };
    assert_eq!(range("", "", ""), Ok((SEVEN + 1..u64::MAX, Speed::Times(1.0))));
    let half_past = SEVEN + HOUR / 2;
    let both = range("2026-11-27T07:30:00Z", "2026-11-27T09:00:00+01:00", "max");
    assert_eq!(both, Ok((half_past..SEVEN + HOUR, Speed::Max)));
    assert_eq!(range("", "", "10").unwrap().1, Speed::Times(10.0));
    assert_eq!(range("", "", "2.5x").unwrap().1, Speed::Times(2.5));
    assert_eq!(range(&half_past.to_string(), "", "").unwrap().0, half_past..u64::MAX);
}

#[test]
fn what_is_no_range_is_refused_with_one_line() {
    let recorded = recorded();
    let refused = |from: &str, to: &str, speed: &str| {
        sessions(None).asked(&recorded, &asked(from, to, speed)).unwrap_err()
    };
    assert!(refused("noon", "", "").starts_with("from=: expected a time such as"));
    assert!(refused("", "noon", "").starts_with("to=: "));
    for speed in ["0", "-1", "fast", "1e3"] {
        assert!(refused("", "", speed).starts_with("speed=: use `max`"), "{speed}");
    }
    assert_eq!(refused("8", "7", ""), "from= must be before to=");
    assert_eq!(
        refused("2026-11-28T00:00:00Z", "", ""),
        "nothing was recorded then; the capture has 2026-11-27T07:00:00.000Z to 2026-11-27T09:00:00.000Z"
    );
    assert!(refused("", "2026-11-26T00:00:00Z", "").starts_with("nothing was recorded"));
}

#[test]
fn replays_are_bounded() {
    let count = Arc::default();
    let first = Running::begin(&count, 2);
    let second = Running::begin(&count, 2);
    assert!(first.is_some() && second.is_some() && Running::begin(&count, 2).is_none());
    drop(first);
    assert!(Running::begin(&count, 2).is_some());
}
