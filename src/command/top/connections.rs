//! The view "Connections": one row each, recycles under way and done.
//!
//! Runs on:  main thread (pure).
use super::draw::{Column, draw_lines, draw_table};
use super::figure::{Level, bytes, count, duration, percent, since};
use super::state::App;
use crate::counter::report::{ConnectionReport, EngineReport};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

/// From this width on all columns are shown.
const WIDE: u16 = 130;
/// Recycles listed below the table on a high terminal.
const RECYCLES_SHOWN: usize = 8;

pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    let Some(report) = &app.report else { return };
    let high = if area.height >= 30 { RECYCLES_SHOWN as u16 } else { 0 };
    let parts = [Constraint::Length(1), Constraint::Min(3), Constraint::Length(5 + high)];
    let [summary, table, detail] = Layout::vertical(parts).areas(area);
    let pool = &report.pool;
    let text = format!(
        " {} of {} up, {} tokens each at most, {} reconnects, {} failed dials",
        count(pool.connections_active),
        count(pool.connections.len() as u64),
        count(pool.tokens_per_connection_target),
        count(pool.reconnects),
        count(pool.dials_failed),
    );
    frame.render_widget(Line::styled(text, app.theme.quiet()), summary);
    let mut state = app.connections;
    let mut columns = columns();
    if area.width < WIDE {
        columns.truncate(9);
    }
    let rows = draw_table(app, frame, table, &columns, &pool.connections, &mut state);
    draw_lines(frame, detail, details(app, report), 0);
    (app.connections, app.rows) = (state, rows);
}

fn columns() -> Vec<Column<ConnectionReport>> {
    fn now(app: &App) -> u64 {
        app.report.as_ref().map_or(0, |report| report.now_wall_ns)
    }
    vec![
        Column::text("connection", 14, |_, one| Span::raw(one.name.clone())),
        Column::text("state", 10, |app, one| {
            app.theme.marked(Level::of_connection(&one.state), &one.state)
        }),
        Column::number("shard", 5, |_, one| Span::raw(one.shard.to_string())),
        Column::number("tokens", 6, |_, one| Span::raw(count(one.tokens))),
        Column::number("age", 7, |app, one| Span::raw(since(one.connected_wall_ns, now(app)))),
        Column::number("ended", 7, |_, one| Span::raw(percent(Some(one.pollution)))),
        Column::number("lag", 8, |_, one| Span::raw(duration(one.lag_ns))),
        Column::number("last data", 9, |app, one| {
            Span::raw(since(one.last_data_wall_ns, now(app)))
        }),
        Column::number("reconn", 6, |_, one| Span::raw(count(one.reconnects))),
        Column::number("live books", 10, |_, one| Span::raw(count(one.snapshots))),
        Column::number("last pong", 10, |app, one| {
            Span::raw(since(one.last_pong_wall_ns, now(app)))
        }),
        Column::number("frames", 11, |_, one| Span::raw(count(one.frames))),
        Column::number("received", 11, |_, one| Span::raw(bytes(one.bytes))),
        Column::number("not decoded", 11, |app, one| {
            let level = if one.decode_errors > 0 { Level::Fault } else { Level::Neither };
            Span::styled(count(one.decode_errors), app.theme.level(level))
        }),
        Column::text("last error", 0, |_, one| Span::raw(one.why.clone())),
    ]
}

fn details(app: &App, report: &EngineReport) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(one) = app.selected_connection() {
        let why = if one.why.is_empty() { "no error" } else { &one.why };
        lines.push(Line::raw(format!(" {}: {why}", one.name)));
    }
    if !app.note.is_empty() {
        lines.push(Line::raw(format!(" {}", app.note)));
    }
    let recycling = &report.recycling;
    let last = format!(
        "Recycles: {} under way, {} queued, {} completed, {} failed, {} books interrupted",
        recycling.under_way,
        recycling.queued.len(),
        recycling.completed,
        recycling.failed,
        recycling.interrupted,
    );
    lines.push(app.theme.heading(&last));
    for one in &recycling.replacements {
        let owing =
            one.owing.map_or_else(String::new, |owing| format!(", {owing} snapshots missing"));
        lines.push(Line::raw(format!(
            " connection {} → {}: {}, {} tokens{owing}, {} ({})",
            listed(&one.from),
            one.to,
            one.phase,
            count(one.tokens),
            since(one.began_wall_ns, report.now_wall_ns),
            one.reason,
        )));
    }
    for one in recycling.handovers.iter().rev().take(RECYCLES_SHOWN) {
        let from: Vec<u32> = std::iter::once(one.from).chain(one.merged.iter().copied()).collect();
        lines.push(Line::raw(format!(
            " connection {} → {}: done {} ago, {} tokens, dial {}, snapshots {}, switch {}, {} interrupted ({})",
            listed(&from),
            one.to,
            since(one.began_wall_ns, report.now_wall_ns),
            count(one.counts.tokens),
            duration(one.dial_ns),
            duration(one.fill_ns),
            duration(one.counts.switch_ns),
            one.interrupted,
            one.reason,
        )));
    }
    lines
}

fn listed(ids: &[u32]) -> String {
    ids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}
