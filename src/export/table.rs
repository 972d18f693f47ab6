//! One table of rows: buffered by column, written as Parquet, CSV or Arrow.
//!
//! Runs on:  the exporting thread. Owns: the file, with the suffix `.unfinished` until it is complete.
//! Bounds:   `EXPORT_ROWS_PER_GROUP` rows in memory.
use super::arrow_stream::ArrowStream;
use super::columns::Column;
use super::csv_lines::CsvLines;
use super::plan::{Destination, Format};
use super::row_groups::RowGroups;
use crate::base::limits::{EXPORT_ROWS_PER_BATCH, EXPORT_ROWS_PER_GROUP};
use crate::io::file::NewFile;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::Type as SchemaType;
use std::path::{Path, PathBuf};

/// Version of the tables' columns, in the metadata of each Parquet file and Arrow stream.
const SCHEMA_VERSION: &str = "3";
const SCHEMA_KEY: &str = "ringbook.schema";

/// A complete file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) path: PathBuf,
    pub(super) rows: u64,
}

/// The columns of a message type.
pub(super) fn schema(message_type: &str) -> Result<SchemaType, String> {
    parse_message_type(message_type).map_err(|error| error.to_string())
}

/// Where the rows go.
enum Output {
    Parquet(Box<RowGroups>),
    Csv(CsvLines),
    Arrow(Box<ArrowStream>),
}

/// A file being written.
pub(super) struct Table {
    output: Output,
    columns: Vec<Column>,
    waiting: usize,
    /// Rows that are written together.
    most: usize,
    rows: u64,
    path: PathBuf,
}

impl Table {
    /// A table with the name and the columns of `schema`: as a file with this name, or to standard output.
    pub(super) fn create(
        to: &Destination,
        format: Format,
        schema: SchemaType,
    ) -> Result<Self, String> {
        let (path, file) = match to {
            Destination::Folder(folder) => {
                let path = folder.join(format!("{}.{}", schema.name(), format.suffix()));
                create_folder(folder)?;
                let file = NewFile::create(&path)?;
                (path, file)
            }
            Destination::StandardOutput => ("standard output".into(), NewFile::standard_output()?),
        };
        let columns = schema.get_fields().iter().map(|field| Column::of(field)).collect();
        let version = (SCHEMA_KEY, format!("{} {SCHEMA_VERSION}", schema.name()));
        let output = match format {
            Format::Csv => CsvLines::create(file, &schema).map(Output::Csv).map_err(text),
            Format::Arrow => ArrowStream::create(file, &schema, version)
                .map(|stream| Output::Arrow(Box::new(stream)))
                .map_err(text),
            _ => RowGroups::create(file, schema, vec![version])
                .map(|groups| Output::Parquet(Box::new(groups)))
                .map_err(text),
        };
        let output = output.map_err(|error| cannot_write(&path, &error))?;
        let most = match format {
            Format::Arrow => EXPORT_ROWS_PER_BATCH,
            _ => EXPORT_ROWS_PER_GROUP,
        };
        Ok(Self { output, columns, waiting: 0, most, rows: 0, path })
    }

    /// Adds a row: `fill` pushes one value to each column.
    pub(super) fn push(&mut self, fill: impl FnOnce(&mut [Column])) -> Result<(), String> {
        fill(&mut self.columns);
        self.waiting += 1;
        if self.waiting < self.most { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), String> {
        let Self { columns, waiting, path, .. } = self;
        let result = match &mut self.output {
            Output::Parquet(groups) => groups.write(columns, *waiting).map_err(text),
            Output::Csv(lines) => lines.write(columns, *waiting).map_err(text),
            Output::Arrow(stream) => stream.write(columns, *waiting).map_err(text),
        };
        result.map_err(|error| cannot_write(path, &error))?;
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
            Output::Parquet(groups) => groups.finish().map_err(text),
            Output::Csv(lines) => lines.finish().map_err(text),
            Output::Arrow(stream) => stream.finish().map_err(text),
        };
        file.map_err(|error| cannot_write(&path, &error))?.complete()?;
        Ok(Written { path, rows })
    }
}

fn text(error: impl std::error::Error) -> String {
    error.to_string()
}

fn cannot_write(path: &Path, error: &str) -> String {
    format!("cannot write {}: {error}", path.display())
}

/// Creates the folder of files.
pub(super) fn create_folder(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder)
        .map_err(|error| format!("cannot create {}: {error}", folder.display()))
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
