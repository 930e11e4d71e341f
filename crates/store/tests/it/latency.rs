//! How long a commit takes on a real disk, and how large the file grows: printed, and held
//! against bounds that only a mistake of another order would break.

use std::time::{Duration, Instant};

use plimsoll_model::{Change, Second};
use plimsoll_store::{Commit, Store};

use crate::script::{checkpoint, decided_at, options, page, transition};

fn commit(tick: i64) -> Commit {
    let opened = transition(tick as u128, 1, Change::Opened, tick);
    Commit {
        tick: Second(tick),
        deliveries: vec![page(&opened)],
        transitions: vec![(opened, decided_at(tick))],
        checkpoint: Some(checkpoint(tick)),
        ..Commit::default()
    }
}

#[test]
fn a_commit_takes_milliseconds() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), options()).unwrap();
    let mut times: Vec<Duration> = (0..100)
        .map(|tick| {
            let begun = Instant::now();
            store.commit(&commit(tick)).unwrap();
            begun.elapsed()
        })
        .collect();
    times.sort();
    println!("commit: median {:?}, largest {:?}", times[50], times[99]);
    assert!(times[50] < Duration::from_secs(1));
}

#[test]
fn ten_thousand_transitions_take_megabytes() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), options()).unwrap();
    for hundred in 0..100 {
        let mut whole = Commit::default();
        for tick in hundred * 100..(hundred + 1) * 100 {
            let one = commit(tick);
            whole.tick = one.tick;
            whole.transitions.extend(one.transitions);
            whole.deliveries.extend(one.deliveries);
        }
        store.commit(&whole).unwrap();
    }
    drop(store);
    let bytes = std::fs::metadata(dir.path().join("plimsoll.redb")).unwrap().len();
    let begun = Instant::now();
    let store = Store::open(dir.path(), options()).unwrap();
    println!("10,000 transitions: {bytes} bytes, opened in {:?}", begun.elapsed());
    assert_eq!(store.snapshot().unwrap().transitions().unwrap().len(), 10_000);
    assert!(bytes < 64 << 20);
}
