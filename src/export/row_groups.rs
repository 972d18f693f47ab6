//! Rows as row groups of a Parquet file.
//!
//! Runs on:  the exporting thread.
use super::columns::Column;
use crate::io::file::NewFile;
use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::FixedLenByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type as SchemaType;
use std::sync::Arc;

/// A Parquet file.
pub(super) struct RowGroups {
    writer: SerializedFileWriter<NewFile>,
}

impl RowGroups {
    /// A file with these keys in its metadata. Rows come in the order of the column `token`.
    pub(super) fn create(
        file: NewFile,
        schema: SchemaType,
        metadata: Vec<(&str, String)>,
    ) -> Result<Self, ParquetError> {
        let level = ZstdLevel::try_new(3).unwrap_or_default();
        let token = schema.get_fields().iter().position(|field| field.name() == "token");
        let by_token = token.map(|place| SortingColumn {
            column_idx: place as i32,
            descending: false,
            nulls_first: false,
        });
        let metadata =
            metadata.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_created_by(concat!("ringbook ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(metadata.collect()))
            .set_sorting_columns(by_token.map(|column| vec![column]))
            // Tokens have more digits than are kept otherwise.
            .set_statistics_truncate_length(None)
            .set_column_index_truncate_length(None)
            .build();
        let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))?;
        Ok(Self { writer })
    }

    pub(super) fn write(&mut self, columns: &[Column], rows: usize) -> Result<(), ParquetError> {
        if rows == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
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
                (ColumnWriter::FixedLenByteArrayColumnWriter(to), Column::Text(values)) => {
                    let values = values.iter().cloned().map(FixedLenByteArray::from);
                    to.write_batch(&values.collect::<Vec<_>>(), None, None)?;
                }
                _ => return Err(ParquetError::General("a column of another type".into())),
            }
            writer.close()?;
        }
        group.close()?;
        Ok(())
    }

    pub(super) fn finish(self) -> Result<NewFile, ParquetError> {
        self.writer.into_inner()
    }
}
