//! What is over and old goes; what may still be needed stays.

use plimsoll_model::{Change, DeliveryState, PartitionId, Payload, Reject, RejectReason, Second};
use plimsoll_store::{Commit, Options, Pruned, REJECTS_KEPT_PER_PARTITION_MAX, Store};

use crate::script::{checkpoint, decided_at, evidence, options, page, rows, transition};

/// A store with an incident that opened at 10 and ended at 20, one that opened at 30, and a
/// checkpoint at 40. The pager has heard all; the tables' sink is down.
fn store(dir: &tempfile::TempDir, options: Options) -> Store {
    let mut store = Store::open(dir.path(), options).expect("the directory is empty");
    let story =
        [(10, 1, 1, Change::Opened), (20, 1, 2, Change::Resolved), (30, 2, 1, Change::Opened)];
    for (tick, incident, sequence, change) in story {
        let transition = transition(incident, sequence, change, tick);
        let commit = Commit {
            tick: Second(tick),
            deliveries: vec![page(&transition), rows(tick, std::slice::from_ref(&transition))],
            transitions: vec![(transition, decided_at(tick))],
            evidence: evidence(incident, &[tick]),
            ..Commit::default()
        };
        store.commit(&commit).expect("the disk is whole");
    }
    let commit = Commit { tick: Second(40), checkpoint: Some(checkpoint(40)), ..Commit::default() };
    store.commit(&commit).expect("the disk is whole");
    accept(&mut store, "oncall");
    store
}

fn accept(store: &mut Store, sink: &str) {
    for ordered in store.next_deliveries(sink, 100).expect("the store can be read") {
        let accepted = DeliveryState::Accepted { at: decided_at(50), answer: "ok".into() };
        store.record(ordered.delivery.sequence, &accepted).expect("the disk is whole");
    }
}

#[test]
fn what_a_sink_still_needs_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(&dir, options());
    let pruned = store.prune(Second(1_000)).unwrap();
    assert_eq!(pruned, Pruned { deliveries: 2, incidents: 1, segments: 0, shed: 0 });
    assert_eq!(store.snapshot().unwrap().segments().unwrap().len(), 3);
    accept(&mut store, "clickhouse");
    let pruned = store.prune(Second(1_000)).unwrap();
    assert_eq!(pruned, Pruned { deliveries: 3, incidents: 0, segments: 3, shed: 0 });
    let left = store.snapshot().unwrap();
    assert_eq!(left.incidents().unwrap().len(), 1);
    let left = left.deliveries().unwrap();
    let page = &left[0].delivery.payload;
    assert!(matches!(page, Payload::Page { transition, .. } if transition.incident.0 == 2));
    assert_eq!(left.len(), 1, "the incident that is open was told");
    let parquet = |entry: &std::fs::DirEntry| entry.path().extension() == Some("parquet".as_ref());
    let files = std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap);
    assert_eq!(files.filter(parquet).count(), 0);
}

#[test]
fn nothing_after_the_checkpoint_goes() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(&dir, options());
    let ended = transition(2, 2, Change::Resolved, 50);
    let commit = Commit {
        tick: Second(50),
        deliveries: vec![page(&ended)],
        transitions: vec![(ended, decided_at(50))],
        ..Commit::default()
    };
    store.commit(&commit).unwrap();
    accept(&mut store, "oncall");
    store.prune(Second(1_000)).unwrap();
    let left = store.snapshot().unwrap();
    assert_eq!(left.transitions().unwrap().len(), 2);
    let again = store.recover().unwrap();
    store.commit(&commit).unwrap();
    assert_eq!(store.recover().unwrap(), again);
}

#[test]
fn above_its_limit_the_oldest_evidence_is_shed_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir, options());
    let segments = store.snapshot().unwrap().segments().unwrap();
    drop(store);
    let segment_bytes_max = segments[2].1.bytes;
    let mut store = Store::open(dir.path(), Options { segment_bytes_max, ..options() }).unwrap();
    assert_eq!(store.prune(Second(0)).unwrap().shed, 2);
    let left = store.snapshot().unwrap();
    assert_eq!(left.segments().unwrap(), [segments[2].clone()]);
    assert_eq!(left.segments_shed().unwrap(), 2);
    assert_eq!(store.segment(&segments[0].0).unwrap(), None);
}

#[test]
fn the_newest_rejects_are_kept_and_all_are_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), options()).unwrap();
    let most = REJECTS_KEPT_PER_PARTITION_MAX as i64;
    let reject = |offset| Reject {
        partition: PartitionId::new(0, 3),
        offset,
        reason: RejectReason::Encoding,
        detail: "byte 0 is not UTF-8".into(),
        excerpt: "\u{fffd}".into(),
    };
    let commit = Commit { rejects: (0..most + 10).map(reject).collect(), ..Commit::default() };
    for _ in 0..2 {
        store.commit(&commit).unwrap();
        let kept = store.snapshot().unwrap();
        let rejects = kept.rejects().unwrap();
        assert_eq!((rejects.len() as i64, rejects[0].offset), (most, 10));
        let counts = kept.reject_counts().unwrap();
        let expected = (PartitionId::new(0, 3), RejectReason::Encoding, most as u64 + 10);
        assert_eq!(counts, [expected]);
    }
}
