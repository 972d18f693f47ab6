//! Decoded queries and added members.
use super::*;

#[test]
fn values_of_a_query_are_decoded() {
    let all: Vec<_> = pairs("a=1&b=x%20y+z&&c&d=%zz%4&e=%ff").collect();
    let texts: Vec<_> = all.iter().map(|(key, value)| (*key, &**value)).collect();
    let wanted = [("a", "1"), ("b", "x y z"), ("c", ""), ("d", "%zz%4"), ("e", "%ff")];
    assert_eq!(texts, wanted);
}

#[test]
fn members_that_are_missing_are_added() {
    let mut out = String::new();
    let members = r#""title":"x \"note\":","rules":"""#;
    push_missing(&mut out, members, &[("title", "0"), ("note", "1"), ("rule", "2")]);
    assert_eq!(out, r#","note":1,"rule":2"#);
}
