//! The same queries over the store and over ClickHouse give the same answers.

use std::path::Path;

use arrow::array::RecordBatch;
use plimsoll::outbox;
use plimsoll::plan::{Planner, Route};
use plimsoll_deliver::{ClickHouse, ClickHouseConfig};
use plimsoll_model::evidence::Table;
use plimsoll_model::{
    Delivery, DeliveryState, Outcome, PartitionId, Payload, Reject, RejectReason, Severity,
};
use plimsoll_store::{Commit, Options, Store};
use serde_json::{Map, Value};

use crate::golden::{self, Told, ask};
use crate::parts::clickhouse::ClickHousePart;
use crate::proof;

/// One golden pipeline in a database of its own of a real engine.
struct Engine<'a> {
    part: &'a ClickHousePart,
    database: String,
    sink: ClickHouse,
    runtime: tokio::runtime::Runtime,
}

impl<'a> Engine<'a> {
    fn with(part: &'a ClickHousePart, database: String, told: &[Told]) -> Engine<'a> {
        let mut config = ClickHouseConfig::new(part.url());
        config.database.clone_from(&database);
        let sink = ClickHouse::new("history", config).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(sink.migrate(false)).unwrap();
        for (sequence, one) in (0..).zip(told) {
            let transitions = one.transitions.iter().map(|it| (it.clone(), one.decided_at));
            let payload =
                Payload::Rows { transitions: transitions.collect(), segments: Vec::new() };
            let key = format!("{database}-{sequence}");
            let delivery = Delivery { sequence, sink: "history".into(), key, payload };
            let tables = Table::ALL.into_iter().filter(|table| one.evidence.len(*table) > 0);
            let evidence: Vec<_> =
                tables.map(|table| (table, one.evidence.record_batch(table))).collect();
            // Twice: a repetition changes no answer.
            for _ in 0..2 {
                let outcome = runtime.block_on(sink.deliver(&delivery, &evidence));
                assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
            }
        }
        Engine { part, database, sink, runtime }
    }

    /// Copies what has changed in `store`, twice.
    fn copy(&self, store: &mut Store) {
        while let Some((_, changes)) = outbox::changes(store).unwrap() {
            let (deliveries, rejects) = rows(store);
            for _ in 0..2 {
                self.runtime.block_on(self.sink.copy(&deliveries, &rejects)).unwrap();
            }
            outbox::copied(store, &changes).unwrap();
        }
    }

    #[track_caller]
    fn ask(&self, sql: &str) -> Vec<Map<String, Value>> {
        let sql = format!("{sql} FORMAT JSONEachRow");
        let mut rows = golden::objects(&self.part.query_in(&self.database, &sql));
        // Only the server knows when it wrote a row.
        rows.iter_mut().for_each(|row| drop(row.remove("written_at")));
        rows
    }
}

/// Orders what was told, and rejects a record with each tick; what became of the orders is copied
/// to the engine before anybody was asked and at the end.
fn order(engine: &Engine<'_>, folder: &Path, name: &str, told: &[Told]) {
    let options = Options { ballast_bytes: 0, ..Options::new(name) };
    let mut store = Store::open(folder, options).unwrap();
    store.remember_changes(1).unwrap();
    let route = |to: &str| Route { severity: Severity::Notify, receiver: to.to_owned() };
    let mut planner = Planner::new(["a", "b", "c", "d", "e"].map(route).to_vec(), true);
    for (place, one) in told.iter().enumerate() {
        let decided: Vec<_> =
            one.transitions.iter().map(|it| (it.clone(), one.decided_at)).collect();
        let reject = Reject {
            partition: PartitionId::new(0, 7),
            offset: place as i64,
            reason: RejectReason::ALL[place % RejectReason::ALL.len()],
            detail: "no `time`".to_owned(),
            excerpt: Reject::excerpt_of(b"{\"a\":\t'\\\x1b[31m"),
        };
        let deliveries = planner.plan(&decided, false, false);
        let rejects = vec![reject];
        let commit = Commit { tick: one.tick, deliveries, rejects, ..Commit::default() };
        store.commit(&commit).unwrap();
    }
    engine.copy(&mut store);
    let ordered = store.snapshot().unwrap().deliveries().unwrap();
    for one in &ordered {
        let first = DeliveryState::Pending { attempts: 1, last_error: Some("refused".to_owned()) };
        store.record(one.delivery.sequence, &first).unwrap();
    }
    let late = rows(&store);
    let at = told[0].decided_at;
    let states = [
        DeliveryState::Accepted { at, answer: "202: event processed".to_owned() },
        DeliveryState::Pending { attempts: 3, last_error: Some("429: slow down".to_owned()) },
        DeliveryState::Refused { at, error: "403: 'invalid' key".to_owned() },
        DeliveryState::Superseded,
        DeliveryState::Held,
    ];
    assert!(ordered.len() > states.len(), "{} orders", ordered.len());
    // The first one goes on waiting.
    for (one, state) in ordered.iter().skip(1).zip(states.iter().cycle()) {
        store.record(one.delivery.sequence, state).unwrap();
    }
    engine.copy(&mut store);
    // A block that the server took long for arrives after newer ones.
    engine.runtime.block_on(engine.sink.copy(&late.0, &late.1)).unwrap();
}

/// The rows that are to be copied.
fn rows(store: &Store) -> (RecordBatch, RecordBatch) {
    let snapshot = store.snapshot().unwrap();
    let (pipeline, changes) = (snapshot.pipeline().unwrap(), snapshot.changes().unwrap());
    plimsoll_query::copies(&pipeline.unwrap(), &[], &changes)
}

/// Equal, but for the last digits of floats.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        _ => a == b,
    }
}

#[track_caller]
fn assert_same(sql: &str, ours: &[Map<String, Value>], theirs: &[Map<String, Value>]) {
    assert_eq!(ours.len(), theirs.len(), "{sql}");
    for (ours, theirs) in ours.iter().zip(theirs) {
        let names: Vec<_> = ours.keys().collect();
        assert_eq!(names, theirs.keys().collect::<Vec<_>>(), "{sql}");
        for (name, value) in ours {
            assert!(same(value, &theirs[name]), "{name}: {value} and {} in {sql}", theirs[name]);
        }
    }
}

/// What an analyst asks, in words that both engines know.
const QUERIES: &[&str] = &[
    "select * from incidents order by incident",
    "select * from incident_events order by incident, sequence",
    "select * from panes order by incident, pane, holder_key",
    "select * from samples order by incident, resource, metric, time, holder_key",
    "select * from sessions order by incident, resource, started_at, session",
    "select * from lives order by incident, resource, started_at, holder_key",
    "select kind, severity_peak, count(*) as n from incidents group by kind, severity_peak order by kind, severity_peak",
    "select incident, headline from incidents where is_open order by incident",
    "select incident, resolved_at from incidents where not is_open order by incident",
    "select severity, since, headline, advice from incidents where resolved_at is not null order by since",
    "select incident, owner, as_of, extract(epoch from date_trunc('second', exhaustion_from)) - extract(epoch from as_of) as seconds_left \
     from incident_events where change = 'opened' and kind = 'growth_to_limit' order by as_of",
    "select service_name, sum(opened) as opened_units, sum(closed) as closed_units, max(held) as most \
     from panes group by service_name order by service_name",
    "select date_trunc('minute', pane) as minute, count(*) as changes from panes group by date_trunc('minute', pane) \
     order by minute limit 50",
    "select i.owner_value, count(*) as n, max(p.held) as most from incidents i join panes p on p.incident = i.incident \
     where p.service_name = i.owner_value group by i.owner_value order by i.owner_value",
    "select pane, held, lag(held, 1) over (partition by holder_key order by pane) as held_before from panes \
     where held > 100 order by incident, pane, holder_key limit 20",
    "with ends as (select incident, max(sequence) as sequence from incident_events group by incident) \
     select e.incident, e.change, e.refused from incident_events e join ends on ends.incident = e.incident \
     and ends.sequence = e.sequence order by e.incident",
    "select count(*) as n, avg(growth_per_minute) as mean, min(as_of) as first, max(as_of) as last from incident_events",
    "select distinct reason from incident_events order by reason",
    "select incident from incidents where owner like 'service.name %' and usable > 0 order by incident",
    "select count(*) as n from panes where pane >= '2026-03-04 15:00:00' and pane < '2026-03-04 15:10:00'",
    "select case when held >= 100 then 'many' else 'few' end as size, count(*) as n from panes \
     group by case when held >= 100 then 'many' else 'few' end order by size",
    "select * from deliveries order by delivery",
    "select * from rejects order by source, partition, record_offset, reason",
    "select sink, action, state, count(*) as n, max(answered_at) as newest from deliveries \
     group by sink, action, state order by sink, action, state",
    "select sink, key, attempts, answer from deliveries where state = 'refused' or attempts > 0 order by delivery",
    "select d.delivery, d.sink, d.state, e.headline from deliveries d join incident_events e \
     on e.incident = d.incident and e.sequence = d.sequence order by d.delivery",
    "select count(*) as n from deliveries where sequence is null and action = 'rows'",
    "select reason, count(*) as n, max(record_offset) as last from rejects group by reason order by reason",
    "select upper(resource) as name, length(headline) as letters from incidents order by incident",
];

#[test]
fn both_engines_answer_alike_and_prove_alike() {
    let part = ClickHousePart::start();
    let mut proven = 0;
    for (place, (name, told)) in golden::golden().iter().enumerate() {
        let store = golden::stored(name, told, Clone::clone);
        let engine = Engine::with(&part, format!("golden_{place}"), told);
        order(&engine, store.path(), name, told);
        for sql in QUERIES {
            assert_same(sql, &ask(store.path(), sql), &engine.ask(sql));
        }
        docs_run(&engine, store.path());
        let half = Engine::with(&part, format!("golden_{place}_half"), &golden::halved(told));
        for transition in proof::telling(told) {
            let theirs = engine.ask(&transition.proof);
            assert_same(&transition.proof, &ask(store.path(), &transition.proof), &theirs);
            proof::check(transition, &theirs[0]);
            assert_ne!(half.ask(&transition.proof), theirs, "half of the evidence proves as much");
            proven += 1;
        }
    }
    assert!(proven > 0, "no incident was proven");
}

/// The queries in `docs/sql.md` run; those without our table functions in both.
#[track_caller]
fn docs_run(engine: &Engine<'_>, store: &Path) {
    let docs = include_str!("../../../../../docs/sql.md");
    let blocks = docs.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    let queries: Vec<&str> = blocks.map(|block| block.trim().trim_end_matches(';')).collect();
    assert!(queries.len() >= 7, "{} queries in docs/sql.md", queries.len());
    for sql in queries {
        ask(store, sql);
        if !["incident_window", "holders_at"].iter().any(|only| sql.contains(only)) {
            engine.ask(sql);
        }
    }
}
