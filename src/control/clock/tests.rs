//! A clock that is behind, and right again.
use super::*;

#[test]
fn a_clock_behind_is_reported_once_until_it_is_right_again() {
    let mut check = HostClockCheck::default();
    let mut logged = |offsets: &[Option<i64>]| {
        let line = check.on_offsets(offsets.iter().copied(), "polymarket");
        (line.is_some(), check.line("polymarket").unwrap_or_default())
    };
    assert_eq!(logged(&[None, None]), (false, String::new()));
    assert_eq!(logged(&[Some(-2_000), None]), (false, String::new()), "as far as a clock may err");
    let (now, line) = logged(&[Some(-10_040), None]);
    assert!(now && line.starts_with("host clock is 10 s behind the venue's: "), "{line}");
    assert!(line.ends_with("run chrony"), "{line}");
    let (now, line) = logged(&[Some(-599_900), Some(-600_020)]);
    assert!(!now && line.starts_with("host clock is 600 s behind"), "{line}");
    assert_eq!(
        logged(&[Some(-600_000), Some(20)]),
        (false, String::new()),
        "one shard sees no such thing"
    );
    assert!(logged(&[Some(-10_000)]).0, "again");
    assert_eq!(logged(&[Some(-1_990)]), (false, String::new()));
    assert!(!logged(&[Some(-2_010)]).0, "about the bound it is logged once");
}
