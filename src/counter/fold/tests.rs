//! Health of one venue of two.
use super::*;

#[test]
fn nothing_to_follow_is_a_fault_only_if_it_is_so_everywhere() {
    let venue = |idle: Option<&str>, in_grace| HealthReport {
        healthy: true,
        in_grace,
        idle: idle.map(str::to_owned),
        ..HealthReport::default()
    };
    let settled = |mut mine: HealthReport, other| {
        mine.fold(other);
        mine.settle();
        (mine.healthy, mine.reasons, mine.notices)
    };
    for pair in [[Some("x"), None], [None, Some("x")], [None, None]] {
        let [mine, other] = pair.map(|idle| venue(idle, false));
        assert_eq!(settled(mine, other), (true, vec![], vec![]), "{pair:?}");
    }
    let both = || (venue(Some("x"), false), venue(Some("y"), false));
    let (mine, other) = both();
    assert_eq!(settled(mine, other), (false, vec!["x; y".into()], vec![]));
    let (mut mine, other) = both();
    mine.in_grace = true;
    assert_eq!(settled(mine, other), (true, vec![], vec!["x; y".into()]));
    let (mut mine, other) = both();
    mine.reasons.push("z".into());
    assert_eq!(settled(mine, other), (false, vec!["z".into()], vec![]));
}
