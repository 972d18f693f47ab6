//! Tables below the overview: checks, shards, services.
//!
//! Runs on:  main thread (pure).
use super::figure::{Level, bytes, count, duration, percent, since};
use super::state::App;
use crate::counter::report::EngineReport;
use crate::counter::service::HealthState;
use ratatui::text::Line;

pub(super) fn lines(app: &App, report: &EngineReport) -> Vec<Line<'static>> {
    let mut lines = checks(app, report);
    lines.extend(shards(app, report));
    lines.extend(services(app, report));
    lines
}

/// An empty line, titles, and rows; those of faults have their style.
fn table(
    app: &App,
    titles: &str,
    rows: impl Iterator<Item = (bool, String)>,
) -> Vec<Line<'static>> {
    let row = |(is_fault, text)| match is_fault {
        true => Line::styled(text, app.theme.level(Level::Fault)),
        false => Line::raw(text),
    };
    let head = [Line::default(), app.theme.heading(titles)];
    head.into_iter().chain(rows.map(row)).collect()
}

fn checks(app: &App, report: &EngineReport) -> Vec<Line<'static>> {
    let (checks, repairs) = (&report.correctness.checks, &report.correctness.repairs);
    let [tops, hashes, audits, polls, mirrors] = [
        [checks.tops_matched, 0, checks.tops_mismatched, checks.tops_unverifiable],
        [
            checks.hashes_matched,
            checks.hashes_explained,
            checks.hashes_mismatched,
            checks.hashes_unverifiable,
        ],
        [repairs.audits_matched, 0, repairs.audits_mismatched + repairs.audits_behind, 0],
        [repairs.polls_matched, 0, repairs.polls_different, repairs.polls_undecided],
        [repairs.mirrors_matched, 0, repairs.mirrors_mismatched, 0],
    ];
    let rows = [
        ("best prices", tops),
        ("hashes", hashes),
        ("REST audits", audits),
        ("REST of numbered streams", polls),
        ("both outcomes of a market", mirrors),
    ];
    let line = |name: &str, cells: [String; 4]| {
        let [right, explained, wrong, open] = cells;
        format!("{name:<30}{right:>12}{explained:>12}{wrong:>9}{open:>14}")
    };
    let titles = ["right", "explained", "wrong", "unverifiable"].map(str::to_owned);
    let rows =
        rows.into_iter().map(|(name, counts)| (counts[2] > 0, line(name, counts.map(count))));
    table(app, &line("compared with the venue's", titles), rows)
}

fn shards(app: &App, report: &EngineReport) -> Vec<Line<'static>> {
    let titles = format!(
        "{:<9}{:>5}{:>12}{:>8}{:>14}{:>15}{:>12}",
        "shard", "core", "connections", "books", "mean of frame", "books' memory", "last data"
    );
    let rows = report.shards.iter().map(|shard| {
        let line = format!(
            "{:<9}{:>5}{:>12}{:>8}{:>14}{:>15}{:>12}",
            format!("shard-{}", shard.shard),
            shard.core.map_or_else(|| "any".into(), |core| core.to_string()),
            count(shard.connections),
            count(shard.books.books),
            duration(shard.frame_mean_ns),
            bytes(shard.book_bytes),
            since(shard.last_message_wall_ns, report.now_wall_ns),
        );
        (!shard.healthy, line)
    });
    table(app, &titles, rows)
}

fn services(app: &App, report: &EngineReport) -> Vec<Line<'static>> {
    let titles = format!(
        "{:<22}{:<10}{:>10}{:>10}  {}",
        "service", "state", "requests", "failed", "last error"
    );
    let rows = report.services.iter().map(|service| {
        let health = &service.health;
        let line = format!(
            "{:<22}{:<10}{:>10}{:>10}  {}",
            service.service,
            health.state.name(),
            count(service.requests),
            percent(Some(service.error_rate)),
            health.last_error.as_deref().unwrap_or("–"),
        );
        (health.state == HealthState::Down, line)
    });
    table(app, &titles, rows)
}
