//! Life rows: what happens to the programs around a resource. Deploys, starts and ends of
//! instances, scaling, and changes of a limit.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, Float64Array, Float64Builder, Int64Array, Int64Builder, RecordBatch, StringArray,
    StringBuilder, StringDictionaryBuilder, TimestampMicrosecondArray, TimestampMicrosecondBuilder,
    UInt8Array, UInt8Builder,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::columns::{self, HolderBuilder, HolderView, Words};
use crate::{Holder, Time};

/// What happened to a program or a limit.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum LifeEvent {
    /// A release was rolled out: `service.name`, `service.version`.
    #[default]
    Deploy = 0,
    /// An instance started or was restarted.
    Restart = 1,
    /// The number of instances was changed: `value` is the new number, if known.
    Scale = 2,
    /// A resource's limit was changed: `value` is the new limit, at least 1.
    LimitChange = 3,
    /// An instance began to live; `predecessor` says in whose place, if that had another name.
    Start = 4,
    /// An instance ended: `cause` says why, `value` is its exit code, if known.
    End = 5,
}

/// Why an instance ended.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum EndCause {
    /// The record does not say.
    #[default]
    Unknown = 0,
    /// It was ended because memory ran out.
    OutOfMemory = 1,
    /// It failed, or was killed.
    Crash = 2,
    /// It was told to stop.
    Stopped = 3,
}

impl EndCause {
    /// All causes, in the order of their codes.
    pub const ALL: [EndCause; 4] =
        [EndCause::Unknown, EndCause::OutOfMemory, EndCause::Crash, EndCause::Stopped];

    /// The name in configuration, tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            EndCause::Unknown => "unknown",
            EndCause::OutOfMemory => "out_of_memory",
            EndCause::Crash => "crash",
            EndCause::Stopped => "stopped",
        }
    }

    /// The cause of a name, or `None`.
    pub fn from_name(name: &str) -> Option<EndCause> {
        EndCause::ALL.into_iter().find(|cause| cause.name() == name)
    }
}

impl LifeEvent {
    /// All events, in the order of their codes.
    pub const ALL: [LifeEvent; 6] = [
        LifeEvent::Deploy,
        LifeEvent::Restart,
        LifeEvent::Scale,
        LifeEvent::LimitChange,
        LifeEvent::Start,
        LifeEvent::End,
    ];

    /// The name in configuration, tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            LifeEvent::Deploy => "deploy",
            LifeEvent::Restart => "restart",
            LifeEvent::Scale => "scale",
            LifeEvent::LimitChange => "limit_change",
            LifeEvent::Start => "start",
            LifeEvent::End => "end",
        }
    }

    /// The event of a name, or `None`.
    pub fn from_name(name: &str) -> Option<LifeEvent> {
        LifeEvent::ALL.into_iter().find(|event| event.name() == name)
    }
}

/// One life row, borrowed, for [`LifeBuilder::append`].
#[derive(Clone, Copy, Debug, Default)]
pub struct LifeRow<'a> {
    /// When it happened.
    pub time: Time,
    /// The record's offset in its partition.
    pub offset: i64,
    /// What happened.
    pub event: LifeEvent,
    /// The resource it concerns; `None` if it concerns a program, whatever it uses.
    pub resource: Option<&'a str>,
    /// The new limit, the new number of instances, or the exit code; finite.
    pub value: Option<f64>,
    /// Why it ended; only of [`LifeEvent::End`].
    pub cause: Option<EndCause>,
    /// The instance in whose place it started; only of [`LifeEvent::Start`].
    pub predecessor: Option<&'a str>,
    /// Free text of the record, for a person.
    pub note: Option<&'a str>,
    /// The program, release, instance.
    pub holder: Holder<'a>,
}

/// The schema of life rows.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let mut fields = vec![
            Field::new("time", columns::time_type(), false),
            Field::new("offset", DataType::Int64, false),
            Field::new("event", DataType::UInt8, false),
            Field::new("resource", columns::dictionary_type(), true),
            Field::new("value", DataType::Float64, true),
            Field::new("note", DataType::Utf8, true),
            Field::new("cause", DataType::UInt8, true),
            Field::new("predecessor", DataType::Utf8, true),
        ];
        fields.extend(columns::holder_fields());
        Arc::new(Schema::new(fields))
    });
    Arc::clone(&SCHEMA)
}

/// Builds life rows, column by column.
pub struct LifeBuilder {
    time: TimestampMicrosecondBuilder,
    offset: Int64Builder,
    event: UInt8Builder,
    resource: StringDictionaryBuilder<Int32Type>,
    value: Float64Builder,
    note: StringBuilder,
    cause: UInt8Builder,
    predecessor: StringBuilder,
    holder: HolderBuilder,
}

impl Default for LifeBuilder {
    fn default() -> Self {
        LifeBuilder {
            time: columns::time_builder(),
            offset: Int64Builder::new(),
            event: UInt8Builder::new(),
            resource: StringDictionaryBuilder::new(),
            value: Float64Builder::new(),
            note: StringBuilder::new(),
            cause: UInt8Builder::new(),
            predecessor: StringBuilder::new(),
            holder: HolderBuilder::default(),
        }
    }
}

impl LifeBuilder {
    /// Adds one row.
    pub fn append(&mut self, row: &LifeRow<'_>) {
        self.time.append_value(row.time.as_micros());
        self.offset.append_value(row.offset);
        self.event.append_value(row.event as u8);
        self.resource.append_option(row.resource);
        self.value.append_option(row.value);
        self.note.append_option(row.note);
        self.cause.append_option(row.cause.map(|cause| cause as u8));
        self.predecessor.append_option(row.predecessor);
        self.holder.append(&row.holder);
    }

    /// The rows so far; the builder is empty afterwards and can be used again.
    pub fn finish(&mut self) -> LifeRows {
        let mut columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(self.time.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.event.finish()),
            Arc::new(self.resource.finish()),
            Arc::new(self.value.finish()),
            Arc::new(self.note.finish()),
            Arc::new(self.cause.finish()),
            Arc::new(self.predecessor.finish()),
        ];
        columns.extend(self.holder.finish());
        let batch = RecordBatch::try_new(schema(), columns);
        LifeRows::of(batch.expect("the builders make the schema's types"))
    }
}

/// Life rows with typed columns.
#[derive(Clone, Debug)]
pub struct LifeRows {
    batch: RecordBatch,
    time: TimestampMicrosecondArray,
    offset: Int64Array,
    event: UInt8Array,
    resource: Words,
    value: Float64Array,
    note: StringArray,
    cause: UInt8Array,
    predecessor: StringArray,
    holder: HolderView,
}

impl Default for LifeRows {
    fn default() -> Self {
        LifeBuilder::default().finish()
    }
}

impl LifeRows {
    fn of(batch: RecordBatch) -> LifeRows {
        LifeRows {
            time: columns::typed(&batch, 0),
            offset: columns::typed(&batch, 1),
            event: columns::typed(&batch, 2),
            resource: Words::of(&batch, 3),
            value: columns::typed(&batch, 4),
            note: columns::typed(&batch, 5),
            cause: columns::typed(&batch, 6),
            predecessor: columns::typed(&batch, 7),
            holder: HolderView::of(&batch, 8),
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

    /// When row `row` happened.
    pub fn time(&self, row: usize) -> Time {
        Time::from_micros(self.time.value(row))
    }

    /// The offset of row `row`'s record.
    pub fn offset(&self, row: usize) -> i64 {
        self.offset.value(row)
    }

    /// What happened in row `row`.
    pub fn event(&self, row: usize) -> LifeEvent {
        LifeEvent::ALL[usize::from(self.event.value(row))]
    }

    /// The resource of row `row`, if it concerns one.
    pub fn resource(&self, row: usize) -> Option<&str> {
        self.resource.get(row)
    }

    /// The new limit, number of instances or exit code of row `row`.
    pub fn value(&self, row: usize) -> Option<f64> {
        self.value.is_valid(row).then(|| self.value.value(row))
    }

    /// The free text of row `row`.
    pub fn note(&self, row: usize) -> Option<&str> {
        self.note.is_valid(row).then(|| self.note.value(row))
    }

    /// Why the instance of row `row` ended.
    pub fn cause(&self, row: usize) -> Option<EndCause> {
        self.cause.is_valid(row).then(|| EndCause::ALL[usize::from(self.cause.value(row))])
    }

    /// The instance in whose place that of row `row` started.
    pub fn predecessor(&self, row: usize) -> Option<&str> {
        self.predecessor.is_valid(row).then(|| self.predecessor.value(row))
    }

    /// The program of row `row`.
    pub fn holder(&self, row: usize) -> Holder<'_> {
        self.holder.holder(row)
    }
}
