//! Variants of Kalshi messages: key order, white space, unknown keys.

use crate::generate::random::Random;
use crate::generate::text;
use serde_json::{Value, json};

/// Unknown keys with values that look like messages.
fn unknown() -> [(&'static str, Value); 10] {
    [
        ("note", json!("\"type\":\"orderbook_snapshot\",\"seq\":9,\"msg\":{} \\ ünï🏈 {[]}")),
        ("extra", json!({"type": "orderbook_delta", "sid": 1, "seq": 1, "msg": {"side": "no"}})),
        ("levels", json!({"yes_dollars_fp": [["0.5000", "1.00"]], "no_dollars_fp": "x"})),
        ("n", json!([1, -2.5e-3, true, false, null, [], {}, [[["]"]]]])),
        ("Seq", json!(1)),
        ("seqs", json!([3, 4])),
        ("Market_ticker", json!("KXNOBODY")),
        ("exchange_index", json!(0)),
        ("client_order_id", json!("a\"b")),
        ("", json!("")),
    ]
}

/// A variant of the message with the same fields, as one line.
pub(crate) fn write(random: &mut Random, message: &Value) -> String {
    let mut message = message.clone();
    let (shuffle, unusual) = (random.percent(30), random.percent(10));
    let (unknown, rearrange) = (unknown(), text::rearrange);
    let unusual = unusual.then_some(&unknown[..]);
    rearrange(random, message.as_object_mut().unwrap(), shuffle, unusual);
    if let Some(Value::Object(body)) = message.get_mut("msg") {
        rearrange(random, body, shuffle, unusual);
    }
    text::write(random, &message)
}

#[test]
fn variants_have_the_same_fields() {
    let message = json!({"type": "orderbook_delta", "sid": 1, "seq": 2, "msg": {"side": "yes"}});
    let mut random = Random::new(5);
    for _ in 0..200 {
        let text = write(&mut random, &message);
        assert!(!text.contains('\n'));
        let value: Value = serde_json::from_str(&text).unwrap();
        for key in ["type", "sid", "seq"] {
            assert_eq!(value[key], message[key], "{text}");
        }
        assert_eq!(value["msg"]["side"], "yes", "{text}");
    }
}
