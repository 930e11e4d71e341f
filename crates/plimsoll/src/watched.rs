//! What is watched now, for the console: what engine and judge know, in the console's words.

use plimsoll_console::watched::{HOLDERS_SHOWN_MAX, Resource, Source};
use plimsoll_detect::Judge;
use plimsoll_detect::settings::Settings;
use plimsoll_ingest::merge::Merge;
use plimsoll_model::PartitionId;

use crate::config::Config;
use crate::engine::{Engine, SourceTotals};
use crate::feed;
use crate::live::Standing;

/// What every resource holds now, by name.
pub fn resources(judge: &Judge, settings: &Settings) -> Vec<Resource> {
    let resources = judge.held().map(|held| {
        let config = settings.resources.get(held.resource).copied().unwrap_or_default();
        let largest = held.holders.iter().take(HOLDERS_SHOWN_MAX);
        Resource {
            name: held.resource.to_owned(),
            unit: config.unit.name().to_owned(),
            held: held.held,
            usable: held.usable,
            holders: held.holders.len() as u64,
            largest: largest.map(|(holder, count)| ((*holder).clone(), *count)).collect(),
            doubts: held.doubts as u64,
        }
    });
    resources.collect()
}

/// How far every source was read, by name. `standings` says how each partition stands.
pub fn sources(
    config: &Config,
    engine: &Engine,
    standings: impl Iterator<Item = (PartitionId, Standing)>,
) -> Vec<Source> {
    let standings: Vec<(PartitionId, Standing)> = standings.collect();
    let of_source = |name: &String| {
        let id = feed::source_id(config, name);
        let read: SourceTotals = engine.totals().sources.get(&id).copied().unwrap_or_default();
        let partitions: Vec<_> =
            standings.iter().filter(|(partition, _)| partition.source == id).copied().collect();
        let count = |wanted: Standing| {
            partitions.iter().filter(|(_, standing)| *standing == wanted).count() as u64
        };
        Source {
            name: name.clone(),
            records: read.records,
            used: read.used(),
            rejected: read.rejects.iter().sum(),
            alive: count(Standing::Alive),
            idle: count(Standing::Idle),
            set_aside: count(Standing::SetAside),
            watermark: watermark(engine.merge(), &partitions),
        }
    };
    config.sources.keys().map(of_source).collect()
}

/// The smallest watermark of those that hold the clock; if none does, the largest of all.
fn watermark(
    merge: &Merge,
    partitions: &[(PartitionId, Standing)],
) -> Option<plimsoll_model::Time> {
    let of = |(partition, _): &(PartitionId, Standing)| merge.watermark(*partition);
    let alive = partitions.iter().filter(|(_, standing)| *standing == Standing::Alive);
    alive.filter_map(of).min().or_else(|| partitions.iter().filter_map(of).max())
}
