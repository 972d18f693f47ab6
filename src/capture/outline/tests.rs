//! What is read of a frame without decoding it.
use super::*;

#[test]
fn members_are_found_in_any_order_and_spacing() {
    let text = br#" { "a" : [1,{"x":"}]\""}] ,"b":"q\"}","c":-1.5e+3 , "d":null,"e":{} } "#;
    let mut members = Values::of(text);
    let mut seen = Vec::new();
    while let Some((key, value)) = members.next() {
        seen.push(format!("{}={}", key.escape_ascii(), String::from_utf8_lossy(value)));
    }
    let expected = [r#"a=[1,{"x":"}]\""}]"#, r#"b="q\"}""#, "c=-1.5e+3", "d=null", "e={}"];
    assert_eq!(seen, expected);
    assert!(members.whole() && is_whole(text));
    for cut in 1..text.len() - 2 {
        assert!(!is_whole(&text[..cut]), "{cut}");
        let mut members = Values::of(&text[..cut]);
        while members.next().is_some() {}
        assert!(!members.whole(), "{cut}");
    }
    for odd in ["", "x", "\"a\"", "12", "{}{}", "{} x", "}", "]["] {
        assert!(!is_whole(odd.as_bytes()), "{odd}");
    }
    for good in ["{}", " []", "[[],{}]\n"] {
        assert!(is_whole(good.as_bytes()), "{good}");
    }
}

#[test]
fn a_frame_goes_to_the_shard_that_owns_its_market_or_to_all() {
    let one = |market: &str| Route::One(shard_of(market.as_bytes(), 5));
    let go = |frame: &str| route(frame.as_bytes(), 5);
    assert_ne!(one("0xa1"), one("0xb7"), "the test needs two shards");
    for torn in [r#"{"market":"0xa1","x"#, r#"{"market":"0xa1"5211"}"#, r#"{"market":"0xa1"} x"#] {
        assert_eq!(go(torn), Route::All, "{torn}");
    }
    assert_eq!(go("{\"market\":\"0xa1\",\"x\":[1,{}]}\r\n"), one("0xa1"));
    assert_eq!(go(r#"{ "m":{"mar":"0xb7"}, "market" : "0xa1"}"#), one("0xa1"));
    assert_eq!(go(r#"{ "m":{"market":"0xb7"}, "market" : "0xa1"}"#), Route::All);
    assert_eq!(go(r#"{"market":"0xa1","x":"market":"0xb7"}"#), Route::All, "invalid JSON");
    assert_eq!(go(r#"[{"market":"0xa1","x":"market":"0xb7"}]"#), Route::All, "invalid JSON");
    assert_eq!(go(r#"{"t":"\"market\":\"0xb7\"","market":"0xa1"}"#), one("0xa1"));
    assert_eq!(go(r#"[{"market":"0xa1"},{"n":[1],"market":"0xa1"}]"#), one("0xa1"));
    assert_eq!(go(r#"[{"market":"0xa1"},{"market":"0xb7"}]"#), Route::All);
    assert_eq!(go(r#"[{"market":"0xa1"},{}]"#), Route::All);
    assert_eq!(go("[]"), Route::One(ShardId(0)));
    assert_eq!(go("["), Route::All);
    assert_eq!(go(r#"[{"market":"0xa1"},{"market":"0xb"#), Route::All);
    assert_eq!(go(r#"[{"market":"0xa1"},1]"#), Route::All);
    assert_eq!(go("{}"), Route::All);
    assert_eq!(go(r#"{"market":"0x\u0061"}"#), Route::All);
    assert_eq!(go(r#"{"mark\u0065t":"0xb7","market":"0xa1"}"#), Route::All);
    assert_eq!(go(r#"{"market":7}"#), Route::All);
    assert_eq!(go(r#"{"market":""}"#), Route::All);
    assert_eq!(go("PONG"), Route::One(ShardId(0)));
    assert_eq!(route(b"{}", 1), Route::One(ShardId(0)));
}
