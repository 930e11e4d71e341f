//! Evidence: segment after segment, each row once.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{TimestampMicrosecondType, UInt64Type};
use datafusion::error::Result;
use plimsoll_model::evidence::Table as Stored;
use xxhash_rust::xxh3::Xxh3;

use super::{Batch, Source, from_store};
use crate::rows;
use crate::schema::Table;

/// The rows of the evidence table `table`, a batch per segment, the newest segment first.
///
/// A row that was told again replaces the older one, as in ClickHouse.
pub(crate) fn rows(
    source: Arc<Source>,
    table: &'static Table,
) -> Box<dyn Iterator<Item = Batch> + Send> {
    let stored = Stored::ALL.into_iter().find(|stored| stored.name() == table.name);
    let stored = stored.expect("every other table is read as a whole");
    let segments = match source.snapshot.segments() {
        Ok(segments) => segments,
        Err(error) => return Box::new(std::iter::once(Err(from_store(error)))),
    };
    let mut segments: Vec<_> =
        segments.into_iter().filter(|(_, entry)| entry.table == stored).collect();
    segments.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.tick));
    let mut known = Known { key: key(stored), rows: HashSet::new() };
    let batches = segments.into_iter().filter_map(move |(name, _)| {
        let batch = segment(&source, table, &name);
        batch.and_then(|batch| batch.map(|batch| known.only_new(&batch)).transpose()).transpose()
    });
    Box::new(batches)
}

/// The rows of one segment; `None` if it was pruned since the snapshot was taken.
fn segment(source: &Source, table: &Table, name: &str) -> Result<Option<RecordBatch>> {
    let rows = match source.snapshot.segment(name) {
        Ok(Some(rows)) => rows,
        Ok(None) => return Ok(None),
        Err(error) => {
            let now = (source.snapshots)().map_err(from_store)?;
            return match now.segment_entry(name).map_err(from_store)? {
                None => Ok(None),
                Some(_) => Err(from_store(error)),
            };
        }
    };
    Ok(Some(rows::evidence(table, &source.pipeline, &rows)?))
}

/// The columns that name a row: those of the sorting keys in `deploy/clickhouse`.
fn key(stored: Stored) -> &'static [&'static str] {
    match stored {
        Stored::Panes => &["incident", "pane", "holder_key"],
        Stored::Samples => &["incident", "resource", "metric", "time", "holder_key"],
        Stored::Lives => &["incident", "resource", "started_at", "holder_key"],
        Stored::Sessions => &["incident", "resource", "started_at", "session"],
    }
}

/// The rows that were seen, by a hash of their keys: sixteen bytes for each.
struct Known {
    key: &'static [&'static str],
    rows: HashSet<u128>,
}

impl Known {
    /// The rows that were not seen before; of rows of one batch with one key, the last.
    fn only_new(&mut self, batch: &RecordBatch) -> Batch {
        let columns: Vec<&dyn Array> = self
            .key
            .iter()
            .map(|name| batch.column_by_name(name).expect("a key is made of columns").as_ref())
            .collect();
        let mut new = vec![false; batch.num_rows()];
        for row in (0..batch.num_rows()).rev() {
            let mut hasher = Xxh3::new();
            columns.iter().for_each(|column| add(&mut hasher, *column, row));
            new[row] = self.rows.insert(hasher.digest128());
        }
        Ok(filter_record_batch(batch, &BooleanArray::from(new))?)
    }
}

fn add(hasher: &mut Xxh3, column: &dyn Array, row: usize) {
    if let Some(texts) = column.as_string_opt::<i32>() {
        let text = texts.value(row).as_bytes();
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text);
    } else if let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() {
        hasher.update(&times.value(row).to_le_bytes());
    } else {
        hasher.update(&column.as_primitive::<UInt64Type>().value(row).to_le_bytes());
    }
}
