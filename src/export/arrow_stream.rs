//! Rows as record batches of an Arrow IPC stream.
//!
//! Runs on:  the exporting thread.
use super::columns::Column;
use crate::io::file::NewFile;
use arrow_array::{
    ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
    TimestampNanosecondArray,
};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::basic::{LogicalType, TimeUnit as ParquetUnit, Type};
use parquet::schema::types::Type as SchemaType;
use std::collections::HashMap;
use std::io::BufWriter;
use std::sync::Arc;

/// An Arrow IPC stream with the types of a Parquet file's columns.
pub(super) struct ArrowStream {
    writer: StreamWriter<BufWriter<NewFile>>,
    schema: SchemaRef,
}

fn field(column: &SchemaType) -> Field {
    let info = column.get_basic_info();
    let utc = Some("UTC".into());
    let data_type = match info.logical_type_ref() {
        Some(LogicalType::Timestamp(time)) if time.unit == ParquetUnit::MILLIS => {
            DataType::Timestamp(TimeUnit::Millisecond, utc)
        }
        Some(LogicalType::Timestamp(_)) => DataType::Timestamp(TimeUnit::Nanosecond, utc),
        // Readers that have no smaller decimals take this one.
        Some(LogicalType::Decimal(_)) => {
            DataType::Decimal128(column.get_precision() as u8, column.get_scale() as i8)
        }
        _ if column.get_physical_type() == Type::INT64 => DataType::Int64,
        _ => DataType::Utf8,
    };
    Field::new(column.name(), data_type, column.is_optional())
}

/// The values of a column, which lie one behind the other, by row.
fn by_row<T>(
    rows: usize,
    value: impl Fn(usize, usize) -> Option<T>,
) -> impl Iterator<Item = Option<T>> {
    let mut place = 0;
    (0..rows).map(move |row| {
        let value = value(row, place);
        place += usize::from(value.is_some());
        value
    })
}

fn array(column: &Column, data_type: &DataType, rows: usize) -> Result<ArrayRef, ArrowError> {
    let numbers = by_row(rows, |row, place| column.number(row, place));
    Ok(match data_type {
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Arc::new(numbers.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
        }
        DataType::Timestamp(..) => {
            Arc::new(numbers.collect::<TimestampNanosecondArray>().with_timezone("UTC"))
        }
        DataType::Decimal128(precision, scale) => {
            let wide: Decimal128Array = numbers.map(|number| number.map(i128::from)).collect();
            Arc::new(wide.with_precision_and_scale(*precision, *scale)?)
        }
        DataType::Int64 => Arc::new(numbers.collect::<Int64Array>()),
        _ => {
            let words = by_row(rows, |row, place| column.word(row, place));
            let texts = words.map(|word| word.map(String::from_utf8_lossy));
            Arc::new(texts.collect::<StringArray>())
        }
    })
}

impl ArrowStream {
    /// A stream with this version of its columns in the metadata.
    pub(super) fn create(
        file: NewFile,
        columns: &SchemaType,
        (key, version): (&str, String),
    ) -> Result<Self, ArrowError> {
        let fields: Vec<Field> = columns.get_fields().iter().map(|column| field(column)).collect();
        let metadata = HashMap::from([(key.to_owned(), version)]);
        let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
        let writer = StreamWriter::try_new(BufWriter::new(file), &schema)?;
        Ok(Self { writer, schema })
    }

    pub(super) fn write(&mut self, columns: &[Column], rows: usize) -> Result<(), ArrowError> {
        if rows == 0 {
            return Ok(());
        }
        let arrays = columns.iter().zip(self.schema.fields());
        let arrays = arrays.map(|(column, field)| array(column, field.data_type(), rows));
        let arrays = arrays.collect::<Result<_, _>>()?;
        self.writer.write(&RecordBatch::try_new(Arc::clone(&self.schema), arrays)?)?;
        // Whoever reads a pipe sees the batch.
        self.writer.flush()
    }

    pub(super) fn finish(self) -> Result<NewFile, ArrowError> {
        let buffered = self.writer.into_inner()?;
        buffered.into_inner().map_err(|error| error.into_error().into())
    }
}
