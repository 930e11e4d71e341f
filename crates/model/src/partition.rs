//! Where a record came from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The rank of a source among the pipeline's sources, sorted by name.
///
/// Sorting by name makes the merge order independent of the order in the configuration file.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct SourceId(pub u16);

/// One partition of one source: the unit of reading and parsing.
///
/// For Kafka the partition's number; for files the file's place in the source's list.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct PartitionId {
    /// The source.
    pub source: SourceId,
    /// The partition inside the source.
    pub partition: u32,
}

impl PartitionId {
    /// The partition `partition` of source `source`.
    pub const fn new(source: u16, partition: u32) -> PartitionId {
        PartitionId { source: SourceId(source), partition }
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source.0, self.partition)
    }
}
