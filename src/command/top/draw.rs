//! The screen of `ringbook top`: tabs, state of the engine, a view, keys.
//!
//! Runs on:  main thread (pure).
use super::figure::{Level, age, count, since, wrapped};
use super::state::{App, View};
use super::{connections, latency, markets, overview};
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row, Table, TableState};

const WIDEST: u16 = 100;

/// Draws everything; `now_ns` is monotonic.
pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>, now_ns: u64) {
    let rows = [1, 1, 0, 1].map(|height| match height {
        0 => Constraint::Min(0),
        height => Constraint::Length(height),
    });
    let [tabs, status, view, keys] = Layout::vertical(rows).areas(frame.area());
    draw_tabs(app, frame, tabs);
    frame.render_widget(status_line(app, now_ns), status);
    match app.view {
        View::Overview => overview::draw(app, frame, view),
        View::Connections => connections::draw(app, frame, view),
        View::Markets => markets::draw(app, frame, view),
        View::Latency => latency::draw(app, frame, view),
    }
    frame.render_widget(Line::styled(keys_of(app), app.theme.quiet()), keys);
    draw_question(app, frame, view);
}

fn draw_tabs(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let tabs = View::ALL.iter().map(|(view, title)| {
        let style = if *view == app.view { app.theme.selected() } else { Style::new() };
        Span::styled(*title, style)
    });
    frame.render_widget(Line::from_iter(tabs), area);
    let (level, text) = verdict(app);
    let line = Line::from(app.theme.marked(level, &text)).alignment(Alignment::Right);
    let width = (line.width() as u16).min(area.width);
    frame.render_widget(line, Rect { x: area.right() - width, width, ..area });
}

/// How the engine is, in a few words.
fn verdict(app: &App) -> (Level, String) {
    let Some(report) = &app.report else { return (Level::Neither, "connecting".into()) };
    let health = &report.health;
    if app.failure.is_some() {
        return (Level::Fault, "no answer".into());
    }
    match health.reasons.len() {
        1 => return (Level::Fault, "1 fault".into()),
        2.. => return (Level::Fault, format!("{} faults", health.reasons.len())),
        0 => {}
    }
    if health.in_grace {
        return (Level::Notice, "starting".into());
    }
    match health.notices.len() {
        0 => (Level::Well, "healthy".into()),
        1 => (Level::Notice, "healthy, 1 notice".into()),
        notices => (Level::Notice, format!("healthy, {notices} notices")),
    }
}

/// The engine's address and age, or the one line that reports its absence.
fn status_line(app: &App, now_ns: u64) -> Line<'static> {
    if let Some(why) = &app.failure {
        let seconds = now_ns.saturating_sub(app.received_ns) / 1_000_000_000;
        let every = age(app.interval_ns / 1_000_000_000);
        let text = format!("no answer for {}, asked again every {every}: {why}", age(seconds));
        return Line::from(app.theme.marked(Level::Fault, &text));
    }
    let Some(report) = &app.report else { return Line::default() };
    let up = since(report.started_wall_ns, report.now_wall_ns);
    let text = format!(" {}  ringbook {}  up {up}", app.url, report.version);
    Line::styled(text, app.theme.quiet())
}

fn keys_of(app: &App) -> &'static str {
    if app.confirm.is_some() {
        return " y recycle   any other key: leave it as it is";
    }
    match app.view {
        View::Overview => " 1-4 Tab view   ↑↓ PgUp PgDn scroll   / search   q quit",
        View::Connections => " 1-4 Tab view   ↑↓ select   r recycle   / search   q quit",
        View::Markets if app.is_typing => " type words of the question, slug or id   Enter done",
        View::Markets if app.open.is_some() => {
            " 1-4 Tab view   ↑↓ next market   Esc list   / search   q quit"
        }
        View::Markets => " 1-4 Tab view   ↑↓ select   Enter open   / search   q quit",
        View::Latency => " 1-4 Tab view   ↑↓ stage   s last minute or since the start   q quit",
    }
}

fn draw_question(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let Some(connection) = app.questioned_connection() else { return };
    let width = area.width.min(64);
    let text = format!(
        "A second connection is opened and receives every snapshot of {} tokens. Then it takes over and this one is \
         closed. No book is interrupted; if the second one does not come up, this one stays.",
        count(connection.tokens)
    );
    let mut lines: Vec<Line<'_>> =
        wrapped(&text, usize::from(width).saturating_sub(4)).into_iter().map(Line::from).collect();
    lines.extend([Line::default(), Line::from("y recycle   any other key: leave it as it is")]);
    let height = (lines.len() as u16 + 2).min(area.height);
    let (x, y) = (area.x + (area.width - width) / 2, area.y + (area.height - height) / 2);
    let area = Rect { x, y, width, height };
    let title = Span::styled(format!(" Recycle {}? ", connection.name), app.theme.title());
    frame.render_widget(Clear, area);
    let block = Block::bordered().title(title).padding(ratatui::widgets::Padding::horizontal(1));
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

pub(super) struct Column<T> {
    title: &'static str,
    /// Characters; 0 takes what is left.
    width: u16,
    is_number: bool,
    text: fn(&App, &T) -> Span<'static>,
}

impl<T> Column<T> {
    pub(super) fn text(
        title: &'static str,
        width: u16,
        text: fn(&App, &T) -> Span<'static>,
    ) -> Self {
        Self { title, width, is_number: false, text }
    }

    pub(super) fn number(
        title: &'static str,
        width: u16,
        text: fn(&App, &T) -> Span<'static>,
    ) -> Self {
        Self { title, width, is_number: true, text }
    }
}

/// A table whose selected row is visible, and where its rows are.
pub(super) fn draw_table<T>(
    app: &App,
    frame: &mut Frame<'_>,
    area: Rect,
    columns: &[Column<T>],
    rows: &[T],
    state: &mut TableState,
) -> Rect {
    let cell = |column: &Column<T>, span: Span<'static>| {
        let side = if column.is_number { Alignment::Right } else { Alignment::Left };
        Cell::from(Line::from(span).alignment(side))
    };
    let body = rows
        .iter()
        .map(|row| Row::new(columns.iter().map(|column| cell(column, (column.text)(app, row)))));
    let titles = columns.iter().map(|column| cell(column, Span::raw(column.title)));
    let fixed: u16 = columns.iter().map(|column| column.width + 1).sum();
    let rest = area.width.saturating_sub(fixed).clamp(8, WIDEST);
    let width = |column: &Column<T>| if column.width == 0 { rest } else { column.width };
    let widths = columns.iter().map(|column| Constraint::Length(width(column)));
    let table = Table::new(body, widths)
        .header(Row::new(titles).style(app.theme.title()))
        .row_highlight_style(app.theme.selected());
    frame.render_stateful_widget(table, area, state);
    // A table without rows has selected none.
    state.select(state.selected().or(Some(0)));
    Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area }
}

/// Lines, the first at `from`.
pub(super) fn draw_lines(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'_>>, from: usize) {
    let from = u16::try_from(from).unwrap_or(u16::MAX);
    frame.render_widget(Paragraph::new(lines).scroll((from, 0)), area);
}
