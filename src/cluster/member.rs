//! One member of a cluster: which slices it follows, which it publishes, and what it claims.
//!
//! Runs on:  the thread `cluster` (pure).
//! Bounds:   one entry for each slice.
//!
//! | | follows | publishes | ends |
//! |---|---|---|---|
//! | assigned | yes | yes | when the broker revokes it |
//! | revoked | yes | yes | once another member has reported it live, or has claimed it long ago |
//! | lost (the session has ended) | yes, for local users | no | the same, or when it is assigned again |
//!
//! While nobody else has claimed a slice it is never given up. Claims are read in the order of the broker: an owner
//! that reads another one's after its own was overtaken by a member that the broker has not yet reported to it, or that
//! has not yet noticed the end of its own ownership. It claims again only if it is still the owner after a while.
use super::claim::ClaimState;
use crate::base::limits::{CLUSTER_CLAIM_NS, CLUSTER_HOLD_NS, CLUSTER_LIVE_NS, CLUSTER_OVERLAP_NS};
use crate::base::slices::{SLICES, SliceSet};

/// The last claim on a slice that was read.
#[derive(Clone, Copy, Debug)]
struct LastClaim {
    /// It is this member's.
    is_own: bool,
    state: ClaimState,
    read_ns: u64,
}

/// One slice.
#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    is_assigned: bool,
    /// When this member began to follow it.
    followed_ns: Option<u64>,
    /// Its session ended while it had the slice.
    is_lost: bool,
    last: Option<LastClaim>,
    /// A claim that has not come back yet, and when it was sent.
    sent: Option<(ClaimState, u64)>,
    /// Another member has claimed it after this one did, which is still the owner.
    is_overtaken: bool,
}

impl Slice {
    const fn own(&self) -> Option<ClaimState> {
        match self.last {
            Some(LastClaim { is_own: true, state, .. }) => Some(state),
            _ => None,
        }
    }

    /// The claim to send now.
    fn claim(&self, is_live: bool, now_ns: u64) -> Option<ClaimState> {
        if self.sent.is_some_and(|(_, sent_ns)| now_ns < sent_ns + CLUSTER_CLAIM_NS) {
            return None;
        }
        match self.last {
            Some(LastClaim { is_own: true, state: ClaimState::Live, .. }) => None,
            Some(LastClaim { is_own: true, state: ClaimState::Taken, .. }) => {
                let is_late = now_ns >= self.followed_ns.unwrap_or(now_ns) + CLUSTER_LIVE_NS;
                (is_live || is_late).then_some(ClaimState::Live)
            }
            Some(LastClaim { read_ns, .. }) if self.is_overtaken => {
                (now_ns >= read_ns + CLUSTER_CLAIM_NS).then_some(ClaimState::Taken)
            }
            _ => Some(ClaimState::Taken),
        }
    }

    /// Whether a slice that is not assigned is another member's for good.
    fn is_over(&self, now_ns: u64) -> bool {
        match self.last {
            Some(LastClaim { is_own: false, state, read_ns }) => match state {
                ClaimState::Live => now_ns >= read_ns + CLUSTER_OVERLAP_NS,
                ClaimState::Taken => now_ns >= read_ns + CLUSTER_HOLD_NS,
                ClaimState::Released => false,
            },
            _ => false,
        }
    }
}

/// One member.
#[derive(Clone, Debug)]
pub struct Member {
    slices: Vec<Slice>,
    /// When it began to leave.
    leaving_ns: Option<u64>,
}

impl Default for Member {
    fn default() -> Self {
        Self { slices: vec![Slice::default(); SLICES], leaving_ns: None }
    }
}

impl Member {
    /// The broker has assigned these slices, besides those that it has assigned before. Nothing to one that leaves.
    pub fn on_assigned(&mut self, slices: SliceSet) {
        if self.leaving_ns.is_some() {
            return;
        }
        for slice in slices.iter() {
            let slice = &mut self.slices[usize::from(slice)];
            slice.is_assigned = true;
            (slice.is_lost, slice.is_overtaken) = (false, false);
        }
    }

    /// The broker takes these slices back; `is_lost`: the session has ended, so that they may be another member's
    /// already.
    pub fn on_revoked(&mut self, slices: SliceSet, is_lost: bool) {
        for slice in slices.iter() {
            let slice = &mut self.slices[usize::from(slice)];
            slice.is_assigned = false;
            slice.is_lost = is_lost;
            if is_lost && slice.own().is_some() {
                // If the slice returns, it is claimed anew: with a higher epoch, and at a broker that may be empty.
                slice.last = None;
            }
            if is_lost {
                slice.sent = None;
            }
        }
    }

    /// A claim of this cluster was read.
    pub fn on_claim(&mut self, slice: u8, is_own: bool, state: ClaimState, now_ns: u64) {
        let slice = &mut self.slices[usize::from(slice)];
        if is_own {
            if slice.sent.is_some_and(|(sent, _)| sent == state) {
                slice.sent = None;
            }
            slice.is_overtaken = false;
        } else {
            slice.is_overtaken |= slice.is_assigned && slice.own().is_some();
        }
        slice.last = Some(LastClaim { is_own, state, read_ns: now_ns });
    }

    /// The broker has not taken a claim: it is sent again.
    pub fn on_claim_failed(&mut self, slice: u8) {
        self.slices[usize::from(slice)].sent = None;
    }

    /// Leaves: what it has is revoked, and followed until others have it.
    pub fn leave(&mut self, now_ns: u64) {
        self.on_revoked(self.assigned(), false);
        self.leaving_ns.get_or_insert(now_ns);
    }

    /// Whether a member that leaves has nothing left to wait for.
    pub fn has_left(&self, now_ns: u64) -> bool {
        let Some(since_ns) = self.leaving_ns else { return false };
        let is_other = |slice: &Slice| {
            slice.last.is_some_and(|last| !last.is_own && last.state != ClaimState::Released)
        };
        let is_alone = !self.slices.iter().any(is_other);
        // Without a session nothing is published, and nothing is read of the others.
        self.published().is_empty() || is_alone || now_ns >= since_ns + CLUSTER_HOLD_NS
    }

    /// What is to be claimed now; `live` are the slices whose books are live here and at the broker.
    pub fn poll(&mut self, live: SliceSet, now_ns: u64) -> Vec<(u8, ClaimState)> {
        let mut claims = Vec::new();
        for (number, slice) in (0..=u8::MAX).zip(&mut self.slices) {
            if slice.is_assigned {
                slice.followed_ns.get_or_insert(now_ns);
                if let Some(state) = slice.claim(live.contains(number), now_ns) {
                    slice.sent = Some((state, now_ns));
                    claims.push((number, state));
                }
            } else if slice.followed_ns.is_some() && slice.is_over(now_ns) {
                (slice.followed_ns, slice.is_lost) = (None, false);
            }
        }
        claims
    }

    /// Slices whose last claim is this member's: it releases them when it has left.
    pub fn claimed(&self) -> SliceSet {
        self.of(|slice| slice.own().is_some_and(|state| state != ClaimState::Released))
    }

    /// Slices that the broker has assigned.
    pub fn assigned(&self) -> SliceSet {
        self.of(|slice| slice.is_assigned)
    }

    /// Slices whose markets are to be followed.
    pub fn followed(&self) -> SliceSet {
        self.of(|slice| slice.followed_ns.is_some())
    }

    /// Slices whose books and trades are to be published.
    pub fn published(&self) -> SliceSet {
        self.of(|slice| slice.followed_ns.is_some() && !slice.is_lost)
    }

    fn of(&self, is_in: impl Fn(&Slice) -> bool) -> SliceSet {
        let slices = (0..=u8::MAX).zip(&self.slices);
        slices.filter(|(_, slice)| is_in(slice)).map(|(number, _)| number).collect()
    }
}
