//! How inputs are mutated: bytes, numbers, lengths, nesting, repetition, and parts of other inputs.

use ringbook::base::random::Random;

/// Longest input, but for those that a recording brings along.
const BYTES_MAX: usize = 96 * 1024;
/// Numbers at the edges of what readers keep them in.
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "00",
    "255",
    "65535",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "0.0",
    "1.0",
    "1.000001",
    "0.0000001",
    "1e9",
    "1e400",
    "-0",
    "99999999999999999999999999999999",
    "0x10",
    "",
];

/// Makes inputs out of a corpus.
pub(crate) struct Mutator {
    random: Random,
    dictionary: &'static [&'static str],
}

impl Mutator {
    pub(crate) fn new(seed: u64, dictionary: &'static [&'static str]) -> Self {
        Self { random: Random::new(seed), dictionary }
    }

    /// A new input.
    pub(crate) fn next(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.pick(corpus).to_vec();
        let steps = 1 + self.random.below(6);
        for _ in 0..steps {
            self.mutate(&mut input, corpus);
            input.truncate(BYTES_MAX);
        }
        input
    }

    fn pick<'c>(&mut self, corpus: &'c [Vec<u8>]) -> &'c [u8] {
        let at = self.below(corpus.len());
        corpus.get(at).map_or(&[], Vec::as_slice)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound as u64) as usize
    }

    /// A part of `length` bytes, mostly a short one.
    fn part(&mut self, length: usize) -> std::ops::Range<usize> {
        let most = if self.random.chance(3, 4) { length.min(24) } else { length };
        let size = self.below(most + 1);
        let start = self.below(length - size + 1);
        start..start + size
    }

    fn mutate(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        match self.random.below(15) {
            0 => self.change_byte(input),
            1 => {
                // Two bytes are swapped.
                let (a, b) = (self.below(input.len()), self.below(input.len()));
                if a < input.len() && b < input.len() {
                    input.swap(a, b);
                }
            }
            2 => drop(input.drain(self.part(input.len()))),
            3 => input.truncate(self.below(input.len() + 1)),
            4 => self.repeat(input),
            5 => {
                // The end of another input.
                let other = self.pick(corpus).to_vec();
                let from = self.below(other.len() + 1);
                input.truncate(self.below(input.len() + 1));
                input.extend_from_slice(&other[from..]);
            }
            6 => {
                // A part of another input.
                let other = self.pick(corpus).to_vec();
                let part = other[self.part(other.len())].to_vec();
                self.put(input, &part);
            }
            7 | 8 => self.change_number(input),
            9 => self.change_length(input),
            10 => self.nest(input),
            11 | 12 => self.add_word(input),
            13 => self.exchange_texts(input),
            _ => {
                let bytes: Vec<u8> =
                    (0..self.below(9)).map(|_| self.random.next_u64() as u8).collect();
                self.put(input, &bytes);
            }
        }
    }

    /// Puts `bytes` into the input, over what is there or between.
    fn put(&mut self, input: &mut Vec<u8>, bytes: &[u8]) {
        let at = self.below(input.len() + 1);
        let over = if self.random.chance(1, 2) { bytes.len() } else { 0 };
        let end = (at + over).min(input.len());
        input.splice(at..end, bytes.iter().copied());
    }

    fn change_byte(&mut self, input: &mut [u8]) {
        let at = self.below(input.len());
        let Some(byte) = input.get_mut(at) else { return };
        *byte = match self.random.below(4) {
            0 => *byte ^ (1 << self.random.below(8)),
            1 => byte.wrapping_add(1),
            2 => [0, 0x7f, 0x80, 0xff, b'"', b'\\', b'\n', b'\r'][self.random.below(8) as usize],
            _ => self.random.next_u64() as u8,
        };
    }

    /// A part comes again: a few times, or very often.
    fn repeat(&mut self, input: &mut Vec<u8>) {
        let part = self.part(input.len());
        let times = match self.random.below(8) {
            0 => 1 + self.below(4_000),
            1 | 2 => 1 + self.below(200),
            _ => 1 + self.below(4),
        };
        let room = BYTES_MAX.saturating_sub(input.len()) / part.len().max(1);
        let again = input[part.clone()].repeat(times.min(room));
        input.splice(part.end..part.end, again);
    }

    /// One run of digits becomes another number.
    fn change_number(&mut self, input: &mut Vec<u8>) {
        let from = self.below(input.len() + 1);
        let Some(start) = input[from..].iter().position(u8::is_ascii_digit) else { return };
        let start = from + start;
        let digits = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = match self.random.below(3) {
            0 => self.random.below(2_000).to_string(),
            1 => self.random.next_u64().to_string(),
            _ => NUMBERS[self.below(NUMBERS.len())].to_owned(),
        };
        input.splice(start..start + digits, number.bytes());
    }

    /// A few bytes become a binary length: small, at an edge, or huge.
    fn change_length(&mut self, input: &mut Vec<u8>) {
        let value = match self.random.below(4) {
            0 => self.random.below(300),
            1 => 1 << self.random.below(64),
            2 => (1u64 << self.random.below(64)).wrapping_sub(1),
            _ => input.len() as u64,
        };
        let bytes = value.to_be_bytes();
        let width = [1, 2, 4, 8][self.below(4)];
        let at = self.below(input.len() + 1);
        let end = (at + width).min(input.len());
        input.splice(at..end, bytes[8 - width..].iter().copied());
    }

    /// Brackets about a part, many times; closed or not.
    fn nest(&mut self, input: &mut Vec<u8>) {
        let (open, close) = [("[", "]"), ("{\"x\":", "}"), ("[{\"a\":", "}]")][self.below(3)];
        let depth = match self.random.below(4) {
            0 => 1 + self.below(12_000),
            1 => 1 + self.below(400),
            _ => 1 + self.below(8),
        };
        let depth = depth.min(BYTES_MAX.saturating_sub(input.len()) / (2 * open.len()));
        let part = self.part(input.len());
        let mut nested = open.repeat(depth).into_bytes();
        nested.extend_from_slice(&input[part.clone()]);
        if self.random.chance(3, 4) {
            nested.extend(close.repeat(depth).into_bytes());
        }
        input.splice(part, nested);
    }

    fn add_word(&mut self, input: &mut Vec<u8>) {
        if !self.dictionary.is_empty() {
            let fragment = self.dictionary[self.below(self.dictionary.len())].as_bytes();
            self.put(input, fragment);
        }
    }

    /// A quoted text takes the place of another one.
    fn exchange_texts(&mut self, input: &mut Vec<u8>) {
        let (Some(a), Some(b)) = (self.quoted(input), self.quoted(input)) else { return };
        let text = input[a].to_vec();
        input.splice(b, text);
    }

    fn quoted(&mut self, input: &[u8]) -> Option<std::ops::Range<usize>> {
        let from = self.below(input.len() + 1);
        let start = from + input[from..].iter().position(|&byte| byte == b'"')?;
        let length = input[start + 1..].iter().position(|&byte| byte == b'"')?;
        Some(start..start + length + 2)
    }
}
