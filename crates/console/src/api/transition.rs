//! A transition as JSON: the keys of the API and of `plimsoll replay`'s lines
//! (`docs/incidents.md`).

use plimsoll_model::{Change, Detail, Dimension, OwnedHolder, Owner, Time, Transition};
use plimsoll_store::Decided;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::followed::Step;

/// The members of one transition, in this order.
#[derive(Clone, Debug, Serialize)]
pub struct Line<'a> {
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
    /// Left out where many incidents are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// `transition`, decided at `decided_at` by the wall clock.
    pub fn of(transition: &'a Transition, decided_at: Time) -> Line<'a> {
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
            proof: Some(&transition.proof),
        }
    }
}

/// A transition as the API says it: its line, and whether its incident is open.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    decided: Decided,
    /// As one of many: without the proof, and with what is held now, if that is watched.
    listed: Option<Option<Step>>,
}

impl Shown {
    pub(super) fn of(decided: Decided) -> Shown {
        Shown { decided, listed: None }
    }

    /// One of many: without its proof, and with what is held `now`.
    pub(super) fn listed(decided: Decided, now: Option<Step>) -> Shown {
        Shown { decided, listed: Some(now) }
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Members<'a> {
            /// `open` or `resolved`.
            state: &'static str,
            #[serde(flatten)]
            line: Line<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            now: Option<Value>,
        }
        let Decided { transition, decided_at } = &self.decided;
        let mut line = Line::of(transition, *decided_at);
        line.proof = line.proof.filter(|_| self.listed.is_none());
        let now = |step: Step| json!({ "level": step.level, "owner_level": step.owner_level });
        let now = self.listed.map(|step| json!(step.map(now)));
        let is_resolved = transition.change == Change::Resolved;
        let state = if is_resolved { "resolved" } else { "open" };
        Members { state, line, now }.serialize(serializer)
    }
}

/// The known dimensions of a holder, by their dotted names.
pub fn dimensions(holder: &OwnedHolder) -> Map<String, Value> {
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
