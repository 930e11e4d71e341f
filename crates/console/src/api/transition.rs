//! A transition as JSON: the keys of `plimsoll replay`'s lines (`docs/incidents.md`).

use plimsoll_model::{Change, Detail, Dimension, OwnedHolder, Owner};
use plimsoll_store::Decided;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// One transition.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    incident: String,
    sequence: u32,
    /// `open` or `resolved`.
    state: &'static str,
    change: &'static str,
    reason: &'static str,
    kind: &'static str,
    severity: &'static str,
    severity_peak: &'static str,
    as_of: String,
    decided_at: String,
    opened_at: String,
    since: String,
    pipeline: String,
    resource: String,
    unit: String,
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
    doubts: Vec<String>,
    detail: Option<Detail>,
    headline: String,
    advice: String,
    /// Left out where many incidents are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
}

impl Line {
    pub(super) fn of(decided: Decided) -> Line {
        let Decided { transition, decided_at } = decided;
        let finding = transition.finding;
        let exhaustion = finding.exhaustion;
        Line {
            incident: transition.incident.to_string(),
            sequence: transition.sequence,
            state: if transition.change == Change::Resolved { "resolved" } else { "open" },
            change: transition.change.name(),
            reason: transition.reason.name(),
            kind: finding.kind.name(),
            severity: finding.severity.name(),
            severity_peak: transition.severity_peak.name(),
            as_of: transition.as_of.to_string(),
            decided_at: decided_at.to_string(),
            opened_at: transition.opened_at.to_string(),
            since: finding.since.to_string(),
            pipeline: transition.pipeline,
            resource: finding.resource,
            unit: finding.unit,
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
            doubts: finding.doubts,
            detail: finding.detail,
            headline: transition.headline,
            advice: transition.advice,
            proof: Some(transition.proof),
        }
    }

    pub(super) fn without_proof(mut self) -> Line {
        self.proof = None;
        self
    }
}

/// The known dimensions of a holder, by their dotted names.
pub(super) fn dimensions(holder: &OwnedHolder) -> Map<String, Value> {
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
