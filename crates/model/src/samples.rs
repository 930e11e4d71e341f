//! Sample rows: a measured value at a moment.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Float64Array, Float64Builder, Int64Array, Int64Builder, RecordBatch, StringDictionaryBuilder,
    TimestampMicrosecondArray, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};

use crate::columns::{self, HolderBuilder, HolderView, Words};
use crate::{Holder, Time};

/// The metrics that detectors know. Other names are kept and stored.
pub mod metric {
    /// Units in use. Without a holder: the true count of the whole resource, which reconciles the
    /// ledger. With one: that holder's count.
    pub const USED: &str = "used";
    /// Units in use of one part of the resource, such as a server behind a balancer, which the
    /// holder names as `service.instance.id`. The true count of the whole is the sum of the newest
    /// counts of its parts.
    pub const USED_OF_PART: &str = "used_of_part";
    /// The limit of the resource, in units. Must be at least 1. Of memory with a holder: the limit
    /// of that instance, in bytes.
    pub const LIMIT: &str = "limit";
    /// Memory of one instance, in bytes, whatever it may include; not negative.
    pub const MEMORY: &str = "memory";
    /// Memory of one instance without what can be given back at any time (page cache), in bytes:
    /// anonymous or resident memory. Preferred to [`MEMORY`].
    pub const MEMORY_ANONYMOUS: &str = "memory_anonymous";
    /// The heap of one instance after a collection, in bytes. Preferred to both.
    pub const MEMORY_AFTER_COLLECTION: &str = "memory_after_collection";
    /// The limit of [`MEMORY_AFTER_COLLECTION`]; [`LIMIT`] where there is none.
    pub const LIMIT_AFTER_COLLECTION: &str = "limit_after_collection";
    /// How long one instance has lived, in seconds; not negative.
    pub const UPTIME: &str = "uptime";
    /// When one instance began to live, in seconds since 1970.
    pub const STARTED: &str = "started";
}

/// One sample row, borrowed, for [`SampleBuilder::append`].
#[derive(Clone, Copy, Debug, Default)]
pub struct SampleRow<'a> {
    /// When it was measured.
    pub time: Time,
    /// The record's offset in its partition.
    pub offset: i64,
    /// The resource, by its name in the configuration.
    pub resource: &'a str,
    /// What was measured: see [`metric`].
    pub metric: &'a str,
    /// The value; finite.
    pub value: f64,
    /// Whose value it is; empty for the resource as a whole.
    pub holder: Holder<'a>,
}

/// The schema of sample rows.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let mut fields = vec![
            Field::new("time", columns::time_type(), false),
            Field::new("offset", DataType::Int64, false),
            Field::new("resource", columns::dictionary_type(), false),
            Field::new("metric", columns::dictionary_type(), false),
            Field::new("value", DataType::Float64, false),
        ];
        fields.extend(columns::holder_fields());
        Arc::new(Schema::new(fields))
    });
    Arc::clone(&SCHEMA)
}

/// Builds sample rows, column by column.
pub struct SampleBuilder {
    time: TimestampMicrosecondBuilder,
    offset: Int64Builder,
    resource: StringDictionaryBuilder<Int32Type>,
    metric: StringDictionaryBuilder<Int32Type>,
    value: Float64Builder,
    holder: HolderBuilder,
}

impl Default for SampleBuilder {
    fn default() -> Self {
        SampleBuilder {
            time: columns::time_builder(),
            offset: Int64Builder::new(),
            resource: StringDictionaryBuilder::new(),
            metric: StringDictionaryBuilder::new(),
            value: Float64Builder::new(),
            holder: HolderBuilder::default(),
        }
    }
}

impl SampleBuilder {
    /// Adds one row. The value must be finite: parsers reject others.
    pub fn append(&mut self, row: &SampleRow<'_>) {
        debug_assert!(row.value.is_finite(), "parsers reject values that are not finite");
        self.time.append_value(row.time.as_micros());
        self.offset.append_value(row.offset);
        self.resource.append_value(row.resource);
        self.metric.append_value(row.metric);
        self.value.append_value(row.value);
        self.holder.append(&row.holder);
    }

    /// The rows so far; the builder is empty afterwards and can be used again.
    pub fn finish(&mut self) -> SampleRows {
        let mut columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(self.time.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.resource.finish()),
            Arc::new(self.metric.finish()),
            Arc::new(self.value.finish()),
        ];
        columns.extend(self.holder.finish());
        let batch = RecordBatch::try_new(schema(), columns);
        SampleRows::of(batch.expect("the builders make the schema's types"))
    }
}

/// Sample rows with typed columns.
#[derive(Clone, Debug)]
pub struct SampleRows {
    batch: RecordBatch,
    time: TimestampMicrosecondArray,
    offset: Int64Array,
    resource: Words,
    metric: Words,
    value: Float64Array,
    holder: HolderView,
}

impl Default for SampleRows {
    fn default() -> Self {
        SampleBuilder::default().finish()
    }
}

impl SampleRows {
    fn of(batch: RecordBatch) -> SampleRows {
        SampleRows {
            time: columns::typed(&batch, 0),
            offset: columns::typed(&batch, 1),
            resource: Words::of(&batch, 2),
            metric: Words::of(&batch, 3),
            value: columns::typed(&batch, 4),
            holder: HolderView::of(&batch, 5),
            batch,
        }
    }

    /// The rows as an Arrow batch of [`schema`].
    pub fn record_batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When row `row` was measured.
    pub fn time(&self, row: usize) -> Time {
        Time::from_micros(self.time.value(row))
    }

    /// The offset of row `row`'s record.
    pub fn offset(&self, row: usize) -> i64 {
        self.offset.value(row)
    }

    /// The resource of row `row`.
    pub fn resource(&self, row: usize) -> &str {
        self.resource.get(row).expect("resource is never null")
    }

    /// What row `row` measures.
    pub fn metric(&self, row: usize) -> &str {
        self.metric.get(row).expect("metric is never null")
    }

    /// The value of row `row`; finite.
    pub fn value(&self, row: usize) -> f64 {
        self.value.value(row)
    }

    /// Whose value row `row` is.
    pub fn holder(&self, row: usize) -> Holder<'_> {
        self.holder.holder(row)
    }

    /// [`Holder::key`] of row `row`, computed when the row was built.
    pub fn holder_key(&self, row: usize) -> u64 {
        self.holder.key(row)
    }
}
