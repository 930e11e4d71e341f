//! Deliveries to send.

use arrow::array::RecordBatch;
use plimsoll_model::evidence::{Evidence, Pane, Table};
use plimsoll_model::{
    Change, Delivery, Dimension, Finding, Holder, IncidentId, Interval, Kind, Owner, PageAction,
    Payload, Reason, Release, Second, Severity, Time, Transition,
};

/// 2024-03-11T15:12:00Z, the moment of the example's first transition.
pub const OPENED_AT: Second = Second(1_710_169_920);

/// Transition number `sequence` of the example incident, as in the design's second story.
pub fn transition(sequence: u32, change: Change) -> Transition {
    let reason = match change {
        Change::Opened => Reason::ExhaustionForecast,
        Change::Updated => Reason::ForecastMoved,
        Change::Resolved => Reason::GrowthEnded,
    };
    Transition {
        incident: IncidentId(0x2a),
        sequence,
        change,
        reason,
        as_of: Second(OPENED_AT.0 + 60 * i64::from(sequence - 1)),
        pipeline: "issuance".into(),
        opened_at: OPENED_AT,
        severity_peak: Severity::Page,
        finding: finding(),
        headline: "issuer 2.14 holds 148 of 197 usable connections; they run out 15:21-15:29."
            .into(),
        advice: "Roll back issuer 2.14.".into(),
        proof: String::new(),
    }
}

fn finding() -> Finding {
    Finding {
        kind: Kind::GrowthToLimit,
        resource: "ca-db".into(),
        unit: "connections".into(),
        owner: Owner::Holder { dimension: Dimension::ServiceName, value: "issuer".into() },
        severity: Severity::Page,
        since: Second(OPENED_AT.0 - 600),
        level: 160,
        usable: Some(197),
        owner_level: Some(148),
        owner_level_before: Some(41),
        growth_per_minute: Some(2.5),
        exhaustion: Some(Interval {
            from: Time::from_seconds(OPENED_AT.0 + 540),
            to: Some(Time::from_seconds(OPENED_AT.0 + 1020)),
        }),
        release: Some(Release {
            service: "issuer".into(),
            version: Some("2.14".into()),
            deployed_at: Time::from_seconds(OPENED_AT.0 - 840),
        }),
        refused: 0,
        doubts: vec!["3 sessions are older than the log".into()],
        detail: None,
    }
}

/// An order to page about the example incident.
pub fn page(action: PageAction) -> Delivery {
    let transition = match action {
        PageAction::Trigger => transition(1, Change::Opened),
        PageAction::Update => transition(2, Change::Updated),
        PageAction::Resolve => transition(3, Change::Resolved),
    };
    Delivery {
        sequence: 7,
        sink: "oncall".into(),
        key: transition.incident.to_string(),
        payload: Payload::Page {
            action,
            decided_at: transition.as_of.end(),
            transition: Box::new(transition),
        },
    }
}

/// An order to write these transitions, with the example's evidence if `segments` names it.
pub fn rows(key: &str, transitions: &[Transition], segments: &[&str]) -> Delivery {
    let decided = |transition: &Transition| (transition.clone(), transition.as_of.end());
    Delivery {
        sequence: 8,
        sink: "history".into(),
        key: key.into(),
        payload: Payload::Rows {
            transitions: transitions.iter().map(decided).collect(),
            segments: segments.iter().map(|name| (*name).to_owned()).collect(),
        },
    }
}

/// Two panes of two holders: the issuer with a tenant, and one of whom nothing is known.
pub fn evidence() -> Vec<(Table, RecordBatch)> {
    let issuer = Holder::default()
        .with(Dimension::Tenant, "acme")
        .with(Dimension::ServiceName, "issuer")
        .to_owned();
    let row = |pane: i64, holder: &plimsoll_model::OwnedHolder, held: u64| Pane {
        incident: IncidentId(0x2a),
        pane: Second(OPENED_AT.0 + pane),
        resource: "ca-db".into(),
        holder: holder.clone(),
        opened: held / 2,
        closed: 1,
        refused: 0,
        held,
    };
    let nobody = Holder::default().to_owned();
    let panes = vec![
        row(0, &issuer, 100),
        row(0, &nobody, 12),
        row(10, &issuer, 148),
        row(10, &nobody, 12),
    ];
    let evidence = Evidence { panes, ..Evidence::default() };
    vec![(Table::Panes, evidence.record_batch(Table::Panes))]
}
