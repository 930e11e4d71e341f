//! `GET /api/watched`.

use std::time::Instant;

use plimsoll_model::{Second, Time};
use serde::Serialize;
use serde_json::{Value, json};

use super::transition::dimensions;
use crate::sources::{Pipeline, Sources};
use crate::watched::{Resource, Source};

/// The body.
#[derive(Debug, Serialize)]
pub(super) struct Watched {
    version: String,
    ready: bool,
    /// As in `/readyz`.
    dependencies: Value,
    pipelines: Vec<Value>,
}

/// What every pipeline watches, as its judge last said it.
pub(super) fn answer(sources: &Sources, now: Instant) -> Watched {
    let report = sources.health.report();
    Watched {
        version: sources.version.version.clone(),
        ready: report.ready,
        dependencies: json!(report)["dependencies"].take(),
        pipelines: sources.pipelines.iter().map(|pipeline| of(pipeline, now)).collect(),
    }
}

fn of(pipeline: &Pipeline, now: Instant) -> Value {
    let view = pipeline.watched.view();
    let picture = &view.picture;
    let age = view.published.map(|at| now.saturating_duration_since(at).as_secs());
    let lag = picture.judged_through.and_then(|tick| lag_seconds(picture.now?, tick));
    let resources = picture.resources.iter().zip(&view.past);
    json!({
        "pipeline": pipeline.name,
        "judged_through": picture.judged_through.map(|tick| tick.to_string()),
        "live": picture.now.is_some(),
        "lag_seconds": lag,
        "age_seconds": age,
        "resources": resources.map(|(it, past)| resource(it, past)).collect::<Vec<_>>(),
        "sources": picture.sources.iter().map(source).collect::<Vec<_>>(),
        "left_off": view.left_off,
    })
}

fn lag_seconds(now: Time, tick: Second) -> Option<f64> {
    Some(now.micros_since(tick.end()) as f64 / 1e6)
}

fn resource(resource: &Resource, past: &[(Second, u64)]) -> Value {
    let largest = resource.largest.iter().map(|(holder, held)| {
        let mut members = dimensions(holder);
        members.insert("held".to_owned(), json!(held));
        Value::Object(members)
    });
    let past = past.iter().map(|(pane, held)| json!([pane.to_string(), held]));
    json!({
        "resource": resource.name,
        "unit": resource.unit,
        "held": resource.held,
        "usable": resource.usable,
        "holders": resource.holders,
        "largest": largest.collect::<Vec<_>>(),
        "doubts": resource.doubts,
        "past": past.collect::<Vec<_>>(),
    })
}

fn source(source: &Source) -> Value {
    json!({
        "source": source.name,
        "records": source.records,
        "used": source.used,
        "rejected": source.rejected,
        "partitions": {
            "alive": source.alive,
            "idle": source.idle,
            "set_aside": source.set_aside,
        },
        "watermark": source.watermark.map(|time| time.to_string()),
    })
}
