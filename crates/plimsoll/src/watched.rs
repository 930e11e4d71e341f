//! What is watched now, for the console: what engine and judge know, in the console's words.

use std::collections::BTreeMap;

use plimsoll_console::watched::{HOLDERS_SHOWN_MAX, Incident, Resource, Source};
use plimsoll_detect::settings::{Settings, Unit};
use plimsoll_detect::{Held, Judge};
use plimsoll_ingest::merge::Merge;
use plimsoll_model::{Dimension, Holder, OwnedHolder, Owner, PartitionId, Time, Transition};

use crate::config::Config;
use crate::engine::{Engine, SourceTotals};
use crate::feed;
use crate::live::Standing;

/// What every resource holds now, by name.
pub fn resources(judge: &Judge, settings: &Settings) -> Vec<Resource> {
    let resources = judge.held().map(|held| {
        let config = settings.resources.get(held.resource).copied().unwrap_or_default();
        let (holders, largest) = largest(&held.holders, config.unit);
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
/// the instances of one program are one holder. Of memory each instance has the limit for itself.
fn largest(holders: &[(&OwnedHolder, u64)], unit: Unit) -> (u64, Vec<(OwnedHolder, u64)>) {
    let told_apart: &[Dimension] = match unit {
        Unit::Bytes => &[Dimension::ServiceInstanceId],
        _ => &[Dimension::Tenant, Dimension::ServiceName],
    };
    let mut together: BTreeMap<OwnedHolder, u64> = BTreeMap::new();
    for (holder, held) in holders {
        let mut short = Holder::default();
        for &dimension in told_apart {
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

/// Every open incident with what counts against its limit now.
pub fn incidents(judge: &Judge, settings: &Settings) -> Vec<Incident> {
    let open: Vec<&Transition> = judge.open_incidents().collect();
    if open.is_empty() {
        return Vec::new();
    }
    let resources: BTreeMap<&str, Held<'_>> =
        judge.held().map(|held| (held.resource, held)).collect();
    let incidents = open.into_iter().filter_map(|transition| {
        let finding = &transition.finding;
        let held = resources.get(finding.resource.as_str())?;
        let config = settings.resources.get(held.resource).copied().unwrap_or_default();
        let of_owner = of_owner(&finding.owner, &held.holders);
        let lowest = config.unit == Unit::Bytes;
        let (level, owner_level) = match of_owner {
            Some(own) if lowest => (own.iter().max().copied(), own.iter().max().copied()),
            Some(own) => (Some(held.held), Some(own.iter().sum())),
            None => (Some(held.held), None),
        };
        Some(Incident { id: transition.incident, level, owner_level, lowest })
    });
    incidents.collect()
}

/// What the owner's holders hold; `None` if nobody is named.
fn of_owner(owner: &Owner, holders: &[(&OwnedHolder, u64)]) -> Option<Vec<u64>> {
    let Owner::Holder { dimension, value } = owner else { return None };
    let is_own = |holder: &OwnedHolder| holder.get(*dimension) == Some(value);
    Some(holders.iter().filter(|(holder, _)| is_own(holder)).map(|(_, held)| *held).collect())
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

    fn holder(text: &str) -> OwnedHolder {
        let (program, host) = text.split_once('@').unwrap();
        Holder::default()
            .with(Dimension::ServiceName, program)
            .with(Dimension::ServiceInstanceId, host)
            .to_owned()
    }

    fn holders(held: &[(&str, u64)]) -> Vec<(OwnedHolder, u64)> {
        held.iter().map(|(text, held)| (holder(text), *held)).collect()
    }

    /// Each holder as `program@instance`, `program@` or `@instance`, with what it holds.
    #[track_caller]
    fn check(held: &[(&str, u64)], unit: Unit, expected: &[(&str, u64)]) {
        let given = holders(held);
        let given: Vec<_> = given.iter().map(|(holder, held)| (holder, *held)).collect();
        let expected = holders(expected);
        assert_eq!(largest(&given, unit), (expected.len() as u64, expected));
    }

    #[test]
    fn the_instances_of_a_program_are_one_holder() {
        let held = [("web@a", 5), ("issuer@a", 4), ("issuer@b", 3)];
        check(&held, Unit::Connections, &[("issuer@", 7), ("web@", 5)]);
    }

    #[test]
    fn each_instance_has_its_memory_for_itself() {
        check(&[("web@a", 5), ("web@b", 4)], Unit::Bytes, &[("@a", 5), ("@b", 4)]);
    }

    #[test]
    fn a_holder_without_a_program_keeps_what_is_known_of_it() {
        check(&[("@a", 5), ("@b", 4)], Unit::Connections, &[("@a", 5), ("@b", 4)]);
    }

    #[test]
    fn what_an_owner_holds_is_that_of_all_its_instances() {
        let given = holders(&[("web@a", 5), ("issuer@a", 4), ("issuer@b", 3)]);
        let given: Vec<_> = given.iter().map(|(holder, held)| (holder, *held)).collect();
        let issuer =
            Owner::Holder { dimension: Dimension::ServiceName, value: "issuer".to_owned() };
        assert_eq!(of_owner(&issuer, &given), Some(vec![4, 3]));
        assert_eq!(of_owner(&Owner::Nobody, &given), None);
    }
}
