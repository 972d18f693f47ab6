//! `ringbook compare`: compares every book of a running engine with the venue's, level by level.
//!
//! Runs on:  main thread, as an HTTP client of both.
use super::Failure;
use crate::base::limits::{DISCOVERY_PAGES_MAX, RETRY_AFTER_MAX_NS};
use crate::base::time::SECOND_NS;
use crate::config::{UsageError, flags::CompareFlags, tls_ca};
use crate::io::{
    blocking::BlockingClient, clock::HostClock, output::print_line, progress::Progress,
};
use crate::venue::polymarket::catalog::{parse_page, scan_path};
use crate::wire::{endpoint::Endpoint, http::Response, tls::client_config};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

/// Differences shown; more are only counted.
const DIFFERENCES_SHOWN: usize = 10;

#[derive(Debug, Deserialize, PartialEq, Eq)]
struct Level {
    price: String,
    size: String,
}

#[derive(Debug, Deserialize)]
struct Shown {
    timestamp: String,
    hash: String,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

/// Result of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Tokens of the catalog.
    pub tokens: usize,
    /// Live books equal to the venue's in every level.
    pub equal: usize,
    /// Those with equal timestamp and hash.
    pub same_hash: usize,
    /// Live books that differ.
    pub different: usize,
    /// Levels of the equal books.
    pub levels: usize,
    /// Other books by state; tokens without a book are `none`.
    pub not_live: BTreeMap<String, usize>,
    /// The first differences as text.
    pub differences: Vec<String>,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tokens, equal, same_hash, different, levels, .. } = self;
        write!(
            f,
            "{tokens} tokens: {equal} live books equal the venue's in all {levels} levels ({same_hash} with its timestamp and hash), {different} differ"
        )?;
        for (state, count) in &self.not_live {
            write!(f, ", {count} {state}")?;
        }
        self.differences.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// One engine and one venue.
#[derive(Debug)]
pub struct Comparison {
    /// Client of the engine.
    pub engine: BlockingClient,
    /// The catalog.
    pub gamma: BlockingClient,
    /// The venue's own books.
    pub venue: BlockingClient,
    /// Path of a book without the token: `/book?token_id=` or `/sim/truth/`.
    pub venue_path: &'static str,
}

impl Comparison {
    /// Compares every token of the catalog. A difference is checked again after a second, because the book may have
    /// changed between the two requests.
    ///
    /// # Errors
    /// One line: engine, catalog or venue does not respond.
    pub fn run(&mut self) -> Result<Verdict, String> {
        let tokens = self.tokens()?;
        let mut verdict = Verdict { tokens: tokens.len(), ..Verdict::default() };
        let progress = Progress::of_items(tokens.len() as u64, "books");
        let mut again = Vec::new();
        for token in tokens {
            if self.compare(&token, &mut verdict)?.is_some() {
                again.push(token);
            }
            progress.add();
        }
        if !again.is_empty() {
            std::thread::sleep(Duration::from_secs(1));
        }
        for token in again {
            if let Some(difference) = self.compare(&token, &mut verdict)? {
                verdict.different += 1;
                if verdict.differences.len() < DIFFERENCES_SHOWN {
                    verdict.differences.push(format!("{token}: {difference}"));
                }
            }
        }
        Ok(verdict)
    }

    /// Tokens of the catalog, those of one market behind each other.
    ///
    /// # Errors
    /// One line: the catalog does not respond.
    pub fn tokens(&mut self) -> Result<Vec<String>, String> {
        let mut tokens = Vec::new();
        let _progress = Progress::of_wait("reading the catalog".into());
        let mut cursor: Option<String> = None;
        for _ in 0..DISCOVERY_PAGES_MAX {
            let response = self.gamma.get(&scan_path(cursor.as_deref()))?;
            if response.status == 429 {
                std::thread::sleep(pause_of(&response));
                continue;
            }
            let page = parse_page(&response.body).map_err(|error| error.to_string())?;
            let outcomes = page.markets.iter().flat_map(|market| &market.tokens);
            tokens.extend(outcomes.map(|outcome| outcome.token.to_string()));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        Ok(tokens)
    }

    /// The difference; `None` if equal, or not comparable, which is counted.
    fn compare(&mut self, token: &str, verdict: &mut Verdict) -> Result<Option<String>, String> {
        let mine = self.engine.get(&format!("/book?token_id={token}"))?;
        let state = mine.header("x-ringbook-state").unwrap_or("none").to_owned();
        if state != "live" {
            *verdict.not_live.entry(state).or_default() += 1;
            return Ok(None);
        }
        let theirs = self.venue.get(&format!("{}{token}", self.venue_path))?;
        if theirs.status == 429 {
            // Too fast for the venue: both books are asked for anew after the pause that it wants.
            std::thread::sleep(pause_of(&theirs));
            return self.compare(token, verdict);
        }
        if theirs.status != 200 {
            // The market ended between catalog and comparison.
            *verdict.not_live.entry("gone at the venue".into()).or_default() += 1;
            return Ok(None);
        }
        let read = |body: &[u8], whose: &str| {
            sonic_rs::from_slice::<Shown>(body).map_err(|error| format!("{whose} book: {error}"))
        };
        let (mine, theirs) =
            (read(&mine.body, "the engine's")?, read(&theirs.body, "the venue's")?);
        for (side, mine, theirs) in
            [("bids", &mine.bids, &theirs.bids), ("asks", &mine.asks, &theirs.asks)]
        {
            if mine != theirs {
                let at = mine.iter().zip(theirs.iter()).take_while(|(a, b)| a == b).count();
                return Ok(Some(format!(
                    "{side} differ from level {at}: engine has {} levels {:?}, venue {} levels {:?}",
                    mine.len(),
                    mine.get(at),
                    theirs.len(),
                    theirs.get(at)
                )));
            }
        }
        verdict.equal += 1;
        verdict.levels += mine.bids.len() + mine.asks.len();
        verdict.same_hash +=
            usize::from(mine.hash == theirs.hash && mine.timestamp == theirs.timestamp);
        Ok(None)
    }
}

/// Compares and prints; exit code 1 if a live book differs.
///
/// # Errors
/// A flag is unusable, or a server does not respond.
pub fn run(flags: &CompareFlags) -> Result<ExitCode, Failure> {
    let ca = tls_ca(flags.tls_ca.as_deref())?;
    let tls = client_config(ca.as_deref()).map_err(|error| UsageError(error.to_string()))?;
    let client = |flag: &str, url: &str| {
        let service = Endpoint::parse(url, ["http", "https"]);
        let service = service.map_err(|error| UsageError(format!("{flag} {error}")))?;
        Ok::<_, UsageError>(BlockingClient::new(service, tls.clone()))
    };
    let mut comparison = Comparison {
        engine: client("--engine-url", &flags.engine_url)?,
        gamma: client("--gamma-url", &flags.gamma_url)?,
        venue: client("--clob-url", &flags.clob_url)?,
        venue_path: "/book?token_id=",
    };
    let verdict = comparison.run()?;
    print_line(&verdict);
    let good = verdict.different == 0 && verdict.equal > 0;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
/// Pause after HTTP 429, limited.
fn pause_of(response: &Response) -> Duration {
    let wanted_s = response.retry_after_s(HostClock::new().now().wall_ns).unwrap_or(1);
    Duration::from_secs(wanted_s.clamp(1, RETRY_AFTER_MAX_NS / SECOND_NS))
}
