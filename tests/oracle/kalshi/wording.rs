//! Messages of Kalshi's in any words: key order, white space, keys nobody knows.

use crate::generate::random::Random;
use crate::generate::text;
use serde_json::{Map, Value, json};

/// Whole messages and familiar keys where they mean nothing.
fn unknown(random: &mut Random) -> (String, Value) {
    let odd = [
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
    ];
    let (key, value) = random.pick(&odd).clone();
    (key.into(), value)
}

fn rearrange(random: &mut Random, map: &mut Map<String, Value>, shuffle: bool, odd: bool) {
    let mut entries: Vec<(String, Value)> = std::mem::take(map).into_iter().collect();
    if odd {
        entries.push(unknown(random));
    }
    if odd || shuffle {
        random.shuffle(&mut entries);
    }
    map.extend(entries);
}

/// The same message in other words, as one line.
pub(crate) fn write(random: &mut Random, message: &Value) -> String {
    let mut message = message.clone();
    let (shuffle, odd) = (random.percent(30), random.percent(10));
    rearrange(random, message.as_object_mut().unwrap(), shuffle, odd);
    if let Some(Value::Object(body)) = message.get_mut("msg") {
        rearrange(random, body, shuffle, odd);
    }
    text::write(random, &message)
}

#[test]
fn other_words_say_the_same() {
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
