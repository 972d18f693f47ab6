//! The flags of `ringbook book`.
//!
//! Runs on:  the starting thread.
use super::replay::{time, venue};
use super::replay_gateway::recordings;
use crate::replay::Recording;
use crate::venue::Feed;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Print the books of one market as they were at some time of a capture.
///
/// They are those after everything that was received up to that time. On a terminal a table with the best levels first;
/// with --json or into a pipe one line of JSON for each book, as `replay --books-out` writes them: best levels last.
///
/// Exit code: 0; 1 when a book was not live then (it is printed with its state), nothing was recorded then, no such
/// market had a book, or a file cannot be read; 2 for wrong flags; 130 when interrupted.
#[derive(Clone, Debug, clap::Args)]
pub struct BookArgs {
    /// Captures, or recordings with receive times as `ringbook replay` reads them: files, folders, or a folder of such
    /// folders
    #[arg(value_name = "CAPTURE", required = true)]
    pub captures: Vec<PathBuf>,

    /// The time: 2026-11-27T07:15:00Z, or nanoseconds since 1970
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: u64,

    /// The market, with the books of all its outcomes: a slug, a condition id or a ticker; or one book by its token id
    #[arg(long, value_name = "MARKET")]
    pub market: String,

    /// Best levels of each side [default: 10 in the table, all in JSON]
    #[arg(long, value_name = "LEVELS")]
    pub depth: Option<NonZeroUsize>,

    /// Of captures of both venues, only this one: polymarket or kalshi [default: recognized by the first message of
    /// each file]
    #[arg(long, value_name = "VENUE", value_parser = venue)]
    pub venue: Option<Feed>,

    /// Print JSON on a terminal too
    #[arg(long)]
    pub json: bool,
}

impl BookArgs {
    /// The market's name.
    ///
    /// # Errors
    /// It is empty; exit code 2.
    pub fn market(&self) -> Result<&str, String> {
        match self.market.trim() {
            "" => Err("--market \"\": this names nothing; give a slug, a condition id, a token id or a ticker".into()),
            name => Ok(name),
        }
    }

    /// The recordings, one for each venue.
    ///
    /// # Errors
    /// A file cannot be read, or its venue is not recognized; exit code 1.
    pub fn recordings(&self) -> Result<Vec<Recording>, String> {
        recordings(&self.captures, self.venue)
    }
}
