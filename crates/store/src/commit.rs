//! [`Commit`]: what becomes durable together.

use plimsoll_model::evidence::{Evidence, Table};
use plimsoll_model::{
    Delivery, DeliveryState, IncidentId, Mark, PartitionId, Payload, Reject, RejectReason, Second,
    Time, Transition,
};
use serde::{Deserialize, Serialize};

/// Everything that the judge decided through one tick. It becomes durable as a whole or not
/// at all.
///
/// The same commit may be given again after a crash: what is already durable stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// Everything through this tick is decided.
    pub tick: Second,
    /// New transitions, each with the wall clock's time of its decision. For a transition that
    /// is already durable the stored time stays.
    pub transitions: Vec<(Transition, Time)>,
    /// What to tell the sinks.
    pub deliveries: Vec<NewDelivery>,
    /// New states of deliveries that were ordered before (held ones that go out or not).
    pub states: Vec<(u64, DeliveryState)>,
    /// The uses of the wall clock that could have influenced ticks through this one.
    pub marks: Vec<Mark>,
    /// The state after `tick`; `checkpoint.tick` is `tick`. It must contain the effect of every
    /// mark of this and of earlier commits: the journal through `tick` is dropped with it.
    pub checkpoint: Option<Checkpoint>,
    /// Rows that prove the transitions: each table of them becomes one segment.
    pub evidence: Evidence,
    /// Records that could not be used. A record that was rejected before is not counted again.
    pub rejects: Vec<Reject>,
    /// Rejects that were counted, not kept.
    pub rejects_beyond: Vec<RejectsBeyond>,
}

/// The state of judge and merge after a tick. The store does not look into the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The last tick that the state contains.
    pub tick: Second,
    /// The build that wrote the bytes.
    pub build: String,
    /// The hash of the configuration that the state was made with.
    pub config_hash: String,
    /// The judge: ledgers, detectors, incident book.
    pub judge: Vec<u8>,
    /// The merge: watermarks, and where each partition is read again from.
    pub merge: Vec<u8>,
}

/// An order to one sink.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDelivery {
    /// The sink's name.
    pub sink: String,
    /// The name of the order at the receiver. For rows it must follow from the rows alone, so
    /// that deciding the same again orders nothing new.
    pub key: String,
    /// What to say.
    pub payload: Payload,
    /// Put the names of this commit's segments into the payload's rows.
    pub with_evidence: bool,
    /// Do not send it yet: its first state is [`DeliveryState::Held`].
    pub held: bool,
}

/// How many records of one run of one partition were rejected beyond those that were kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectsBeyond {
    /// The partition.
    pub partition: PartitionId,
    /// The first offset of the run.
    pub first_offset: i64,
    /// The first offset after it. A run that begins before the end of one that was counted
    /// is not counted again; its new part, if it has one, is then not counted either.
    pub next_offset: i64,
    /// The counts in the order of [`RejectReason::ALL`].
    pub counts: [u64; RejectReason::ALL.len()],
}

/// What a restart begins with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovered {
    /// The last checkpoint.
    pub checkpoint: Option<Checkpoint>,
    /// The marks since the checkpoint, in the order in which they were committed.
    pub marks: Vec<Mark>,
    /// The last tick that was decided durably.
    pub decided_through: Option<Second>,
    /// The transitions after the checkpoint's tick, by tick: judging again must regenerate them.
    pub transitions_since_checkpoint: Vec<(IncidentId, u32, Second)>,
    /// The last transition of each incident that is not resolved, by incident.
    pub open_incidents: Vec<Transition>,
    /// The place in the outbox of the next delivery.
    pub outbox_next: u64,
}

/// A transition with the wall clock's time of its decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// What happened.
    pub transition: Transition,
    /// When it was decided.
    pub decided_at: Time,
}

/// A delivery with its state.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordered {
    /// The tick of the commit that ordered it.
    pub tick: Second,
    /// What to say, and to whom.
    pub delivery: Delivery,
    /// What became of it so far.
    pub state: DeliveryState,
}

/// A registered segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentEntry {
    /// The tick of the commit that registered it.
    pub tick: Second,
    /// The table that its rows belong to.
    pub table: Table,
    /// How many rows it has.
    pub rows: u64,
    /// The size of its file.
    pub bytes: u64,
    /// XXH3-64 of its file.
    pub checksum: u64,
}

/// The name of an order, so that it is never ordered twice: sink and key, and for pages what is
/// said about which transition.
pub(crate) fn identity_of(sink: &str, key: &str, payload: &Payload) -> String {
    match payload {
        Payload::Page { action, transition, .. } => {
            format!("{sink}\n{key}\n{action:?} {} {}", transition.incident, transition.sequence)
        }
        Payload::Rows { .. } => format!("{sink}\n{key}\nrows"),
    }
}
