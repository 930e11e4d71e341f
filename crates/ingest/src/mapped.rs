//! Mapped JSON lines: samples, session rows and context events by the source's `map`.

mod context;
mod event;
mod samples;
mod sessions;

use std::borrow::Cow;

use plimsoll_model::{Dimension, Holder, RejectReason, Time};

use crate::config::SourceConfig;
use crate::fields::{Captured, Plan, Slot};
use crate::map::MapConfig;
use crate::parser::{Fault, Meaning, Rows, plausible};
use crate::scalar::Scalar;
use crate::timestamp::{TimeUnit, TimestampReader, time_of_fraction, time_of_integer};
use context::{ContextFields, canonical_context};
use samples::SampleFields;
use sessions::SessionFields;

/// Decodes the lines of one source by its map.
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
    Samples(SampleFields),
    Sessions(SessionFields),
    Context(ContextFields),
}

impl Kind {
    fn new(map: &MapConfig, plan: &mut Plan) -> Result<Kind, String> {
        Ok(match map {
            MapConfig { session: Some(session), .. } => {
                Kind::Sessions(SessionFields::new(session, plan)?)
            }
            MapConfig { context: Some(context), .. } => {
                Kind::Context(ContextFields::new(context, plan)?)
            }
            _ => Kind::Samples(SampleFields::new(map, plan)),
        })
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
            holder: (map.holder.iter().map(|(each, path)| (*each, path)))
                .chain(map.instance.iter().map(|path| (Dimension::ServiceInstanceId, path)))
                .map(|(each, path)| (each, plan.slot(path)))
                .collect(),
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
            Kind::Samples(fields) => fields.decode(&captured, &at, holder, rows),
            Kind::Context(fields) => fields.decode(&captured, &at, holder, rows),
            Kind::Sessions(fields) => {
                let mut read =
                    |field| read_time(&captured, field, self.time_unit, &mut self.timestamps);
                let started = fields.started.map(&mut read).transpose()?.flatten();
                fields.decode(&captured, &at, started, holder, rows)
            }
        }
    }
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
