//! One table of rows: buffered by column, written as row groups of a Parquet file or as lines of a CSV file.
//!
//! Runs on:  the exporting thread. Owns: the file, with the suffix `.unfinished` until it is complete.
//! Bounds:   `EXPORT_ROWS_PER_GROUP` rows in memory.
use super::plan::Format;
use crate::base::limits::EXPORT_ROWS_PER_GROUP;
use crate::base::price::Quantity;
use crate::io::file::NewFile;
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::Type as SchemaType;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Version of the tables' columns, in the metadata of each Parquet file.
const SCHEMA_VERSION: &str = "2";

/// Buffered values of a column.
#[derive(Debug)]
pub(super) enum Column {
    Int(Vec<i32>),
    Long(Vec<i64>),
    /// The values, and the definition level of each row (1 if it has a value).
    MaybeLong(Vec<i64>, Vec<i16>),
    MaybeInt(Vec<i32>, Vec<i16>),
    Text(Vec<ByteArray>),
    MaybeText(Vec<ByteArray>, Vec<i16>),
}

impl Column {
    /// An empty column of the type that a message type has for it.
    fn of(field: &SchemaType) -> Self {
        let optional = field.get_basic_info().repetition() == Repetition::OPTIONAL;
        match (field.get_physical_type(), optional) {
            (Type::INT32, false) => Self::Int(Vec::new()),
            (Type::INT32, true) => Self::MaybeInt(Vec::new(), Vec::new()),
            (Type::INT64, false) => Self::Long(Vec::new()),
            (Type::INT64, true) => Self::MaybeLong(Vec::new(), Vec::new()),
            (_, false) => Self::Text(Vec::new()),
            (_, true) => Self::MaybeText(Vec::new(), Vec::new()),
        }
    }

    pub(super) fn int(&mut self, value: u32) {
        if let Self::Int(values) = self {
            values.push(value.cast_signed());
        }
    }

    pub(super) fn long(&mut self, value: u64) {
        if let Self::Long(values) = self {
            values.push(value.cast_signed());
        }
    }

    pub(super) fn maybe_int(&mut self, value: Option<u32>) {
        if let Self::MaybeInt(values, levels) = self {
            values.extend(value.map(u32::cast_signed));
            levels.push(i16::from(value.is_some()));
        }
    }

    pub(super) fn maybe_long(&mut self, value: Option<u64>) {
        if let Self::MaybeLong(values, levels) = self {
            values.extend(value.map(u64::cast_signed));
            levels.push(i16::from(value.is_some()));
        }
    }

    /// A time since the Unix epoch; 0 is none.
    pub(super) fn time(&mut self, time: u64) {
        self.maybe_long((time > 0).then_some(time));
    }

    pub(super) fn text(&mut self, value: ByteArray) {
        if let Self::Text(values) = self {
            values.push(value);
        }
    }

    pub(super) fn maybe_text(&mut self, value: Option<ByteArray>) {
        if let Self::MaybeText(values, levels) = self {
            levels.push(i16::from(value.is_some()));
            values.extend(value);
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Int(values) => values.clear(),
            Self::Long(values) => values.clear(),
            Self::Text(values) => values.clear(),
            Self::MaybeInt(values, levels) => (values.clear(), levels.clear()).0,
            Self::MaybeLong(values, levels) => (values.clear(), levels.clear()).0,
            Self::MaybeText(values, levels) => (values.clear(), levels.clear()).0,
        }
    }

    /// A number of a row, and where its value lies; `None` for no value and for a column of text.
    fn number(&self, row: usize, place: usize) -> Option<i64> {
        let has = |levels: &Vec<i16>| levels[row] == 1;
        match self {
            Self::Int(values) => Some(values[row].into()),
            Self::Long(values) => Some(values[row]),
            Self::MaybeInt(values, levels) => has(levels).then(|| values[place].into()),
            Self::MaybeLong(values, levels) => has(levels).then(|| values[place]),
            Self::Text(_) | Self::MaybeText(..) => None,
        }
    }

    fn word(&self, row: usize, place: usize) -> Option<&[u8]> {
        match self {
            Self::Text(values) => Some(values[row].data()),
            Self::MaybeText(values, levels) => (levels[row] == 1).then(|| values[place].data()),
            _ => None,
        }
    }
}

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

/// A complete file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) path: PathBuf,
    pub(super) rows: u64,
}

/// Where the rows go.
enum Output {
    Parquet(Box<SerializedFileWriter<NewFile>>),
    Csv(BufWriter<NewFile>, Vec<Cell>),
}

/// A file being written.
pub(super) struct Table {
    output: Output,
    columns: Vec<Column>,
    waiting: usize,
    rows: u64,
    path: PathBuf,
}

impl Table {
    /// Creates `folder/name.parquet` or `folder/name.csv` with the columns of a message type.
    pub(super) fn create(
        folder: &Path,
        name: &str,
        format: Format,
        message_type: &str,
    ) -> Result<Self, String> {
        let path = folder.join(format!("{name}.{}", format.suffix()));
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        let file = NewFile::create(&path)?;
        let schema =
            parse_message_type(message_type).map_err(|error| format!("{name}: {error}"))?;
        let columns = schema.get_fields().iter().map(|field| Column::of(field)).collect();
        let output = match format {
            Format::Csv => csv(file, &schema).map_err(|error| error.to_string()),
            _ => parquet(file, schema, name).map_err(|error| error.to_string()),
        };
        let output = output.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(Self { output, columns, waiting: 0, rows: 0, path })
    }

    /// Adds a row: `fill` pushes one value to each column.
    pub(super) fn push(&mut self, fill: impl FnOnce(&mut [Column])) -> Result<(), String> {
        fill(&mut self.columns);
        self.waiting += 1;
        if self.waiting < EXPORT_ROWS_PER_GROUP { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), String> {
        let Self { columns, waiting, path, .. } = self;
        let result = match &mut self.output {
            Output::Parquet(writer) => {
                write_group(writer, columns, *waiting).map_err(|error| error.to_string())
            }
            Output::Csv(file, cells) => {
                write_lines(file, cells, columns, *waiting).map_err(|error| error.to_string())
            }
        };
        result.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        self.rows += *waiting as u64;
        *waiting = 0;
        columns.iter_mut().for_each(Column::clear);
        Ok(())
    }

    /// Writes the buffered rows and renames the file.
    pub(super) fn finish(mut self) -> Result<Written, String> {
        self.flush()?;
        let Self { output, rows, path, .. } = self;
        let file = match output {
            Output::Parquet(writer) => writer.into_inner().map_err(|error| error.to_string()),
            Output::Csv(file, _) => file.into_inner().map_err(|error| error.to_string()),
        };
        let file = file.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        file.complete()?;
        Ok(Written { path, rows })
    }
}

fn parquet(file: NewFile, schema: SchemaType, name: &str) -> Result<Output, ParquetError> {
    let level = ZstdLevel::try_new(3).unwrap_or_default();
    let version = KeyValue::new("ringbook.schema".to_owned(), format!("{name} {SCHEMA_VERSION}"));
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_created_by(concat!("ringbook ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(vec![version]))
        .build();
    let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))?;
    Ok(Output::Parquet(Box::new(writer)))
}

fn csv(file: NewFile, schema: &SchemaType) -> io::Result<Output> {
    let names: Vec<&str> = schema.get_fields().iter().map(|field| field.name()).collect();
    let mut file = BufWriter::new(file);
    writeln!(file, "{}", names.join(","))?;
    Ok(Output::Csv(file, schema.get_fields().iter().map(|field| Cell::of(field)).collect()))
}

fn write_lines(
    file: &mut BufWriter<NewFile>,
    cells: &[Cell],
    columns: &[Column],
    rows: usize,
) -> io::Result<()> {
    // Of each column, the values that were written.
    let mut places = vec![0; columns.len()];
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

fn write_group(
    writer: &mut SerializedFileWriter<NewFile>,
    columns: &[Column],
    rows: usize,
) -> Result<(), ParquetError> {
    if rows == 0 {
        return Ok(());
    }
    let mut group = writer.next_row_group()?;
    for column in columns {
        let Some(mut writer) = group.next_column()? else { break };
        match (writer.untyped(), column) {
            (ColumnWriter::Int32ColumnWriter(to), Column::Int(values)) => {
                to.write_batch(values, None, None)?;
            }
            (ColumnWriter::Int32ColumnWriter(to), Column::MaybeInt(values, levels)) => {
                to.write_batch(values, Some(levels), None)?;
            }
            (ColumnWriter::Int64ColumnWriter(to), Column::Long(values)) => {
                to.write_batch(values, None, None)?;
            }
            (ColumnWriter::Int64ColumnWriter(to), Column::MaybeLong(values, levels)) => {
                to.write_batch(values, Some(levels), None)?;
            }
            (ColumnWriter::ByteArrayColumnWriter(to), Column::Text(values)) => {
                to.write_batch(values, None, None)?;
            }
            (ColumnWriter::ByteArrayColumnWriter(to), Column::MaybeText(values, levels)) => {
                to.write_batch(values, Some(levels), None)?;
            }
            _ => return Err(ParquetError::General("a column of another type".into())),
        }
        writer.close()?;
    }
    group.close()?;
    Ok(())
}

/// Message type of `trades`.
pub(super) const TRADES: &str = "message trades {
    REQUIRED BYTE_ARRAY venue (UTF8);
    REQUIRED BYTE_ARRAY market (UTF8);
    REQUIRED BYTE_ARRAY token (UTF8);
    OPTIONAL BYTE_ARRAY outcome (UTF8);
    REQUIRED INT32 price (DECIMAL(7,6));
    REQUIRED INT64 size (DECIMAL(18,6));
    REQUIRED BYTE_ARRAY side (UTF8);
    OPTIONAL INT64 venue_time (TIMESTAMP(MILLIS,true));
    OPTIONAL INT64 receive_time (TIMESTAMP(NANOS,true));
    OPTIONAL BYTE_ARRAY id (UTF8);
    OPTIONAL INT64 fee_bps (DECIMAL(18,6));
}";
