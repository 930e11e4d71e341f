//! Faults that a test can plant, to show that it would see them.

/// A mistake that the store makes on purpose when [`crate::Options`] ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "simulation"), allow(dead_code, reason = "only tests plant faults"))]
pub enum Fault {
    /// The database is never synced.
    DatabaseNotSynced,
    /// A segment is renamed before it is synced.
    SegmentNotSynced,
    /// The directory is not synced after a segment was renamed.
    DirectoryNotSynced,
    /// A segment is registered before it is written.
    SegmentRegisteredFirst,
    /// Segments that no transaction names are kept at opening.
    UnregisteredKept,
    /// The checkpoint is stored in a transaction of its own, before what it rests on.
    CheckpointFirst,
    /// Deliveries are ordered in a transaction of their own, after the transitions.
    OutboxLater,
    /// A commit that is given again orders its deliveries again.
    OrderedTwice,
    /// Marks are not stored.
    MarksNotJournaled,
    /// A checkpoint drops the whole journal, also what is newer than it.
    JournalDroppedWhole,
}

impl Fault {
    /// All faults.
    #[cfg(feature = "simulation")]
    pub const ALL: [Fault; 10] = [
        Fault::DatabaseNotSynced,
        Fault::SegmentNotSynced,
        Fault::DirectoryNotSynced,
        Fault::SegmentRegisteredFirst,
        Fault::UnregisteredKept,
        Fault::CheckpointFirst,
        Fault::OutboxLater,
        Fault::OrderedTwice,
        Fault::MarksNotJournaled,
        Fault::JournalDroppedWhole,
    ];
}
