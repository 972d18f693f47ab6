//! Lines and their conditions.
use super::*;
use crate::counter::bus::BusReport;
use crate::counter::bus_source::BusSourceReport;
use crate::counter::capture::CaptureReport;
use crate::counter::cluster::ClusterReport;
use crate::counter::trades::TradeReport;

#[test]
fn a_line_is_an_instance_of_its_condition_only() {
    let of = |line| condition_of(line).unwrap_or("");
    assert_eq!(of("stopping"), "stopping");
    assert_eq!(of("3 of 40 books are not live"), "{stale} of {held} books are not live");
    assert_eq!(of("no market is followed: x (2 such names)"), "no market is followed: {why}");
    let at = at_venue("venue", "3 of 40 books are not live");
    assert_eq!((at.as_str(), of(&at)), ("venue: 3 of 40 books are not live", of(&at[7..])));
    for unknown in ["stopping now", "3 of 40 books are not live yet", "", "the moon is full"] {
        assert_eq!(condition_of(unknown), None, "{unknown}");
    }
}

#[test]
fn what_trades_and_captures_report_is_declared() {
    let trades = TradeReport {
        store: "sqlite:a.db".into(),
        journal: "a.journal".into(),
        ..TradeReport::default()
    };
    let down = TradeReport { error: "locked".into(), down_since_wall_ns: 1, ..trades.clone() };
    let lost = TradeReport { lost: 2, ..trades.clone() };
    let failed = TradeReport { error: "no space left".into(), ..trades.clone() };
    let capture = CaptureReport { folder: "c".into(), ..CaptureReport::default() };
    let full = CaptureReport {
        failing_since_wall_ns: 1,
        error: "no space left".into(),
        ..capture.clone()
    };
    let holed = CaptureReport { lost: 3, loss: "the file was cut".into(), ..capture.clone() };
    let both = CaptureReport { lost: 3, ..full.clone() };
    let lines = [down, lost, failed].into_iter().map(|report| report.trouble(9));
    let lines = lines.chain([full, holed, both].into_iter().map(|report| report.trouble(9)));
    let away = BusReport { down_since_wall_ns: 1, ..BusReport::default() };
    let missing = BusReport { trades_lost: 3, ..BusReport::default() };
    let neither = BusReport { trades_lost: 3, error: "refused".into(), ..away.clone() };
    let lines = lines.chain([away, missing, neither].into_iter().map(|bus| bus.trouble(9)));
    let nobody = BusSourceReport::default();
    let unread = BusSourceReport { error: "refused".into(), ..nobody.clone() };
    let lines = lines.chain([nobody, unread].into_iter().map(|source| source.trouble()));
    let lines = lines.chain([ClusterReport::default().trouble()]);
    let lines: Vec<String> = lines.flatten().collect();
    assert_eq!(lines.len(), 12);
    for line in lines {
        assert!(condition_of(&line).is_some(), "{line}");
    }
}
