//! Samples of a mapped record.

use plimsoll_model::Holder;
use plimsoll_model::samples::{SampleRow, metric};

use super::Place;
use crate::fields::{Captured, Plan, Slot};
use crate::map::{MapConfig, Unit};
use crate::parser::{Fault, Meaning, Rows};

/// The values of a map: at least one.
pub(super) struct SampleFields(Vec<Measure>);

struct Measure {
    metric: String,
    field: Slot,
    unit: Unit,
}

impl SampleFields {
    pub(super) fn new(map: &MapConfig, plan: &mut Plan) -> SampleFields {
        let measures = map.value.iter().map(|(metric, path)| Measure {
            metric: metric.clone(),
            field: plan.slot(path),
            unit: map.unit.get(metric).copied().unwrap_or_default(),
        });
        SampleFields(measures.collect())
    }

    /// One row for each value that is there and can be used. If one cannot, the record is a reject as
    /// well: an exporter that says `limit: 0` for "none" must not hide the use.
    pub(super) fn decode(
        &self,
        captured: &Captured<'_>,
        at: &Place<'_>,
        holder: Holder<'_>,
        rows: &mut Rows,
    ) -> Result<Meaning, Fault> {
        let resource = at.resource()?;
        let (mut found, mut fault) = (false, None);
        for measure in &self.0 {
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
                let first = self.0.first().expect("a map of samples has a value");
                Err(captured.missing(first.field))
            }
        }
    }
}

fn sample_value(measure: &Measure, captured: &Captured<'_>) -> Result<Option<f64>, Fault> {
    let Some(value) = captured.optional_number(Some(measure.field))? else { return Ok(None) };
    let value = measure.unit.to_base(value);
    let problem = match measure.metric.as_str() {
        _ if !value.is_finite() => "is not a finite number",
        metric::LIMIT | metric::LIMIT_AFTER_COLLECTION if value < 1.0 => {
            "is a limit below 1; leave it out where there is none"
        }
        metric::USED if value < 0.0 => "is a negative count",
        metric::UPTIME if value < 0.0 => "is a negative uptime",
        metric::MEMORY | metric::MEMORY_ANONYMOUS | metric::MEMORY_AFTER_COLLECTION
            if value < 0.0 =>
        {
            "is a negative amount of memory"
        }
        _ => return Ok(Some(value)),
    };
    Err(captured.bad_value(measure.field, problem))
}
