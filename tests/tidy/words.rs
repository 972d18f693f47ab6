//! Words that are not the field's, and what to write.
use super::source::{Breach, Source};

/// A part of a name or a word of a text, in lower case; what to write.
const WORDS: &[(&str, &str)] = &[
    ("catalogue", "catalog, or metrics"),
    ("census", "snapshot check"),
    ("desk", "the type's own name"),
    ("dialog", "subscription protocol"),
    ("ears", "receiver"),
    ("errand", "I/O request"),
    ("gear", "the type's own name"),
    ("heard", "received"),
    ("lent", "leased"),
    ("mend", "repair"),
    ("mended", "repaired"),
    ("obey", "handle"),
    ("oddity", "decode notice"),
    ("owed", "outstanding"),
    ("patience", "timeout"),
    ("picture", "status report"),
    ("plant", "inject"),
    ("planted", "injected"),
    ("resync", "snapshot request"),
    ("retold", "republished"),
    ("rim", "I/O boundary"),
    ("said", "reported"),
    ("seat", "waiter"),
    ("strangeness", "schema drift"),
    ("sweep", "REST audit"),
    ("swept", "audited"),
    ("told", "reported"),
    ("weigh", "memory usage"),
    ("weighed", "measured"),
    ("witness", "cross-check"),
];

/// The same for more than one word.
const PHRASES: &[(&str, &str)] = &[
    ("venue's word", "venue-reported value"),
    ("of our own", "simulated venue"),
    ("foreign token", "unknown instrument"),
    ("keep_house", "housekeeping"),
];

/// The parts of the names and texts of a line: `on_sendError` is `on`, `send`, `Error`.
fn parts(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_ascii_alphabetic()).flat_map(|word| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let first = rest.chars().next()?;
            let lower = rest[first.len_utf8()..].find(|c: char| c.is_ascii_uppercase());
            let is_acronym = lower == Some(0);
            let end = match lower {
                _ if is_acronym => rest
                    .find(|c: char| c.is_ascii_lowercase())
                    .map_or(rest.len(), |at| at.max(2) - 1),
                Some(at) => first.len_utf8() + at,
                None => rest.len(),
            };
            let (part, left) = rest.split_at(end);
            rest = left;
            Some(part)
        })
    })
}

/// Words of the table in a file.
pub(crate) fn words(source: &Source) -> Vec<Breach> {
    let is_text = source.is_rust() || source.file.ends_with(".md");
    if !is_text || source.file == "tests/tidy/words.rs" {
        return Vec::new();
    }
    let mut breaches = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        let mut found: Vec<_> = parts(line)
            .filter_map(|part| WORDS.iter().find(|(word, _)| part.eq_ignore_ascii_case(word)))
            .collect();
        found.extend(PHRASES.iter().filter(|(phrase, _)| line.contains(phrase)));
        for (word, instead) in found {
            breaches.push(source.breach(number + 1, format!("`{word}`: write {instead}")));
        }
    }
    breaches
}

#[test]
fn names_are_split_into_their_parts() {
    let of = |line| parts(line).collect::<Vec<_>>();
    assert_eq!(
        of("fn on_sendError(x: HTTPError)"),
        ["fn", "on", "send", "Error", "x", "HTTP", "Error"]
    );
    assert_eq!(of("MAX_SEATS \"it Told\""), ["MAX", "SEATS", "it", "Told"]);
    let breaches = words(&Source::new("src/x.rs", "fn is_told() {} // told: retoldX\nSeat"));
    assert_eq!(breaches.len(), 4, "{breaches:?}");
}
