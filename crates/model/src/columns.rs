//! What the row tables share: the holder's columns, and typed access to Arrow columns.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray,
    StringDictionaryBuilder, TimestampMicrosecondArray, TimestampMicrosecondBuilder, UInt64Array,
    UInt64Builder,
};
use arrow::datatypes::{DataType, Field, Int32Type, TimeUnit};

use crate::{Dimension, Holder};

/// The type of every dictionary-encoded text column.
pub(crate) fn dictionary_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The type of every time column: microseconds, UTC.
pub(crate) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// A builder for a dictionary-encoded text column.
pub(crate) fn dictionary_builder() -> StringDictionaryBuilder<Int32Type> {
    StringDictionaryBuilder::new()
}

/// A builder for a time column.
pub(crate) fn time_builder() -> TimestampMicrosecondBuilder {
    TimestampMicrosecondBuilder::new().with_timezone("UTC")
}

/// The holder's fields: eight nullable dimensions, then `holder_key`.
pub(crate) fn holder_fields() -> Vec<Field> {
    let dimensions = Dimension::ALL.into_iter();
    dimensions
        .map(|dimension| Field::new(dimension.column(), dictionary_type(), true))
        .chain([Field::new("holder_key", DataType::UInt64, false)])
        .collect()
}

/// How many columns [`holder_fields`] adds.
pub(crate) const HOLDER_COLUMNS: usize = Dimension::COUNT + 1;

/// Builds the holder's columns.
#[derive(Default)]
pub(crate) struct HolderBuilder {
    dimensions: [StringDictionaryBuilder<Int32Type>; Dimension::COUNT],
    key: UInt64Builder,
}

impl HolderBuilder {
    pub(crate) fn append(&mut self, holder: &Holder<'_>) {
        for (builder, value) in self.dimensions.iter_mut().zip(holder.values()) {
            builder.append_option(*value);
        }
        self.key.append_value(holder.key());
    }

    pub(crate) fn finish(&mut self) -> Vec<ArrayRef> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(HOLDER_COLUMNS);
        for builder in &mut self.dimensions {
            columns.push(Arc::new(builder.finish()));
        }
        columns.push(Arc::new(self.key.finish()));
        columns
    }
}

/// A dictionary-encoded text column.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    keys: DictionaryArray<Int32Type>,
    values: StringArray,
}

impl Words {
    pub(crate) fn of(batch: &RecordBatch, column: usize) -> Words {
        let keys: DictionaryArray<Int32Type> = typed(batch, column);
        let values = keys.values().as_any().downcast_ref::<StringArray>();
        Words { values: values.expect("dictionary columns hold text").clone(), keys }
    }

    pub(crate) fn get(&self, row: usize) -> Option<&str> {
        self.keys.key(row).map(|key| self.values.value(key))
    }
}

/// Typed access to the holder's columns.
#[derive(Clone, Debug)]
pub(crate) struct HolderView {
    dimensions: [Words; Dimension::COUNT],
    key: UInt64Array,
}

impl HolderView {
    /// The holder's columns of `batch`, the first of which is column `first`.
    pub(crate) fn of(batch: &RecordBatch, first: usize) -> HolderView {
        HolderView {
            dimensions: std::array::from_fn(|dimension| Words::of(batch, first + dimension)),
            key: typed(batch, first + Dimension::COUNT),
        }
    }

    pub(crate) fn holder(&self, row: usize) -> Holder<'_> {
        let mut holder = Holder::default();
        for (dimension, words) in Dimension::ALL.into_iter().zip(&self.dimensions) {
            if let Some(value) = words.get(row) {
                holder.set(dimension, value);
            }
        }
        holder
    }

    pub(crate) fn key(&self, row: usize) -> u64 {
        self.key.value(row)
    }
}

/// Column `column` of `batch` as its concrete type.
///
/// Panics if the type differs: schemas are checked once, when a batch is wrapped.
pub(crate) fn typed<A: Array + Clone + 'static>(batch: &RecordBatch, column: usize) -> A {
    let array = batch.column(column).as_any().downcast_ref::<A>();
    array.expect("the schema was checked when the batch was wrapped").clone()
}

/// A nullable number, as an option.
pub(crate) fn number(column: &Int64Array, row: usize) -> Option<i64> {
    column.is_valid(row).then(|| column.value(row))
}

/// A nullable time, as an option.
pub(crate) fn time(column: &TimestampMicrosecondArray, row: usize) -> Option<crate::Time> {
    column.is_valid(row).then(|| crate::Time::from_micros(column.value(row)))
}
