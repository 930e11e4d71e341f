//! Mapped JSON lines: samples, session rows and context events by the source's `map`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use plimsoll_model::lives::{LifeEvent, LifeRow};
use plimsoll_model::samples::{SampleRow, metric};
use plimsoll_model::sessions::{SessionEvent, SessionRow};
use plimsoll_model::{Dimension, Holder, RejectReason, Time};

use crate::config::{ContextMap, MapConfig, SessionMap, SourceConfig, Unit};
use crate::fields::{Captured, Plan, Slot};
use crate::parser::{Fault, Meaning, Rows, plausible};
use crate::scalar::Scalar;
use crate::timestamp::{TimeUnit, TimestampReader, time_of_fraction, time_of_integer};

pub(crate) struct MappedDecoder {
    plan: Plan,
    time: Slot,
    time_unit: Option<TimeUnit>,
    timestamps: TimestampReader,
    resource_field: Option<Slot>,
    resource: Option<String>,
    holder: Vec<(Dimension, Slot)>,
    kind: Kind,
}

/// What kind of rows the map makes.
enum Kind {
    Samples(Vec<Measure>),
    Sessions(SessionFields),
    Context(ContextFields),
}

struct Measure {
    metric: String,
    field: Slot,
    unit: Unit,
}

struct SessionFields {
    id: Option<Slot>,
    event: EventField<SessionEvent>,
    age: Option<Slot>,
    age_unit: TimeUnit,
    started: Option<Slot>,
    reason: Option<Slot>,
}

struct ContextFields {
    event: EventField<LifeEvent>,
    value: Option<Slot>,
    note: Option<Slot>,
}

/// How a record says what happened.
enum EventField<E> {
    /// Every record is this event.
    Always(E),
    /// The field's value is looked up; one that is not listed is irrelevant, or a reject if the
    /// list is `closed`.
    Field { field: Slot, events: Vec<(String, E)>, closed: bool },
}

impl<E: Copy> EventField<E> {
    fn new(
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
    fn read(&self, captured: &Captured<'_>) -> Result<Option<E>, Fault> {
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

/// The map of the canonical form of context events, which a source of `role: context` has when it
/// gives none.
pub(crate) fn canonical_context() -> MapConfig {
    MapConfig {
        time: "time".into(),
        resource: Some("resource".into()),
        holder: Dimension::ALL.into_iter().map(|each| (each, each.name().into())).collect(),
        context: Some(ContextMap {
            event: Some("event".into()),
            value: Some("value".into()),
            note: Some("note".into()),
            ..ContextMap::default()
        }),
        ..MapConfig::default()
    }
}

impl MappedDecoder {
    pub(crate) fn new(config: &SourceConfig) -> Result<MappedDecoder, String> {
        let canonical;
        let map = match &config.map {
            Some(map) => map,
            None => {
                canonical = canonical_context();
                &canonical
            }
        };
        let mut plan = Plan::default();
        Ok(MappedDecoder {
            time: plan.slot(&map.time),
            time_unit: map.time_unit,
            timestamps: TimestampReader::new(&config.timezone)?,
            resource_field: plan.optional(&map.resource),
            resource: config.resource.clone(),
            holder: map.holder.iter().map(|(each, path)| (*each, plan.slot(path))).collect(),
            kind: Kind::new(map, &mut plan)?,
            plan,
        })
    }

    pub(crate) fn decode(
        &mut self,
        line: &str,
        offset: i64,
        rows: &mut Rows,
    ) -> Result<Meaning, Fault> {
        let captured = self.plan.capture(line)?;
        let time = read_time(&captured, self.time, self.time_unit, &mut self.timestamps)?
            .ok_or_else(|| captured.missing(self.time))?;
        let time = plausible(time)?;
        rows.times.push((offset, time));
        let named = self.resource_field.map(|field| captured.name(field)).transpose()?.flatten();
        let at = Place { time, offset, resource: named.as_deref().or(self.resource.as_deref()) };
        let names = names(&self.holder, &captured)?;
        let holder = holder(&names);
        match &self.kind {
            Kind::Samples(measures) => samples(measures, &captured, &at, holder, rows),
            Kind::Sessions(fields) => {
                let started = fields
                    .started
                    .map(|field| read_time(&captured, field, self.time_unit, &mut self.timestamps));
                let started = started.transpose()?.flatten();
                session(fields, &captured, &at, started, holder, rows)
            }
            Kind::Context(fields) => context(fields, &captured, &at, holder, rows),
        }
    }
}

impl Kind {
    fn new(map: &MapConfig, plan: &mut Plan) -> Result<Kind, String> {
        match map {
            MapConfig { session: Some(session), .. } => Kind::sessions(session, plan),
            MapConfig { context: Some(context), .. } => Kind::context(context, plan),
            MapConfig { value, unit, .. } => {
                let measures = value.iter().map(|(metric, path)| Measure {
                    metric: metric.clone(),
                    field: plan.slot(path),
                    unit: unit.get(metric).copied().unwrap_or_default(),
                });
                Ok(Kind::Samples(measures.collect()))
            }
        }
    }

    fn sessions(map: &SessionMap, plan: &mut Plan) -> Result<Kind, String> {
        let constant = map.events.keys().next().copied();
        let event = EventField::new(&map.event, listed(&map.events), constant, false, plan)?;
        Ok(Kind::Sessions(SessionFields {
            id: plan.optional(&map.id),
            event,
            age: plan.optional(&map.age),
            age_unit: map.age_unit,
            started: plan.optional(&map.started),
            reason: plan.optional(&map.reason),
        }))
    }

    fn context(map: &ContextMap, plan: &mut Plan) -> Result<Kind, String> {
        let constant = map.events.keys().next().copied();
        let closed = map.events.is_empty();
        let events = match closed {
            true => LifeEvent::ALL.into_iter().map(|each| (each.name().into(), each)).collect(),
            false => listed(&map.events),
        };
        Ok(Kind::Context(ContextFields {
            event: EventField::new(&map.event, events, constant, closed, plan)?,
            value: plan.optional(&map.value),
            note: plan.optional(&map.note),
        }))
    }
}

/// The values of all events, each with its event.
fn listed<E: Copy>(events: &BTreeMap<E, Vec<String>>) -> Vec<(String, E)> {
    let pairs = events
        .iter()
        .flat_map(|(event, values)| values.iter().map(move |value| (value.clone(), *event)));
    pairs.collect()
}

/// When and about what a record is.
struct Place<'a> {
    time: Time,
    offset: i64,
    resource: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn resource(&self) -> Result<&'a str, Fault> {
        self.resource.ok_or_else(|| Fault::missing("resource"))
    }
}

type Names<'a> = [Option<Cow<'a, str>>; Dimension::COUNT];

fn names<'a>(fields: &[(Dimension, Slot)], captured: &'a Captured<'_>) -> Result<Names<'a>, Fault> {
    let mut names = Names::default();
    for (dimension, field) in fields {
        names[*dimension as usize] = captured.name(*field)?;
    }
    Ok(names)
}

fn holder<'a>(names: &'a Names<'_>) -> Holder<'a> {
    let mut holder = Holder::default();
    for (dimension, name) in Dimension::ALL.into_iter().zip(names) {
        if let Some(name) = name {
            holder.set(dimension, name);
        }
    }
    holder
}

/// The moment in `field`, or `None` if it is absent. It may be implausible.
fn read_time(
    captured: &Captured<'_>,
    field: Slot,
    unit: Option<TimeUnit>,
    timestamps: &mut TimestampReader,
) -> Result<Option<Time>, Fault> {
    let bad_value = |problem: &str| captured.bad_value(field, problem);
    match captured.value(field) {
        Scalar::Absent => Ok(None),
        Scalar::Integer(number) => Ok(Some(time_of_integer(*number, unit))),
        Scalar::Fraction(number) => {
            let time = time_of_fraction(*number, unit);
            time.map(Some).ok_or_else(|| bad_value("is not a finite number"))
        }
        Scalar::Text(text) => {
            if let Ok(number) = text.trim().parse::<i64>() {
                return Ok(Some(time_of_integer(number, unit)));
            }
            if let Ok(number) = text.trim().parse::<f64>() {
                let time = time_of_fraction(number, unit);
                return time.map(Some).ok_or_else(|| bad_value("is not a finite number"));
            }
            timestamps
                .read(text)
                .map(Some)
                .map_err(|problem| Fault::new(RejectReason::BadValue, problem))
        }
        Scalar::Bool(_) | Scalar::Nested => Err(bad_value("is not a time")),
    }
}

/// One row for each value that is there and can be used. If one cannot, the record is a reject as
/// well: an exporter that says `limit: 0` for "none" must not hide the use.
fn samples(
    measures: &[Measure],
    captured: &Captured<'_>,
    at: &Place<'_>,
    holder: Holder<'_>,
    rows: &mut Rows,
) -> Result<Meaning, Fault> {
    let resource = at.resource()?;
    let (mut found, mut fault) = (false, None);
    for measure in measures {
        match sample_value(measure, captured) {
            Ok(None) => {}
            Ok(Some(value)) => {
                found = true;
                let (time, offset, metric) = (at.time, at.offset, measure.metric.as_str());
                let row = SampleRow { time, offset, resource, metric, value, holder };
                rows.samples.append(&row);
            }
            Err(found) => fault = fault.or(Some(found)),
        }
    }
    match (fault, found) {
        (Some(fault), _) => Err(fault),
        (None, true) => Ok(Meaning::Used),
        (None, false) => {
            let first = measures.first().expect("a map of samples has a value");
            Err(captured.missing(first.field))
        }
    }
}

fn sample_value(measure: &Measure, captured: &Captured<'_>) -> Result<Option<f64>, Fault> {
    let Some(value) = captured.optional_number(Some(measure.field))? else { return Ok(None) };
    let value = measure.unit.to_base(value);
    let problem = match measure.metric.as_str() {
        _ if !value.is_finite() => "is not a finite number",
        metric::LIMIT if value < 1.0 => "is a limit below 1; leave it out where there is none",
        metric::USED if value < 0.0 => "is a negative count",
        _ => return Ok(Some(value)),
    };
    Err(captured.bad_value(measure.field, problem))
}

fn session(
    fields: &SessionFields,
    captured: &Captured<'_>,
    at: &Place<'_>,
    started: Option<Time>,
    holder: Holder<'_>,
    rows: &mut Rows,
) -> Result<Meaning, Fault> {
    let Some(event) = fields.event.read(captured)? else { return Ok(Meaning::Irrelevant) };
    let resource = at.resource()?;
    let id = captured.optional_name(fields.id)?;
    let needs_id = !matches!(event, SessionEvent::Refused | SessionEvent::Reset);
    if needs_id && id.is_none() {
        return Err(fields.id.map_or_else(|| Fault::missing("id"), |id| captured.missing(id)));
    }
    let age_us = captured.optional_number(fields.age)?;
    let age_us = age_us.map(|age| fields.age_unit.micros_of_fraction(age));
    if let (Some(field), Some(..0)) = (fields.age, age_us) {
        return Err(captured.bad_value(field, "is a negative age"));
    }
    let reason = captured.optional_name(fields.reason)?;
    rows.sessions.append(&SessionRow {
        time: at.time,
        offset: at.offset,
        event,
        resource,
        session: id.as_deref(),
        started: started.filter(|started| started.is_plausible()),
        age_us,
        reason: reason.as_deref(),
        holder,
    });
    Ok(Meaning::Used)
}

fn context(
    fields: &ContextFields,
    captured: &Captured<'_>,
    at: &Place<'_>,
    holder: Holder<'_>,
    rows: &mut Rows,
) -> Result<Meaning, Fault> {
    let Some(event) = fields.event.read(captured)? else { return Ok(Meaning::Irrelevant) };
    let value = captured.optional_number(fields.value)?;
    let problem = match (event, value) {
        (LifeEvent::LimitChange, None) => return Err(fields.missing_value(captured)),
        (LifeEvent::LimitChange, Some(value)) if value < 1.0 => "is a limit below 1",
        (LifeEvent::Scale, Some(value)) if value < 0.0 => "is a negative number of instances",
        _ => "",
    };
    if let (Some(field), false) = (fields.value, problem.is_empty()) {
        return Err(captured.bad_value(field, problem));
    }
    if event == LifeEvent::LimitChange {
        at.resource()?;
    }
    let note = captured.optional_name(fields.note)?;
    rows.lives.append(&LifeRow {
        time: at.time,
        offset: at.offset,
        event,
        resource: at.resource,
        value,
        note: note.as_deref(),
        holder,
    });
    Ok(Meaning::Used)
}

impl ContextFields {
    fn missing_value(&self, captured: &Captured<'_>) -> Fault {
        self.value.map_or_else(|| Fault::missing("value"), |value| captured.missing(value))
    }
}
