//! Transitions and evidence as rows of our tables.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, DictionaryArray, RecordBatch, StringArray};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType, UInt64Type};
use clickhouse::Row;
use plimsoll_model::{Owner, Time, Transition, evidence};
use serde::Serialize;

/// The last moment that `DateTime64(6)` holds: 2299-12-31 23:59:59.999999. A later one (an
/// interval that ends at the end of time) is written as this one.
const LATEST_US: i64 = 10_413_791_999_999_999;

/// One row of `incident_events` and of `incidents`. Fields and columns have the same names.
#[derive(Clone, Debug, PartialEq, Row, Serialize)]
pub(super) struct IncidentRow<'a> {
    pipeline: &'a str,
    incident: String,
    sequence: u32,
    change: &'a str,
    reason: &'a str,
    as_of: i64,
    decided_at: i64,
    opened_at: i64,
    kind: &'a str,
    severity: &'a str,
    severity_peak: &'a str,
    resource: &'a str,
    unit: &'a str,
    owner: String,
    owner_dimension: &'a str,
    owner_value: &'a str,
    since: i64,
    level: u64,
    usable: Option<u64>,
    owner_level: Option<u64>,
    owner_level_before: Option<u64>,
    growth_per_minute: Option<f64>,
    exhaustion_from: Option<i64>,
    exhaustion_to: Option<i64>,
    release_service: &'a str,
    release_version: &'a str,
    deployed_at: Option<i64>,
    refused: u64,
    doubts: &'a [String],
    headline: &'a str,
    advice: &'a str,
}

impl<'a> IncidentRow<'a> {
    pub(super) fn new((transition, decided_at): &'a (Transition, Time)) -> IncidentRow<'a> {
        let finding = &transition.finding;
        let (owner_dimension, owner_value) = match &finding.owner {
            Owner::Holder { dimension, value } => (dimension.name(), value.as_str()),
            Owner::Nobody | Owner::Unknown => ("", ""),
        };
        let release = finding.release.as_ref();
        IncidentRow {
            pipeline: &transition.pipeline,
            incident: transition.incident.to_string(),
            sequence: transition.sequence,
            change: transition.change.name(),
            reason: transition.reason.name(),
            as_of: micros(transition.as_of.start()),
            decided_at: micros(*decided_at),
            opened_at: micros(transition.opened_at.start()),
            kind: finding.kind.name(),
            severity: finding.severity.name(),
            severity_peak: transition.severity_peak.name(),
            resource: &finding.resource,
            unit: &finding.unit,
            owner: finding.owner.to_string(),
            owner_dimension,
            owner_value,
            since: micros(finding.since.start()),
            level: finding.level,
            usable: finding.usable,
            owner_level: finding.owner_level,
            owner_level_before: finding.owner_level_before,
            growth_per_minute: finding.growth_per_minute,
            exhaustion_from: finding.exhaustion.map(|interval| micros(interval.from)),
            exhaustion_to: finding.exhaustion.and_then(|interval| interval.to).map(micros),
            release_service: release.map_or("", |release| &release.service),
            release_version: release
                .and_then(|release| release.version.as_deref())
                .unwrap_or_default(),
            deployed_at: release.map(|release| micros(release.deployed_at)),
            refused: finding.refused,
            doubts: &finding.doubts,
            headline: &transition.headline,
            advice: &transition.advice,
        }
    }
}

/// The last event of each incident, in the order of their ids.
pub(super) fn newest<'a>(events: &[IncidentRow<'a>]) -> Vec<IncidentRow<'a>> {
    let mut newest: BTreeMap<(&str, &str), &IncidentRow<'a>> = BTreeMap::new();
    for event in events {
        let slot = newest.entry((event.pipeline, &event.incident)).or_insert(event);
        if event.sequence >= slot.sequence {
            *slot = event;
        }
    }
    newest.into_values().cloned().collect()
}

fn micros(time: Time) -> i64 {
    time.as_micros().clamp(0, LATEST_US)
}

/// One row of `evidence`. An absent dimension is an empty text, as in the model.
#[derive(Clone, Debug, PartialEq, Row, Serialize)]
pub(super) struct EvidenceRow<'a> {
    pipeline: &'a str,
    incident: &'a str,
    pane: i64,
    resource: &'a str,
    opened: u64,
    closed: u64,
    refused: u64,
    held: u64,
    tenant: &'a str,
    service_name: &'a str,
    service_version: &'a str,
    service_instance_id: &'a str,
    host_name: &'a str,
    db_namespace: &'a str,
    user_name: &'a str,
    client_address: &'a str,
    holder_key: u64,
}

/// An Arrow batch of [`evidence::schema`], checked.
pub(super) struct EvidenceRows<'a>(&'a RecordBatch);

impl<'a> EvidenceRows<'a> {
    /// `batch`, or why it can never be written.
    pub(super) fn new(batch: &'a RecordBatch) -> Result<EvidenceRows<'a>, String> {
        // Names and types; a reader of Parquet may add metadata and nullability.
        let same = |(a, b): (&arrow::datatypes::FieldRef, &arrow::datatypes::FieldRef)| {
            a.name() == b.name() && a.data_type() == b.data_type()
        };
        let (given, wanted) = (batch.schema(), evidence::schema());
        if given.fields().len() != wanted.fields().len()
            || !given.fields().iter().zip(wanted.fields()).all(same)
        {
            return Err(format!("evidence has the columns {given:?}; it must have {wanted:?}"));
        }
        Ok(EvidenceRows(batch))
    }

    /// The rows in the batch's order.
    pub(super) fn rows(&self, pipeline: &'a str) -> Vec<EvidenceRow<'a>> {
        let words: [Words<'a>; 10] = std::array::from_fn(|i| Words::of(self.0, WORD_COLUMNS[i]));
        let panes = self.0.column(1).as_primitive::<TimestampMicrosecondType>();
        let counts: [_; 5] =
            std::array::from_fn(|i| self.0.column(COUNT_COLUMNS[i]).as_primitive::<UInt64Type>());
        let row = |i: usize| EvidenceRow {
            pipeline,
            incident: words[0].get(i),
            pane: micros(Time::from_micros(panes.value(i))),
            resource: words[1].get(i),
            opened: counts[0].value(i),
            closed: counts[1].value(i),
            refused: counts[2].value(i),
            held: counts[3].value(i),
            tenant: words[2].get(i),
            service_name: words[3].get(i),
            service_version: words[4].get(i),
            service_instance_id: words[5].get(i),
            host_name: words[6].get(i),
            db_namespace: words[7].get(i),
            user_name: words[8].get(i),
            client_address: words[9].get(i),
            holder_key: counts[4].value(i),
        };
        (0..self.0.num_rows()).map(row).collect()
    }
}

/// Where [`evidence::schema`] has its texts: incident, resource, the eight dimensions.
const WORD_COLUMNS: [usize; 10] = [0, 2, 7, 8, 9, 10, 11, 12, 13, 14];

/// Where it has its counts: opened, closed, refused, held, and the holder's key.
const COUNT_COLUMNS: [usize; 5] = [3, 4, 5, 6, 15];

/// A dictionary-encoded text column.
struct Words<'a> {
    keys: &'a DictionaryArray<Int32Type>,
    values: &'a StringArray,
}

impl<'a> Words<'a> {
    fn of(batch: &'a RecordBatch, column: usize) -> Words<'a> {
        let keys = batch.column(column).as_dictionary::<Int32Type>();
        Words { keys, values: keys.values().as_string::<i32>() }
    }

    fn get(&self, row: usize) -> &'a str {
        self.keys
            .key(row)
            .filter(|key| self.values.is_valid(*key))
            .map_or("", |key| self.values.value(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INCIDENTS: &str = include_str!("../../../../deploy/clickhouse/0001_incidents.sql");
    const EVENTS: &str = include_str!("../../../../deploy/clickhouse/0002_incident_events.sql");
    const EVIDENCE: &str = include_str!("../../../../deploy/clickhouse/0003_evidence.sql");

    /// The columns that a file creates and we fill: all but the one that the server fills.
    #[track_caller]
    fn check_columns(sql: &str, written: &[&str]) {
        let lines = sql.lines().filter(|line| line.starts_with("    ") && line.contains("COMMENT"));
        let columns: Vec<&str> = lines.filter_map(|line| line.split_whitespace().next()).collect();
        let (last, filled) = columns.split_last().unwrap();
        assert_eq!((*last, filled), ("written_at", written));
    }

    #[test]
    fn rows_have_the_columns_of_their_tables() {
        check_columns(INCIDENTS, IncidentRow::COLUMN_NAMES);
        check_columns(EVENTS, IncidentRow::COLUMN_NAMES);
        check_columns(EVIDENCE, EvidenceRow::COLUMN_NAMES);
    }

    #[test]
    fn evidence_is_read_by_the_schemas_own_names() {
        let schema = evidence::schema();
        let name = |column: &usize| schema.field(*column).name().as_str();
        let words: Vec<&str> = WORD_COLUMNS.iter().map(name).collect();
        let counts: Vec<&str> = COUNT_COLUMNS.iter().map(name).collect();
        assert_eq!(words[..2], ["incident", "resource"]);
        let dimensions = plimsoll_model::Dimension::ALL.map(|dimension| dimension.column());
        assert_eq!(words[2..], dimensions);
        assert_eq!(counts, ["opened", "closed", "refused", "held", "holder_key"]);
        assert_eq!(name(&1), "pane");
    }

    #[test]
    fn the_end_of_time_is_written_as_the_last_moment_of_the_column() {
        // 2299-12-31T23:59:59Z is 10413791999 s after the epoch, by Python's datetime.
        assert_eq!(micros(Time::from_micros(i64::MAX)), 10_413_791_999 * 1_000_000 + 999_999);
        assert_eq!(micros(Time::from_micros(-1)), 0);
        assert_eq!(micros(Time::EARLIEST), Time::EARLIEST.as_micros());
    }
}
