//! The merge's state as bytes: what was written is read, and other versions are refused.

use plimsoll_model::PartitionId;

use super::made::{batch, records, settings, ticks};
use crate::Error;
use crate::merge::{CORRECT_WITHIN, Merge, MergeState};

/// A merge that has closed ticks, with rows that still wait.
fn state() -> MergeState {
    let id = PartitionId::new(0, 0);
    let mut merge = Merge::new(CORRECT_WITHIN);
    merge.add(id, settings(2_000), 0);
    merge.push(batch(id, &records(&[1_000, 2_000, 3_000, 9_000])));
    assert!(!ticks(&mut merge).is_empty());
    merge.save()
}

/// What is said about these bytes.
#[track_caller]
fn check_refused(bytes: &[u8], expected: &str) {
    let error = MergeState::from_bytes(bytes).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
    assert!(error.to_string().contains("move"), "what to do: {error}");
}

#[test]
fn a_state_is_read_as_it_was_written() {
    assert_eq!(MergeState::from_bytes(&state().to_bytes()).unwrap(), state());
}

/// Before versions were written, the bytes began with whether a tick was open: 0 or 1.
#[test]
fn a_state_from_before_versions_is_refused_by_name() {
    let old = &state().to_bytes()[1..];
    assert!(matches!(MergeState::from_bytes(old), Err(Error::StateVersion { found: 1, known: 3 })));
    check_refused(old, "version 1");
    check_refused(&MergeState::default().to_bytes()[1..], "version 0");
}

#[test]
fn a_state_of_a_newer_version_is_refused_by_name() {
    let mut newer = state().to_bytes();
    newer[0] += 1;
    check_refused(&newer, "version 4");
}

#[test]
fn a_damaged_state_is_refused() {
    let bytes = state().to_bytes();
    check_refused(&bytes[..bytes.len() - 1], "cannot be read");
    check_refused(&[], "it is empty");
}

/// Read, restarted before anything was judged, and deleted by retention meanwhile: whoever assigns
/// the partition must know that it was read, or the loss is not seen.
#[test]
fn a_partition_that_was_read_and_not_judged_was_read() {
    let (read, new) = (PartitionId::new(0, 0), PartitionId::new(0, 1));
    let mut merge = Merge::new(CORRECT_WITHIN);
    merge.add(read, settings(2_000), 0);
    merge.add(new, settings(2_000), 0);
    merge.push(batch(read, &records(&[1_000])));
    let known = [(read, settings(2_000)), (new, settings(2_000))].into();
    let restored = Merge::restore(merge.save(), CORRECT_WITHIN, &known);
    assert_eq!(restored.resume_offset(read), Some(0));
    assert_eq!((restored.was_read(read), restored.was_read(new)), (true, false));
}
