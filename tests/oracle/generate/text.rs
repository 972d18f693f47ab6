//! Messages as text: any key order, any white space, unknown keys.

use super::random::Random;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// How one frame is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// As the initial dump.
    Compact,
    /// As live events: `, ` and `:`.
    Live,
    /// Blanks wherever JSON allows them.
    Wild,
}

fn blank(out: &mut String, random: &mut Random, style: Style) {
    if style == Style::Wild && random.percent(30) {
        out.push_str(random.pick::<&str>(&[" ", "  ", "\t", " \t "]));
    }
}

/// Keys whose values are free text: any character may come escaped.
const FREE: &[&str] = &["question", "description", "title", "slug", "note", "outcomes"];

fn string(out: &mut String, random: &mut Random, text: &str, free: bool) {
    if !free {
        out.push_str(&Value::from(text).to_string());
        return;
    }
    out.push('"');
    for c in text.chars() {
        match (c, random.between(0, 9)) {
            ('/', 0..=4) => out.push_str("\\/"),
            (c, 0) => {
                let mut units = [0; 2];
                c.encode_utf16(&mut units).iter().for_each(|u| write!(out, "\\u{u:04x}").unwrap());
            }
            (c, _) => {
                let quoted = Value::from(c.to_string()).to_string();
                out.push_str(&quoted[1..quoted.len() - 1]);
            }
        }
    }
    out.push('"');
}

fn value(out: &mut String, random: &mut Random, v: &Value, style: Style, free: bool) {
    let comma = if style == Style::Live { ", " } else { "," };
    match v {
        Value::Object(map) => {
            out.push('{');
            for (i, (key, v)) in map.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { comma });
                blank(out, random, style);
                string(out, random, key, false);
                blank(out, random, style);
                out.push(':');
                blank(out, random, style);
                value(out, random, v, style, FREE.contains(&key.as_str()));
                blank(out, random, style);
            }
            blank(out, random, style);
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { comma });
                blank(out, random, style);
                value(out, random, item, style, free);
                blank(out, random, style);
            }
            blank(out, random, style);
            out.push(']');
        }
        Value::String(text) => string(out, random, text, free),
        other => out.push_str(&other.to_string()),
    }
}

pub(crate) fn write(random: &mut Random, v: &Value) -> String {
    let style = *random.pick(&[Style::Compact, Style::Live, Style::Live, Style::Wild]);
    let mut out = String::new();
    blank(&mut out, random, style);
    value(&mut out, random, v, style, false);
    blank(&mut out, random, style);
    out
}

fn unknown() -> [(&'static str, Value); 8] {
    [
        ("sequence_id", json!("18")),
        ("note", json!("bids\":[{\"price\":\"0.9\",\"size\":\"1\"}] \\ ünï🏈 {[]}")),
        ("extra", json!({"price": "0.99", "bids": [{"price": "9", "size": "x"}], "hash": null})),
        ("event", json!({"event_type": "book", "asset_id": "1", "timestamp": {}})),
        ("n", json!([1, -2.5e-3, true, false, null, [], {}, [[["]"]]]])),
        ("Price", json!("2")),
        ("sizes", json!(1.5)),
        ("", json!("")),
    ]
}

/// Shuffles the keys, and adds one of these.
pub(crate) fn rearrange(
    random: &mut Random,
    map: &mut Map<String, Value>,
    shuffle: bool,
    unusual: Option<&[(&str, Value)]>,
) {
    let mut entries: Vec<(String, Value)> = std::mem::take(map).into_iter().collect();
    if let Some(unusual) = unusual {
        let (key, value) = random.pick(unusual).clone();
        entries.push((key.into(), value));
    }
    if unusual.is_some() || shuffle {
        random.shuffle(&mut entries);
    }
    map.extend(entries);
}

/// A variant of the message: keys shuffled or added, a kind left out where it can be reported.
pub(crate) fn variant(random: &mut Random, message: &Value) -> Value {
    let mut message = message.clone();
    let (shuffle, unusual) = (random.percent(30), random.percent(10));
    let inferable = message.get("price_changes").is_some() || message["event_type"] == "book";
    let map = message.as_object_mut().unwrap();
    if inferable && random.percent(10) {
        map.shift_remove("event_type");
    }
    let unknown = unknown();
    let added = |unusual: bool| unusual.then_some(&unknown[..]);
    rearrange(random, map, shuffle, added(unusual));
    for key in ["price_changes", "changes", "bids", "asks"] {
        let Some(Value::Array(items)) = map.get_mut(key) else { continue };
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            let unusual = unusual && random.percent(20);
            rearrange(random, item, shuffle, added(unusual));
        }
    }
    message
}
