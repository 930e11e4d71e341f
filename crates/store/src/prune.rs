//! Retention: what is over and old goes.

use std::collections::BTreeSet;

use plimsoll_model::{Delivery, DeliveryState, Payload, Second};
use redb::{ReadableTable, WriteTransaction};

use crate::commit::identity_of;
use crate::tables::{self, decode, meta};
use crate::transaction::{set_single, single};
use crate::{Checkpoint, Decided, Error, SegmentEntry};

/// The most incidents, deliveries and segments that one call of [`crate::Store::prune`] removes
/// of each, so that no transaction grows without bound. What is left goes with the next call.
pub const PRUNED_AT_ONCE_MAX: usize = 10_000;

/// What a call of [`crate::Store::prune`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Deliveries that were accepted or superseded.
    pub deliveries: usize,
    /// Resolved incidents, with their transitions.
    pub incidents: usize,
    /// Segments that were old and that no waiting delivery names.
    pub segments: usize,
    /// Segments that went before their time, because evidence took more space than it may.
    pub shed: usize,
}

/// Removes what ended before `before`, and returns the names of the files to delete.
pub(crate) fn prune(
    transaction: &WriteTransaction,
    before: Second,
    segment_bytes_max: u64,
) -> Result<(Pruned, Vec<String>), Error> {
    // What judging again could regenerate must be there to compare with.
    let checkpoint: Option<Checkpoint> = single(transaction, meta::CHECKPOINT)?;
    let before = before.min(checkpoint.map_or(Second(i64::MIN), |checkpoint| checkpoint.tick));
    let deliveries = prune_deliveries(transaction, before)?;
    let incidents = prune_incidents(transaction, before)?;
    let (segments, shed, files) = prune_segments(transaction, before, segment_bytes_max)?;
    Ok((Pruned { deliveries, incidents, segments, shed }, files))
}

fn prune_deliveries(transaction: &WriteTransaction, before: Second) -> Result<usize, Error> {
    let mut outbox = transaction.open_table(tables::OUTBOX)?;
    let mut states = transaction.open_table(tables::STATES)?;
    let mut orders = transaction.open_table(tables::ORDERS)?;
    let changed = transaction.open_table(tables::CHANGED_DELIVERIES)?;
    let open = transaction.open_table(tables::OPEN)?;
    let mut over = Vec::new();
    for entry in outbox.iter()? {
        let (sequence, order) = entry?;
        let (tick, delivery): (Second, Delivery) = decode(order.value())?;
        if tick >= before || over.len() == PRUNED_AT_ONCE_MAX {
            break;
        }
        if changed.get(sequence.value())?.is_some() {
            continue;
        }
        // Whoever was told that it opened is told what follows, and not a second time.
        if let Payload::Page { transition, .. } = &delivery.payload
            && open.get(transition.incident.0)?.is_some()
        {
            continue;
        }
        let state = states.get(sequence.value())?.map(|state| decode(state.value()));
        if let Some(DeliveryState::Accepted { .. } | DeliveryState::Superseded) =
            state.transpose()?
        {
            over.push(delivery);
        }
    }
    for delivery in &over {
        outbox.remove(delivery.sequence)?;
        states.remove(delivery.sequence)?;
        orders.remove(identity_of(&delivery.sink, &delivery.key, &delivery.payload).as_str())?;
    }
    Ok(over.len())
}

fn prune_incidents(transaction: &WriteTransaction, before: Second) -> Result<usize, Error> {
    let mut incidents = transaction.open_table(tables::INCIDENTS)?;
    let mut transitions = transaction.open_table(tables::TRANSITIONS)?;
    let mut by_tick = transaction.open_table(tables::TRANSITIONS_BY_TICK)?;
    let open = transaction.open_table(tables::OPEN)?;
    let mut over = BTreeSet::new();
    for entry in by_tick.range(..(before.0, 0, 0))? {
        let (_, incident, sequence) = entry?.0.value();
        let last = incidents.get(incident)?.map(|last| last.value());
        if last == Some(sequence) && open.get(incident)?.is_none() {
            over.insert(incident);
        }
        if over.len() == PRUNED_AT_ONCE_MAX {
            break;
        }
    }
    for incident in &over {
        let mut ticks = Vec::new();
        for entry in transitions.range((*incident, 0)..=(*incident, u32::MAX))? {
            let decided: Decided = decode(entry?.1.value())?;
            ticks.push((decided.transition.as_of.0, decided.transition.sequence));
        }
        for (tick, sequence) in ticks {
            by_tick.remove((tick, *incident, sequence))?;
            transitions.remove((*incident, sequence))?;
        }
        incidents.remove(*incident)?;
    }
    Ok(over.len())
}

fn prune_segments(
    transaction: &WriteTransaction,
    before: Second,
    bytes_max: u64,
) -> Result<(usize, usize, Vec<String>), Error> {
    let wanted = wanted_segments(transaction)?;
    let mut table = transaction.open_table(tables::SEGMENTS)?;
    let mut segments = Vec::new();
    for entry in table.iter()? {
        let (name, record) = entry?;
        let entry: SegmentEntry = decode(record.value())?;
        segments.push((entry.tick, name.value().to_owned(), entry.bytes));
    }
    segments.sort();
    let mut bytes: u64 = segments.iter().map(|(_, _, bytes)| bytes).sum();
    let (mut old, mut shed, mut files) = (0, 0, Vec::new());
    for (tick, name, size) in segments.into_iter().take(PRUNED_AT_ONCE_MAX) {
        if tick < before && !wanted.contains(&name) {
            old += 1;
        } else if bytes > bytes_max {
            shed += 1;
        } else {
            continue;
        }
        bytes -= size;
        table.remove(name.as_str())?;
        files.push(name);
    }
    if shed > 0 {
        let before: u64 = single(transaction, meta::SEGMENTS_SHED)?.unwrap_or(0);
        set_single(transaction, meta::SEGMENTS_SHED, &(before + shed as u64))?;
    }
    Ok((old, shed, files))
}

/// The segments that deliveries name which are not over.
fn wanted_segments(transaction: &WriteTransaction) -> Result<BTreeSet<String>, Error> {
    let outbox = transaction.open_table(tables::OUTBOX)?;
    let states = transaction.open_table(tables::STATES)?;
    let mut wanted = BTreeSet::new();
    for entry in outbox.iter()? {
        let (sequence, order) = entry?;
        let state = states.get(sequence.value())?.map(|state| decode(state.value()));
        if let Some(DeliveryState::Accepted { .. } | DeliveryState::Superseded) =
            state.transpose()?
        {
            continue;
        }
        let (_, delivery): (Second, Delivery) = decode(order.value())?;
        if let Payload::Rows { segments, .. } = delivery.payload {
            wanted.extend(segments);
        }
    }
    Ok(wanted)
}
