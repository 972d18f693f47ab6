//! Frames of one file to books, by every client: first whether the books agree, then how fast.

use clap::Parser;
use ringbook_peers::decode::compare::{differences, level_count};
use ringbook_peers::decode::figures::{self, Figures, Pass};
use ringbook_peers::decode::file::MessageFile;
use ringbook_peers::decode::{Entry, FinalBooks, PIPELINES, REFERENCE};
use ringbook_peers::host;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// The same allocator for every pipeline.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs one message file through ringbook and the clients of other projects.
#[derive(Debug, Parser)]
#[command(name = "peers-decode", max_term_width = 100)]
struct Flags {
    /// One frame a line: array frames with every book, then the stream.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,

    /// Timed rounds; in each, every pipeline builds its books anew.
    #[arg(long, default_value_t = 7, value_name = "COUNT")]
    rounds: usize,

    /// Only these pipelines, in this order; ratios are to the first.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,

    /// Leave books and trades out of the stream.
    #[arg(long)]
    changes_only: bool,

    /// Run on this core.
    #[arg(long, value_name = "CORE")]
    core: Option<usize>,

    /// Also report resident memory of each pipeline's books, each in a process of its own.
    #[arg(long)]
    memory: bool,

    /// Write the reference's final books: `{"TOKEN": [BIDS, ASKS]}`, each side price to quantity in millionths.
    #[arg(long, value_name = "FILE")]
    books_out: Option<PathBuf>,

    /// Print for programs.
    #[arg(long)]
    json: bool,

    #[arg(long, hide = true)]
    measure_memory: bool,
}

/// What became of one pipeline's books.
struct Verdict {
    entry: &'static Entry,
    refused: u64,
    differences: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Flags::parse()) {
        Ok(agreed) => ExitCode::from(u8::from(!agreed)),
        Err(why) => {
            eprintln!("peers-decode: {why}");
            ExitCode::from(2)
        }
    }
}

/// True when our own books are right.
fn run(flags: &Flags) -> Result<bool, String> {
    if let Some(core) = flags.core {
        host::pin(core).map_err(|error| format!("--core {core}: {error}"))?;
    }
    let chosen = chosen(&flags.only)?;
    let file = MessageFile::read(&flags.file, flags.changes_only)?;
    if flags.measure_memory {
        println!("{}", grown_bytes(chosen[0], &file));
        return Ok(true);
    }
    let reference = books(entry(REFERENCE)?, &file)?.0;
    if let Some(path) = &flags.books_out {
        let text = serde_json::to_string(&reference).map_err(|error| error.to_string())?;
        let written = std::fs::write(path, text);
        written.map_err(|error| format!("--books-out {}: {error}", path.display()))?;
    }
    let mut verdicts = Vec::new();
    for entry in chosen {
        let (differences, refused) = match books(entry, &file) {
            Ok((books, refused)) => (differences(&reference, &books), refused),
            Err(why) => (vec![why], 0),
        };
        verdicts.push(Verdict { entry, refused, differences });
    }
    let equal = verdicts.iter().filter(|verdict| verdict.differences.is_empty());
    let equal: Vec<&Entry> = equal.map(|verdict| verdict.entry).collect();
    let timed = if flags.rounds == 0 { Vec::new() } else { time(&equal, &file, flags.rounds) };
    let memory = if flags.memory { memory_of_all(&equal, flags)? } else { Vec::new() };
    if flags.json {
        print_json(flags, &file, &reference, &verdicts, &timed, &memory);
    } else {
        print_text(flags, &file, &reference, &verdicts, &timed, &memory);
    }
    let ours_differ =
        |verdict: &Verdict| verdict.entry.name == "ringbook" && !verdict.differences.is_empty();
    Ok(!verdicts.iter().any(ours_differ))
}

fn entry(name: &str) -> Result<&'static Entry, String> {
    let found = PIPELINES.iter().find(|entry| entry.name == name);
    found.ok_or_else(|| {
        let all = PIPELINES.iter().map(|entry| format!("  {:<17} {}\n", entry.name, entry.about));
        format!("--only {name}: no such pipeline; there are\n{}", all.collect::<String>())
    })
}

fn chosen(names: &[String]) -> Result<Vec<&'static Entry>, String> {
    if names.is_empty() {
        return Ok(PIPELINES.iter().collect());
    }
    names.iter().map(|name| entry(name)).collect()
}

fn books(entry: &Entry, file: &MessageFile) -> Result<(FinalBooks, u64), String> {
    let mut pipeline = (entry.make)();
    pipeline.feed(file.dump());
    pipeline.feed(file.stream());
    Ok((pipeline.books()?, pipeline.refused()))
}

/// A/B/C, A/B/C: a slow period of the machine slows all of them.
fn time(entries: &[&'static Entry], file: &MessageFile, rounds: usize) -> Vec<Figures> {
    let begun = |entry: &&'static Entry| Figures { name: entry.name, passes: Vec::new() };
    let mut all: Vec<Figures> = entries.iter().map(begun).collect();
    for round in 0..rounds {
        for (entry, figures) in entries.iter().zip(&mut all) {
            let mut pipeline = (entry.make)();
            let start_ns = host::thread_cpu_ns();
            pipeline.feed(file.dump());
            let dumped_ns = host::thread_cpu_ns();
            let begun = Instant::now();
            pipeline.feed(file.stream());
            let wall_ns = begun.elapsed().as_nanos() as u64;
            let cpu_ns = host::thread_cpu_ns() - dumped_ns;
            figures.passes.push(Pass { cpu_ns, wall_ns, dump_cpu_ns: dumped_ns - start_ns });
        }
        eprintln!("round {} of {rounds}", round + 1);
    }
    all
}

/// Bytes by which this process grew while it built its books; only true in a fresh process.
fn grown_bytes(entry: &Entry, file: &MessageFile) -> u64 {
    let before = host::resident_bytes();
    let mut pipeline = (entry.make)();
    pipeline.feed(file.dump());
    pipeline.feed(file.stream());
    let after = host::resident_bytes();
    drop(pipeline);
    after.saturating_sub(before)
}

fn memory_of_all(
    entries: &[&'static Entry],
    flags: &Flags,
) -> Result<Vec<(&'static str, u64)>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let one = |entry: &&'static Entry| {
        let mut child = Command::new(&program);
        child.args(["--measure-memory", "--only", entry.name, "--file"]).arg(&flags.file);
        child.args(flags.changes_only.then_some("--changes-only"));
        let output = child.output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let bytes = text.trim().parse().map_err(|_| format!("{}: no memory figure", entry.name))?;
        Ok((entry.name, bytes))
    };
    entries.iter().map(one).collect()
}

fn print_text(
    flags: &Flags,
    file: &MessageFile,
    reference: &FinalBooks,
    verdicts: &[Verdict],
    timed: &[Figures],
    memory: &[(&'static str, u64)],
) {
    let (dump, stream) = (file.dump(), file.stream());
    println!("{}; mimalloc for all", host::description());
    println!(
        "{}: dump of {} frames ({} bytes), stream of {} frames, {:.0} bytes each; {} books, {} levels at the end",
        flags.file.display(),
        dump.count(),
        dump.bytes(),
        stream.count(),
        stream.bytes() as f64 / stream.count() as f64,
        reference.len(),
        level_count(reference)
    );
    println!("\nFinal books, compared with those of {REFERENCE}:");
    for Verdict { entry, refused, differences } in verdicts {
        let refused = if *refused > 0 { format!(" ({refused} refusals)") } else { String::new() };
        if differences.is_empty() {
            println!("  {:<17} equal{refused}", entry.name);
        } else {
            println!("  {:<17} DIFFER, so no figures{refused}:", entry.name);
            differences.iter().for_each(|difference| println!("      {difference}"));
        }
    }
    if !timed.is_empty() {
        println!("\n{} rounds, interleaved; CPU time of the thread, stream only", flags.rounds);
        print!("{}", figures::table(timed, stream.count()));
    }
    for (name, bytes) in memory {
        let per_book = bytes / reference.len().max(1) as u64;
        println!("memory: {name:<17} {:>7} KiB, {per_book} bytes a book", bytes / 1024);
    }
}

fn print_json(
    flags: &Flags,
    file: &MessageFile,
    reference: &FinalBooks,
    verdicts: &[Verdict],
    timed: &[Figures],
    memory: &[(&'static str, u64)],
) {
    let verdict = |v: &Verdict| json!({"pipeline": v.entry.name, "equal": v.differences.is_empty(), "refused": v.refused, "differences": v.differences});
    let memory_rows = memory.iter().map(|(name, bytes)| json!({"pipeline": name, "bytes": bytes}));
    let report = json!({
        "host": host::description(),
        "file": flags.file,
        "changes_only": flags.changes_only,
        "stream_frames": file.stream().count(),
        "stream_bytes": file.stream().bytes(),
        "books": reference.len(),
        "levels": level_count(reference),
        "verdicts": verdicts.iter().map(verdict).collect::<Vec<Value>>(),
        "rounds": flags.rounds,
        "figures": figures::json(timed, file.stream().count()),
        "memory": memory_rows.collect::<Vec<Value>>(),
    });
    println!("{report:#}");
}
