//! Reports of several venues as one: every field says how it is combined.
//!
//! Runs on:  any (pure).
//!
//! A field that no rule names does not compile, so none is lost. Which venue comes first makes no difference but to the
//! order of lists.
use super::bus::BusReport;
use super::capture::CaptureReport;
use super::report::{
    CorrectnessReport, EngineReport, ExchangeReport, HealthReport, LifecycleReport, PoolReport,
    RecycleReport, RegistryReport, SnapshotRequestsReport, SubscriptionReport,
};
use super::trades::TradeReport;

/// Takes another report of the same kind in.
pub trait Fold {
    /// Both together.
    fn fold(&mut self, other: Self);
}

/// How two values become one.
mod rule {
    use super::Fold;
    use std::ops::AddAssign;

    /// Counts and gauges.
    pub(super) fn sum<T: AddAssign>(mine: &mut T, other: T) {
        *mine += other;
    }

    /// Times of which the earlier one counts; bounds that hold for both. A 0 (never) counts as the earliest.
    pub(super) fn least<T: Ord>(mine: &mut T, other: T) {
        if other < *mine {
            *mine = other;
        }
    }

    /// Times of which the later one counts; bounds that one of them may reach.
    pub(super) fn most<T: Ord>(mine: &mut T, other: T) {
        if other > *mine {
            *mine = other;
        }
    }

    /// True if it is for both.
    pub(super) fn all(mine: &mut bool, other: bool) {
        *mine &= other;
    }

    /// True if it is for one.
    pub(super) fn any(mine: &mut bool, other: bool) {
        *mine |= other;
    }

    /// One list after the other.
    pub(super) fn list<T>(mine: &mut Vec<T>, other: Vec<T>) {
        mine.extend(other);
    }

    /// One list after the other; lines that both have stand there once.
    pub(super) fn lines(mine: &mut Vec<String>, other: Vec<String>) {
        for line in other {
            if !mine.contains(&line) {
                mine.push(line);
            }
        }
    }

    /// Texts for people, empty for none: both, unless they say the same.
    pub(super) fn text(mine: &mut String, other: String) {
        if mine.is_empty() {
            *mine = other;
        } else if !other.is_empty() && *mine != other {
            mine.push_str("; ");
            mine.push_str(&other);
        }
    }

    /// A text that is there only if both have one.
    pub(super) fn both(mine: &mut Option<String>, other: Option<String>) {
        *mine = mine.take().zip(other).map(|(mut mine, other)| {
            text(&mut mine, other);
            mine
        });
    }

    pub(super) fn report<T: Fold>(mine: &mut T, other: T) {
        mine.fold(other);
    }

    /// A report that may be absent.
    pub(super) fn option<T: Fold>(mine: &mut Option<T>, other: Option<T>) {
        match (mine, other) {
            (Some(mine), Some(other)) => mine.fold(other),
            (mine @ None, other) => *mine = other,
            (Some(_), None) => {}
        }
    }

    /// Both read it from the same place: it is the same, or was an instant ago.
    pub(super) fn shared<T>(_mine: &mut T, _other: T) {}

    /// It is made of other fields once these are folded, or of what no report holds.
    pub(super) fn derived<T>(_mine: &mut T, _other: T) {}
}

/// `fold!(Type { rule: field field; … }, then)` folds each field by its rule, and calls `then` with the sum.
macro_rules! fold {
    ($type:ident { $($rule:ident: $($field:ident)+;)+ } $(, $then:expr)?) => {
        impl Fold for $type {
            fn fold(&mut self, other: Self) {
                let Self { $($($field),+),+ } = other;
                $($(rule::$rule(&mut self.$field, $field);)+)+
                $(($then)(self);)?
            }
        }
    };
}

fold!(EngineReport {
    // Source and cluster are added by the supervisor.
    shared: version bus_source cluster;
    list: venues services router shards;
    least: started_wall_ns;
    most: now_wall_ns;
    option: exchange trades capture bus;
    report: health registry pool correctness recycling lifecycle;
    // Of histograms, which a report does not hold: the supervisor adds these up.
    derived: latencies buckets;
});

fold!(ExchangeReport {
    all: active trading;
    most: resumes_wall_ns;
    least: seen_wall_ns;
});

fold!(HealthReport {
    all: healthy;
    any: in_grace;
    lines: reasons notices;
    both: idle;
});

fold!(RegistryReport {
    sum: markets markets_shared tokens tokens_elsewhere tokens_pending tokens_subscribed tokens_expired;
});

fold!(PoolReport {
    most: tokens_per_connection_target tokens_per_connection_max last_reconnect_wall_ns;
    sum: capacity_tokens connections_active connections_waiting connections_draining connections_opened
        dials_failed reconnects markets_moved;
    report: subscriptions;
    list: connections;
});

fold!(SubscriptionReport {
    sum: commands errors retries timeouts refused resubscribes sequence_holes sequence_missing
        sequence_duplicates;
});

fold!(CorrectnessReport {
    report: checks repairs snapshot_requests;
    derived: score;
}, |sum: &mut CorrectnessReport| sum.score = sum.checks.score());

fold!(SnapshotRequestsReport {
    sum: requests tokens answers failed tokens_waiting tokens_dropped;
    text: last_error;
});

fold!(RecycleReport {
    sum: initiated completed failed under_way merges connections_merged markets_migrated overlap_ns interrupted;
    text: last_failure;
    list: replacements queued handovers;
    derived: success_rate;
}, |sum: &mut RecycleReport| {
    sum.success_rate = sum.rate();
    sum.handovers.sort_by_key(|handover| handover.began_wall_ns);
});

// One sink stores the trades of all venues; each venue adds its connections.
fold!(TradeReport {
    shared: store journal started_wall_ns received inserted repeated batches markets failures queued
        journaled spilled lost last_trade_wall_ns last_insert_wall_ns down_since_wall_ns batch_p50_us
        batch_p99_us batch_max_us error;
    sum: connections_active reconnections;
    most: last_reconnect_wall_ns;
});

// One sink captures all venues.
fold!(CaptureReport {
    shared: folder frames records text_bytes bytes segments waiting_bytes removed removed_bytes
        commands commands_failed lost lost_trades last_write_wall_ns failing_since_wall_ns error loss;
});

// One publisher serves all venues.
fold!(BusReport {
    shared: broker engine books records bytes waiting waiting_bytes snapshots_repeated conflated journaled journal
        failed trades_lost withheld books_refused restarts last_record_wall_ns down_since_wall_ns error;
});

fold!(LifecycleReport {
    sum: scans_completed scans_failed pages requests_failed markets_discovered markets_announced
        markets_resolved markets_expired markets_removed markets_skipped markets_listed;
    list: skipped;
    least: last_scan_wall_ns;
    text: last_error;
});

#[cfg(test)]
mod tests;
