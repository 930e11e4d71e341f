//! What is measured at a broker.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use plimsoll::clock;
use plimsoll::engine::{Definition, Engine};
use plimsoll::feed;
use plimsoll::plan::Planner;
use plimsoll_ingest::Parser;
use plimsoll_ingest::kafka::{KafkaEvent, KafkaSettings, KafkaSource, StartOffset};
use plimsoll_model::PartitionId;
use plimsoll_store::{Options, Store};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::stages::{Outcome, Told};
use crate::usage::Meter;
use crate::workload::Workload;

/// The topic's partitions; lines are dealt out to them in turn.
pub const PARTITIONS: u32 = 4;

const PATIENCE: Duration = Duration::from_secs(60);

/// Makes the topic of one run.
pub fn create_topic(broker: &str, topic: &str) -> anyhow::Result<()> {
    let new = NewTopic::new(topic, PARTITIONS as i32, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let created = runtime()?.block_on(admin(broker)?.create_topics([&new], &options))?;
    for answer in created {
        answer.map_err(|(name, code)| anyhow!("cannot create topic {name}: {code}"))?;
    }
    Ok(())
}

/// Deletes the topic again.
pub fn delete_topic(broker: &str, topic: &str) -> anyhow::Result<()> {
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    for answer in runtime()?.block_on(admin(broker)?.delete_topics(&[topic], &options))? {
        answer.map_err(|(name, code)| anyhow!("cannot delete topic {name}: {code}"))?;
    }
    Ok(())
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn admin(broker: &str) -> anyhow::Result<AdminClient<DefaultClientContext>> {
    Ok(ClientConfig::new().set("bootstrap.servers", broker).create()?)
}

/// Puts every line into the topic, compressed with zstd.
pub fn produce(workload: &Workload, broker: &str, topic: &str) -> anyhow::Result<Outcome> {
    let meter = Meter::start();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("compression.type", "zstd")
        .set("linger.ms", "50")
        .set("batch.size", "1000000")
        .set("enable.idempotence", "true")
        .create()?;
    let mut input = BufReader::with_capacity(1 << 20, File::open(workload.lines())?);
    let mut line = Vec::new();
    let mut lines: u64 = 0;
    while input.read_until(b'\n', &mut line)? > 0 {
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let partition = (lines % u64::from(PARTITIONS)) as i32;
        let record: BaseRecord<'_, (), [u8]> =
            BaseRecord::to(topic).partition(partition).payload(text);
        let mut sent = producer.send(record);
        while let Err((error, record)) = sent {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(error).context("cannot produce");
            }
            producer.poll(Duration::from_millis(20));
            sent = producer.send(record);
        }
        lines += 1;
        line.clear();
    }
    producer.flush(PATIENCE)?;
    Ok(Outcome::new(lines, meter.used()?))
}

/// The yardstick: records are polled, and nothing is done with them.
pub fn poll(broker: &str, topic: &str) -> anyhow::Result<Outcome> {
    let meter = Meter::start();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("group.id", "plimsoll-bench")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS as i32 {
        partitions.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&partitions)?;
    let (mut lines, mut bytes, mut ended) = (0, 0, 0);
    while ended < PARTITIONS {
        match consumer.poll(PATIENCE).context("the broker is silent")? {
            Ok(message) => {
                lines += 1;
                bytes += message.payload().map_or(0, <[u8]>::len) as u64;
            }
            Err(KafkaError::PartitionEOF(_)) => ended += 1,
            Err(error) => return Err(error).context("cannot poll"),
        }
    }
    Ok(Outcome { bytes, ..Outcome::new(lines, meter.used()?) })
}

/// From the topic to incidents that are durable, as `plimsoll run` goes, on one thread.
pub fn to_incidents(workload: &Workload, broker: &str, topic: &str) -> anyhow::Result<Outcome> {
    let meter = Meter::start();
    let config = workload.config()?;
    let source = config.sources.get("db").context("the pipeline has a source `db`")?;
    let ids: Vec<PartitionId> = (0..PARTITIONS).map(|number| PartitionId::new(0, number)).collect();
    let settings = feed::partition_settings(source);
    let definition = Definition {
        settings: config.settings(),
        partitions: ids.iter().map(|id| (*id, settings)).collect(),
        retention: std::time::Duration::from_secs(86_400),
        build: "bench".to_owned(),
        config_hash: config.hash(),
    };
    let data = tempfile::tempdir()?;
    let store = Store::open(data.path(), Options::new(&config.name))?;
    let store = Arc::new(Mutex::new(store));
    let mut engine = Engine::open(definition, store, Planner::default(), clock::now())?;

    let options = Default::default();
    let mut kafka = KafkaSource::open(&KafkaSettings { brokers: broker.to_owned(), options })?;
    let assigned =
        ids.iter().map(|id| (topic.to_owned(), id.partition as i32, *id, StartOffset::Beginning));
    kafka.assign(assigned.collect())?;
    let mut parser = Parser::new("db", source)?;
    let mut told = Told::default();
    let mut paused: Vec<PartitionId> = Vec::new();
    let mut ended = 0;
    loop {
        for event in kafka.poll(Duration::from_millis(50)) {
            match event {
                KafkaEvent::Batch(raw) => engine.push(parser.parse(&raw)),
                KafkaEvent::AtEnd(partition, _) => {
                    engine.finish(partition);
                    ended += 1;
                }
                other => bail!("the broker said {other:?}"),
            }
        }
        let stepped = engine.step(clock::now(), false)?;
        for (transition, _) in &stepped.transitions {
            told.add(transition)?;
        }
        if ended == ids.len() && !stepped.more {
            break;
        }
        kafka.resume(&paused)?;
        paused = ids.iter().copied().filter(|id| !engine.merge().has_room(*id)).collect();
        kafka.pause(&paused)?;
    }
    engine.checkpoint(clock::now())?;
    let lines = engine.totals().sources.values().map(|source| source.records).sum();
    told.outcome(lines, &meter)
}
