//! A program that dies again and again, always before the time of a commit has come, goes forward
//! all the same.

use plimsoll::engine::{ROWS_UNDURABLE_MAX, TICKS_PER_STEP_MAX};
use plimsoll_model::sessions::{SessionBuilder, SessionRow};
use plimsoll_model::{Batch, Second, Time};
use plimsoll_store::simulation::{Fate, SimulatedDisk, World};

use crate::full::open;
use crate::scenario::{Plan, START, generate};
use crate::topics::{Partition, partitions};

/// One row of a resource that nobody judges, at each of these seconds.
fn batch(partition: &Partition, seconds: &[i64]) -> Batch {
    let mut sessions = SessionBuilder::default();
    for (offset, second) in (0..).zip(seconds) {
        let time = Time::from_seconds(START + second);
        sessions.append(&SessionRow { time, offset, resource: "other", ..SessionRow::default() });
    }
    let records = seconds.len() as u64;
    Batch {
        partition: partition.id,
        next_offset: records as i64,
        records,
        sessions: sessions.finish(),
        ..Batch::default()
    }
}

/// After one step without any time passing, and a death, judging goes on behind `expected`.
#[track_caller]
fn check_durable(seconds: &[i64], expected: i64) {
    let one = &partitions(&generate(Plan::short(1)))[..1];
    let disk = SimulatedDisk::new(World::new([]));
    let mut engine = open(&disk, one, 0);
    engine.push(batch(&one[0], seconds));
    assert!(engine.step(Time::from_seconds(START), false).unwrap().more);
    drop(engine);
    disk.restart(Fate::Drop);
    let engine = open(&disk, one, 0);
    assert_eq!(engine.last_tick(), Some(Second(START + expected)));
}

#[test]
fn many_ticks_are_durable() {
    let seconds: Vec<i64> = (0..=100).map(|hundred| hundred * 100).collect();
    check_durable(&seconds, TICKS_PER_STEP_MAX as i64 - 1);
}

#[test]
fn many_rows_are_durable() {
    let mut seconds = vec![0; ROWS_UNDURABLE_MAX];
    seconds.extend([1, 2, 3, 10]);
    check_durable(&seconds, 0);
}
