//! Writes every change of a best bid or ask as CSV: `cargo run --example tops_csv -- FILE [HTTP_URL WS_URL]`.
//!
//! Without addresses it follows Polymarket; `venue-sim --plain` prints those of a simulated venue. It ends after a
//! minute or 100,000 rows.
use ringbook::{Book, BookState, BookView, Change, Engine, Handler, Level, Polymarket, TokenId};
use std::collections::HashMap;
use std::error::Error;
use std::io::{BufWriter, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Best bid and best ask.
type Top = [Option<Level>; 2];

/// What goes to the thread that writes: small, and copied.
struct Row {
    read_wall_ns: u64,
    token: TokenId,
    top: Top,
}

struct Tops {
    last: HashMap<TokenId, Top>,
    rows: SyncSender<Row>,
}

fn top(book: &Book) -> Top {
    [book.best_bid(), book.best_ask()]
}

impl Tops {
    fn compare(&mut self, view: &BookView<'_>) {
        let top = top(view.book);
        // Only a live book is proven.
        if view.state == BookState::Live && self.last.insert(*view.token, top) != Some(top) {
            let row = Row { read_wall_ns: view.read_wall_ns, token: *view.token, top };
            // A handler never waits: when the queue is full, this row is lost.
            let _ = self.rows.try_send(row);
        }
    }
}

impl Handler for Tops {
    fn on_snapshot(&mut self, view: &BookView<'_>) {
        self.compare(view);
    }

    fn on_price_change(&mut self, view: &BookView<'_>, _change: &Change) {
        self.compare(view);
    }
}

fn write_row(out: &mut impl Write, row: &Row) -> std::io::Result<()> {
    write!(out, "{},{}", row.read_wall_ns, row.token)?;
    for level in row.top {
        match level {
            Some(Level { price, quantity }) => write!(out, ",{price},{quantity}")?,
            None => write!(out, ",,")?,
        }
    }
    writeln!(out)
}

/// Follows every market until there were so many rows, or for so long.
pub(crate) fn run(
    venue: Polymarket,
    rows_max: usize,
    timeout: Duration,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    writeln!(out, "read_wall_ns,token,bid,bid_quantity,ask,ask_quantity")?;
    let (sender, rows) = sync_channel(100_000);
    let _engine = Engine::builder()
        .venue(venue)
        .all_markets()
        .start(|_shard| Tops { last: HashMap::new(), rows: sender.clone() })?;
    let end = Instant::now() + timeout;
    for _ in 0..rows_max {
        let left = end.saturating_duration_since(Instant::now());
        let Ok(row) = rows.recv_timeout(left) else { break };
        write_row(out, &row)?;
    }
    Ok(())
}

#[allow(dead_code)] // the test calls `run`
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (file, venue) = match arguments.as_slice() {
        [file] => (file, Polymarket::default()),
        [file, http, ws] => (file, Polymarket::at(http, ws)),
        _ => return Err("usage: tops_csv FILE [HTTP_URL WS_URL]".into()),
    };
    let mut out = BufWriter::new(std::fs::File::create(file)?);
    run(venue, 100_000, Duration::from_secs(60), &mut out)?;
    Ok(out.flush()?)
}
