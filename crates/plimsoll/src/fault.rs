//! Planted faults: mistakes that the crash test must notice.
//!
//! Without the feature `planted-faults` every question here is answered `false` at compile time.
//! `cargo test -p plimsoll --features planted-faults --test it planted` plants each in a test of
//! its own, which fails if the crash test stays green.

/// A mistake in the order of things that a durable program must not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A page goes out before the transaction that orders it.
    SendBeforeCommit,
    /// The positions are durable before what was read up to them.
    OffsetFirst,
    /// The judge's state is durable before the positions that it has read.
    StateFirst,
    /// Idle partitions and floors are not written down.
    MarkNotJournaled,
    /// An incident's id depends on how much was read since the start.
    IdFromArrival,
    /// The newest delivery goes out first, so a resolve can overtake its trigger.
    ResolveFirst,
    /// A delivery counts as accepted before it is sent.
    AcceptedBeforeSent,
    /// A repetition uses a key of its own.
    KeyPerAttempt,
    /// Reading goes on after the last record read, although rows before it are not judged yet.
    PendingRowsForgotten,
    /// A restart forgets which incidents were withheld during a backlog.
    WithheldForgotten,
    /// A lost answer counts as a refusal.
    LostAnswerIsRefusal,
    /// States and rejects count as copied before they are sent to the tables.
    CopiedBeforeSent,
    /// What changes while it is copied counts as copied.
    LaterChangeForgotten,
}

#[cfg(feature = "planted-faults")]
mod planted;

#[cfg(feature = "planted-faults")]
pub use planted::{plant, set_early_sender};

#[cfg(feature = "planted-faults")]
pub(crate) use planted::{Planted, is_planted};

/// Whether `fault` is planted: never, in this build.
#[cfg(not(feature = "planted-faults"))]
pub(crate) const fn is_planted(_fault: Fault) -> bool {
    false
}

/// What planted faults remember inside the engine: nothing, in this build.
#[cfg(not(feature = "planted-faults"))]
#[derive(Default)]
pub(crate) struct Planted;

#[cfg(not(feature = "planted-faults"))]
impl Planted {
    pub(crate) const fn pushed(&self, _: &plimsoll_model::Batch) {}
    pub(crate) const fn rename(
        &self,
        _: &mut [(plimsoll_model::Transition, plimsoll_model::Time)],
    ) {
    }
    pub(crate) const fn spoil(&self, _: &mut plimsoll_ingest::merge::MergeState) {}
    pub(crate) const fn commit_early(
        &self,
        _: &crate::engine::SharedStore,
        _: &plimsoll_store::Checkpoint,
        _: &[plimsoll_store::NewDelivery],
    ) -> anyhow::Result<()> {
        Ok(())
    }
}
