//! The facade: what users are shown names nothing else, and no module but the guide is public to them.
use super::source::{Breach, Source};

/// Modules that are public to every crate.
const PUBLIC: &[&str] = &["guide", "pools"];
/// The attribute of a module that is public to tests only.
const INTERNALS: &str = "#[cfg(feature = \"internals\")]";

/// What is written for users.
fn is_shown(file: &str) -> bool {
    matches!(file, "README.md" | "src/guide/library.md" | "src/guide/pools.md" | "src/lib.rs")
        || file.starts_with("tests/examples/")
        || file == "src/shard/publish.rs"
}

/// Modules of the crate in a line that is an example: `ringbook::module::`.
fn named(line: &str) -> impl Iterator<Item = &str> {
    line.split("ringbook::").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        rest[end..].starts_with("::").then_some(&rest[..end])
    })
}

pub(crate) fn breaches(sources: &[Source]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for source in sources.iter().filter(|source| is_shown(&source.file)) {
        for (line, number) in source.text.lines().zip(1..) {
            for name in named(line).filter(|name| !PUBLIC.contains(name)) {
                let what = format!("`ringbook::{name}` is no part of the facade");
                breaches.push(source.breach(number, what));
            }
        }
    }
    for source in sources.iter().filter(|source| source.file == "src/lib.rs") {
        let mut before = "";
        for (line, number) in source.text.lines().zip(1..) {
            if line.starts_with("pub mod ")
                && line.ends_with(';')
                && before != INTERNALS
                && line != "pub mod guide;"
            {
                let what = format!("`{line}` is public to users: {INTERNALS} above it");
                breaches.push(source.breach(number, what));
            }
            before = line;
        }
    }
    breaches
}

#[test]
fn what_is_no_part_of_the_facade_is_found() {
    for (file, text, count) in [
        ("README.md", "use ringbook::{Engine, Handler};", 0),
        ("README.md", "use ringbook::engine::Engine;", 1),
        ("src/guide/pools.md", "use ringbook::pools::load;", 0),
        ("src/guide/running.md", "ringbook::engine::Engine", 0),
        ("tests/examples/x.rs", "let event: ringbook::link::ControlEvent;", 1),
        ("src/lib.rs", "pub mod shard;", 1),
        ("src/lib.rs", "mod shard;\n#[cfg(feature = \"internals\")]\npub mod shard;", 0),
    ] {
        assert_eq!(breaches(&[Source::new(file, text)]).len(), count, "{file}: {text}");
    }
}
