//! `/api` and the page over a store that these tests fill.

use std::sync::{Arc, Mutex};

use plimsoll_console::watched::{Incident, Resource, Source};
use plimsoll_console::{Health, Picture, Pipeline, Sources, Version, Watched, api};
use plimsoll_model::evidence::{Evidence, Life, Pane, Sample};
use plimsoll_model::{
    Change, DeliveryState, Dimension, Finding, Holder, IncidentId, Interval, Kind, Owner,
    PageAction, Payload, Reason, Release, Second, Severity, Time, Transition,
};
use plimsoll_store::{Commit, NewDelivery, Options, Store};
use serde_json::{Value, json};

use crate::{Server, answers, start};

/// 2026-03-04T15:00:00Z.
const AT: i64 = 1_772_636_400;

const HOSTILE: &str = "</script><img src=x onerror=alert(1)>\u{202e}";

/// A pipeline with one store, and a console that shows it.
struct Shown {
    server: Server,
    store: Arc<Mutex<Store>>,
    watched: Watched,
    _folder: tempfile::TempDir,
}

async fn shown() -> Shown {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { ballast_bytes: 0, ..Options::new("payments") };
    let store = Arc::new(Mutex::new(Store::open(folder.path(), options).unwrap()));
    let (of, watched) = (Arc::clone(&store), Watched::new());
    let pipeline =
        Pipeline::new("payments", move || of.lock().unwrap().snapshot(), watched.clone());
    let version = Version { version: "0.1.0".into(), ..Version::default() };
    let health = Health::new();
    let sources = Sources::new(health.clone(), String::new, version, vec![pipeline]);
    Shown { server: start(health, sources).await, store, watched, _folder: folder }
}

impl Shown {
    fn commit(&self, commit: &Commit) {
        self.store.lock().unwrap().commit(commit).unwrap();
    }

    async fn json(&self, path: &str) -> Value {
        let answer = self.server.get(path).await;
        answers(&answer, "200", "content-type: application/json");
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }
}

fn issuer() -> Owner {
    Owner::Holder { dimension: Dimension::ServiceName, value: "issuer".to_owned() }
}

/// Transition `sequence` of incident `incident`, at the second `AT + second`.
fn transition(incident: u128, sequence: u32, change: Change, second: i64) -> Transition {
    let to = Some(Time::from_seconds(AT + 900));
    Transition {
        incident: IncidentId(incident),
        sequence,
        change,
        reason: Reason::ExhaustionForecast,
        as_of: Second(AT + second),
        pipeline: "payments".to_owned(),
        opened_at: Second(AT),
        severity_peak: Severity::Page,
        finding: Finding {
            kind: Kind::GrowthToLimit,
            resource: "orders-db".to_owned(),
            unit: "connections".to_owned(),
            owner: issuer(),
            severity: Severity::Page,
            since: Second(AT - 60),
            level: 148,
            usable: Some(197),
            owner_level: Some(90),
            owner_level_before: Some(41),
            growth_per_minute: Some(2.5),
            exhaustion: Some(Interval { from: Time::from_seconds(AT + 600), to }),
            release: Some(Release {
                service: "issuer".to_owned(),
                version: Some("2.14".to_owned()),
                deployed_at: Time::from_seconds(AT - 120),
            }),
            refused: 0,
            doubts: Vec::new(),
            detail: None,
        },
        headline: HOSTILE.to_owned(),
        advice: "Roll back.".to_owned(),
        proof: "SELECT 1".to_owned(),
    }
}

fn committed(transitions: &[Transition], evidence: Evidence) -> Commit {
    let tick = transitions.last().unwrap().as_of;
    let decided = transitions.iter().map(|it| (it.clone(), tick.end())).collect();
    Commit { tick, transitions: decided, evidence, ..Commit::default() }
}

fn holder(service: &str, instance: &str) -> plimsoll_model::OwnedHolder {
    Holder::default()
        .with(Dimension::ServiceName, service)
        .with(Dimension::ServiceInstanceId, instance)
        .to_owned()
}

#[tokio::test]
async fn an_empty_store_has_no_incidents() {
    let shown = shown().await;
    assert_eq!(shown.json("/api/incidents").await, json!({"incidents": [], "left_off": 0}));
}

#[tokio::test]
async fn open_incidents_stand_before_resolved_ones_and_each_has_its_last_transition() {
    let shown = shown().await;
    shown.commit(&committed(&[transition(1, 1, Change::Opened, 0)], Evidence::default()));
    shown.commit(&committed(&[transition(2, 1, Change::Opened, 1)], Evidence::default()));
    shown.commit(&committed(&[transition(1, 2, Change::Resolved, 2)], Evidence::default()));
    let answer = shown.json("/api/incidents").await;
    let said: Vec<_> = (answer["incidents"].as_array().unwrap().iter())
        .map(|it| format!("{} {} {}", it["incident"], it["sequence"], it["state"]))
        .collect();
    let [second, first] = [IncidentId(2), IncidentId(1)];
    assert_eq!(said, [format!("\"{second}\" 1 \"open\""), format!("\"{first}\" 2 \"resolved\"")]);
    assert_eq!(answer["incidents"][0]["proof"], Value::Null);
}

#[tokio::test]
async fn what_is_listed_is_bounded_and_the_rest_is_counted() {
    let shown = shown().await;
    let many: Vec<_> = (0..api::INCIDENTS_SHOWN_MAX as u128 + 3)
        .map(|incident| transition(incident, 1, Change::Opened, 0))
        .collect();
    shown.commit(&committed(&many, Evidence::default()));
    let answer = shown.json("/api/incidents").await;
    assert_eq!(answer["incidents"].as_array().unwrap().len(), api::INCIDENTS_SHOWN_MAX);
    assert_eq!(answer["left_off"], 3);
}

#[tokio::test]
async fn an_incident_has_its_transitions_levels_marks_and_deliveries() {
    let shown = shown().await;
    let pane = |second: i64, service: &str, held| Pane {
        incident: IncidentId(7),
        pane: Second(AT + second),
        resource: "orders-db".to_owned(),
        opened: 0,
        closed: 0,
        refused: 1,
        held,
        holder: holder(service, "a"),
    };
    // The second row is another incident's.
    let mut other = pane(0, "web", 99);
    other.incident = IncidentId(8);
    let first = transition(7, 1, Change::Opened, 5);
    let evidence = Evidence {
        panes: vec![pane(-10, "web", 9), other, pane(-10, "issuer", 4), pane(0, "issuer", 6)],
        ..Evidence::default()
    };
    let payload = Payload::Page {
        action: PageAction::Trigger,
        transition: Box::new(first.clone()),
        decided_at: Time::from_seconds(AT + 6),
    };
    let (sink, key) = ("oncall".to_owned(), first.incident.to_string());
    let order = NewDelivery { sink, key, payload, with_evidence: false, held: false };
    shown.commit(&Commit { deliveries: vec![order], ..committed(&[first], evidence) });
    let more = Evidence { panes: vec![pane(10, "web", 8)], ..Evidence::default() };
    shown.commit(&committed(&[transition(7, 2, Change::Updated, 15)], more));
    let state = DeliveryState::Pending { attempts: 2, last_error: Some("429".to_owned()) };
    shown.store.lock().unwrap().record(0, &state).unwrap();

    let answer = shown.json(&format!("/api/incidents/{}", IncidentId(7))).await;
    assert_eq!(answer["transitions"].as_array().unwrap().len(), 2);
    assert_eq!(answer["transitions"][0]["headline"], HOSTILE);
    assert_eq!(answer["transitions"][1]["proof"], "SELECT 1");
    assert_eq!(
        answer["levels"],
        json!({
            "dimension": "service.name",
            "stacked": true,
            "of": "held",
            "from": "2026-03-04T14:59:50Z",
            "step_seconds": 10,
            "until": "2026-03-04T15:00:16Z",
            "bands": [
                {"kind": "owner", "name": "issuer", "values": 1, "held": [4, 6, 6]},
                {"kind": "holder", "name": "web", "values": 1, "held": [9, 9, 8]},
            ],
            "refused": [2, 1, 1],
            "evidence_left_off": 0,
        })
    );
    assert_eq!(
        answer["marks"],
        json!([{"time": "2026-03-04T14:58:00.000000Z", "kind": "deploy", "subject": "issuer",
                "version": "2.14", "cause": null}])
    );
    let sent = &answer["deliveries"][0];
    assert_eq!(
        (&sent["sink"], &sent["action"], &sent["sequence"], &sent["state"]),
        (&json!("oncall"), &json!("trigger"), &json!(1), &json!("pending"))
    );
    assert_eq!((&sent["attempts"], &sent["error"]), (&json!(2), &json!("429")));
}

#[tokio::test]
async fn an_open_incident_goes_on_after_its_last_transition() {
    let shown = shown().await;
    shown.commit(&committed(&[transition(7, 1, Change::Opened, 5)], Evidence::default()));
    let path = format!("/api/incidents/{}", IncidentId(7));
    assert_eq!(shown.json(&path).await["followed"], Value::Null);
    for (second, level) in [(10, 150), (12, 151), (25, 152)] {
        let id = IncidentId(7);
        let now = Incident { id, level: Some(level), owner_level: None, lowest: false };
        let judged_through = Some(Second(AT + second));
        shown.watched.publish(Picture {
            judged_through,
            incidents: vec![now],
            ..Picture::default()
        });
    }
    let listed = &shown.json("/api/incidents").await["incidents"][0];
    assert_eq!(listed["now"], json!({"level": 152, "owner_level": null}));
    let steps = json!([["2026-03-04T15:00:10Z", 151, null], ["2026-03-04T15:00:20Z", 152, null]]);
    assert_eq!(shown.json(&path).await["followed"], json!({"step_seconds": 10, "steps": steps}));
}

#[tokio::test]
async fn memory_has_a_line_for_each_instance_and_marks_for_its_lives() {
    let shown = shown().await;
    let mut opened = transition(7, 1, Change::Opened, 5);
    opened.finding.release = None;
    let sample = |second: i64, instance: &str, value| Sample {
        incident: IncidentId(7),
        time: Time::from_seconds(AT + second),
        resource: "orders-db".to_owned(),
        metric: "memory".to_owned(),
        value,
        unit: "bytes".to_owned(),
        holder: holder("issuer", instance),
    };
    let life = Life {
        incident: IncidentId(7),
        resource: "orders-db".to_owned(),
        started_at: Time::from_seconds(AT - 5),
        start_known: false,
        ended_at: Some(Time::from_seconds(AT)),
        cause: "oom".to_owned(),
        holder: holder("issuer", "b"),
    };
    let evidence = Evidence {
        samples: vec![sample(0, "a", 5.5), sample(0, "b", 9.0), sample(10, "a", 6.0)],
        lives: vec![life],
        ..Evidence::default()
    };
    shown.commit(&committed(&[opened], evidence));
    let answer = shown.json(&format!("/api/incidents/{}", IncidentId(7))).await;
    assert_eq!(
        (&answer["levels"]["stacked"], &answer["levels"]["of"]),
        (&json!(false), &json!("measured"))
    );
    assert_eq!(
        answer["levels"]["bands"],
        json!([
            {"kind": "owner", "name": "b", "values": 1, "held": [9, null]},
            {"kind": "owner", "name": "a", "values": 1, "held": [5, 6]},
        ])
    );
    assert_eq!(
        answer["marks"],
        json!([{"time": "2026-03-04T15:00:00.000000Z", "kind": "end", "subject": "b",
                "version": null, "cause": "oom"}])
    );
}

#[tokio::test]
async fn an_unknown_or_odd_id_is_told_so() {
    let shown = shown().await;
    let get = async |id: &str| shown.server.get(&format!("/api/incidents/{id}")).await;
    answers(&get(&IncidentId(7).to_string()).await, "404", "there is no incident");
    let long = "a".repeat(5_000);
    for id in [
        "7",
        "0000000000000000000000000000000G",
        "+0000000000000000000000000000007",
        "000000000000000000000000000000AB",
        "..%2f..%2fetc%2fpasswd",
        "%ff",
        long.as_str(),
    ] {
        let answer = get(id).await;
        answers(&answer, "400", "");
        assert!(answer.len() < 1_000, "{answer}");
    }
}

#[tokio::test]
async fn what_is_watched_is_what_the_judge_published() {
    let shown = shown().await;
    let before = shown.json("/api/watched").await;
    assert_eq!(before["pipelines"][0]["judged_through"], Value::Null);
    shown.watched.publish(Picture {
        judged_through: Some(Second(AT)),
        now: Some(Time::from_seconds(AT + 4)),
        resources: vec![Resource {
            name: "orders-db".to_owned(),
            unit: "connections".to_owned(),
            held: 148,
            usable: Some(197),
            holders: 1,
            largest: vec![(holder("issuer", ""), 148)],
            doubts: 0,
        }],
        sources: vec![Source { name: HOSTILE.to_owned(), idle: 1, ..Source::default() }],
        incidents: Vec::new(),
    });
    let answer = shown.json("/api/watched").await;
    let pipeline = &answer["pipelines"][0];
    assert_eq!((&pipeline["lag_seconds"], &pipeline["live"]), (&json!(3.0), &json!(true)));
    assert_eq!(
        pipeline["resources"][0],
        json!({"resource": "orders-db", "unit": "connections", "held": 148, "usable": 197,
               "holders": 1, "largest": [{"service.name": "issuer", "held": 148}], "doubts": 0,
               "past": [["2026-03-04T15:00:00Z", 148]]})
    );
    assert_eq!(pipeline["sources"][0]["source"], HOSTILE);
}

#[tokio::test]
async fn the_page_may_load_its_own_files_and_nothing_else() {
    let shown = shown().await;
    for path in ["/", "/incidents/0123", "/page/page.css", "/page/now.js"] {
        let answer = shown.server.get(path).await;
        answers(&answer, "200", "x-content-type-options: nosniff");
        let policy = answer.lines().find(|line| line.starts_with("content-security-policy: "));
        let policy = policy.unwrap();
        assert!(policy.contains("default-src 'none'; script-src 'self'; style-src 'self'"));
        assert!(policy.contains("require-trusted-types-for 'script'; trusted-types 'none'"));
        for forbidden in ["unsafe", "http", "data:", "*"] {
            assert!(!policy.contains(forbidden), "{policy}");
        }
    }
    answers(&shown.server.get("/page/nothing.js").await, "404", "");
    answers(&shown.server.get("/page/..%2fnow.html").await, "404", "");
}

#[tokio::test]
async fn the_page_has_no_inline_script_style_or_address_of_others() {
    let shown = shown().await;
    let files = [
        "/",
        "/incidents/1",
        "/page/chart.js",
        "/page/draw.js",
        "/page/facts.js",
        "/page/frame.js",
        "/page/incident.js",
        "/page/marks.js",
        "/page/now.js",
        "/page/poll.js",
        "/page/state.js",
        "/page/words.js",
        "/page/page.css",
        "/page/mark.svg",
    ];
    for path in files {
        let answer = shown.server.get(path).await;
        answers(&answer, "200", "");
        let body =
            answer.split_once("\r\n\r\n").unwrap().1.replace("http://www.w3.org/2000/svg", "");
        for forbidden in ["<style", "style=\"", "onclick=", "http:", "https:", "innerHTML", "eval("]
        {
            assert!(!body.contains(forbidden), "{path} has {forbidden}");
        }
    }
}
