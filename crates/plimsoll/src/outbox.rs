//! One sink's way through its deliveries: in order, one at a time, until each is accepted or
//! refused; and what became of all of them, for the tables. What is pure stands here; `run.rs`
//! adds sockets and timers.

use std::time::Duration;

use arrow::array::RecordBatch;
use plimsoll_deliver::Backoff;
use plimsoll_model::evidence::Table;
use plimsoll_model::{Delivery, DeliveryState, Outcome, Payload, Time};
use plimsoll_store::{Changes, Store};

use crate::fault::{Fault, is_planted};

/// What to do after an attempt was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on with the next delivery.
    Proceed,
    /// Try the same delivery again after this time.
    RetryAfter(Duration),
}

/// The next delivery that `sink` owes, if any: the oldest one not accepted or refused. A resolve
/// therefore never overtakes its trigger.
pub fn next(
    store: &mut Store,
    sink: &str,
) -> Result<Option<(Delivery, u32)>, plimsoll_store::Error> {
    let ahead = if is_planted(Fault::ResolveFirst) { 100 } else { 1 };
    let Some(ordered) = store.next_deliveries(sink, ahead)?.pop() else { return Ok(None) };
    let mut delivery = ordered.delivery;
    let attempts = match ordered.state {
        DeliveryState::Pending { attempts, .. } => attempts,
        _ => 0,
    };
    if is_planted(Fault::AcceptedBeforeSent) {
        let (at, answer) = (Time::default(), String::new());
        store.record(delivery.sequence, &DeliveryState::Accepted { at, answer })?;
    }
    if is_planted(Fault::KeyPerAttempt) {
        delivery.key = format!("{}#{attempts}", delivery.key);
    }
    Ok(Some((delivery, attempts)))
}

/// The evidence that `delivery` names, by table. A segment that was given up because evidence took
/// too much space is not waited for: the rest goes without it.
pub fn evidence(
    store: &Store,
    delivery: &Delivery,
) -> Result<Vec<(Table, RecordBatch)>, plimsoll_store::Error> {
    let Payload::Rows { segments, .. } = &delivery.payload else { return Ok(Vec::new()) };
    let snapshot = store.snapshot()?;
    let mut evidence = Vec::with_capacity(segments.len());
    for name in segments {
        evidence.extend(snapshot.evidence(name)?);
    }
    Ok(evidence)
}

/// Records what became of an attempt. When it returns, the answer is durable.
///
/// `random` spreads repetitions of many instances; any number will do.
pub fn record(
    store: &mut Store,
    delivery: &Delivery,
    attempts: u32,
    outcome: Outcome,
    now: Time,
    random: u64,
) -> Result<Next, plimsoll_store::Error> {
    if is_planted(Fault::AcceptedBeforeSent) {
        return Ok(Next::Proceed);
    }
    let (state, next) = match outcome {
        Outcome::Accepted { answer } => {
            (DeliveryState::Accepted { at: now, answer }, Next::Proceed)
        }
        Outcome::Refused { error } => (DeliveryState::Refused { at: now, error }, Next::Proceed),
        Outcome::Later { error, .. } if is_planted(Fault::LostAnswerIsRefusal) => {
            (DeliveryState::Refused { at: now, error }, Next::Proceed)
        }
        Outcome::Later { after, error } => {
            let attempts = attempts.saturating_add(1);
            let delay = Backoff::default().delay(attempts, random, after);
            let state = DeliveryState::Pending { attempts, last_error: Some(error) };
            (state, Next::RetryAfter(delay))
        }
    };
    store.record(delivery.sequence, &state)?;
    Ok(next)
}

/// The pipeline, and what has changed in its deliveries and rejects since that was copied; `None`
/// if nothing has.
pub fn changes(store: &mut Store) -> Result<Option<(String, Changes)>, plimsoll_store::Error> {
    let snapshot = store.snapshot()?;
    let changes = snapshot.changes()?;
    if changes.is_empty() {
        return Ok(None);
    }
    if is_planted(Fault::CopiedBeforeSent) {
        store.copied(&changes)?;
    }
    Ok(Some((snapshot.pipeline()?.unwrap_or_default(), changes)))
}

/// Records that `changes` are in the tables. What has changed meanwhile is still owed.
pub fn copied(store: &mut Store, changes: &Changes) -> Result<(), plimsoll_store::Error> {
    if is_planted(Fault::LaterChangeForgotten) {
        let now = store.snapshot()?.changes()?;
        return store.copied(&now);
    }
    store.copied(changes)
}
