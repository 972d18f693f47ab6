//! A simulated venue and an engine that follows all of it.
//!
//! Runs on:  test threads, with both as processes.
use crate::books::{Verdict, agree};
use crate::engine::{Engine, count};
use crate::program::TIMEOUT;
use crate::venue::Venue;
use serde_json::Value;

pub(crate) struct Followed {
    pub(crate) venue: Venue,
    pub(crate) engine: Engine,
    /// Of the catalog at the start.
    pub(crate) tokens: Vec<String>,
}

impl Followed {
    /// Returns once every book is live.
    pub(crate) fn start(venue: &[&str], engine: &[&str]) -> Self {
        let mut venue = Venue::start(venue);
        let tokens = venue.tokens();
        let engine = Engine::start(&venue, engine);
        let mut followed = Self { venue, engine, tokens };
        followed.wait_live();
        followed
    }

    /// Until every book is live.
    pub(crate) fn wait_live(&mut self) {
        self.engine.wait_live(self.tokens.len());
    }

    /// Looks at `/stats` until it is as wanted.
    pub(crate) fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.engine.wait_for(what, TIMEOUT, wanted).0
    }

    /// A count of `/stats` by its pointer.
    pub(crate) fn count(&mut self, pointer: &str) -> u64 {
        count(&self.engine.stats(), pointer)
    }

    /// Stops the venue; every book becomes live and the venue's own, and the engine has logged no panic.
    pub(crate) fn assert_equal(&mut self) -> Verdict {
        self.venue.pause();
        let verdict = agree(&mut self.engine, &mut self.venue, &self.tokens);
        assert_eq!(verdict.equal, self.tokens.len(), "{verdict:?}");
        self.engine.program.assert_clean();
        verdict
    }
}
