//! Members within bounds.
use super::*;

#[test]
fn members_are_kept_as_sent_within_bounds() {
    let mut members = String::new();
    let mut push = |name: &str, json: &str| {
        push_member(&mut members, name, &sonic_rs::from_str(json).unwrap());
    };
    push("a", r#""x \u00e9""#);
    push("b", "null");
    push("c", r#"{"rate":0.050}"#);
    push("d", &format!("\"{}\"", "x".repeat(MEMBER_BYTES_MAX)));
    assert_eq!(members, r#""a":"x \u00e9","c":{"rate":0.050}"#);
    for _ in 0..1_000 {
        push_member(&mut members, "e", &sonic_rs::from_str("\"0123456789\"").unwrap());
    }
    assert!(members.len() <= MEMBERS_BYTES_MAX);
}
