//! A scenario spread over partitions, as a broker would hold it.

use plimsoll_detect::Settings;
use plimsoll_ingest::config::SourceConfig;
use plimsoll_ingest::merge::PartitionSettings;
use plimsoll_ingest::{Parser, RawBatch};
use plimsoll_model::{Batch, PartitionId};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::json;

use crate::scenario::{Line, Scenario, USABLE};

/// One partition with its records; a record's offset is its place.
#[derive(Clone)]
pub struct Partition {
    pub id: PartitionId,
    pub source: &'static str,
    pub config: SourceConfig,
    pub records: Vec<Line>,
}

impl Partition {
    /// The records `from..to`, parsed.
    pub fn batch(&self, from: usize, to: usize) -> Batch {
        let mut raw = RawBatch::new(self.id);
        for (offset, record) in self.records.iter().enumerate().take(to).skip(from) {
            raw.push(offset as i64, record.text.as_bytes());
        }
        Parser::new(self.source, &self.config).unwrap().parse(&raw)
    }

    pub fn settings(&self) -> PartitionSettings {
        let SourceConfig { reorder, max_ahead, .. } = self.config;
        PartitionSettings { reorder, max_ahead, context: self.source == "deploys" }
    }
}

/// The sources as the configuration of a pipeline would name them.
fn source(name: &str) -> SourceConfig {
    let config = match name {
        "db" => json!({"kafka": "pg", "format": "postgres_jsonlog", "resource": "orders-db"}),
        "gauge" => json!({"kafka": "gauge", "format": "json", "resource": "orders-db",
            "map": {"time": "ts", "value": {"used": "active"}}}),
        _ => json!({"kafka": "deploys", "format": "json", "role": "context"}),
    };
    serde_json::from_value(config).unwrap()
}

/// `lines` spread round-robin over `count` partitions of source number `rank`.
fn spread(name: &'static str, rank: u16, count: usize, lines: &[Line]) -> Vec<Partition> {
    let mut partitions: Vec<_> = (0..count)
        .map(|index| Partition {
            id: PartitionId::new(rank, index as u32),
            source: name,
            config: source(name),
            records: Vec::new(),
        })
        .collect();
    for (place, line) in lines.iter().enumerate() {
        partitions[place % count].records.push(line.clone());
    }
    partitions
}

/// Three partitions of the server's log, two of polled counts, one of deploys.
pub fn partitions(scenario: &Scenario) -> Vec<Partition> {
    let mut partitions = spread("db", 0, 3, &scenario.db);
    partitions.extend(spread("deploys", 1, 1, &scenario.deploys));
    partitions.extend(spread("gauge", 2, 2, &scenario.gauge));
    partitions
}

/// Moves records inside a partition by less than `reorder`, as several writers would.
pub fn shuffle(partitions: &mut [Partition], within_ms: i64, random: &mut StdRng) {
    for partition in partitions.iter_mut().filter(|partition| partition.source != "deploys") {
        let mut keyed: Vec<_> = partition
            .records
            .drain(..)
            .map(|line| (line.at_ms + random.random_range(0..within_ms), line))
            .collect();
        keyed.sort_by_key(|(key, _)| *key);
        partition.records = keyed.into_iter().map(|(_, line)| line).collect();
    }
}

/// What the judge is told about the estate: the limit, and a response time that suits minutes.
pub fn settings() -> Settings {
    let mut settings = Settings::new("payments");
    let resource = json!({"connections": {"limit": USABLE}});
    settings.resources.insert("orders-db".into(), serde_json::from_value(resource).unwrap());
    settings.response_time = std::time::Duration::from_secs(300);
    settings
}
