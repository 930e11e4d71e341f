//! Transitions as rows of our tables.

use std::collections::BTreeMap;

use clickhouse::Row;
use plimsoll_model::{Owner, Time, Transition};
use serde::Serialize;

/// The last moment that `DateTime64(6)` holds: 2299-12-31 23:59:59.999999. A later one (an
/// interval that ends at the end of time) is written as this one.
const LATEST_US: i64 = 10_413_791_999_999_999;

/// One row of `incident_event_rows` and of `incident_rows`. Fields and columns have the same names.
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
    detail: String,
    proof: &'a str,
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
            detail: finding.detail.as_ref().map_or_else(String::new, |detail| {
                serde_json::to_string(detail).expect("texts and numbers can be written as JSON")
            }),
            proof: &transition.proof,
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

#[cfg(test)]
mod tests {
    use plimsoll_model::evidence::{Evidence, Table};

    use super::*;
    use crate::clickhouse::evidence::Block;

    const INCIDENTS: &str = include_str!("../../../../deploy/clickhouse/0001_incident_rows.sql");
    const EVENTS: &str = include_str!("../../../../deploy/clickhouse/0002_incident_event_rows.sql");
    const EVIDENCE: [(Table, &str); 4] = [
        (Table::Panes, include_str!("../../../../deploy/clickhouse/0003_pane_rows.sql")),
        (Table::Samples, include_str!("../../../../deploy/clickhouse/0004_sample_rows.sql")),
        (Table::Lives, include_str!("../../../../deploy/clickhouse/0005_life_rows.sql")),
        (Table::Sessions, include_str!("../../../../deploy/clickhouse/0006_session_rows.sql")),
    ];

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
        for (table, sql) in EVIDENCE {
            let rows = Evidence::default().record_batch(table);
            let block = Block::of_evidence(table, &rows, "p").unwrap();
            check_columns(sql, &block.columns.split(", ").collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_end_of_time_is_written_as_the_last_moment_of_the_column() {
        // 2299-12-31T23:59:59Z is 10413791999 s after the epoch, by Python's datetime.
        assert_eq!(micros(Time::from_micros(i64::MAX)), 10_413_791_999 * 1_000_000 + 999_999);
        assert_eq!(micros(Time::from_micros(-1)), 0);
        assert_eq!(micros(Time::EARLIEST), Time::EARLIEST.as_micros());
    }
}
