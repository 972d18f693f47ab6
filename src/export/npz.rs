//! A NumPy archive (`.npz`) of one array.
//!
//! Runs on:  the exporting thread.
//!
//! Sources: `NEP 1` (the format of `.npy`, version 1.0) and the ZIP specification (PKWARE, `APPNOTE.TXT` 6.3.10),
//! of which this is the form with one entry below 4 GiB.
use flate2::write::DeflateEncoder;
use flate2::{Compression, CrcWriter};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

/// Name of the entry: `numpy.load(…)["data"]`.
const NAME: &[u8] = b"data.npy";
/// Version 2.0 of ZIP: deflate.
const VERSION: u16 = 20;
const DEFLATE: u16 = 8;
/// 1980-01-01, the earliest: two exports of the same rows are the same bytes.
const DATE: u16 = 0x21;
/// Rows begin at a multiple of it in the entry.
const ALIGNMENT: usize = 64;

/// What the headers of an entry have in common.
struct Entry {
    crc: u32,
    packed: u32,
    plain: u32,
}

impl Entry {
    /// From `version needed` to the length of the extra field.
    fn fields(&self) -> Vec<u8> {
        let mut fields = Vec::new();
        for half in [VERSION, 0, DEFLATE, 0, DATE] {
            fields.extend(half.to_le_bytes());
        }
        for word in [self.crc, self.packed, self.plain] {
            fields.extend(word.to_le_bytes());
        }
        for half in [NAME.len() as u16, 0] {
            fields.extend(half.to_le_bytes());
        }
        fields
    }

    fn local_header(&self) -> Vec<u8> {
        [&b"PK\x03\x04"[..], &self.fields(), NAME].concat()
    }

    /// The central directory and its end, for an entry at the begin of a file.
    fn directory(&self, local_header: usize) -> Vec<u8> {
        let made_by = VERSION.to_le_bytes();
        // No comment, disk 0, no attributes, offset 0.
        let mut all = [&b"PK\x01\x02"[..], &made_by, &self.fields(), &[0; 14], NAME].concat();
        let len = (all.len() as u32).to_le_bytes();
        let offset = (local_header as u32 + self.packed).to_le_bytes();
        all.extend([&b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..], &len, &offset, &[0, 0]].concat());
        all
    }
}

/// The header of an array of `rows` records.
fn npy_header(dtype: &str, rows: usize) -> Vec<u8> {
    let mut text = format!("{{'descr': {dtype}, 'fortran_order': False, 'shape': ({rows},), }}");
    // Magic, version and length are 10 bytes, the line end is one.
    let padding = (10 + text.len() + 1).next_multiple_of(ALIGNMENT) - (10 + text.len() + 1);
    text.extend(std::iter::repeat_n(' ', padding));
    text.push('\n');
    [&b"\x93NUMPY\x01\0"[..], &(text.len() as u16).to_le_bytes(), text.as_bytes()].concat()
}

/// Writes an archive with the array `data` of `rows` records, whose bytes `fill` writes. `dtype` is a list in Python's
/// syntax.
///
/// # Errors
/// Writing fails, or the array has 4 GiB or more.
pub(super) fn write(
    file: &mut (impl Write + Seek),
    dtype: &str,
    rows: usize,
    row_bytes: usize,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let header = npy_header(dtype, rows);
    let plain = rows.checked_mul(row_bytes).and_then(|bytes| bytes.checked_add(header.len()));
    let too_large = || io::Error::other("it would have 4 GiB or more; export a shorter range");
    let plain = plain.and_then(|bytes| u32::try_from(bytes).ok()).ok_or_else(too_large)?;
    let unknown = Entry { crc: 0, packed: 0, plain }.local_header();
    file.write_all(&unknown)?;
    let encoder = DeflateEncoder::new(BufWriter::new(&mut *file), Compression::default());
    let mut checked = CrcWriter::new(encoder);
    checked.write_all(&header)?;
    fill(&mut checked)?;
    let crc = checked.crc().sum();
    let mut encoder = checked.into_inner();
    encoder.try_finish()?;
    let packed = u32::try_from(encoder.total_out()).map_err(|_| too_large())?;
    encoder.finish()?.flush()?;
    let entry = Entry { crc, packed, plain };
    file.write_all(&entry.directory(unknown.len()))?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&entry.local_header())
}
