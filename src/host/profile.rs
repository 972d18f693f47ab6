//! Host profiles: expected settings as `key=value` lines.
//!
//! Runs on:  main thread (pure). `tuning/profile` reads the same format; a missing key or the value `keep` expects
//!           nothing.
use super::Facts;
use crate::topology::parse_cores;

const BUILT_IN: &[(&str, &str)] = &[
    ("laptop", include_str!("../../tuning/profiles/laptop.profile")),
    ("vm-2", include_str!("../../tuning/profiles/vm-2.profile")),
    ("server-32", include_str!("../../tuning/profiles/server-32.profile")),
];

/// Numeric keys, with their maximum number of digits.
const NUMBERS: &[(&str, usize)] = &[
    ("idle_latency_max_us", 6),
    ("halt_poll_us", 5),
    ("huge_pages_2m", 6),
    ("compaction_proactiveness", 3),
    ("swappiness", 3),
    ("socket_buffer_max_kib", 7),
    ("busy_poll_us", 4),
    ("netdev_backlog", 7),
    ("defer_hard_irqs", 3),
    ("gro_flush_timeout_ns", 8),
    ("locked_memory_mib", 6),
    ("open_files", 7),
];

/// Enumerated keys, with their values.
const CHOICES: &[(&str, &[&str])] = &[
    ("interrupts", &["off_shard_cores"]),
    ("governor", &["performance", "schedutil", "powersave"]),
    ("energy_preference", &["performance", "balance_performance"]),
    ("boost", &["on", "off"]),
    ("transparent_huge_pages", &["always", "madvise", "never"]),
    ("huge_page_defrag", &["always", "defer", "defer+madvise", "madvise", "never"]),
    ("slow_start_after_idle", &["on", "off"]),
    ("io_uring", &["on"]),
];

/// Why a profile cannot be used: one line. *Report, exit code 2.*
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProfileError(pub String);

/// Expected settings of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Name or file name.
    pub name: String,
    /// Cores reserved for shards; may be empty.
    pub shard_cores: Vec<u32>,
    pairs: Vec<(String, String)>,
}

impl Profile {
    /// A built-in profile.
    ///
    /// # Errors
    /// Unknown name; the error lists the known ones.
    pub fn ours(name: &str) -> Result<Self, ProfileError> {
        let text = BUILT_IN.iter().find(|(it, _)| *it == name).map(|(_, text)| *text);
        let Some(text) = text else {
            let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
            return Err(ProfileError(format!(
                "profile {name}: there are {}; a file needs a path with a /",
                names.join(", ")
            )));
        };
        Self::parse(name, text)
    }

    /// The default profile of a host; the same choice as in `tuning/profile`.
    pub fn guess(facts: &Facts) -> Self {
        let cores = facts.online.len();
        let name = match () {
            () if facts.battery => "laptop",
            () if cores >= 32 => "server-32",
            () if cores >= 2 && facts.is_virtual() => "vm-2",
            () => "laptop",
        };
        Self::ours(name).expect("the built-in profiles are valid")
    }

    /// Parses a profile; `name` is for errors.
    ///
    /// # Errors
    /// [`ProfileError`] with the line number.
    pub fn parse(name: &str, text: &str) -> Result<Self, ProfileError> {
        let mut profile = Self { name: name.to_owned(), ..Self::default() };
        for (index, line) in text.lines().enumerate() {
            let wrong = |what: String| {
                Err(ProfileError(format!("profile {name}, line {}: {what}", index + 1)))
            };
            if line.trim_start().is_empty() || line.trim_start().starts_with('#') {
                continue;
            }
            let is_key = |key: &str| {
                !key.is_empty()
                    && key
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            };
            let Some((key, value)) = line.split_once('=').filter(|(key, _)| is_key(key)) else {
                return wrong("expected key=value, without spaces around the =".into());
            };
            match takes(key, value) {
                None => return wrong(format!("no key {key}")),
                Some(false) => return wrong(format!("{key} does not take this value")),
                Some(true) => {}
            }
            if profile.get(key).is_some() {
                return wrong(format!("{key} is given twice"));
            }
            if key == "shard_cores" && value != "none" && value != "keep" {
                let Ok(cores) = parse_cores(value) else {
                    return wrong("shard_cores takes a list such as 2-7,9".into());
                };
                profile.shard_cores = cores;
                profile.shard_cores.sort_unstable();
                profile.shard_cores.dedup();
            }
            profile.pairs.push((key.to_owned(), value.to_owned()));
        }
        Ok(profile)
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(it, _)| it == key).map(|(_, value)| value.as_str())
    }

    /// The expected value, if any.
    pub fn word(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|value| *value != "keep")
    }

    /// The expected number, if any.
    pub fn number(&self, key: &str) -> Option<u64> {
        self.word(key)?.parse().ok()
    }
}

/// Whether `value` is valid for `key`; `None` for an unknown key.
fn takes(key: &str, value: &str) -> Option<bool> {
    let keep = value == "keep";
    if let Some((_, digits)) = NUMBERS.iter().find(|(it, _)| *it == key) {
        let number =
            (1..=*digits).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
        return Some(keep || number);
    }
    if let Some((_, choices)) = CHOICES.iter().find(|(it, _)| *it == key) {
        return Some(keep || choices.contains(&value));
    }
    let bytes = || value.bytes();
    let fits = match key {
        "about" => (1..=100).contains(&value.len()) && bytes().all(|b| (b' '..=b'~').contains(&b)),
        "shard_cores" => {
            let list = |b: u8| b.is_ascii_digit() || b == b',' || b == b'-';
            let starts = value.starts_with(|c: char| c.is_ascii_digit());
            value == "none" || (value.len() <= 100 && starts && bytes().all(list))
        }
        "limits_user" => {
            let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
            let starts = value.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
            value == "*" || (starts && value.len() <= 31 && bytes().all(inner))
        }
        "clock_source" => {
            let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
            let starts = value.starts_with(|c: char| c.is_ascii_lowercase());
            starts && (2..=32).contains(&value.len()) && bytes().all(inner)
        }
        _ => return None,
    };
    Some(keep || fits)
}

#[cfg(test)]
mod tests;
