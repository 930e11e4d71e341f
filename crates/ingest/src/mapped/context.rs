//! Context events of a mapped record.

use plimsoll_model::lives::{EndCause, LifeEvent, LifeRow};
use plimsoll_model::{Dimension, Holder};

use super::Place;
use super::event::{EventField, listed};
use crate::fields::{Captured, Plan, Slot};
use crate::map::{ContextMap, MapConfig};
use crate::parser::{Fault, Meaning, Rows};

/// The map of the canonical form of context events, which a source of `role: context` has when it
/// gives none.
pub(super) fn canonical_context() -> MapConfig {
    MapConfig {
        time: "time".into(),
        resource: Some("resource".into()),
        holder: Dimension::ALL.into_iter().map(|each| (each, each.name().into())).collect(),
        context: Some(ContextMap {
            event: Some("event".into()),
            value: Some("value".into()),
            note: Some("note".into()),
            cause: Some("cause".into()),
            predecessor: Some("predecessor".into()),
            ..ContextMap::default()
        }),
        ..MapConfig::default()
    }
}

/// The fields of a context event.
pub(super) struct ContextFields {
    event: EventField<LifeEvent>,
    value: Option<Slot>,
    note: Option<Slot>,
    cause: Option<Slot>,
    causes: Vec<(String, EndCause)>,
    predecessor: Option<Slot>,
}

impl ContextFields {
    pub(super) fn new(map: &ContextMap, plan: &mut Plan) -> Result<ContextFields, String> {
        let constant = map.events.keys().next().copied();
        let closed = map.events.is_empty();
        let events = match closed {
            true => LifeEvent::ALL.into_iter().map(|each| (each.name().into(), each)).collect(),
            false => listed(&map.events),
        };
        Ok(ContextFields {
            event: EventField::new(&map.event, events, constant, closed, plan)?,
            value: plan.optional(&map.value),
            note: plan.optional(&map.note),
            cause: plan.optional(&map.cause),
            causes: listed(&map.causes),
            predecessor: plan.optional(&map.predecessor),
        })
    }

    pub(super) fn decode(
        &self,
        captured: &Captured<'_>,
        at: &Place<'_>,
        holder: Holder<'_>,
        rows: &mut Rows,
    ) -> Result<Meaning, Fault> {
        let Some(event) = self.event.read(captured)? else { return Ok(Meaning::Irrelevant) };
        let value = captured.optional_number(self.value)?;
        let problem = match (event, value) {
            (LifeEvent::LimitChange, None) => return Err(self.missing_value(captured)),
            (LifeEvent::LimitChange, Some(value)) if value < 1.0 => "is a limit below 1",
            (LifeEvent::Scale, Some(value)) if value < 0.0 => "is a negative number of instances",
            _ => "",
        };
        if let (Some(field), false) = (self.value, problem.is_empty()) {
            return Err(captured.bad_value(field, problem));
        }
        if event == LifeEvent::LimitChange {
            at.resource()?;
        }
        let note = captured.optional_name(self.note)?;
        let cause = match event {
            LifeEvent::End => captured.optional_name(self.cause)?.map(|text| self.cause(&text)),
            _ => None,
        };
        let predecessor = captured.optional_name(self.predecessor)?;
        rows.lives.append(&LifeRow {
            time: at.time,
            offset: at.offset,
            event,
            resource: at.resource,
            value,
            note: note.as_deref(),
            cause,
            predecessor: predecessor.as_deref().filter(|_| event == LifeEvent::Start),
            holder,
        });
        Ok(Meaning::Used)
    }

    fn cause(&self, text: &str) -> EndCause {
        let listed = self.causes.iter().find(|(value, _)| value == text);
        let cause = listed.map(|(_, cause)| *cause).or_else(|| EndCause::from_name(text));
        cause.unwrap_or_default()
    }

    fn missing_value(&self, captured: &Captured<'_>) -> Fault {
        self.value.map_or_else(|| Fault::missing("value"), |value| captured.missing(value))
    }
}
