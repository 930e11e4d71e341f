//! Session rows: units of a resource opened, closed, refused.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, Int64Array, Int64Builder, RecordBatch, StringArray, StringBuilder,
    StringDictionaryBuilder, TimestampMicrosecondArray, TimestampMicrosecondBuilder, UInt8Array,
    UInt8Builder,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::columns::{self, HolderBuilder, HolderView, Words};
use crate::{Holder, Time};

/// What happened to a session. A session is one unit held: a connection, a slot, a call.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum SessionEvent {
    /// A unit was asked for; it is not held yet, and may be refused.
    Attempted = 0,
    /// The unit is held from now on.
    #[default]
    Opened = 1,
    /// The unit is free again.
    Closed = 2,
    /// The unit was refused: `reason` says by which limit. If the session was opened before, it
    /// is closed by this.
    Refused = 3,
    /// Work on a held unit began (a call's start line).
    Started = 4,
    /// Work on a held unit ended (a call's end line).
    Finished = 5,
    /// Every session of the resource ended at once (a server restart).
    Reset = 6,
}

impl SessionEvent {
    /// All events, in the order of their codes.
    pub const ALL: [SessionEvent; 7] = [
        SessionEvent::Attempted,
        SessionEvent::Opened,
        SessionEvent::Closed,
        SessionEvent::Refused,
        SessionEvent::Started,
        SessionEvent::Finished,
        SessionEvent::Reset,
    ];

    /// The name in configuration, tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            SessionEvent::Attempted => "attempted",
            SessionEvent::Opened => "opened",
            SessionEvent::Closed => "closed",
            SessionEvent::Refused => "refused",
            SessionEvent::Started => "started",
            SessionEvent::Finished => "finished",
            SessionEvent::Reset => "reset",
        }
    }

    /// The event of a name, or `None`.
    pub fn from_name(name: &str) -> Option<SessionEvent> {
        SessionEvent::ALL.into_iter().find(|event| event.name() == name)
    }
}

/// The reasons of a refusal that detectors know. Other texts are kept as they are.
pub mod refusal {
    /// The resource's hard limit: nobody gets a unit any more.
    pub const LIMIT: &str = "limit";
    /// Only reserved units are left: ordinary users get none any more.
    pub const RESERVED: &str = "reserved";
    /// A limit on one role or account, not the resource.
    pub const ROLE_LIMIT: &str = "role_limit";
    /// A limit on one database, not the server.
    pub const DATABASE_LIMIT: &str = "database_limit";
}

/// One session row, borrowed, for [`SessionBuilder::append`].
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionRow<'a> {
    /// When it happened.
    pub time: Time,
    /// The record's offset in its partition.
    pub offset: i64,
    /// What happened.
    pub event: SessionEvent,
    /// The resource, by its name in the configuration.
    pub resource: &'a str,
    /// The session's id; `None` for a refusal without a session, and for a reset.
    pub session: Option<&'a str>,
    /// When the session began, if the record says so.
    pub started: Option<Time>,
    /// How long the session lived, in microseconds, if the record says so (closed rows).
    pub age_us: Option<i64>,
    /// How long the unit was waited for before it was held or refused, in microseconds, if the
    /// record says so.
    pub waited_us: Option<i64>,
    /// Why it was refused or closed: see [`refusal`].
    pub reason: Option<&'a str>,
    /// Who holds it.
    pub holder: Holder<'a>,
}

/// The schema of session rows.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let mut fields = vec![
            Field::new("time", columns::time_type(), false),
            Field::new("offset", DataType::Int64, false),
            Field::new("event", DataType::UInt8, false),
            Field::new("resource", columns::dictionary_type(), false),
            Field::new("session", DataType::Utf8, true),
            Field::new("started", columns::time_type(), true),
            Field::new("age_us", DataType::Int64, true),
            Field::new("waited_us", DataType::Int64, true),
            Field::new("reason", columns::dictionary_type(), true),
        ];
        fields.extend(columns::holder_fields());
        Arc::new(Schema::new(fields))
    });
    Arc::clone(&SCHEMA)
}

/// Builds session rows, column by column.
pub struct SessionBuilder {
    time: TimestampMicrosecondBuilder,
    offset: Int64Builder,
    event: UInt8Builder,
    resource: StringDictionaryBuilder<Int32Type>,
    session: StringBuilder,
    started: TimestampMicrosecondBuilder,
    age_us: Int64Builder,
    waited_us: Int64Builder,
    reason: StringDictionaryBuilder<Int32Type>,
    holder: HolderBuilder,
}

impl Default for SessionBuilder {
    fn default() -> Self {
        SessionBuilder {
            time: columns::time_builder(),
            offset: Int64Builder::new(),
            event: UInt8Builder::new(),
            resource: StringDictionaryBuilder::new(),
            session: StringBuilder::new(),
            started: columns::time_builder(),
            age_us: Int64Builder::new(),
            waited_us: Int64Builder::new(),
            reason: StringDictionaryBuilder::new(),
            holder: HolderBuilder::default(),
        }
    }
}

impl SessionBuilder {
    /// Adds one row.
    pub fn append(&mut self, row: &SessionRow<'_>) {
        self.time.append_value(row.time.as_micros());
        self.offset.append_value(row.offset);
        self.event.append_value(row.event as u8);
        self.resource.append_value(row.resource);
        self.session.append_option(row.session);
        self.started.append_option(row.started.map(Time::as_micros));
        self.age_us.append_option(row.age_us);
        self.waited_us.append_option(row.waited_us);
        self.reason.append_option(row.reason);
        self.holder.append(&row.holder);
    }

    /// The rows so far; the builder is empty afterwards and can be used again.
    pub fn finish(&mut self) -> SessionRows {
        let mut columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(self.time.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.event.finish()),
            Arc::new(self.resource.finish()),
            Arc::new(self.session.finish()),
            Arc::new(self.started.finish()),
            Arc::new(self.age_us.finish()),
            Arc::new(self.waited_us.finish()),
            Arc::new(self.reason.finish()),
        ];
        columns.extend(self.holder.finish());
        let batch = RecordBatch::try_new(schema(), columns);
        SessionRows::of(batch.expect("the builders make the schema's types"))
    }
}

/// Session rows with typed columns.
#[derive(Clone, Debug)]
pub struct SessionRows {
    batch: RecordBatch,
    time: TimestampMicrosecondArray,
    offset: Int64Array,
    event: UInt8Array,
    resource: Words,
    session: StringArray,
    started: TimestampMicrosecondArray,
    age_us: Int64Array,
    waited_us: Int64Array,
    reason: Words,
    holder: HolderView,
}

impl Default for SessionRows {
    fn default() -> Self {
        SessionBuilder::default().finish()
    }
}

impl SessionRows {
    fn of(batch: RecordBatch) -> SessionRows {
        SessionRows {
            time: columns::typed(&batch, 0),
            offset: columns::typed(&batch, 1),
            event: columns::typed(&batch, 2),
            resource: Words::of(&batch, 3),
            session: columns::typed(&batch, 4),
            started: columns::typed(&batch, 5),
            age_us: columns::typed(&batch, 6),
            waited_us: columns::typed(&batch, 7),
            reason: Words::of(&batch, 8),
            holder: HolderView::of(&batch, 9),
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
    pub fn event(&self, row: usize) -> SessionEvent {
        SessionEvent::ALL[usize::from(self.event.value(row))]
    }

    /// The resource of row `row`.
    pub fn resource(&self, row: usize) -> &str {
        self.resource.get(row).expect("resource is never null")
    }

    /// The session id of row `row`.
    pub fn session(&self, row: usize) -> Option<&str> {
        self.session.is_valid(row).then(|| self.session.value(row))
    }

    /// When the session of row `row` began, if the record said so.
    pub fn started(&self, row: usize) -> Option<Time> {
        columns::time(&self.started, row)
    }

    /// How long the session of row `row` lived, in microseconds, if the record said so.
    pub fn age_us(&self, row: usize) -> Option<i64> {
        columns::number(&self.age_us, row)
    }

    /// How long the unit of row `row` was waited for, in microseconds, if the record said so.
    pub fn waited_us(&self, row: usize) -> Option<i64> {
        columns::number(&self.waited_us, row)
    }

    /// Why the session of row `row` was refused or closed, if the record said so.
    pub fn reason(&self, row: usize) -> Option<&str> {
        self.reason.get(row)
    }

    /// The holder of row `row`.
    pub fn holder(&self, row: usize) -> Holder<'_> {
        self.holder.holder(row)
    }

    /// [`Holder::key`] of row `row`, computed when the row was built.
    pub fn holder_key(&self, row: usize) -> u64 {
        self.holder.key(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dimension;

    #[test]
    fn rows_come_back_as_they_were_put_in() {
        let holder = Holder::default().with(Dimension::ServiceName, "issuer");
        let mut builder = SessionBuilder::default();
        builder.append(&SessionRow {
            time: Time::from_seconds(10),
            offset: 3,
            event: SessionEvent::Closed,
            resource: "db",
            session: Some("a.1"),
            age_us: Some(5),
            waited_us: Some(7),
            holder,
            ..SessionRow::default()
        });
        builder.append(&SessionRow {
            event: SessionEvent::Reset,
            resource: "db",
            ..SessionRow::default()
        });
        let rows = builder.finish();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows.time(0), rows.offset(0)), (Time::from_seconds(10), 3));
        assert_eq!((rows.event(0), rows.event(1)), (SessionEvent::Closed, SessionEvent::Reset));
        assert_eq!((rows.session(0), rows.session(1)), (Some("a.1"), None));
        assert_eq!((rows.age_us(0), rows.started(0), rows.reason(0)), (Some(5), None, None));
        assert_eq!((rows.waited_us(0), rows.waited_us(1)), (Some(7), None));
        assert_eq!(rows.holder(0), holder);
        assert_eq!(rows.holder_key(0), holder.key());
        assert!(builder.finish().is_empty());
    }

    #[test]
    fn event_codes_are_their_places_in_the_list() {
        for event in SessionEvent::ALL {
            assert_eq!(SessionEvent::ALL[event as usize], event);
            assert_eq!(SessionEvent::from_name(event.name()), Some(event));
        }
    }
}
