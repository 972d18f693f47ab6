//! `venue-sim`: a Polymarket or a Kalshi of our own on a port of this machine.
//!
//! Runs on:  the main thread waits for signals; the venue runs on its own.
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use ringbook::venue_sim::{
    CommandScope, KalshiConfig, KalshiVenue, SimConfig, SimError, Stderr, Venue, YesLevels,
    YesPrice, complain, hangup_is_ignored, print_line, read_small,
};

/// A simulated Polymarket (Gamma, CLOB REST, the market channel) or Kalshi (REST, WebSocket v2), and /sim, on one port.
#[derive(Debug, Parser)]
#[command(name = "venue-sim", version, max_term_width = 100)]
struct Flags {
    /// Which venue: polymarket or kalshi.
    #[arg(long, default_value = "polymarket", value_parser = ["polymarket", "kalshi"])]
    venue: String,
    /// Kalshi: the only key that is let in.
    #[arg(long, value_name = "ID")]
    key_id: Option<String>,
    /// Kalshi: the public key (PEM) that verifies signatures; they are only required to be there otherwise.
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// Kalshi: markets of one subscription; more are refused with code 26.
    #[arg(long, default_value_t = 10_000, value_name = "COUNT")]
    subscription_markets_max: usize,
    /// Kalshi: commands that wait are carried out in another order.
    #[arg(long)]
    shuffle_acks: bool,
    /// Kalshi: commands are carried out so many milliseconds late.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    ack_delay: u64,
    /// Kalshi: a get_snapshot is answered by an ok before its snapshots.
    #[arg(long)]
    snapshot_ok_first: bool,
    /// Kalshi: only the first snapshot of a get_snapshot bears its id.
    #[arg(long)]
    snapshot_id_on_first: bool,
    /// Kalshi: an ok lists the markets even where skip_ticker_ack was asked for.
    #[arg(long)]
    ok_always_lists: bool,
    /// Kalshi: every message says when it was sent.
    #[arg(long)]
    sending_ts: bool,
    #[command(flatten)]
    kalshi: KalshiFlags,
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
    /// Of 10,000 actions, how many are trades; each makes four messages [recorded sessions: 135].
    #[arg(long, default_value_t = 135, value_name = "COUNT")]
    trades: u64,
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
    /// Of 100 markets, how many are of Protocol V2: half with position ids only, half with both kinds of ids, which
    /// differ. The others are of V1. 0 for a catalogue without versions.
    #[arg(long, default_value_t = 0, value_name = "PERCENT")]
    v2_share: u64,
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
    /// Fault: what happens to so many of 100,000 frames: lost, doubled, late, reordered, cut or half-open; may
    /// be given for each kind.
    #[arg(long = "fault", value_name = "KIND=RATE", value_parser = stream_fault)]
    faults: Vec<(String, u64)>,
    /// Fault: milliseconds by which REST answers are late.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    slow_rest: u64,
}

/// What Kalshi's own page leaves open, and its limits.
#[derive(Debug, clap::Args)]
struct KalshiFlags {
    /// Kalshi: markets of all subscriptions of a connection; more are refused with code 26.
    #[arg(long, default_value_t = 500_000, value_name = "COUNT")]
    kalshi_session_markets_max: usize,
    /// Kalshi: commands in a second; more are refused with code 27; 0 for no limit.
    #[arg(long, default_value_t = 10_000, value_name = "COUNT")]
    kalshi_commands_per_second: u32,
    /// Kalshi: whose commands are counted: those of one connection, or those of all (user).
    #[arg(long, default_value = "connection", value_parser = ["connection", "user"], value_name = "WHOSE")]
    kalshi_commands_scope: String,
    /// Kalshi: commands to one subscription in a second; more are refused with code 27; 0 for no limit.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    kalshi_subscription_commands_per_second: u32,
    /// Kalshi: bytes that wait for a client; a subscription that finds no room ends with code 25.
    #[arg(long, default_value_t = 128 << 20, value_name = "BYTES")]
    kalshi_outbound_bytes_max: usize,
    /// Kalshi: bytes of a client's message; a longer one is answered by close code 1009 [most: 1 MiB].
    #[arg(long, default_value_t = 1 << 20, value_name = "BYTES")]
    kalshi_message_bytes_max: usize,
    /// Kalshi: milliseconds by which the time of a signature may be off.
    #[arg(long, default_value_t = 30_000, value_name = "MS")]
    kalshi_skew_max: u64,
    /// Kalshi: milliseconds between two pings.
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    kalshi_ping_every: u64,
    /// Kalshi: milliseconds without a pong after which a client is closed; 0 for never.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    kalshi_pong_timeout: u64,
    /// Kalshi: what leaving out use_yes_price means (off, on), or that it no longer matters (always).
    #[arg(long, default_value = "off", value_parser = ["off", "on", "always"], value_name = "WHEN")]
    kalshi_yes_price: String,
    /// Kalshi: the order of levels under use_yes_price.
    #[arg(long, default_value = "ascending", value_parser = ["ascending", "descending"], value_name = "ORDER")]
    kalshi_yes_levels: String,
    /// Kalshi: an ok that lists no markets has an empty msg, and not none.
    #[arg(long)]
    kalshi_ok_empty_msg: bool,
}

impl KalshiFlags {
    fn commands_scope(&self) -> CommandScope {
        match self.kalshi_commands_scope.as_str() {
            "user" => CommandScope::User,
            _ => CommandScope::Connection,
        }
    }

    fn yes_price(&self) -> YesPrice {
        match self.kalshi_yes_price.as_str() {
            "always" => YesPrice::Always,
            "on" => YesPrice::On,
            _ => YesPrice::Off,
        }
    }

    fn yes_levels(&self) -> YesLevels {
        match self.kalshi_yes_levels.as_str() {
            "descending" => YesLevels::Descending,
            _ => YesLevels::Ascending,
        }
    }
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
            trades_per_10_000: self.trades,
            levels: self.levels,
            burst: self.burst,
            paused: self.paused,
            births_per_minute: self.births_per_minute,
            resolutions_per_minute: self.resolutions_per_minute,
            v2_percent: self.v2_share,
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

impl Flags {
    fn kalshi_config(&self) -> Result<KalshiConfig, Failure> {
        let read = |path: &PathBuf| {
            let bytes = read_small(path, PUBLIC_KEY_BYTES_MAX);
            bytes.map_err(|why| Failure { text: format!("--public-key {why}"), code: EXIT_USAGE })
        };
        let more = &self.kalshi;
        Ok(KalshiConfig {
            listen: self.listen,
            tls: !self.plain,
            seed: self.seed,
            markets: self.markets,
            rate: self.rate,
            trades_per_10_000: self.trades,
            levels: self.levels,
            paused: self.paused,
            births_per_minute: self.births_per_minute,
            deaths_per_minute: self.resolutions_per_minute,
            rate_limits: !self.no_rate_limits,
            key_id: self.key_id.clone(),
            public_key: self.public_key.as_ref().map(read).transpose()?,
            markets_per_subscription_max: self.subscription_markets_max,
            skew_ms_max: more.kalshi_skew_max,
            markets_per_session_max: more.kalshi_session_markets_max,
            commands_per_second_max: more.kalshi_commands_per_second,
            commands_scope: more.commands_scope(),
            commands_per_second_of_subscription_max: more.kalshi_subscription_commands_per_second,
            outbound_bytes_max: more.kalshi_outbound_bytes_max,
            message_bytes_max: more.kalshi_message_bytes_max,
            ping_ms: more.kalshi_ping_every,
            pong_timeout_ms: more.kalshi_pong_timeout,
            yes_price: more.yes_price(),
            yes_levels: more.yes_levels(),
            ok_empty_msg: more.kalshi_ok_empty_msg,
            ok_always_lists: self.ok_always_lists,
            snapshot_ok_first: self.snapshot_ok_first,
            snapshot_id_on_first: self.snapshot_id_on_first,
            sending_ts: self.sending_ts,
            shuffle_acks: self.shuffle_acks,
            ack_delay_ms: self.ack_delay,
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
    let ends = (flags.duration > 0).then(|| Instant::now() + Duration::from_secs(flags.duration));
    while !stop.load(Ordering::Relaxed) && ends.is_none_or(|ends| Instant::now() < ends) {
        if !venue.is_running() {
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

/// A public key (PEM) is a hundredth of this.
const PUBLIC_KEY_BYTES_MAX: u64 = 64 * 1024;
/// Usage was wrong.
const EXIT_USAGE: u8 = 2;
/// Everything else that went wrong.
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
        // A terminal that closes sends it more than once: never the end at once.
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
    let venue = Venue::start(flags.config())?;
    if let Some(pem) = venue.ca_pem() {
        write_ca(flags, pem)?;
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

/// One line each, to be pasted.
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
