//! Who reads the venues' catalogs: the member with slice 0; the others read what it has published.
//!
//! Runs on:  the thread `cluster` (pure; times are monotonic nanoseconds).
//!
//! Only the owner of slice 0 reports its scans. So a member that scans because it knows of none never keeps another one
//! from doing the same, and stops when an owner is known again.
use crate::base::limits::{CATALOG_SILENT_NS, CATALOG_START_NS, DISCOVERY_INTERVAL_NS};

/// Where a member has its markets from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatalogRole {
    /// From other members.
    Read,
    /// From the catalogs: slice 0 is its own, or was until the next owner reports a scan.
    Scan,
    /// From the catalogs, because no other member has reported a scan for this long, nanoseconds.
    Alone(u64),
}

/// What a member knows of those who scan.
#[derive(Clone, Copy, Debug)]
pub struct CatalogWatch {
    started_ns: u64,
    /// When it had read what others had published before.
    read_ns: Option<u64>,
    /// End of the last scan of another member.
    other_ns: Option<u64>,
    /// When it last had slice 0, until another member is known.
    owned_ns: Option<u64>,
}

impl CatalogWatch {
    /// It has begun to look for the broker.
    #[must_use]
    pub const fn new(now_ns: u64) -> Self {
        Self { started_ns: now_ns, read_ns: None, other_ns: None, owned_ns: None }
    }

    /// The topic of markets was read to what was its end.
    pub fn on_read(&mut self, now_ns: u64) {
        self.read_ns.get_or_insert(now_ns);
    }

    /// Another member has reported a scan that ended at `at_ns`.
    pub fn on_scan(&mut self, at_ns: u64) {
        self.other_ns = self.other_ns.max(Some(at_ns));
    }

    /// What this member does; `is_owner`: slice 0 is assigned to it.
    pub fn role(&mut self, is_owner: bool, now_ns: u64) -> CatalogRole {
        if is_owner {
            self.owned_ns = Some(now_ns);
            return CatalogRole::Scan;
        }
        let Self { started_ns, read_ns, other_ns, owned_ns } = *self;
        if let Some(owned_ns) = owned_ns.filter(|&owned_ns| other_ns <= Some(owned_ns)) {
            return match now_ns < owned_ns + CATALOG_SILENT_NS {
                true => CatalogRole::Scan,
                false => CatalogRole::Alone(now_ns - owned_ns),
            };
        }
        self.owned_ns = None;
        // Who joins a group that begins waits for its first scan; who finds no broker does not.
        let until_ns = [
            Some(started_ns + CATALOG_START_NS),
            read_ns.map(|read_ns| read_ns + DISCOVERY_INTERVAL_NS),
            other_ns.map(|other_ns| other_ns + CATALOG_SILENT_NS),
        ];
        match until_ns.into_iter().flatten().any(|until_ns| now_ns < until_ns) {
            true => CatalogRole::Read,
            false => CatalogRole::Alone(now_ns - other_ns.unwrap_or(started_ns).min(now_ns)),
        }
    }
}
