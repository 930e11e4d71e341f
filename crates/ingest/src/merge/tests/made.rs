//! Records and batches for tests.

use std::time::Duration;

use plimsoll_model::sessions::{SessionBuilder, SessionRow};
use plimsoll_model::{Batch, PartitionId, Time};
use proptest::prelude::ProptestConfig;

use crate::merge::{Merge, PartitionSettings};

/// A record at millisecond `at_ms` of the test's day, with `rows` session rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub offset: i64,
    pub at_ms: i64,
    pub rows: usize,
}

/// Second zero of the test's day.
pub(crate) const DAY_S: i64 = 1_700_000_000;

impl Record {
    pub(crate) fn time(self) -> Time {
        Time::from_millis(DAY_S * 1_000 + self.at_ms)
    }
}

/// Records with one row each, at these milliseconds.
pub(crate) fn records(at_ms: &[i64]) -> Vec<Record> {
    (0..).zip(at_ms).map(|(offset, at_ms)| Record { offset, at_ms: *at_ms, rows: 1 }).collect()
}

/// Records at these milliseconds, each with so many rows.
pub(crate) fn records_with_rows(records: &[(i64, usize)]) -> Vec<Record> {
    let record = |(place, &(at_ms, rows)): (i64, _)| Record { offset: 2 * place, at_ms, rows };
    (0..).zip(records).map(record).collect()
}

pub(crate) fn batch(partition: PartitionId, records: &[Record]) -> Batch {
    let mut sessions = SessionBuilder::default();
    let mut times = Vec::new();
    for record in records {
        times.push((record.offset, record.time()));
        for _ in 0..record.rows {
            let (time, offset) = (record.time(), record.offset);
            sessions.append(&SessionRow { time, offset, resource: "db", ..SessionRow::default() });
        }
    }
    Batch {
        partition,
        first_offset: records.first().map_or(0, |record| record.offset),
        next_offset: records.last().map_or(0, |record| record.offset + 1),
        records: records.len() as u64,
        sessions: sessions.finish(),
        times,
        ..Batch::default()
    }
}

pub(crate) fn settings(reorder_ms: u64) -> PartitionSettings {
    let reorder = Duration::from_millis(reorder_ms);
    PartitionSettings { reorder, ..PartitionSettings::default() }
}

/// The ticks that close now: seconds of the day, each with its rows as (source, offset).
pub(crate) fn ticks(merge: &mut Merge) -> Vec<(i64, Vec<(u16, i64)>)> {
    std::iter::from_fn(|| merge.next_tick())
        .map(|tick| {
            let rows = tick.rows.iter().map(|row| (row.partition.source.0, row.offset));
            (tick.second.0 - DAY_S, rows.collect())
        })
        .collect()
}

/// So many random cases, unless `PROPTEST_CASES` asks for another number.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let mut config = ProptestConfig { max_shrink_iters: 5_000, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = usual;
    }
    config
}
