//! What the merge must know to go on after a restart.

use std::collections::BTreeMap;

use plimsoll_model::{PartitionId, Second};
use serde::{Deserialize, Serialize};

use super::guard::Guard;
use super::partition::Partition;
use super::verdicts::Verdicts;
use super::{Merge, PartitionSettings};
use crate::Error;

/// The version of the bytes of a [`MergeState`]. Every change of a stored type raises it. Bytes
/// that begin with 0 or 1 are from before versions were written.
const VERSION: u8 = 3;

/// The merge at the boundary between two ticks, without any row: where each partition must be
/// read again from, what was decided about the records from there on, and what decides about those
/// that follow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeState {
    open: Option<Second>,
    last_row: Option<Second>,
    advanced: Option<Second>,
    starts_at: Option<Second>,
    partitions: Vec<PartitionState>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PartitionState {
    id: PartitionId,
    resume_offset: i64,
    judged_to: i64,
    away: bool,
    verdicts: Verdicts,
    guard: Guard,
}

impl MergeState {
    /// The state as bytes: a version, then the state in postcard. Equal states give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = vec![VERSION];
        postcard::to_extend(self, bytes).expect("a vector takes every byte, and lengths are known")
    }

    /// The state that [`MergeState::to_bytes`] wrote down; bytes of another version are refused.
    pub fn from_bytes(bytes: &[u8]) -> Result<MergeState, Error> {
        let malformed = |problem: String| Error::StateMalformed { problem };
        match bytes.split_first() {
            Some((&VERSION, rest)) => {
                postcard::from_bytes(rest).map_err(|error| malformed(error.to_string()))
            }
            Some((&found, _)) => Err(Error::StateVersion { found, known: VERSION }),
            None => Err(malformed("it is empty".to_owned())),
        }
    }

    /// Where each partition must be read again from.
    pub fn resume_offsets(&self) -> impl Iterator<Item = (PartitionId, i64)> + '_ {
        self.partitions.iter().map(|partition| (partition.id, partition.resume_offset))
    }
}

#[cfg(feature = "planted-faults")]
impl MergeState {
    /// Forgets which ticks closed without a partition.
    pub fn forget_floors(&mut self) {
        for partition in &mut self.partitions {
            partition.verdicts.forget_floors();
        }
    }

    /// Goes on at `offset`, whatever waits before it.
    pub fn resume_at(&mut self, id: PartitionId, offset: i64) {
        for partition in self.partitions.iter_mut().filter(|partition| partition.id == id) {
            partition.resume_offset = offset;
        }
    }
}

impl Merge {
    /// The state after the ticks that were handed out so far.
    pub fn save(&self) -> MergeState {
        let of = |partition: &Partition| PartitionState {
            id: partition.id,
            resume_offset: partition.resume_offset(),
            judged_to: partition.judged_to,
            away: partition.away,
            verdicts: partition.verdicts.clone(),
            guard: partition.guard.clone(),
        };
        MergeState {
            open: self.open,
            last_row: self.last_row,
            advanced: self.advanced,
            starts_at: self.starts_at,
            partitions: self.partitions.values().map(of).collect(),
        }
    }

    /// The merge as it was at [`Merge::save`]: the next tick is the one after the last that was
    /// handed out.
    ///
    /// Every partition must be read again from [`Merge::resume_offset`]. Partitions without settings
    /// are forgotten; partitions that `state` does not know are added with [`Merge::add`]
    /// afterwards.
    pub fn restore(
        state: MergeState,
        correct_within: std::time::Duration,
        settings: &BTreeMap<PartitionId, PartitionSettings>,
    ) -> Merge {
        let mut merge = Merge::new(correct_within);
        merge.open = state.open;
        merge.last_row = state.last_row;
        merge.advanced = state.advanced;
        merge.starts_at = state.starts_at;
        let floor = merge.clock().floor();
        for saved in state.partitions {
            if let Some(settings) = settings.get(&saved.id) {
                let mut partition = Partition::new(saved.id, *settings, saved.resume_offset);
                partition.judged_to = saved.judged_to;
                partition.away = saved.away;
                partition.guard = saved.guard;
                partition.verdicts = saved.verdicts;
                // The clock waits once more for what must be read again.
                partition.verdicts.rejoin(floor);
                merge.partitions.insert(saved.id, partition);
            }
        }
        merge
    }
}
