//! What becomes of a page, and what cannot be read, is in ClickHouse soon, also if nothing more
//! happens.

use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::golden;
use crate::parts::clickhouse::ClickHousePart;
use crate::parts::free_ports;
use crate::parts::program::Program;
use crate::parts::receiver::{Behaviour, Receiver};
use crate::scenario::{Plan, USABLE, generate};

/// How long it may take from the start until the tables know everything: two of the pauses after
/// failures, and a few rounds of five seconds.
const PATIENCE: Duration = Duration::from_secs(90);

const DELIVERIES: &str = "select pipeline, delivery, sink, key, action, incident, sequence, \
    ordered_at, state, attempts, answered_at, answer from deliveries order by delivery";

const REJECTS: &str = "select pipeline, partition, record_offset, reason, detail, excerpt \
    from rejects order by record_offset";

fn asked(clickhouse: &ClickHousePart, sql: &str) -> Vec<Map<String, Value>> {
    golden::objects(&clickhouse.query_in("plimsoll", &format!("{sql} FORMAT JSONEachRow")))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_page_is_told_although_nothing_follows() {
    let (clickhouse, receiver) = (ClickHousePart::start(), Receiver::start());
    receiver.script([Behaviour::Status(500)]);
    let folder = tempfile::tempdir().unwrap();
    // The leak goes on when the log ends, so the incident stays open and is paged.
    let end = 400;
    let start = plimsoll::clock::now().second().0 - end;
    let plan = Plan { seed: 11, start, leak_from: 60, leak_every: 3.0, leak_until: 9_000, end };
    let mut lines: Vec<String> = generate(plan).db.into_iter().map(|line| line.text).collect();
    lines.insert(lines.len() / 2, "{\"cut".to_owned());
    std::fs::write(folder.path().join("db.jsonl"), lines.join("\n") + "\n").unwrap();
    let config = folder.path().join("pipeline.yaml");
    let port = free_ports(1).unwrap()[0];
    std::fs::write(&config, definition(port, &clickhouse.url(), &receiver.url())).unwrap();
    Program::run(&["clickhouse", "migrate"], &config).unwrap();

    let mut program = Program::start(&config, port).await.unwrap();
    let data = folder.path().join("data");
    let told = "SELECT countIf(sink = 'oncall') > 0 AND count() = countIf(state = 'accepted') \
                FROM plimsoll.deliveries";
    let stored = |sql: &str| tokio::task::block_in_place(|| golden::ask(&data, sql));
    let same = |sql: &str| asked(&clickhouse, sql) == stored(sql);
    let deadline = Instant::now() + PATIENCE;
    while !(clickhouse.query(told) == "1\n" && same(DELIVERIES) && same(REJECTS)) {
        assert!(Instant::now() < deadline, "not told: {}", program.said());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (status, _) = program.stop(Duration::from_secs(15)).unwrap();
    assert!(status.success(), "{status}: {}", program.said());
    assert_eq!(clickhouse.query("SELECT source, reason FROM plimsoll.rejects"), "db\tmalformed\n");
}

fn definition(port: u16, clickhouse: &str, receiver: &str) -> String {
    format!(
        r#"version: 1
name: payments
response_time: 5m
data: data
listen: 127.0.0.1:{port}
clickhouse: {{url: "{clickhouse}"}}
receivers:
  oncall: {{pagerduty: {{routing_key: "${{PAGERDUTY_KEY}}", url: "{receiver}"}}}}
routes:
  - {{severity: ticket, to: oncall}}
sources:
  db: {{file: db.jsonl, format: postgres_jsonlog, resource: orders-db}}
resources:
  orders-db: {{connections: {{limit: {USABLE}}}}}
"#
    )
}
