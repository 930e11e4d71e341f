//! What a parser makes of a run of records of one partition.

use crate::lives::LifeRows;
use crate::samples::SampleRows;
use crate::sessions::SessionRows;
use crate::{PartitionId, Reject, Time};

/// The parsed records `first_offset..next_offset` of one partition.
///
/// Progress travels inside the batch: whoever stores the result of these rows stores
/// `next_offset` together with it. Inside each table the rows are in the order of their records.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Where the records came from.
    pub partition: PartitionId,
    /// The offset of the first record.
    pub first_offset: i64,
    /// The offset of the first record after the batch: where reading goes on. Offsets may have
    /// gaps (compacted topics, aborted transactions), so this is not `first_offset` plus a count.
    pub next_offset: i64,
    /// Units opened, closed, refused.
    pub sessions: SessionRows,
    /// Measured values.
    pub samples: SampleRows,
    /// Deploys, restarts, scaling, limit changes.
    pub lives: LifeRows,
    /// The offset and event time of every record that had a plausible time, in the order of the
    /// records: used, irrelevant and rejected ones. Watermarks move by records, not only by rows.
    /// A record of several lines appears once for each line, with the same offset.
    pub times: Vec<(i64, Time)>,
    /// Records that could not be used. Bounded: see `rejects_beyond`.
    pub rejects: Vec<Reject>,
    /// How many records the batch was made from: used, irrelevant and rejected ones. Each line of
    /// a record of several lines counts.
    pub records: u64,
    /// How many records were read well and mean nothing here (an ordinary log line).
    pub irrelevant: u64,
    /// Rejects beyond the limit of `rejects`, by reason (in the order of
    /// [`crate::RejectReason::ALL`]): counted, not kept.
    pub rejects_beyond: [u64; crate::RejectReason::ALL.len()],
    /// The bytes of the records.
    pub bytes: u64,
}

impl Batch {
    /// How many rows the batch has, of all kinds.
    pub fn rows(&self) -> usize {
        self.sessions.len() + self.samples.len() + self.lives.len()
    }
}
