//! Rate limits as Polymarket publishes them: requests within any 10 seconds.
//!
//! Runs on:  the venue's thread (pure; time is an argument).

const WINDOW_MS: u64 = 10_000;
/// Number of parts that the window is counted in.
const PARTS: usize = 20;
const PART_MS: u64 = WINDOW_MS / PARTS as u64;

/// Requests within the last 10 seconds.
#[derive(Debug)]
struct Window {
    limit: u32,
    counts: [u32; PARTS],
    /// The newest part, from time 0.
    part: u64,
}

impl Window {
    const fn new(limit: u32) -> Self {
        Self { limit, counts: [0; PARTS], part: 0 }
    }

    fn is_full(&mut self, now_ms: u64) -> bool {
        let part = now_ms / PART_MS;
        for passed in self.part + 1..=part.min(self.part + PARTS as u64) {
            self.counts[passed as usize % PARTS] = 0;
        }
        self.part = self.part.max(part);
        self.counts.iter().sum::<u32>() >= self.limit
    }

    fn note(&mut self) {
        self.counts[self.part as usize % PARTS] += 1;
    }

    /// Seconds, at least one, until the oldest counted part leaves the window.
    fn retry_after_s(&self) -> u64 {
        let parts = PARTS as u64;
        let oldest = (1..=parts).find(|age| self.counts[((self.part + age) % parts) as usize] > 0);
        (oldest.unwrap_or(parts) * PART_MS).div_ceil(1000).max(1)
    }
}

/// The windows that a request counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Markets,
    Events,
    Gamma,
    Book,
    Books,
    Clob,
    /// Control requests: not limited.
    Free,
}

/// All windows.
#[derive(Debug)]
pub(super) struct Quota {
    all: Window,
    gamma: Window,
    listing: Window,
    markets: Window,
    events: Window,
    clob: Window,
    book: Window,
    books: Window,
}

impl Quota {
    pub(super) const fn new() -> Self {
        Self {
            all: Window::new(15_000),
            gamma: Window::new(4_000),
            listing: Window::new(900),
            markets: Window::new(300),
            events: Window::new(500),
            clob: Window::new(9_000),
            book: Window::new(1_500),
            books: Window::new(500),
        }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// Seconds to wait if a window is full.
    pub(super) fn take(&mut self, route: Route, now_ms: u64) -> Result<(), u64> {
        let Self { all, gamma, listing, markets, events, clob, book, books } = self;
        let mut windows = match route {
            Route::Markets => vec![all, gamma, listing, markets],
            Route::Events => vec![all, gamma, listing, events],
            Route::Gamma => vec![all, gamma],
            Route::Book => vec![all, clob, book],
            Route::Books => vec![all, clob, books],
            Route::Clob => vec![all, clob],
            Route::Free => return Ok(()),
        };
        for window in &mut windows {
            if window.is_full(now_ms) {
                return Err(window.retry_after_s());
            }
        }
        windows.into_iter().for_each(|window| window.note());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
