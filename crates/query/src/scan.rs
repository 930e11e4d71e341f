//! A table of the store as the engine reads it: nothing is read before the query runs, and
//! evidence is read one segment at a time.

mod evidence;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use plimsoll_store::{Error, Snapshot};

use crate::schema::Table;
use crate::{rows, tables};

pub(crate) use evidence::rows as evidence_rows;

/// The most rows of one batch that the engine is handed.
const BATCH_ROWS_MAX: usize = 8_192;

/// Takes a snapshot of the store as it is now.
pub(crate) type Snapshots = Arc<dyn Fn() -> Result<Snapshot, Error> + Send + Sync>;

/// What the tables of one query read: the store as it was at one moment.
pub(crate) struct Source {
    pub snapshot: Snapshot,
    /// For what was pruned since.
    pub snapshots: Snapshots,
    pub pipeline: String,
    /// The names of the pipeline's sources by their numbers, as far as they are known.
    pub sources: Arc<[String]>,
    /// Rows read so far.
    pub rows_read: AtomicU64,
}

impl Source {
    pub fn open(snapshots: Snapshots, sources: Arc<[String]>) -> Result<Source, Error> {
        let snapshot = snapshots()?;
        let pipeline = snapshot.pipeline()?.unwrap_or_default();
        Ok(Source { snapshot, snapshots, pipeline, sources, rows_read: AtomicU64::new(0) })
    }

    /// The rows of `table`, in batches.
    fn rows(self: Arc<Source>, table: &'static Table) -> Box<dyn Iterator<Item = Batch> + Send> {
        let name = table.name;
        let whole = if name == tables::INCIDENTS.name {
            self.snapshot.incidents().map(|decided| rows::incidents(&decided))
        } else if name == tables::INCIDENT_EVENTS.name {
            self.snapshot.transitions().map(|decided| rows::incident_events(&decided))
        } else if name == tables::DELIVERIES.name {
            let deliveries = self.snapshot.deliveries();
            deliveries.map(|all| rows::deliveries(&self.pipeline, &all.iter().collect::<Vec<_>>()))
        } else if name == tables::REJECTS.name {
            let rejects = self.snapshot.rejects();
            rejects.map(|kept| {
                rows::rejects(&self.pipeline, &self.sources, &kept.iter().collect::<Vec<_>>())
            })
        } else {
            return evidence::rows(self, table);
        };
        let whole = whole.map_err(from_store);
        Box::new(std::iter::once(whole))
    }

    pub fn count(&self, batch: &RecordBatch) {
        self.rows_read.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
    }
}

pub(crate) type Batch = Result<RecordBatch>;

pub(crate) fn from_store(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// `table` of `source` for the engine.
pub(crate) fn provider(
    table: &'static Table,
    source: &Arc<Source>,
) -> Result<Arc<dyn TableProvider>> {
    let schema = table.schema();
    let scan = Scan { table, schema: Arc::clone(&schema), source: Arc::clone(source) };
    Ok(Arc::new(StreamingTable::try_new(schema, vec![Arc::new(scan)])?))
}

struct Scan {
    table: &'static Table,
    schema: SchemaRef,
    source: Arc<Source>,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.table.name)
    }
}

impl PartitionStream for Scan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let source = Arc::clone(&self.source);
        let rows = Arc::clone(&self.source).rows(self.table);
        let pieces = rows.flat_map(move |batch| match batch {
            Ok(batch) => {
                source.count(&batch);
                pieces(&batch)
            }
            Err(error) => vec![Err(error)],
        });
        let stream = futures::stream::iter(pieces);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}

fn pieces(batch: &RecordBatch) -> Vec<Batch> {
    let begins = (0..batch.num_rows()).step_by(BATCH_ROWS_MAX);
    let piece = |begin| Ok(batch.slice(begin, BATCH_ROWS_MAX.min(batch.num_rows() - begin)));
    begins.map(piece).collect()
}
