//! The columns of a table in memory, and rows of them as bytes.
//!
//! Runs on:  the exporting thread (pure).
use parquet::basic::{Repetition, Type};
use parquet::data_type::ByteArray;
use parquet::schema::types::Type as SchemaType;

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
    pub(super) fn of(field: &SchemaType) -> Self {
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

    pub(super) fn clear(&mut self) {
        match self {
            Self::Int(values) => values.clear(),
            Self::Long(values) => values.clear(),
            Self::Text(values) => values.clear(),
            Self::MaybeInt(values, levels) => (values.clear(), levels.clear()).0,
            Self::MaybeLong(values, levels) => (values.clear(), levels.clear()).0,
            Self::MaybeText(values, levels) => (values.clear(), levels.clear()).0,
        }
    }

    /// A number of a row, whose value lies at `place`; `None` for no value and for a column of text.
    pub(super) fn number(&self, row: usize, place: usize) -> Option<i64> {
        let has = |levels: &Vec<i16>| levels[row] == 1;
        match self {
            Self::Int(values) => Some(values[row].into()),
            Self::Long(values) => Some(values[row]),
            Self::MaybeInt(values, levels) => has(levels).then(|| values[place].into()),
            Self::MaybeLong(values, levels) => has(levels).then(|| values[place]),
            Self::Text(_) | Self::MaybeText(..) => None,
        }
    }

    pub(super) fn word(&self, row: usize, place: usize) -> Option<&[u8]> {
        match self {
            Self::Text(values) => Some(values[row].data()),
            Self::MaybeText(values, levels) => (levels[row] == 1).then(|| values[place].data()),
            _ => None,
        }
    }

    /// Appends the only value to a row of bytes, and removes it.
    pub(super) fn encode(&mut self, row: &mut Vec<u8>) {
        match self {
            Self::Int(values) => row.extend(values.iter().flat_map(|value| value.to_le_bytes())),
            Self::Long(values) => row.extend(values.iter().flat_map(|value| value.to_le_bytes())),
            Self::Text(values) => values.iter().for_each(|value| encode_text(row, value)),
            Self::MaybeInt(values, levels) => {
                row.extend(levels.iter().map(|&level| level as u8));
                row.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
            Self::MaybeLong(values, levels) => {
                row.extend(levels.iter().map(|&level| level as u8));
                row.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
            Self::MaybeText(values, levels) => {
                row.extend(levels.iter().map(|&level| level as u8));
                values.iter().for_each(|value| encode_text(row, value));
            }
        }
        self.clear();
    }

    /// Adds the value at the begin of `row`, which is then behind it. `None` if the bytes are not of such a row.
    pub(super) fn decode(&mut self, row: &mut &[u8]) -> Option<()> {
        match self {
            Self::Int(values) => values.push(i32::from_le_bytes(take(row)?)),
            Self::Long(values) => values.push(i64::from_le_bytes(take(row)?)),
            Self::Text(values) => values.push(decode_text(row)?),
            Self::MaybeInt(values, levels) => {
                if has_value(row, levels)? {
                    values.push(i32::from_le_bytes(take(row)?));
                }
            }
            Self::MaybeLong(values, levels) => {
                if has_value(row, levels)? {
                    values.push(i64::from_le_bytes(take(row)?));
                }
            }
            Self::MaybeText(values, levels) => {
                if has_value(row, levels)? {
                    values.push(decode_text(row)?);
                }
            }
        }
        Some(())
    }
}

fn has_value(row: &mut &[u8], levels: &mut Vec<i16>) -> Option<bool> {
    let level = i16::from(*row.split_off_first()?);
    levels.push(level);
    Some(level == 1)
}

fn take<const N: usize>(row: &mut &[u8]) -> Option<[u8; N]> {
    row.split_off(..N)?.try_into().ok()
}

fn encode_text(row: &mut Vec<u8>, text: &ByteArray) {
    row.extend((text.len() as u32).to_le_bytes());
    row.extend(text.data());
}

fn decode_text(row: &mut &[u8]) -> Option<ByteArray> {
    let len = u32::from_le_bytes(take(row)?);
    Some(ByteArray::from(row.split_off(..len as usize)?.to_vec()))
}

#[cfg(test)]
mod tests;
