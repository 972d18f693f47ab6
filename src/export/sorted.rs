//! A table that is written in the order of its tokens, perhaps as a file for each day or venue.
//!
//! Runs on:  the exporting thread.
//! Bounds:   those of [`Spool`] and [`Table`].
use super::columns::Column;
use super::daily::{DAY_NS, date};
use super::plan::{Destination, Format, PartitionKey};
use super::spool::{Part, Spool};
use super::table::{Table, Written, schema};
use crate::base::time::MILLISECOND_NS;
use parquet::schema::types::Type as SchemaType;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What readers of the Hive layout take for a missing value.
const UNKNOWN: &str = "__HIVE_DEFAULT_PARTITION__";

/// The value of a partition column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Value {
    /// Since the epoch; `None` for a row without a time.
    Day(Option<u64>),
    Venue(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    /// Of each partition key.
    values: Vec<Value>,
    token: Vec<u8>,
}

/// Where columns are that have a meaning here.
struct Places {
    venue: usize,
    token: usize,
    /// Of receipt, nanoseconds; the venue's, milliseconds. Without the former the latter is the time of a row.
    times: [Option<usize>; 2],
}

impl Places {
    fn of(schema: &SchemaType) -> Self {
        let find = |name| schema.get_fields().iter().position(|field| field.name() == name);
        let [venue, token] = ["venue", "token"].map(|name| find(name).unwrap_or(0));
        Self { venue, token, times: ["receive_time", "venue_time"].map(find) }
    }

    /// The day of a row, since the epoch.
    fn day(&self, row: &[Column]) -> Option<u64> {
        let [receive_ns, venue_ms] = self.times.map(|place| row[place?].number(0, 0));
        let venue_ns = || venue_ms.map(|ms| ms.cast_unsigned().saturating_mul(MILLISECOND_NS));
        receive_ns.map(i64::cast_unsigned).or_else(venue_ns).map(|ns| ns / DAY_NS)
    }
}

/// The rows of a table until all are known.
pub(super) struct SortedTable {
    folder: PathBuf,
    format: Format,
    schema: SchemaType,
    partition: Vec<PartitionKey>,
    places: Places,
    /// One row.
    row: Vec<Column>,
    spool: Spool<Key>,
}

impl SortedTable {
    /// A table with the name and the columns of `schema`, in `folder`.
    pub(super) fn create(
        folder: &Path,
        format: Format,
        partition: &[PartitionKey],
        message_type: &str,
    ) -> Result<Self, String> {
        let schema = schema(message_type)?;
        Ok(Self {
            folder: folder.to_owned(),
            format,
            partition: partition.to_owned(),
            places: Places::of(&schema),
            row: schema.get_fields().iter().map(|field| Column::of(field)).collect(),
            schema,
            spool: Spool::create(folder)?,
        })
    }

    /// Adds a row: `fill` pushes one value to each column.
    pub(super) fn push(&mut self, fill: impl FnOnce(&mut [Column])) -> Result<(), String> {
        fill(&mut self.row);
        let text = |place: usize| self.row[place].word(0, 0).unwrap_or_default().to_vec();
        let value = |key: &PartitionKey| match key {
            PartitionKey::Day => Value::Day(self.places.day(&self.row)),
            PartitionKey::Venue => Value::Venue(text(self.places.venue)),
        };
        let values = self.partition.iter().map(value).collect();
        let key = Key { values, token: text(self.places.token) };
        let row = &mut self.row;
        self.spool.add(key, |bytes| row.iter_mut().for_each(|column| column.encode(bytes)))
    }

    /// The file of these values. A column that is in its path is not in the file.
    fn table(&self, values: &[Value]) -> Result<Table, String> {
        let mut folder = self.folder.clone();
        if !values.is_empty() {
            folder.push(self.schema.name());
        }
        for value in values {
            folder.push(match value {
                Value::Day(day) => format!("day={}", day.map_or_else(|| UNKNOWN.into(), date)),
                Value::Venue(name) => format!("venue={}", String::from_utf8_lossy(name)),
            });
        }
        let mut fields = self.schema.get_fields().to_vec();
        if let Some(place) = self.left_out() {
            fields.remove(place);
        }
        let schema = SchemaType::group_type_builder(self.schema.name()).with_fields(fields).build();
        let schema = schema.map_err(|error| error.to_string())?;
        Table::create(&Destination::Folder(folder), self.format, schema)
    }

    fn left_out(&self) -> Option<usize> {
        self.partition.contains(&PartitionKey::Venue).then_some(self.places.venue)
    }

    /// Appends the rows of a token.
    fn append(&self, part: &Part, table: &mut Table) -> Result<(), String> {
        let mut left_out =
            self.left_out().map(|place| (place, Column::of(&self.schema.get_fields()[place])));
        self.spool.each(part, |mut rows| {
            while !rows.is_empty() {
                let mut decoded = Some(());
                table.push(|columns| {
                    let mut columns = columns.iter_mut();
                    for place in 0..self.row.len() {
                        let column = match &mut left_out {
                            Some((other, column)) if *other == place => {
                                column.clear();
                                Some(column)
                            }
                            _ => columns.next(),
                        };
                        decoded = decoded.and_then(|()| column?.decode(&mut rows));
                    }
                })?;
                decoded.ok_or("the temporary file has other rows than were written to it")?;
            }
            Ok(())
        })
    }

    /// Writes the rows of all tokens.
    pub(super) fn finish(mut self) -> Result<Vec<Written>, String> {
        let mut written = Vec::new();
        let mut open: Option<(Arc<[Value]>, Table)> = None;
        for (key, part) in self.spool.take_parts() {
            if open.as_ref().is_none_or(|(values, _)| **values != *key.values) {
                let next = (key.values.as_slice().into(), self.table(&key.values)?);
                written.extend(open.replace(next).map(|(_, table)| table.finish()).transpose()?);
            }
            if let Some((_, table)) = &mut open {
                self.append(&part, table)?;
            }
        }
        if open.is_none() && self.partition.is_empty() {
            open = Some(([].into(), self.table(&[])?));
        }
        written.extend(open.map(|(_, table)| table.finish()).transpose()?);
        Ok(written)
    }
}

/// The files of a table.
pub(super) enum TableFiles {
    /// Rows as they come.
    Direct(Box<Table>),
    /// Rows by token.
    Sorted(Box<SortedTable>),
}

impl TableFiles {
    /// Parquet is sorted, so that the rows of a token are in few row groups; CSV and Arrow are not, so that they can be
    /// read while they are written.
    pub(super) fn create(
        to: &Destination,
        format: Format,
        partition: &[PartitionKey],
        message_type: &str,
    ) -> Result<Self, String> {
        match (to, format) {
            (Destination::Folder(folder), Format::Parquet) => {
                let table = SortedTable::create(folder, format, partition, message_type)?;
                Ok(Self::Sorted(Box::new(table)))
            }
            _ => {
                let table = Table::create(to, format, schema(message_type)?)?;
                Ok(Self::Direct(Box::new(table)))
            }
        }
    }

    /// Adds a row: `fill` pushes one value to each column.
    pub(super) fn push(&mut self, fill: impl FnOnce(&mut [Column])) -> Result<(), String> {
        match self {
            Self::Direct(table) => table.push(fill),
            Self::Sorted(table) => table.push(fill),
        }
    }

    pub(super) fn finish(self) -> Result<Vec<Written>, String> {
        match self {
            Self::Direct(table) => table.finish().map(|written| vec![written]),
            Self::Sorted(table) => table.finish(),
        }
    }
}
