//! Messages of clients.
use super::*;

#[test]
fn messages_are_distinguished() {
    let first = br#"{"assets_ids":["1","2"],"type":"market","initial_dump":true,"level":2}"#;
    let initial = parse_initial(first).unwrap();
    assert_eq!(initial.tokens, ["1", "2"]);
    assert!(initial.dump && !initial.custom);
    assert!(parse_update(first).is_none());
    assert!(parse_initial(br#"{"assets_ids":[],"type":"market"}"#).is_none());
    let discovery = br#"{"assets_ids":[],"type":"market","custom_feature_enabled":true}"#;
    assert!(parse_initial(discovery).unwrap().custom);
    assert!(parse_initial(b"PING").is_none());
    let update = br#"{"operation":"unsubscribe","assets_ids":["7"],"type":"market"}"#;
    assert_eq!(parse_update(update), Some(Update::Unsubscribe { tokens: vec!["7".into()] }));
    assert!(parse_initial(br#"{"operation":"subscribe","assets_ids":["7"]}"#).is_none());
}
