//! OTLP metrics as the OpenTelemetry Collector's Kafka exporter writes them: each record is one
//! `ExportMetricsServiceRequest`, in protobuf or in JSON. `docs/formats.md`, "OTLP metrics".

pub mod config;
mod messages;

use std::borrow::Cow;
use std::collections::BTreeMap;

use plimsoll_model::samples::{SampleRow, metric};
use plimsoll_model::{Dimension, Holder, RejectReason, Time};
use prost::Message;

use crate::config::SourceConfig;
use crate::parser::{Fault, Meaning, Rows, plausible};
use config::OtlpConfig;
use messages::{AnyValue, Attribute, DELTA, Metric, NO_RECORDED_VALUE, Point, Request};

/// The attribute that tells a Java heap from the memory beside it, and the value that counts.
const JVM_HEAP: (&str, &str) = ("jvm.memory.type", "heap");

/// Nanoseconds in a microsecond.
const NANOS: u64 = 1_000;

/// Decodes the records of one source.
pub(crate) struct OtlpDecoder {
    resource: String,
    values: BTreeMap<String, Vec<String>>,
    holders: [(Dimension, Vec<String>); Dimension::COUNT],
}

impl OtlpDecoder {
    pub(crate) fn new(config: &SourceConfig) -> Result<OtlpDecoder, String> {
        let standard = OtlpConfig::default();
        let otlp = config.otlp.as_ref().unwrap_or(&standard);
        Ok(OtlpDecoder {
            resource: config.resource.clone().ok_or("needs `resource`")?,
            values: otlp.values(),
            holders: otlp.holders(),
        })
    }

    /// One record in protobuf.
    pub(crate) fn decode_proto(
        &self,
        record: &[u8],
        offset: i64,
        rows: &mut Rows,
    ) -> Result<Meaning, Fault> {
        let request = Request::decode(record).map_err(|error| {
            let detail = format!("not OTLP metrics in protobuf: {error}");
            Fault::new(RejectReason::Malformed, detail)
        })?;
        self.decode(&request, offset, rows)
    }

    /// One record in JSON.
    pub(crate) fn decode_json(
        &self,
        text: &str,
        offset: i64,
        rows: &mut Rows,
    ) -> Result<Meaning, Fault> {
        let request = sonic_rs::from_str(text).map_err(|error| Fault::malformed(&error))?;
        self.decode(&request, offset, rows)
    }

    /// One row for each value that can be used. If one cannot, the record is a reject as well, and
    /// the other values still count.
    fn decode(&self, request: &Request, offset: i64, rows: &mut Rows) -> Result<Meaning, Fault> {
        let (mut used, mut fault) = (Vec::new(), None);
        for block in &request.resource_metrics {
            let attributes = block.resource.as_ref().map_or(&[][..], |it| &it.attributes);
            let names = match self.names(attributes) {
                Ok(names) => names,
                Err(problem) => {
                    fault = fault.or(Some(problem));
                    continue;
                }
            };
            let mut holder = Holder::default();
            for (dimension, name) in Dimension::ALL.into_iter().zip(&names) {
                holder.set(dimension, name.as_deref().unwrap_or_default());
            }
            let metrics = || block.scope_metrics.iter().flat_map(|scope| &scope.metrics);
            let mut started = BTreeMap::new();
            for (ours, theirs) in &self.values {
                let first = theirs.iter().find_map(|name| metrics().find(|it| it.name == *name));
                let Some(first) = first else { continue };
                let same_name = metrics().filter(|it| it.name == first.name);
                for (time, sum) in sums(same_name, ours, &mut started, &mut fault) {
                    used.push(time);
                    rows.samples.append(&SampleRow {
                        time,
                        offset,
                        resource: &self.resource,
                        metric: ours,
                        value: sum,
                        holder,
                    });
                }
            }
            for (time, started) in started {
                rows.samples.append(&SampleRow {
                    time,
                    offset,
                    resource: &self.resource,
                    metric: metric::STARTED,
                    value: started as f64 / 1e6,
                    holder,
                });
            }
        }
        if !used.is_empty() {
            // The middle one: a single wild point must not make the whole record wild.
            used.sort_unstable();
            rows.times.push((offset, used[used.len() / 2]));
        }
        match (fault, used.is_empty()) {
            (Some(fault), _) => Err(fault),
            (None, true) => Ok(Meaning::Irrelevant),
            (None, false) => Ok(Meaning::Used),
        }
    }

    fn names<'a>(
        &self,
        attributes: &'a [Attribute],
    ) -> Result<[Option<Cow<'a, str>>; Dimension::COUNT], Fault> {
        let mut names = [const { None }; Dimension::COUNT];
        for (dimension, keys) in &self.holders {
            let name = keys.iter().find_map(|key| {
                let attribute = attributes.iter().find(|attribute| attribute.key == *key)?;
                name_of(attribute.value.as_ref()?)
            });
            if name.as_ref().is_some_and(|name| name.contains('\0')) {
                let detail = format!("the resource attribute for `{dimension}` has a NUL");
                return Err(Fault::new(RejectReason::Encoding, detail));
            }
            names[*dimension as usize] = name;
        }
        Ok(names)
    }
}

fn name_of(value: &AnyValue) -> Option<Cow<'_, str>> {
    match value {
        AnyValue { string_value: Some(text), .. } if !text.is_empty() => Some(Cow::Borrowed(text)),
        AnyValue { int_value: Some(number), .. } => Some(Cow::Owned(number.to_string())),
        AnyValue { bool_value: Some(value), .. } => Some(Cow::Owned(value.to_string())),
        _ => None,
    }
}

/// The values of a metric, by time: the sum over its points of that time (a heap has pools).
/// Points of Java memory that is not heap do not count.
///
/// `started` takes the newest beginning that points of memory tell, in microseconds.
fn sums<'a>(
    metrics: impl Iterator<Item = &'a Metric>,
    ours: &str,
    started: &mut BTreeMap<Time, i64>,
    fault: &mut Option<Fault>,
) -> BTreeMap<Time, f64> {
    let mut sums = BTreeMap::new();
    for metric in metrics {
        let is_delta = metric.sum.as_ref().is_some_and(|sum| sum.aggregation_temporality == DELTA);
        let gauge = metric.gauge.iter().flat_map(|gauge| &gauge.data_points);
        let sum = metric.sum.iter().flat_map(|sum| &sum.data_points);
        for point in gauge.chain(sum) {
            if is_delta {
                let detail =
                    format!("`{}` is a delta; have it exported as cumulative", metric.name);
                fault.get_or_insert(Fault::new(RejectReason::BadValue, detail));
                break;
            }
            match value_of(point, &metric.name, ours) {
                Ok(None) => {}
                Ok(Some((time, value))) => {
                    *sums.entry(time).or_insert(0.0) += value;
                    let begun = i64::try_from(point.start_time_unix_nano / NANOS).unwrap_or(0);
                    let is_told = ours.starts_with(metric::MEMORY)
                        && Time::from_micros(begun).is_plausible()
                        && begun < time.as_micros();
                    if is_told {
                        let known = started.entry(time).or_insert(begun);
                        *known = begun.max(*known);
                    }
                }
                Err(problem) => {
                    fault.get_or_insert(problem);
                }
            }
        }
    }
    sums
}

fn value_of(point: &Point, name: &str, ours: &str) -> Result<Option<(Time, f64)>, Fault> {
    let (kind, heap) = JVM_HEAP;
    let is_other_memory = point.attributes.iter().any(|attribute| {
        let value = attribute.value.as_ref().and_then(|value| value.string_value.as_deref());
        attribute.key == kind && value.is_some_and(|value| value != heap)
    });
    if is_other_memory || point.flags & NO_RECORDED_VALUE != 0 {
        return Ok(None);
    }
    let bad = |problem: &str| Fault::new(RejectReason::BadValue, format!("`{name}` {problem}"));
    let value = match (point.as_double, point.as_int) {
        (Some(value), _) => value,
        (None, Some(value)) => value as f64,
        (None, None) => return Err(bad("has a point without a number")),
    };
    let is_limit = ours == metric::LIMIT || ours == metric::LIMIT_AFTER_COLLECTION;
    match value {
        _ if !value.is_finite() => return Err(bad("is not a finite number")),
        // "No limit" is written as nothing, as 0, as -1, or as the largest number there is.
        ..1.0 if is_limit => return Ok(None),
        NO_LIMIT.. if is_limit => return Ok(None),
        ..0.0 => return Err(bad("is negative")),
        _ => {}
    }
    if point.time_unix_nano == 0 {
        return Err(Fault::missing("timeUnixNano"));
    }
    let micros = i64::try_from(point.time_unix_nano / NANOS).unwrap_or(i64::MAX);
    let time = plausible(Time::from_micros(micros))?;
    Ok(Some((time, value)))
}

/// A limit from here on is none: 2⁶² bytes.
const NO_LIMIT: f64 = 4_611_686_018_427_387_904.0;
