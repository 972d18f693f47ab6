//! One member step by step, claims, and the status of a cluster.
mod simulation;

use super::catalog::{CatalogRole, CatalogWatch};
use super::claim::{CatalogScan, Claim, ClaimState};
use super::overview::Overview;
use super::{Member, Members};
use crate::base::slices::SliceSet;
use crate::base::time::SECOND_NS;

fn set(slices: &[u8]) -> SliceSet {
    slices.iter().copied().collect()
}

/// No slice is live.
fn nothing() -> SliceSet {
    SliceSet::default()
}

/// A member that has slice 7, live, at second 0.
fn owner() -> Member {
    let mut member = Member::default();
    member.on_assigned(set(&[7]));
    assert_eq!(member.poll(nothing(), 0), [(7, ClaimState::Taken)]);
    assert_eq!(member.poll(set(&[7]), 0), [], "the claim is on its way");
    member.on_claim(7, true, ClaimState::Taken, 0);
    assert_eq!(member.poll(set(&[7]), 0), [(7, ClaimState::Live)]);
    member.on_claim(7, true, ClaimState::Live, 0);
    assert_eq!(member.poll(set(&[7]), 0), []);
    member
}

#[test]
fn a_claim_is_read_as_it_was_written() {
    let claim = Claim {
        slice: 17,
        engine: "east-1".into(),
        group: "fleet.east".into(),
        state: ClaimState::Live,
        receive_time: 12,
    };
    let text = claim.text();
    assert_eq!(
        text,
        r#"{"kind":"slice","slice":17,"engine":"east-1","group":"fleet.east","state":"live","receive_time":12}"#
    );
    assert_eq!((Claim::parse(&text), &*claim.key()), (Ok(claim.clone()), "fleet.east/17"));
    for text in ["", "{}", r#"{"slice":256}"#, &text.replace("live", "lively")] {
        assert!(Claim::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_scan_of_the_catalog_is_read_as_it_was_written() {
    let scan = CatalogScan { engine: "east-1".into(), group: "fleet".into(), scan_time: 12 };
    let text = scan.text();
    let expected = r#"{"kind":"catalog","engine":"east-1","group":"fleet","scan_time":12}"#;
    assert_eq!((&*text, &*scan.key()), (expected, "fleet/catalog"));
    assert!(CatalogScan::parse(&text) == Some(scan.clone()) && Claim::parse(&text).is_err());
    let claim =
        r#"{"kind":"slice","slice":0,"engine":"e","group":"g","state":"live","receive_time":0}"#;
    assert!(Claim::parse(claim).is_ok() && CatalogScan::parse(claim).is_none());
}

#[test]
fn the_owner_of_the_first_slice_scans_and_the_others_read() {
    let (mut owner, mut other) = (CatalogWatch::new(0), CatalogWatch::new(0));
    for second in 0..1_000 {
        let now_ns = second * SECOND_NS;
        other.on_read(now_ns);
        if second % 60 == 59 {
            other.on_scan(now_ns);
        }
        let role = if second < 2 { CatalogRole::Read } else { CatalogRole::Scan };
        assert_eq!(owner.role(second >= 2, now_ns), role, "{second}");
        assert_eq!(other.role(false, now_ns), CatalogRole::Read, "{second}");
    }
}

#[test]
fn a_member_that_finds_no_broker_or_hears_of_no_scan_scans_itself() {
    let alone = |seconds: u64| CatalogRole::Alone(seconds * SECOND_NS);
    let mut watch = CatalogWatch::new(0);
    assert_eq!(watch.role(false, 9 * SECOND_NS), CatalogRole::Read);
    assert_eq!(watch.role(false, 10 * SECOND_NS), alone(10), "no broker");
    // It answers, and nobody has scanned for an hour.
    watch.on_read(20 * SECOND_NS);
    assert_eq!(watch.role(false, 79 * SECOND_NS), CatalogRole::Read);
    assert_eq!(watch.role(false, 80 * SECOND_NS), alone(80));
    watch.on_scan(90 * SECOND_NS);
    watch.on_scan(30 * SECOND_NS);
    assert_eq!(watch.role(false, 269 * SECOND_NS), CatalogRole::Read, "three intervals");
    assert_eq!(watch.role(false, 270 * SECOND_NS), alone(180));
}

#[test]
fn a_former_owner_scans_until_the_next_one_does() {
    let mut watch = CatalogWatch::new(0);
    watch.on_scan(SECOND_NS);
    assert_eq!(watch.role(true, 100 * SECOND_NS), CatalogRole::Scan);
    assert_eq!(watch.role(false, 101 * SECOND_NS), CatalogRole::Scan, "the scan was before");
    let mut left = watch;
    assert_eq!(left.role(false, 280 * SECOND_NS), CatalogRole::Alone(180 * SECOND_NS));
    watch.on_scan(102 * SECOND_NS);
    assert_eq!(watch.role(false, 103 * SECOND_NS), CatalogRole::Read);
    assert_eq!(watch.role(true, 104 * SECOND_NS), CatalogRole::Scan);
}

#[test]
fn a_revoked_slice_is_followed_until_it_is_live_elsewhere() {
    let mut member = owner();
    member.on_revoked(set(&[7]), false);
    member.poll(nothing(), 60 * SECOND_NS);
    assert_eq!(member.published(), set(&[7]), "nobody has claimed it");
    member.on_claim(7, false, ClaimState::Taken, 60 * SECOND_NS);
    member.poll(nothing(), 89 * SECOND_NS);
    assert_eq!(member.followed(), set(&[7]));
    member.on_claim(7, false, ClaimState::Live, 89 * SECOND_NS);
    member.poll(nothing(), 90 * SECOND_NS);
    assert_eq!(member.followed(), set(&[7]), "both for a moment");
    assert_eq!(member.poll(nothing(), 91 * SECOND_NS), []);
    assert_eq!(member.followed(), nothing());
    // It comes back.
    member.on_assigned(set(&[7]));
    assert_eq!(member.poll(nothing(), 100 * SECOND_NS), [(7, ClaimState::Taken)]);
}

#[test]
fn a_claim_that_never_becomes_live_ends_the_former_owner_after_30_seconds() {
    let mut member = owner();
    member.on_revoked(set(&[7]), false);
    member.on_claim(7, false, ClaimState::Taken, SECOND_NS);
    member.poll(nothing(), 30 * SECOND_NS);
    assert_eq!(member.followed(), set(&[7]));
    member.poll(nothing(), 31 * SECOND_NS);
    assert_eq!(member.followed(), nothing());
}

#[test]
fn a_slice_whose_books_are_late_is_reported_live_before_its_former_owner_ends() {
    let mut member = Member::default();
    member.on_assigned(set(&[7]));
    member.poll(nothing(), 0);
    member.on_claim(7, true, ClaimState::Taken, SECOND_NS);
    assert_eq!(member.poll(nothing(), 24 * SECOND_NS), []);
    assert_eq!(member.poll(nothing(), 25 * SECOND_NS), [(7, ClaimState::Live)]);
}

#[test]
fn a_lost_slice_is_kept_for_local_users_and_not_published() {
    let mut member = owner();
    member.on_revoked(set(&[7]), true);
    assert_eq!(member.poll(set(&[7]), 99 * SECOND_NS), []);
    assert_eq!((member.followed(), member.published()), (set(&[7]), nothing()));
    // Assigned again: claimed anew, with a higher epoch.
    member.on_assigned(set(&[7]));
    assert_eq!(member.poll(set(&[7]), 100 * SECOND_NS), [(7, ClaimState::Taken)]);
    assert_eq!(member.published(), set(&[7]));
}

#[test]
fn an_owner_that_was_overtaken_claims_again_only_if_it_stays_the_owner() {
    let mut member = owner();
    member.on_claim(7, false, ClaimState::Taken, SECOND_NS);
    assert_eq!(member.poll(set(&[7]), 5 * SECOND_NS), []);
    assert_eq!(member.poll(set(&[7]), 6 * SECOND_NS), [(7, ClaimState::Taken)]);
    let mut member = owner();
    member.on_claim(7, false, ClaimState::Taken, SECOND_NS);
    member.on_revoked(set(&[7]), false);
    assert_eq!(member.poll(set(&[7]), 6 * SECOND_NS), []);
}

#[test]
fn a_claim_is_sent_again_until_it_is_there() {
    let mut member = Member::default();
    member.on_assigned(set(&[7]));
    assert_eq!(member.poll(nothing(), 0).len(), 1);
    member.on_claim_failed(7);
    assert_eq!(member.poll(nothing(), 1).len(), 1);
    assert_eq!(member.poll(nothing(), 4 * SECOND_NS).len(), 0);
    assert_eq!(member.poll(nothing(), 6 * SECOND_NS), [(7, ClaimState::Taken)]);
}

#[test]
fn a_member_leaves_when_others_have_its_slices_and_at_once_when_it_is_alone() {
    let mut member = owner();
    assert!(!member.has_left(0));
    member.leave(0);
    assert!(member.has_left(0));
    assert_eq!(member.claimed(), set(&[7]), "to be released");
    let mut member = owner();
    member.on_claim(8, false, ClaimState::Live, 0);
    member.leave(0);
    member.on_assigned(set(&[9]));
    assert!(member.assigned().is_empty(), "the broker has yet to learn of it");
    assert!(!member.has_left(29 * SECOND_NS) && member.has_left(30 * SECOND_NS));
    member.on_claim(7, false, ClaimState::Live, SECOND_NS);
    member.poll(nothing(), 3 * SECOND_NS);
    assert!(member.has_left(3 * SECOND_NS) && member.claimed().is_empty());
}

#[test]
fn members_of_all_racks_count_until_they_can_have_no_connection_left() {
    let mut members = Members::default();
    let mut count = |engine: &str, rack: &str, state, own: &str, second: u64| {
        let group = format!("fleet.{rack}").into();
        let claim = Claim { slice: 17, engine: engine.into(), group, state, receive_time: 0 };
        members.on_claim(&claim, second * SECOND_NS);
        let count = |second: u64| members.count(own, second * SECOND_NS);
        [second, second + 29, second + 30].map(count)
    };
    assert_eq!(count("a", "east", ClaimState::Live, "a", 0), [1; 3]);
    assert_eq!(count("a", "east", ClaimState::Live, "b", 0), [2; 3], "the joiner is none yet");
    assert_eq!(count("c", "west", ClaimState::Taken, "a", 0), [2; 3]);
    assert_eq!(count("b", "east", ClaimState::Taken, "c", 9), [3, 3, 2], "a has left");
    assert_eq!(count("b", "east", ClaimState::Released, "c", 60), [2, 2, 1]);
}

#[test]
fn the_claims_of_all_members_are_the_status_of_a_cluster() {
    let mut overview = Overview::default();
    let mut claim = |slices: std::ops::RangeInclusive<u8>, engine: &str, group: &str, state| {
        for slice in slices {
            let (engine, group) = (engine.into(), group.into());
            overview.on_claim(&Claim { slice, engine, group, state, receive_time: 0 });
        }
        overview.clone()
    };
    claim(0..=255, "a", "fleet.x", ClaimState::Taken);
    claim(0..=255, "a", "fleet.x", ClaimState::Live);
    let mut moving = claim(200..=255, "b", "fleet.x", ClaimState::Taken);
    let event = |engine: &str, state: &str| {
        format!(r#"{{"kind":"engine","engine":"{engine}","epoch":1,"state":"{state}"}}"#)
    };
    moving.on_event(&event("a", "running"));
    assert!(!moving.is_complete(), "b");
    moving.on_event(&event("b", "running"));
    let status = moving.status("fleet", 1);
    assert!(moving.is_complete() && status.is_well, "{status:?}");
    assert_eq!(
        status.lines,
        [
            "group fleet.x: 2 members run, 256 of 256 slices have a live owner, 56 are moving",
            "  a: 200 live, 0 being opened",
            "  b: 0 live, 56 being opened",
            "an account's connections: 1/3 for each of 2 members",
        ]
    );
    assert!(!moving.status("fleet", 2).is_well, "one rack is missing");
    assert!(!moving.status("flee", 1).is_well, "another cluster");
    // The former owner ends before the new one is live.
    moving.on_event(&event("a", "stopped"));
    let status = moving.status("fleet", 1);
    assert_eq!(status.lines[3], "  without a live owner: 256 slices: 0 1 2 3 4 5 6 7 …");
    assert!(!status.is_well);
    let mut left = claim(0..=255, "a", "fleet.x", ClaimState::Released);
    left.on_event(&event("a", "running"));
    assert!(!left.status("fleet", 1).is_well);
}
