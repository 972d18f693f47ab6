//! Claims to fences.
use super::*;

const SLICE: u8 = 17;

fn claim(slices: &mut Slices, engine: &str, group: &str, state: &str, offset: i64, at_ns: u64) {
    let text = format!(
        r#"{{"kind":"slice","slice":{SLICE},"engine":"{engine}","group":"{group}","state":"{state}","receive_time":1}}"#
    );
    slices.on_claim(&Claim::parse(&text).unwrap(), offset, at_ns);
}

#[test]
fn the_newest_live_claim_of_a_group_fences_older_ones() {
    let mut slices = Slices::default();
    let fence =
        |slices: &Slices, engine: &str, at_ns: u64| slices.fence(&engine.into(), SLICE, at_ns);
    assert_eq!(fence(&slices, "a", 0), Fence::Open, "in no cluster");
    claim(&mut slices, "a", "g", "taken", 1, 0);
    claim(&mut slices, "a", "g", "live", 2, 1);
    claim(&mut slices, "c", "h", "live", 3, 2);
    claim(&mut slices, "b", "g", "taken", 4, 3);
    for engine in ["a", "b", "c", "other"] {
        assert_eq!(fence(&slices, engine, u64::MAX), Fence::Open, "{engine}");
    }
    claim(&mut slices, "b", "g", "live", 5, 10);
    assert_eq!(fence(&slices, "a", 9 + BUS_FENCE_NS), Fence::Fenced);
    assert_eq!(fence(&slices, "a", 10 + BUS_FENCE_NS), Fence::Late);
    for engine in ["b", "c", "other"] {
        assert_eq!(fence(&slices, engine, u64::MAX), Fence::Open, "{engine}");
    }
    // A member of the group whose claims on this slice are gone.
    slices.groups.insert("d".into(), "g".into());
    assert_eq!(fence(&slices, "d", u64::MAX), Fence::Late);
    // Taken back: until it is live, both are taken.
    claim(&mut slices, "a", "g", "taken", 6, 20);
    assert_eq!(fence(&slices, "a", u64::MAX), Fence::Open);
    assert_eq!(fence(&slices, "b", u64::MAX), Fence::Open);
    claim(&mut slices, "a", "g", "live", 7, 30);
    assert_eq!(fence(&slices, "b", u64::MAX), Fence::Late);
    claim(&mut slices, "a", "g", "released", 8, 40);
    assert_eq!(fence(&slices, "b", u64::MAX), Fence::Open, "there is no owner");
    // Read again, in another order.
    claim(&mut slices, "a", "g", "live", 7, 50);
    assert_eq!(fence(&slices, "b", u64::MAX), Fence::Open);
}
