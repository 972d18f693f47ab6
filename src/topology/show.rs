//! The topology as a table, for `ringbook topology` and the log.
//!
//! Runs on:  the main thread (pure).
use super::Topology;
use std::fmt;

impl fmt::Display for Topology {
    /// Threads, links, notes; one line each, every line ends with a line feed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<12} {:>5}  {:<13} role", "thread", "core", "idle")?;
        for thread in self.threads() {
            let core = thread.core.map_or_else(|| "any".to_owned(), |core| core.to_string());
            writeln!(f, "{:<12} {core:>5}  {:<13} {}", thread.name, thread.idle, thread.role)?;
        }
        writeln!(f, "\n{:<20} {:>6}", "link", "depth")?;
        for link in self.links() {
            writeln!(f, "{:<20} {:>6}", link.name, link.depth)?;
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}
