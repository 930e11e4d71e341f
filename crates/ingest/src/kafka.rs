//! Reading from Kafka: one consumer for many partitions, from offsets that we keep ourselves.
//!
//! The group's committed offsets are neither read nor written: the store is the truth. Every
//! partition has its own queue, so that an end, an error or a loss is known to be its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use plimsoll_model::PartitionId;
use rdkafka::client::ClientContext;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::raw::RECORD_BYTES_MAX;
use crate::{Error, RawBatch};

/// The most records in one batch.
pub const BATCH_RECORDS_MAX: usize = 4_096;

/// A batch ends with the record that brings it to this size.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// How long a question to the brokers may take.
pub const BROKER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the client may take to say why it did not reach the brokers.
const REASON_WITHIN: Duration = Duration::from_millis(50);

/// How often the client's own queue is looked at while every partition is silent.
const CLIENT_POLL_EVERY: Duration = Duration::from_millis(100);

/// Set by Plimsoll, because what it promises depends on them.
const OWN_OPTIONS: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    ("auto.offset.reset", "error"),
    ("allow.auto.create.topics", "false"),
    ("group.protocol", "classic"),
];

/// Set by Plimsoll unless the configuration says otherwise: bounds, and a name to be known by.
const DEFAULT_OPTIONS: &[(&str, &str)] = &[
    ("client.id", "plimsoll"),
    ("group.id", "plimsoll"),
    ("isolation.level", "read_committed"),
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.queue.backoff.ms", "20"),
    ("fetch.message.max.bytes", "1048576"),
    ("fetch.wait.max.ms", "100"),
    ("reconnect.backoff.max.ms", "5000"),
];

/// Where the brokers are and how to speak to them.
#[derive(Clone, Debug, Default)]
pub struct KafkaSettings {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// Options passed to librdkafka as they are: SASL, TLS, sizes.
    pub options: BTreeMap<String, String>,
}

/// Where reading of a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartOffset {
    /// At the oldest record.
    Beginning,
    /// At this offset.
    At(i64),
    /// At the next record that is produced.
    End,
}

/// What the source has to say.
#[derive(Debug)]
pub enum KafkaEvent {
    /// Records of one partition.
    Batch(RawBatch),
    /// Every record before this offset was delivered, and none is there after it. The offset is
    /// `None` if the partition has delivered nothing and its end is not known.
    AtEnd(PartitionId, Option<i64>),
    /// The records `from..to` are gone, by retention; reading goes on at `to`.
    Lost {
        /// The partition.
        partition: PartitionId,
        /// The first lost offset.
        from: i64,
        /// The first offset that is still there.
        to: i64,
    },
    /// The topic is gone, or was never there.
    TopicMissing {
        /// The partition that was to be read.
        partition: PartitionId,
        /// Its topic.
        topic: String,
    },
    /// Something else is wrong. The client goes on trying if `retryable`.
    Error {
        /// The partition it concerns; `None` for the connection to the brokers.
        partition: Option<PartitionId>,
        /// Whether waiting can help.
        retryable: bool,
        /// What is wrong, naming the address.
        text: String,
    },
}

/// One consumer for the partitions that were assigned to it.
pub struct KafkaSource {
    brokers: String,
    consumer: Arc<BaseConsumer<Context>>,
    context: Context,
    readings: Vec<Reading>,
    last_error: String,
}

struct Reading {
    topic: String,
    partition: i32,
    id: PartitionId,
    queue: PartitionQueue<Context>,
    /// The next offset to deliver, once it is known.
    next: Option<i64>,
    /// The client asked for an offset that is not there, and it is not settled what is.
    is_out_of_range: bool,
}

impl KafkaSource {
    /// A consumer without partitions. Does not wait for the brokers.
    pub fn open(settings: &KafkaSettings) -> Result<KafkaSource, Error> {
        let mut config = ClientConfig::new();
        for (option, value) in DEFAULT_OPTIONS {
            config.set(*option, *value);
        }
        for (option, value) in &settings.options {
            check_option(option)?;
            config.set(option, value);
        }
        for (option, value) in OWN_OPTIONS {
            config.set(*option, *value);
        }
        config.set("bootstrap.servers", &settings.brokers);
        let context = Context::default();
        let created = config.create_with_context::<_, BaseConsumer<Context>>(context.clone());
        let consumer = created.map_err(|error| match error {
            KafkaError::ClientConfig(_, problem, option, _) => {
                Error::KafkaOption { option, problem }
            }
            error => Error::Kafka { brokers: settings.brokers.clone(), problem: error.to_string() },
        })?;
        Ok(KafkaSource {
            brokers: settings.brokers.clone(),
            consumer: Arc::new(consumer),
            context,
            readings: Vec::new(),
            last_error: String::new(),
        })
    }

    /// Who can be asked about topics, also from another thread while this one reads.
    pub fn topics(&self) -> KafkaTopics {
        KafkaTopics { brokers: self.brokers.clone(), consumer: Arc::clone(&self.consumer) }
    }

    /// The same as [`KafkaTopics::partitions`], but an error says more. Only before anything is
    /// assigned: what the client has to say meanwhile goes into that error.
    pub fn partitions(&self, topic: &str) -> Result<Vec<i32>, Error> {
        self.topics().partitions(topic).map_err(|error| match error {
            Error::Kafka { brokers, problem } => {
                let until = Instant::now() + REASON_WITHIN;
                while Instant::now() < until {
                    // Its errors come to the context; there are no records yet.
                    let _ = self.consumer.poll(REASON_WITHIN / 5);
                }
                // The client does not repeat what it has said once.
                match self.context.with(|shared| shared.cause.clone()) {
                    Some(cause) => Error::Kafka { brokers, problem: format!("{problem}: {cause}") },
                    None => Error::Kafka { brokers, problem },
                }
            }
            error => error,
        })
    }

    /// Reads these partitions from now on, and no others.
    pub fn assign(
        &mut self,
        partitions: Vec<(String, i32, PartitionId, StartOffset)>,
    ) -> Result<(), Error> {
        self.readings.clear();
        let list = self.prepare(partitions)?;
        self.consumer.assign(&list).map_err(|error| self.refused(&error))
    }

    /// Reads these partitions too from now on. None of them is read already.
    pub fn assign_more(
        &mut self,
        partitions: Vec<(String, i32, PartitionId, StartOffset)>,
    ) -> Result<(), Error> {
        let list = self.prepare(partitions)?;
        self.consumer.incremental_assign(&list).map_err(|error| self.refused(&error))
    }

    /// Gives each partition a queue of its own, and says where they begin.
    fn prepare(
        &mut self,
        partitions: Vec<(String, i32, PartitionId, StartOffset)>,
    ) -> Result<TopicPartitionList, Error> {
        let mut list = TopicPartitionList::new();
        for (topic, partition, id, start) in partitions {
            let (offset, next) = match start {
                StartOffset::Beginning => (Offset::Beginning, None),
                StartOffset::At(offset) => (Offset::Offset(offset), Some(offset)),
                StartOffset::End => (Offset::End, None),
            };
            let added = list.add_partition_offset(&topic, partition, offset);
            added.map_err(|error| self.refused(&error))?;
            // Split before it is assigned, so that no record takes the common queue.
            let mut queue =
                self.consumer.split_partition_queue(&topic, partition).ok_or_else(|| {
                    Error::TopicMissing { topic: topic.clone(), brokers: self.brokers.clone() }
                })?;
            let context = self.context.clone();
            queue.set_nonempty_callback(move || context.wake());
            let is_out_of_range = false;
            self.readings.push(Reading { topic, partition, id, queue, next, is_out_of_range });
        }
        Ok(list)
    }

    /// Delivers these partitions no further until [`KafkaSource::resume`].
    pub fn pause(&self, partitions: &[PartitionId]) -> Result<(), Error> {
        self.consumer.pause(&self.list(partitions)).map_err(|error| self.refused(&error))
    }

    /// Goes on with partitions that were paused.
    pub fn resume(&self, partitions: &[PartitionId]) -> Result<(), Error> {
        self.consumer.resume(&self.list(partitions)).map_err(|error| self.refused(&error))
    }

    /// What there is now, at most one batch a partition; waits up to `timeout` for the first.
    pub fn poll(&mut self, timeout: Duration) -> Vec<KafkaEvent> {
        let until = Instant::now() + timeout;
        let mut events = Vec::new();
        loop {
            self.context.forget_wake();
            self.poll_client(&mut events);
            for place in 0..self.readings.len() {
                self.poll_partition(place, &mut events);
            }
            let left = until.saturating_duration_since(Instant::now());
            if !events.is_empty() || left.is_zero() {
                return events;
            }
            self.context.wait(left.min(CLIENT_POLL_EVERY));
        }
    }

    /// Errors of the connection arrive at the client's own queue.
    fn poll_client(&mut self, events: &mut Vec<KafkaEvent>) {
        while let Some(polled) = self.consumer.poll(Duration::ZERO) {
            let Err(error) = polled else { continue };
            let said = self.context.take_reason().unwrap_or_else(|| error.to_string());
            let text = format!("kafka at `{}`: {said}", self.brokers);
            // The client repeats itself with every attempt to connect.
            if text != self.last_error {
                self.last_error.clone_from(&text);
                let retryable = !matches!(error, KafkaError::MessageConsumptionFatal(_));
                events.push(KafkaEvent::Error { partition: None, retryable, text });
            }
        }
    }

    fn poll_partition(&mut self, place: usize, events: &mut Vec<KafkaEvent>) {
        let reading = &mut self.readings[place];
        let mut batch = RawBatch::new(reading.id);
        while batch.len() < BATCH_RECORDS_MAX && batch.bytes_held() < BATCH_BYTES_MAX {
            let Some(polled) = reading.queue.poll(Duration::ZERO) else { break };
            let error = match polled {
                Ok(message) => {
                    // A record may be fetched twice after a seek.
                    if reading.next.is_none_or(|next| message.offset() >= next) {
                        push(&mut batch, &message);
                        reading.next = Some(message.offset() + 1);
                    }
                    continue;
                }
                Err(error) => error,
            };
            if !batch.is_empty() {
                let full = std::mem::replace(&mut batch, RawBatch::new(reading.id));
                events.push(KafkaEvent::Batch(full));
            }
            let partition = reading.id;
            match error.rdkafka_error_code() {
                _ if matches!(error, KafkaError::PartitionEOF(_)) => {
                    events.push(KafkaEvent::AtEnd(partition, reading.next));
                }
                Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                    reading.is_out_of_range = true;
                }
                Some(code) if is_missing(code) => {
                    let topic = reading.topic.clone();
                    events.push(KafkaEvent::TopicMissing { partition, topic });
                }
                _ => {
                    let text = format!(
                        "kafka at `{}`, topic `{}`, partition {}: {error}",
                        self.brokers, reading.topic, reading.partition
                    );
                    let retryable = !matches!(error, KafkaError::MessageConsumptionFatal(_));
                    events.push(KafkaEvent::Error { partition: Some(partition), retryable, text });
                }
            }
        }
        if !batch.is_empty() {
            self.last_error.clear();
            events.push(KafkaEvent::Batch(batch));
        }
        if self.readings[place].is_out_of_range {
            self.settle_range(place, events);
        }
    }

    /// Asks which offsets are there, and says exactly what is not.
    fn settle_range(&mut self, place: usize, events: &mut Vec<KafkaEvent>) {
        let reading = &mut self.readings[place];
        let partition = reading.id;
        let name = format!("topic `{}`, partition {}", reading.topic, reading.partition);
        let range =
            self.consumer.fetch_watermarks(&reading.topic, reading.partition, BROKER_TIMEOUT);
        let (retryable, problem) = match range {
            Err(error) => (true, format!("cannot ask for the offsets: {error}")),
            Ok((first, end)) => {
                let next = reading.next.unwrap_or(first);
                let start = next.max(first);
                if next > end {
                    reading.is_out_of_range = false;
                    let hint = "was the topic deleted and made again?";
                    (false, format!("offset {next} is beyond the end, {end}; {hint}"))
                } else if let Err(error) = assign_again(&self.consumer, reading, start) {
                    (true, format!("cannot go on at offset {start}: {error}"))
                } else {
                    reading.is_out_of_range = false;
                    reading.next = Some(start);
                    if start > next {
                        events.push(KafkaEvent::Lost { partition, from: next, to: start });
                    }
                    return;
                }
            }
        };
        let text = format!("kafka at `{}`, {name}: {problem}", self.brokers);
        events.push(KafkaEvent::Error { partition: Some(partition), retryable, text });
    }

    fn list(&self, partitions: &[PartitionId]) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for reading in self.readings.iter().filter(|reading| partitions.contains(&reading.id)) {
            list.add_partition(&reading.topic, reading.partition);
        }
        list
    }

    fn refused(&self, error: &KafkaError) -> Error {
        Error::Kafka { brokers: self.brokers.clone(), problem: error.to_string() }
    }
}

/// What the brokers say of topics.
#[derive(Clone)]
pub struct KafkaTopics {
    brokers: String,
    consumer: Arc<BaseConsumer<Context>>,
}

impl KafkaTopics {
    /// The partitions of `topic`, ascending. Waits for the brokers, at most [`BROKER_TIMEOUT`].
    pub fn partitions(&self, topic: &str) -> Result<Vec<i32>, Error> {
        let missing =
            || Error::TopicMissing { topic: topic.to_owned(), brokers: self.brokers.clone() };
        let metadata = self.consumer.fetch_metadata(Some(topic), BROKER_TIMEOUT);
        let metadata = metadata.map_err(|error| match error.rdkafka_error_code() {
            Some(code) if is_missing(code) => missing(),
            _ => Error::Kafka { brokers: self.brokers.clone(), problem: error.to_string() },
        })?;
        let topic = metadata.topics().first().ok_or_else(missing)?;
        if let Some(code) = topic.error().map(RDKafkaErrorCode::from)
            && !is_missing(code)
        {
            return Err(Error::Kafka { brokers: self.brokers.clone(), problem: code.to_string() });
        }
        let mut partitions: Vec<i32> = topic.partitions().iter().map(|one| one.id()).collect();
        partitions.sort_unstable();
        if partitions.is_empty() { Err(missing()) } else { Ok(partitions) }
    }
}

/// The client has stopped fetching a partition whose offset is not there; a seek would be refused.
fn assign_again(
    consumer: &BaseConsumer<Context>,
    reading: &Reading,
    offset: i64,
) -> Result<(), KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&reading.topic, reading.partition, Offset::Offset(offset))?;
    consumer.incremental_unassign(&list)?;
    consumer.incremental_assign(&list)
}

fn push(batch: &mut RawBatch, message: &BorrowedMessage<'_>) {
    let payload = message.payload().unwrap_or_default();
    if payload.len() > RECORD_BYTES_MAX {
        batch.push_too_long(message.offset(), payload, payload.len() as u64);
    } else {
        batch.push(message.offset(), payload);
    }
}

fn check_option(option: &str) -> Result<(), Error> {
    let problem = match option {
        "bootstrap.servers" | "metadata.broker.list" => "name the brokers in `brokers`",
        "group.instance.id" | "partition.assignment.strategy" | "auto.commit.interval.ms" => {
            "plimsoll joins no group; its store keeps the offsets"
        }
        _ if OWN_OPTIONS.iter().any(|(own, _)| *own == option) => {
            "is set by plimsoll, because its store keeps the offsets; leave it out"
        }
        _ => return Ok(()),
    };
    Err(Error::KafkaOption { option: option.to_owned(), problem: problem.to_owned() })
}

fn is_missing(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition
    )
}

/// What the client's threads tell the reading loop.
#[derive(Clone, Default)]
struct Context {
    shared: Arc<(Mutex<Shared>, Condvar)>,
}

#[derive(Default)]
struct Shared {
    is_awake: bool,
    reason: Option<String>,
    /// The last reason that says why, rather than that there is no broker left.
    cause: Option<String>,
}

impl Context {
    fn with<T>(&self, change: impl FnOnce(&mut Shared) -> T) -> T {
        change(&mut self.shared.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn wake(&self) {
        self.with(|shared| shared.is_awake = true);
        self.shared.1.notify_one();
    }

    fn forget_wake(&self) {
        self.with(|shared| shared.is_awake = false);
    }

    fn take_reason(&self) -> Option<String> {
        self.with(|shared| shared.reason.take())
    }

    fn wait(&self, at_most: Duration) {
        let shared = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.shared.1.wait_timeout_while(shared, at_most, |shared| !shared.is_awake);
        drop(waited);
    }
}

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        let is_sum = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        self.with(|shared| {
            shared.reason = Some(reason.to_owned());
            if !is_sum || shared.cause.is_none() {
                shared.cause = Some(reason.to_owned());
            }
        });
    }
}

impl ConsumerContext for Context {}

#[cfg(test)]
mod tests;
