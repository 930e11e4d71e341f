//! Records spread over partitions: produced into Kafka while time goes on, or written to files.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use plimsoll::config::{Config, Purpose};
use plimsoll::replay;
use plimsoll_model::Transition;
use plimsoll_store::{Reader, Snapshot};
use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::Instant;

use crate::parts::kafka::KafkaPart;
use crate::parts::shipper::Producer;
use crate::scenario::Line;

/// One record on its way: when it is sent, in milliseconds of event time, and what it says.
struct Parcel {
    due_ms: i64,
    text: String,
}

/// One partition of a topic that one source reads.
pub struct Partition {
    source: String,
    topic: String,
    number: i32,
    parcels: Vec<Parcel>,
}

/// `lines` round-robin over `used` of the topic's `count` partitions; the others stay empty.
pub fn spread(
    source: &str,
    topic: &str,
    (count, used): (i32, i32),
    lines: &[Line],
) -> Vec<Partition> {
    let mut partitions: Vec<_> = (0..count)
        .map(|number| Partition {
            source: source.to_owned(),
            topic: topic.to_owned(),
            number,
            parcels: Vec::new(),
        })
        .collect();
    for (line, number) in lines.iter().zip((0..used as usize).cycle()) {
        let parcel = Parcel { due_ms: line.at_ms, text: line.text.clone() };
        partitions[number].parcels.push(parcel);
    }
    partitions
}

impl Partition {
    /// Its records come up to `within_ms` out of order, and in bursts, one every `burst_ms`.
    pub fn delay(&mut self, within_ms: i64, burst_ms: i64, random: &mut StdRng) {
        for parcel in &mut self.parcels {
            parcel.due_ms += random.random_range(0..within_ms);
        }
        self.parcels.sort_by_key(|parcel| parcel.due_ms);
        for parcel in &mut self.parcels {
            parcel.due_ms = (parcel.due_ms / burst_ms + 1) * burst_ms;
        }
    }
}

/// The same, but all on partition 0 before `from_ms`, and alternating afterwards.
pub fn split(source: &str, topic: &str, from_ms: i64, lines: &[Line]) -> Vec<Partition> {
    let mut partitions = spread(source, topic, (2, 1), &[]);
    for (place, line) in lines.iter().enumerate() {
        let number = if line.at_ms < from_ms { 0 } else { place % 2 };
        let parcel = Parcel { due_ms: line.at_ms, text: line.text.clone() };
        partitions[number].parcels.push(parcel);
    }
    partitions
}

/// Sends the records of `partition` that are due in `due_ms`, all at once. Says how many.
pub fn send(bootstrap: &str, partition: &Partition, due_ms: Range<i64>) -> Result<usize> {
    let mut producer = Producer::new(bootstrap, &[])?;
    let due = partition.parcels.iter().filter(|parcel| due_ms.contains(&parcel.due_ms));
    for parcel in due.clone() {
        producer.send(&partition.topic, partition.number, parcel.text.as_bytes())?;
    }
    producer.flush()?;
    Ok(due.count())
}

/// Creates the topics of `partitions`.
pub async fn create_topics(kafka: &KafkaPart, partitions: &[Partition]) -> Result<()> {
    for last in partitions.chunk_by(|one, other| one.topic == other.topic) {
        kafka.create_topic(&last[0].topic, last.len() as i32).await?;
    }
    Ok(())
}

/// Sends every record when it is due, `speed` times as fast as it happened.
pub async fn produce(bootstrap: &str, partitions: &[Partition], speed: f64) -> Result<()> {
    let mut producer = Producer::new(bootstrap, &[("compression.type", "lz4")])?;
    let mut due: Vec<(&Parcel, &Partition)> = partitions
        .iter()
        .flat_map(|partition| partition.parcels.iter().map(move |parcel| (parcel, partition)))
        .collect();
    due.sort_by_key(|(parcel, _)| parcel.due_ms);
    let started = Instant::now();
    for (parcel, partition) in due {
        let after = Duration::from_secs_f64(parcel.due_ms as f64 / 1000.0 / speed);
        tokio::time::sleep_until(started + after).await;
        producer.send(&partition.topic, partition.number, parcel.text.as_bytes())?;
    }
    producer.flush()?;
    Ok(())
}

/// What `replay` says of the same records in files, one for each partition, in the store's order.
pub fn replayed(config: &Path, partitions: &[Partition]) -> Result<Vec<Transition>> {
    let folder = tempfile::tempdir()?;
    let (mut definition, _) = Config::load_for(config, Purpose::Replay)?;
    for of_source in partitions.chunk_by(|one, other| one.source == other.source) {
        let mut files = Vec::new();
        for partition in of_source {
            let name = format!("{}-{}", partition.topic, partition.number);
            let lines = partition.parcels.iter().map(|parcel| parcel.text.clone() + "\n");
            files.push(folder.path().join(name));
            std::fs::write(&files[files.len() - 1], lines.collect::<String>())?;
        }
        definition.override_source(&of_source[0].source, files)?;
    }
    let mut transitions = Vec::new();
    replay::replay(&definition, |_, _, step, _| {
        transitions.extend(step.transitions);
        Ok(())
    })?;
    transitions.sort_by_key(|it| (it.as_of, it.incident, it.sequence));
    Ok(transitions)
}

/// Everything that is durable in the data directory now, also while the pipeline runs.
pub fn stored(data: &Path) -> Result<Snapshot> {
    Ok(Reader::open(data)?.snapshot()?)
}

/// The transitions in the data directory.
pub fn decided(data: &Path) -> Result<Vec<Transition>> {
    let decided = stored(data)?.transitions()?;
    Ok(decided.into_iter().map(|it| it.transition).collect())
}

/// Fails with the first difference, and with all names.
#[track_caller]
pub fn assert_same(found: &[Transition], expected: &[Transition]) {
    let name = |it: &Transition| {
        format!("{} {} {} {}", it.as_of, it.incident, it.sequence, it.reason.name())
    };
    let names = |all: &[Transition]| all.iter().map(name).collect::<Vec<_>>().join("\n  ");
    let differs = found.iter().zip(expected).find(|(one, other)| one != other);
    assert!(
        found == expected,
        "found\n  {}\nexpected\n  {}\nfirst difference: {differs:#?}",
        names(found),
        names(expected)
    );
}
