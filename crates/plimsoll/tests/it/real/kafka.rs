use std::time::Duration;

use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::parts::kafka::KafkaPart;
use crate::parts::postgres::PostgresPart;
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
