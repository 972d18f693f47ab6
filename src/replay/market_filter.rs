//! Which records of a capture concern some of its markets.
//!
//! Runs on:  the replay's reader, the starting thread (pure).
//!
//! Frames of other markets are left out, and books of other markets are not opened. What concerns connections as a
//! whole stays. Where a venue numbers the messages of a connection, all frames of those with a wanted market stay: a
//! missing number would be a loss.
use super::annotations::books_in;
use crate::capture::line::{AnnotationRecord, Record, What};
use crate::capture::outline::Values;
use memchr::memchr;
use memchr::memmem::Finder;
use std::borrow::Cow;
use std::collections::HashSet;

/// Beginning of most frames of Polymarket.
const MARKET_FIRST: &str = r#"{"market":"#;

/// The first record of a file.
const HEADER: &str = r#","k":"v","#;
/// Beginnings of records that name the markets or tokens that they are about.
const OF_MARKETS: [&str; 3] = [r#","k":"t","f":{"market":"#, r#","k":"c","#, r#","k":"z","#];

/// What is kept of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Nothing,
    Whole,
    /// This line in its place.
    Part(String),
}

/// Markets by their names, and what the capture has of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct MarketFilter {
    names: Vec<String>,
    /// Names that were found.
    found: HashSet<String>,
    /// Their markets and tokens, quoted as in JSON.
    ids: Vec<String>,
    /// The same, in the same order, to search for: every frame of other markets is searched for each of them.
    searches: Vec<Finder<'static>>,
    /// Connections that have or had one of their books.
    connections: HashSet<u64>,
    /// The venue numbers messages.
    is_numbered: bool,
    /// An engine has recorded: it says which connection has which books.
    is_engine: bool,
}

impl MarketFilter {
    /// Without names everything is kept.
    pub(crate) fn new(names: &[String]) -> Self {
        // Recordings of other tools do not list books: ids stand for themselves.
        let mut filter = Self { names: names.to_vec(), ..Self::default() };
        names.iter().for_each(|name| filter.add(format!("\"{name}\"")));
        filter
    }

    fn add(&mut self, id: String) {
        if !self.ids.contains(&id) {
            self.searches.push(Finder::new(&id).into_owned());
            self.ids.push(id);
        }
    }

    /// An engine's records begin; `is_numbered`: its venue numbers messages.
    pub(crate) fn begin(&mut self, is_numbered: bool) {
        self.connections.clear();
        (self.is_numbered, self.is_engine) = (is_numbered, false);
    }

    /// The records begin within those of an engine.
    pub(crate) fn resume(&mut self) {
        self.is_engine = true;
    }

    /// Names of which no book was opened.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &String> {
        self.names.iter().filter(|name| !self.found.contains(*name))
    }

    pub(crate) fn keep(&mut self, record: &Record<'_>, line: &str) -> Kept {
        if self.names.is_empty() {
            return Kept::Whole;
        }
        let is_kept = match &record.what {
            What::Text(Cow::Borrowed(frame)) => {
                self.is_connected(record) || self.is_of_market(frame)
            }
            // Not JSON: it may concern any book.
            What::Text(Cow::Owned(_)) | What::Binary(_) => true,
            What::Skipped => self.is_connected(record) || self.is_named_in(line),
            What::Sent => self.is_named_in(&line.replace("\\\"", "\"")),
            What::Answer(..) | What::Annotation(AnnotationRecord::Proof) => self.is_named_in(line),
            What::Annotation(AnnotationRecord::Books | AnnotationRecord::Described) => {
                return self.keep_books(record, line);
            }
            What::Annotation(AnnotationRecord::Image) => {
                // Most are of other markets.
                return match self.is_named_in(line) {
                    true => self.keep_books(record, line),
                    false => Kept::Nothing,
                };
            }
            What::Opened { from } => {
                if from.is_some_and(|from| self.connections.contains(&from)) {
                    self.connections.extend(record.connection);
                }
                true
            }
            What::Annotation(AnnotationRecord::Begun) => {
                self.is_engine = true;
                true
            }
            _ => true,
        };
        if is_kept { Kept::Whole } else { Kept::Nothing }
    }

    /// Whether all messages of the record's connection are needed.
    fn is_connected(&self, record: &Record<'_>) -> bool {
        let has_wanted = || record.connection.is_some_and(|c| self.connections.contains(&c));
        self.is_numbered && (!self.is_engine || has_wanted())
    }

    /// Whether a frame concerns a wanted market, or may concern any.
    fn is_of_market(&self, frame: &str) -> bool {
        // Most frames begin with their only market.
        if let Some(rest) = frame.strip_prefix(MARKET_FIRST) {
            return self.ids.iter().any(|id| rest.starts_with(id)) || self.is_named_in(rest);
        }
        self.is_named_in(frame) || !has_market(frame)
    }

    /// Whether a line of a capture is about other markets than those known by now, whatever was before it, or about
    /// none.
    pub(crate) fn is_of_others(&self, line: &str) -> bool {
        // No key before the kind has this letter.
        let start = memchr(b'k', line.as_bytes()).unwrap_or(0).saturating_sub(2);
        let is_kind = |kind: &str| line.as_bytes()[start..].starts_with(kind.as_bytes());
        is_kind(HEADER) || OF_MARKETS.into_iter().any(is_kind) && !self.is_named_in(line)
    }

    fn is_named_in(&self, text: &str) -> bool {
        self.searches.iter().any(|id| id.find(text.as_bytes()).is_some())
    }

    /// A record of books, with the wanted ones only.
    fn keep_books(&mut self, record: &Record<'_>, line: &str) -> Kept {
        let mut members = Values::of(line.as_bytes());
        let list = loop {
            match members.next() {
                Some((b"books", list)) => break list,
                Some(_) => {}
                None => return Kept::Whole,
            }
        };
        // A part of the line.
        let start = (list.as_ptr() as usize).wrapping_sub(line.as_ptr() as usize);
        let (before, after) = (&line[..start], &line[start + list.len()..]);
        let mut values = Values::of(list);
        let mut books = Vec::new();
        while let Some((_, book)) = values.next() {
            let Ok(book) = std::str::from_utf8(book) else { return Kept::Whole };
            books.push(book);
        }
        let count = books.len();
        let mut wants = |book: &str| self.wants(&format!("{before}[{book}]{after}"));
        // A token that is behind another of its market stands for both: a replacement of their connection depends on
        // all messages of the market.
        books.iter().for_each(|book| _ = wants(book));
        let kept: Vec<&str> = books.into_iter().filter(|book| wants(book)).collect();
        if kept.is_empty() {
            return Kept::Nothing;
        }
        self.connections.extend(record.connection);
        if kept.len() == count {
            Kept::Whole
        } else {
            Kept::Part(format!("{before}[{}]{after}", kept.join(",")))
        }
    }

    /// Whether a record of one book has a wanted one; learns its ids.
    fn wants(&mut self, line: &str) -> bool {
        let Some(book) = books_in(line).and_then(|books| books.into_iter().next()) else {
            return false;
        };
        let [market, token] = [&book.m, &book.a].map(|id| format!("\"{id}\""));
        let names = self.names.iter().filter(|name| book.is_named(name));
        let names: Vec<String> = names.cloned().collect();
        let is_wanted = !names.is_empty() || self.ids.contains(&market);
        if is_wanted {
            self.found.extend(names);
            self.add(market);
            self.add(token);
        }
        is_wanted
    }
}

/// Whether a frame names a market of either venue.
fn has_market(frame: &str) -> bool {
    frame.contains("\"market\"") || frame.contains("\"market_ticker\"")
}

#[cfg(test)]
mod tests;
