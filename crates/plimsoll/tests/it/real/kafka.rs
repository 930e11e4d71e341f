use std::path::Path;
use std::time::{Duration, Instant};

use plimsoll_model::RejectReason;
use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::spread::stored;
use crate::parts::free_ports;
use crate::parts::kafka::{ACCOUNT, KafkaPart};
use crate::parts::postgres::PostgresPart;
use crate::parts::program::Program;
use crate::parts::shipper::{Producer, Shipper};

fn consumer(kafka: &KafkaPart) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap())
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap()
}

/// The payloads of one partition from `offset` to its end.
fn records(kafka: &KafkaPart, topic: &str, partition: i32, offset: i64) -> Vec<String> {
    let patience = Duration::from_secs(30);
    let consumer = consumer(kafka);
    let (_, end) = consumer.fetch_watermarks(topic, partition, patience).unwrap();
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
    consumer.assign(&from).unwrap();
    let mut found = Vec::new();
    while offset + (found.len() as i64) < end {
        let message = consumer.poll(patience).expect("a record within 30 s").unwrap();
        found.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_starts_and_takes_a_record() {
    let mut kafka = KafkaPart::start().await.unwrap();
    kafka.create_topic("logs", 2).await.unwrap();
    let mut producer = Producer::new(&kafka.bootstrap(), &[]).unwrap();
    for record in ["a", "b", "c"] {
        producer.send("logs", 1, record.as_bytes()).unwrap();
    }
    assert_eq!(producer.flush().unwrap(), 3);
    assert_eq!(records(&kafka, "logs", 1, 0), ["a", "b", "c"]);
    assert_eq!(records(&kafka, "logs", 0, 0), [""; 0]);

    kafka.delete_records("logs", 1, 2).await.unwrap();
    let first_and_end = consumer(&kafka).fetch_watermarks("logs", 1, Duration::from_secs(30));
    assert_eq!(first_and_end.unwrap(), (2, 3));

    kafka.kill();
    kafka.restart().await.unwrap();
    assert_eq!(records(&kafka, "logs", 1, 2), ["c"]);
    kafka.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_shipped_line_by_line() {
    let kafka = KafkaPart::start().await.unwrap();
    kafka.create_topic("pg-logs", 4).await.unwrap();
    let mut postgres = PostgresPart::start(20, 3).await.unwrap();
    let log = postgres.log_path();
    let shipper = Shipper::start(&log, &kafka.bootstrap(), "pg-logs", 4).unwrap();
    for _ in 0..5 {
        postgres.connect("web", "postgres").await.unwrap().close().await;
    }
    postgres.logged(&["disconnection", "web"]).await.unwrap();
    postgres.stop();
    let shipped = shipper.stop().unwrap();

    let log = std::fs::read_to_string(log).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(shipped, lines.len() as u64);
    for partition in 0..4 {
        let expected: Vec<&str> = lines.iter().copied().skip(partition).step_by(4).collect();
        assert_eq!(records(&kafka, "pg-logs", partition as i32, 0), expected);
    }
}

/// Runs a pipeline that reads from the secured listener with this password and authority, until
/// `path` of the console says each of `words`. Returns what it logged.
async fn meets(kafka: &KafkaPart, password: &str, ca: &str, path: &str, words: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("password"), password).unwrap();
    let (user, brokers) = (ACCOUNT.0, kafka.secure_bootstrap());
    let options = format!(
        r#"{{security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.username: {user}, sasl.password: "${{file:password}}"{ca}}}"#
    );
    run_until(folder.path(), &brokers, &options, path, words).await
}

/// Runs a pipeline with its data in `folder` until `path` of the console says each of `words`.
/// Returns what it logged.
async fn run_until(
    folder: &Path,
    brokers: &str,
    options: &str,
    path: &str,
    words: &[&str],
) -> String {
    let config = folder.join("pipeline.yaml");
    let port = free_ports(1).unwrap()[0];
    let definition = format!(
        r#"version: 1
name: p
listen: 127.0.0.1:{port}
kafka: {{brokers: "{brokers}", options: {options}}}
sources:
  db: {{kafka: pg-logs, format: postgres_jsonlog, resource: orders-db}}
"#
    );
    std::fs::write(&config, definition).unwrap();
    let mut program = Program::launch(&config, port).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (_, said) = program.get(path).unwrap_or_default();
        if words.iter().all(|word| said.contains(word)) {
            break;
        }
        assert!(Instant::now() < deadline, "{words:?} not in {said}\n{}", program.said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (status, _) = program.stop(Duration::from_secs(15)).unwrap();
    assert!(status.success(), "{status}: {}", program.said());
    program.said()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secured_broker_is_read_and_a_refusal_says_why() {
    let (kafka, ca) = KafkaPart::secured().await.unwrap();
    kafka.create_topic("pg-logs", 1).await.unwrap();
    let mut producer = Producer::new(&kafka.bootstrap(), &[]).unwrap();
    producer.send("pg-logs", 0, b"{}").unwrap();
    producer.flush().unwrap();
    let trusted = format!(", ssl.ca.location: {}", ca.display());

    let read = ["plimsoll_records_read_total{source=\"db\"} 1\n"];
    meets(&kafka, ACCOUNT.1, &trusted, "/metrics", &read).await;
    let refused = ["\"kafka\":{\"state\":\"failing\"", "Authentication failed"];
    let said = meets(&kafka, "wrong-password", &trusted, "/readyz", &refused).await;
    assert!(!said.contains("wrong-password"), "{said}");
    let strange = ["\"kafka\":{\"state\":\"failing\"", "certificate verify failed"];
    meets(&kafka, ACCOUNT.1, "", "/readyz", &strange).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_took_while_the_pipeline_was_away_is_told_to_the_record() {
    let kafka = KafkaPart::start().await.unwrap();
    kafka.create_topic("pg-logs", 1).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let send = |count: usize| {
        let mut producer = Producer::new(&kafka.bootstrap(), &[]).unwrap();
        for at in 0..count {
            producer.send("pg-logs", 0, authorized(at).as_bytes()).unwrap();
        }
        producer.flush().unwrap();
    };
    let brokers = kafka.bootstrap();
    let reads = |words: &'static [&'static str]| {
        run_until(folder.path(), &brokers, "{}", "/metrics", words)
    };
    // Four sessions, and all of them were judged: offset 4 is next.
    send(4);
    reads(&["plimsoll_resource_units_held{resource=\"orders-db\"} 4\n"]).await;
    // Offsets 4 to 9 follow, and those before 7 go.
    send(6);
    kafka.delete_records("pg-logs", 0, 7).await.unwrap();
    let said = reads(&[
        "plimsoll_records_rejected_total{source=\"db\",reason=\"lost\"} 1\n",
        "plimsoll_records_used_total{source=\"db\"} 3\n",
    ])
    .await;
    let loss = said.lines().find(|line| line.contains("records are lost")).unwrap();
    assert!(
        loss.contains("\"partition\":\"pg-logs/0\"") && loss.contains("\"from\":4,\"to\":7"),
        "{loss}"
    );
    let rejects = stored(&folder.path().join("data/p")).unwrap().rejects().unwrap();
    let lost = rejects.iter().find(|reject| reject.reason == RejectReason::Lost).unwrap();
    assert_eq!(
        (lost.offset, lost.detail.as_str()),
        (4, "pg-logs/0: offsets 4..7 are gone from the broker")
    );
}

/// A line of PostgreSQL's log at second `at` of an hour.
fn authorized(at: usize) -> String {
    let time = format!("2026-03-03 14:00:{at:02}.000 UTC");
    serde_json::json!({"timestamp": time, "pid": at, "session_id": format!("69a6e.{at}"),
        "session_start": time, "user": "u", "dbname": "d", "error_severity": "LOG",
        "message": "connection authorized: user=u database=d application_name=web",
        "backend_type": "client backend"})
    .to_string()
}
