//! What one commit does to the tables.

use std::collections::BTreeSet;

use plimsoll_model::{
    Change, Delivery, DeliveryState, Mark, PartitionId, Payload, Reject, Second, Time, Transition,
};
use redb::{ReadableTable, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::commit::identity_of;
use crate::fault::Fault;
use crate::tables::{self, decode, encode, meta};
use crate::{
    Checkpoint, Commit, Decided, Error, NewDelivery, RejectsBeyond, SegmentEntry, changes,
};

/// The most rejects that are kept of one partition; the ones with the lowest offsets go first.
pub const REJECTS_KEPT_PER_PARTITION_MAX: usize = 1_000;

/// Writes all of `commit`; `segments` are the names and entries of its evidence.
pub(crate) fn commit(
    transaction: &WriteTransaction,
    commit: &Commit,
    segments: &[(String, SegmentEntry)],
    fault: Option<Fault>,
) -> Result<(), Error> {
    for (transition, decided_at) in &commit.transitions {
        insert_transition(transaction, transition, *decided_at)?;
    }
    for (name, entry) in segments {
        let mut table = transaction.open_table(tables::SEGMENTS)?;
        table.insert(name.as_str(), encode(entry).as_slice())?;
    }
    if fault != Some(Fault::OutboxLater) {
        order(transaction, commit, segments, fault)?;
    }
    for (sequence, state) in &commit.states {
        set_state(transaction, *sequence, state)?;
    }
    if fault != Some(Fault::MarksNotJournaled) {
        journal(transaction, commit.tick, &commit.marks)?;
    }
    advance(transaction, commit, fault)?;
    insert_rejects(transaction, &commit.rejects)?;
    for beyond in &commit.rejects_beyond {
        count_beyond(transaction, beyond)?;
    }
    Ok(())
}

/// Moves the last decided tick and the checkpoint forward.
pub(crate) fn advance(
    transaction: &WriteTransaction,
    commit: &Commit,
    fault: Option<Fault>,
) -> Result<(), Error> {
    let decided: Option<Second> = single(transaction, meta::DECIDED_THROUGH)?;
    if decided < Some(commit.tick) {
        set_single(transaction, meta::DECIDED_THROUGH, &commit.tick)?;
    }
    match &commit.checkpoint {
        Some(checkpoint) => set_checkpoint(transaction, commit.tick, checkpoint, fault),
        None => Ok(()),
    }
}

fn insert_transition(
    transaction: &WriteTransaction,
    transition: &Transition,
    decided_at: Time,
) -> Result<(), Error> {
    let Transition { incident, sequence, .. } = *transition;
    let conflict = |detail: String| Error::Conflict { incident, sequence, detail };
    let mut transitions = transaction.open_table(tables::TRANSITIONS)?;
    if let Some(record) = transitions.get((incident.0, sequence))? {
        let stored: Decided = decode(record.value())?;
        if encode(&stored.transition) == encode(transition) {
            return Ok(());
        }
        return Err(conflict(format!("stored {:?}, given {transition:?}", stored.transition)));
    }
    let mut incidents = transaction.open_table(tables::INCIDENTS)?;
    let last = incidents.get(incident.0)?.map_or(0, |sequence| sequence.value());
    if sequence != last.saturating_add(1) {
        return Err(conflict(format!("the last durable one is {last}")));
    }
    let decided = Decided { transition: transition.clone(), decided_at };
    transitions.insert((incident.0, sequence), encode(&decided).as_slice())?;
    incidents.insert(incident.0, sequence)?;
    let mut by_tick = transaction.open_table(tables::TRANSITIONS_BY_TICK)?;
    by_tick.insert((transition.as_of.0, incident.0, sequence), ())?;
    let mut open = transaction.open_table(tables::OPEN)?;
    match transition.change {
        Change::Opened | Change::Updated => open.insert(incident.0, ())?,
        Change::Resolved => open.remove(incident.0)?,
    };
    Ok(())
}

/// Puts the deliveries that were never ordered before into the outbox.
pub(crate) fn order(
    transaction: &WriteTransaction,
    commit: &Commit,
    segments: &[(String, SegmentEntry)],
    fault: Option<Fault>,
) -> Result<(), Error> {
    let mut next: u64 = single(transaction, meta::OUTBOX_NEXT)?.unwrap_or(0);
    for new in &commit.deliveries {
        let identity = identity_of(&new.sink, &new.key, &new.payload);
        let mut orders = transaction.open_table(tables::ORDERS)?;
        let known = orders.get(identity.as_str())?.is_some();
        if known && fault != Some(Fault::OrderedTwice) {
            continue;
        }
        orders.insert(identity.as_str(), next)?;
        let delivery = Delivery {
            sequence: next,
            sink: new.sink.clone(),
            key: new.key.clone(),
            payload: payload(new, segments),
        };
        let mut outbox = transaction.open_table(tables::OUTBOX)?;
        outbox.insert(next, encode(&(commit.tick, &delivery)).as_slice())?;
        let state = match new.held {
            true => DeliveryState::Held,
            false => DeliveryState::Pending { attempts: 0, last_error: None },
        };
        drop(outbox);
        put_state(transaction, &delivery, &state)?;
        next += 1;
    }
    set_single(transaction, meta::OUTBOX_NEXT, &next)
}

fn payload(new: &NewDelivery, segments: &[(String, SegmentEntry)]) -> Payload {
    let mut payload = new.payload.clone();
    if let (true, Payload::Rows { segments: named, .. }) = (new.with_evidence, &mut payload) {
        *named = segments.iter().map(|(name, _)| name.clone()).collect();
    }
    payload
}

/// Records what became of delivery `sequence`.
pub(crate) fn set_state(
    transaction: &WriteTransaction,
    sequence: u64,
    state: &DeliveryState,
) -> Result<(), Error> {
    let order = transaction.open_table(tables::OUTBOX)?.get(sequence)?.map(|order| {
        let order: Result<(Second, Delivery), Error> = decode(order.value());
        order
    });
    let before = transaction.open_table(tables::STATES)?.get(sequence)?.map(|state| {
        let state: Result<DeliveryState, Error> = decode(state.value());
        state
    });
    match (order.transpose()?, before.transpose()?) {
        // An acceptance is never taken back: the receiver has it.
        (_, Some(before @ DeliveryState::Accepted { .. })) if before != *state => {
            Err(Error::Invalid(format!("delivery {sequence} is accepted, it cannot be {state}")))
        }
        (Some((_, delivery)), _) => put_state(transaction, &delivery, state),
        (None, _) => Err(Error::Invalid(format!("delivery {sequence} was never ordered"))),
    }
}

fn put_state(
    transaction: &WriteTransaction,
    delivery: &Delivery,
    state: &DeliveryState,
) -> Result<(), Error> {
    let mut states = transaction.open_table(tables::STATES)?;
    states.insert(delivery.sequence, encode(state).as_slice())?;
    let mut pending = transaction.open_table(tables::PENDING)?;
    let key = (delivery.sink.as_str(), delivery.sequence);
    match state {
        DeliveryState::Pending { .. } => pending.insert(key, ())?,
        _ => pending.remove(key)?,
    };
    changes::note_deliveries(transaction, &[delivery.sequence])
}

/// Adds `marks` to the journal at `tick`, without those that already stand there.
fn journal(transaction: &WriteTransaction, tick: Second, marks: &[Mark]) -> Result<(), Error> {
    let mut journal = transaction.open_table(tables::JOURNAL)?;
    let mut stored = Vec::new();
    for entry in journal.range((tick.0, 0)..=(tick.0, u32::MAX))? {
        stored.push(decode::<Mark>(entry?.1.value())?);
    }
    for mark in marks {
        if !stored.contains(mark) {
            journal.insert((tick.0, stored.len() as u32), encode(mark).as_slice())?;
            stored.push(*mark);
        }
    }
    Ok(())
}

/// Replaces an older checkpoint and drops the journal that it covers.
fn set_checkpoint(
    transaction: &WriteTransaction,
    tick: Second,
    checkpoint: &Checkpoint,
    fault: Option<Fault>,
) -> Result<(), Error> {
    if checkpoint.tick != tick {
        return Err(Error::Invalid(format!(
            "checkpoint of tick {} must be of the commit's tick {tick}",
            checkpoint.tick
        )));
    }
    let stored: Option<Checkpoint> = single(transaction, meta::CHECKPOINT)?;
    if stored.is_some_and(|stored| stored.tick > tick) {
        return Ok(());
    }
    set_single(transaction, meta::CHECKPOINT, checkpoint)?;
    let mut journal = transaction.open_table(tables::JOURNAL)?;
    let through = match fault {
        Some(Fault::JournalDroppedWhole) => i64::MAX,
        _ => tick.0,
    };
    journal.retain_in(..=(through, u32::MAX), |_, _| false)?;
    Ok(())
}

/// Keeps and counts the rejects that were not counted before, and drops the oldest beyond the
/// limit.
fn insert_rejects(transaction: &WriteTransaction, rejects: &[Reject]) -> Result<(), Error> {
    let partitions: BTreeSet<PartitionId> = rejects.iter().map(|reject| reject.partition).collect();
    for partition in partitions {
        let (source, number) = (partition.source.0, partition.partition);
        let range = (source, number, i64::MIN, 0)..=(source, number, i64::MAX, u8::MAX);
        let mut table = transaction.open_table(tables::REJECTS)?;
        let mut kept = table.range(range.clone())?.count();
        let lowest = table.range(range.clone())?.next().transpose()?.map(|entry| entry.0.value().2);
        // What lies below a full table was counted before newer ones pushed it out.
        let full = kept >= REJECTS_KEPT_PER_PARTITION_MAX;
        let counted_below = if full { lowest.unwrap_or(i64::MIN) } else { i64::MIN };
        let mut changed = Vec::new();
        for reject in rejects.iter().filter(|reject| reject.partition == partition) {
            if reject.offset < counted_below {
                continue;
            }
            let (key, record) = (tables::reject_key(reject), encode(reject));
            let before = table.insert(key, record.as_slice())?;
            if before.as_ref().is_none_or(|before| before.value() != record) {
                changed.push(key);
            }
            if before.is_none() {
                add(transaction, (source, number, key.3), 1)?;
                kept += 1;
            }
        }
        changes::note_rejects(transaction, &changed)?;
        let excess = kept.saturating_sub(REJECTS_KEPT_PER_PARTITION_MAX);
        let mut oldest = Vec::with_capacity(excess);
        for entry in table.range(range)?.take(excess) {
            oldest.push(entry?.0.value());
        }
        let mut changed = transaction.open_table(tables::CHANGED_REJECTS)?;
        for key in oldest {
            table.remove(key)?;
            changed.remove(key)?;
        }
    }
    Ok(())
}

fn count_beyond(transaction: &WriteTransaction, beyond: &RejectsBeyond) -> Result<(), Error> {
    let (source, partition) = (beyond.partition.source.0, beyond.partition.partition);
    let mut through = transaction.open_table(tables::REJECTS_BEYOND_THROUGH)?;
    let counted = through.get((source, partition))?.map(|offset| offset.value());
    if counted.is_some_and(|counted| beyond.first_offset < counted) {
        return Ok(());
    }
    through.insert((source, partition), beyond.next_offset)?;
    for (reason, count) in beyond.counts.iter().enumerate() {
        if *count > 0 {
            add(transaction, (source, partition, reason as u8), *count)?;
        }
    }
    Ok(())
}

fn add(transaction: &WriteTransaction, key: (u16, u32, u8), count: u64) -> Result<(), Error> {
    let mut counts = transaction.open_table(tables::REJECT_COUNTS)?;
    let before = counts.get(key)?.map_or(0, |count| count.value());
    counts.insert(key, before.saturating_add(count))?;
    Ok(())
}

pub(crate) fn single<T: DeserializeOwned>(
    transaction: &WriteTransaction,
    name: &str,
) -> Result<Option<T>, Error> {
    let table = transaction.open_table(tables::META)?;
    table.get(name)?.map(|record| decode(record.value())).transpose()
}

pub(crate) fn set_single<T: Serialize>(
    transaction: &WriteTransaction,
    name: &str,
    value: &T,
) -> Result<(), Error> {
    transaction.open_table(tables::META)?.insert(name, encode(value).as_slice())?;
    Ok(())
}
