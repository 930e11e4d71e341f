//! A store with one incident that is over and one that is open.
//!
//! The incident of `issuer` (`…07`) begins at 15:02:00, opens at 15:10:00, is updated at 15:11:00 and
//! resolved at 15:20:00 of 2024-03-12. That of `web` (`…09`) opens at 15:30:00. 15:10:00 is
//! 1710256200 s after the epoch, by Python's datetime.

use std::path::Path;

use plimsoll_model::evidence::{Evidence, Life, Pane};
use plimsoll_model::{
    Change, DeliveryState, Dimension, Finding, IncidentId, Interval, Kind, OwnedHolder, Owner,
    PageAction, PartitionId, Payload, Reason, Reject, RejectReason, Release, Second, Severity,
    SourceId, Time, Transition,
};
use plimsoll_query::{Answer, Error, Limits, Query};
use plimsoll_store::{Commit, NewDelivery, Options, Store};

/// 15:10:00.
pub const OPENED: i64 = 1_710_256_200;

pub struct World {
    pub folder: tempfile::TempDir,
    pub query: Query,
    runtime: tokio::runtime::Runtime,
}

impl World {
    pub fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path());
        let query = Query::open(folder.path()).unwrap();
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        World { folder, query, runtime: runtime.enable_time().build().unwrap() }
    }

    pub fn run(&self, sql: &str, limits: &Limits) -> Result<Answer, Error> {
        self.runtime.block_on(self.query.run(sql, limits))
    }

    /// The answer as CSV.
    #[track_caller]
    pub fn csv(&self, sql: &str) -> String {
        let answer =
            self.run(sql, &Limits::default()).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let mut csv = Vec::new();
        answer.write_csv(&mut csv).unwrap();
        String::from_utf8(csv).unwrap()
    }

    /// The lines of the answer without its header.
    #[track_caller]
    pub fn lines(&self, sql: &str) -> Vec<String> {
        self.csv(sql).lines().skip(1).map(str::to_owned).collect()
    }

    /// What is said of a query that gets no answer.
    #[track_caller]
    pub fn refusal(&self, sql: &str) -> Error {
        match self.run(sql, &Limits::default()) {
            Ok(answer) => panic!("{sql} was answered with {} rows", answer.rows),
            Err(error) => error,
        }
    }
}

pub fn options() -> Options {
    Options { ballast_bytes: 0, ..Options::new("payments") }
}

fn fill(folder: &Path) {
    let mut store = Store::open(folder, options()).unwrap();
    let opened = transition(7, 1, Change::Opened, OPENED);
    let updated = transition(7, 2, Change::Updated, OPENED + 60);
    let resolved = transition(7, 3, Change::Resolved, OPENED + 600);
    let evidence = Evidence {
        panes: vec![
            pane(7, -30, "issuer", 41),
            pane(7, -30, "web", 30),
            pane(7, -10, "issuer", 60),
            pane(7, 0, "issuer", 80),
        ],
        lives: vec![life(None)],
        ..Evidence::default()
    };
    commit(&mut store, std::slice::from_ref(&opened), evidence);
    let evidence = Evidence {
        panes: vec![pane(7, 10, "web", 31), pane(7, 60, "issuer", 90)],
        ..Evidence::default()
    };
    commit(&mut store, &[updated], evidence);
    let evidence = Evidence {
        panes: vec![pane(7, 590, "issuer", 40)],
        lives: vec![life(Some(OPENED + 590))],
        ..Evidence::default()
    };
    commit(&mut store, &[resolved], evidence);
    let other = Transition {
        finding: Finding {
            kind: Kind::RefusalAtLimit,
            owner: Owner::Unknown,
            owner_level: None,
            owner_level_before: None,
            growth_per_minute: None,
            exhaustion: None,
            release: None,
            refused: 12,
            resource: "gateway".into(),
            ..opened.finding
        },
        ..transition(9, 1, Change::Opened, OPENED + 1_200)
    };
    commit(&mut store, &[other], Evidence::default());
    let accepted =
        DeliveryState::Accepted { at: Time::from_seconds(OPENED + 3), answer: "ok".into() };
    store.record(0, &accepted).unwrap();
}

/// Another transition of `…09`, as a running pipeline would add it.
pub fn update(store: &mut Store) {
    commit(store, &[transition(9, 2, Change::Updated, OPENED + 1_300)], Evidence::default());
}

fn commit(store: &mut Store, transitions: &[Transition], evidence: Evidence) {
    let tick = transitions[0].as_of;
    let decided_at = Time::from_seconds(tick.0 + 2);
    let page = |transition: &Transition| NewDelivery {
        sink: "oncall".into(),
        key: transition.incident.to_string(),
        payload: Payload::Page {
            action: match transition.change {
                Change::Opened => PageAction::Trigger,
                Change::Updated => PageAction::Update,
                Change::Resolved => PageAction::Resolve,
            },
            transition: Box::new(transition.clone()),
            decided_at,
        },
        with_evidence: false,
        held: false,
    };
    let reject = Reject {
        partition: PartitionId { source: SourceId(1), partition: 3 },
        offset: 99,
        reason: RejectReason::Malformed,
        detail: "expected value at line 1".into(),
        excerpt: "not, json".into(),
    };
    let commit = Commit {
        tick,
        transitions: transitions.iter().map(|it| (it.clone(), decided_at)).collect(),
        deliveries: transitions.iter().map(page).collect(),
        evidence,
        rejects: vec![reject],
        ..Commit::default()
    };
    store.commit(&commit).unwrap();
}

fn transition(incident: u128, sequence: u32, change: Change, tick: i64) -> Transition {
    let issuer = Owner::Holder { dimension: Dimension::ServiceName, value: "issuer".into() };
    Transition {
        incident: IncidentId(incident),
        sequence,
        change,
        reason: Reason::ExhaustionForecast,
        as_of: Second(tick),
        pipeline: "payments".into(),
        opened_at: Second(if incident == 7 { OPENED } else { tick }),
        severity_peak: Severity::Page,
        finding: Finding {
            kind: Kind::GrowthToLimit,
            resource: "orders-db".into(),
            unit: "connections".into(),
            owner: issuer,
            severity: Severity::Page,
            since: Second(OPENED - 480),
            level: 110,
            usable: Some(197),
            owner_level: Some(80),
            owner_level_before: Some(41),
            growth_per_minute: Some(2.5),
            exhaustion: Some(Interval {
                from: Time::from_seconds(OPENED + 660),
                to: Some(Time::from_micros(i64::MAX)),
            }),
            release: Some(Release {
                service: "issuer".into(),
                version: Some("2.14".into()),
                deployed_at: Time::from_seconds(OPENED - 720),
            }),
            refused: 0,
            doubts: vec!["3 sessions are older than the log".into()],
            detail: None,
        },
        headline: "issuer holds 80 of 197".into(),
        advice: "Roll back issuer.".into(),
        proof: "SELECT 1".into(),
    }
}

fn pane(incident: u128, offset: i64, service: &str, held: u64) -> Pane {
    Pane {
        incident: IncidentId(incident),
        pane: Second(OPENED + offset),
        resource: "orders-db".into(),
        opened: 1,
        closed: 0,
        refused: 0,
        held,
        holder: holder(service),
    }
}

fn life(ended_at: Option<i64>) -> Life {
    Life {
        incident: IncidentId(7),
        resource: "orders-db".into(),
        started_at: Time::from_seconds(OPENED - 720),
        start_known: true,
        ended_at: ended_at.map(Time::from_seconds),
        cause: if ended_at.is_some() { "restart".into() } else { String::new() },
        holder: holder("issuer"),
    }
}

fn holder(service: &str) -> OwnedHolder {
    let mut holder = plimsoll_model::Holder::default();
    holder.set(Dimension::ServiceName, service);
    holder.to_owned()
}
