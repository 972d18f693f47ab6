//! `venue-sim`: a simulated Polymarket or Kalshi on a local port.
//!
//! Runs on:  the main thread waits for signals; the venue runs on threads of its own.
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser};
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
    /// Kalshi: the only accepted key id.
    #[arg(long, value_name = "ID")]
    key_id: Option<String>,
    /// Kalshi: the public key (PEM) that verifies signatures; without it, signatures must only be present.
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// Kalshi: markets of one subscription; more are refused with code 26.
    #[arg(long, default_value_t = 10_000, value_name = "COUNT")]
    subscription_markets_max: usize,
    /// Kalshi: queued commands are carried out in another order.
    #[arg(long)]
    shuffle_acks: bool,
    /// Kalshi: delay before commands are carried out.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    ack_delay: u64,
    /// Kalshi: a get_snapshot is answered by an ok before its snapshots.
    #[arg(long)]
    snapshot_ok_first: bool,
    /// Kalshi: only the first snapshot of a get_snapshot has its id.
    #[arg(long)]
    snapshot_id_on_first: bool,
    /// Kalshi: an ok lists the markets even with skip_ticker_ack.
    #[arg(long)]
    ok_always_lists: bool,
    /// Kalshi: every message has sending_ts_ms.
    #[arg(long)]
    sending_ts: bool,
    #[command(flatten)]
    kalshi: KalshiFlags,
    /// Address to listen on; port 0 selects a free one.
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
    /// Initial markets, two tokens each.
    #[arg(long, default_value_t = 200)]
    markets: usize,
    /// Average messages per second over all markets.
    #[arg(long, default_value_t = 500.0)]
    rate: f64,
    /// Trades per 10,000 actions; each makes four messages [recorded sessions: 135].
    #[arg(long, default_value_t = 135, value_name = "COUNT")]
    trades: u64,
    /// Typical levels on one side of a book.
    #[arg(long, default_value_t = 40)]
    levels: usize,
    /// 0 spreads events evenly; 1 is as bursty as recorded sessions.
    #[arg(long, default_value_t = 1.0)]
    burst: f64,
    /// Seconds until it stops; 0 runs until a signal.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    duration: u64,
    /// Start with the scenario paused, until POST /sim/resume.
    #[arg(long)]
    paused: bool,
    /// Average markets created per minute.
    #[arg(long, default_value_t = 2.0, value_name = "COUNT")]
    births_per_minute: f64,
    /// Average markets resolved early per minute.
    #[arg(long, default_value_t = 1.0, value_name = "COUNT")]
    resolutions_per_minute: f64,
    /// Percentage of markets of Protocol V2: half with position ids only, half with both kinds of ids, which differ.
    /// The others are V1. 0 for a catalog without versions.
    #[arg(long, default_value_t = 0, value_name = "PERCENT")]
    v2_share: u64,
    /// Percentage of initial markets that end within 5 to 60 minutes.
    #[arg(long, default_value_t = 2, value_name = "PERCENT")]
    ending_soon: u64,
    /// Do not answer 429 above the venue's published rates.
    #[arg(long)]
    no_rate_limits: bool,
    /// Fault: answer 429 to further upgrades within one second; 0 for no limit.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    upgrades_per_second: u32,
    /// Fault: a connection with more tokens gets no initial books, without error.
    #[arg(long, default_value_t = 750, value_name = "TOKENS")]
    dump_tokens_max: usize,
    /// Fault: percentage of books omitted from a dump, without error.
    #[arg(long, default_value_t = 0, value_name = "PERCENT")]
    lose_books: u64,
    /// Fault: end a random connection at this interval; 0 for never.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    drop_every: u64,
    /// Fault: malformed frames per minute, in addition to the valid ones.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    malformed_per_minute: u64,
    /// Fault: rate per 100,000 frames of a kind: lost, doubled, late, reordered, cut or half-open; may be repeated.
    #[arg(long = "fault", value_name = "KIND=RATE", value_parser = stream_fault)]
    faults: Vec<(String, u64)>,
    /// Fault: delay of REST responses.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    slow_rest: u64,
}

/// Kalshi behavior that its documentation leaves open, and its limits.
#[derive(Debug, clap::Args)]
struct KalshiFlags {
    /// Kalshi: markets of all subscriptions of a connection; more are refused with code 26.
    #[arg(long, default_value_t = 500_000, value_name = "COUNT")]
    kalshi_session_markets_max: usize,
    /// Kalshi: commands per second; more are refused with code 27; 0 for no limit.
    #[arg(long, default_value_t = 10_000, value_name = "COUNT")]
    kalshi_commands_per_second: u32,
    /// Kalshi: scope of the command limit: one connection, or all of a user.
    #[arg(long, default_value = "connection", value_name = "WHOSE",
          value_parser = choice([("connection", CommandScope::Connection), ("user", CommandScope::User)]))]
    kalshi_commands_scope: CommandScope,
    /// Kalshi: commands to one subscription per second; more are refused with code 27; 0 for no limit.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    kalshi_subscription_commands_per_second: u32,
    /// Kalshi: outbound buffer of a client; a subscription that finds it full ends with code 25.
    #[arg(long, default_value_t = 128 << 20, value_name = "BYTES")]
    kalshi_outbound_bytes_max: usize,
    /// Kalshi: maximum client message; a longer one is answered with close code 1009 [at most 1 MiB].
    #[arg(long, default_value_t = 1 << 20, value_name = "BYTES")]
    kalshi_message_bytes_max: usize,
    /// Kalshi: accepted clock skew of a signature.
    #[arg(long, default_value_t = 30_000, value_name = "MS")]
    kalshi_skew_max: u64,
    /// Kalshi: interval of pings.
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    kalshi_ping_every: u64,
    /// Kalshi: time without a pong after which a client is closed; 0 for never.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    kalshi_pong_timeout: u64,
    /// Kalshi: default of use_yes_price (off, on), or that it is ignored (always).
    #[arg(long, default_value = "off", value_name = "WHEN",
          value_parser = choice([("off", YesPrice::Off), ("on", YesPrice::On), ("always", YesPrice::Always)]))]
    kalshi_yes_price: YesPrice,
    /// Kalshi: order of levels under use_yes_price.
    #[arg(long, default_value = "ascending", value_name = "ORDER",
          value_parser = choice([("ascending", YesLevels::Ascending), ("descending", YesLevels::Descending)]))]
    kalshi_yes_levels: YesLevels,
    /// Kalshi: an ok without markets has an empty msg rather than none.
    #[arg(long)]
    kalshi_ok_empty_msg: bool,
}

/// A flag with one of these values.
fn choice<T: Copy + Send + Sync + 'static, const N: usize>(
    values: [(&'static str, T); N],
) -> impl TypedValueParser<Value = T> {
    let parser = PossibleValuesParser::new(values.map(|(name, _)| name));
    parser.try_map(move |text| {
        values
            .iter()
            .find(|(name, _)| *name == text)
            .map(|&(_, value)| value)
            .ok_or("it is none of them")
    })
}

/// Parses `KIND=RATE`; the venue validates the values.
fn stream_fault(text: &str) -> Result<(String, u64), String> {
    let (kind, rate) = text.split_once('=').ok_or("it must be KIND=RATE")?;
    let rate = rate.parse().map_err(|_| format!("{rate:?} is not a whole number"))?;
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
            commands_scope: more.kalshi_commands_scope,
            commands_per_second_of_subscription_max: more.kalshi_subscription_commands_per_second,
            outbound_bytes_max: more.kalshi_outbound_bytes_max,
            message_bytes_max: more.kalshi_message_bytes_max,
            ping_ms: more.kalshi_ping_every,
            pong_timeout_ms: more.kalshi_pong_timeout,
            yes_price: more.kalshi_yes_price,
            yes_levels: more.kalshi_yes_levels,
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
/// Exit code for invalid usage.
const EXIT_USAGE: u8 = 2;
/// Exit code for other failures.
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
    let venue = Venue::start(flags.config())?;
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
