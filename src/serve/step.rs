//! Clients of one session of `/ws-replay`: they begin together and stay in step by receive time.
//!
//! Runs on:  serve core. Owns: the times that its clients are at.
use super::event::{Bell, Event};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

#[derive(Debug, Default)]
pub(super) struct Sessions(RefCell<HashMap<String, Weak<Session>>>);

/// Clients that replay together.
#[derive(Debug, Default)]
pub(super) struct Session {
    begun: Event,
    members: RefCell<Vec<Option<Member>>>,
}

#[derive(Debug, Default)]
struct Member {
    /// Time of its next message; 0 before it is known.
    next_ns: u64,
    has_subscribed: bool,
    bell: Rc<Bell>,
}

impl Sessions {
    /// The session of a name, or one for a client alone; `None` for a session that has begun.
    pub(super) fn join(&self, name: Option<&str>) -> Option<Rc<Session>> {
        let Some(name) = name else { return Some(Rc::default()) };
        let mut sessions = self.0.borrow_mut();
        sessions.retain(|_, session| session.strong_count() > 0);
        if let Some(session) = sessions.get(name).and_then(Weak::upgrade) {
            return (!session.has_begun()).then_some(session);
        }
        let session = Rc::<Session>::default();
        sessions.insert(name.to_owned(), Rc::downgrade(&session));
        Some(session)
    }
}

impl Session {
    pub(super) fn begin(&self) {
        self.begun.set();
    }

    pub(super) const fn has_begun(&self) -> bool {
        self.begun.is_set()
    }

    pub(super) async fn wait(&self) {
        self.begun.wait().await;
    }

    pub(super) fn is_subscribed(&self) -> bool {
        self.members.borrow().iter().flatten().all(|member| member.has_subscribed)
    }
}

/// A client's place in its session; given up when dropped.
#[derive(Debug)]
pub(super) struct Step {
    session: Rc<Session>,
    place: usize,
    bell: Rc<Bell>,
}

impl Step {
    pub(super) fn new(session: &Rc<Session>) -> Self {
        let member = Member::default();
        let bell = Rc::clone(&member.bell);
        let mut members = session.members.borrow_mut();
        members.push(Some(member));
        let place = members.len() - 1;
        Self { session: Rc::clone(session), place, bell }
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn subscribed(&self) {
        if let Some(member) = &mut self.session.members.borrow_mut()[self.place] {
            member.has_subscribed = true;
        }
    }

    /// Waits until no other client has an earlier message than one of `next_ns`; until when none has.
    pub(super) async fn wait_until_first(&self, next_ns: u64) -> u64 {
        self.set(next_ns);
        loop {
            let others_ns = self.others_ns();
            if next_ns <= others_ns {
                return others_ns;
            }
            self.bell.wait().await;
        }
    }

    fn others_ns(&self) -> u64 {
        let members = self.session.members.borrow();
        let others = members.iter().enumerate().filter(|(place, _)| *place != self.place);
        others.filter_map(|(_, member)| Some(member.as_ref()?.next_ns)).min().unwrap_or(u64::MAX)
    }

    fn set(&self, next_ns: u64) {
        if let Some(member) = &mut self.session.members.borrow_mut()[self.place] {
            member.next_ns = next_ns;
        }
        self.ring_others();
    }

    fn ring_others(&self) {
        for (place, member) in self.session.members.borrow().iter().enumerate() {
            if let Some(member) = member.as_ref().filter(|_| place != self.place) {
                member.bell.ring();
            }
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.session.members.borrow_mut()[self.place] = None;
        self.ring_others();
    }
}

#[cfg(test)]
mod tests;
