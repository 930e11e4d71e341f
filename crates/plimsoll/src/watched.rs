//! What is watched now, for the console: what engine and judge know, in the console's words.

use std::collections::BTreeMap;

use plimsoll_console::watched::{HOLDERS_SHOWN_MAX, Resource, Source};
use plimsoll_detect::Judge;
use plimsoll_detect::settings::Settings;
use plimsoll_ingest::merge::Merge;
use plimsoll_model::{Dimension, Holder, OwnedHolder, PartitionId, Time};

use crate::config::Config;
use crate::engine::{Engine, SourceTotals};
use crate::feed;
use crate::live::Standing;

/// What every resource holds now, by name.
pub fn resources(judge: &Judge, settings: &Settings) -> Vec<Resource> {
    let resources = judge.held().map(|held| {
        let config = settings.resources.get(held.resource).copied().unwrap_or_default();
        let (holders, largest) = largest(&held.holders);
        Resource {
            name: held.resource.to_owned(),
            unit: config.unit.name().to_owned(),
            held: held.held,
            usable: held.usable,
            holders,
            largest,
            doubts: held.doubts as u64,
        }
    });
    resources.collect()
}

/// How many hold something, and who most: by tenant and program where they are known, so that
/// the instances of one program are one holder.
fn largest(holders: &[(&OwnedHolder, u64)]) -> (u64, Vec<(OwnedHolder, u64)>) {
    let mut together: BTreeMap<OwnedHolder, u64> = BTreeMap::new();
    for (holder, held) in holders {
        let mut short = Holder::default();
        for dimension in [Dimension::Tenant, Dimension::ServiceName] {
            short.set(dimension, holder.get(dimension).unwrap_or_default());
        }
        let name = if short.is_empty() { (*holder).clone() } else { short.to_owned() };
        *together.entry(name).or_default() += held;
    }
    let mut largest: Vec<_> = together.into_iter().collect();
    largest.sort_by_key(|(_, held)| std::cmp::Reverse(*held));
    let count = largest.len() as u64;
    largest.truncate(HOLDERS_SHOWN_MAX);
    (count, largest)
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
fn watermark(merge: &Merge, partitions: &[(PartitionId, Standing)]) -> Option<Time> {
    let of = |(partition, _): &(PartitionId, Standing)| merge.watermark(*partition);
    let alive = partitions.iter().filter(|(_, standing)| *standing == Standing::Alive);
    alive.filter_map(of).min().or_else(|| partitions.iter().filter_map(of).max())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each holder as `program@host` or `@host`, with what it holds.
    #[track_caller]
    fn check(holders: &[(&str, u64)], expected: &[(&str, u64)]) {
        let holder = |text: &str| {
            let (program, host) = text.split_once('@').unwrap();
            Holder::default()
                .with(Dimension::ServiceName, program)
                .with(Dimension::HostName, host)
                .to_owned()
        };
        let given: Vec<_> = holders.iter().map(|(text, held)| (holder(text), *held)).collect();
        let given: Vec<_> = given.iter().map(|(holder, held)| (holder, *held)).collect();
        let expected: Vec<_> = expected.iter().map(|(text, held)| (holder(text), *held)).collect();
        assert_eq!(largest(&given), (expected.len() as u64, expected));
    }

    #[test]
    fn the_instances_of_a_program_are_one_holder() {
        check(&[("web@a", 5), ("issuer@a", 4), ("issuer@b", 3)], &[("issuer@", 7), ("web@", 5)]);
    }

    #[test]
    fn a_holder_without_a_program_keeps_what_is_known_of_it() {
        check(&[("@a", 5), ("@b", 4)], &[("@a", 5), ("@b", 4)]);
    }
}
