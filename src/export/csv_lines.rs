//! Rows as lines of a CSV file.
//!
//! Runs on:  the exporting thread.
use super::columns::Column;
use crate::base::price::Quantity;
use crate::io::file::NewFile;
use parquet::basic::{LogicalType, TimeUnit};
use parquet::schema::types::Type as SchemaType;
use std::io::{self, BufWriter, Write as _};

/// What a column of a CSV file shows.
#[derive(Clone, Copy, Debug)]
enum Cell {
    Text,
    /// Millionths.
    Decimal,
    Millis,
    Nanos,
}

impl Cell {
    fn of(field: &SchemaType) -> Self {
        match field.get_basic_info().logical_type_ref() {
            Some(LogicalType::Timestamp(time)) if time.unit == TimeUnit::MILLIS => Self::Millis,
            Some(LogicalType::Timestamp(_)) => Self::Nanos,
            Some(LogicalType::Decimal(_)) => Self::Decimal,
            _ => Self::Text,
        }
    }

    fn write(
        self,
        to: &mut impl io::Write,
        column: &Column,
        row: usize,
        place: usize,
    ) -> io::Result<bool> {
        let time = |time: Result<jiff::Timestamp, jiff::Error>| time.unwrap_or_default();
        if let Some(word) = column.word(row, place) {
            write_word(to, word)?;
            return Ok(true);
        }
        let Some(number) = column.number(row, place) else { return Ok(false) };
        match self {
            Self::Decimal => write!(to, "{}", Quantity(number.unsigned_abs()))?,
            Self::Millis => write!(to, "{}", time(jiff::Timestamp::from_millisecond(number)))?,
            Self::Nanos => write!(to, "{}", time(jiff::Timestamp::from_nanosecond(number.into())))?,
            Self::Text => write!(to, "{number}")?,
        }
        Ok(true)
    }
}

/// A field of a CSV line: in quotes where it has a comma, a quote or a line end (RFC 4180).
fn write_word(to: &mut impl io::Write, word: &[u8]) -> io::Result<()> {
    if !word.iter().any(|byte| b",\"\r\n".contains(byte)) {
        return to.write_all(word);
    }
    let doubled = String::from_utf8_lossy(word).replace('"', "\"\"");
    write!(to, "\"{doubled}\"")
}

/// A CSV file with a line of names.
pub(super) struct CsvLines {
    file: BufWriter<NewFile>,
    cells: Vec<Cell>,
}

impl CsvLines {
    pub(super) fn create(file: NewFile, schema: &SchemaType) -> io::Result<Self> {
        let names: Vec<&str> = schema.get_fields().iter().map(|field| field.name()).collect();
        let mut file = BufWriter::new(file);
        writeln!(file, "{}", names.join(","))?;
        Ok(Self { file, cells: schema.get_fields().iter().map(|field| Cell::of(field)).collect() })
    }

    pub(super) fn write(&mut self, columns: &[Column], rows: usize) -> io::Result<()> {
        // Of each column, the values that were written.
        let mut places = vec![0; columns.len()];
        let Self { file, cells } = self;
        for row in 0..rows {
            for (number, (cell, column)) in cells.iter().zip(columns).enumerate() {
                if number > 0 {
                    file.write_all(b",")?;
                }
                places[number] += usize::from(cell.write(file, column, row, places[number])?);
            }
            file.write_all(b"\n")?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> io::Result<NewFile> {
        self.file.into_inner().map_err(io::IntoInnerError::into_error)
    }
}
