//! Terminal: log lines, status line of an engine, signals.
//!
//! Runs on:  any thread may log; the status line belongs to the main thread.
use crate::base::text::one_line;
use crate::counter::report::EngineReport;
use crate::io::{output, progress::Progress};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Interval in which the main thread polls signals and events.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Log to standard error: time, level, one line per record whatever a peer sent. Other crates log warnings only, since
/// their records contain requests with signatures.
pub fn start_logging(level: log::LevelFilter) {
    let result = env_logger::Builder::new()
        .filter_level(level.min(log::LevelFilter::Warn))
        .filter_module("ringbook", level)
        .filter_module("glommio", level.min(log::LevelFilter::Error))
        .format(|out, record| {
            let (at, text) = (out.timestamp(), record.args().to_string());
            writeln!(out, "[{at} {:<5}] {}", record.level(), one_line(&text))
        })
        .target(env_logger::Target::Pipe(Box::new(output::Stderr)))
        .try_init();
    // Somebody has set a logger already: theirs it is.
    drop(result);
}

/// Status line of a running engine.
#[derive(Debug)]
pub struct EngineStatus {
    line: Progress,
    before: Option<(u64, u64)>,
}

impl EngineStatus {
    /// On standard error, if that is a terminal.
    pub fn on_terminal() -> Self {
        Self { line: Progress::of_text(), before: None }
    }

    /// Shows the state of the engine.
    pub fn show(&mut self, report: &EngineReport) {
        let messages: u64 = report.shards.iter().map(|shard| shard.intake.messages).sum();
        let now_ns = report.now_wall_ns;
        let before = self.before.replace((now_ns, messages));
        self.line.show(|| {
            let rate = before.map_or(0, |(at_ns, count)| {
                let elapsed_ms = now_ns.saturating_sub(at_ns) / 1_000_000;
                (messages.saturating_sub(count) * 1000).checked_div(elapsed_ms).unwrap_or(0)
            });
            one_line(&status(report, rate)).into_owned()
        });
    }
}

fn status(report: &EngineReport, rate: u64) -> String {
    let sum = |of: fn(&crate::counter::report::ShardReport) -> u64| -> u64 {
        report.shards.iter().map(of).sum()
    };
    let stage = |name: &str| report.latencies.iter().find(|latency| latency.stage == name);
    let micros = |ns: u64| {
        if ns < 10_000 { format!("{:.1}µs", ns as f64 / 1e3) } else { format!("{}µs", ns / 1000) }
    };
    let delay = stage("read_to_applied").filter(|latency| latency.count > 0).map_or_else(
        String::new,
        |latency| {
            format!("  read→book p50 {} p99 {}", micros(latency.p50_ns), micros(latency.p99_ns))
        },
    );
    let errors = sum(|shard| shard.intake.decode_errors);
    let trouble = match (&report.health.reasons[..], errors) {
        ([first, ..], _) => format!("  UNHEALTHY: {first}"),
        ([], 0) => String::new(),
        ([], errors) => format!("  {errors} undecodable"),
    };
    format!(
        "{:>4}s  {} of {} books live  {}/{} connections  {rate} msg/s{trouble}{delay}",
        report.now_wall_ns.saturating_sub(report.started_wall_ns) / 1_000_000_000,
        sum(|shard| shard.books.live),
        report.registry.tokens,
        report.pool.connections_active,
        report.pool.connections.len(),
    )
}

/// Signals that stop the program: SIGINT, SIGTERM, and SIGHUP unless ignored at the start (`nohup`).
pub fn stop_signals() -> Vec<i32> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = vec![SIGINT, SIGTERM];
    if !output::hangup_is_ignored() {
        signals.push(SIGHUP);
    }
    signals
}

/// Makes a write beyond `ulimit -f` an error instead of the end of the process.
pub fn survive_file_limit() {
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

/// The first signal requests a stop; a second SIGINT or SIGTERM ends the process. SIGHUP does not, because a closing
/// terminal sends it more than once and service managers send it with SIGTERM.
#[derive(Clone, Debug)]
pub struct Signals {
    asked: Arc<AtomicBool>,
}

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// The kernel refuses a handler or a thread.
    pub fn listen() -> std::io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let (seen, hard) = (Arc::clone(&asked), AtomicUsize::new(0));
        let mut signals = signal_hook::iterator::Signals::new(stop_signals())?;
        survive_file_limit();
        let watch = move || {
            for signal in signals.forever() {
                seen.store(true, Ordering::SeqCst);
                let is_hard = signal != signal_hook::consts::SIGHUP;
                if is_hard && hard.fetch_add(1, Ordering::SeqCst) > 0 {
                    output::complain("\nringbook: second signal, ending at once");
                    std::process::exit(128 + signal);
                }
            }
        };
        std::thread::Builder::new().name("signals".into()).spawn(watch)?;
        Ok(Self { asked })
    }

    /// Whether a stop was requested.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Calls `look` every `LOOK_INTERVAL` until it returns true or a stop is requested.
    pub fn poll_until(&self, mut look: impl FnMut() -> bool) {
        while !self.asked() && !look() {
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
}
