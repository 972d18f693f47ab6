//! Tables as Arrow streams and as divided Parquet files, read by polars, pyarrow and DuckDB.

use super::{both_venues, capture, column, export, rows, run_python};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use std::fs::File;
use std::process::{Command, Stdio};

/// A program reads standard output as a stream, and both see the rows and types of the Parquet file.
#[test]
fn a_pipe_of_arrow_is_read_by_polars_and_duckdb() {
    let folder = tempfile::tempdir().unwrap();
    let (source, out) = (folder.path().join("day.ndjson"), folder.path().join("out"));
    std::fs::write(&source, capture()).unwrap();
    let flags = ["--to", "arrow", "--out", "-", "--tables", "levels"];
    let output = export(&source, &out, &flags);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.contains("standard output: 6 rows"), "{errors}");
    // The marker of a message, and the end of the stream.
    assert!(output.stdout.starts_with(&[0xff; 4]));
    assert!(output.stdout.ends_with(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]));
    let files = export(&source, &out, &["--to", "arrow"]);
    assert!(files.status.success());
    assert_eq!(std::fs::read(out.join("levels.arrows")).unwrap(), output.stdout);
    let python = super::python();
    let Some(_) = run_python("") else { return };
    let script = "
import sys, polars
p = polars.read_ipc_stream(sys.stdin.buffer)
print(len(p), p['size'].sum(), p['price'].dtype, p['receive_time'].dtype, p['venue_time'].dtype)
print(p.row(5))
try:
    import pyarrow.ipc, duckdb
except ImportError as error:
    print(f'skipped: {error}', file=sys.stderr)
else:
    levels = pyarrow.ipc.open_stream(sys.argv[1])
    assert levels.schema.metadata == {b'ringbook.schema': b'levels 3'}, levels.schema.metadata
    query = 'select count(*), sum(size), min(epoch_ns(receive_time)), any_value(token) from levels'
    print(duckdb.sql(query).fetchall()[0])
";
    let mut command = Command::new(python);
    command.args(["-c", script]).arg(out.join("levels.arrows"));
    let mut reader = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut exporter = Command::new(env!("CARGO_BIN_EXE_ringbook"))
        .arg("export")
        .arg(&source)
        .args(flags)
        .stdout(reader.stdin.take().unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(exporter.wait().unwrap().success());
    let output = reader.wait_with_output().unwrap();
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    let types = "Decimal(precision=7, scale=6) Datetime(time_unit='ns', time_zone='UTC') \
                 Datetime(time_unit='ms', time_zone='UTC')";
    assert_eq!(lines[0], format!("6 43.500001 {types}"));
    assert!(lines[1].starts_with("('polymarket', '0xa1', '7', 'change', 'bid', "), "{printed}");
    let expected = "(6, Decimal('43.500001'), 1790491135000000000, '7')";
    assert!(lines.get(2).is_none_or(|line| *line == expected), "{printed}");
}

/// Rows come in the order of their tokens, which the metadata says.
#[test]
fn parquet_is_sorted_by_token() {
    let folder = tempfile::tempdir().unwrap();
    both_venues(folder.path());
    let sources = ["zkalshi.ndjson", "polymarket.ndjson"].map(|name| folder.path().join(name));
    let out = folder.path().join("out");
    let output = export(&sources[0], &out, &[sources[1].to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = out.join("levels.parquet");
    let tokens: Vec<String> = rows(&path).iter().map(|row| column(row, "token")).collect();
    assert_eq!(tokens.len(), 10);
    assert!(tokens.is_sorted() && tokens[0] == "7" && tokens[9] == "KXA-1", "{tokens:?}");
    let file = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let group = file.metadata().row_group(0);
    assert_eq!(group.sorting_columns().unwrap()[0].column_idx, 2);
    let token = group.column(2).statistics().unwrap();
    assert_eq!(token.min_bytes_opt(), Some(&b"7"[..]));
    assert_eq!(token.max_bytes_opt(), Some(&b"KXA-1"[..]));
}

#[test]
fn divided_files_have_their_keys_in_the_path() {
    let folder = tempfile::tempdir().unwrap();
    both_venues(folder.path());
    let sources = ["zkalshi.ndjson", "polymarket.ndjson"].map(|name| folder.path().join(name));
    let out = folder.path().join("out");
    let flags = ["--partition", "day,venue", sources[1].to_str().unwrap()];
    let output = export(&sources[0], &out, &flags);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let kalshi = out.join("levels/day=2026-09-27/venue=kalshi/levels.parquet");
    let read = rows(&kalshi);
    assert_eq!(read.len(), 4);
    assert_eq!(column(&read[0], "market"), "KXA-1");
    assert!(read[0].get_column_iter().all(|(name, _)| name != "venue"));
    let venue_only = folder.path().join("venues");
    let output = export(&sources[0], &venue_only, &["--partition", "venue", "--tables", "trades"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    let expected = venue_only.join("trades/venue=kalshi/trades.parquet");
    assert_eq!(printed, format!("{}: 1 rows\n", expected.display()));
    let script = format!(
        "import polars, duckdb
p = polars.scan_parquet('{0}/levels', hive_partitioning=True)
p = p.group_by('venue', 'day').agg(polars.len(), polars.col('size').sum()).sort('venue').collect()
for row in p.rows():
    print(*row)
d = duckdb.sql(\"\"\"select venue, day, count(*), sum(size) from read_parquet('{0}/levels/*/*/*.parquet')
    group by all order by venue\"\"\").fetchall()
for row in d:
    print(*row)",
        out.display()
    );
    let Some(printed) = run_python(&script) else { return };
    let expected = "kalshi 2026-09-27 4 25.500000\npolymarket 2026-09-27 6 43.500001\n";
    assert_eq!(printed, expected.repeat(2));
}
