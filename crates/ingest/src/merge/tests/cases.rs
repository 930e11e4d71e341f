use plimsoll_model::{Mark, PartitionId, RejectReason, Second};

use super::made::{DAY_S, batch, records, settings, ticks};
use crate::merge::{CORRECT_WITHIN, Merge};

const A: PartitionId = PartitionId::new(0, 0);
const B: PartitionId = PartitionId::new(1, 0);

/// Partition A alone, as a whole file: the ticks with rows, and the rejects.
#[track_caller]
fn check_file(at_ms: &[i64], expected: &[(i64, &[i64])], rejects: &[(i64, RejectReason)]) {
    let mut merge = Merge::new(CORRECT_WITHIN);
    merge.add(A, settings(2_000), 0);
    merge.push(batch(A, &records(at_ms)));
    merge.finish(A);
    let got: Vec<(i64, Vec<i64>)> = ticks(&mut merge)
        .into_iter()
        .filter(|(_, rows)| !rows.is_empty())
        .map(|(second, rows)| (second, rows.into_iter().map(|(_, offset)| offset).collect()))
        .collect();
    let expected: Vec<(i64, Vec<i64>)> =
        expected.iter().map(|(second, rows)| (*second, rows.to_vec())).collect();
    assert_eq!(got, expected);
    let got: Vec<(i64, RejectReason)> =
        merge.take_rejects().kept.iter().map(|reject| (reject.offset, reject.reason)).collect();
    assert_eq!(got, rejects);
    assert!(merge.is_done());
}

#[test]
fn rows_inside_reorder_come_in_the_order_of_their_times() {
    check_file(&[0, 1_500, 900, 2_100], &[(0, &[0, 2]), (1, &[1]), (2, &[3])], &[]);
}

#[test]
fn a_row_behind_the_watermark_is_applied_at_the_watermark() {
    // The watermark before the last record is 10 s - 2 s.
    check_file(&[0, 0, 0, 10_000, 1_000], &[(0, &[0, 1, 2]), (8, &[4]), (10, &[3])], &[]);
}

#[test]
fn a_row_later_than_can_be_corrected_is_rejected() {
    // 605 s are reached in two steps of less than five minutes; the watermark is 603 s.
    let late = (4, RejectReason::Late);
    check_file(
        &[0, 200_000, 400_000, 605_000, 0, 3_000],
        &[(0, &[0]), (200, &[1]), (400, &[2]), (603, &[5]), (605, &[3])],
        &[late],
    );
}

#[test]
fn one_wild_time_does_not_move_the_clock() {
    let future = (2, RejectReason::Future);
    check_file(&[0, 1_000, 900_000, 2_000], &[(0, &[0]), (1, &[1]), (2, &[3])], &[future]);
}

#[test]
fn two_wild_times_in_a_row_do_not_suffice() {
    check_file(
        &[0, 1_000, 900_000, 900_001, 2_000],
        &[(0, &[0]), (1, &[1]), (2, &[4])],
        &[(2, RejectReason::Future), (3, RejectReason::Future)],
    );
}

#[test]
fn the_first_record_may_be_the_wild_one() {
    let future = (0, RejectReason::Future);
    check_file(&[900_000, 0, 1_000, 2_000], &[(0, &[1]), (1, &[2]), (2, &[3])], &[future]);
}

#[test]
fn a_wild_time_at_the_end_of_a_file_is_rejected() {
    let future = (3, RejectReason::Future);
    check_file(&[0, 1_000, 2_000, 900_000], &[(0, &[0]), (1, &[1]), (2, &[2])], &[future]);
}

#[test]
fn records_ten_minutes_apart_confirm_each_other() {
    check_file(
        &[0, 600_000, 1_200_000, 1_800_000],
        &[(0, &[0]), (600, &[1]), (1_200, &[2]), (1_800, &[3])],
        &[],
    );
}

#[test]
fn a_pause_is_believed_when_three_records_agree() {
    check_file(
        &[0, 1_000, 2_000, 900_000, 900_500, 901_000],
        &[(0, &[0]), (1, &[1]), (2, &[2]), (900, &[3, 4]), (901, &[5])],
        &[],
    );
}

#[test]
fn the_clock_of_a_file_ends_at_its_last_event_plus_reorder() {
    let mut merge = Merge::new(CORRECT_WITHIN);
    merge.add(A, settings(2_000), 0);
    merge.push(batch(A, &records(&[0, 1_000, 1_100])));
    assert_eq!(ticks(&mut merge), []);
    merge.finish(A);
    let seconds: Vec<i64> = ticks(&mut merge).iter().map(|(second, _)| *second).collect();
    assert_eq!(seconds, [0, 1, 2, 3]);
}

#[test]
fn silence_of_more_than_a_day_is_skipped() {
    let mut merge = Merge::new(CORRECT_WITHIN);
    merge.add(A, settings(0), 0);
    let later = 200_000_000;
    merge.push(batch(A, &records(&[0, 10, 20, later, later + 1, later + 2])));
    merge.finish(A);
    let ticks = ticks(&mut merge);
    assert_eq!(ticks.len(), 1 + 24 * 3_600 + 1);
    assert_eq!(ticks[24 * 3_600], (24 * 3_600, vec![]));
    assert_eq!(ticks[24 * 3_600 + 1].0, 200_000);
}

#[test]
fn the_slower_partition_holds_the_clock() {
    let mut merge = Merge::new(CORRECT_WITHIN);
    merge.add(A, settings(0), 0);
    merge.add(B, settings(0), 0);
    merge.push(batch(B, &records(&[0, 500, 3_000])));
    assert_eq!((ticks(&mut merge), merge.waiting_for()), (vec![], vec![A]));
    merge.push(batch(A, &records(&[500, 700, 1_000])));
    assert_eq!(ticks(&mut merge), [(0, vec![(1, 0), (0, 0), (1, 1), (0, 1)])]);
    assert_eq!(merge.waiting_for(), [A]);
}

#[test]
fn an_idle_partition_comes_back_at_the_first_open_tick() {
    let mut merge = Merge::new(CORRECT_WITHIN);
    merge.add(A, settings(0), 0);
    merge.add(B, settings(0), 0);
    merge.push(batch(A, &records(&[0, 1, 2, 5_000])));
    assert_eq!(ticks(&mut merge), []);
    assert_eq!(merge.idle(B), Some(Mark::Idle { partition: B, next_offset: 0 }));
    assert_eq!(merge.idle(B), None);
    assert_eq!(ticks(&mut merge).last(), Some(&(4, vec![])));
    merge.push(batch(B, &records(&[1_000])));
    let floor = Second(DAY_S + 5);
    assert_eq!(merge.take_marks(), [Mark::Rejoined { partition: B, next_offset: 0, floor }]);
    merge.finish(A);
    merge.finish(B);
    assert_eq!(ticks(&mut merge), [(5, vec![(1, 0), (0, 3)])]);
}

#[test]
fn when_all_are_idle_the_clock_advances_by_itself() {
    let mut merge = Merge::new(CORRECT_WITHIN);
    merge.add(A, settings(2_000), 0);
    merge.push(batch(A, &records(&[0, 1, 2])));
    assert_eq!(merge.advance(Second(DAY_S + 3)), None);
    assert!(merge.idle(A).is_some());
    let until = Second(DAY_S + 3);
    assert_eq!(merge.advance(until), Some(Mark::Advance { until }));
    assert_eq!(merge.advance(until), None);
    let seconds: Vec<i64> = ticks(&mut merge).iter().map(|(second, _)| *second).collect();
    assert_eq!(seconds, [0, 1, 2, 3]);
    assert_eq!(merge.next_open(), Some(Second(DAY_S + 4)));
}
