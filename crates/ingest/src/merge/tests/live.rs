//! Live: partitions fall silent and come back, the clock advances by itself, the program dies and
//! reads again. Every row is applied once, and a program that died and read again goes on like one
//! that did not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use plimsoll_model::{PartitionId, Second};
use proptest::prelude::*;

use super::files::{
    CORRECT_WITHIN_MS, Content, EMPTY_TICKS_MAX_S, Plain, Refused, contents, contents_of, plain_of,
    refused_of,
};
use super::made::{DAY_S, batch, cases};
use crate::merge::partition::Partition;
use crate::merge::{Merge, MergeState, PartitionSettings};

/// What is on the disk.
#[derive(Default)]
struct Durable {
    checkpoint: MergeState,
    /// Every tick that was decided, and the rejects with them.
    ticks: Vec<Plain>,
    refused: Vec<Refused>,
}

struct Program<'a> {
    contents: &'a [Content],
    settings: BTreeMap<PartitionId, PartitionSettings>,
    merge: Merge,
    read: BTreeMap<PartitionId, usize>,
    /// Files whose end was seen. They are not read further in this life.
    finished: BTreeSet<PartitionId>,
    durable: Durable,
    /// Since the last commit.
    ticks: Vec<Plain>,
    refused: Vec<Refused>,
}

impl<'a> Program<'a> {
    fn start(contents: &'a [Content]) -> Self {
        let mut merge = Merge::new(Duration::from_millis(CORRECT_WITHIN_MS as u64));
        merge.empty_ticks_max_s = EMPTY_TICKS_MAX_S;
        for content in contents {
            merge.add(content.id, content.settings, 0);
        }
        let durable = Durable { checkpoint: merge.save(), ..Durable::default() };
        Program {
            contents,
            settings: contents.iter().map(|c| (c.id, c.settings)).collect(),
            merge,
            read: contents.iter().map(|c| (c.id, 0)).collect(),
            finished: BTreeSet::new(),
            durable,
            ticks: vec![],
            refused: vec![],
        }
    }

    /// Reads up to `count` records of what is there.
    fn read(&mut self, content: &Content, count: usize) {
        let at = self.read[&content.id];
        let until = (at + count).min(content.records.len());
        if at < until && !self.finished.contains(&content.id) {
            self.merge.push(batch(content.id, &content.records[at..until]));
            self.read.insert(content.id, until);
        }
    }

    fn tick(&mut self, count: usize) {
        let ticks = std::iter::from_fn(|| self.merge.next_tick()).take(count);
        self.ticks.extend(ticks.map(|tick| plain_of(&tick)));
        self.refused.extend(refused_of(&mut self.merge));
    }

    /// Like the engine, which commits nothing before the first tick.
    fn commit(&mut self) {
        self.durable.ticks.append(&mut self.ticks);
        if !self.durable.ticks.is_empty() {
            self.durable.refused.append(&mut self.refused);
            self.durable.checkpoint = self.merge.save();
        }
    }

    fn crash(&mut self) {
        let saved = serde_json::to_string(&self.durable.checkpoint).unwrap();
        self.merge = Merge::restore(
            serde_json::from_str(&saved).unwrap(),
            Duration::from_millis(CORRECT_WITHIN_MS as u64),
            &self.settings,
        );
        self.merge.empty_ticks_max_s = EMPTY_TICKS_MAX_S;
        (self.ticks, self.refused) = (vec![], vec![]);
        self.finished.clear();
        for content in self.contents {
            let resume = self.merge.resume_offset(content.id).unwrap();
            let at = content.records.partition_point(|record| record.offset < resume);
            self.read.insert(content.id, at);
        }
    }

    fn finish(&mut self, content: &Content) {
        self.merge.finish(content.id);
        self.finished.insert(content.id);
    }

    /// Everything is read to its end.
    fn end(&mut self) {
        for content in self.contents {
            self.read(content, usize::MAX / 2);
            self.finish(content);
        }
        self.tick(usize::MAX);
        assert!(self.merge.is_done(), "stopped at {:?}", self.merge.next_open());
        self.refused.sort();
    }

    /// Another one that died at the last commit and read again what this one has read; `None` if
    /// this one has not read everything again itself.
    fn died(&self) -> Option<Program<'a>> {
        let mut other = Program::start(self.contents);
        other.durable.checkpoint = self.merge.save();
        other.crash();
        for content in self.contents {
            let read = self.read[&content.id];
            other.read(content, read.saturating_sub(other.read[&content.id]));
        }
        let is_complete = |partition: &Partition| !partition.is_read_again();
        self.merge.partitions.values().all(is_complete).then_some(other)
    }

    /// One thing that happens.
    fn happen(&mut self, what: u8, which: usize, count: usize) {
        let content = &self.contents[which % self.contents.len()];
        match what {
            0..=5 => self.read(content, count),
            6..=8 => self.tick(count),
            9 => drop(self.merge.idle(content.id)),
            10 => drop(self.merge.set_aside(content.id)),
            11 => {
                let open = self.merge.next_open().unwrap_or(Second(DAY_S + 200));
                self.merge.advance(Second(open.0 + count as i64));
            }
            12 => self.commit(),
            13 => self.finish(content),
            _ => self.crash(),
        }
    }
}

/// These things happen, then everything is read to its end: every row is applied once, and it makes
/// no difference whether the program dies once more before that.
#[track_caller]
fn check_lived(contents: &[Content], happenings: &[(u8, usize, usize)]) {
    let mut program = Program::start(contents);
    for &(what, which, count) in happenings {
        program.happen(what, which, count);
    }
    program.commit();
    if !program.finished.is_empty() {
        // Files that have grown are read further in the next life.
        program.crash();
    }
    let died = program.died();
    program.end();
    if let Some(mut died) = died {
        died.end();
        assert_eq!((&died.ticks, &died.refused), (&program.ticks, &program.refused));
    }
    program.commit();
    // Each row once: applied, or refused with its record.
    let Durable { ticks, refused, .. } = &program.durable;
    assert!(ticks.is_sorted_by(|one, next| one.0 < next.0), "each tick once, in order");
    let mut seen: Vec<(PartitionId, i64, u32)> =
        ticks.iter().flat_map(|(_, rows)| rows.iter().map(|row| (row.1, row.2, row.3))).collect();
    let rows_of = |id: PartitionId, offset: i64| {
        let content = contents.iter().find(|content| content.id == id).unwrap();
        content.records.iter().find(|record| record.offset == offset).unwrap().rows as u32
    };
    for (id, offset, _) in refused.iter().chain(&program.refused) {
        seen.extend((0..rows_of(*id, *offset)).map(|row| (*id, *offset, row)));
    }
    seen.sort();
    let mut expected: Vec<(PartitionId, i64, u32)> = Vec::new();
    for content in contents {
        for record in &content.records {
            expected.extend((0..record.rows as u32).map(|row| (content.id, record.offset, row)));
        }
    }
    expected.sort();
    assert_eq!(seen, expected);
}

#[test]
fn the_clock_does_not_start_before_everything_is_read_again() {
    let p: &[(i64, usize)] = &[
        (200000, 1),
        (200000, 0),
        (200000, 0),
        (200000, 0),
        (200000, 0),
        (201290, 0),
        (202430, 0),
        (202910, 0),
    ];
    check_lived(
        &contents_of(&[(10_000, p)]),
        &[
            (0, 0, 1),
            (0, 0, 1),
            (0, 0, 4),
            (0, 0, 1),
            (9, 0, 1),
            (11, 0, 1),
            (6, 0, 2),
            (12, 0, 1),
            (14, 0, 1),
            (0, 0, 1),
            (0, 0, 1),
            (0, 0, 1),
            (0, 0, 1),
            (6, 0, 1),
        ],
    );
}

#[test]
fn a_clock_that_silence_started_is_done_after_a_restart() {
    let p: &[(i64, usize)] = &[(173999, 0), (204000, 0)];
    check_lived(
        &contents_of(&[(0, p)]),
        &[(0, 0, 2), (9, 0, 1), (11, 0, 1), (6, 0, 1), (12, 0, 1), (14, 0, 1)],
    );
}

#[test]
fn a_rejoin_at_the_first_tick_is_not_left_waiting() {
    let p: &[(i64, usize)] = &[(200000, 1), (200000, 0)];
    let q: &[(i64, usize)] = &[(220000, 0), (220000, 1), (221000, 0)];
    check_lived(
        &contents_of(&[(0, p), (0, q)]),
        &[
            (8, 1, 2),
            (14, 1, 3),
            (4, 0, 2),
            (14, 2, 3),
            (4, 1, 4),
            (12, 0, 2),
            (14, 1, 3),
            (10, 1, 5),
            (2, 2, 1),
            (11, 1, 3),
            (1, 1, 2),
            (2, 1, 2),
            (3, 1, 5),
            (6, 2, 4),
            (1, 2, 2),
            (12, 2, 3),
            (7, 1, 3),
            (10, 2, 1),
            (4, 2, 5),
            (7, 1, 4),
            (14, 0, 1),
            (2, 0, 1),
            (9, 0, 2),
            (6, 0, 4),
            (6, 1, 5),
            (8, 0, 5),
            (7, 2, 4),
            (1, 1, 4),
            (8, 1, 4),
            (3, 0, 5),
            (9, 2, 5),
            (10, 1, 5),
            (12, 0, 2),
            (8, 1, 4),
            (4, 2, 1),
            (5, 2, 5),
            (3, 1, 3),
            (12, 1, 3),
            (0, 0, 5),
            (11, 0, 3),
            (14, 1, 1),
            (5, 1, 2),
            (2, 0, 2),
            (4, 1, 1),
            (4, 0, 4),
            (9, 2, 1),
            (0, 0, 1),
            (14, 0, 1),
            (2, 0, 1),
            (10, 1, 4),
            (4, 2, 5),
            (6, 2, 2),
            (12, 0, 2),
            (5, 0, 4),
            (12, 2, 5),
            (5, 1, 4),
            (6, 1, 5),
            (0, 0, 1),
            (14, 2, 5),
            (4, 2, 5),
            (4, 2, 4),
            (7, 1, 1),
            (11, 0, 2),
            (0, 0, 1),
            (12, 0, 5),
            (8, 2, 5),
            (2, 1, 1),
        ],
    );
}

#[test]
fn what_the_clock_confirmed_is_not_contradicted_by_the_end() {
    let happenings = [(0, 0, 2), (9, 0, 1), (11, 0, 1), (6, 0, 1), (12, 0, 1), (14, 0, 1)];
    check_lived(&contents_of(&[(2_000, &[(231_421, 1), (200_000, 0)])]), &happenings);
}

#[test]
fn what_was_applied_stays_applied_when_it_is_set_aside_before_it_is_read_again() {
    let p: &[(i64, usize)] =
        &[(200_000, 1), (201_000, 1), (202_000, 1), (203_000, 1), (204_000, 1), (205_000, 1)];
    let q: &[(i64, usize)] =
        &[(200_000, 1), (201_000, 1), (203_000, 1), (210_000, 1), (220_000, 1)];
    // Both are read and ticks close; after a restart the first is unreadable, and comes back later.
    check_lived(
        &contents_of(&[(0, p), (0, q)]),
        &[
            (0, 0, 6),
            (0, 1, 3),
            (6, 0, 9),
            (12, 0, 1),
            (14, 0, 1),
            (10, 0, 1),
            (0, 1, 9),
            (6, 0, 9),
            (12, 0, 1),
            (0, 0, 3),
            (6, 0, 9),
            (12, 0, 1),
            (14, 0, 1),
        ],
    );
}

#[test]
fn what_a_shorter_file_gave_up_is_refused_when_it_is_there_again() {
    // The last record is held; the file ends before it in the next life, and has it in the third.
    let p: &[(i64, usize)] = &[(201_233, 0), (202_000, 1), (233_001, 1)];
    let (begin, restart) =
        ([(9, 0, 1), (11, 0, 1), (0, 0, 3), (6, 0, 1)], [(12, 0, 1), (14, 0, 1)]);
    let end = [(13, 0, 1), (6, 0, 2)];
    check_lived(&contents_of(&[(0, p)]), &[&begin[..], &restart, &end].concat());
}

#[test]
fn what_the_clock_confirmed_keeps_its_tick_after_a_restart() {
    // The clock starts at 192 s, with the second record of the silent partition. Its first one waits
    // for 228 s, and so does the last, which comes when 228 s is the watermark.
    let p: &[(i64, usize)] = &[(235_000, 1), (235_000, 0), (236_000, 0)];
    let q: &[(i64, usize)] = &[(228_000, 1), (192_999, 1), (200_000, 1)];
    check_lived(
        &contents_of(&[(0, p), (0, q)]),
        &[(0, 1, 2), (9, 1, 1), (0, 0, 3), (6, 0, 4), (0, 1, 1), (6, 0, 5), (12, 0, 1), (14, 0, 1)],
    );
}

#[test]
fn a_partition_that_is_set_aside_twice_loses_nothing_that_waits() {
    let p: &[(i64, usize)] =
        &[(200_000, 1), (201_000, 1), (202_000, 1), (230_000, 1), (260_000, 1)];
    let q: &[(i64, usize)] =
        &[(200_000, 1), (201_000, 1), (202_000, 1), (225_000, 1), (226_000, 1)];
    let (restart, unreadable) = ([(12, 0, 1), (14, 0, 1)], [(10, 1, 1), (0, 0, 5), (6, 0, 5)]);
    // The last two of the second partition wait for their tick; before they are read again it leaves
    // twice, and comes back for one record in between.
    let begin = [(0, 0, 4), (0, 1, 5), (6, 0, 3)];
    let happenings = [
        &begin[..],
        &restart,
        &unreadable,
        &restart,
        &[(0, 1, 4)],
        &unreadable,
        &restart,
        &unreadable,
    ];
    check_lived(&contents_of(&[(0, p), (0, q)]), &happenings.concat());
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn every_row_is_applied_once(
        contents in contents(16),
        happenings in prop::collection::vec((0..15u8, 0..3usize, 1..6usize), 1..80),
    ) {
        check_lived(&contents, &happenings);
    }
}
