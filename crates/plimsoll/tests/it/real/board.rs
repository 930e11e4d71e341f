//! Every panel of the Grafana board, on a real ClickHouse engine.

use std::collections::BTreeMap;
use std::path::Path;

use plimsoll::engine::locked;
use plimsoll::outbox;
use plimsoll::plan::CLICKHOUSE;
use plimsoll_deliver::{ClickHouse, ClickHouseConfig};
use plimsoll_model::evidence::{Evidence, Life, Pane, Sample};
use plimsoll_model::{
    Change, DeliveryState, Dimension, Finding, Holder, IncidentId, Kind, OwnedHolder, Owner,
    PageAction, PartitionId, Payload, Reason, Reject, RejectReason, Release, Second, Severity,
    Time, Transition,
};
use plimsoll_store::{Commit, NewDelivery};
use serde_json::Value;

use super::shown::{PAGER, Shown, recorded};
use crate::parts::clickhouse::ClickHousePart;

/// 2026-03-04T15:00:00Z.
const AT: i64 = 1_772_636_400;

fn board() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dashboards/plimsoll.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The panels' SQL, by title; the annotations and variables by their names.
fn queries(board: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut found = BTreeMap::new();
    for panel in board["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            found.insert(text(&panel["title"]), text(&target["rawSql"]));
        }
    }
    for annotation in board["annotations"]["list"].as_array().unwrap() {
        found.insert(text(&annotation["name"]), text(&annotation["target"]["rawSql"]));
    }
    for variable in board["templating"]["list"].as_array().unwrap() {
        if variable["type"] == "query" {
            found.insert(text(&variable["name"]), text(&variable["query"]));
        }
    }
    found
}

/// What Grafana and its ClickHouse source make of a query.
fn expanded(sql: &str, pipelines: &[&str], incident: &str) -> String {
    let quoted: Vec<String> = pipelines.iter().map(|it| format!("'{it}'")).collect();
    let mut sql =
        sql.replace("${pipeline:sqlstring}", &quoted.join(",")).replace("${incident}", incident);
    while let Some((before, rest)) = sql.split_once("$__timeFilter(") {
        let (column, after) = rest.split_once(')').unwrap();
        let range = format!(
            "{column} >= toDateTime({}) AND {column} <= toDateTime({})",
            AT - 86_400 * 7,
            AT + 86_400 * 7
        );
        sql = format!("{before}{range}{after}");
    }
    assert!(!sql.contains('$'), "{sql}");
    sql
}

/// An incident of `resource`, opened at `AT` and told to ClickHouse with its evidence.
fn commit(shown: &Shown, incident: u128, resource: &str, unit: &str, evidence: Evidence) {
    let tick = Second(AT);
    let transition = Transition {
        incident: IncidentId(incident),
        sequence: 1,
        change: Change::Opened,
        reason: Reason::GrowthWithoutLimit,
        as_of: tick,
        pipeline: "hand".to_owned(),
        opened_at: tick,
        severity_peak: Severity::Ticket,
        finding: Finding {
            kind: Kind::GrowthToLimit,
            resource: resource.to_owned(),
            unit: unit.to_owned(),
            owner: Owner::Unknown,
            severity: Severity::Ticket,
            since: tick,
            level: 9,
            usable: Some(12),
            owner_level: None,
            owner_level_before: None,
            growth_per_minute: None,
            exhaustion: None,
            release: Some(Release {
                service: "web".to_owned(),
                version: Some("2".to_owned()),
                deployed_at: Time::from_seconds(AT - 60),
            }),
            refused: 0,
            doubts: Vec::new(),
            detail: None,
        },
        headline: "It grows.".to_owned(),
        advice: "Look.".to_owned(),
        proof: String::new(),
    };
    let decided_at = Time::from_millis(AT * 1000 + 2_500);
    let payload = Payload::Page {
        action: PageAction::Trigger,
        transition: Box::new(transition.clone()),
        decided_at,
    };
    let (sink, key) = (PAGER.to_owned(), transition.incident.to_string());
    let page = NewDelivery { sink, key, payload, with_evidence: false, held: false };
    let transitions = vec![(transition, decided_at)];
    let payload = Payload::Rows { transitions: transitions.clone(), segments: Vec::new() };
    let (sink, key) = (CLICKHOUSE.to_owned(), format!("block-{incident}"));
    let order = NewDelivery { sink, key, payload, with_evidence: true, held: false };
    let deliveries = vec![page, order];
    let commit = Commit { tick, transitions, deliveries, evidence, ..Commit::default() };
    locked(&shown.store).commit(&commit).unwrap();
}

/// The pager refuses the first page and wants the second one later; three records cannot be used.
fn trouble(shown: &Shown) {
    let reject = |offset: i64, reason: RejectReason| Reject {
        partition: PartitionId::new(0, 0),
        offset,
        reason,
        detail: "cut short".to_owned(),
        excerpt: "{".to_owned(),
    };
    let rejects = vec![
        reject(0, RejectReason::Malformed),
        reject(9, RejectReason::Malformed),
        reject(20, RejectReason::BadValue),
    ];
    let mut store = locked(&shown.store);
    store.commit(&Commit { tick: Second(AT), rejects, ..Commit::default() }).unwrap();
    let refused =
        DeliveryState::Refused { at: Time::from_seconds(AT + 4), error: "403: no".to_owned() };
    let later = DeliveryState::Pending { attempts: 3, last_error: Some("429: wait".to_owned()) };
    let owed = store.next_deliveries(PAGER, 10).unwrap();
    for (order, state) in owed.iter().zip([refused, later]) {
        store.record(order.delivery.sequence, &state).unwrap();
    }
}

fn holder(service: &str, instance: &str) -> OwnedHolder {
    Holder::default()
        .with(Dimension::ServiceName, service)
        .with(Dimension::ServiceInstanceId, instance)
        .to_owned()
}

/// Two programs and what is not told apart; `web` has two instances.
fn connections() -> Evidence {
    let pane = |second: i64, service: &str, instance: &str, held: u64| Pane {
        incident: IncidentId(1),
        pane: Second(AT + second),
        resource: "db".to_owned(),
        opened: 2,
        closed: 1,
        refused: u64::from(second == 20),
        held,
        holder: holder(service, instance),
    };
    let panes = vec![
        pane(-20, "web", "a", 3),
        pane(-20, "web", "b", 1),
        pane(-20, "issuer", "c", 2),
        pane(0, "issuer", "c", 5),
        pane(20, "web", "b", 0),
        pane(20, "", "", 4),
    ];
    Evidence { panes, ..Evidence::default() }
}

/// An instance that was killed, and the one that took its place.
fn memory() -> Evidence {
    let sample = |second: i64, metric: &str, value: f64| Sample {
        incident: IncidentId(2),
        time: Time::from_seconds(AT + second),
        resource: "web-memory".to_owned(),
        metric: metric.to_owned(),
        value,
        unit: "bytes".to_owned(),
        holder: holder("web", "web-1"),
    };
    let life = |from: i64, to: Option<i64>, cause: &str| Life {
        incident: IncidentId(2),
        resource: "web-memory".to_owned(),
        started_at: Time::from_seconds(AT + from),
        start_known: true,
        ended_at: to.map(|to| Time::from_seconds(AT + to)),
        cause: cause.to_owned(),
        holder: holder("web", "web-1"),
    };
    let samples =
        vec![sample(0, "memory", 100.0), sample(60, "memory", 200.5), sample(60, "floor", 90.0)];
    let lives = vec![life(-3600, Some(30), "oom"), life(50, None, "")];
    Evidence { samples, lives, ..Evidence::default() }
}

/// Sends everything that a store owes to ClickHouse, and then what became of all orders.
async fn deliver(shown: &Shown, sink: &ClickHouse) {
    loop {
        let due = outbox::next(&mut locked(&shown.store), CLICKHOUSE).unwrap();
        let Some((delivery, attempts)) = due else { break };
        let evidence = outbox::evidence(&locked(&shown.store), &delivery).unwrap();
        let outcome = sink.deliver(&delivery, &evidence).await;
        assert!(matches!(outcome, plimsoll_model::Outcome::Accepted { .. }), "{outcome:?}");
        let store = &mut locked(&shown.store);
        outbox::record(store, &delivery, attempts, outcome, Time::default(), 0).unwrap();
    }
    let (pipeline, changes) = outbox::changes(&mut locked(&shown.store)).unwrap().unwrap();
    let (deliveries, rejects) = plimsoll_query::copies(&pipeline, &["log".to_owned()], &changes);
    sink.copy(&deliveries, &rejects).await.unwrap();
    outbox::copied(&mut locked(&shown.store), &changes).unwrap();
}

/// The rows of three small incidents by hand: 4 + 2 units, then 5 of issuer, then one of web's
/// instances is empty and four units are not told apart.
const WHO_HOLDS_IT: &str = "\
2026-03-04 14:59:40.000000\tissuer\t2
2026-03-04 14:59:40.000000\tnot told apart\t0
2026-03-04 14:59:40.000000\tweb\t4
2026-03-04 14:59:50.000000\tissuer\t2
2026-03-04 14:59:50.000000\tnot told apart\t0
2026-03-04 14:59:50.000000\tweb\t4
2026-03-04 15:00:00.000000\tissuer\t5
2026-03-04 15:00:00.000000\tnot told apart\t0
2026-03-04 15:00:00.000000\tweb\t4
2026-03-04 15:00:10.000000\tissuer\t5
2026-03-04 15:00:10.000000\tnot told apart\t0
2026-03-04 15:00:10.000000\tweb\t4
2026-03-04 15:00:20.000000\tissuer\t5
2026-03-04 15:00:20.000000\tnot told apart\t4
2026-03-04 15:00:20.000000\tweb\t3
";

const LEVEL_AND_LIMIT: &str = "\
2026-03-04 14:59:40.000000\t6\t12
2026-03-04 14:59:50.000000\t6\t12
2026-03-04 15:00:00.000000\t9\t12
2026-03-04 15:00:10.000000\t9\t12
2026-03-04 15:00:20.000000\t12\t12
";

const PER_MINUTE: &str = "\
2026-03-04 14:59:00\t6\t3\t0
2026-03-04 15:00:00\t6\t3\t2
";

const MEMORY: &str = "\
2026-03-04 15:00:00.000000\tweb-1\t100
2026-03-04 15:01:00.000000\tweb-1\t200.5
";

const LIVES: &str = "\
2026-03-04 14:00:00.000000\t2026-03-04 15:00:30.000000\tweb\t\tweb-1\toom\t3630
2026-03-04 15:00:50.000000\t\\N\tweb\t\tweb-1\t\t\\N
";

const NOT_TAKEN: &str = "\
2026-03-04 15:00:00.000000\thand\toncall\ttrigger\trefused\t\\N\t2026-03-04 15:00:04.000000\t403: no\t\
00000000000000000000000000000001
2026-03-04 15:00:00.000000\thand\toncall\ttrigger\tpending\t3\t\\N\t429: wait\t\
00000000000000000000000000000002
";

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_returns_rows_and_the_right_ones() {
    let part = ClickHousePart::start();
    let sink = ClickHouse::new(CLICKHOUSE, ClickHouseConfig::new(part.url())).unwrap();
    sink.migrate(false).await.unwrap();
    let (hand, recorded) = (Shown::new("hand"), recorded(&[]));
    for shown in [&hand, &recorded] {
        locked(&shown.store).remember_changes(1).unwrap();
    }
    commit(&hand, 1, "db", "connections", connections());
    commit(&hand, 2, "web-memory", "bytes", memory());
    trouble(&hand);
    deliver(&hand, &sink).await;
    deliver(&recorded, &sink).await;

    let queries = queries(&board());
    let ask = |title: &str, incident: &str| {
        let sql = expanded(&queries[title], &["hand", "db-saturation"], incident);
        part.query_in("plimsoll", &sql)
    };
    let (db, web) = (IncidentId(1).to_string(), IncidentId(2).to_string());
    assert_eq!(ask("Who holds it", &db), WHO_HOLDS_IT);
    assert_eq!(ask("Level and limit", &db), LEVEL_AND_LIMIT);
    assert_eq!(ask("Opened, closed, refused per minute", &db), PER_MINUTE);
    assert_eq!(ask("Memory by instance", &web), MEMORY);
    assert_eq!(ask("Lives", &web), LIVES);
    assert_eq!(ask("Open now", ""), "2\n");
    assert_eq!(ask("Pages", ""), "1\n");
    assert_eq!(ask("Not taken", ""), NOT_TAKEN);
    let rejects = ask("Rejects by reason", "");
    // The last column is the moment of the writing.
    let rejects: Vec<_> = rejects.lines().filter_map(|it| Some(it.rsplit_once('\t')?.0)).collect();
    assert_eq!(rejects, ["hand\tlog\tmalformed\t2", "hand\tlog\tbad_value\t1"]);
    assert_eq!(ask("pipeline", ""), "db-saturation\nhand\n");
    assert_eq!(ask("Deploys", &db), "2026-03-04 14:59:00.000000\tdeploy web 2\n");

    // The server itself counted 197 sessions when it began to refuse (truth.json).
    let (_, over) = recorded.newest();
    let id = over.incident.to_string();
    let levels = ask("Level and limit", &id);
    let highest = levels.lines().map(|it| it.split('\t').nth(1).unwrap().parse::<u64>().unwrap());
    assert_eq!(highest.max(), Some(197));

    let incidents = [db, web, id];
    for title in queries.keys() {
        let rows: usize = incidents.iter().map(|id| ask(title, id).lines().count()).sum();
        assert!(rows > 0, "the panel `{title}` shows nothing");
    }
}
