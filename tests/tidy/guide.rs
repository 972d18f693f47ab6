//! The guide against the program: flags, conditions of `/health`, widths, and references to protocol pages.
use super::source::{Breach, Source};
use clap::{Command, CommandFactory as _};
use ringbook::config::flags::Cli;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command as Process;

/// Longest line of a page, in characters.
const COLUMNS_MAX: usize = 120;
/// Longest README.
const README_LINES_MAX: usize = 180;
/// Flags of other programs that the pages name.
const OTHERS: &[&str] = &[
    "--release",
    "--test",
    "--bench",
    "--ignored",
    "--nocapture",
    "--test-threads",
    "--cacert",
    "--bind",
    "--help",
    "--no-deps",
    "--open",
    "--lib",
    "--example",
    "--shm-size",
    "--features",
    "--path",
];

fn is_page(file: &str) -> bool {
    file == "README.md" || (file.starts_with("src/") && file.ends_with(".md"))
}

/// Pages and comments fit a terminal, and the README is short. The formatter leaves comments as they are.
pub(crate) fn room(source: &Source) -> Vec<Breach> {
    let is_page = is_page(&source.file);
    if !is_page && !source.file.ends_with(".rs") {
        return Vec::new();
    }
    let mut breaches = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        let columns = line.chars().count();
        let is_table = line.contains(" | ");
        if columns > COLUMNS_MAX && (is_page || line.trim_start().starts_with("//") && !is_table) {
            breaches.push(
                source.breach(index + 1, format!("{columns} columns; {COLUMNS_MAX} are the most")),
            );
        }
    }
    let lines = source.text.lines().count();
    if source.file == "README.md" && lines > README_LINES_MAX {
        breaches
            .push(source.breach(lines, format!("{lines} lines; {README_LINES_MAX} are the most")));
    }
    breaches
}

/// `--flag` names in a text, with their lines.
fn flags(text: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let tokens = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        for token in tokens.map(|token| token.trim_end_matches('-')) {
            let name = token.strip_prefix("--").filter(|name| !name.is_empty());
            if name.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase())) {
                found.entry(token.to_owned()).or_insert(index + 1);
            }
        }
    }
    found
}

fn options(command: &Command, into: &mut BTreeSet<String>) {
    let own = command.get_arguments().filter_map(|argument| argument.get_long());
    into.extend(
        own.filter(|long| !["help", "version"].contains(long)).map(|long| format!("--{long}")),
    );
    command.get_subcommands().for_each(|command| options(command, into));
}

/// Every flag of both programs.
fn known_flags() -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    options(&Cli::command(), &mut known);
    let help =
        Process::new(env!("CARGO_BIN_EXE_venue-sim")).arg("--help").output().expect("it runs");
    let help = String::from_utf8(help.stdout).expect("text");
    known.extend(
        flags(&help).into_keys().filter(|flag| !["--help", "--version"].contains(&flag.as_str())),
    );
    assert!(known.contains("--serve") && known.contains("--v2-share"), "{known:?}");
    known
}

/// Every flag is on a page, and every flag on a page exists.
pub(crate) fn flags_agree(sources: &[Source]) -> Vec<Breach> {
    flags_agree_with(sources, &known_flags())
}

fn flags_agree_with(sources: &[Source], known: &BTreeSet<String>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut described = BTreeSet::new();
    for source in sources.iter().filter(|source| is_page(&source.file)) {
        for (flag, line) in flags(&source.text) {
            let is_beginning = known.iter().any(|known| known.starts_with(&format!("{flag}-")));
            if known.contains(&flag) {
                described.insert(flag);
            } else if !OTHERS.contains(&flag.as_str()) && !is_beginning {
                breaches.push(
                    source.breach(line, format!("`{flag}` is no flag of ringbook or venue-sim")),
                );
            }
        }
    }
    for flag in known.iter().filter(|flag| !described.contains(*flag)) {
        let what = format!("`{flag}` is on no page: describe it");
        breaches.push(Breach { file: "src/guide/".into(), line: 1, what });
    }
    breaches
}

/// Every condition of `/health` is on the operator's page.
pub(crate) fn conditions(sources: &[Source], declared: &[&str]) -> Vec<Breach> {
    let Some(page) = sources.iter().find(|source| source.file == "src/guide/operating.md") else {
        return vec![Breach {
            file: "src/guide/operating.md".into(),
            line: 1,
            what: "is missing".into(),
        }];
    };
    let text = page.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let missing = declared.iter().filter(|condition| !text.contains(&format!("- `{condition}` (")));
    missing.map(|condition| page.breach(1, format!("does not describe `{condition}`"))).collect()
}

/// A reference such as `kalshi/protocol.md, 2.7` names a section that exists.
pub(crate) fn references(sources: &[Source]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for source in
        sources.iter().filter(|source| source.is_rust() && !source.file.starts_with("tests/tidy"))
    {
        let lines = source.text.lines().enumerate();
        for (index, line) in lines.filter(|(_, line)| !line.contains("include_str!")) {
            for (at, name) in line.match_indices("protocol.md") {
                let venue = line[..at]
                    .trim_end_matches('/')
                    .rsplit(|c: char| !c.is_ascii_lowercase())
                    .next();
                let file = format!("src/venue/{}/protocol.md", venue.unwrap_or(""));
                let Some(page) = sources.iter().find(|source| source.file == file) else {
                    breaches.push(source.breach(index + 1, format!("there is no {file}")));
                    continue;
                };
                let rest = line[at + name.len()..].strip_prefix(", ").unwrap_or("");
                for section in sections(rest) {
                    let heading = |line: &str| {
                        let title = line.trim_start_matches('#');
                        title.len() < line.len()
                            && title.trim_start().starts_with(&format!("{section} "))
                    };
                    if !page.text.lines().any(heading) {
                        breaches.push(
                            source.breach(index + 1, format!("{file} has no section {section}")),
                        );
                    }
                }
            }
        }
    }
    breaches
}

/// The numbers at the beginning of a text: `2`, `2.7`, `2 and 3`, `2.5 to 2.7`.
fn sections(text: &str) -> Vec<&str> {
    let tokens = text.split([' ', ',', ')', ':', ';']);
    let numbers = tokens.take_while(|token| {
        matches!(*token, "and" | "to") || token.starts_with(|c: char| c.is_ascii_digit())
    });
    numbers
        .filter(|token| token.starts_with(|c: char| c.is_ascii_digit()))
        .map(|token| token.trim_end_matches('.'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(file: &str, text: &str) -> Source {
        Source::new(file, text)
    }

    #[test]
    fn wide_lines_and_long_readmes_are_seen() {
        let wide = "x".repeat(COLUMNS_MAX + 1);
        assert_eq!(room(&page("src/guide/a.md", &wide)).len(), 1);
        assert_eq!(room(&page("src/guide/a.md", &"é".repeat(COLUMNS_MAX))).len(), 0);
        assert_eq!(room(&page("benches/RESULTS.md", &wide)).len(), 0);
        assert_eq!(room(&page("README.md", &"x\n".repeat(README_LINES_MAX + 1))).len(), 1);
    }

    #[test]
    fn a_flag_that_no_page_names_and_one_that_does_not_exist_are_seen() {
        let known: BTreeSet<String> = ["--serve", "--serve-name"].map(str::to_owned).into();
        let of = |text| flags_agree_with(&[page("src/guide/a.md", text)], &known).len();
        assert_eq!(of("`--serve ADDRESS`, --serve-name=x"), 0);
        assert_eq!(of("`--serve-name` -- a dash, ---, |---|, cargo test --release"), 1);
        assert_eq!(of("`--serve`, `--serve-name`, `--server`"), 1);
    }

    #[test]
    fn a_condition_without_a_remedy_is_seen() {
        let text = "- `{a} is down:\n  {why}` (reason)\n\n  Mind it.\n";
        let sources = [page("src/guide/operating.md", text)];
        assert_eq!(conditions(&sources, &["{a} is down: {why}"]).len(), 0);
        assert_eq!(conditions(&sources, &["{a} is down: {why}", "is down"]).len(), 1);
        assert_eq!(conditions(&[], &[]).len(), 1);
    }

    #[test]
    fn a_reference_to_a_section_that_does_not_exist_is_seen() {
        let protocol =
            page("src/venue/kalshi/protocol.md", "# Kalshi\n\n## 2 Commands\n\n### 2.7 Ids\n");
        let of = |text: &str| {
            let sources = [page("src/shard/a.rs", text), page(&protocol.file, &protocol.text)];
            references(&sources).len()
        };
        assert_eq!(of("// (kalshi/protocol.md, 2 and 2.7: the rest)"), 0);
        assert_eq!(of("// see venue/kalshi/protocol.md, 2.7."), 0);
        assert_eq!(of("// (kalshi/protocol.md, 2.8)"), 1);
        assert_eq!(of("// (kalshi/protocol.md, 2 to 3)"), 1);
        assert_eq!(of("// (protocol.md, 2)"), 1);
        assert_eq!(of("#[doc = include_str!(\"protocol.md\")]"), 0);
    }
}
