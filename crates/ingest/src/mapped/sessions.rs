//! Session rows of a mapped record.

use plimsoll_model::sessions::{SessionEvent, SessionRow};
use plimsoll_model::{Holder, Time};

use super::Place;
use super::event::{EventField, listed};
use crate::fields::{Captured, Plan, Slot};
use crate::map::SessionMap;
use crate::parser::{Fault, Meaning, Rows};
use crate::timestamp::TimeUnit;

/// The fields of a session row.
pub(super) struct SessionFields {
    id: Option<Slot>,
    event: EventField<SessionEvent>,
    age: Option<Slot>,
    waited: Option<Slot>,
    age_unit: TimeUnit,
    pub(super) started: Option<Slot>,
    reason: Option<Slot>,
}

impl SessionFields {
    pub(super) fn new(map: &SessionMap, plan: &mut Plan) -> Result<SessionFields, String> {
        let constant = map.events.keys().next().copied();
        Ok(SessionFields {
            id: plan.optional(&map.id),
            event: EventField::new(&map.event, listed(&map.events), constant, false, plan)?,
            age: plan.optional(&map.age),
            waited: plan.optional(&map.waited),
            age_unit: map.age_unit,
            started: plan.optional(&map.started),
            reason: plan.optional(&map.reason),
        })
    }

    pub(super) fn decode(
        &self,
        captured: &Captured<'_>,
        at: &Place<'_>,
        started: Option<Time>,
        holder: Holder<'_>,
        rows: &mut Rows,
    ) -> Result<Meaning, Fault> {
        let Some(event) = self.event.read(captured)? else { return Ok(Meaning::Irrelevant) };
        let resource = at.resource()?;
        let id = captured.optional_name(self.id)?;
        let needs_id = !matches!(event, SessionEvent::Refused | SessionEvent::Reset);
        if needs_id && id.is_none() {
            return Err(self.id.map_or_else(|| Fault::missing("id"), |id| captured.missing(id)));
        }
        let length_us = |field: Option<Slot>, negative: &str| {
            let length = captured.optional_number(field)?;
            let length_us = length.map(|length| self.age_unit.micros_of_fraction(length));
            match (field, length_us) {
                (Some(field), Some(..0)) => Err(captured.bad_value(field, negative)),
                _ => Ok(length_us),
            }
        };
        let age_us = length_us(self.age, "is a negative age")?;
        let waited_us = length_us(self.waited, "is a negative wait")?;
        let reason = captured.optional_name(self.reason)?;
        rows.sessions.append(&SessionRow {
            time: at.time,
            offset: at.offset,
            event,
            resource,
            session: id.as_deref(),
            started: started.filter(|started| started.is_plausible()),
            age_us,
            waited_us,
            reason: reason.as_deref(),
            holder,
        });
        Ok(Meaning::Used)
    }
}
