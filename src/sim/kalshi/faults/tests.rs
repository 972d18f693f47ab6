//! Faults on one connection, as often as asked for.
use super::*;

#[test]
fn faults_are_done_where_they_were_meant_and_as_often() {
    let mut faults = Faults::default();
    faults.note("lost", Some(3), 1, 0);
    faults.note("lost", None, 2, 0);
    assert_eq!(faults.due("doubled", 0, true), None);
    assert_eq!(faults.due("lost", 1, false), None, "it was not meant here");
    assert!(faults.due("lost", 1, true).is_some());
    assert!(faults.due("lost", 3, false).is_some());
    assert_eq!(faults.due("lost", 3, false), None);
    assert!(faults.due("lost", 0, true).is_some());
    assert_eq!(faults.due("lost", 0, true), None);
    assert_eq!(faults.done["lost"], 3);
}
