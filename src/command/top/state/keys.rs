//! Keys and mouse of `ringbook top`.
//!
//! Runs on:  main thread (pure).
use super::{App, Ask, OpenMarket, View};
use ratatui::crossterm::event::{
    Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use ratatui::layout::{Position, Rect};
use ratatui::widgets::TableState;
use std::collections::HashMap;

/// Lines that the wheel and a page key move.
const WHEEL_LINES: isize = 3;
const PAGE_LINES: isize = 10;

impl App {
    /// A key, the mouse, or a new size, after which everything is drawn.
    pub(in super::super) fn on_event(&mut self, event: &Event) {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.on_key(*key),
            Event::Mouse(mouse) if self.confirm.is_none() => self.on_mouse(*mouse),
            _ => {}
        }
    }

    fn on_key(&mut self, key: KeyEvent) {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            self.is_over |= key.code == KeyCode::Char('c');
            return;
        }
        if let Some(id) = self.confirm.take() {
            if matches!(key.code, KeyCode::Char('y' | 'Y')) {
                self.commands.push(Ask::Recycle(id));
                self.note = format!("connection {id}: asked for a recycle");
            }
        } else if self.is_typing {
            self.on_typed(key.code);
        } else {
            self.on_command(key.code);
        }
    }

    fn on_typed(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char(c) => self.words.push(c),
            KeyCode::Backspace => drop(self.words.pop()),
            _ => {
                self.is_typing = false;
                return;
            }
        }
        self.markets = TableState::new().with_selected(Some(0));
        (self.due_ns, self.search_due_ns) = (0, 0);
    }

    fn on_command(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char('q') => self.is_over = true,
            KeyCode::Char(digit @ '1'..='4') => {
                self.show(View::ALL[digit as usize - '1' as usize].0)
            }
            KeyCode::Tab | KeyCode::Right => self.show(self.view.step(1)),
            KeyCode::BackTab | KeyCode::Left => self.show(self.view.step(View::ALL.len() - 1)),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::PageDown => self.step(PAGE_LINES),
            KeyCode::PageUp => self.step(-PAGE_LINES),
            KeyCode::Home => self.step(isize::MIN),
            KeyCode::End => self.step(isize::MAX),
            KeyCode::Char('/') => {
                self.show(View::Markets);
                (self.open, self.is_typing) = (None, true);
            }
            KeyCode::Enter if self.view == View::Markets => self.open_selected(),
            KeyCode::Esc | KeyCode::Backspace if self.view == View::Markets => self.open = None,
            KeyCode::Char('r') if self.view == View::Connections => self.ask_to_recycle(),
            KeyCode::Char('s') if self.view == View::Latency => {
                self.since_start = !self.since_start
            }
            _ => {}
        }
    }

    fn ask_to_recycle(&mut self) {
        let Some(one) = self.selected_connection() else { return };
        if one.state == "active" {
            self.confirm = Some(one.id);
        } else {
            self.note =
                format!("{} is {}: only a connection that is up is recycled", one.name, one.state);
        }
    }

    fn on_mouse(&mut self, mouse: MouseEvent) {
        match mouse.kind {
            MouseEventKind::ScrollDown => self.step(WHEEL_LINES),
            MouseEventKind::ScrollUp => self.step(-WHEEL_LINES),
            MouseEventKind::Down(MouseButton::Left) if mouse.row == 0 => {
                let mut right = 0;
                let hit = View::ALL.iter().find(|(_, title)| {
                    right += title.len();
                    usize::from(mouse.column) < right
                });
                if let Some((view, _)) = hit {
                    self.show(*view);
                }
            }
            MouseEventKind::Down(MouseButton::Left)
                if self.rows.contains(Position::new(mouse.column, mouse.row)) =>
            {
                let line = usize::from(mouse.row - self.rows.y);
                let is_markets = self.view == View::Markets;
                let (rows, table) = self.table();
                let at = table.offset() + line;
                if at < rows {
                    let was = table.selected().replace(at);
                    table.select(Some(at));
                    if is_markets && was == Some(at) {
                        self.open_selected();
                    }
                }
            }
            _ => {}
        }
    }

    fn show(&mut self, view: View) {
        (self.view, self.rows, self.due_ns) = (view, Rect::ZERO, 0);
    }

    fn table(&mut self) -> (usize, &mut TableState) {
        match self.view {
            View::Connections | View::Overview => {
                let rows = self.report.as_ref().map_or(0, |report| report.pool.connections.len());
                (rows, &mut self.connections)
            }
            View::Markets => (self.found.markets.len(), &mut self.markets),
            View::Latency => {
                (self.report.as_ref().map_or(0, |report| report.latencies.len()), &mut self.stages)
            }
        }
    }

    /// Moves the selection, or the lines of the overview.
    fn step(&mut self, by: isize) {
        if self.view == View::Overview {
            self.scroll = self.scroll.saturating_add_signed(by).min(self.scroll_max);
            return;
        }
        let (rows, table) = self.table();
        let at = table.selected().unwrap_or(0).saturating_add_signed(by);
        table.select(Some(at.min(rows.saturating_sub(1))));
        if self.view == View::Markets && self.open.is_some() {
            self.open_selected();
        }
    }

    fn open_selected(&mut self) {
        let market = self.markets.selected().and_then(|at| self.found.markets.get(at));
        let Some(market) = market.cloned() else { return };
        self.open = Some(OpenMarket { market, books: HashMap::new(), trades: Vec::new() });
        (self.problem, self.due_ns) = (String::new(), 0);
    }
}
