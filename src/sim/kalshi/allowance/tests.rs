//! Tokens over time.
use super::*;

#[test]
fn tokens_come_back_with_time_and_never_pile_up() {
    let mut three = Allowance::of_commands(3).unwrap();
    let taken = |from: &mut Allowance, at| (0..9).filter(|_| from.take(at, 1.0)).count();
    assert_eq!(taken(&mut three, 0), 3);
    assert_eq!(taken(&mut three, 300), 0);
    assert_eq!(taken(&mut three, 700), 2);
    assert_eq!(taken(&mut three, 60_000), 3, "a minute of silence is no more than a second");
    assert!(Allowance::of_commands(0).is_none());
}
