//! The flags of `ringbook plot`.
//!
//! Runs on:  the starting thread.
use super::replay::{PartFlags, by_venue, check_output, files};
use crate::replay::plan::{Plan, Speed};
use crate::replay::{Recording, Wanted};
use crate::venue;
use std::path::PathBuf;

/// Draw one market of a capture: best prices and mid, depth as a heat map, trades.
///
/// The plot is SVG. Depth is the book at the end of each column of time, in shades by the logarithm of the size; times
/// when the book was not live are hatched. In a range (--from, --to) the book begins with its first snapshot.
///
/// Exit code: 0; 1 when the capture has no such market or nothing to draw, or cannot be read to its end (what was read
/// is drawn); 2 for wrong flags; 130 when interrupted.
#[derive(Clone, Debug, clap::Args)]
pub struct PlotArgs {
    /// Captures, or recordings as `ringbook replay` reads them: files, folders
    #[arg(value_name = "CAPTURE", required = true)]
    pub captures: Vec<PathBuf>,

    /// The market: a slug, a condition id, a token id or a ticker [default: the only one of the capture]
    #[arg(long, value_name = "MARKET")]
    pub market: Option<String>,

    /// The outcome: its number from 1 on, or its name if the market was announced [default: the first one]
    #[arg(long, value_name = "OUTCOME")]
    pub outcome: Option<String>,

    /// Venue and range of time.
    #[command(flatten)]
    pub part: PartFlags,

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
        let range = self.part.range()?;
        let market = self.market.as_ref().map(|name| name.trim().to_owned());
        if market.as_deref() == Some("") {
            return Err("--market \"\": this names nothing; give a slug, a condition id, a token id or a ticker".into());
        }
        let wanted = Wanted { market, outcome: self.outcome.clone() };
        let plan = |files, feed| -> Result<Plan, String> {
            let plan = Plan::new(files, 1, 1, Speed::Max, None)?;
            Ok(plan.between(range.clone()).in_receive_order().of(feed))
        };
        let Some(recordings) = by_venue(all.clone(), self.part.venue) else {
            return Ok((vec![plan(all, venue::ALL[0])?], wanted));
        };
        let of = |Recording { feed, files }: Recording| plan(files, feed);
        Ok((recordings.into_iter().map(of).collect::<Result<_, _>>()?, wanted))
    }
}
