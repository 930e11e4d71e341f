//! Brings records into Kafka: a producer that knows what arrived, and a shipper that follows a log file.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer,
};

/// How long Kafka may take to accept everything that was sent.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often the shipper looks for new lines.
const POLL: Duration = Duration::from_millis(20);

/// Counts what the broker accepted and what it did not.
#[derive(Default)]
struct Answers {
    accepted: AtomicU64,
    failed: AtomicU64,
}

impl ClientContext for Answers {}

impl ProducerContext for Answers {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let counter = if result.is_ok() { &self.accepted } else { &self.failed };
        counter.fetch_add(1, Ordering::SeqCst);
    }
}

/// A producer whose records keep their order and are never written twice.
pub struct Producer {
    inner: ThreadedProducer<Answers>,
    sent: u64,
}

impl Producer {
    /// A producer for the broker at `bootstrap`; `settings` are librdkafka's, such as `compression.type`.
    pub fn new(bootstrap: &str, settings: &[(&str, &str)]) -> Result<Producer> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", bootstrap)
            .set("enable.idempotence", "true")
            .set("linger.ms", "5");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        Ok(Producer { inner: config.create_with_context(Answers::default())?, sent: 0 })
    }

    /// Hands one record over; waits while the queue is full. [`Producer::flush`] says whether it arrived.
    pub fn send(&mut self, topic: &str, partition: i32, payload: &[u8]) -> Result<()> {
        let mut record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(payload);
        loop {
            match self.inner.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    record = again;
                    std::thread::sleep(POLL);
                }
                Err((error, _)) => {
                    return Err(error).with_context(|| format!("cannot send to {topic}"));
                }
            }
        }
        self.sent += 1;
        Ok(())
    }

    /// Waits until the broker has answered everything; fails if any record was not accepted.
    pub fn flush(&mut self) -> Result<u64> {
        self.inner.flush(PATIENCE).context("the broker did not take all records")?;
        let answers = self.inner.context();
        let accepted = answers.accepted.load(Ordering::SeqCst);
        let failed = answers.failed.load(Ordering::SeqCst);
        ensure!(
            accepted == self.sent,
            "{accepted} of {} records accepted, {failed} failed",
            self.sent
        );
        Ok(accepted)
    }
}

/// Follows a file that grows and sends each of its lines, one after the other to partitions 0, 1, 2, … 0, 1, ….
pub struct Shipper {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<u64>>,
}

impl Shipper {
    /// Starts at the beginning of `log`. `partitions` is how many partitions of `topic` are used.
    pub fn start(log: &Path, bootstrap: &str, topic: &str, partitions: i32) -> Result<Shipper> {
        let file = File::open(log).with_context(|| format!("cannot read {}", log.display()))?;
        let mut producer = Producer::new(bootstrap, &[("compression.type", "zstd")])?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let topic = topic.to_owned();
        let thread = std::thread::spawn(move || {
            let mut lines = BufReader::new(file);
            let mut line = Vec::new();
            let mut partition = 0;
            loop {
                // Read before looking for lines: what was written before `stop` is still shipped.
                let last = told.load(Ordering::SeqCst);
                while lines.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
                    producer.send(&topic, partition, line.trim_ascii_end())?;
                    partition = (partition + 1) % partitions;
                    line.clear();
                }
                if last {
                    return producer.flush();
                }
                std::thread::sleep(POLL);
            }
        });
        Ok(Shipper { stop, thread })
    }

    /// Ships what the file holds now and ends; returns how many lines Kafka accepted in all.
    /// A last line without its line break is not shipped.
    pub fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().map_err(|_| anyhow!("the shipper panicked"))?
    }
}
