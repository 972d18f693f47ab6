//! Detects the venue of a recording, and files that are none.
//!
//! Runs on:  the starting thread.
//! Bounds:   `VALUES_LOOKED_AT` values of the first file.
use super::lines::{Condition, Lines};
use crate::capture::line::{Record, What};
use crate::io::file::{self, Damage, Source};
use crate::venue::{self, Feed};
use std::io::{self, BufRead as _, ErrorKind};
use std::sync::Arc;

/// Values read before giving up.
const VALUES_LOOKED_AT: usize = 10_000;

/// The venue of the first message that only one venue can have sent; `None` if there is none, and for standard
/// input and pipes, which can be read only once.
#[must_use]
pub fn venue_of(files: &[Source]) -> Option<Feed> {
    for source in files {
        if *source == Source::Stdin || file::look(source).ok()?.len.is_none() {
            return None;
        }
        let mut lines = Lines::new(file::open(source, &Arc::default()).ok()?.reader);
        for _ in 0..VALUES_LOOKED_AT {
            let value = match lines.next() {
                Ok(Some(value)) => value,
                // The rest may be readable.
                Err(error) if error.get_ref().is_some_and(|error| error.is::<Damage>()) => continue,
                Ok(None) | Err(_) => break,
            };
            let Ok(text) = std::str::from_utf8(value.bytes) else { continue };
            if value.condition != Condition::Whole {
                continue;
            }
            let What::Text(frame) = Record::read(text).what else { continue };
            let certain = venue::ALL.into_iter().find(|feed| feed.recognizes(&frame));
            if certain.is_some() {
                return certain;
            }
        }
    }
    None
}

/// Beginnings of files that are no recordings: what they are, and what reads them.
const FOREIGN: [(&[u8], &str); 22] = [
    (
        b"SQLite format 3\0",
        "a SQLite database: `ringbook export` and `candles` read its trades as sqlite:FILE",
    ),
    (b"PAR1", "a Parquet file, as `ringbook export` writes it: polars, pandas and DuckDB read it"),
    (b"ARROW1", "an Arrow file: polars, pandas and DuckDB read it"),
    (
        b"PGDMP",
        "a dump of PostgreSQL: restore it, then `ringbook export postgres://USER@HOST/DATABASE`",
    ),
    (b"RBPRICES", "a table of best prices of `--shm`: page `prices` of the guide has a reader"),
    (b"PK\x03\x04", "a zip archive: unpack it and name the files in it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it and name the files in it"),
    (b"\xfd7zXZ\0", "compressed by xz: unpack it with `xz -d`, or compress it by zstd or gzip"),
    (b"BZh", "compressed by bzip2: unpack it with `bzip2 -d`, or compress it by zstd or gzip"),
    (
        b"\x04\x22\x4d\x18",
        "compressed by LZ4: unpack it with `lz4 -d`, or compress it by zstd or gzip",
    ),
    (b"\x28\xb5\x2f\xfd", "compressed twice by zstd: unpack it once"),
    (b"\x1f\x8b", "compressed twice by gzip: unpack it once"),
    (b"\x89PNG", "an image (PNG)"),
    (b"\xff\xd8\xff", "an image (JPEG)"),
    (b"GIF8", "an image (GIF)"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "a program"),
    (
        b"\xd4\xc3\xb2\xa1",
        "a capture of packets (pcap), which are encrypted: record with `ringbook run --capture DIR`",
    ),
    (
        b"\x0a\x0d\x0d\x0a",
        "a capture of packets (pcapng), which are encrypted: record with `ringbook run --capture DIR`",
    ),
    (b"<", "HTML or XML, such as the error page of a download"),
    (
        b"#[Histogram",
        "a log of histograms (HdrHistogram): HistogramLogAnalyzer and hdr-plot read it",
    ),
    (
        b"exchange,symbol,",
        "a CSV file of tardis.dev: `ringbook replay` reads its raw feeds, JSON, one message a line",
    ),
];

/// What a file is that is no recording, by its first bytes.
pub(super) fn foreign(head: &[u8]) -> Option<&'static str> {
    if head.get(257..262) == Some(b"ustar") {
        return Some("a tar archive: unpack it and name the files in it");
    }
    // `< FRAME`: received, as WebSocket clients for the terminal print it.
    if head.starts_with(b"< ") {
        return None;
    }
    FOREIGN.iter().find(|(begin, _)| head.starts_with(begin)).map(|(_, what)| *what)
}

/// One line where the first bytes of a file, unpacked, show that it is no recording.
#[must_use]
pub fn foreign_file(source: &Source) -> Option<String> {
    let mut input = file::open(source, &Arc::default()).ok()?;
    let head = input.reader.fill_buf().ok()?;
    foreign(head).map(|what| format!("{source} is {what}"))
}

/// One line where a file is damaged from its first byte on.
#[must_use]
pub fn damaged_file(source: &Source) -> Option<String> {
    let mut input = file::open(source, &Arc::default()).ok()?;
    let error = input.reader.fill_buf().err()?;
    let (form, what) = (input.form.name(), damage_text(&error));
    Some(format!("{source}: the {form} stream is {what}, and no message behind that is readable"))
}

/// What is wrong with the compression of a file.
pub(super) fn damage_text(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => "truncated: its end is missing".to_owned(),
        _ => format!("damaged ({error})"),
    }
}

/// True if the first bytes (at most 4 KiB) cannot be text.
pub(super) fn looks_binary(head: &[u8]) -> bool {
    let head = &head[..head.len().min(4096)];
    let pieces = || head.split(|byte| matches!(byte, b'\n' | 0)).filter(|piece| !piece.is_empty());
    let line = pieces().next().unwrap_or_default();
    let odd = std::str::from_utf8(line).is_err_and(|error| error.error_len().is_some());
    let begins = line.trim_ascii_start().first();
    if odd && !matches!(begins, Some(b'{' | b'[')) {
        return true;
    }
    // Runs of NUL bytes mark lost data; single ones between letters are another encoding.
    let nuls = head.iter().filter(|&&byte| byte == 0).count();
    let runs = head.chunk_by(|a, b| (*a == 0) == (*b == 0)).filter(|run| run[0] == 0).count();
    let is_json = matches!(begins, Some(b'{' | b'[' | b'"' | b'0'..=b'9') | None);
    nuls > 0 && (!is_json || (runs > 4 && nuls < 4 * runs))
}

#[cfg(test)]
mod tests;
