//! `GET /api/incidents/{id}`.

use plimsoll_model::{Delivery, DeliveryState, IncidentId, PageAction, Payload};
use plimsoll_store::{Decided, Error, Ordered, Snapshot};
use serde::Serialize;
use serde_json::{Value, json};

use super::levels::{self, Levels};
use super::marks::{self, Mark};
use super::transition::Shown;
use crate::followed::{Followed, Step};
use crate::sources::Pipeline;

/// Transitions in one answer: the newest; earlier ones are left off and counted.
pub const TRANSITIONS_SHOWN_MAX: usize = 200;
/// Deliveries in one answer: the newest; earlier ones are left off and counted.
pub const DELIVERIES_SHOWN_MAX: usize = 200;

/// The body.
#[derive(Debug, Serialize)]
pub(super) struct Incident {
    transitions: Vec<Shown>,
    transitions_left_off: usize,
    deliveries: Vec<Sent>,
    deliveries_left_off: usize,
    levels: Option<Levels>,
    /// How it went on after what the evidence tells.
    followed: Option<Value>,
    marks: Vec<Mark>,
}

/// One delivery, and what became of it.
#[derive(Debug, Serialize)]
struct Sent {
    delivery: u64,
    sink: String,
    key: String,
    /// What a receiver of pages is told to do; `rows` for a table.
    action: &'static str,
    /// The transition that it tells; the newest of this incident if it tells several.
    sequence: u32,
    ordered_at: String,
    state: &'static str,
    attempts: Option<u32>,
    error: Option<String>,
    at: Option<String>,
    answer: Option<String>,
}

/// Everything about one incident, or `None` if no pipeline knows it.
pub(super) fn answer(pipelines: &[Pipeline], id: IncidentId) -> Result<Option<Incident>, Error> {
    for pipeline in pipelines {
        let snapshot = (pipeline.snapshots)()?;
        let transitions = snapshot.transitions_of(id)?;
        if !transitions.is_empty() {
            let mut found = about(&snapshot, id, transitions)?;
            found.followed = pipeline.watched.followed(id).as_ref().map(followed);
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn about(
    snapshot: &Snapshot,
    id: IncidentId,
    mut transitions: Vec<Decided>,
) -> Result<Incident, Error> {
    let levels = levels::read(snapshot, id, &transitions)?;
    let marks = marks::read(snapshot, id, &transitions)?;
    let (deliveries, deliveries_left_off) = newest(sent(snapshot, id)?, DELIVERIES_SHOWN_MAX);
    let transitions_left_off;
    (transitions, transitions_left_off) = newest(transitions, TRANSITIONS_SHOWN_MAX);
    let transitions = transitions.into_iter().map(Shown::of).collect();
    Ok(Incident {
        transitions,
        transitions_left_off,
        deliveries,
        deliveries_left_off,
        levels,
        followed: None,
        marks,
    })
}

fn followed(followed: &Followed) -> Value {
    let step = |step: &Step| json!([step.start.to_string(), step.level, step.owner_level]);
    let steps: Vec<Value> = followed.steps.iter().map(step).collect();
    json!({ "step_seconds": followed.step_seconds, "steps": steps })
}

/// The last `max` of `all`, and how many come before them.
fn newest<T>(mut all: Vec<T>, max: usize) -> (Vec<T>, usize) {
    let left_off = all.len().saturating_sub(max);
    (all.split_off(left_off), left_off)
}

fn sent(snapshot: &Snapshot, id: IncidentId) -> Result<Vec<Sent>, Error> {
    let of_this = |ordered| sent_one(ordered, id);
    Ok(snapshot.deliveries()?.into_iter().filter_map(of_this).collect())
}

fn sent_one(ordered: Ordered, id: IncidentId) -> Option<Sent> {
    let Ordered { tick, delivery, state } = ordered;
    let Delivery { sequence: delivery, sink, key, payload } = delivery;
    let (action, sequence) = match payload {
        Payload::Page { action, transition, .. } => {
            (word(action), (transition.incident == id).then_some(transition.sequence))
        }
        Payload::Rows { transitions, .. } => {
            let of_this = transitions.iter().filter(|(transition, _)| transition.incident == id);
            ("rows", of_this.map(|(transition, _)| transition.sequence).max())
        }
    };
    let sequence = sequence?;
    let name = state.name();
    let (mut attempts, mut error, mut at, mut answer) = (None, None, None, None);
    match state {
        DeliveryState::Pending { attempts: tried, last_error } => {
            (attempts, error) = (Some(tried), last_error);
        }
        DeliveryState::Accepted { at: moment, answer: said } => {
            (at, answer) = (Some(moment.to_string()), Some(said));
        }
        DeliveryState::Refused { at: moment, error: said } => {
            (at, error) = (Some(moment.to_string()), Some(said));
        }
        DeliveryState::Held | DeliveryState::Superseded => {}
    }
    let ordered_at = tick.to_string();
    Some(Sent {
        delivery,
        sink,
        key,
        action,
        sequence,
        ordered_at,
        state: name,
        attempts,
        error,
        at,
        answer,
    })
}

fn word(action: PageAction) -> &'static str {
    match action {
        PageAction::Trigger => "trigger",
        PageAction::Update => "update",
        PageAction::Resolve => "resolve",
    }
}
