//! `venue-sim`: a Polymarket of our own on a port of this machine.
//!
//! Runs on:  the main thread waits for signals; the venue runs on its own.
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use ringbook::sim::{SimConfig, SimError, Venue};

/// A simulated Polymarket: Gamma, CLOB REST, the market channel and /sim on one port.
#[derive(Debug, Parser)]
#[command(name = "venue-sim", version, max_term_width = 100)]
struct Flags {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8443", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// File for the certificate authority that clients must trust.
    #[arg(long, default_value = "tls-ca.pem", value_name = "FILE")]
    tls_ca_out: PathBuf,
    /// Plain TCP instead of TLS.
    #[arg(long)]
    plain: bool,
    /// Seed of markets and events.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Markets at the start, two tokens each.
    #[arg(long, default_value_t = 200)]
    markets: usize,
    /// Messages a second over all markets, on average.
    #[arg(long, default_value_t = 500.0)]
    rate: f64,
    /// Typical levels on one side of a book.
    #[arg(long, default_value_t = 40)]
    levels: usize,
    /// 0 spreads events evenly; 1 is as bursty as recorded sessions.
    #[arg(long, default_value_t = 1.0)]
    burst: f64,
    /// Seconds until it stops by itself; 0 runs until a signal.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    duration: u64,
    /// Start with the scenario standing still, until POST /sim/resume.
    #[arg(long)]
    paused: bool,
    /// Markets born in a minute, on average.
    #[arg(long, default_value_t = 2.0, value_name = "COUNT")]
    births_per_minute: f64,
    /// Markets decided early in a minute, on average.
    #[arg(long, default_value_t = 1.0, value_name = "COUNT")]
    resolutions_per_minute: f64,
    /// Of 100 initial markets, how many end within 5 to 60 minutes.
    #[arg(long, default_value_t = 2, value_name = "PERCENT")]
    ending_soon: u64,
    /// Do not answer 429 beyond the venue's published rates.
    #[arg(long)]
    no_rate_limits: bool,
    /// Fault: answer 429 to more upgrades within one second; 0 for no limit.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    upgrades_per_second: u32,
    /// Fault: a connection with more tokens gets no books at the start, silently.
    #[arg(long, default_value_t = 750, value_name = "TOKENS")]
    dump_tokens_max: usize,
    /// Fault: of 100 books due in a dump, how many are silently left out.
    #[arg(long, default_value_t = 0, value_name = "PERCENT")]
    lose_books: u64,
    /// Fault: end a random connection every so many seconds; 0 for never.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    drop_every: u64,
    /// Fault: malformed frames a minute, in addition to the real ones.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    malformed_per_minute: u64,
    /// Fault: what happens to so many of 100,000 frames: lost, doubled, late, cut or half-open; may be given
    /// for each kind.
    #[arg(long = "fault", value_name = "KIND=RATE", value_parser = stream_fault)]
    faults: Vec<(String, u64)>,
    /// Fault: milliseconds by which REST answers are late.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    slow_rest: u64,
}

/// `KIND=RATE`; the venue says whether it knows them.
fn stream_fault(text: &str) -> Result<(String, u64), String> {
    let (kind, rate) = text.split_once('=').ok_or("it must be KIND=RATE")?;
    let rate = rate.parse().map_err(|_| format!("{rate:?} is no whole number"))?;
    Ok((kind.to_owned(), rate))
}

impl Flags {
    fn config(&self) -> SimConfig {
        SimConfig {
            listen: self.listen,
            tls: !self.plain,
            seed: self.seed,
            markets: self.markets,
            rate: self.rate,
            levels: self.levels,
            burst: self.burst,
            paused: self.paused,
            births_per_minute: self.births_per_minute,
            resolutions_per_minute: self.resolutions_per_minute,
            ending_soon_percent: self.ending_soon,
            rate_limits: !self.no_rate_limits,
            upgrades_per_second_max: self.upgrades_per_second,
            dump_tokens_max: self.dump_tokens_max,
            lost_books_percent: self.lose_books,
            drop_interval_s: self.drop_every,
            malformed_per_minute: self.malformed_per_minute,
            stream_faults: self.faults.clone(),
            slow_rest_ms: self.slow_rest,
            ..SimConfig::default()
        }
    }
}

/// Usage was wrong.
const EXIT_USAGE: u8 = 2;
/// Everything else that went wrong.
const EXIT_FAILURE: u8 = 1;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let flags = Flags::parse();
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { text, code }) => {
            eprintln!("venue-sim: {text}");
            ExitCode::from(code)
        }
    }
}

struct Failure {
    text: String,
    code: u8,
}

impl From<SimError> for Failure {
    fn from(error: SimError) -> Self {
        let code = if matches!(error, SimError::Config(_)) { EXIT_USAGE } else { EXIT_FAILURE };
        Self { text: error.to_string(), code }
    }
}

fn run(flags: &Flags) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // A second signal ends the process at once.
        let fatal = signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop));
        let gentle = fatal.and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)));
        gentle.map_err(|error| Failure {
            text: format!("cannot listen for signals: {error}"),
            code: EXIT_FAILURE,
        })?;
    }
    let venue = Venue::start(flags.config())?;
    if let Some(pem) = venue.ca_pem() {
        std::fs::write(&flags.tls_ca_out, pem).map_err(|error| Failure {
            text: format!("cannot write {}: {error}", flags.tls_ca_out.display()),
            code: EXIT_FAILURE,
        })?;
    }
    announce(flags, &venue);
    let ends = (flags.duration > 0).then(|| Instant::now() + Duration::from_secs(flags.duration));
    while !stop.load(Ordering::Relaxed) && ends.is_none_or(|ends| Instant::now() < ends) {
        if !venue.is_running() {
            return Err(SimError::Gone.into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let stats = venue.stats();
    venue.stop();
    eprintln!(
        "venue-sim: {} events, {} trades, {} frames, {} bytes sent",
        stats.events(),
        stats.trades,
        stats.frames,
        stats.bytes_sent
    );
    Ok(())
}

/// One line each, to be pasted.
fn announce(flags: &Flags, venue: &Venue) {
    println!("gamma {}", venue.http_url());
    println!("clob  {}", venue.http_url());
    println!("ws    {}", venue.ws_url());
    let mut trust = String::new();
    if venue.ca_pem().is_some() {
        println!("ca    {}", flags.tls_ca_out.display());
        trust = format!(" --tls-ca {}", flags.tls_ca_out.display());
    }
    println!(
        "run   ringbook run --gamma-url {0} --clob-url {0} --ws-url {1}{trust}",
        venue.http_url(),
        venue.ws_url()
    );
}
