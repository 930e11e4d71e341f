//! What the store has as Arrow batches of our tables.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListBuilder, RecordBatch,
    StringArray, StringBuilder, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;
use plimsoll_model::{Change, DeliveryState, Finding, Owner, PageAction, Payload, Reject, Time};
use plimsoll_store::{Decided, Ordered};

use crate::schema::Table;
use crate::tables;

/// The last moment that a time column holds: 2299-12-31 23:59:59.999999, as in ClickHouse. A later
/// one (an interval that ends at the end of time) is this one.
const LATEST_US: i64 = 10_413_791_999_999_999;

/// Rows of `incidents`: `decided` are last transitions.
pub(crate) fn incidents(decided: &[Decided]) -> RecordBatch {
    let resolved = |row: &Decided| row.transition.change == Change::Resolved;
    let mut arrays = transitions(decided);
    arrays.push(Arc::new(BooleanArray::from_iter(decided.iter().map(|row| Some(!resolved(row))))));
    arrays.push(maybe_times(decided, |row| resolved(row).then(|| row.transition.as_of.start())));
    batch(&tables::INCIDENTS, arrays)
}

/// Rows of `incident_events`.
pub(crate) fn incident_events(decided: &[Decided]) -> RecordBatch {
    batch(&tables::INCIDENT_EVENTS, transitions(decided))
}

fn transitions(rows: &[Decided]) -> Vec<ArrayRef> {
    let released = |row: &Decided| row.transition.finding.release.clone();
    vec![
        texts(rows, |row| row.transition.pipeline.clone()),
        texts(rows, |row| row.transition.incident.to_string()),
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.transition.sequence))),
        texts(rows, |row| row.transition.change.name().to_owned()),
        texts(rows, |row| row.transition.reason.name().to_owned()),
        times(rows, |row| row.transition.as_of.start()),
        times(rows, |row| row.decided_at),
        times(rows, |row| row.transition.opened_at.start()),
        texts(rows, |row| row.transition.finding.kind.name().to_owned()),
        texts(rows, |row| row.transition.finding.severity.name().to_owned()),
        texts(rows, |row| row.transition.severity_peak.name().to_owned()),
        texts(rows, |row| row.transition.finding.resource.clone()),
        texts(rows, |row| row.transition.finding.unit.clone()),
        texts(rows, |row| row.transition.finding.owner.to_string()),
        texts(rows, |row| owner(&row.transition.finding.owner).0.to_owned()),
        texts(rows, |row| owner(&row.transition.finding.owner).1.to_owned()),
        times(rows, |row| row.transition.finding.since.start()),
        counts(rows, |row| Some(row.transition.finding.level)),
        counts(rows, |row| row.transition.finding.usable),
        counts(rows, |row| row.transition.finding.owner_level),
        counts(rows, |row| row.transition.finding.owner_level_before),
        Arc::new(Float64Array::from_iter(
            rows.iter().map(|row| row.transition.finding.growth_per_minute),
        )),
        maybe_times(rows, |row| row.transition.finding.exhaustion.map(|interval| interval.from)),
        maybe_times(rows, |row| row.transition.finding.exhaustion.and_then(|interval| interval.to)),
        texts(rows, |row| released(row).map(|release| release.service).unwrap_or_default()),
        texts(rows, |row| released(row).and_then(|release| release.version).unwrap_or_default()),
        maybe_times(rows, |row| released(row).map(|release| release.deployed_at)),
        counts(rows, |row| Some(row.transition.finding.refused)),
        lists(rows, |row| &row.transition.finding.doubts),
        texts(rows, |row| row.transition.headline.clone()),
        texts(rows, |row| row.transition.advice.clone()),
        texts(rows, |row| detail(&row.transition.finding)),
        texts(rows, |row| row.transition.proof.clone()),
    ]
}

fn owner(owner: &Owner) -> (&str, &str) {
    match owner {
        Owner::Holder { dimension, value } => (dimension.name(), value),
        Owner::Nobody | Owner::Unknown => ("", ""),
    }
}

fn detail(finding: &Finding) -> String {
    finding.detail.as_ref().map_or_else(String::new, |detail| {
        serde_json::to_string(detail).expect("texts and numbers can be written as JSON")
    })
}

/// Rows of `deliveries`.
pub(crate) fn deliveries(pipeline: &str, rows: &[&Ordered]) -> RecordBatch {
    let told = |row: &Ordered| match &row.delivery.payload {
        Payload::Page { transition, .. } => Some((transition.incident, transition.sequence)),
        Payload::Rows { .. } => None,
    };
    let arrays: Vec<ArrayRef> = vec![
        texts(rows, |_| pipeline.to_owned()),
        counts(rows, |row| Some(row.delivery.sequence)),
        texts(rows, |row| row.delivery.sink.clone()),
        texts(rows, |row| row.delivery.key.clone()),
        texts(rows, |row| action(&row.delivery.payload).to_owned()),
        texts(rows, |row| told(row).map(|told| told.0.to_string()).unwrap_or_default()),
        Arc::new(UInt32Array::from_iter(rows.iter().map(|row| told(row).map(|told| told.1)))),
        times(rows, |row| row.tick.start()),
        texts(rows, |row| row.state.name().to_owned()),
        Arc::new(UInt32Array::from_iter(rows.iter().map(|row| attempts(&row.state)))),
        maybe_times(rows, |row| answered(&row.state)),
        texts(rows, |row| answer(&row.state).to_owned()),
    ];
    batch(&tables::DELIVERIES, arrays)
}

fn action(payload: &Payload) -> &'static str {
    match payload {
        Payload::Page { action: PageAction::Trigger, .. } => "trigger",
        Payload::Page { action: PageAction::Update, .. } => "update",
        Payload::Page { action: PageAction::Resolve, .. } => "resolve",
        Payload::Rows { .. } => "rows",
    }
}

fn attempts(state: &DeliveryState) -> Option<u32> {
    match state {
        DeliveryState::Pending { attempts, .. } => Some(*attempts),
        _ => None,
    }
}

fn answered(state: &DeliveryState) -> Option<Time> {
    match state {
        DeliveryState::Accepted { at, .. } | DeliveryState::Refused { at, .. } => Some(*at),
        _ => None,
    }
}

fn answer(state: &DeliveryState) -> &str {
    match state {
        DeliveryState::Accepted { answer, .. } => answer,
        DeliveryState::Refused { error, .. } => error,
        DeliveryState::Pending { last_error, .. } => last_error.as_deref().unwrap_or_default(),
        DeliveryState::Held | DeliveryState::Superseded => "",
    }
}

/// Rows of `rejects`; `sources` are the names by number, as far as they are known.
pub(crate) fn rejects(pipeline: &str, sources: &[String], rows: &[&Reject]) -> RecordBatch {
    let source = |row: &Reject| {
        let number = row.partition.source.0;
        sources.get(usize::from(number)).cloned().unwrap_or_else(|| number.to_string())
    };
    let arrays: Vec<ArrayRef> = vec![
        texts(rows, |_| pipeline.to_owned()),
        texts(rows, |row| source(row)),
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.partition.partition))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.offset))),
        texts(rows, |row| row.reason.name().to_owned()),
        texts(rows, |row| row.detail.clone()),
        texts(rows, |row| row.excerpt.clone()),
    ];
    batch(&tables::REJECTS, arrays)
}

/// The rows of an evidence segment with our columns: by name, texts plain, an absent text empty.
pub(crate) fn evidence(
    table: &Table,
    pipeline: &str,
    rows: &RecordBatch,
) -> Result<RecordBatch, ArrowError> {
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(rows.num_columns() + 1);
    for column in table.columns() {
        if column.name == tables::PIPELINE.name {
            let names = std::iter::repeat_n(pipeline, rows.num_rows());
            arrays.push(Arc::new(StringArray::from_iter_values(names)));
            continue;
        }
        let stored = rows.column_by_name(column.name).ok_or_else(|| {
            let name = column.name;
            ArrowError::SchemaError(format!("a segment of `{}` has no column `{name}`", table.name))
        })?;
        let plain = cast(stored, &column.kind.data_type())?;
        arrays.push(match plain.data_type() {
            DataType::Utf8 if plain.null_count() > 0 && !column.nullable => filled(&plain),
            _ => plain,
        });
    }
    RecordBatch::try_new(table.schema(), arrays)
}

/// A text column with an empty text where there is none.
fn filled(column: &ArrayRef) -> ArrayRef {
    let texts = column.as_string::<i32>().iter().map(Option::unwrap_or_default);
    Arc::new(StringArray::from_iter_values(texts))
}

fn batch(table: &Table, arrays: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_new(table.schema(), arrays).expect("the columns are made in the table's order")
}

fn texts<R>(rows: &[R], text: impl Fn(&R) -> String) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.iter().map(text)))
}

fn counts<R>(rows: &[R], count: impl Fn(&R) -> Option<u64>) -> ArrayRef {
    Arc::new(UInt64Array::from_iter(rows.iter().map(count)))
}

fn times<R>(rows: &[R], time: impl Fn(&R) -> Time) -> ArrayRef {
    maybe_times(rows, |row| Some(time(row)))
}

fn maybe_times<R>(rows: &[R], time: impl Fn(&R) -> Option<Time>) -> ArrayRef {
    let micros = |row| time(row).map(|time| time.as_micros().clamp(0, LATEST_US));
    let column = TimestampMicrosecondArray::from_iter(rows.iter().map(micros));
    Arc::new(column.with_timezone("UTC"))
}

fn lists<'a, R>(rows: &'a [R], list: impl Fn(&'a R) -> &'a [String]) -> ArrayRef {
    let field = Field::new_list_field(DataType::Utf8, false);
    let mut builder = ListBuilder::new(StringBuilder::new()).with_field(field);
    for row in rows {
        for text in list(row) {
            builder.values().append_value(text);
        }
        builder.append(true);
    }
    Arc::new(builder.finish())
}
