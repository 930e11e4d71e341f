//! How a record says what happened.

use std::collections::BTreeMap;

use crate::fields::{Captured, Plan, Slot};
use crate::parser::Fault;

/// How a record says what happened.
pub(super) enum EventField<E> {
    /// Every record is this event.
    Always(E),
    /// The field's value is looked up; one that is not listed is irrelevant, or a reject if the
    /// list is `closed`.
    Field { field: Slot, events: Vec<(String, E)>, closed: bool },
}

impl<E: Copy> EventField<E> {
    pub(super) fn new(
        field: &Option<String>,
        events: Vec<(String, E)>,
        constant: Option<E>,
        closed: bool,
        plan: &mut Plan,
    ) -> Result<EventField<E>, String> {
        match (field, constant) {
            (Some(field), _) => Ok(EventField::Field { field: plan.slot(field), events, closed }),
            (None, Some(event)) => Ok(EventField::Always(event)),
            (None, None) => Err("needs `event`, or `events` with one event".into()),
        }
    }

    /// The event of a record, or `None` if it means nothing here.
    pub(super) fn read(&self, captured: &Captured<'_>) -> Result<Option<E>, Fault> {
        let (field, events, closed) = match self {
            EventField::Always(event) => return Ok(Some(*event)),
            EventField::Field { field, events, closed } => (*field, events, *closed),
        };
        let value = captured.name(field)?.ok_or_else(|| captured.missing(field))?;
        let known = events.iter().find(|(listed, _)| *listed == *value);
        if closed && known.is_none() {
            return Err(captured.bad_value(field, "is not a known event"));
        }
        Ok(known.map(|(_, event)| *event))
    }
}

/// The values of all events, each with its event.
pub(super) fn listed<E: Copy>(events: &BTreeMap<E, Vec<String>>) -> Vec<(String, E)> {
    let pairs = events
        .iter()
        .flat_map(|(event, values)| values.iter().map(move |value| (value.clone(), *event)));
    pairs.collect()
}
