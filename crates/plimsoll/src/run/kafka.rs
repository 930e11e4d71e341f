//! Kafka in a running pipeline: one thread polls, a few parse.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use plimsoll_console::Health;
use plimsoll_ingest::config::SourceConfig;
use plimsoll_ingest::kafka::{KafkaEvent, KafkaSettings, KafkaSource, KafkaTopics, StartOffset};
use plimsoll_ingest::{Parser, RawBatch};
use plimsoll_model::{PartitionId, RejectReason};
use tokio_util::sync::CancellationToken;

use super::judge::{Event, Paused};
use super::report;
use crate::config::{Config, Start};
use crate::feed;

/// The dependency's name in `/readyz`.
const KAFKA: &str = "kafka";

/// How long one poll waits for records.
const POLL: Duration = Duration::from_millis(50);

/// How often the topics are looked at for partitions that were added.
const LOOK_FOR_PARTITIONS_EVERY: Duration = Duration::from_secs(10);

/// How often a thread that waits looks whether the program ends.
const LOOK_FOR_END_EVERY: Duration = Duration::from_millis(200);

/// Batches that may wait for one parser.
const RAW_WAITING_MAX: usize = 8;

/// Partitions of one topic that have numbers of their own inside a source.
const PARTITIONS_PER_TOPIC_MAX: u32 = 1 << 16;

/// One partition of a topic with its place in the merge.
#[derive(Clone, Debug)]
pub(super) struct TopicPartition {
    pub id: PartitionId,
    pub topic: String,
    pub partition: i32,
    pub source: String,
    pub config: SourceConfig,
}

/// The partitions of every topic that the configuration names. Asks until the brokers answer;
/// empty if the program is stopped before.
pub(super) fn partitions(
    config: &Config,
    health: &Health,
    cancel: &CancellationToken,
) -> anyhow::Result<Vec<TopicPartition>> {
    let Some(settings) = settings(config) else { return Ok(Vec::new()) };
    let source = KafkaSource::open(&settings)?;
    let mut said = String::new();
    while !cancel.is_cancelled() {
        match ask(config, |topic| source.partitions(topic)) {
            Ok(partitions) => {
                report(health, KAFKA, None);
                return Ok(partitions);
            }
            Err(error) => {
                let error = crate::terminal::told(&error);
                report(health, KAFKA, Some(error.clone()));
                if error != said {
                    tracing::warn!(error, "Kafka is not ready; asking again");
                    said = error;
                }
            }
        }
        health.beat();
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(Vec::new())
}

/// The brokers' name in `/readyz`, if anything is read from them.
pub(super) fn dependency(config: &Config) -> Option<String> {
    settings(config).map(|_| KAFKA.to_owned())
}

fn settings(config: &Config) -> Option<KafkaSettings> {
    let kafka = config.kafka.as_ref()?;
    config.sources.values().any(|source| !source.kafka.is_empty()).then(|| KafkaSettings {
        brokers: kafka.brokers.clone(),
        options: (kafka.options.iter())
            .map(|(name, value)| (name.clone(), value.reveal().to_owned()))
            .collect(),
    })
}

fn ask(
    config: &Config,
    of_topic: impl Fn(&str) -> Result<Vec<i32>, plimsoll_ingest::Error>,
) -> anyhow::Result<Vec<TopicPartition>> {
    let mut partitions = Vec::new();
    for (name, source) in &config.sources {
        for (rank, topic) in (0..).zip(&source.kafka) {
            for partition in of_topic(topic)? {
                let number = rank * PARTITIONS_PER_TOPIC_MAX + u32::try_from(partition)?;
                partitions.push(TopicPartition {
                    id: PartitionId { source: feed::source_id(config, name), partition: number },
                    topic: topic.clone(),
                    partition,
                    source: name.clone(),
                    config: source.clone(),
                });
            }
        }
    }
    Ok(partitions)
}

/// Starts the polling thread and its parsers. Each partition always goes to the same parser, so
/// its batches and its end stay in order.
pub(super) fn spawn(
    config: &Config,
    partitions: &[TopicPartition],
    resume: impl Fn(PartitionId) -> Option<i64>,
    sender: &SyncSender<Event>,
    paused: &Paused,
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    let (Some(settings), Some(kafka)) = (settings(config), &config.kafka) else { return Ok(()) };
    if partitions.is_empty() {
        return Ok(());
    }
    let first = match kafka.start {
        Start::Earliest => StartOffset::Beginning,
        Start::Latest => StartOffset::End,
    };
    let mut source = KafkaSource::open(&settings)?;
    let assigned = partitions.iter().map(|it| {
        let start = match resume(it.id) {
            None => first,
            Some(offset) => StartOffset::At(offset),
        };
        (it.topic.clone(), it.partition, it.id, start)
    });
    source.assign(assigned.collect())?;

    let parsers = std::thread::available_parallelism().map_or(1, usize::from).min(partitions.len());
    let mut raws = Vec::new();
    for number in 0..parsers {
        let (raw_sender, raw_receiver) = sync_channel(RAW_WAITING_MAX);
        let mine = partitions.iter().skip(number).step_by(parsers);
        let mine = mine.map(|it| Ok((it.id, Parser::new(&it.source, &it.config)?)));
        let mine = mine.collect::<anyhow::Result<Vec<_>>>()?;
        let sender = sender.clone();
        let name = format!("parse {number}");
        std::thread::Builder::new()
            .name(name)
            .spawn(move || parse(&raw_receiver, mine, &sender))?;
        raws.push(raw_sender);
    }
    let (found_sender, found) = sync_channel(1);
    let watcher = Watcher {
        config: config.clone(),
        topics: source.topics(),
        known: partitions.iter().map(|it| it.id).collect(),
        found: found_sender,
    };
    let reader = Reader {
        source,
        found,
        places: partitions.iter().map(|it| it.id).collect(),
        names: partitions.iter().map(|it| format!("{}/{}", it.topic, it.partition)).collect(),
        raws,
        sender: sender.clone(),
        paused: Paused::clone(paused),
    };
    let (watched, read) = (cancel.clone(), cancel.clone());
    std::thread::Builder::new()
        .name("watch topics".to_owned())
        .spawn(move || watcher.watch(&watched))
        .context("cannot start the thread that looks for partitions")?;
    std::thread::Builder::new()
        .name("read kafka".to_owned())
        .spawn(move || reader.read(&read))
        .context("cannot start the thread that reads Kafka")?;
    Ok(())
}

/// What a parser is handed, in order.
enum Raw {
    /// From now on this partition comes too.
    Joined(PartitionId, Box<Parser>),
    Batch(RawBatch),
    AtEnd(PartitionId),
}

fn parse(
    raws: &Receiver<Raw>,
    mut parsers: Vec<(PartitionId, Parser)>,
    sender: &SyncSender<Event>,
) {
    for raw in raws {
        let event = match raw {
            Raw::Joined(partition, parser) => {
                parsers.push((partition, *parser));
                continue;
            }
            Raw::AtEnd(partition) => Event::AtEnd(partition),
            Raw::Batch(raw) => {
                let mine = parsers.iter_mut().find(|(id, _)| *id == raw.partition);
                let (_, parser) = mine.expect("a partition is handed to its own parser");
                Event::Batch(Box::new(parser.parse(&raw)))
            }
        };
        if sender.send(event).is_err() {
            return;
        }
    }
}

/// Asks the brokers now and then which partitions the topics have, beside the reading, because an
/// answer may take long.
struct Watcher {
    config: Config,
    topics: KafkaTopics,
    known: BTreeSet<PartitionId>,
    found: SyncSender<Vec<TopicPartition>>,
}

impl Watcher {
    fn watch(mut self, cancel: &CancellationToken) {
        let mut asked_at = Instant::now();
        while !cancel.is_cancelled() {
            std::thread::sleep(LOOK_FOR_END_EVERY);
            if asked_at.elapsed() < LOOK_FOR_PARTITIONS_EVERY {
                continue;
            }
            asked_at = Instant::now();
            // If the brokers do not answer, the reader says so.
            let asked = ask(&self.config, |topic| self.topics.partitions(topic));
            let Ok(mut partitions) = asked else { continue };
            partitions.retain(|it| self.known.insert(it.id));
            if !partitions.is_empty() && self.found.send(partitions).is_err() {
                return;
            }
        }
    }
}

struct Reader {
    source: KafkaSource,
    /// Partitions that were added to the topics.
    found: Receiver<Vec<TopicPartition>>,
    places: Vec<PartitionId>,
    names: Vec<String>,
    raws: Vec<SyncSender<Raw>>,
    sender: SyncSender<Event>,
    paused: Paused,
}

impl Reader {
    /// Reads until the stop, or until nobody listens.
    fn read(mut self, cancel: &CancellationToken) {
        let mut held = BTreeSet::new();
        while !cancel.is_cancelled() {
            self.hold_back(&mut held);
            while let Ok(partitions) = self.found.try_recv() {
                for partition in partitions {
                    if let Err(error) = self.join(partition) {
                        // The judge is gone when the program ends; then nobody needs the error.
                        let _ = self.sender.send(Event::Broken(error));
                        return;
                    }
                }
            }
            for event in self.source.poll(POLL) {
                if self.hand_over(event).is_none() {
                    return;
                }
            }
        }
    }

    /// Reads a partition that was added to its topic, from its beginning. The judge and the parser
    /// know of it before its first record.
    fn join(&mut self, new: TopicPartition) -> anyhow::Result<()> {
        let TopicPartition { id, topic, partition, source, config } = new;
        tracing::info!(topic, partition, "the topic got a partition; it is read from now on");
        let parser = Box::new(Parser::new(&source, &config)?);
        self.places.push(id);
        self.names.push(format!("{topic}/{partition}"));
        let told = self.sender.send(Event::Joined(id, Box::new(config))).ok();
        if told.and_then(|()| self.raw(id, Raw::Joined(id, parser))).is_some() {
            let begins = vec![(topic, partition, id, StartOffset::Beginning)];
            self.source.assign_more(begins)?;
        }
        Ok(())
    }

    /// `None` if nobody listens any more.
    fn hand_over(&self, event: KafkaEvent) -> Option<()> {
        match event {
            KafkaEvent::Batch(batch) => self.raw(batch.partition, Raw::Batch(batch)),
            KafkaEvent::AtEnd(partition, _) => {
                self.sender.send(Event::Dependency(KAFKA.to_owned(), None)).ok()?;
                self.raw(partition, Raw::AtEnd(partition))
            }
            KafkaEvent::Lost { partition, from, to } => {
                let name = self.name(partition);
                let detail = format!("{name}: offsets {from}..{to} are gone from the broker");
                tracing::error!(
                    partition = name,
                    from,
                    to,
                    "records are lost: retention was faster"
                );
                let mut lost = RawBatch::new(partition);
                lost.push_refused(from, RejectReason::Lost, detail, &[], 0);
                lost.next_offset = to;
                self.raw(partition, Raw::Batch(lost))
            }
            KafkaEvent::TopicMissing { topic, .. } => self
                .failing(format!("topic `{topic}` does not exist; create it, or correct `kafka:`")),
            KafkaEvent::Error { text, .. } => self.failing(text),
        }
    }

    fn failing(&self, error: String) -> Option<()> {
        self.sender.send(Event::Dependency(KAFKA.to_owned(), Some(error))).ok()
    }

    fn name(&self, partition: PartitionId) -> &str {
        let place = self.places.iter().position(|known| *known == partition);
        place.map_or("?", |place| &self.names[place])
    }

    fn raw(&self, partition: PartitionId, raw: Raw) -> Option<()> {
        let place = self.places.iter().position(|known| *known == partition)?;
        self.raws[place % self.raws.len()].send(raw).ok()
    }

    /// Pauses the partitions that the merge has no room for, and goes on with the others.
    fn hold_back(&self, held: &mut BTreeSet<PartitionId>) {
        let wanted = self.paused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if wanted == *held {
            return;
        }
        let pause: Vec<_> = wanted.difference(held).copied().collect();
        let resume: Vec<_> = held.difference(&wanted).copied().collect();
        for changed in [self.source.pause(&pause), self.source.resume(&resume)] {
            if let Err(error) = changed {
                tracing::warn!(%error, "cannot hold a partition back");
            }
        }
        *held = wanted;
    }
}
