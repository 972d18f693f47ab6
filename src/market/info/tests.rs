//! States of a market over time.
use super::*;

#[test]
fn a_market_is_known_before_it_opens_and_ends_before_it_is_decided() {
    use MarketStage::{Ended, New, Opened, Resolved};
    for (before, now, steps) in [
        (None, New, &[New][..]),
        (None, Opened, &[New, Opened]),
        (None, Ended, &[New, Ended]),
        (None, Resolved, &[New, Ended, Resolved]),
        (Some(New), Opened, &[Opened]),
        (Some(Opened), Opened, &[]),
        (Some(Opened), New, &[]),
        (Some(Opened), Ended, &[Ended]),
        (Some(Opened), Resolved, &[Ended, Resolved]),
        (Some(Ended), Resolved, &[Resolved]),
        (Some(Ended), Opened, &[Opened]),
        (Some(Resolved), Ended, &[]),
        (Some(Resolved), Resolved, &[]),
    ] {
        assert_eq!(MarketStage::steps(before, now), steps, "{before:?} {now:?}");
    }
}
