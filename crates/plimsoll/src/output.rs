//! A transition as one JSON line: the keys that integrations may rely on (`docs/incidents.md`).

use std::io::{self, Write};

use plimsoll_detect::Judge;
use plimsoll_model::{Detail, Dimension, OwnedHolder, Owner, Second, Time, Transition};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// One line of JSON, without the line break.
pub fn json_line(transition: &Transition, decided_at: Time) -> String {
    serde_json::to_string(&Line::of(transition, decided_at)).expect("a line holds plain values")
}

/// The same as a value, for a document that holds it.
pub fn json_value(transition: &Transition, decided_at: Time) -> Value {
    serde_json::to_value(Line::of(transition, decided_at)).expect("a line holds plain values")
}

#[derive(Serialize)]
struct Line<'a> {
    incident: String,
    sequence: u32,
    change: &'static str,
    reason: &'static str,
    kind: &'static str,
    severity: &'static str,
    severity_peak: &'static str,
    as_of: String,
    decided_at: String,
    opened_at: String,
    since: String,
    pipeline: &'a str,
    resource: &'a str,
    unit: &'a str,
    owner: Value,
    level: u64,
    usable: Option<u64>,
    owner_level: Option<u64>,
    owner_level_before: Option<u64>,
    growth_per_minute: Option<f64>,
    exhaustion_from: Option<String>,
    exhaustion_to: Option<String>,
    release: Option<Value>,
    refused: u64,
    doubts: &'a [String],
    headline: &'a str,
    advice: &'a str,
    detail: Option<&'a Detail>,
    proof: &'a str,
}

impl<'a> Line<'a> {
    fn of(transition: &'a Transition, decided_at: Time) -> Line<'a> {
        let finding = &transition.finding;
        let exhaustion = finding.exhaustion;
        Line {
            incident: transition.incident.to_string(),
            sequence: transition.sequence,
            change: transition.change.name(),
            reason: transition.reason.name(),
            kind: finding.kind.name(),
            severity: finding.severity.name(),
            severity_peak: transition.severity_peak.name(),
            as_of: transition.as_of.to_string(),
            decided_at: decided_at.to_string(),
            opened_at: transition.opened_at.to_string(),
            since: finding.since.to_string(),
            pipeline: &transition.pipeline,
            resource: &finding.resource,
            unit: &finding.unit,
            owner: owner(&finding.owner),
            level: finding.level,
            usable: finding.usable,
            owner_level: finding.owner_level,
            owner_level_before: finding.owner_level_before,
            growth_per_minute: finding.growth_per_minute,
            exhaustion_from: exhaustion.map(|interval| interval.from.to_string()),
            exhaustion_to: exhaustion.and_then(|interval| interval.to).map(|to| to.to_string()),
            release: finding.release.as_ref().map(|release| {
                json!({
                    "service.name": release.service,
                    "service.version": release.version,
                    "deployed_at": release.deployed_at.to_string(),
                })
            }),
            refused: finding.refused,
            doubts: &finding.doubts,
            headline: &transition.headline,
            advice: &transition.advice,
            detail: finding.detail.as_ref(),
            proof: &transition.proof,
        }
    }
}

/// What every resource holds, as the members of a JSON object.
pub fn levels(judge: &Judge) -> String {
    let resources = judge.held().map(|held| {
        let holders = held.holders.iter().map(|(holder, count)| {
            let mut members = dimensions(holder);
            members.insert("held".to_owned(), json!(count));
            Value::Object(members)
        });
        json!({
            "resource": held.resource,
            "held": held.held,
            "usable": held.usable,
            "holders": holders.collect::<Vec<_>>(),
        })
    });
    Value::Array(resources.collect()).to_string()
}

/// One line: the levels at the end of a tick.
pub fn write_levels(out: &mut impl Write, second: Second, levels: &str) -> io::Result<()> {
    writeln!(out, r#"{{"as_of":"{second}","levels":{levels}}}"#)
}

fn dimensions(holder: &OwnedHolder) -> Map<String, Value> {
    let known = Dimension::ALL
        .into_iter()
        .filter_map(|dimension| Some((dimension.name().to_owned(), json!(holder.get(dimension)?))));
    known.collect()
}

/// `{"service.name": "issuer"}`, `"nobody"` or `"unknown"`.
fn owner(owner: &Owner) -> Value {
    match owner {
        Owner::Holder { dimension, value } => {
            Value::Object(Map::from_iter([(dimension.name().to_owned(), json!(value))]))
        }
        Owner::Nobody => json!("nobody"),
        Owner::Unknown => json!("unknown"),
    }
}
