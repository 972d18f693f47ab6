//! Names given by a user that were looked up at several venues.
//!
//! Runs on:  control core (pure).
//! Bounds:   `LOOKUPS_MAX` names per venue.
use super::discovery::{Lookup, NameAnswer};
use crate::base::id::Venue;

/// A name and the responses so far.
#[derive(Clone, Debug)]
struct Asked {
    lookup: Lookup,
    /// Venues without a response yet.
    open: Vec<Venue>,
    /// Reasons of the venues that have no such market.
    missing: Vec<(Venue, String)>,
    found: bool,
}

/// Names with open lookups.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    asked: Vec<Asked>,
}

impl Names {
    /// A name was looked up at these venues.
    pub(super) fn on_asked(&mut self, lookup: &Lookup, open: Vec<Venue>) {
        if !open.is_empty() {
            let lookup = lookup.clone();
            self.asked.push(Asked { lookup, open, missing: Vec::new(), found: false });
        }
    }

    /// Response of a venue. Returns a log line if it was the last one and no venue has the market.
    pub(super) fn on_answer(&mut self, venue: Venue, answer: NameAnswer) -> Option<String> {
        let waits = |asked: &Asked| asked.lookup == answer.lookup && asked.open.contains(&venue);
        let place = self.asked.iter().position(waits)?;
        let asked = &mut self.asked[place];
        asked.open.retain(|open| *open != venue);
        match answer.missing {
            Some(why) => asked.missing.push((venue, why)),
            None => asked.found = true,
        }
        if !asked.open.is_empty() {
            return None;
        }
        let Asked { lookup, missing, found, .. } = self.asked.remove(place);
        (!found).then(|| line(&lookup, &missing))
    }
}

fn line(lookup: &Lookup, missing: &[(Venue, String)]) -> String {
    match missing {
        [(_, why)] => format!("{lookup}: {why}; check the name with the venue"),
        several => {
            let whys = several.iter().map(|(venue, why)| format!("{}: {why}", venue.name()));
            format!(
                "{lookup}: no venue has it ({}); check the name with the venues",
                whys.collect::<Vec<_>>().join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests;
