//! What changed in deliveries and rejects since it was copied to tables elsewhere.
//!
//! Each change gets the store's next revision, in the transaction that makes it. So nothing that
//! is durable can be missed by a copy, and of two copies of one row the newer one is known.

use plimsoll_model::Reject;
use redb::{Key, ReadableTable, TableDefinition, Value, WriteTransaction};

use crate::tables::{self, RejectKey, meta};
use crate::transaction::{set_single, single};
use crate::{Error, Ordered};

/// The most deliveries, and the most rejects, that one call of [`crate::Snapshot::changes`] gives.
pub const CHANGES_AT_ONCE_MAX: usize = 1_000;

/// Deliveries and rejects as they are now, each with the revision of its last change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// By their place in the outbox.
    pub deliveries: Vec<(u64, Ordered)>,
    /// By (source, partition, offset).
    pub rejects: Vec<(u64, Reject)>,
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.deliveries.is_empty() && self.rejects.is_empty()
    }

    /// Whether there may be more than one call gives.
    pub fn is_full(&self) -> bool {
        self.deliveries.len().max(self.rejects.len()) >= CHANGES_AT_ONCE_MAX
    }
}

/// Begins to remember changes; at first everything that is there has changed.
pub(crate) fn remember(transaction: &WriteTransaction, first: u64) -> Result<(), Error> {
    let (next, is_remembered) = revision(transaction)?;
    set_single(transaction, meta::REVISION, &(next.max(first), true))?;
    if is_remembered {
        return Ok(());
    }
    let mut deliveries = Vec::new();
    for entry in transaction.open_table(tables::OUTBOX)?.iter()? {
        deliveries.push(entry?.0.value());
    }
    let mut rejects = Vec::new();
    for entry in transaction.open_table(tables::REJECTS)?.iter()? {
        rejects.push(entry?.0.value());
    }
    note_deliveries(transaction, &deliveries)?;
    note_rejects(transaction, &rejects)
}

/// Nobody wants to know of changes. Revisions are not used twice all the same.
pub(crate) fn forget(transaction: &WriteTransaction) -> Result<(), Error> {
    let (next, is_remembered) = revision(transaction)?;
    if is_remembered {
        set_single(transaction, meta::REVISION, &(next, false))?;
        transaction.open_table(tables::CHANGED_DELIVERIES)?.retain(|_, _| false)?;
        transaction.open_table(tables::CHANGED_REJECTS)?.retain(|_, _| false)?;
    }
    Ok(())
}

/// The deliveries in these places of the outbox are new or have a new state.
pub(crate) fn note_deliveries(
    transaction: &WriteTransaction,
    sequences: &[u64],
) -> Result<(), Error> {
    note(transaction, tables::CHANGED_DELIVERIES, sequences)
}

/// These rejects are new, or other than before.
pub(crate) fn note_rejects(
    transaction: &WriteTransaction,
    keys: &[RejectKey],
) -> Result<(), Error> {
    note(transaction, tables::CHANGED_REJECTS, keys)
}

fn note<K: Key + for<'a> Value<SelfType<'a> = K> + 'static>(
    transaction: &WriteTransaction,
    table: TableDefinition<K, u64>,
    keys: &[K],
) -> Result<(), Error> {
    let (mut next, is_remembered) = revision(transaction)?;
    if keys.is_empty() || !is_remembered {
        return Ok(());
    }
    let mut changed = transaction.open_table(table)?;
    for key in keys {
        changed.insert(key, next)?;
        next += 1;
    }
    set_single(transaction, meta::REVISION, &(next, true))
}

/// `changes` were copied. What has changed again since is still to be copied.
pub(crate) fn copied(transaction: &WriteTransaction, changes: &Changes) -> Result<(), Error> {
    let mut deliveries = transaction.open_table(tables::CHANGED_DELIVERIES)?;
    for (revision, ordered) in &changes.deliveries {
        let sequence = ordered.delivery.sequence;
        let last = deliveries.get(sequence)?.map(|last| last.value());
        if last == Some(*revision) {
            deliveries.remove(sequence)?;
        }
    }
    let mut rejects = transaction.open_table(tables::CHANGED_REJECTS)?;
    for (revision, reject) in &changes.rejects {
        let key = tables::reject_key(reject);
        let last = rejects.get(key)?.map(|last| last.value());
        if last == Some(*revision) {
            rejects.remove(key)?;
        }
    }
    Ok(())
}

/// The next revision, and whether changes are remembered.
fn revision(transaction: &WriteTransaction) -> Result<(u64, bool), Error> {
    Ok(single(transaction, meta::REVISION)?.unwrap_or_default())
}
