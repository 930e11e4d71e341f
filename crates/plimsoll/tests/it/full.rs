//! A full disk: nothing is lost, nothing is said twice, and the program goes on by itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll::engine::{Definition, Engine, FULL_RETRY_MAX, NotDurable, SharedStore};
use plimsoll::plan::{Planner, Route};
use plimsoll_model::{Severity, Time, Transition};
use plimsoll_store::simulation::{Fate, SimulatedDisk, World};
use plimsoll_store::{Options, Store};

use crate::scenario::{Plan, START, generate};
use crate::topics::{Partition, partitions, settings};

fn options(ballast_bytes: u64) -> Options {
    Options { ballast_bytes, cache_bytes: 1 << 20, ..Options::new("payments") }
}

pub fn open(disk: &SimulatedDisk, partitions: &[Partition], ballast_bytes: u64) -> Engine {
    let store = Store::open_on(Arc::new(disk.clone()), options(ballast_bytes)).unwrap();
    let store: SharedStore = Arc::new(Mutex::new(store));
    let definition = Definition {
        settings: settings(),
        partitions: partitions.iter().map(|it| (it.id, it.settings())).collect(),
        retention: std::time::Duration::from_secs(86_400),
        build: "test".into(),
        config_hash: "test".into(),
    };
    let route = Route { severity: Severity::Page, receiver: "oncall".into() };
    Engine::open(definition, store, Planner::new(vec![route], true), Time::from_seconds(START))
        .unwrap()
}

fn feed(engine: &mut Engine, partitions: &[Partition]) {
    for partition in partitions {
        engine.push(partition.batch(0, partition.records.len()));
        engine.finish(partition.id);
    }
}

/// Steps until nothing is left to judge or nothing more can be stored; `now` goes on by the
/// longest pause each time.
fn step(engine: &mut Engine, now: &mut Time) -> Vec<(Transition, Time)> {
    let mut transitions = Vec::new();
    loop {
        *now = now.plus(FULL_RETRY_MAX + Duration::from_secs(1));
        let stepped = engine.step(*now, true).unwrap();
        transitions.extend(stepped.transitions);
        if !stepped.more || engine.unsaved().is_some() {
            return transitions;
        }
    }
}

fn names(transitions: &[(Transition, Time)]) -> Vec<String> {
    let name = |it: &Transition| format!("{} {} {}", it.incident, it.sequence, it.change.name());
    transitions.iter().map(|(transition, _)| name(transition)).collect()
}

/// The transitions of a run whose disk always has room.
fn undisturbed(partitions: &[Partition]) -> Vec<String> {
    let mut engine = open(&SimulatedDisk::new(World::new([])), partitions, 0);
    let mut now = Time::from_seconds(START);
    feed(&mut engine, partitions);
    let transitions = step(&mut engine, &mut now);
    assert!(!transitions.is_empty(), "the scenario opens an incident");
    names(&transitions)
}

#[test]
fn what_a_full_disk_refused_is_committed_when_there_is_space() {
    let partitions = partitions(&generate(Plan::short(7)));
    let disk = SimulatedDisk::new(World::new([]));
    let mut engine = open(&disk, &partitions, 0);
    let mut now = Time::from_seconds(START);
    disk.set_capacity(Some(disk.used()));
    feed(&mut engine, &partitions);
    for _ in 0..3 {
        assert_eq!(names(&step(&mut engine, &mut now)), Vec::<String>::new());
        assert!(engine.unsaved().unwrap().contains("free some space"), "{:?}", engine.unsaved());
    }
    assert_eq!(engine.totals().commit_failures, 3);
    // Before the pause is over nothing is tried.
    engine.step(now, true).unwrap();
    assert_eq!(engine.totals().commit_failures, 3);
    assert!(engine.checkpoint(now).unwrap_err().is::<NotDurable>());

    disk.set_capacity(None);
    assert_eq!(names(&step(&mut engine, &mut now)), undisturbed(&partitions));
    assert_eq!(engine.unsaved(), None);
    engine.checkpoint(now).unwrap();
}

#[test]
fn a_stop_on_a_full_disk_loses_nothing() {
    let partitions = partitions(&generate(Plan::short(7)));
    let disk = SimulatedDisk::new(World::new([]));
    let mut engine = open(&disk, &partitions, 0);
    let mut now = Time::from_seconds(START);
    disk.set_capacity(Some(disk.used()));
    feed(&mut engine, &partitions);
    step(&mut engine, &mut now);
    drop(engine);
    disk.set_capacity(None);
    disk.restart(Fate::Drop);
    let mut engine = open(&disk, &partitions, 0);
    for partition in &partitions {
        assert_eq!(engine.resume_offset(partition.id), None);
    }
    feed(&mut engine, &partitions);
    assert_eq!(names(&step(&mut engine, &mut now)), undisturbed(&partitions));
}

#[test]
fn the_space_that_was_set_aside_carries_the_page_through() {
    let partitions = partitions(&generate(Plan::short(7)));
    let disk = SimulatedDisk::new(World::new([]));
    let mut engine = open(&disk, &partitions, 16 << 20);
    let mut now = Time::from_seconds(START);
    disk.set_capacity(Some(disk.used()));
    feed(&mut engine, &partitions);
    assert_eq!(names(&step(&mut engine, &mut now)), undisturbed(&partitions));
    assert_eq!((engine.unsaved(), engine.totals().commit_failures), (None, 0));
}
