//! A disk that is full, that fails, or that gives back something else.

use std::sync::Arc;

use plimsoll_model::{Change, Second};
use plimsoll_store::simulation::{Fate, SimulatedDisk, World};
use plimsoll_store::{Commit, Error, Options, Retry, Store};

use crate::script::{checkpoint, decided_at, options, transition};

const DATABASE: &str = "plimsoll.redb";

fn disk() -> SimulatedDisk {
    SimulatedDisk::new(World::new([]))
}

fn open(disk: &SimulatedDisk, options: Options) -> Result<Store, Error> {
    Store::open_on(Arc::new(disk.clone()), options)
}

/// A commit with `bytes` bytes of state.
fn large(tick: i64, bytes: usize) -> Commit {
    let mut checkpoint = checkpoint(tick);
    checkpoint.judge = vec![1; bytes];
    Commit { tick: Second(tick), checkpoint: Some(checkpoint), ..Commit::default() }
}

#[test]
fn a_full_disk_is_survived_and_the_ballast_makes_room_for_a_last_commit() {
    let disk = disk();
    let ballast_bytes = 16 << 20;
    let mut store = open(&disk, Options { ballast_bytes, ..options() }).unwrap();
    store.commit(&large(10, 10)).unwrap();
    disk.set_capacity(Some(disk.used()));
    let error = store.commit(&large(20, 3 << 20)).unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error}");
    assert_eq!(error.retry(), Retry::Later);
    assert!(error.to_string().contains("free some space"));
    store.release_ballast().unwrap();
    store.commit(&large(20, 3 << 20)).unwrap();
    drop(store);
    disk.restart(Fate::Drop);
    let recovered = open(&disk, options()).unwrap().recover().unwrap();
    assert_eq!(recovered.checkpoint, large(20, 3 << 20).checkpoint);
}

#[test]
fn nothing_of_a_commit_that_found_the_disk_full_is_visible() {
    let disk = disk();
    let mut store = open(&disk, options()).unwrap();
    store.commit(&large(10, 10)).unwrap();
    let before = store.recover().unwrap();
    disk.set_capacity(Some(disk.used() + (1 << 20)));
    let mut commit = large(20, 3 << 20);
    commit.transitions = vec![(transition(1, 1, Change::Opened, 20), decided_at(20))];
    store.commit(&commit).unwrap_err();
    assert!(matches!(store.recover(), Err(Error::Full { .. })));
    // A small commit still fits, and opens the engine again.
    store.commit(&Commit { tick: Second(11), ..Commit::default() }).unwrap();
    let after = store.recover().unwrap();
    assert_eq!(after.decided_through, Some(Second(11)));
    assert_eq!((after.checkpoint, after.open_incidents), (before.checkpoint, Vec::new()));
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_any_more() {
    let disk = disk();
    let mut store = open(&disk, options()).unwrap();
    disk.set_syncs_fail(true);
    let error = store.commit(&large(10, 10)).unwrap_err();
    assert!(error.to_string().contains("the disk does not answer"), "{error}");
    disk.set_syncs_fail(false);
    for error in [error, store.commit(&large(10, 10)).unwrap_err(), store.recover().unwrap_err()] {
        assert!(matches!(error, Error::Poisoned { .. }), "{error}");
        assert_eq!(error.retry(), Retry::Never);
    }
    drop(store);
    open(&disk, options()).unwrap().commit(&large(10, 10)).unwrap();
}

#[test]
fn a_flipped_bit_is_an_error_or_harmless() {
    let disk = disk();
    let mut store = open(&disk, options()).unwrap();
    for sequence in 1..=40 {
        let transition = transition(1, sequence, Change::Updated, 100 + i64::from(sequence));
        let mut commit = large(100 + i64::from(sequence), 2_000);
        commit.transitions = vec![(transition, decided_at(100))];
        store.commit(&commit).unwrap();
    }
    let transitions = store.snapshot().unwrap().transitions().unwrap();
    let recovered = store.recover().unwrap();
    drop(store);
    let content = disk.content(DATABASE).unwrap();
    let mut detected = 0;
    // Every bit of the header's sector, then one of every 997 bytes.
    let header = (0..512 * 8).map(|bit| (bit / 8, bit % 8));
    let body = (512..content.len()).step_by(997).map(|byte| (byte, byte % 8));
    for (byte, bit) in header.chain(body) {
        let mut flipped = content.clone();
        flipped[byte] ^= 1 << bit;
        disk.set_content(DATABASE, flipped);
        match open(&disk, options()) {
            Err(_) => detected += 1,
            Ok(store) => {
                assert_eq!(store.recover().unwrap(), recovered, "byte {byte} bit {bit}");
                let found = store.snapshot().unwrap().transitions().unwrap();
                assert_eq!(found, transitions, "byte {byte} bit {bit}");
            }
        }
    }
    assert!(detected > 100, "only {detected} flips were detected");
}
