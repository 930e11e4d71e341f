//! What the merge must know to go on after a restart.

use std::collections::{BTreeMap, VecDeque};

use plimsoll_model::{Mark, PartitionId, Second};
use serde::{Deserialize, Serialize};

use super::gate::Gate;
use super::guard::Guard;
use super::partition::Partition;
use super::{Merge, PartitionSettings};
use crate::Error;

/// The version of the bytes of a [`MergeState`]. Every change of a stored type raises it. Bytes
/// that begin with 0 or 1 are from before versions were written.
const VERSION: u8 = 2;

/// The merge at the boundary between two ticks, without any row: where each partition must be
/// read again from, and what decides where its records go.
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
    seen_to: i64,
    guard: Guard,
    gates: Vec<Gate>,
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
            partition.gates.clear();
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
        let of = |partition: &Partition| {
            let (resume_offset, guard) = partition.resume();
            PartitionState {
                id: partition.id,
                resume_offset,
                seen_to: partition.seen_to,
                guard: guard.clone(),
                gates: partition.gates(),
            }
        };
        MergeState {
            open: self.open,
            last_row: self.last_row,
            advanced: self.advanced,
            starts_at: self.starts_at,
            partitions: self.partitions.values().map(of).collect(),
        }
    }

    /// The merge as it was at [`Merge::save`], told what the journal has kept since: `marks`, oldest
    /// first, and `decided_through`, the last tick whose decisions are durable.
    ///
    /// Every partition must be read again from [`Merge::resume_offset`]. Ticks through
    /// `decided_through` come out as they did before. Partitions without settings are forgotten;
    /// partitions that `state` does not know are added with [`Merge::add`] afterwards.
    pub fn restore(
        state: MergeState,
        correct_within: std::time::Duration,
        settings: &BTreeMap<PartitionId, PartitionSettings>,
        marks: &[Mark],
        decided_through: Option<Second>,
    ) -> Merge {
        let mut merge = Merge::new(correct_within);
        merge.open = state.open;
        merge.last_row = state.last_row;
        merge.advanced = state.advanced;
        merge.starts_at = state.starts_at;
        merge.decided_through = decided_through;
        for saved in state.partitions {
            if let Some(settings) = settings.get(&saved.id) {
                let mut partition =
                    Partition::new(saved.id, *settings, saved.guard, saved.resume_offset);
                partition.seen_to = saved.seen_to.max(saved.resume_offset);
                partition.script.extend(saved.gates);
                merge.partitions.insert(saved.id, partition);
            }
        }
        for mark in marks {
            merge.recall(*mark);
        }
        merge.catch_up();
        merge
    }

    fn recall(&mut self, mark: Mark) {
        match mark {
            Mark::Idle { partition, next_offset } | Mark::SetAside { partition, next_offset } => {
                self.script_of(partition).push_back(Gate::new(next_offset, None));
            }
            Mark::Rejoined { partition, next_offset, floor } => {
                // By offset: marks of one partition may have been written in another order.
                let script = self.script_of(partition);
                let place = script.partition_point(|gate| gate.offset <= next_offset);
                match place.checked_sub(1).map(|place| &mut script[place]) {
                    Some(gate) if gate.floor.is_none() => gate.floor = Some(floor),
                    _ => script.insert(place, Gate::new(next_offset, Some(floor))),
                }
            }
            Mark::Advance { until } => self.advance_to(until),
        }
    }

    fn script_of(&mut self, id: PartitionId) -> &mut VecDeque<Gate> {
        match self.partitions.get_mut(&id) {
            Some(partition) => &mut partition.script,
            None => self.recalled.entry(id).or_default(),
        }
    }
}
