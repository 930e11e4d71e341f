//! The event that is posted.

use plimsoll_model::{Delivery, PageAction, Payload, Severity, Time, Transition};
use serde::Serialize;

use crate::text;

/// PagerDuty's limit of `payload.summary`, in characters.
const SUMMARY_CHARACTERS_MAX: usize = 1024;

/// The longest other text, in characters. With `DOUBTS_MAX` it keeps every event below
/// PagerDuty's limit of 512,000 bytes, whatever the texts are.
const TEXT_CHARACTERS_MAX: usize = 4096;

/// How many doubts are told; the rest is counted.
const DOUBTS_MAX: usize = 16;

/// How much is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Everything.
    Full,
    /// Only what PagerDuty demands.
    Smallest,
}

/// The body of the request, or `None` if the delivery is not a page.
///
/// The keys stand in the order of the structs below, so equal deliveries give equal bytes.
pub(super) fn body(delivery: &Delivery, routing_key: &str, detail: Detail) -> Option<Vec<u8>> {
    let Payload::Page { action, transition, decided_at } = &delivery.payload else { return None };
    let (event_action, payload) = match action {
        PageAction::Trigger | PageAction::Update => {
            ("trigger", Some(Alert::of(transition, *decided_at, detail)))
        }
        PageAction::Resolve => ("resolve", None),
    };
    let dedup_key = delivery.key.as_str();
    let event = Event { routing_key, event_action, dedup_key, client: "Plimsoll", payload };
    Some(serde_json::to_vec(&event).expect("texts and numbers can be written as JSON"))
}

#[derive(Serialize)]
struct Event<'a> {
    routing_key: &'a str,
    event_action: &'static str,
    dedup_key: &'a str,
    client: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Alert>,
}

#[derive(Serialize)]
struct Alert {
    summary: String,
    source: String,
    severity: &'static str,
    timestamp: String,
    component: String,
    group: String,
    class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_details: Option<Details>,
}

impl Alert {
    fn of(transition: &Transition, decided_at: Time, detail: Detail) -> Alert {
        let finding = &transition.finding;
        let source = format!("{}/{}", transition.pipeline, finding.resource);
        Alert {
            summary: text::fit(&transition.headline, SUMMARY_CHARACTERS_MAX),
            source: fit(&source),
            // The loudest so far: an alert is not toned down while people work on it.
            severity: match transition.severity_peak {
                Severity::Page => "critical",
                Severity::Ticket => "warning",
                Severity::Notify => "info",
            },
            timestamp: transition.as_of.to_string(),
            component: fit(&finding.owner.to_string()),
            group: fit(&finding.resource),
            class: finding.kind.name(),
            custom_details: match detail {
                Detail::Full => Some(Details::of(transition, decided_at)),
                Detail::Smallest => None,
            },
        }
    }
}

/// The facts, for the person who was called. Unknown ones are left out.
#[derive(Serialize)]
struct Details {
    advice: String,
    incident: String,
    sequence: u32,
    change: &'static str,
    reason: &'static str,
    pipeline: String,
    resource: String,
    unit: String,
    owner: String,
    since: String,
    opened_at: String,
    as_of: String,
    decided_at: String,
    level: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    usable: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_level: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_level_before: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    growth_per_minute: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exhaustion: Option<Exhaustion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<Release>,
    refused: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    doubts: Vec<String>,
}

#[derive(Serialize)]
struct Exhaustion {
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    coverage: &'static str,
}

#[derive(Serialize)]
struct Release {
    service: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    deployed_at: String,
}

impl Details {
    fn of(transition: &Transition, decided_at: Time) -> Details {
        let finding = &transition.finding;
        Details {
            advice: fit(&transition.advice),
            incident: transition.incident.to_string(),
            sequence: transition.sequence,
            change: transition.change.name(),
            reason: transition.reason.name(),
            pipeline: fit(&transition.pipeline),
            resource: fit(&finding.resource),
            unit: fit(&finding.unit),
            owner: fit(&finding.owner.to_string()),
            since: finding.since.to_string(),
            opened_at: transition.opened_at.to_string(),
            as_of: transition.as_of.to_string(),
            decided_at: decided_at.to_string(),
            level: finding.level,
            usable: finding.usable,
            owner_level: finding.owner_level,
            owner_level_before: finding.owner_level_before,
            growth_per_minute: finding.growth_per_minute.filter(|growth| growth.is_finite()),
            exhaustion: finding.exhaustion.map(|interval| Exhaustion {
                from: interval.from.to_string(),
                to: interval.to.map(|to| to.to_string()),
                coverage: "80 %",
            }),
            release: finding.release.as_ref().map(|release| Release {
                service: fit(&release.service),
                version: release.version.as_deref().map(fit),
                deployed_at: release.deployed_at.to_string(),
            }),
            refused: finding.refused,
            doubts: doubts(&finding.doubts),
        }
    }
}

fn doubts(all: &[String]) -> Vec<String> {
    let mut told: Vec<String> = all.iter().take(DOUBTS_MAX).map(|doubt| fit(doubt)).collect();
    if all.len() > DOUBTS_MAX {
        told.push(format!("… and {} more", all.len() - DOUBTS_MAX));
    }
    told
}

fn fit(text: &str) -> String {
    text::fit(text, TEXT_CHARACTERS_MAX)
}
