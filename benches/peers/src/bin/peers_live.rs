//! One paced sender over loopback to every client in turn: how old a frame is when its book changes.

use clap::Parser;
use ringbook_peers::host;
use ringbook_peers::live::client::{Task, Work};
use ringbook_peers::live::frame::Market;
use ringbook_peers::live::recorder::{Measured, Shared};
use ringbook_peers::live::sender::{Pace, Sent};
use ringbook_peers::live::venue::Venue;
use ringbook_peers::live::{Client, NAMES};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The same allocator for every client.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Setting up: 190 connections take ringbook half a minute, because its dials are rate-limited.
const SET_UP_TIMEOUT: Duration = Duration::from_secs(90);
/// Between two looks at a client on the main thread.
const LOOK: Duration = Duration::from_millis(50);
/// After the last message was written, a client has this long to have read it.
const REST_TIMEOUT_NS: u64 = 5_000_000_000;
/// Between the last snapshot and the first run.
const SETTLE: Duration = Duration::from_millis(300);

/// Drives ringbook and the clients of other projects with one paced sender over loopback.
#[derive(Debug, Parser)]
#[command(name = "peers-live", max_term_width = 100)]
struct Flags {
    /// Clients, in this order; `ringbook-POLICY` takes any value of `ringbook run --idle`.
    #[arg(long, value_delimiter = ',', value_name = "NAMES", default_values_t = NAMES.iter().map(|name| (*name).to_owned()))]
    clients: Vec<String>,

    /// Numbers of sockets.
    #[arg(long, value_delimiter = ',', value_name = "COUNTS", default_values_t = [1, 35, 190])]
    sockets: Vec<usize>,

    /// Messages a second over all sockets together.
    #[arg(long, value_delimiter = ',', value_name = "RATES", default_values_t = [1_000.0, 10_000.0, 50_000.0])]
    rates: Vec<f64>,

    /// Seconds that are measured in each run.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,

    /// Seconds before that.
    #[arg(long, default_value_t = 0.5, value_name = "SECONDS")]
    warm_up: f64,

    /// The whole is done so often, clients interleaved.
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    rounds: usize,

    /// Markets of one socket, two tokens each.
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    markets: usize,

    /// What clients that are mere transports do with a frame; ringbook always changes its books.
    #[arg(long, value_enum, default_value = "book")]
    work: Work,

    /// Core of the sender.
    #[arg(long, default_value_t = 0, value_name = "CORE")]
    sender_core: usize,

    /// Core of the client.
    #[arg(long, default_value_t = 1, value_name = "CORE")]
    client_core: usize,

    /// Print for programs, one object a line.
    #[arg(long)]
    json: bool,
}

/// One run of one client.
struct Row {
    round: usize,
    client: String,
    sockets: usize,
    rate: f64,
    sent: Sent,
    measured: Option<Measured>,
    seen: u64,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    if !flags.json {
        println!("{}; mimalloc for all", host::description());
        println!(
            "work of transports: {:?}; {} measured seconds a run; sender on core {}, client on core {}",
            flags.work, flags.seconds, flags.sender_core, flags.client_core
        );
        print!("{}", header());
    }
    let mut failed = 0;
    for round in 1..=flags.rounds {
        for &sockets in &flags.sockets {
            for client in &flags.clients {
                if let Err(why) = run_client(&flags, round, sockets, client) {
                    eprintln!("peers-live: {client}, {sockets} sockets: {why}");
                    failed += 1;
                }
            }
        }
    }
    ExitCode::from(u8::from(failed > 0))
}

/// One client at one number of sockets, through all rates on the same connections.
fn run_client(flags: &Flags, round: usize, sockets: usize, name: &str) -> Result<(), String> {
    let shared = Arc::new(Shared::default());
    let markets: Vec<Market> = (0..sockets * flags.markets).map(Market::new).collect();
    let books = 2 * markets.len() as u64;
    let task_sockets = markets.chunks(flags.markets).map(<[Market]>::to_vec).collect();
    let venue = Venue::start(flags.sender_core, sockets, markets, Arc::clone(&shared))?;
    let task = Task {
        address: venue.address,
        sockets: task_sockets,
        work: flags.work,
        core: flags.client_core,
        other_core: flags.sender_core,
        shared: Arc::clone(&shared),
    };
    let mut client = Client::start(name, task)?;
    let ready = venue.wait_subscribed(SET_UP_TIMEOUT, || client.look());
    let mut result = ready.and_then(|()| wait_books(&shared, books, &mut client));
    for &rate in &flags.rates {
        if result.is_ok() {
            let pace = Pace { rate, seconds: flags.seconds, warm_up: flags.warm_up };
            let (sent, looked) = send(&venue, pace, &mut client);
            let measured = wait_measured(&shared, &sent, &mut client);
            let (client, seen) = (name.to_owned(), shared.seen());
            let row = Row { round, client, sockets, rate, sent, measured, seen };
            println!("{}", if flags.json { row.json().to_string() } else { row.text() });
            result = looked;
        }
    }
    let ended = client.end();
    venue.end();
    // The error of the client is more specific than its end.
    ended.and(result)
}

/// Sends one run, and looks after the client meanwhile.
fn send(venue: &Venue, pace: Pace, client: &mut Client) -> (Sent, Result<(), String>) {
    venue.send(pace);
    let mut result = Ok(());
    loop {
        if let Some(sent) = venue.sent(LOOK) {
            return (sent, result);
        }
        result = result.and_then(|()| client.look());
    }
}

/// Waits until every book has its snapshot, and then a little.
fn wait_books(shared: &Shared, books: u64, client: &mut Client) -> Result<(), String> {
    let deadline_ns = host::mono_ns() + 10_000_000_000;
    while shared.snapshots.load(Ordering::Relaxed) < books {
        client.look()?;
        if host::mono_ns() > deadline_ns {
            let count = shared.snapshots.load(Ordering::Relaxed);
            return Err(format!("{count} of {books} books had their snapshot after 10 s"));
        }
        std::thread::sleep(LOOK);
    }
    std::thread::sleep(SETTLE);
    Ok(())
}

fn wait_measured(shared: &Shared, sent: &Sent, client: &mut Client) -> Option<Measured> {
    let deadline_ns = host::mono_ns() + REST_TIMEOUT_NS;
    loop {
        let measured = shared.take();
        let over = sent.broken.is_some() || host::mono_ns() > deadline_ns;
        if measured.is_some() || over || client.look().is_err() {
            return measured;
        }
        std::thread::sleep(LOOK);
    }
}

const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

fn header() -> String {
    "Microseconds from the intended time of sending to the changed book; `w p50`: from the write. \
     CPU of the client's thread.\n\
     | round | client | sockets | msg/s | p50 | p90 | p99 | p99.9 | max | w p50 | w p99 | CPU ns/msg | CPU % | \
     others % | sender late p50 / p99 / max | |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned()
}

impl Row {
    fn marks(&self) -> String {
        let mut marks = Vec::new();
        if self.sent.fell_behind() {
            marks.push("SENDER FELL BEHIND".to_owned());
        }
        if self.sent.blocked > 0 {
            marks.push(format!("{} writes blocked", self.sent.blocked));
        }
        if let Some(broken) = &self.sent.broken {
            marks.push(format!("BROKEN: {broken}"));
        }
        if self.measured.is_none() {
            marks
                .push(format!("INCOMPLETE: {} of {} messages came", self.seen, self.sent.messages));
        }
        marks.join(", ")
    }

    fn text(&self) -> String {
        let Self { round, client, sockets, rate, sent, measured, .. } = self;
        let us = |ns: u64| format!("{:.1}", ns as f64 / 1e3);
        let late = |q| us(sent.late.value_at_quantile(q));
        let mut cells =
            vec![round.to_string(), client.clone(), sockets.to_string(), rate.to_string()];
        match measured {
            Some(run) => {
                cells.extend(QUANTILES.map(|q| us(run.from_intended.value_at_quantile(q))));
                cells.push(us(run.from_intended.max()));
                cells.extend([0.5, 0.99].map(|q| us(run.from_written.value_at_quantile(q))));
                let wall = run.wall_ns.max(1) as f64;
                cells.push((run.cpu_ns / sent.messages.max(1)).to_string());
                cells.push(format!("{:.0}", 100.0 * run.cpu_ns as f64 / wall));
                let others = sent.others_cpu_ns.saturating_sub(run.cpu_ns);
                cells.push(format!("{:.1}", 100.0 * others as f64 / wall));
            }
            None => cells.extend(std::iter::repeat_n("-".to_owned(), 10)),
        }
        cells.push(format!("{} / {} / {}", late(0.5), late(0.99), us(sent.late.max())));
        cells.push(self.marks());
        format!("| {} |", cells.join(" | "))
    }

    fn json(&self) -> Value {
        let Self { round, client, sockets, rate, sent, measured, seen } = self;
        let quantiles = |histogram: &hdrhistogram::Histogram<u64>| {
            let value = |q| histogram.value_at_quantile(q);
            json!({"p50": value(0.5), "p90": value(0.9), "p99": value(0.99), "p999": value(0.999), "max": histogram.max()})
        };
        json!({
            "round": round,
            "client": client,
            "sockets": sockets,
            "rate": rate,
            "messages": sent.messages,
            "seen": seen,
            "from_intended_ns": measured.as_ref().map(|run| quantiles(&run.from_intended)),
            "from_written_ns": measured.as_ref().map(|run| quantiles(&run.from_written)),
            "client_cpu_ns": measured.as_ref().map(|run| run.cpu_ns),
            "client_wall_ns": measured.as_ref().map(|run| run.wall_ns),
            "all_but_sender_cpu_ns": sent.others_cpu_ns,
            "sender_late_ns": quantiles(&sent.late),
            "sender_last_late_ns": sent.last_late_ns,
            "sender_fell_behind": sent.fell_behind(),
            "writes_blocked": sent.blocked,
            "broken": sent.broken,
        })
    }
}
