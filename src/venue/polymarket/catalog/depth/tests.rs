//! Brackets within strings and outside.
use super::too_deep;

#[test]
fn brackets_count_outside_of_strings_only() {
    assert_eq!(too_deep(br#"{"a":[1,{"b":"[[[[\"[[["}]}"#, 3), None);
    assert_eq!(too_deep(br#"{"a":[1,{"b":2}]}"#, 2), Some(8));
    assert_eq!(too_deep(b"[[],[],[]]]]][[", 2), None);
    assert_eq!(too_deep(br#"["\\",[[["#, 2), Some(7));
}
