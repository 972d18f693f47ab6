//! Messages of one layout each, and the decoder that reads them.
use super::frames::{self, Eye};
use ringbook::base::random::Random;
use ringbook::venue::{kalshi, polymarket};
use std::fmt::Write as _;

const MESSAGES: usize = 300;
/// Levels of each side of a Kalshi snapshot.
const LEVELS: usize = 50;

/// Which parser reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reader {
    /// The scan of usual layouts first, as in a shard.
    Usual,
    /// The full parser alone.
    Whole,
}

/// A layout by name.
pub(crate) struct Layout {
    pub(crate) name: &'static str,
    pub(crate) sample: fn() -> Sample,
}

pub(crate) const LAYOUTS: [Layout; 9] = [
    Layout { name: "Polymarket, two changes", sample: || changes(false) },
    Layout { name: "  with spaces", sample: || changes(true) },
    Layout { name: "Polymarket, a level", sample: || books(false) },
    Layout { name: "  with spaces", sample: || books(true) },
    Layout { name: "Polymarket, trade", sample: trades },
    Layout { name: "Kalshi, delta", sample: || kalshi(delta, 1) },
    Layout { name: "Kalshi, ticker", sample: || kalshi(ticker, 1) },
    Layout { name: "Kalshi, trade", sample: || kalshi(trade, 1) },
    Layout { name: "Kalshi, a level", sample: || kalshi(snapshot, 2 * LEVELS) },
];

enum Decoder {
    Polymarket(polymarket::decode::Decoder),
    Kalshi(kalshi::decode::Decoder),
}

/// Messages of one layout.
pub(crate) struct Sample {
    frames: Vec<String>,
    decoder: Decoder,
    /// Messages, or levels in them.
    pub(crate) units: usize,
}

impl Sample {
    /// Decodes every message once.
    pub(crate) fn decode(&mut self, reader: Reader) {
        for frame in &self.frames {
            match (&mut self.decoder, reader) {
                (Decoder::Polymarket(decoder), Reader::Usual) => decoder.decode(frame, &mut Eye),
                (Decoder::Polymarket(decoder), Reader::Whole) => {
                    decoder.decode_whole(frame, &mut Eye)
                }
                (Decoder::Kalshi(decoder), Reader::Usual) => decoder.decode(frame, &mut Eye),
                (Decoder::Kalshi(decoder), Reader::Whole) => decoder.decode_whole(frame, &mut Eye),
            };
        }
    }
}

fn polymarket(with: &str, spaced: bool) -> Vec<String> {
    let stream = frames::frames(1_000, 30 * MESSAGES, 1).stream;
    let chosen = stream.into_iter().filter(|frame| frame.contains(with)).take(MESSAGES);
    chosen.map(|frame| if spaced { frame } else { frame.replace(", ", ",") }).collect()
}

fn sample(frames: Vec<String>, units: usize) -> Sample {
    Sample { frames, decoder: Decoder::Polymarket(polymarket::decode::Decoder::default()), units }
}

fn changes(spaced: bool) -> Sample {
    let frames = polymarket("price_change\"", spaced);
    let units = frames.len();
    sample(frames, units)
}

fn books(spaced: bool) -> Sample {
    let frames = polymarket("\"book\"", spaced);
    let units = frames.iter().map(|frame| frame.matches("\"size\"").count()).sum();
    sample(frames, units)
}

fn trades() -> Sample {
    let frames = polymarket("last_trade_price", true);
    let units = frames.len();
    sample(frames, units)
}

fn kalshi(message: fn(&mut Random) -> String, units: usize) -> Sample {
    let mut random = Random::new(1);
    let frames: Vec<String> = (0..MESSAGES).map(|_| message(&mut random)).collect();
    let units = units * frames.len();
    Sample { frames, decoder: Decoder::Kalshi(kalshi::decode::Decoder::default()), units }
}

fn id(random: &mut Random) -> String {
    let (high, low) = (random.next_u64(), random.next_u64());
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

fn market(random: &mut Random) -> String {
    let name = [
        "KXBTC15M-26MAY140045-45",
        "KXMLBGAME-26AUG071840NYMPIT-NYM",
        "KXBTCD-26MAR1213-T69499.99",
    ];
    name[random.below(3) as usize].to_owned()
}

fn price(random: &mut Random) -> String {
    format!("0.{:04}", 10 * (1 + random.below(998)))
}

/// Most quantities are whole.
fn quantity(random: &mut Random, below: u64) -> String {
    let cents = if random.chance(1, 5) { random.below(100) } else { 0 };
    format!("{}.{cents:02}", 1 + random.below(below))
}

/// A time within a day, and the same in milliseconds.
fn time(random: &mut Random) -> (String, u64) {
    let second = random.below(86_400);
    let micros = 10 * random.below(100_000);
    let (hour, minute, in_minute) = (second / 3600, second / 60 % 60, second % 60);
    let text = format!("2026-08-07T{hour:02}:{minute:02}:{in_minute:02}.{micros:06}");
    let text = format!("{}Z", text.trim_end_matches('0'));
    (text, 1_786_060_800_000 + second * 1000 + micros / 1000)
}

fn delta(random: &mut Random) -> String {
    let (ticker, id, price) = (market(random), id(random), price(random));
    let (sign, side) =
        (["-", ""][random.below(2) as usize], ["yes", "no"][random.below(2) as usize]);
    let (quantity, (ts, ms)) = (quantity(random, 1000), time(random));
    let seq = 1 + random.below(300_000);
    format!(
        r#"{{"type":"orderbook_delta","sid":1,"seq":{seq},"msg":{{"market_ticker":"{ticker}","market_id":"{id}","price_dollars":"{price}","delta_fp":"{sign}{quantity}","side":"{side}","ts":"{ts}","ts_ms":{ms}}}}}"#
    )
}

fn ticker(random: &mut Random) -> String {
    let (ticker, id) = (market(random), id(random));
    let mut frame = format!(
        r#"{{"type":"ticker","sid":2,"msg":{{"market_ticker":"{ticker}","market_id":"{id}""#
    );
    for key in ["price_dollars", "yes_bid_dollars", "yes_ask_dollars"] {
        let _ = write!(frame, r#","{key}":"{}""#, price(random));
    }
    for key in [
        "yes_bid_size_fp",
        "yes_ask_size_fp",
        "last_trade_size_fp",
        "volume_fp",
        "open_interest_fp",
    ] {
        let _ = write!(frame, r#","{key}":"{}""#, quantity(random, 100_000));
    }
    let (text, ms) = time(random);
    let seconds = ms / 1000;
    let _ = write!(
        frame,
        r#","dollar_volume":{},"dollar_open_interest":{},"ts":{seconds},"ts_ms":{ms},"time":"{text}"}}}}"#,
        random.below(400_000),
        random.below(200_000)
    );
    frame
}

fn trade(random: &mut Random) -> String {
    let (trade, ticker, yes, no) = (id(random), market(random), price(random), price(random));
    let (count, (_, ms), seq) = (quantity(random, 1000), time(random), 1 + random.below(99_999));
    let seconds = ms / 1000;
    format!(
        r#"{{"type":"trade","sid":3,"seq":{seq},"msg":{{"trade_id":"{trade}","market_ticker":"{ticker}","yes_price_dollars":"{yes}","no_price_dollars":"{no}","count_fp":"{count}","taker_side":"no","taker_outcome_side":"no","taker_book_side":"ask","is_block_trade":false,"ts":{seconds},"ts_ms":{ms}}}}}"#
    )
}

fn snapshot(random: &mut Random) -> String {
    let (ticker, id) = (market(random), id(random));
    let mut side = || {
        let mut level = || format!(r#"["{}","{}"]"#, price(random), quantity(random, 100_000));
        (0..LEVELS).map(|_| level()).collect::<Vec<_>>().join(",")
    };
    let (yes, no) = (side(), side());
    format!(
        r#"{{"type":"orderbook_snapshot","sid":1,"seq":2,"msg":{{"market_ticker":"{ticker}","market_id":"{id}","yes_dollars_fp":[{yes}],"no_dollars_fp":[{no}]}}}}"#
    )
}
