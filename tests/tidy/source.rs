//! Rust text without its comments and literals, and the paths that it names.
use std::fmt;

/// Something that breaks a rule, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// One tracked file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the repository, with `/`.
    pub(crate) file: String,
    pub(crate) text: String,
    /// The text with comments and literals blanked, line for line; empty when it is not Rust.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(file: &str, text: &str) -> Self {
        let code = if file.ends_with(".rs") { blank(text) } else { String::new() };
        Self { file: file.to_owned(), text: text.to_owned(), code }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.file.ends_with(".rs")
    }

    pub(crate) fn breach(&self, line: usize, what: impl Into<String>) -> Breach {
        Breach { file: self.file.clone(), line, what: what.into() }
    }

    /// The module that this file is, from the crate's root; empty for a root.
    pub(crate) fn module(&self) -> Vec<String> {
        let inner = self.file.strip_prefix("src/").unwrap_or("");
        let inner = inner.strip_suffix(".rs").unwrap_or(inner);
        if matches!(inner, "lib" | "main" | "") || inner.starts_with("bin/") {
            return Vec::new();
        }
        let inner = inner.strip_suffix("/mod").unwrap_or(inner);
        inner.split('/').map(str::to_owned).collect()
    }

    /// The layer of a file under `src/`: its top module, or `lib`, `main`, `bin`.
    pub(crate) fn layer(&self) -> Option<&str> {
        let inner = self.file.strip_prefix("src/")?.strip_suffix(".rs")?;
        Some(inner.split('/').next().unwrap_or(inner))
    }
}

/// A path that code names, `crate::…` if it is our own.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) line: usize,
    pub(crate) path: Vec<String>,
    /// Below a module `tests`: not in the program.
    pub(crate) in_tests: bool,
}

impl Named {
    /// Whether this path is `target` or leads into it. A module of std that holds the target is
    /// as good as the target, which can be named through it.
    pub(crate) fn reaches(&self, target: &str) -> bool {
        let mut target = target.split("::");
        for segment in &self.path {
            match target.next() {
                None => return true,
                Some(_) if segment == "*" => return true,
                Some(wanted) if wanted != segment => return false,
                Some(_) => {}
            }
        }
        target.next().is_none() || (self.path.len() > 1 && self.path[0] == "std")
    }
}

/// Every path that the code names, `use` trees taken apart and `super` resolved.
pub(crate) fn named(source: &Source) -> Vec<Named> {
    let tokens = tokens(&source.code);
    let mut walk = Walk { tokens: &tokens, module: source.module(), found: Vec::new() };
    let mut open: Vec<bool> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let follows = |n: usize, text: &str| walk.text(at + n) == text;
        match tokens[at].text {
            "mod" if follows(2, "{") => {
                walk.module.push(tokens[at + 1].text.to_owned());
                open.push(true);
                at += 3;
            }
            "{" => {
                open.push(false);
                at += 1;
            }
            "}" => {
                if open.pop() == Some(true) {
                    walk.module.pop();
                }
                at += 1;
            }
            "use" => at = walk.tree(at + 1, &[]),
            name if is_name(name) && follows(1, "::") => at = walk.tree(at, &[]),
            _ => at += 1,
        }
    }
    walk.found
}

struct Walk<'t> {
    tokens: &'t [Token<'t>],
    module: Vec<String>,
    found: Vec<Named>,
}

impl<'t> Walk<'t> {
    fn text(&self, at: usize) -> &'t str {
        self.tokens.get(at).map_or("", |token| token.text)
    }

    /// Takes one path or `use` tree that begins at `at`; gives the place behind it.
    fn tree(&mut self, mut at: usize, before: &[&'t str]) -> usize {
        let mut path = before.to_vec();
        if self.text(at) == "::" {
            at += 1;
        }
        loop {
            match self.text(at) {
                "{" => {
                    at += 1;
                    while !matches!(self.text(at), "}" | "") {
                        let next = self.tree(at, &path);
                        // Whatever is no tree (a separator) is passed over.
                        at = if next == at { at + 1 } else { next };
                    }
                    return at + 1;
                }
                name if is_name(name) || name == "*" => {
                    path.push(name);
                    at += 1;
                }
                _ => break,
            }
            if self.text(at) != "::" {
                break;
            }
            at += 1;
        }
        if path.len() > before.len() {
            let line = self.tokens[at - 1].line;
            let path = self.resolved(&path);
            let in_tests = self.module.iter().any(|module| module == "tests");
            self.found.push(Named { line, path, in_tests });
        }
        if self.text(at) == "as" { at + 2 } else { at }
    }

    fn resolved(&self, path: &[&str]) -> Vec<String> {
        let mut module = self.module.clone();
        let mut rest = path;
        match rest[0] {
            "crate" | "ringbook" => module.clear(),
            "self" | "super" => {}
            _ => {
                let path = path.strip_suffix(&["self"]).unwrap_or(path);
                return path.iter().map(|&segment| segment.to_owned()).collect();
            }
        }
        while let Some((&segment @ ("crate" | "ringbook" | "self" | "super"), tail)) =
            rest.split_first()
        {
            if segment == "super" {
                module.pop();
            }
            rest = tail;
        }
        // `use x::{self, y}` names x.
        let rest = rest.strip_suffix(&["self"]).unwrap_or(rest);
        let own = rest.iter().map(|&segment| segment.to_owned());
        std::iter::once("crate".to_owned()).chain(module).chain(own).collect()
    }
}

#[derive(Debug)]
pub(crate) struct Token<'t> {
    pub(crate) line: usize,
    pub(crate) text: &'t str,
}

/// Names, `::` and single characters.
pub(crate) fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (index, text) in code.lines().enumerate() {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if is_letter(first) {
                rest.find(|c: char| !is_letter(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push(Token { line: index + 1, text: &rest[..length] });
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Comments, texts and characters become spaces; lines stay where they are.
pub(crate) fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `at` when none begins here.
fn literal_end(chars: &[char], at: usize) -> usize {
    let is = |place: usize, wanted: char| chars.get(place) == Some(&wanted);
    match chars[at] {
        '/' if is(at + 1, '/') => {
            (at..chars.len()).find(|&place| chars[place] == '\n').unwrap_or(chars.len())
        }
        '/' if is(at + 1, '*') => comment_end(chars, at),
        '"' => quoted_end(chars, at, '"'),
        'r' | 'b' | 'c' if at == 0 || !is_letter(chars[at - 1]) => raw_end(chars, at),
        '\'' if is(at + 1, '\\') || is(at + 2, '\'') => quoted_end(chars, at, '\''),
        _ => at,
    }
}

fn comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut place) = (1, at + 2);
    while depth > 0 && place < chars.len() {
        match (chars[place], chars.get(place + 1)) {
            ('/', Some('*')) => (depth, place) = (depth + 1, place + 2),
            ('*', Some('/')) => (depth, place) = (depth - 1, place + 2),
            _ => place += 1,
        }
    }
    place
}

fn quoted_end(chars: &[char], at: usize, quote: char) -> usize {
    let mut place = at + 1;
    while place < chars.len() && chars[place] != quote {
        place += if chars[place] == '\\' { 2 } else { 1 };
    }
    (place + 1).min(chars.len())
}

/// A text without escapes: `r"…"`, `br#"…"#`. `b"…"` is left to the quote itself.
fn raw_end(chars: &[char], at: usize) -> usize {
    let mut place = at + 1;
    if chars[at] != 'r' {
        if chars.get(place) != Some(&'r') {
            return at;
        }
        place += 1;
    }
    let hashes = chars[place..].iter().take_while(|&&c| c == '#').count();
    place += hashes;
    if chars.get(place) != Some(&'"') {
        return at;
    }
    place += 1;
    while place < chars.len() {
        let closing = chars[place] == '"'
            && chars[place + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes;
        place += 1;
        if closing {
            return place + hashes;
        }
    }
    place
}
