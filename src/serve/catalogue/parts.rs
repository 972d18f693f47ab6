//! The metrics of the engine's parts: each venue, the exchange, commands, REST comparisons, recycling, services.
//!
//! Runs on:  any (pure). Owns: nothing.
use super::{Absent, Kind, Quantile, Real, Row, Rows, Value, Whole};
use super::{age, flag, metric, seconds};
use crate::counter::latency::LatencySummary;
use crate::counter::report::{
    CorrectnessReport, DialogReport, ExchangeReport, RecycleReport, ResyncReport, VenueReport,
};

/// A ratio that does not exist before the first event.
fn ratio(value: Option<f64>) -> Value {
    value.map_or(Absent, Real)
}

pub(in crate::serve) const VENUE: Rows<VenueReport> = rows! { "venue", VenueReport;
    Gauge "venue_markets", "markets", "Markets known of one venue", "nothing", |v, _| Whole(v.markets);
    Gauge "venue_connections_active", "connections", "Connections of one venue that are up",
        "when it falls: the venue or the network closes connections", |v, _| Whole(v.connections_active);
    Gauge "venue_books", "books", "Books held of one venue", "nothing", |v, _| Whole(v.books);
    Gauge "venue_books_live", "books", "Books of one venue that follow it",
        "when it falls: see shard_books_awaiting and shard_books_stale", |v, _| Whole(v.books_live);
    Counter "venue_trades", "trades", "Trades seen of one venue", "nothing", |v, _| Whole(v.trades);
};

pub(in crate::serve) const EXCHANGE: Rows<ExchangeReport> = rows! { "", ExchangeReport;
    Gauge "exchange_active", "1", "1 while the exchange answers to anything; absent where it does not say",
        "when it falls: maintenance at the venue", |e, _| flag(e.active);
    Gauge "exchange_trading", "1", "1 while the exchange matches orders; absent where it does not say",
        "when it falls: trading hours or maintenance", |e, _| flag(e.trading);
    Gauge "exchange_resumes_timestamp_seconds", "s", "When the exchange means to go on, since the Unix epoch",
        "nothing", |e, _| if e.resumes_wall_ns == 0 { Absent } else { seconds(e.resumes_wall_ns) };
    Gauge "exchange_seen_age_seconds", "s", "Time since the exchange said whether it trades",
        "above a few minutes: its status cannot be asked for", |e, now| age(e.seen_wall_ns, now);
};

pub(in crate::serve) const DIALOG: Rows<DialogReport> = rows! { "", DialogReport;
    Counter "commands_sent", "commands", "Commands sent on connections whose venue answers them",
        "nothing", |d, _| Whole(d.commands);
    Counter "command_errors", "answers", "Answers to commands that were errors",
        "the log has them; /stats says on which connection", |d, _| Whole(d.errors);
    Counter "command_retries", "commands", "Commands sent again because the venue wanted a pause",
        "the rate limit: fewer changes of subscriptions", |d, _| Whole(d.retries);
    Counter "command_timeouts", "commands", "Commands that were not answered in time",
        "the venue is slow or a connection is dead", |d, _| Whole(d.timeouts);
    Counter "command_refusals", "tokens", "Tokens or commands that the venue does not take",
        "more markets on a connection than the venue allows", |d, _| Whole(d.refused);
    Counter "resubscriptions", "subscriptions", "Subscriptions that the venue ended and that were made again",
        "the venue ends subscriptions; the log has its reason", |d, _| Whole(d.resubscribes);
    Counter "sequence_holes", "holes", "Places where numbered messages are missing",
        "messages are lost; the books concerned were stale until their next snapshot",
        |d, _| Whole(d.sequence_holes);
    Counter "sequence_missing", "messages", "Numbered messages that are missing",
        "as sequence_holes", |d, _| Whole(d.sequence_missing);
    Counter "sequence_duplicates", "messages", "Numbered messages that came twice and were dropped",
        "the venue repeats itself", |d, _| Whole(d.sequence_duplicates);
};

pub(in crate::serve) const CORRECTNESS: Rows<CorrectnessReport> = rows! { "", CorrectnessReport;
    Gauge "correctness_ratio", "1", "Share of the checks in which a book was right, 0 to 1",
        "when it falls: see shard_tops_mismatched and shard_hashes_mismatched", |c, _| ratio(c.score);
};

pub(in crate::serve) const RESYNC: Rows<ResyncReport> = rows! { "", ResyncReport;
    Counter "book_requests", "requests", "Requests to the venue's REST interface for books",
        "books are not live, or differ", |r, _| Whole(r.requests);
    Counter "book_request_tokens", "tokens", "Tokens in these requests", "nothing", |r, _| Whole(r.tokens);
    Counter "book_request_answers", "requests", "Of these requests, answered with books",
        "nothing", |r, _| Whole(r.answers);
    Counter "book_requests_failed", "requests", "Of these requests, failed or refused",
        "/health has the last error", |r, _| Whole(r.failed);
    Gauge "book_request_tokens_waiting", "tokens", "Tokens that wait to be asked for",
        "the rate limit, or the REST interface is slow", |r, _| Whole(r.tokens_waiting);
    Counter "book_request_tokens_dropped", "tokens", "Tokens for which there was no room; asked for again later",
        "too many books are not live at once", |r, _| Whole(r.tokens_dropped);
};

pub(in crate::serve) const RECYCLING: Rows<RecycleReport> = rows! { "", RecycleReport;
    Counter "recycles_begun", "connections", "Replacements of connections begun", "nothing", |r, _| Whole(r.initiated);
    Counter "recycles_completed", "connections", "Replacements that took over", "nothing", |r, _| Whole(r.completed);
    Counter "recycles_failed", "connections", "Replacements that did not take over; the old connection stayed",
        "/stats has the last reason", |r, _| Whole(r.failed);
    Gauge "recycles_success_ratio", "1", "Share of the ended replacements that took over, 0 to 1",
        "when it falls: /stats has the last reason", |r, _| ratio(r.success_rate);
    Gauge "recycles_under_way", "connections", "Replacements that have yet to take over", "nothing",
        |r, _| Whole(r.under_way);
    Counter "recycles_merges", "connections", "Replacements that took over from several small connections at once",
        "nothing", |r, _| Whole(r.merges);
    Counter "recycles_connections_merged", "connections", "Connections that merging has saved", "nothing",
        |r, _| Whole(r.connections_merged);
    Counter "recycles_markets_migrated", "markets", "Markets that moved to a replacement",
        "nothing", |r, _| Whole(r.markets_migrated);
    Counter "recycles_overlap_seconds", "s", "Time during which two connections carried the same tokens, all replacements",
        "nothing", |r, _| seconds(r.overlap_ns);
    Counter "recycles_books_interrupted", "books", "Live books that were not live after they moved",
        "a replacement lost its books: /stats has the proofs", |r, _| Whole(r.interrupted);
};

/// A distribution of waits of one service.
pub(in crate::serve) const PHASE_QUANTILE: Rows<Quantile> = rows! { "service,phase,quantile", Quantile;
    Gauge "service_phase_seconds", "s", "Time to acquire, connect and request; quantile 0 is the shortest, 1 the longest",
        "the service is slow, or its pool too small", |q, _| seconds(q.ns);
};

pub(in crate::serve) const PHASE: Rows<LatencySummary> = rows! { "service,phase", LatencySummary;
    Counter "service_phase_samples", "values", "Values behind service_phase_seconds",
        "nothing", |l, _| Whole(l.count);
};
