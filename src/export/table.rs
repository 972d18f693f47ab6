//! One Parquet file: rows buffered by column, written as row groups.
//!
//! Runs on:  the exporting thread. Owns: the file, with the suffix `.unfinished` until it is complete.
//! Bounds:   `EXPORT_ROWS_PER_GROUP` rows in memory.
use crate::base::limits::EXPORT_ROWS_PER_GROUP;
use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
}

/// A complete file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) path: PathBuf,
    pub(super) rows: u64,
}

/// A file being written.
pub(super) struct Table {
    writer: SerializedFileWriter<File>,
    columns: Vec<Column>,
    waiting: usize,
    rows: u64,
    path: PathBuf,
    unfinished: PathBuf,
}

impl Table {
    /// Creates `folder/name.parquet` with the columns of a message type; `columns` are empty and match it.
    pub(super) fn create(
        folder: &Path,
        name: &str,
        message_type: &str,
        columns: Vec<Column>,
    ) -> Result<Self, String> {
        let path = folder.join(format!("{name}.parquet"));
        let unfinished = folder.join(format!("{name}.parquet.unfinished"));
        let shown = unfinished.display();
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        let file =
            File::create(&unfinished).map_err(|error| format!("cannot write {shown}: {error}"))?;
        let schema =
            parse_message_type(message_type).map_err(|error| format!("{name}: {error}"))?;
        let level = ZstdLevel::try_new(3).unwrap_or_default();
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_created_by(concat!("ringbook ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))
            .map_err(|error| format!("cannot write {shown}: {error}"))?;
        Ok(Self { writer, columns, waiting: 0, rows: 0, path, unfinished })
    }

    /// Adds a row: `fill` pushes one value to each column.
    pub(super) fn push(&mut self, fill: impl FnOnce(&mut [Column])) -> Result<(), String> {
        fill(&mut self.columns);
        self.waiting += 1;
        if self.waiting < EXPORT_ROWS_PER_GROUP { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), String> {
        let result = self.write_group();
        result.map_err(|error| format!("cannot write {}: {error}", self.unfinished.display()))?;
        self.rows += self.waiting as u64;
        self.waiting = 0;
        self.columns.iter_mut().for_each(Column::clear);
        Ok(())
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        if self.waiting == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for column in &self.columns {
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

    /// Writes the buffered rows and renames the file.
    pub(super) fn finish(mut self) -> Result<Written, String> {
        self.flush()?;
        let Self { writer, rows, path, unfinished, .. } = self;
        let shown = unfinished.display();
        writer.close().map_err(|error| format!("cannot write {shown}: {error}"))?;
        std::fs::rename(&unfinished, &path)
            .map_err(|error| format!("cannot rename {shown}: {error}"))?;
        Ok(Written { path, rows })
    }
}

/// Message type of `trades.parquet`.
pub(super) const TRADES: &str = "message trades {
    REQUIRED BYTE_ARRAY venue (UTF8);
    REQUIRED BYTE_ARRAY market (UTF8);
    REQUIRED BYTE_ARRAY token (UTF8);
    OPTIONAL BYTE_ARRAY outcome (UTF8);
    REQUIRED INT32 price (DECIMAL(7,6));
    REQUIRED INT64 size (DECIMAL(18,6));
    REQUIRED BYTE_ARRAY side (UTF8);
    REQUIRED INT64 venue_time (TIMESTAMP(MILLIS,true));
    REQUIRED INT64 receive_time (TIMESTAMP(NANOS,true));
    OPTIONAL BYTE_ARRAY id (UTF8);
    OPTIONAL INT64 fee_bps (DECIMAL(18,6));
}";

/// Empty columns that fit [`TRADES`].
pub(super) fn trade_columns() -> Vec<Column> {
    vec![
        Column::Text(Vec::new()),
        Column::Text(Vec::new()),
        Column::Text(Vec::new()),
        Column::MaybeText(Vec::new(), Vec::new()),
        Column::Int(Vec::new()),
        Column::Long(Vec::new()),
        Column::Text(Vec::new()),
        Column::Long(Vec::new()),
        Column::Long(Vec::new()),
        Column::MaybeText(Vec::new(), Vec::new()),
        Column::MaybeLong(Vec::new(), Vec::new()),
    ]
}
