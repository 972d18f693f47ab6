//! Steps and gaps of a curve.
use super::*;

#[test]
fn a_value_stays_until_the_next_step_and_a_gap_lifts_the_pen() {
    let x = Scale::between(0.0, 10.0, 5.0, (0.0, 100.0));
    let y = Scale::between(0.0, 1.0, 5.0, (50.0, 0.0));
    let steps = [(1.0, Some(0.5)), (2.0, Some(1.0)), (3.0, None), (5.0, Some(0.0))];
    assert_eq!(step_path(&steps, 9.0, &x, &y), "M10 25H20V0H30M50 50H90");
    assert_eq!(step_path(&[(1.0, None)], 9.0, &x, &y), "");
    let area = step_area(&steps[1..], 9.0, &x, &y);
    assert_eq!(area, "M20 50V0H30V50zM50 50V50H90V50z");
}
