//! Generated streams: a small consistent venue in every variant of the wire format.

pub(crate) mod random;
pub(crate) mod text;
mod venue;

use random::Random;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use venue::{Coverage, Market};

/// A frame as received: JSON, or another text.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) text: String,
    pub(crate) json: bool,
}

impl Frame {
    pub(crate) fn bytes(&self) -> (&[u8], bool) {
        (self.text.as_bytes(), self.json)
    }
}

pub(crate) struct Names {
    pub(crate) id: String,
    pub(crate) tokens: [String; 2],
    /// Both tokens have books from the initial dump on.
    pub(crate) covered: bool,
}

pub(crate) struct Stream {
    pub(crate) frames: Vec<Frame>,
    pub(crate) markets: Vec<Names>,
}

const START: u64 = 1_790_491_136_000;

/// Messages that concern no book.
fn elsewhere(random: &mut Random, now: u64) -> Value {
    let free = "Will \"X/Y\" win? \\ tab\t 🏈 é — {\"event_type\":\"book\",\"bids\":[]}";
    let (market, tokens) = (format!("0x{}", random.hex(64)), [random.token(), random.token()]);
    let (kind, id) = (random.between(0, 3), random.between(1, 9_999_999).to_string());
    match kind {
        0 => {
            json!({"id": id, "question": free, "market": market, "slug": "x-y", "description": free,
            "assets_ids": tokens, "outcomes": ["Yes \"or\"", "Nö"], "event_message": {"id": "1",
            "title": free, "description": free}, "timestamp": now.to_string(),
            "event_type": "new_market", "tags": [], "condition_id": market, "active": false,
            "clob_token_ids": tokens, "sports_market_type": "", "line": "", "game_start_time": "",
            "order_price_min_tick_size": "0.01", "group_item_title": free, "fees_enabled": true,
            "fee_schedule": {"exponent": "1", "rate": "0.07", "taker_only": true}})
        }
        1 => json!({"event_type": "market_resolved", "id": id, "market": market, "question": free,
            "assets_ids": tokens, "winning_asset_id": tokens[0], "winning_outcome": "Yes",
            "timestamp": now.to_string(), "tags": ["stocks"]}),
        2 => json!({"event_type": "order_flow", "market": market, "asset_id": tokens[0],
            "price": {"low": 1}, "bids": "none", "timestamp": now.to_string()}),
        _ => json!({"event_type": "", "market": market, "what": [1, 2, [3]], "description": free}),
    }
}

struct Writer {
    random: Random,
    frames: Vec<Frame>,
    waiting: Vec<Value>,
}

impl Writer {
    fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let value = if waiting.len() == 1 { waiting[0].clone() } else { Value::Array(waiting) };
        let text = text::write(&mut self.random, &value);
        self.frames.push(Frame { text, json: true });
    }

    fn message(&mut self, message: &Value) {
        let message = text::variant(&mut self.random, message);
        let twice = self.random.percent(4);
        for _ in 0..=usize::from(twice) {
            self.waiting.push(message.clone());
            if !self.random.percent(8) {
                self.flush();
            }
        }
    }

    fn between(&mut self) {
        let other = |text: &str, json| Frame { text: text.into(), json };
        match self.random.between(0, 99) {
            0..=2 => self.frames.push(other("PONG", false)),
            3 => self.frames.push(other("NO NEW ASSETS", false)),
            4 => self.frames.push(other("INVALID OPERATION", false)),
            5 | 6 => self.frames.push(other("[]", true)),
            _ => {}
        }
    }
}

/// The stream of a seed.
pub(crate) fn stream(seed: u64) -> Stream {
    let mut random = Random::new(seed);
    let old = seed % 9 == 8;
    let count = random.between(1, 12);
    let mut markets: Vec<Market> = (0..count).map(|_| Market::new(&mut random, old)).collect();
    let groups = random.between(0, 200);
    let mut w = Writer { random, frames: Vec::new(), waiting: Vec::new() };
    let mut now = START;
    for market in &mut markets {
        let books = market.dump(&mut w.random, START - 1000);
        for book in &books {
            let book = text::variant(&mut w.random, book);
            w.waiting.push(book);
        }
        if w.random.percent(20) {
            w.flush();
        }
    }
    w.flush();
    for _ in 0..groups {
        let index = w.random.index(markets.len());
        // Times may be equal across markets, never across two groups of one market.
        now += w.random.between(0, 40);
        let market = &mut markets[index];
        now = now.max(market.last() + 1);
        let messages = match w.random.between(0, 99) {
            0..=82 => market.group(&mut w.random, now),
            83 | 84 => market.delayed(&mut w.random),
            85..=88 => market.late(&mut w.random).into_iter().collect(),
            89..=92 => vec![market.quotes(&mut w.random, now)],
            93 | 94 => market.finer(now),
            _ => vec![elsewhere(&mut w.random, now)],
        };
        messages.iter().for_each(|message| w.message(message));
        w.between();
    }
    if !w.waiting.is_empty() {
        w.flush();
    }
    let names = |m: &Market| Names {
        id: m.id.clone(),
        tokens: m.tokens.clone(),
        covered: m.coverage == Coverage::Both,
    };
    Stream { frames: w.frames, markets: markets.iter().map(names).collect() }
}

/// How a stream is written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Raw,
    Capture,
    Escaped,
    Embedded,
}

pub(crate) const FORMS: [Form; 4] = [Form::Raw, Form::Capture, Form::Escaped, Form::Embedded];
pub(crate) const PACKINGS: [&str; 3] = ["", ".zst", ".gz"];

/// The lines of frames `(text, is JSON)`, numbered without gaps; only some forms have room for
/// texts that are no JSON.
pub(crate) fn lines<'a>(
    form: Form,
    frames: impl IntoIterator<Item = (&'a [u8], bool)>,
) -> Vec<Vec<u8>> {
    let room = |json: bool| json || matches!(form, Form::Raw | Form::Escaped);
    let fitting = frames.into_iter().filter(|(_, json)| room(*json));
    fitting.enumerate().map(|(number, (text, _))| line(form, number, text)).collect()
}

fn line(form: Form, number: usize, text: &[u8]) -> Vec<u8> {
    let wrap = |before: String, after: &str| [before.as_bytes(), text, after.as_bytes()].concat();
    // An hour behind the first venue time: no stream lasts longer.
    let time = 1_790_494_736_100_000_000 + number as u64 * 1_234_567;
    match form {
        Form::Raw => text.to_vec(),
        Form::Escaped => {
            let raw = std::str::from_utf8(text).unwrap();
            json!({"recv_ms": time / 1_000_000, "raw": raw}).to_string().into_bytes()
        }
        Form::Capture => {
            wrap(format!(r#"{{"t":{time},"c":0,"s":{},"k":"t","f":"#, number + 1), "}")
        }
        Form::Embedded => wrap(format!(r#"{{"msg_index":{number},"msg":"#), "}"),
    }
}

pub(crate) fn pack(folder: &Path, name: &str, packing: &str, lines: &[Vec<u8>]) -> PathBuf {
    let path = folder.join(format!("{name}.jsonl{packing}"));
    let bytes: Vec<u8> = lines.iter().flat_map(|l| [l.as_slice(), b"\n"].concat()).collect();
    let file = std::fs::File::create(&path).unwrap();
    match packing {
        ".zst" => zstd::stream::copy_encode(bytes.as_slice(), file, 1).unwrap(),
        ".gz" => {
            let mut gz = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            gz.write_all(&bytes).unwrap();
            gz.finish().unwrap();
        }
        _ => std::fs::write(&path, bytes).unwrap(),
    }
    path
}
