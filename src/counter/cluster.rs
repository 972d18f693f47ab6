//! Figures of a member of a cluster.
//!
//! Runs on:  the thread `cluster` (writer), control core (reader).
use super::figure::board;
use serde::{Deserialize, Serialize};

/// One member, and its slices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterReport {
    /// The group: the name of the cluster, and the rack where there are several.
    pub group: String,
    /// The name of this member.
    pub engine: String,
    /// 1 while the member has a session with the broker, else 0.
    pub in_session: u64,
    /// Slices that the broker has assigned.
    pub slices_assigned: u64,
    /// Slices whose markets are followed: those, and others until another member has them.
    pub slices_followed: u64,
    /// Of the followed ones, slices whose books and trades are published.
    pub slices_published: u64,
    /// Of the assigned ones, slices whose books are all live.
    pub slices_live: u64,
    /// Claims that the broker has acknowledged.
    pub claims: u64,
    /// Claims that it has not; they are sent again.
    pub claims_failed: u64,
    /// Assignments of the broker since the start.
    pub assignments: u64,
    /// Sessions that have ended before this member left.
    pub sessions_lost: u64,
    /// 1 while this member scans the venues' catalogs, 0 while it reads what another one has found.
    pub scans_catalog: u64,
    /// Seconds since another member last reported a scan, while this one scans for that reason; else 0.
    pub catalog_silent_seconds: u64,
    /// Times that it began to scan for that reason.
    pub catalog_fallbacks: u64,
    /// Records of markets of other members that were read.
    pub markets_read: u64,
    /// Of the topic of markets, records that could not be read.
    pub markets_unreadable: u64,
    /// Members of all racks, this one included: they share the limits of an account; 0 before it has joined.
    pub members: u64,
    /// The connections of `--kalshi-connections`, which are the account's.
    pub connections_account: u64,
    /// Of these, the share of this member.
    pub connections_share: u64,
    /// Why the member has no session; empty while it has one.
    pub error: String,
}

impl ClusterReport {
    /// The fault and its consequence, one line; `None` without one.
    pub fn trouble(&self) -> Option<String> {
        let Self { group, engine, error, slices_followed, .. } = self;
        let why = if error.is_empty() { "it has not joined yet" } else { error };
        (self.in_session == 0).then(|| {
            format!(
                "{engine} has no session in the cluster {group}: {why}; {slices_followed} slices are followed for local users and not published"
            )
        })
    }

    /// Its share of the connections of an account; `None` without such an account.
    pub fn share_notice(&self) -> Option<String> {
        let Self { engine, members, connections_share: share, connections_account: all, .. } = self;
        (*share > 0).then(|| {
            format!("{engine} has {share} of the {all} connections of the account; {members} members share them")
        })
    }

    /// That it scans although another member should; `None` otherwise.
    pub fn catalog_notice(&self) -> Option<String> {
        let Self { group, engine, catalog_silent_seconds: seconds, .. } = self;
        (*seconds > 0).then(|| {
            format!(
                "{engine} scans the catalog itself: no other member of the cluster {group} has reported a scan for {seconds} s"
            )
        })
    }
}

board! {
    /// The figures of a member.
    ClusterBoard of ClusterReport {
        texts: group, engine; messages: error; figures:
            in_session, slices_assigned, slices_followed, slices_published, slices_live, claims,
            claims_failed, assignments, sessions_lost, scans_catalog, catalog_silent_seconds,
            catalog_fallbacks, markets_read, markets_unreadable, members,
    }
}

impl ClusterBoard {
    /// All figures 0.
    #[must_use]
    pub fn new(group: String, engine: String) -> Self {
        Self { group, engine, ..Self::default() }
    }
}
