//! Latency histograms at exit: percentiles as text, intervals as HdrHistogram log.
//!
//! Runs on:  main thread; may block on files.
use crate::base::id::ConnectionId;
use crate::counter::latency::{ConnectionLatencies, Latencies, LatencySummary, Stage};
use crate::io::file::NewFile;
use crate::plot::percentiles::render;
use hdrhistogram::serialization::interval_log::Tag;
use hdrhistogram::serialization::{V2DeflateSerializer, interval_log::IntervalLogWriterBuilder};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

const QUANTILES: [f64; 14] =
    [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999, 1.0];

/// Collects intervals; writes the files at the end.
#[derive(Debug)]
pub struct HistogramFiles {
    dir: Option<PathBuf>,
    intervals: Vec<Interval>,
    total: Latencies,
    connections: Vec<(ConnectionId, Box<ConnectionLatencies>)>,
}

#[derive(Debug)]
struct Interval {
    start_wall_ns: u64,
    duration_ns: u64,
    latencies: Box<Latencies>,
}

/// Most intervals before the oldest are merged: a day of minutes, 290 MB.
const INTERVALS_MAX: usize = 1440;

impl HistogramFiles {
    /// Without a folder only sums are kept.
    pub fn new(dir: Option<PathBuf>) -> Self {
        let (intervals, connections) = (Vec::new(), Vec::new());
        Self { dir, intervals, total: Latencies::default(), connections }
    }

    /// Adds an interval.
    pub fn add(&mut self, start_wall_ns: u64, duration_ns: u64, latencies: &Latencies) {
        self.total.add(latencies);
        if self.dir.is_none() {
            return;
        }
        if self.intervals.len() == INTERVALS_MAX {
            // The two oldest become one: long runs keep the recent ones fine.
            let second = self.intervals.remove(1);
            let first = &mut self.intervals[0];
            first.latencies.add(&second.latencies);
            first.duration_ns += second.duration_ns;
        }
        let latencies = Box::new(latencies.clone());
        self.intervals.push(Interval { start_wall_ns, duration_ns, latencies });
    }

    /// Adds latencies of connections.
    pub fn add_connections(&mut self, all: &[(ConnectionId, Box<ConnectionLatencies>)]) {
        self.connections.extend_from_slice(all);
    }

    /// One line per connection and stage, by number.
    fn connection_table(&self) -> String {
        let mut out = format!(
            "{:<16} {:<16} {:>10} {:>12} {:>12} {:>12} {:>12}\n",
            "connection", "stage", "frames", "p50_ns", "p99_ns", "p999_ns", "max_ns"
        );
        let mut sorted: Vec<_> = self.connections.iter().collect();
        sorted.sort_by_key(|(connection, _)| *connection);
        for (connection, latencies) in sorted {
            for (stage, histogram) in [
                (Stage::VenueToRead, &latencies.venue_to_read),
                (Stage::ReadToApplied, &latencies.read_to_applied),
            ] {
                let LatencySummary { stage, count, p50_ns, p99_ns, p999_ns, max_ns, .. } =
                    LatencySummary::of(stage.name(), histogram);
                let _ = writeln!(
                    out,
                    "{:<16} {stage:<16} {count:>10} {p50_ns:>12} {p99_ns:>12} {p999_ns:>12} {max_ns:>12}",
                    connection.to_string()
                );
            }
        }
        out
    }

    /// Table of percentiles.
    pub fn table(&self) -> String {
        let mut out = format!(
            "{:<20}{:>12}{:>11}{:>11}{:>11}{:>11}{:>11}\n",
            "latency", "count", "p50", "p90", "p99", "p99.9", "max"
        );
        for LatencySummary { stage, count, p50_ns, p90_ns, p99_ns, p999_ns, max_ns, .. } in
            self.total.summaries()
        {
            let [p50, p90, p99, p999, max] =
                [p50_ns, p90_ns, p99_ns, p999_ns, max_ns].map(duration);
            let _ = writeln!(
                out,
                "{stage:<20}{count:>12}{p50:>11}{p90:>11}{p99:>11}{p999:>11}{max:>11}"
            );
        }
        out
    }

    /// Writes `STAGE.txt` per stage, `connections.txt` if there are any, `latencies.hlog`, and `latencies.svg` if
    /// anything was measured; returns the folder, if one is set.
    ///
    /// # Errors
    /// A file cannot be written; the message names it.
    pub fn write(&self) -> Result<Option<&Path>, String> {
        let Some(dir) = &self.dir else { return Ok(None) };
        for stage in Stage::ALL {
            let path = dir.join(format!("{}.txt", stage.name()));
            std::fs::write(&path, self.percentiles(stage))
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        if !self.connections.is_empty() {
            let path = dir.join("connections.txt");
            std::fs::write(&path, self.connection_table())
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        let path = dir.join("latencies.hlog");
        self.write_log(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        if let Some(svg) = render(&self.total, "Latencies of the run, by stage") {
            NewFile::create(&dir.join("latencies.svg"))?.finish(svg.as_bytes())?;
        }
        Ok(Some(dir))
    }

    fn percentiles(&self, stage: Stage) -> String {
        let histogram = self.total.stage(stage);
        let mut out = format!("# {}, nanoseconds, {} values\n", stage.name(), histogram.len());
        let _ = writeln!(out, "{:>10} {:>15} {:>15}", "quantile", "value_ns", "count_at_or_below");
        for quantile in QUANTILES {
            let value = histogram.value_at_quantile(quantile);
            let below = histogram.count_between(0, value);
            let _ = writeln!(out, "{quantile:>10} {value:>15} {below:>15}");
        }
        out
    }

    fn write_log(&self, path: &Path) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let mut file = BufWriter::new(File::create(path).map_err(|e| text(&e))?);
        let start_ns = self.intervals.first().map_or(0, |interval| interval.start_wall_ns);
        let mut serializer = V2DeflateSerializer::new();
        {
            let mut log = IntervalLogWriterBuilder::new()
                .add_comment("ringbook: one line per stage (tag) and interval, nanoseconds")
                .with_base_time(UNIX_EPOCH)
                .with_start_time(UNIX_EPOCH + Duration::from_nanos(start_ns))
                .begin_log_with(&mut file, &mut serializer)
                .map_err(|e| text(&e))?;
            for interval in &self.intervals {
                for stage in Stage::ALL {
                    let histogram = interval.latencies.stage(stage);
                    if histogram.is_empty() {
                        continue;
                    }
                    log.write_histogram(
                        histogram,
                        Duration::from_nanos(interval.start_wall_ns),
                        Duration::from_nanos(interval.duration_ns),
                        Tag::new(stage.name()),
                    )
                    .map_err(|e| format!("{e:?}"))?;
                }
            }
        }
        file.flush().map_err(|e| text(&e))
    }
}

/// Nanoseconds as text.
pub fn duration(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} µs", ns as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}
