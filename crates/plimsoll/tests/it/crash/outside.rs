//! The receivers and the tables that the machine talks to.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_model::{PageAction, PartitionId, Payload, Reject, RejectReason};
use plimsoll_store::{Changes, Ordered};

/// What the receiver and the tables know. They are other machines: they outlive every death.
#[derive(Default)]
pub(super) struct Outside {
    /// By receiver and key: is it open, how often was it opened, how often resolved.
    pub(super) alerts: BTreeMap<String, (bool, u32, u32)>,
    /// The first content of each (key, sequence, action): a repetition must be equal.
    said: BTreeMap<(String, u32, PageAction), Payload>,
    /// Rows by (incident, sequence), as a table that keeps one of equal keys shows them.
    pub(super) rows: BTreeSet<(String, u32)>,
    /// Deliveries and rejects, each with its revision, as a table that keeps the highest revision
    /// of equal keys shows them.
    deliveries: BTreeMap<u64, (u64, Ordered)>,
    rejects: BTreeMap<(PartitionId, i64, RejectReason), (u64, Reject)>,
    pub(super) attempts: u64,
    copies: u64,
    /// What must never be seen.
    pub(super) violations: Vec<String>,
}

impl Outside {
    pub(super) fn take(&mut self, sink: &str, key: &str, payload: &Payload) {
        match payload {
            Payload::Page { action, transition, .. } => {
                let key = format!("{sink} {key}");
                let name = (key.clone(), transition.sequence, *action);
                let first = self.said.entry(name).or_insert_with(|| payload.clone());
                if first != payload {
                    self.violations.push(format!("{action:?} of {key} was repeated differently"));
                }
                let (open, opened, resolved) = self.alerts.entry(key.clone()).or_default();
                match action {
                    PageAction::Trigger | PageAction::Update if !*open => {
                        (*open, *opened) = (true, *opened + 1);
                    }
                    PageAction::Resolve if *open => (*open, *resolved) = (false, *resolved + 1),
                    PageAction::Resolve if *opened == 0 => {
                        self.violations.push(format!("{key} was resolved before it was opened"));
                    }
                    _ => {}
                }
            }
            Payload::Rows { transitions, .. } => {
                for (transition, _) in transitions {
                    self.rows.insert((transition.incident.to_string(), transition.sequence));
                }
            }
        }
    }

    /// Takes a copy and says whether its answer arrives: every fourth one is lost.
    pub(super) fn take_copy(&mut self, changes: &Changes) -> bool {
        for (revision, ordered) in &changes.deliveries {
            let new = (*revision, ordered.clone());
            let known = self.deliveries.entry(ordered.delivery.sequence).or_insert(new.clone());
            self.violations.extend(replace(known, new));
        }
        for (revision, reject) in &changes.rejects {
            let new = (*revision, reject.clone());
            let key = (reject.partition, reject.offset, reject.reason);
            let known = self.rejects.entry(key).or_insert(new.clone());
            self.violations.extend(replace(known, new));
        }
        self.copies += 1;
        !self.copies.is_multiple_of(4)
    }

    /// The deliveries that the tables show.
    pub(super) fn deliveries(&self) -> Vec<Ordered> {
        self.deliveries.values().map(|(_, ordered)| ordered.clone()).collect()
    }

    /// The rejects that the tables show.
    pub(super) fn rejects(&self) -> Vec<Reject> {
        self.rejects.values().map(|(_, reject)| reject.clone()).collect()
    }
}

/// The row with the higher revision stays; two of one revision must be equal.
fn replace<R: PartialEq + std::fmt::Debug>(known: &mut (u64, R), new: (u64, R)) -> Option<String> {
    if new.0 > known.0 {
        *known = new;
        return None;
    }
    let differs = new.0 == known.0 && new.1 != known.1;
    differs.then(|| format!("{known:?} and {new:?} have the same revision"))
}
