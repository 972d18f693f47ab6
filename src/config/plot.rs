//! The flags of `ringbook plot`.
//!
//! Runs on:  the starting thread.
use super::replay::{by_venue, check_output, files, range, time, venue};
use crate::replay::plan::{Plan, Speed};
use crate::replay::{Recording, Wanted};
use crate::venue::{self, Feed};
use std::path::PathBuf;

/// Draw one market of a capture: best prices and mid, depth as a heat map, trades.
///
/// The plot is SVG. Depth is the book at the end of each column of time, in shades by the logarithm of the size; times
/// when the book was not live are hatched.
///
/// Exit code: 0; 1 when the capture has no such market or nothing to draw, or cannot be read to its end (what was read is
/// drawn); 2 for wrong flags; 130 when interrupted.
#[derive(Clone, Debug, clap::Args)]
pub struct PlotArgs {
    /// Captures, or recordings as `ringbook replay` reads them: files, folders
    #[arg(value_name = "CAPTURE", required = true)]
    pub captures: Vec<PathBuf>,

    /// The market: a condition id, a token id, a ticker, or a slug that was announced while it was recorded [default: the
    /// only one of the capture]
    #[arg(long, value_name = "MARKET")]
    pub market: Option<String>,

    /// The outcome: its number from 1 on, or its name if the market was announced [default: the first one]
    #[arg(long, value_name = "OUTCOME")]
    pub outcome: Option<String>,

    /// Whose frames captures hold: polymarket or kalshi [default: recognized by the first message of each file]
    #[arg(long, value_name = "VENUE", value_parser = venue)]
    pub venue: Option<Feed>,

    /// Begin here: leave out what was received before (2026-11-27T07:15:00Z, or nanoseconds since 1970). The book begins
    /// with its first snapshot after that
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<u64>,

    /// End here: leave out what was received at that time and later
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<u64>,

    /// The file of the plot [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

impl PlotArgs {
    /// Checks the flags together: a plan for each venue, and what is drawn.
    ///
    /// # Errors
    /// One line with flag and remedy; exit code 2.
    pub fn plans(&self) -> Result<(Vec<Plan>, Wanted), String> {
        let all = files(&self.captures)?;
        if let Some(out) = &self.out {
            check_output("--out", out, &all)?;
        }
        let range = range(self.from, self.to, ["--from", "--to"])?;
        let market = self.market.as_ref().map(|name| name.trim().to_owned());
        if market.as_deref() == Some("") {
            return Err("--market \"\": this names nothing; give a slug, a condition id, a token id or a ticker".into());
        }
        let wanted = Wanted { market, outcome: self.outcome.clone() };
        let plan = |files, feed| -> Result<Plan, String> {
            let plan = Plan::new(files, 1, 1, Speed::Max, None)?;
            Ok(plan.between(range.clone()).in_receive_order().of(feed))
        };
        let Some(recordings) = by_venue(all.clone(), self.venue) else {
            return Ok((vec![plan(all, venue::ALL[0])?], wanted));
        };
        let of = |Recording { feed, files }: Recording| plan(files, feed);
        Ok((recordings.into_iter().map(of).collect::<Result<_, _>>()?, wanted))
    }
}
