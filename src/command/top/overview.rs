//! The view "Overview": figures of the engine, what is not well and what to do about it, tables.
//!
//! Runs on:  main thread (pure).
use super::draw::draw_lines;
use super::figure::{Level, bars, bytes, count, percent, rate, wrapped};
use super::state::{App, Rates};
use super::tables;
use crate::counter::report::{EngineReport, ShardReport};
use crate::counter::shard::BookCounts;
use crate::serve::metrics;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

/// From this width on what to do stands beside the figures.
const WIDE: u16 = 150;
/// Values of a row of bars.
const BARS: usize = 24;

pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    let Some(report) = &app.report else { return };
    let is_wide = area.width >= WIDE;
    let halves = [Constraint::Length(if is_wide { 86 } else { area.width }), Constraint::Min(0)];
    let [left, right] = Layout::horizontal(halves).spacing(if is_wide { 2 } else { 0 }).areas(area);
    let advice =
        advice_lines(app, report, usize::from(if is_wide { right.width } else { left.width }));
    let mut lines = figures(app, report);
    if is_wide {
        draw_lines(frame, right, advice, 0);
    } else {
        lines.push(Line::default());
        lines.extend(advice);
    }
    lines.extend(tables::lines(app, report));
    app.scroll_max = lines.len().saturating_sub(usize::from(area.height));
    app.scroll = app.scroll.min(app.scroll_max);
    draw_lines(frame, left, lines, app.scroll);
}

fn sum(report: &EngineReport, of: impl Fn(&ShardReport) -> u64) -> u64 {
    report.shards.iter().map(of).sum()
}

/// Venues, then one line for each subject: name, main figure, others.
fn figures(app: &App, report: &EngineReport) -> Vec<Line<'static>> {
    let heading = format!(
        "{:<13}{:>9}{:>13}{:>9}{:>9}{:>9}{:>8}{:>10}",
        "venue", "markets", "connections", "books", "live", "awaiting", "stale", "trades"
    );
    let mut lines = vec![app.theme.heading(&heading)];
    for venue in &report.venues {
        let of = |read: fn(&BookCounts) -> u64| {
            let shards = report.shards.iter().filter(|shard| venue.shards.contains(&shard.shard));
            shards.map(|shard| read(&shard.books)).sum::<u64>()
        };
        lines.push(Line::raw(format!(
            "{:<13}{:>9}{:>13}{:>9}{:>9}{:>9}{:>8}{:>10}",
            venue.venue,
            count(venue.markets),
            count(venue.connections_active),
            count(venue.books),
            count(venue.books_live),
            count(of(|books| books.awaiting)),
            count(of(|books| books.stale)),
            count(venue.trades),
        )));
    }
    lines.push(Line::default());
    let subject = |name: &str, level: Level, value: String, facts: String| {
        Line::from(vec![
            Span::styled(format!("{name:<13}"), app.theme.title()),
            Span::styled(format!("{value:<9} "), app.theme.level(level)),
            Span::raw(facts),
        ])
    };
    lines.extend([
        books(report, &subject),
        markets(report, &subject),
        messages(app, report, &subject),
        changes(app, report, &subject),
        correctness(report, &subject),
        connections(report, &subject),
        trades(app, report, &subject),
        capture(report, &subject),
        host(app, &subject),
    ]);
    lines
}

type Subject<'s> = &'s dyn Fn(&str, Level, String, String) -> Line<'static>;

const fn fault_if(is_fault: bool) -> Level {
    if is_fault { Level::Fault } else { Level::Well }
}

fn books(report: &EngineReport, subject: Subject<'_>) -> Line<'static> {
    let [books, live, awaiting, stale] = [
        sum(report, |shard| shard.books.books),
        sum(report, |shard| shard.books.live),
        sum(report, |shard| shard.books.awaiting),
        sum(report, |shard| shard.books.stale),
    ];
    let level = if stale > 0 {
        Level::Fault
    } else if live < books {
        Level::Notice
    } else {
        Level::Well
    };
    let reasons: Vec<String> =
        stale_reasons(report).map(|(name, books, _)| format!("{name} {}", count(books))).collect();
    let reasons =
        if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) };
    let facts = format!(
        "of {} live, {} awaiting, {} stale{reasons}",
        count(books),
        count(awaiting),
        count(stale)
    );
    subject("books", level, count(live), facts)
}

fn stale_reasons(report: &EngineReport) -> impl Iterator<Item = (&'static str, u64, &'static str)> {
    const PREFIX: &str = "ringbook_shard_books_stale_";
    BookCounts::ROWS.iter().filter_map(move |row| {
        let name = row.name.strip_prefix(PREFIX)?;
        let books = sum(report, |shard| (row.read)(&shard.books));
        (books > 0).then_some((name, books, row.when_it_rises))
    })
}

fn markets(report: &EngineReport, subject: Subject<'_>) -> Line<'static> {
    let registry = &report.registry;
    let facts = format!(
        "{} tokens, {} without a connection, {} of ended markets",
        count(registry.tokens),
        count(registry.tokens_pending),
        count(registry.tokens_expired)
    );
    subject("markets", Level::Well, count(registry.markets), facts)
}

fn trend(app: &App, of: fn(&Rates) -> f64) -> (String, String) {
    let last = app.rates.back().map_or_else(|| "–".into(), |rates| rate(of(rates)));
    (last, format!("{:<BARS$} ", bars(app.rates.iter().map(of), BARS)))
}

fn messages(app: &App, report: &EngineReport, subject: Subject<'_>) -> Line<'static> {
    let (last, bars) = trend(app, |rates| rates.messages);
    let [messages, received] =
        [sum(report, |shard| shard.intake.messages), sum(report, |shard| shard.bytes)];
    subject(
        "messages/s",
        Level::Well,
        last,
        format!("{bars}{} messages, {}", count(messages), bytes(received)),
    )
}

fn changes(app: &App, report: &EngineReport, subject: Subject<'_>) -> Line<'static> {
    let (last, bars) = trend(app, |rates| rates.changes);
    let [changes, errors] =
        [sum(report, |shard| shard.books.updates), sum(report, |shard| shard.intake.decode_errors)];
    let facts = format!("{bars}{} changes, {} not decoded", count(changes), count(errors));
    subject("changes/s", fault_if(errors > 0), last, facts)
}

fn correctness(report: &EngineReport, subject: Subject<'_>) -> Line<'static> {
    let checks = &report.correctness.checks;
    let right = checks.tops_matched + checks.hashes_matched;
    let wrong = checks.tops_mismatched + checks.hashes_mismatched;
    let open = checks.tops_unverifiable + checks.hashes_unverifiable;
    let explained = checks.hashes_explained;
    let facts = format!(
        "{} wrong, {} right, {} explained, {} unverifiable",
        count(wrong),
        count(right),
        count(explained),
        count(open)
    );
    let level = if wrong > 0 { Level::Notice } else { Level::Well };
    subject("correctness", level, percent(report.correctness.score), facts)
}

fn connections(report: &EngineReport, subject: Subject<'_>) -> Line<'static> {
    let (pool, recycling) = (&report.pool, &report.recycling);
    let all = pool.connections.len() as u64;
    let failed = match recycling.failed {
        0 => String::new(),
        failed => format!(", {} recycles failed", count(failed)),
    };
    let facts = format!(
        "of {} up, {} reconnects, {} failed dials, {} recycled{failed}",
        count(all),
        count(pool.reconnects),
        count(pool.dials_failed),
        count(recycling.completed)
    );
    let level = if pool.connections_active < all { Level::Notice } else { Level::Well };
    subject("connections", level, count(pool.connections_active), facts)
}

fn trades(app: &App, report: &EngineReport, subject: Subject<'_>) -> Line<'static> {
    let (last, bars) = trend(app, |rates| rates.trades);
    let Some(trades) = &report.trades else {
        let seen = count(sum(report, |shard| shard.books.trades));
        return subject(
            "trades/s",
            Level::Well,
            last,
            format!("{bars}{seen} seen, not stored (--trades)"),
        );
    };
    let waiting = trades.queued + trades.journaled;
    let facts = format!(
        "{bars}{} stored, {} waiting, {} lost",
        count(trades.inserted),
        count(waiting),
        count(trades.lost)
    );
    subject("trades/s", fault_if(trades.lost > 0), last, facts)
}

fn capture(report: &EngineReport, subject: Subject<'_>) -> Line<'static> {
    let Some(capture) = &report.capture else {
        return subject(
            "capture",
            Level::Neither,
            "off".into(),
            "(--capture FOLDER records)".into(),
        );
    };
    let facts = format!(
        "{} frames, {} segments, {} frames missing (gaps), {}",
        count(capture.frames),
        count(capture.segments),
        count(capture.lost),
        capture.folder
    );
    let is_fault = capture.lost > 0 || capture.failing_since_wall_ns > 0;
    subject("capture", fault_if(is_fault), bytes(capture.bytes), facts)
}

fn host(app: &App, subject: Subject<'_>) -> Line<'static> {
    let Some(host) = &app.host else {
        return subject("host", Level::Neither, "–".into(), "not judged yet".into());
    };
    let (level, value) = match (host.bad, host.warn) {
        (0, 0) => (Level::Well, "well"),
        (0, _) => (Level::Notice, "usable"),
        _ => (Level::Fault, "bad"),
    };
    let facts = format!(
        "{} as expected, {} cost latency, {} prevent running",
        host.ok, host.warn, host.bad
    );
    subject("host", level, value.into(), facts)
}

/// Something that is not well, and its remedy.
struct Finding {
    level: Level,
    what: String,
    remedy: String,
}

fn advice_lines(app: &App, report: &EngineReport, width: usize) -> Vec<Line<'static>> {
    let mut lines = vec![app.theme.heading("what to do")];
    let findings = findings(app, report);
    if findings.is_empty() {
        lines.push(Line::from(
            app.theme.marked(Level::Well, "nothing: everything is as it should be"),
        ));
    }
    for Finding { level, what, remedy } in findings {
        let style = app.theme.level(level);
        let parts = wrapped(&what, width.saturating_sub(2)).into_iter().enumerate();
        lines.extend(parts.map(|(at, part)| {
            let mark = if at == 0 { level.mark() } else { " " };
            Line::styled(format!("{mark} {part}"), style)
        }));
        if !remedy.is_empty() {
            let remedy = wrapped(&remedy, width.saturating_sub(4));
            lines.extend(remedy.into_iter().map(|part| Line::raw(format!("    {part}"))));
        }
    }
    lines
}

/// Lines of `/health` first, then what the figures show, then the host.
fn findings(app: &App, report: &EngineReport) -> Vec<Finding> {
    let health = |level, lines: &[String]| -> Vec<Finding> {
        let of = |what: &String| Finding {
            level,
            what: what.clone(),
            remedy: app.remedy(what).to_owned(),
        };
        lines.iter().map(of).collect()
    };
    let mut all = health(Level::Fault, &report.health.reasons);
    all.extend(health(Level::Notice, &report.health.notices));
    all.extend(stale_reasons(report).map(|(name, books, remedy)| Finding {
        level: Level::Fault,
        what: format!("{} books are stale:{name}", count(books)),
        remedy: remedy.to_owned(),
    }));
    all.extend(faulty_figures(report));
    let host = app.host.iter().flat_map(|host| &host.settings).filter(|one| !one.remedy.is_empty());
    all.extend(host.map(|one| Finding {
        level: if one.verdict == "bad" { Level::Fault } else { Level::Notice },
        what: format!("host: {}", one.setting),
        remedy: one.remedy.clone(),
    }));
    all
}

/// Figures that should be 0, with the advice of their metric.
fn faulty_figures(report: &EngineReport) -> Vec<Finding> {
    let metrics = metrics::all();
    let after_grace = |amount| if report.health.in_grace { 0 } else { amount };
    let awaiting = after_grace(sum(report, |shard| shard.books.awaiting));
    let pending = after_grace(report.registry.tokens_pending);
    let errors = sum(report, |shard| shard.intake.decode_errors);
    let (checks, recycling) = (&report.correctness.checks, &report.recycling);
    let figures = [
        (Level::Notice, awaiting, "books await a snapshot", "shard_books_awaiting"),
        (Level::Notice, pending, "tokens have no connection", "tokens_pending"),
        (Level::Fault, errors, "messages were not decoded", "shard_decode_errors"),
        (Level::Notice, checks.tops_mismatched, "best prices were wrong", "shard_tops_mismatched"),
        (Level::Notice, checks.hashes_mismatched, "hashes were wrong", "shard_hashes_mismatched"),
        (
            Level::Fault,
            recycling.interrupted,
            "books were interrupted by recycles",
            "recycles_books_interrupted",
        ),
    ];
    let figures = figures.map(|(level, amount, what, name)| (level, amount, what.to_owned(), name));
    let down =
        report.pool.connections.iter().filter(|one| !one.why.is_empty() && one.state != "active");
    let down = down.map(|one| {
        let what = format!("tokens wait for {}: {}", one.name, one.why);
        (Level::Notice, one.tokens, what, "connections_active")
    });
    let full = report.router.iter().map(|link| {
        let what = format!("messages were refused by the full link {}", link.name);
        (Level::Notice, link.refused, what, "link_refused")
    });
    let wrong = figures.into_iter().chain(down).chain(full).filter(|(_, amount, ..)| *amount > 0);
    let of = |(level, amount, what, name): (Level, u64, String, &str)| {
        let metric = metrics.iter().find(|one| one.name.strip_prefix("ringbook_") == Some(name));
        let remedy = metric.map_or("", |metric| metric.when_it_rises).to_owned();
        Finding { level, what: format!("{} {what}", count(amount)), remedy }
    };
    wrong.map(of).collect()
}
