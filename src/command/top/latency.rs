//! The view "Latency": percentiles of each stage, the histogram and the last minutes of the selected one.
//!
//! Runs on:  main thread (pure).
use super::answer::{Buckets, quantile};
use super::draw::{Column, draw_lines, draw_table};
use super::figure::{count, duration};
use super::state::App;
use crate::counter::latency::LatencySummary;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Sparkline;

/// Values of the histogram unless since the start, milliseconds.
const SPAN_MS: u64 = 60_000;

pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    let stages = app.report.as_ref().map_or(0, |report| report.latencies.len()) as u16;
    let parts = [Constraint::Length(1), Constraint::Length(stages + 1), Constraint::Min(0)];
    let [title, table, charts] = Layout::vertical(parts).areas(area);
    let span = if app.since_start { "since the start" } else { "last minute" };
    let text = format!(" Values: {span}. venue_to_read contains the difference of the clocks.");
    frame.render_widget(Line::styled(text, app.theme.quiet()), title);
    let rows = summaries(app);
    let mut state = app.stages;
    let place = draw_table(app, frame, table, &columns(), &rows, &mut state);
    (app.stages, app.rows) = (state, place);
    if let Some(stage) = app.stages.selected().and_then(|at| rows.get(at)) {
        draw_charts(app, frame, charts, &stage.stage);
    }
}

fn columns() -> Vec<Column<LatencySummary>> {
    vec![
        Column::text("stage", 18, |_, one| Span::raw(one.stage.clone())),
        Column::number("values", 10, |_, one| Span::raw(count(one.count))),
        Column::number("p50", 9, |_, one| Span::raw(duration(one.p50_ns))),
        Column::number("p90", 9, |_, one| Span::raw(duration(one.p90_ns))),
        Column::number("p99", 9, |_, one| Span::raw(duration(one.p99_ns))),
        Column::number("p99.9", 9, |_, one| Span::raw(duration(one.p999_ns))),
        Column::number("max", 9, |_, one| Span::raw(duration(one.max_ns))),
    ]
}

/// Those of `/stats`, or those of the last minute, of which maxima are bounds of buckets.
fn summaries(app: &App) -> Vec<LatencySummary> {
    let Some(report) = &app.report else { return Vec::new() };
    if app.since_start {
        return report.latencies.clone();
    }
    let of = |stage: &str| {
        let buckets = buckets(app, stage);
        let at = |share| quantile(&buckets, share);
        LatencySummary {
            stage: stage.to_owned(),
            count: buckets.iter().map(|(_, count)| count).sum(),
            min_ns: buckets.first().map_or(0, |(upper, _)| *upper),
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            max_ns: at(1.0),
        }
    };
    report.latencies.iter().map(|one| of(&one.stage)).collect()
}

/// Values of the last minute, as far as they are known, or since the start.
fn buckets(app: &App, stage: &str) -> Buckets {
    let Some(last) = app.latency.back() else { return Vec::new() };
    let recent = app.latency.iter().find(|one| last.now_ms - one.now_ms <= SPAN_MS);
    // A first answer has nothing before it.
    let before = recent.filter(|one| !app.since_start && one.now_ms < last.now_ms);
    last.since(before, stage)
}

fn draw_charts(app: &App, frame: &mut Frame<'_>, area: Rect, stage: &str) {
    let over_time = (area.height / 3).min(8);
    let parts = [Constraint::Min(4), Constraint::Length(over_time)];
    let [histogram, time] = Layout::vertical(parts).areas(area);
    draw_histogram(app, frame, histogram, stage);
    if time.height < 3 {
        return;
    }
    let pairs = app.latency.iter().zip(app.latency.iter().skip(1));
    let values: Vec<u64> =
        pairs.map(|(before, after)| quantile(&after.since(Some(before), stage), 0.99)).collect();
    let shown = &values[values.len().saturating_sub(usize::from(time.width))..];
    let most = shown.iter().copied().max().unwrap_or(0);
    let title = format!("p99 of each interval, the last on the right; highest {}", duration(most));
    draw_lines(frame, time, vec![app.theme.heading(&title)], 0);
    let bars = Rect { y: time.y + 1, height: time.height - 1, ..time };
    frame.render_widget(Sparkline::default().data(shown.to_vec()).style(app.theme.bar(true)), bars);
}

/// Bars over a logarithmic axis, from the least value to the largest.
fn draw_histogram(app: &App, frame: &mut Frame<'_>, area: Rect, stage: &str) {
    let buckets = buckets(app, stage);
    let heading = app.theme.heading(&format!("Histogram of {stage}, logarithmic axis"));
    let (Some((least, _)), Some((most, _))) = (buckets.first(), buckets.last()) else {
        draw_lines(frame, area, vec![heading, Line::raw(" no values")], 0);
        return;
    };
    let width = usize::from(area.width).max(1);
    let log = |ns: u64| (ns.max(1) as f64).ln();
    let low = log(lower(*least));
    let range = (log(*most) - low).max(0.1);
    let column = |ns: u64| (((log(ns) - low) / range * (width - 1) as f64) as usize).min(width - 1);
    let mut bars = vec![0; width];
    for (upper, count) in &buckets {
        // Spread over the bucket's columns, so that wide buckets and narrow ones compare.
        let columns = column(lower(*upper))..=column(*upper);
        let share = (count * 1_000).div_ceil(columns.clone().count() as u64);
        bars[columns].iter_mut().for_each(|bar| *bar += share);
    }
    let parts = [Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)];
    let [title, chart, axis] = Layout::vertical(parts).areas(area);
    draw_lines(frame, title, vec![heading], 0);
    frame.render_widget(Sparkline::default().data(bars).style(app.theme.bar(true)), chart);
    frame.render_widget(Line::raw(axis_of(width, |at| (low + range * at).exp() as u64)), axis);
}

/// Smallest value of the bucket that ends there: its values share their five highest bits.
fn lower(upper: u64) -> u64 {
    let shift = (u64::BITS - upper.leading_zeros()).saturating_sub(5);
    upper >> shift << shift
}

/// Values at equal distances below a chart.
fn axis_of(width: usize, value: impl Fn(f64) -> u64) -> String {
    let ticks = (width / 16).max(2);
    let mut axis = String::new();
    for tick in 0..ticks {
        let at = tick as f64 / (ticks - 1) as f64;
        let label = duration(value(at));
        let place = (at * width as f64) as usize;
        let begin =
            if tick + 1 == ticks { width.saturating_sub(label.chars().count()) } else { place };
        let used = axis.chars().count();
        if begin >= used {
            axis.push_str(&" ".repeat(begin - used));
            axis.push_str(&label);
        }
    }
    axis
}
