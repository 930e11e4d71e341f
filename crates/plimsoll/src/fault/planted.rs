//! The faults themselves.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use plimsoll_ingest::merge::MergeState;
use plimsoll_model::{Batch, IncidentId, PartitionId, Time, Transition};
use plimsoll_store::{Checkpoint, Commit, NewDelivery};

use super::Fault;
use crate::engine::{SharedStore, locked};

/// Sends an order at once, whatever the store says.
pub type EarlySender = Box<dyn FnMut(&NewDelivery)>;

thread_local! {
    static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
    static EARLY_SENDER: RefCell<Option<EarlySender>> = const { RefCell::new(None) };
}

/// Plants `fault` in this thread, or removes it.
pub fn plant(fault: Option<Fault>) {
    PLANTED.set(fault);
}

/// What [`Fault::SendBeforeCommit`] sends with in this thread.
pub fn set_early_sender(sender: Option<EarlySender>) {
    EARLY_SENDER.set(sender);
}

pub(crate) fn is_planted(fault: Fault) -> bool {
    PLANTED.get() == Some(fault)
}

/// What planted faults remember inside the engine.
#[derive(Default)]
pub(crate) struct Planted {
    read_to: BTreeMap<PartitionId, i64>,
    records: u128,
    names: BTreeMap<IncidentId, IncidentId>,
    last: Option<Checkpoint>,
}

impl Planted {
    pub(crate) fn pushed(&mut self, batch: &Batch) {
        self.records += u128::from(batch.records);
        self.read_to.insert(batch.partition, batch.next_offset);
    }

    pub(crate) fn rename(&mut self, transitions: &mut [(Transition, Time)]) {
        if !is_planted(Fault::IdFromArrival) {
            return;
        }
        for (transition, _) in transitions {
            let named = IncidentId(transition.incident.0 ^ self.records);
            transition.incident = *self.names.entry(transition.incident).or_insert(named);
        }
    }

    pub(crate) fn spoil(&mut self, merge: &mut MergeState) {
        if is_planted(Fault::MarkNotJournaled) {
            merge.forget_floors();
        }
        if is_planted(Fault::PendingRowsForgotten) {
            for (partition, offset) in &self.read_to {
                merge.resume_at(*partition, *offset);
            }
        }
    }

    pub(crate) fn commit_early(
        &mut self,
        store: &SharedStore,
        checkpoint: &Checkpoint,
        deliveries: &[NewDelivery],
    ) -> anyhow::Result<()> {
        if is_planted(Fault::SendBeforeCommit) {
            EARLY_SENDER.with_borrow_mut(|sender| {
                if let Some(sender) = sender {
                    deliveries.iter().for_each(sender);
                }
            });
        }
        let last = self.last.replace(checkpoint.clone());
        let early = match last {
            Some(last) if is_planted(Fault::OffsetFirst) => {
                Checkpoint { judge: last.judge, ..checkpoint.clone() }
            }
            Some(last) if is_planted(Fault::StateFirst) => {
                Checkpoint { merge: last.merge, ..checkpoint.clone() }
            }
            _ => return Ok(()),
        };
        let tick = checkpoint.tick;
        locked(store).commit(&Commit { tick, checkpoint: Some(early), ..Commit::default() })?;
        Ok(())
    }
}
