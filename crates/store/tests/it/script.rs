//! Small values for tests.

use plimsoll_model::evidence::{Evidence, Pane};
use plimsoll_model::{
    Change, Finding, IncidentId, Kind, OwnedHolder, Owner, PageAction, Payload, Reason, Second,
    Severity, Time, Transition,
};
use plimsoll_store::{Checkpoint, NewDelivery, Options};

/// Options for tests: no ballast.
pub fn options() -> Options {
    Options { ballast_bytes: 0, ..Options::new("payments") }
}

/// Transition `sequence` of incident `incident`, decided at `tick`.
pub fn transition(incident: u128, sequence: u32, change: Change, tick: i64) -> Transition {
    Transition {
        incident: IncidentId(incident),
        sequence,
        change,
        reason: Reason::ExhaustionForecast,
        as_of: Second(tick),
        pipeline: "payments".into(),
        opened_at: Second(tick - i64::from(sequence)),
        severity_peak: Severity::Page,
        finding: Finding {
            kind: Kind::GrowthToLimit,
            resource: "orders-db".into(),
            unit: "connections".into(),
            owner: Owner::Unknown,
            severity: Severity::Page,
            since: Second(tick - 60),
            level: 148,
            usable: Some(197),
            owner_level: None,
            owner_level_before: None,
            growth_per_minute: Some(2.5),
            exhaustion: None,
            release: None,
            refused: 0,
            doubts: Vec::new(),
            detail: None,
        },
        headline: "issuer holds 148 of 197 usable connections.".into(),
        advice: "Roll back.".into(),
        proof: String::new(),
    }
}

/// The wall clock when tick `tick` was decided.
pub fn decided_at(tick: i64) -> Time {
    Time::from_seconds(tick + 2)
}

/// The order to tell the pager about `transition`.
pub fn page(transition: &Transition) -> NewDelivery {
    let action = match transition.change {
        Change::Opened => PageAction::Trigger,
        Change::Updated => PageAction::Update,
        Change::Resolved => PageAction::Resolve,
    };
    NewDelivery {
        sink: "oncall".into(),
        key: transition.incident.to_string(),
        payload: Payload::Page {
            action,
            transition: Box::new(transition.clone()),
            decided_at: decided_at(transition.as_of.0),
        },
        with_evidence: false,
        held: false,
    }
}

/// The order to store `transitions` and the commit's evidence in the tables.
pub fn rows(tick: i64, transitions: &[Transition]) -> NewDelivery {
    let decided = |transition: &Transition| (transition.clone(), decided_at(tick));
    NewDelivery {
        sink: "clickhouse".into(),
        key: format!("payments-{tick}"),
        payload: Payload::Rows {
            transitions: transitions.iter().map(decided).collect(),
            segments: Vec::new(),
        },
        with_evidence: true,
        held: false,
    }
}

/// A pane for each of `ticks`.
pub fn evidence(incident: u128, ticks: &[i64]) -> Evidence {
    let panes = ticks.iter().map(|tick| pane(incident, *tick)).collect();
    Evidence { panes, ..Evidence::default() }
}

fn pane(incident: u128, tick: i64) -> Pane {
    Pane {
        incident: IncidentId(incident),
        pane: Second(tick),
        resource: "orders-db".into(),
        holder: OwnedHolder::default(),
        opened: 3,
        closed: 1,
        refused: 0,
        held: 148,
    }
}

/// The state after `tick`.
pub fn checkpoint(tick: i64) -> Checkpoint {
    Checkpoint {
        tick: Second(tick),
        build: "test".into(),
        config_hash: "c".into(),
        judge: tick.to_be_bytes().to_vec(),
        merge: vec![7; 40],
    }
}
