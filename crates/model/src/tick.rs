//! One closed second of event time.

use std::sync::Arc;

use crate::{Batch, PartitionId, Second, Time};

/// Which of a batch's tables a row stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKind {
    /// [`crate::lives::LifeRows`]; first, so that a deploy explains rows of the same moment.
    Life,
    /// [`crate::samples::SampleRows`].
    Sample,
    /// [`crate::sessions::SessionRows`].
    Session,
}

/// A reference to one row of one batch, as placed by the merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The row's own event time. Earlier than the tick if the row is late.
    pub time: Time,
    /// Where it came from.
    pub partition: PartitionId,
    /// Its offset in the partition.
    pub offset: i64,
    /// The batch: an index into [`Tick::batches`].
    pub batch: u32,
    /// The table inside the batch.
    pub kind: RowKind,
    /// The row inside the table.
    pub index: u32,
}

/// One closed second of event time, with every row that is applied in it.
///
/// Rows are in the order (event time, source, partition, offset, place inside the record), which
/// depends on the partitions' content alone.
#[derive(Clone, Debug, Default)]
pub struct Tick {
    /// Which second.
    pub second: Second,
    /// The batches that the rows stand in. Their order means nothing.
    pub batches: Vec<Arc<Batch>>,
    /// The rows, in order.
    pub rows: Vec<Row>,
}

impl Tick {
    /// An empty tick.
    pub fn empty(second: Second) -> Tick {
        Tick { second, ..Tick::default() }
    }

    /// The batch that `row` stands in.
    pub fn batch(&self, row: &Row) -> &Batch {
        &self.batches[row.batch as usize]
    }
}
