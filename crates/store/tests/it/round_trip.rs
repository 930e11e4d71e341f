//! What is put in comes back, also after the store was closed and opened.

use plimsoll_model::evidence::Table;
use plimsoll_model::{Change, DeliveryState, Mark, Payload, Second};
use plimsoll_store::{Commit, Error, Store};

use crate::script::{self, checkpoint, decided_at, options, page, rows, transition};

fn opened_at_100() -> Commit {
    let opened = transition(1, 1, Change::Opened, 100);
    Commit {
        tick: Second(100),
        deliveries: vec![page(&opened), rows(100, std::slice::from_ref(&opened))],
        transitions: vec![(opened, decided_at(100))],
        marks: vec![Mark::Advance { until: Second(90) }],
        evidence: script::evidence(1, &[100]),
        ..Commit::default()
    }
}

#[test]
fn a_commit_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let commit = opened_at_100();
    let mut store = Store::open(dir.path(), options()).unwrap();
    store.commit(&commit).unwrap();
    drop(store);
    let store = Store::open(dir.path(), options()).unwrap();
    let recovered = store.recover().unwrap();
    assert_eq!(recovered.decided_through, Some(Second(100)));
    assert_eq!(recovered.marks, commit.marks);
    assert_eq!(recovered.open_incidents, [commit.transitions[0].0.clone()]);
    assert_eq!(recovered.transitions_since_checkpoint.len(), 1);
    assert_eq!(recovered.outbox_next, 2);
    assert_eq!(store.next_deliveries("oncall", 10).unwrap().len(), 1);
    let to_tables = store.next_deliveries("clickhouse", 10).unwrap().remove(0);
    let Payload::Rows { segments, .. } = to_tables.delivery.payload else {
        panic!("tables get rows");
    };
    let [name] = &segments[..] else { panic!("one table has rows: {segments:?}") };
    let batch = store.segment(name).unwrap().unwrap();
    assert_eq!(batch, commit.evidence.record_batch(Table::Panes));
    assert_eq!(store.segment("panes-0").unwrap(), None);
}

#[test]
fn a_commit_given_twice_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), options()).unwrap();
    let mut commit = opened_at_100();
    store.commit(&commit).unwrap();
    let first = store.snapshot().unwrap();
    commit.transitions[0].1 = decided_at(500);
    store.commit(&commit).unwrap();
    let second = store.snapshot().unwrap();
    assert_eq!(first.recover().unwrap(), second.recover().unwrap());
    assert_eq!(first.transitions().unwrap(), second.transitions().unwrap());
    assert_eq!(first.deliveries().unwrap(), second.deliveries().unwrap());
    assert_eq!(second.transitions().unwrap()[0].decided_at, decided_at(100));
}

#[test]
fn a_different_transition_of_the_same_name_is_a_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), options()).unwrap();
    store.commit(&opened_at_100()).unwrap();
    for (sequence, level) in [(1, 149), (3, 148)] {
        let mut other = transition(1, sequence, Change::Opened, 100);
        other.finding.level = level;
        let commit = Commit { transitions: vec![(other, decided_at(100))], ..Commit::default() };
        let error = store.commit(&commit).unwrap_err();
        assert!(matches!(error, Error::Conflict { .. }), "{error}");
    }
}

#[test]
fn a_checkpoint_drops_the_journal_that_it_covers() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), options()).unwrap();
    let mark = |tick| Mark::Advance { until: Second(tick) };
    for tick in [10, 20, 30] {
        let marks = vec![mark(tick)];
        store.commit(&Commit { tick: Second(tick), marks, ..Commit::default() }).unwrap();
    }
    // Judging again after a crash may write the checkpoint of a tick before the last one.
    let again = Commit { tick: Second(20), checkpoint: Some(checkpoint(20)), ..Commit::default() };
    store.commit(&again).unwrap();
    let recovered = store.recover().unwrap();
    assert_eq!(recovered.marks, [mark(30)]);
    assert_eq!(recovered.checkpoint, Some(checkpoint(20)));
    assert_eq!(recovered.decided_through, Some(Second(30)));
}

#[test]
fn a_recorded_state_is_there_and_takes_the_delivery_off_the_list() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), options()).unwrap();
    store.commit(&opened_at_100()).unwrap();
    let failed = DeliveryState::Pending { attempts: 1, last_error: Some("503".into()) };
    store.record(0, &failed).unwrap();
    assert_eq!(store.next_deliveries("oncall", 1).unwrap()[0].state, failed);
    let accepted = DeliveryState::Accepted { at: decided_at(101), answer: "202".into() };
    store.record(0, &accepted).unwrap();
    assert!(store.next_deliveries("oncall", 1).unwrap().is_empty());
    assert_eq!(store.snapshot().unwrap().deliveries().unwrap()[0].state, accepted);
    assert!(matches!(store.record(9, &accepted), Err(Error::Invalid(_))));
    assert!(matches!(store.record(0, &failed), Err(Error::Invalid(_))));
    store.record(0, &accepted).unwrap();
}

#[test]
fn a_held_delivery_waits_until_a_commit_lets_it_go() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), options()).unwrap();
    let mut commit = opened_at_100();
    commit.deliveries[0].held = true;
    store.commit(&commit).unwrap();
    assert!(store.next_deliveries("oncall", 1).unwrap().is_empty());
    let pending = DeliveryState::Pending { attempts: 0, last_error: None };
    let states = vec![(0, pending), (1, DeliveryState::Superseded)];
    store.commit(&Commit { tick: Second(101), states, ..Commit::default() }).unwrap();
    assert_eq!(store.next_deliveries("oncall", 1).unwrap().len(), 1);
    assert!(store.next_deliveries("clickhouse", 1).unwrap().is_empty());
}
