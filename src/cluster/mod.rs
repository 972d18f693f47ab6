//! A cluster: machines that divide the universe of markets among themselves, slice by slice.
//!
//! Runs on:  the thread `cluster` of each member (pure: time is an argument).
//!
//! Who belongs to the cluster and which slices a member has are decided by the broker: members are consumers of one
//! group on a topic with one partition for each slice. What a member adds is here: [`Member`] decides what it follows
//! and publishes while slices come and go, so that a planned move has no gap, and [`claim`] is the record with which an
//! owner reports on that topic that a slice is its own. The broker orders the claims of a slice: a later one has the
//! higher offset, which is the epoch of the slice. [`overview`] is what the claims of all members amount to.
//! [`catalog`] decides who reads the venues' catalogs.
pub mod catalog;
pub mod claim;
mod member;
mod members;
pub mod overview;

pub use member::Member;
pub use members::Members;

/// The group of a cluster's members: those of each rack follow all markets among themselves.
#[must_use]
pub fn group(cluster: &str, rack: Option<&str>) -> String {
    rack.map_or_else(|| cluster.to_owned(), |rack| format!("{cluster}.{rack}"))
}

#[cfg(test)]
mod tests;
