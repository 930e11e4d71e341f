use std::time::Duration;

use plimsoll_model::{Change, Second};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::Instant;

use super::spread::{self, assert_same, decided, produce, replayed, spread, stored};
use crate::parts::free_ports;
use crate::parts::kafka::KafkaPart;
use crate::parts::program::Program;
use crate::scenario::{Plan, USABLE, generate};

/// How much faster than the records say they are sent.
const SPEED: f64 = 10.0;

/// How long the pipeline may take for what is left when the last record was sent.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the orderly end may take (`docs/operations.md`).
const STOP_WITHIN: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn live_equals_replay() {
    let seed = rand::random();
    println!("live: seed {seed}");
    let kafka = KafkaPart::start().await.unwrap();
    let end = 400;
    // The last record is of about the time at which it is sent.
    let start = plimsoll::clock::now().second().0 - end + (end as f64 / SPEED) as i64;
    let plan = Plan { seed, start, leak_from: 60, leak_every: 1.0, leak_until: 200, end };
    let scenario = generate(plan);
    // The last partition of the log has no record at all, the one before it is late.
    let mut partitions = spread("db", "pg-logs", (4, 3), &scenario.db);
    partitions[2].delay(1_500, 5_000, &mut StdRng::seed_from_u64(seed));
    partitions.extend(spread("deploys", "deploys", (4, 4), &scenario.deploys));
    partitions.extend(spread("gauge", "gauges", (4, 4), &scenario.gauge));
    spread::create_topics(&kafka, &partitions).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let (config, data) = (folder.path().join("pipeline.yaml"), folder.path().join("data"));
    let port = free_ports(1).unwrap()[0];
    std::fs::write(&config, definition(&kafka.bootstrap(), port)).unwrap();
    let mut program = Program::start(&config, port).await.unwrap();

    let bootstrap = kafka.bootstrap();
    let produced = produce(&bootstrap, &partitions, SPEED);
    tokio::time::timeout(Duration::from_secs(120), produced).await.unwrap().unwrap();
    let early = decided(&data).unwrap().len();
    assert!(early > 0, "nothing was decided while records were sent: {}", program.said());
    let last = Second(start + end);
    let judged = || stored(&data).unwrap().recover().unwrap().decided_through >= Some(last);
    let deadline = Instant::now() + PATIENCE;
    while !judged() {
        assert!(Instant::now() < deadline, "not judged through {last}: {}", program.said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (status, took) = program.stop(STOP_WITHIN).unwrap();
    assert!(status.success(), "{status}: {}", program.said());

    let expected = replayed(&config, &partitions).unwrap();
    assert_eq!(expected.last().unwrap().change, Change::Resolved);
    let all = expected.len();
    println!("live: {early} of {all} transitions while records were sent, stopped in {took:?}");
    assert_same(&decided(&data).unwrap(), &expected);
}

/// Waits until `/metrics` has `line`.
async fn measured(program: &Program, line: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (_, page) = program.get("/metrics").unwrap();
        if page.contains(line) {
            return;
        }
        assert!(Instant::now() < deadline, "no `{line}`: {page}\n{}", program.said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_added_while_running_is_read_as_replay_reads_it() {
    let kafka = KafkaPart::start().await.unwrap();
    let end = 400;
    let start = plimsoll::clock::now().second().0 - end;
    let plan = Plan { seed: 11, start, leak_from: 60, leak_every: 1.0, leak_until: 200, end };
    let scenario = generate(plan);
    let partitions = spread::split("db", "pg-logs", 100_000, &scenario.db);
    kafka.create_topic("pg-logs", 1).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (config, data) = (folder.path().join("pipeline.yaml"), folder.path().join("data"));
    let (port, brokers) = (free_ports(1).unwrap()[0], kafka.bootstrap());
    // Nobody is idle meanwhile, so that the records alone decide.
    let definition = format!(
        r#"version: 1
name: payments
response_time: 5m
data: data
listen: 127.0.0.1:{port}
kafka: {{brokers: "{brokers}"}}
sources:
  db: {{kafka: pg-logs, format: postgres_jsonlog, resource: orders-db, idle_after: 5m}}
resources:
  orders-db: {{connections: {{limit: {USABLE}}}}}
"#
    );
    std::fs::write(&config, definition).unwrap();
    let mut program = Program::start(&config, port).await.unwrap();
    let read = |count: usize| format!("plimsoll_records_read_total{{source=\"db\"}} {count}\n");

    let mut sent = spread::send(&brokers, &partitions[0], 0..100_000).unwrap();
    measured(&program, &read(sent)).await;
    kafka.add_partitions("pg-logs", 2).await.unwrap();
    measured(&program, "plimsoll_partitions{source=\"db\",state=\"idle\"} 1\n").await;
    // The new one first: from then on it holds the clock too.
    for partition in [&partitions[1], &partitions[0]] {
        sent += spread::send(&brokers, partition, 100_000..i64::MAX).unwrap();
        measured(&program, &read(sent)).await;
    }
    // The end of the log is not judged while the clock waits for more, so some is cut off.
    let last = Second(start + end - 60);
    let judged = || stored(&data).unwrap().recover().unwrap().decided_through >= Some(last);
    let deadline = Instant::now() + PATIENCE;
    while !judged() {
        assert!(Instant::now() < deadline, "not judged through {last}: {}", program.said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (status, _) = program.stop(STOP_WITHIN).unwrap();
    assert!(status.success(), "{status}: {}", program.said());
    let mut expected = replayed(&config, &partitions).unwrap();
    let mut found = decided(&data).unwrap();
    for transitions in [&mut expected, &mut found] {
        transitions.retain(|it| it.as_of <= last);
    }
    assert!(!expected.is_empty());
    assert_same(&found, &expected);
}

fn definition(brokers: &str, port: u16) -> String {
    format!(
        r#"version: 1
name: payments
response_time: 5m
data: data
listen: 127.0.0.1:{port}
kafka: {{brokers: "{brokers}"}}
sources:
  db: {{kafka: pg-logs, format: postgres_jsonlog, resource: orders-db}}
  deploys: {{kafka: deploys, format: json, role: context}}
  gauge:
    kafka: gauges
    format: json
    resource: orders-db
    map: {{time: ts, value: {{used: active}}}}
resources:
  orders-db: {{connections: {{limit: {USABLE}}}}}
"#
    )
}
