//! What was not copied yet is known, and nothing else.

use plimsoll_model::{Change, DeliveryState, PartitionId, Reject, RejectReason, Second, Time};
use plimsoll_store::{
    CHANGES_AT_ONCE_MAX, Changes, Commit, Pruned, REJECTS_KEPT_PER_PARTITION_MAX, Store,
};

use crate::script::{checkpoint, decided_at, options, page, transition};

/// A store whose changes are remembered from revision 100 on.
fn remembering() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().expect("there is space");
    let mut store = Store::open(dir.path(), options()).expect("the directory is empty");
    store.remember_changes(100).expect("the disk is whole");
    (dir, store)
}

/// A page and a reject at `tick`.
fn commit(store: &mut Store, tick: i64) {
    let transition = transition(tick as u128, 1, Change::Opened, tick);
    let commit = Commit {
        tick: Second(tick),
        deliveries: vec![page(&transition)],
        transitions: vec![(transition, decided_at(tick))],
        rejects: vec![reject(tick, "not JSON")],
        checkpoint: Some(checkpoint(tick)),
        ..Commit::default()
    };
    store.commit(&commit).expect("the disk is whole");
}

fn reject(offset: i64, detail: &str) -> Reject {
    let (detail, excerpt) = (detail.to_owned(), String::new());
    let partition = PartitionId::new(0, 1);
    Reject { partition, offset, reason: RejectReason::Malformed, detail, excerpt }
}

fn accept(store: &mut Store, sequence: u64) {
    let accepted = DeliveryState::Accepted { at: Time::from_seconds(1), answer: "202".into() };
    store.record(sequence, &accepted).expect("the disk is whole");
}

fn changes(store: &Store) -> Changes {
    let snapshot = store.snapshot().expect("the store can be read");
    snapshot.changes().expect("the store can be read")
}

/// (revision, place in the outbox, state), then (revision, offset), of what is to be copied.
#[track_caller]
fn check(store: &Store, deliveries: &[(u64, u64, &str)], rejects: &[(u64, i64)]) {
    let changes = changes(store);
    let found: Vec<_> = (changes.deliveries.iter())
        .map(|(revision, it)| (*revision, it.delivery.sequence, it.state.name()))
        .collect();
    assert_eq!(found, deliveries);
    let found: Vec<_> =
        changes.rejects.iter().map(|(revision, reject)| (*revision, reject.offset)).collect();
    assert_eq!(found, rejects);
}

#[test]
fn a_change_is_given_until_it_was_copied() {
    let (dir, mut store) = remembering();
    commit(&mut store, 10);
    check(&store, &[(100, 0, "pending")], &[(101, 10)]);
    let copied = changes(&store);
    drop(store);
    let mut store = Store::open(dir.path(), options()).unwrap();
    assert_eq!(changes(&store), copied);
    store.copied(&copied).unwrap();
    check(&store, &[], &[]);
    accept(&mut store, 0);
    check(&store, &[(102, 0, "accepted")], &[]);
}

#[test]
fn what_changes_while_it_is_copied_is_given_again() {
    let (_dir, mut store) = remembering();
    commit(&mut store, 10);
    let copied = changes(&store);
    accept(&mut store, 0);
    store.copied(&copied).unwrap();
    check(&store, &[(102, 0, "accepted")], &[]);
}

#[test]
fn the_same_again_is_no_change_and_another_reject_in_its_place_is() {
    let (_dir, mut store) = remembering();
    commit(&mut store, 10);
    store.copied(&changes(&store)).unwrap();
    commit(&mut store, 10);
    check(&store, &[], &[]);
    let rejects = vec![reject(10, "cut short")];
    store.commit(&Commit { tick: Second(20), rejects, ..Commit::default() }).unwrap();
    check(&store, &[], &[(102, 10)]);
}

#[test]
fn at_first_everything_has_changed_and_later_starts_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), options()).unwrap();
    commit(&mut store, 10);
    accept(&mut store, 0);
    check(&store, &[], &[]);
    store.remember_changes(100).unwrap();
    check(&store, &[(100, 0, "accepted")], &[(101, 10)]);
    store.copied(&changes(&store)).unwrap();
    store.remember_changes(50).unwrap();
    check(&store, &[], &[]);
    commit(&mut store, 20);
    check(&store, &[(102, 1, "pending")], &[(103, 20)]);
}

#[test]
fn who_does_not_want_changes_any_more_gets_all_of_them_later() {
    let (_dir, mut store) = remembering();
    commit(&mut store, 10);
    store.forget_changes().unwrap();
    commit(&mut store, 20);
    check(&store, &[], &[]);
    store.remember_changes(0).unwrap();
    check(&store, &[(102, 0, "pending"), (103, 1, "pending")], &[(104, 10), (105, 20)]);
}

#[test]
fn retention_waits_for_the_copy() {
    let (_dir, mut store) = remembering();
    commit(&mut store, 10);
    accept(&mut store, 0);
    let resolved = transition(10, 2, Change::Resolved, 15);
    let transitions = vec![(resolved, decided_at(15))];
    store.commit(&Commit { tick: Second(15), transitions, ..Commit::default() }).unwrap();
    commit(&mut store, 20);
    assert_eq!(store.prune(Second(20)).unwrap(), Pruned { incidents: 1, ..Pruned::default() });
    store.copied(&changes(&store)).unwrap();
    assert_eq!(store.prune(Second(20)).unwrap(), Pruned { deliveries: 1, ..Pruned::default() });
}

#[test]
fn a_reject_that_went_before_it_was_copied_is_not_waited_for() {
    let (_dir, mut store) = remembering();
    let kept = REJECTS_KEPT_PER_PARTITION_MAX as i64;
    for begin in [0, kept] {
        let rejects = (begin..begin + kept).map(|offset| reject(offset, "not JSON")).collect();
        store.commit(&Commit { tick: Second(10 + begin), rejects, ..Commit::default() }).unwrap();
    }
    let given = changes(&store);
    let offsets: Vec<i64> = given.rejects.iter().map(|(_, reject)| reject.offset).collect();
    assert_eq!(offsets, (kept..2 * kept).collect::<Vec<_>>());
    assert_eq!((given.rejects.len(), given.is_full()), (CHANGES_AT_ONCE_MAX, true));
}
