//! What survives a power cut: checkpoint, journal, incident book, outbox, evidence segments.
//!
//! A pipeline has one data directory and one [`Store`] that writes it. The judge hands over a
//! [`Commit`]; when [`Store::commit`] returns, all of it is durable, and before that none of it
//! is. Senders take what [`Store::next_deliveries`] gives, and [`Store::record`] what became of
//! it: a delivery is sent only after the transaction that ordered it, and repeated until its
//! acceptance is durable. After a crash, [`Store::recover`] says where to go on.
//!
//! [`Snapshot`] reads; [`Reader`] opens a snapshot from another process while the pipeline runs.
//!
//! The directory is a [`Disk`], so that tests can run the real engine over one that loses what
//! was not synced (feature `simulation`).
//!
//! This crate never reads a clock, starts a thread, or knows Kafka, a network or SQL. It does not
//! look into a checkpoint's bytes.
//!
//! ```
//! use plimsoll_model::Second;
//! use plimsoll_store::{Commit, Options, Store};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! let options = Options { ballast_bytes: 0, ..Options::new("payments") };
//! let mut store = Store::open(dir.path(), options.clone())?;
//! store.commit(&Commit { tick: Second(1_700_000_000), ..Commit::default() })?;
//! drop(store);
//!
//! let recovered = Store::open(dir.path(), options)?.recover()?;
//! assert_eq!(recovered.decided_through, Some(Second(1_700_000_000)));
//! # Ok(())
//! # }
//! ```

mod backend;
mod changes;
mod commit;
mod directory;
mod disk;
mod error;
mod fault;
mod prune;
mod segment;
#[cfg(feature = "simulation")]
pub mod simulation;
mod snapshot;
mod store;
mod tables;
mod transaction;

pub use changes::{CHANGES_AT_ONCE_MAX, Changes};
pub use commit::{
    Checkpoint, Commit, Decided, NewDelivery, Ordered, Recovered, RejectsBeyond, SegmentEntry,
};
pub use directory::Directory;
pub use disk::Disk;
pub use error::{Error, Retry};
pub use prune::{PRUNED_AT_ONCE_MAX, Pruned};
pub use snapshot::{Reader, Snapshot};
pub use store::{Options, Store};
pub use tables::FORMAT_VERSION;
pub use transaction::REJECTS_KEPT_PER_PARTITION_MAX;
