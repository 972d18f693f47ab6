//! Records of the bus against the schema that `ringbook tail --schema` prints, by the rules that it uses.
//!
//! Runs on:  the test thread that asks.
use crate::program::{Program, TIMEOUT};
use ringbook::bus::{BusConsumer, record::Topic};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Reads all records of a bus from the beginning until there is one of each of these kinds and stages of markets, and
/// checks each.
pub(crate) fn check(url: &str, wanted: &[&str]) {
    let schema = schema();
    let mut consumer = BusConsumer::connect(url, &Topic::ALL, &Topic::ALL).unwrap();
    let (mut seen, begun) = (BTreeSet::new(), Instant::now());
    while !wanted.iter().all(|kind| seen.contains(*kind)) {
        assert!(begun.elapsed() < TIMEOUT, "{seen:?} of {wanted:?}");
        let Some(record) = consumer.poll(Duration::from_millis(100)).unwrap() else { continue };
        let value: Value = serde_json::from_str(&record.text).unwrap();
        assert!(is_valid(&schema, &schema, &value), "{}: {}", record.topic, record.text);
        let stage = value["stage"].as_str().map(str::to_owned);
        seen.extend(stage.into_iter().chain([value["kind"].as_str().unwrap().to_owned()]));
    }
}

/// As the program prints it.
fn schema() -> Value {
    let mut command = Program::ringbook();
    command.args(["tail", "--schema"]);
    let mut tail = Program::start(command);
    assert!(tail.wait(TIMEOUT).success(), "{tail}");
    serde_json::from_str(&tail.stdout().join("\n")).unwrap()
}

fn is_valid(root: &Value, schema: &Value, value: &Value) -> bool {
    let is = |schema: &Value| is_valid(root, schema, value);
    let list = |rule: &Value| rule.as_array().unwrap().clone();
    schema.as_object().unwrap().iter().all(|(keyword, rule)| match &**keyword {
        "$schema" | "$defs" | "title" | "description" => true,
        "$ref" => is(root.pointer(&rule.as_str().unwrap()[1..]).unwrap()),
        "oneOf" => list(rule).iter().filter(|one| is(one)).count() == 1,
        "anyOf" => list(rule).iter().any(is),
        "const" => value == rule,
        "enum" => list(rule).contains(value),
        "type" => match rule.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            "integer" => value.is_u64() || value.is_i64(),
            other => panic!("{other}"),
        },
        "properties" => {
            let of = |(key, rule): (&String, &Value)| {
                value.get(key).is_none_or(|value| is_valid(root, rule, value))
            };
            rule.as_object().unwrap().iter().all(of)
        }
        "required" => list(rule).iter().all(|key| value.get(key.as_str().unwrap()).is_some()),
        "additionalProperties" => {
            let known = schema["properties"].as_object().unwrap();
            value.as_object().is_some_and(|object| object.keys().all(|key| known.contains_key(key)))
        }
        "items" => value.as_array().unwrap().iter().all(|item| is_valid(root, rule, item)),
        "minItems" => value.as_array().unwrap().len() as u64 >= rule.as_u64().unwrap(),
        "maxItems" => value.as_array().unwrap().len() as u64 <= rule.as_u64().unwrap(),
        "minimum" => value.as_u64() >= rule.as_u64(),
        "maximum" => value.as_u64() <= rule.as_u64(),
        "pattern" => {
            assert_eq!(rule, "^[0-9]+(\\.[0-9]{1,6})?$");
            let text = value.as_str().unwrap();
            let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
            let is_number =
                |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            is_number(whole) && is_number(part) && part.len() <= 6
        }
        other => panic!("unknown keyword {other}"),
    })
}

#[test]
fn what_is_no_record_is_not_in_the_schema() {
    let schema = schema();
    let is = |text: &str| is_valid(&schema, &schema, &serde_json::from_str(text).unwrap());
    let loss = r#"{"kind":"loss","engine":"e","receive_time":1,"trades":2}"#;
    let slice =
        r#"{"kind":"slice","slice":17,"engine":"e","group":"g","state":"live","receive_time":1}"#;
    let tick = r#"{"sequence":1,"kind":"tick","venue":"v","market":"m","token":"t","version":1,"receive_time":1,"new":"0.01"}"#;
    assert!(is(loss) && is(slice) && is(tick));
    for (text, from, to) in [
        (loss, "loss", "lost"),
        (loss, "2", "-2"),
        (loss, r#","trades":2"#, ""),
        (loss, "trades", "trade"),
        (slice, "17", "256"),
        (slice, "live", "lively"),
        (tick, "0.01", "1e-2"),
        (tick, r#""0.01""#, "0.01"),
        (tick, r#""new""#, r#""more":1,"new""#),
    ] {
        assert!(!is(&text.replacen(from, to, 1)), "{text} with {to}");
    }
}
