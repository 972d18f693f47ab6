//! Two venues in one process: what their two control pumps, on one core, know of each other.
//!
//! Runs on:  the control core, both pumps on one executor: no ring is needed. Owns: the second's last word.
//!
//! The first speaks for both: it has the commands, the queries and the news.
use crate::base::id::ConnectionId;
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

    /// Whether nobody is waited for any more, and how many shards of the second did not end.
    pub(super) fn other_left(&self) -> Option<u16> {
        match self {
            Self::First(desk) => desk.borrow().left,
            Self::Alone | Self::Second(_) => Some(0),
        }
    }
}
