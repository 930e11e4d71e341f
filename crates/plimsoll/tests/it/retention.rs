//! What is over for longer than `retention` leaves the store, by the engine's own doing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll::engine::{Definition, Engine, SharedStore, locked};
use plimsoll::plan::Planner;
use plimsoll_model::{Change, Second, Time};
use plimsoll_store::simulation::{SimulatedDisk, World};
use plimsoll_store::{Options, Store};

use crate::scenario::{Plan, START, generate};
use crate::topics::{partitions, settings};

const HOUR: i64 = 3_600;

#[test]
fn an_incident_that_is_over_goes_with_its_evidence() {
    let options = Options { ballast_bytes: 0, cache_bytes: 1 << 20, ..Options::new("payments") };
    let disk = SimulatedDisk::new(World::new([]));
    let store = Store::open_on(Arc::new(disk), options).unwrap();
    let store: SharedStore = Arc::new(Mutex::new(store));
    let partitions = partitions(&generate(Plan::short(7)));
    let definition = Definition {
        settings: settings(),
        partitions: partitions.iter().map(|it| (it.id, it.settings())).collect(),
        retention: Duration::from_secs(6 * HOUR as u64),
        build: "test".into(),
        config_hash: "test".into(),
    };
    let now = Time::from_seconds(START);
    let planner = Planner::new(Vec::new(), false);
    let mut engine = Engine::open(definition, Arc::clone(&store), planner, now).unwrap();
    for partition in &partitions {
        engine.push(partition.batch(0, partition.records.len()));
        engine.idle(partition.id);
    }
    let mut transitions = Vec::new();
    let mut through = |engine: &mut Engine, until: Second| {
        engine.advance(until);
        loop {
            let stepped = engine.step(now, true).unwrap();
            transitions.extend(stepped.transitions);
            if !stepped.more {
                return;
            }
        }
    };
    let kept = || {
        let snapshot = locked(&store).snapshot().unwrap();
        (snapshot.transitions().unwrap().len(), snapshot.segments().unwrap().len())
    };

    through(&mut engine, Second(START + 4 * HOUR));
    let (decided, segments) = kept();
    assert!(decided > 0 && segments > 0, "{decided} transitions, {segments} segments");
    through(&mut engine, Second(START + 8 * HOUR));
    assert_eq!(kept(), (0, 0));

    assert_eq!(transitions.len(), decided);
    assert_eq!(transitions.last().map(|(last, _)| last.change), Some(Change::Resolved));
}
