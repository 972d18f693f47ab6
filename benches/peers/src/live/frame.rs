//! What the sender sends: markets, their snapshots, and price changes with room for two stamps.

use std::fmt::Write as _;

/// Venue time of everything, milliseconds: the stamps are in the hashes.
const VENUE_MS: u64 = 1_790_491_135_816;
/// Hexadecimal digits of a stamp, the beginning of a hash.
const STAMP_DIGITS: usize = 16;
/// The rest of the hash that carries the intended time of sending.
const INTENDED_REST: &str = "100000000000000000000000";
/// The rest of the hash that carries the time right before the write.
const WRITTEN_REST: &str = "200000000000000000000000";
/// Different price changes of one market.
const VARIANTS: u32 = 8;
/// Levels of a snapshot on each side.
const LEVELS: u32 = 20;

/// A time out of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// When the frame was meant to be sent, monotonic nanoseconds.
    Intended(u64),
    /// When it was, right before the write.
    Written(u64),
}

impl Stamp {
    /// Reads the hash of a change; `None` for any other hash. The same for every client.
    #[must_use]
    pub fn parse(hash: &[u8]) -> Option<Self> {
        let (digits, rest) = hash.split_at_checked(STAMP_DIGITS)?;
        let mut ns = 0;
        for digit in digits {
            ns = ns << 4 | u64::from(char::from(*digit).to_digit(16)?);
        }
        match rest.first()? {
            b'1' => Some(Self::Intended(ns)),
            b'2' => Some(Self::Written(ns)),
            _ => None,
        }
    }
}

/// One market with two tokens.
#[derive(Clone, Debug)]
pub struct Market {
    /// Condition id.
    pub id: String,
    /// Token ids, 77 digits.
    pub tokens: [String; 2],
}

impl Market {
    /// The market with this number.
    #[must_use]
    pub fn new(number: usize) -> Self {
        let mixed = |n: usize| (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let digits = |n: usize| {
            let part = mixed(n) % 1_000_000_000_000_000_000;
            format!("7{part:018}{n:020}{part:018}{:020}", mixed(n + 7_777))
        };
        let tokens = [2 * number, 2 * number + 1].map(digits);
        Self { id: format!("0x{:064x}", mixed(number)), tokens }
    }

    /// Its catalog entry.
    #[must_use]
    pub fn entry(&self) -> String {
        let [yes, no] = &self.tokens;
        let id = &self.id;
        format!(
            r#"{{"id":"1","question":"{id}?","conditionId":"{id}","slug":"{id}","endDate":"2099-01-01T00:00:00Z","outcomes":"[\"Yes\", \"No\"]","clobTokenIds":"[\"{yes}\", \"{no}\"]","orderPriceMinTickSize":0.01,"orderMinSize":5,"active":true,"closed":false,"acceptingOrders":true,"enableOrderBook":true,"negRisk":false}}"#
        )
    }

    /// The book of one of its tokens as a dump has it.
    #[must_use]
    pub fn snapshot(&self, outcome: usize) -> String {
        let side = |first: u32| {
            let mut levels = String::new();
            for cent in 0..LEVELS {
                let comma = if cent == 0 { "" } else { "," };
                let price = if first == 1 { cent + 1 } else { first - cent };
                let _ = write!(levels, r#"{comma}{{"price":"0.{price:02}","size":"{cent}1"}}"#);
            }
            levels
        };
        let (market, token) = (&self.id, &self.tokens[outcome]);
        let (bids, asks) = (side(1), side(99));
        format!(
            r#"{{"market":"{market}","asset_id":"{token}","timestamp":"{VENUE_MS}","hash":"{:040}","bids":[{bids}],"asks":[{asks}],"tick_size":"0.01","event_type":"book","last_trade_price":"0.500"}}"#,
            0
        )
    }

    /// Price changes of this market as whole WebSocket frames.
    #[must_use]
    pub fn templates(&self) -> Vec<Template> {
        (0..VARIANTS).map(|variant| Template::new(&self.change(variant))).collect()
    }

    /// A level of the first token, and the same of the second one, mirrored.
    fn change(&self, variant: u32) -> String {
        let cents = 25 + variant % 4;
        let size = if variant < 4 { 100 + variant } else { 1_000 + variant };
        let [yes, no] = &self.tokens;
        let entry = |token: &str, cents: u32, side: &str, rest: &str| {
            let (bid, ask) = if side == "BUY" { (cents, 80) } else { (20, cents) };
            format!(
                r#"{{"asset_id":"{token}", "price":"0.{cents}", "size":"{size}.25", "side":"{side}", "hash":"{:0>16}{rest}", "best_bid":"0.{bid}", "best_ask":"0.{ask}"}}"#,
                0
            )
        };
        let first = entry(yes, cents, "BUY", INTENDED_REST);
        let second = entry(no, 100 - cents, "SELL", WRITTEN_REST);
        let market = &self.id;
        format!(
            r#"{{"market":"{market}", "price_changes":[{first}, {second}], "timestamp":"{VENUE_MS}", "event_type":"price_change"}}"#
        )
    }
}

/// A WebSocket frame of the server's with two fields that are filled in at sending.
#[derive(Clone, Debug)]
pub struct Template {
    bytes: Vec<u8>,
    intended_at: usize,
    written_at: usize,
}

impl Template {
    fn new(text: &str) -> Self {
        let bytes = server_frame(1, text.as_bytes());
        let find = |rest: &str| memchr::memmem::find(&bytes, rest.as_bytes());
        let field = |rest| find(rest).expect("the change has it") - STAMP_DIGITS;
        let (intended_at, written_at) = (field(INTENDED_REST), field(WRITTEN_REST));
        Self { bytes, intended_at, written_at }
    }

    /// The frame with both stamps.
    pub fn stamped(&mut self, intended_ns: u64, written_ns: u64) -> &[u8] {
        for (at, ns) in [(self.intended_at, intended_ns), (self.written_at, written_ns)] {
            for (n, digit) in self.bytes[at..at + STAMP_DIGITS].iter_mut().enumerate() {
                let nibble = ns >> (4 * (STAMP_DIGITS - 1 - n)) & 0xf;
                *digit = b"0123456789abcdef"[nibble as usize];
            }
        }
        &self.bytes
    }

    /// Bytes of the text within.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.bytes.len() - 4
    }
}

/// One unmasked frame: opcode 1 is text, 8 close, 10 pong.
#[must_use]
pub fn server_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..126 => frame.push(length as u8),
        length @ 126..0x1_0000 => {
            frame.push(126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Pipeline, Typed};

    #[test]
    fn a_change_carries_both_stamps_to_a_client_and_moves_both_books() {
        let market = Market::new(3);
        let mut client = Typed::<crate::decode::typed::Serde>::default();
        client.on_frame(&format!("[{},{}]", market.snapshot(0), market.snapshot(1)), |_| ());
        let before = client.books().unwrap();
        let mut template = market.templates().remove(0);
        assert!((550..700).contains(&template.text_bytes()), "{}", template.text_bytes());
        let frame = template.stamped(0x1234_5678_9abc_def0, 77).to_vec();
        let text = std::str::from_utf8(&frame[4..]).unwrap();
        let mut stamps = Vec::new();
        client.on_frame(text, |hash| stamps.push(Stamp::parse(hash.as_bytes()).unwrap()));
        assert_eq!(stamps, [Stamp::Intended(0x1234_5678_9abc_def0), Stamp::Written(77)]);
        let after = client.books().unwrap();
        assert_eq!(client.refused(), 0);
        let moved = before.iter().filter(|(token, book)| after[*token] != **book);
        assert_eq!(moved.count(), 2);
        assert_eq!(Stamp::parse(&[b'0'; 40]), None, "a hash of a snapshot");
    }

    #[test]
    fn tokens_have_the_venues_length_and_are_all_different() {
        let tokens: std::collections::HashSet<String> =
            (0..500).flat_map(|number| Market::new(number).tokens).collect();
        assert_eq!(tokens.len(), 1_000);
        assert!(tokens.iter().all(|token| token.len() == 77));
    }
}
