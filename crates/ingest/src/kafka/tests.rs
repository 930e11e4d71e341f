//! Against rdkafka's mock cluster, which is a broker inside this process.

use std::time::{Duration, Instant};

use plimsoll_model::PartitionId;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::{KafkaEvent, KafkaSettings, KafkaSource, StartOffset};
use crate::{Error, Parser, RawRecord};

const A: PartitionId = PartitionId::new(0, 0);
const PATIENCE: Duration = Duration::from_secs(20);

fn settings(brokers: String) -> KafkaSettings {
    KafkaSettings { brokers, ..KafkaSettings::default() }
}

fn produce(brokers: &str, compression: &str, records: &[&str]) {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("compression.type", compression)
        .create()
        .unwrap();
    for record in records {
        producer.send(BaseRecord::<(), str>::to("logs").partition(0).payload(record)).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

/// Polls until `is_enough`, and gives every event up to then.
fn poll_until(
    source: &mut KafkaSource,
    is_enough: impl Fn(&KafkaEvent) -> bool,
) -> Vec<KafkaEvent> {
    let until = Instant::now() + PATIENCE;
    let mut events = Vec::new();
    while Instant::now() < until {
        events.extend(source.poll(Duration::from_millis(200)));
        if events.iter().any(&is_enough) {
            return events;
        }
    }
    panic!("not in {PATIENCE:?}: {events:?}");
}

fn texts(events: &[KafkaEvent]) -> Vec<(i64, String)> {
    let mut texts = Vec::new();
    for event in events {
        if let KafkaEvent::Batch(batch) = event {
            for (offset, record) in batch.records() {
                let RawRecord::Whole(bytes) = record else { panic!("{record:?}") };
                texts.push((offset, String::from_utf8(bytes.to_vec()).unwrap()));
            }
        }
    }
    texts
}

fn is_at_end(event: &KafkaEvent) -> bool {
    matches!(event, KafkaEvent::AtEnd(A, _))
}

/// Three records, compressed like this, read from `start`: the offsets that come.
#[track_caller]
fn check(compression: &str, start: StartOffset, expected: &[i64]) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("logs", 1, 1).unwrap();
    let long = "x".repeat(5_000);
    produce(&cluster.bootstrap_servers(), compression, &["a", "b", &long]);
    let mut source = KafkaSource::open(&settings(cluster.bootstrap_servers())).unwrap();
    assert_eq!(source.partitions("logs").unwrap(), [0]);
    source.assign(vec![("logs".to_owned(), 0, A, start)]).unwrap();
    let events = poll_until(&mut source, is_at_end);
    let texts = texts(&events);
    assert_eq!(texts.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), expected);
    for (offset, text) in &texts {
        assert_eq!(text, ["a", "b", &long][usize::try_from(*offset).unwrap()]);
    }
    if !expected.is_empty() {
        assert!(matches!(events.last(), Some(KafkaEvent::AtEnd(A, Some(3)))), "{events:?}");
    }
}

#[test]
fn reads_everything_and_says_that_it_is_at_the_end() {
    check("none", StartOffset::Beginning, &[0, 1, 2]);
}

#[test]
fn a_record_without_payload_says_nothing_and_is_no_reject() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("logs", 1, 1).unwrap();
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap();
    let tombstone: BaseRecord<'_, str, str> = BaseRecord::to("logs").partition(0).key("a");
    producer.send(tombstone).unwrap();
    producer.flush(PATIENCE).unwrap();
    let mut source = KafkaSource::open(&settings(cluster.bootstrap_servers())).unwrap();
    source.assign(vec![("logs".to_owned(), 0, A, StartOffset::Beginning)]).unwrap();
    let events = poll_until(&mut source, is_at_end);
    let KafkaEvent::Batch(raw) = &events[0] else { panic!("{events:?}") };
    let config = r#"{"kafka": "logs", "format": "postgres_jsonlog", "resource": "r"}"#;
    let batch = Parser::new("db", &serde_json::from_str(config).unwrap()).unwrap().parse(raw);
    assert_eq!((batch.records, batch.irrelevant, batch.next_offset), (1, 1, 1));
    assert_eq!(batch.rejects, []);
}

#[test]
fn a_partition_that_is_assigned_later_does_not_disturb_the_others() {
    const B: PartitionId = PartitionId::new(0, 1);
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("logs", 2, 1).unwrap();
    produce(&cluster.bootstrap_servers(), "none", &["a"]);
    let mut source = KafkaSource::open(&settings(cluster.bootstrap_servers())).unwrap();
    source.assign(vec![("logs".to_owned(), 0, A, StartOffset::Beginning)]).unwrap();
    assert_eq!(texts(&poll_until(&mut source, is_at_end)), [(0, "a".to_owned())]);
    source.assign_more(vec![("logs".to_owned(), 1, B, StartOffset::Beginning)]).unwrap();
    let is_other_at_end = |event: &KafkaEvent| matches!(event, KafkaEvent::AtEnd(B, _));
    assert_eq!(texts(&poll_until(&mut source, is_other_at_end)), []);
    produce(&cluster.bootstrap_servers(), "none", &["b"]);
    assert_eq!(texts(&poll_until(&mut source, is_at_end)), [(1, "b".to_owned())]);
}

#[test]
fn goes_on_where_it_was_told() {
    check("none", StartOffset::At(2), &[2]);
    check("none", StartOffset::At(3), &[]);
    check("none", StartOffset::End, &[]);
}

#[test]
fn understands_every_compression() {
    for compression in ["gzip", "snappy", "lz4", "zstd"] {
        check(compression, StartOffset::Beginning, &[0, 1, 2]);
    }
}

#[test]
fn offsets_gone_by_retention_are_reported_with_their_range() {
    // The mock broker keeps 5 MiB of a partition.
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("logs", 1, 1).unwrap();
    let long = "x".repeat(100_000);
    produce(&cluster.bootstrap_servers(), "none", &vec![long.as_str(); 100]);
    let mut source = KafkaSource::open(&settings(cluster.bootstrap_servers())).unwrap();
    source.assign(vec![("logs".to_owned(), 0, A, StartOffset::At(1))]).unwrap();
    let events = poll_until(&mut source, is_at_end);
    let lost = events.iter().find_map(|event| match event {
        KafkaEvent::Lost { partition: A, from: 1, to } => Some(*to),
        _ => None,
    });
    let first = texts(&events)[0].0;
    assert_eq!(lost, Some(first));
    assert!(first > 1);
    assert_eq!(texts(&events).len() as i64, 100 - first);
}

#[test]
fn a_missing_topic_is_its_own_error() {
    let cluster = MockCluster::new(1).unwrap();
    // The mock broker makes any topic that is asked for, unless told that it fails.
    let unknown = rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    cluster.topic_error("nowhere", unknown).unwrap();
    let source = KafkaSource::open(&settings(cluster.bootstrap_servers())).unwrap();
    let error = source.partitions("nowhere").unwrap_err();
    assert!(matches!(error, Error::TopicMissing { .. }), "{error}");
}

#[test]
fn a_broker_that_is_down_is_named_and_awaited() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("logs", 1, 1).unwrap();
    produce(&cluster.bootstrap_servers(), "none", &["a"]);
    cluster.broker_down(1).unwrap();
    let mut source = KafkaSource::open(&settings(cluster.bootstrap_servers())).unwrap();
    source.assign(vec![("logs".to_owned(), 0, A, StartOffset::Beginning)]).unwrap();
    let events = poll_until(&mut source, |event| matches!(event, KafkaEvent::Error { .. }));
    let brokers = cluster.bootstrap_servers();
    let is_named = |event: &KafkaEvent| match event {
        KafkaEvent::Error { retryable, text, .. } => *retryable && text.contains(&brokers),
        _ => false,
    };
    assert!(events.iter().any(is_named), "{events:?}");
    cluster.broker_up(1).unwrap();
    let events = poll_until(&mut source, is_at_end);
    assert_eq!(texts(&events), [(0, "a".to_owned())]);
}

#[test]
fn a_paused_partition_is_silent_until_it_is_resumed() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("logs", 1, 1).unwrap();
    let mut source = KafkaSource::open(&settings(cluster.bootstrap_servers())).unwrap();
    source.assign(vec![("logs".to_owned(), 0, A, StartOffset::Beginning)]).unwrap();
    poll_until(&mut source, is_at_end);
    source.pause(&[A]).unwrap();
    produce(&cluster.bootstrap_servers(), "none", &["a"]);
    assert_eq!(texts(&source.poll(Duration::from_millis(300))), []);
    source.resume(&[A]).unwrap();
    let events = poll_until(&mut source, |event| matches!(event, KafkaEvent::Batch(_)));
    assert_eq!(texts(&events), [(0, "a".to_owned())]);
}

#[test]
fn options_that_plimsoll_must_own_are_refused() {
    for (option, value) in
        [("enable.auto.commit", "true"), ("auto.offset.reset", "latest"), ("no.such", "1")]
    {
        let options = [(option.to_owned(), value.to_owned())].into();
        let opened =
            KafkaSource::open(&KafkaSettings { brokers: "localhost:1".to_owned(), options });
        let Err(Error::KafkaOption { option: named, .. }) = opened else { panic!("{option}") };
        assert_eq!(named, option);
    }
}
