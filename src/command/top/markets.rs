//! The view "Markets": a search, its markets, and one market with its ladders and trades.
//!
//! Runs on:  main thread (pure).
use super::answer::{Book, BookFacts, Level as BookLevel, Market, Outcome, Trade};
use super::draw::{Column, draw_lines, draw_table};
use super::figure::{Level, age, count};
use super::state::{App, OpenMarket};
use crate::base::price::{Price, Quantity};
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

/// From this width on trades stand beside the ladders.
const WIDE: u16 = 120;
/// Lines of trades below the ladders.
const TRADES_BELOW: u16 = 5;

pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    if let Some(open) = &app.open {
        draw_market(app, open, frame, area);
        app.rows = Rect::ZERO;
        return;
    }
    let [search, list] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    let cursor = if app.is_typing { "█" } else { "" };
    let found = match (&app.problem, app.found.total) {
        (problem, _) if !problem.is_empty() => {
            Span::styled(problem.clone(), app.theme.level(Level::Fault))
        }
        (_, Some(total)) if total > app.found.markets.len() as u64 => Span::styled(
            format!("{} found, {} shown", count(total), app.found.markets.len()),
            app.theme.quiet(),
        ),
        (_, total) => {
            Span::styled(format!("{} found", count(total.unwrap_or(0))), app.theme.quiet())
        }
    };
    // Of words that do not fit the end is shown.
    let room = usize::from(search.width).saturating_sub(found.width() + 6);
    let hidden = app.words.chars().count().saturating_sub(room);
    let words: String = app.words.chars().skip(hidden).collect();
    let words = Span::raw(format!(" / {words}{cursor}"));
    frame.render_widget(Line::from(words), search);
    frame.render_widget(Line::from(found).alignment(Alignment::Right), search);
    let mut state = app.markets;
    app.rows = draw_table(app, frame, list, &columns(), &app.found.markets, &mut state);
    app.markets = state;
}

fn columns() -> Vec<Column<Market>> {
    vec![
        Column::text("market", 0, |_, one| Span::raw(one.title().to_owned())),
        Column::text("stage", 8, |_, one| Span::raw(one.stage.clone())),
        Column::number("ends in", 12, |app, one| Span::raw(ends_in(app, one))),
        Column::text("venue", 10, |_, one| Span::raw(one.venue.clone())),
    ]
}

fn now_ms(app: &App) -> u64 {
    app.report.as_ref().map_or(0, |report| report.now_wall_ns / 1_000_000)
}

fn ends_in(app: &App, market: &Market) -> String {
    match market.end_ms {
        None => "–".into(),
        Some(end) if end <= now_ms(app) => "over".into(),
        Some(end) => age((end - now_ms(app)) / 1_000),
    }
}

fn draw_market(app: &App, open: &OpenMarket, frame: &mut Frame<'_>, area: Rect) {
    let market = &open.market;
    let [title, facts, body] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Min(0)])
            .areas(area);
    frame.render_widget(app.theme.heading(&format!(" {}", market.title())), title);
    let text = format!(
        " {}, {}, ends in {}, price step {}, {}",
        market.venue,
        market.stage,
        ends_in(app, market),
        market.tick_size.as_deref().unwrap_or("–"),
        market.slug
    );
    let line = if app.problem.is_empty() {
        Line::styled(text, app.theme.quiet())
    } else {
        Line::styled(format!(" {}", app.problem), app.theme.level(Level::Fault))
    };
    frame.render_widget(line, facts);
    let (ladders, trades) = if body.width >= WIDE {
        let parts = [Constraint::Min(0), Constraint::Length(44)];
        let [ladders, trades] = Layout::horizontal(parts).spacing(2).areas(body);
        (ladders, trades)
    } else {
        let parts = [Constraint::Min(8), Constraint::Length(TRADES_BELOW)];
        let [ladders, trades] = Layout::vertical(parts).areas(body);
        (ladders, trades)
    };
    let shown = &market.tokens[..market.tokens.len().min(2)];
    let parts = shown.iter().map(|_| Constraint::Fill(1));
    let places = Layout::horizontal(parts).spacing(2).split(ladders);
    for (outcome, place) in shown.iter().zip(places.iter()) {
        draw_outcome(app, open, outcome, frame, *place);
    }
    draw_lines(frame, trades, trade_lines(app, open, trades), 0);
}

fn draw_outcome(
    app: &App,
    open: &OpenMarket,
    outcome: &Outcome,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let state = outcome.book.as_ref().map_or("no data yet", |book| &book.state);
    let mut lines = vec![Line::from(vec![
        Span::styled(format!("{} ", outcome.outcome), app.theme.title()),
        app.theme.marked(Level::of_book(state), state),
    ])];
    match open.books.get(&outcome.token) {
        None => lines.push(Line::raw("…")),
        Some(Err(why)) => lines.push(Line::raw(why.clone())),
        Some(Ok(book)) => {
            let is_live = state == "live";
            let height = usize::from(area.height).saturating_sub(3);
            lines.extend(ladder(app, book, is_live, usize::from(area.width), height));
            lines.push(Line::styled(
                proof(app, outcome.book.as_ref(), usize::from(area.width)),
                app.theme.quiet(),
            ));
        }
    }
    draw_lines(frame, area, lines, 0);
}

/// When the book was last equal to the venue's.
fn proof(app: &App, facts: Option<&BookFacts>, width: usize) -> String {
    let Some(facts) = facts else { return String::new() };
    let ago =
        |ms: Option<u64>| ms.map_or("–".into(), |ms| age(now_ms(app).saturating_sub(ms) / 1_000));
    let (hash, levels) = (ago(facts.hash_right_ms), ago(facts.levels_right_ms));
    let checked = format!("right: hash {hash} ago, levels {levels} ago");
    let more = format!(
        "{checked}; last message {} ago, version {}",
        ago(Some(facts.read_ms)),
        facts.version
    );
    if more.chars().count() <= width { more } else { checked }
}

/// A level with the quantity up to it.
struct Step<'b> {
    level: &'b BookLevel,
    total: u64,
}

fn steps(side: &[BookLevel], most: usize) -> Vec<Step<'_>> {
    let mut total = 0_u64;
    let step = |level| {
        total = total.saturating_add(quantity(level));
        Step { level, total }
    };
    side.iter().rev().take(most).map(step).collect()
}

/// Of what cannot be read, 0.
fn quantity(level: &BookLevel) -> u64 {
    Quantity::parse(level.size.as_bytes()).map_or(0, |quantity| quantity.0)
}

/// A heading, and in `height` lines asks, spread and mid, bids.
fn ladder(
    app: &App,
    book: &Book,
    is_live: bool,
    width: usize,
    height: usize,
) -> Vec<Line<'static>> {
    let each = height.saturating_sub(1) / 2;
    let (bids, asks) = (steps(&book.bids, each), steps(&book.asks, each));
    let deepest = [bids.last(), asks.last()].into_iter().flatten().map(|step| step.total).max();
    let line = |step: &Step<'_>, is_bid: bool| {
        let text =
            format!("{:>8}{:>12}{:>13} ", step.level.price, step.level.size, whole(step.total));
        let room = width.saturating_sub(text.len());
        let filled = (u128::from(step.total) * room as u128)
            .div_ceil(u128::from(deepest.unwrap_or(1).max(1)));
        Line::from(vec![
            Span::raw(text),
            Span::styled("█".repeat(filled as usize), app.theme.bar(is_bid)),
        ])
    };
    let heading = format!("{:>8}{:>12}{:>13}", "price", "size", "depth");
    let mut lines = vec![Line::styled(heading, app.theme.quiet())];
    lines.extend(std::iter::repeat_n(Line::default(), each - asks.len()));
    lines.extend(asks.iter().rev().map(|step| line(step, false)));
    lines.push(middle(app, book, is_live));
    lines.extend(bids.iter().map(|step| line(step, true)));
    lines.extend(std::iter::repeat_n(Line::default(), each - bids.len()));
    lines
}

/// Spread, mid and last trade, of a live book only.
fn middle(app: &App, book: &Book, is_live: bool) -> Line<'static> {
    if !is_live {
        return Line::from(app.theme.marked(Level::Fault, "not live: do not trust these levels"));
    }
    let best =
        |side: &[BookLevel]| Price::parse(side.last()?.price.as_bytes()).map(|price| price.0);
    let last = if book.last_trade_price.is_empty() { "–" } else { &book.last_trade_price };
    let text = match (best(&book.bids), best(&book.asks)) {
        (Some(bid), Some(ask)) => {
            let spread = Price(ask.saturating_sub(bid));
            let mid = f64::from(bid + ask) / 2e6;
            format!("  spread {spread}  mid {mid}  last {last}")
        }
        _ => format!("  spread –  mid –  last {last}"),
    };
    Line::styled(text, app.theme.title())
}

/// A quantity in units of 1e-6 without its fraction.
fn whole(quantity: u64) -> String {
    count(quantity / 1_000_000)
}

fn trade_lines(app: &App, open: &OpenMarket, area: Rect) -> Vec<Line<'static>> {
    let mut lines = vec![app.theme.heading("trades since a client subscribed, last first")];
    if open.trades.is_empty() {
        lines.push(Line::styled("none yet", app.theme.quiet()));
    }
    let shown = open.trades.iter().rev().take(usize::from(area.height).saturating_sub(1));
    lines.extend(shown.map(|trade| trade_line(app, open, trade)));
    lines
}

fn trade_line(app: &App, open: &OpenMarket, trade: &Trade) -> Line<'static> {
    let outcome = open.market.tokens.iter().find(|outcome| outcome.token == trade.token);
    let outcome = outcome.map_or("", |outcome| &outcome.outcome);
    let is_buy = trade.side == "buy";
    let side = if is_buy { "▲ buy" } else { "▼ sell" };
    let ago = age(now_ms(app).saturating_sub(trade.time_ms) / 1_000);
    Line::from(vec![
        Span::raw(format!("{ago:>12} ago ")),
        Span::styled(format!("{side:<7}"), app.theme.bar(is_buy)),
        Span::raw(format!("{outcome:<8.8}{:>8}{:>12}", trade.price, trade.size)),
    ])
}
