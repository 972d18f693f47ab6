//! `venue-sim`: a simulated Polymarket or Kalshi on a local port.
//!
//! Runs on:  the main thread waits for signals; the venue runs on threads of its own.
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use ringbook::venue_sim::{
    KalshiConfig, KalshiVenue, SimConfig, SimError, Stderr, Venue, complain, hangup_is_ignored,
    print_line, read_small,
};

/// A simulated Polymarket (Gamma, CLOB REST, the market channel) or Kalshi (REST, WebSocket v2), and /sim, on one port.
#[derive(Debug, Parser)]
#[command(name = "venue-sim", version, max_term_width = 100)]
struct Flags {
    /// Which venue: polymarket or kalshi.
    #[arg(long, default_value = "polymarket", value_parser = ["polymarket", "kalshi"])]
    venue: String,
    #[command(flatten)]
    config: SimConfig,
    /// File for the certificate authority that clients must trust.
    #[arg(long, default_value = "tls-ca.pem", value_name = "FILE")]
    tls_ca_out: PathBuf,
    /// Seconds until it stops; 0 runs until a signal.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    duration: u64,
    #[command(flatten)]
    kalshi: KalshiConfig,
    /// Public key (PEM) that verifies signatures; without it, signatures must only be present.
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
}

impl Flags {
    fn kalshi_config(&self) -> Result<KalshiConfig, Failure> {
        let read = |path: &PathBuf| {
            let bytes = read_small(path, PUBLIC_KEY_BYTES_MAX);
            bytes.map_err(|why| Failure { text: format!("--public-key {why}"), code: EXIT_USAGE })
        };
        let common = &self.config;
        Ok(KalshiConfig {
            listen: common.listen,
            tls: common.tls,
            seed: common.seed,
            markets: common.markets,
            rate: common.rate,
            trades_per_10_000: common.trades_per_10_000,
            levels: common.levels,
            paused: common.paused,
            births_per_minute: common.births_per_minute,
            deaths_per_minute: common.resolutions_per_minute,
            rate_limits: common.rate_limits,
            public_key: self.public_key.as_ref().map(read).transpose()?,
            ..self.kalshi.clone()
        })
    }
}

fn run_kalshi(flags: &Flags, stop: &AtomicBool) -> Result<(), Failure> {
    let venue = KalshiVenue::start(&flags.kalshi_config()?)?;
    let mut trust = String::new();
    if let Some(pem) = venue.ca_pem() {
        write_ca(flags, pem)?;
        trust = format!(" --tls-ca {}", flags.tls_ca_out.display());
    } else {
        trust.push_str(" --kalshi-plain-text");
    }
    print_line(format_args!("rest  {}", venue.rest_url()));
    print_line(format_args!("ws    {}", venue.ws_url()));
    print_line(format_args!(
        "run   ringbook run --venue kalshi --kalshi-rest-url {} --kalshi-ws-url {} \
         --kalshi-key-id ID --kalshi-key KEY{trust}",
        venue.rest_url(),
        venue.ws_url()
    ));
    wait(flags, stop, || venue.is_running())
}

/// Waits for a signal or the end of `--duration`.
fn wait(flags: &Flags, stop: &AtomicBool, is_running: impl Fn() -> bool) -> Result<(), Failure> {
    let ends = (flags.duration > 0).then(|| Instant::now() + Duration::from_secs(flags.duration));
    while !stop.load(Ordering::Relaxed) && ends.is_none_or(|ends| Instant::now() < ends) {
        if !is_running() {
            return Err(SimError::Gone.into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn write_ca(flags: &Flags, pem: &str) -> Result<(), Failure> {
    std::fs::write(&flags.tls_ca_out, pem).map_err(|error| Failure {
        text: format!("cannot write {}: {error}", flags.tls_ca_out.display()),
        code: EXIT_FAILURE,
    })
}

/// A public key (PEM) has a hundredth of this.
const PUBLIC_KEY_BYTES_MAX: u64 = 64 * 1024;
const EXIT_USAGE: u8 = 2;
const EXIT_FAILURE: u8 = 1;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"))
        .target(env_logger::Target::Pipe(Box::new(Stderr)))
        .init();
    let flags = Flags::parse();
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { text, code }) => {
            complain(format_args!("venue-sim: {text}"));
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
    if !hangup_is_ignored() {
        // A closing terminal sends it more than once: it must not end the process at once.
        let hangup = signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&stop));
        hangup.map_err(no_signals)?;
    }
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // A second signal ends the process at once.
        let fatal = signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop));
        let gentle = fatal.and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)));
        gentle.map_err(no_signals)?;
    }
    if flags.venue == "kalshi" {
        return run_kalshi(flags, &stop);
    }
    let venue = Venue::start(flags.config.clone())?;
    if let Some(pem) = venue.ca_pem() {
        write_ca(flags, pem)?;
    }
    announce(flags, &venue);
    wait(flags, &stop, || venue.is_running())?;
    let stats = venue.stats();
    venue.stop();
    complain(format_args!(
        "venue-sim: {} events, {} trades, {} frames, {} bytes sent",
        stats.events(),
        stats.trades,
        stats.frames,
        stats.bytes_sent
    ));
    Ok(())
}

fn no_signals(error: std::io::Error) -> Failure {
    Failure { text: format!("cannot listen for signals: {error}"), code: EXIT_FAILURE }
}

/// Addresses and a command line, one per line.
fn announce(flags: &Flags, venue: &Venue) {
    print_line(format_args!("gamma {}", venue.http_url()));
    print_line(format_args!("clob  {}", venue.http_url()));
    print_line(format_args!("ws    {}", venue.ws_url()));
    let mut trust = String::new();
    if venue.ca_pem().is_some() {
        print_line(format_args!("ca    {}", flags.tls_ca_out.display()));
        trust = format!(" --tls-ca {}", flags.tls_ca_out.display());
    }
    print_line(format_args!(
        "run   ringbook run --gamma-url {0} --clob-url {0} --ws-url {1}{trust}",
        venue.http_url(),
        venue.ws_url()
    ));
}
