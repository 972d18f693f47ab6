//! Two venues in one process: what their two control pumps, on one core, know of each other.
//!
//! Runs on:  the control core, both pumps on one executor: no ring is needed. Owns: the second's last word.
//!
//! The first speaks for both: it has the commands, the queries and the news.
use crate::base::id::{ConnectionId, TokenId};
use crate::counter::latency::{ConnectionLatencies, Latencies};
use crate::counter::report::EngineReport;
use std::cell::RefCell;
use std::rc::Rc;

/// What the second lays down and the first takes up.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) report: Option<Box<EngineReport>>,
    pub(super) latencies: Latencies,
    pub(super) interval: Latencies,
    pub(super) by_connection: Vec<(ConnectionId, Box<ConnectionLatencies>)>,
    /// Tokens that the first does not know, by the ticket of the query.
    asked: Vec<(u64, TokenId)>,
    /// What the second knows of them.
    answered: Vec<(u64, Result<(), String>)>,
    /// The first wants the second to end.
    pub(super) stop: bool,
    /// The second has ended; with so many shards that did not end in time.
    pub(super) left: Option<u16>,
}

/// Which of the pumps this is.
#[derive(Clone, Debug, Default)]
pub(super) enum Side {
    /// There is only one.
    #[default]
    Alone,
    /// It speaks for both.
    First(Rc<RefCell<Desk>>),
    /// The other one.
    Second(Rc<RefCell<Desk>>),
}

impl Side {
    /// The sides of two pumps.
    pub(super) fn pair() -> (Self, Self) {
        let desk = Rc::new(RefCell::new(Desk::default()));
        (Self::First(Rc::clone(&desk)), Self::Second(desk))
    }

    /// The first is told to end the second.
    pub(super) fn tell_stop(&self) {
        if let Self::First(desk) = self {
            desk.borrow_mut().stop = true;
        }
    }

    /// Whether the second is told to end.
    pub(super) fn is_told_to_stop(&self) -> bool {
        matches!(self, Self::Second(desk) if desk.borrow().stop)
    }

    /// The first asks the second why a book is awaited. False when nobody can be asked.
    pub(super) fn ask_other(&self, ticket: u64, token: TokenId) -> bool {
        let Self::First(desk) = self else { return false };
        let mut desk = desk.borrow_mut();
        let runs = desk.left.is_none();
        if runs {
            desk.asked.push((ticket, token));
        }
        runs
    }

    /// The second answers what the first has asked.
    pub(super) fn answer_other(&self, why_awaited: impl Fn(&TokenId) -> Option<String>) {
        let Self::Second(desk) = self else { return };
        let mut desk = desk.borrow_mut();
        let asked = std::mem::take(&mut desk.asked);
        let answer =
            |(ticket, token): (u64, TokenId)| (ticket, why_awaited(&token).map_or(Ok(()), Err));
        desk.answered.extend(asked.into_iter().map(answer));
    }

    /// The answers of the second, for the first.
    pub(super) fn take_answers(&self) -> Vec<(u64, Result<(), String>)> {
        let Self::First(desk) = self else { return Vec::new() };
        std::mem::take(&mut desk.borrow_mut().answered)
    }

    /// Whether nobody is waited for any more, and how many shards of the second did not end.
    pub(super) fn other_left(&self) -> Option<u16> {
        match self {
            Self::First(desk) => desk.borrow().left,
            Self::Alone | Self::Second(_) => Some(0),
        }
    }
}
