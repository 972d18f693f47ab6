//! JSON of commands.
use super::*;

#[test]
fn messages_are_the_documented_ones() {
    let tokens = [TokenId::new("12").unwrap(), TokenId::new("34").unwrap()];
    assert_eq!(
        first_message(&tokens, true),
        r#"{"assets_ids":["12","34"],"type":"market","initial_dump":true,"custom_feature_enabled":true}"#
    );
    assert_eq!(
        first_message(&[], false),
        r#"{"assets_ids":[],"type":"market","initial_dump":true}"#
    );
    assert_eq!(
        subscribe(&tokens[..1], true),
        r#"{"operation":"subscribe","assets_ids":["12"],"custom_feature_enabled":true}"#
    );
    assert_eq!(books_body(&tokens), r#"[{"token_id":"12"},{"token_id":"34"}]"#);
    assert_eq!(books_body(&[]), "[]");
    assert_eq!(unsubscribe(&tokens), r#"{"operation":"unsubscribe","assets_ids":["12","34"]}"#);
}
