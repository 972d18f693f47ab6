//! Which requests are refused or delayed: rate limits, and faults on request.
//!
//! Runs on:  the venue's thread (pure). Times are real milliseconds since the venue's start.
use super::config::SimConfig;
use super::quota::{Quota, Route};
use super::request::Answer;
use super::stats::Counters;
use std::sync::Arc;

/// Requests are refused with a status until a time, or so many times.
#[derive(Clone, Copy, Debug, Default)]
struct Refusal {
    status: u16,
    until_ms: u64,
    left: u64,
}

pub(super) struct Admission {
    rate_limits: bool,
    upgrades_per_second_max: u32,
    quota: Quota,
    of_upgrades: Refusal,
    of_books: Refusal,
    /// Delay of REST answers and its end.
    delay_ms: u64,
    delay_until_ms: u64,
    /// The current second, and upgrades within it.
    second: u64,
    upgrades: u32,
    counters: Arc<Counters>,
}

impl Admission {
    pub(super) const fn new(config: &SimConfig, counters: Arc<Counters>) -> Self {
        let none = Refusal { status: 0, until_ms: 0, left: 0 };
        Self {
            rate_limits: config.rate_limits,
            upgrades_per_second_max: config.upgrades_per_second_max,
            quota: Quota::new(),
            of_upgrades: none,
            of_books: none,
            delay_ms: config.slow_rest_ms,
            delay_until_ms: u64::MAX,
            second: 0,
            upgrades: 0,
            counters,
        }
    }

    /// Until a time, and the next `left` whenever they come.
    pub(super) const fn refuse_upgrades(&mut self, status: u16, until_ms: u64, left: u64) {
        self.of_upgrades = Refusal { status, until_ms, left };
    }

    pub(super) const fn refuse_books(&mut self, status: u16, until_ms: u64) {
        self.of_books = Refusal { status, until_ms, left: 0 };
    }

    pub(super) const fn delay_answers(&mut self, by_ms: u64, until_ms: u64) {
        (self.delay_ms, self.delay_until_ms) = (by_ms, until_ms);
    }

    /// Counts a REST request; the error is its answer.
    pub(super) fn admit(&mut self, route: Route, now_ms: u64) -> Result<(), Answer> {
        if self.rate_limits
            && let Err(seconds) = self.quota.take(route, now_ms)
        {
            self.counters.rate_limited.add(1);
            return refuse(429, "Too Many Requests", Some(seconds));
        }
        if matches!(route, Route::Book | Route::Books) && now_ms < self.of_books.until_ms {
            self.counters.refused.add(1);
            return refuse(self.of_books.status, "refused on purpose", None);
        }
        Ok(())
    }

    /// Counts an upgrade; the error is its answer.
    pub(super) fn admit_upgrade(&mut self, now_ms: u64) -> Result<(), Answer> {
        let Refusal { status, until_ms, left } = self.of_upgrades;
        if now_ms < until_ms || left > 0 {
            self.counters.refused.add(1);
            self.of_upgrades.left = left.saturating_sub(1);
            let seconds = until_ms.saturating_sub(now_ms).div_ceil(1000).max(1);
            return refuse(status, "refused", (status == 429).then_some(seconds));
        }
        if self.second != now_ms / 1000 {
            (self.second, self.upgrades) = (now_ms / 1000, 0);
        }
        if self.upgrades_per_second_max > 0 && self.upgrades >= self.upgrades_per_second_max {
            self.counters.rate_limited.add(1);
            return refuse(429, "refused", Some(1));
        }
        self.upgrades += 1;
        Ok(())
    }

    pub(super) fn delay_ms(&self, path: &str, now_ms: u64) -> Option<u64> {
        let delayed = self.delay_ms > 0 && now_ms < self.delay_until_ms;
        if !delayed || path.starts_with("/sim/") {
            return None;
        }
        self.counters.slow_answers.add(1);
        Some(self.delay_ms)
    }
}

fn refuse(status: u16, why: &str, retry_after_s: Option<u64>) -> Result<(), Answer> {
    let mut answer = Answer::error(status, why);
    answer.retry_after_s = retry_after_s;
    Err(answer)
}
