//! Plots as SVG text: what a replay measured, one market's recorded book, latency histograms, a benchmark's steps.
//!
//! Runs on:  any (pure). Bounds: [`COLUMNS`] columns of time, [`market::TRADES_MAX`] marks of trades; a plot has at
//!           most 2 MB.
//!
//! ```text
//! records -> columns (aggregated while they pass) -> day, market  -> chart, scale -> svg
//! histograms, steps                               -> percentiles, steps ----^
//! ```
//!
//! Black on white; curves differ in dashes, marks in shape, so that a print without colours can be read.
pub mod chart;
pub mod columns;
pub mod day;
pub mod market;
pub mod percentiles;
pub mod scale;
pub mod steps;
pub mod svg;

/// Columns of time in a plot; with more, two adjacent ones become one.
pub const COLUMNS: u64 = 600;
