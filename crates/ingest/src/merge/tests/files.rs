//! Files against a plain slow implementation: find every record's tick, sort, group.

use std::collections::BTreeMap;

use plimsoll_model::{PartitionId, RejectReason, Tick};
use proptest::prelude::*;

use super::made::{DAY_S, Record, batch, cases, records_with_rows, settings};
use crate::merge::{Merge, PartitionSettings};

/// One partition's content.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub id: PartitionId,
    pub settings: PartitionSettings,
    pub records: Vec<Record>,
}

/// A tick with its rows as (time in ms, partition, offset, row of the record).
pub(super) type Plain = (i64, Vec<(i64, PartitionId, i64, u32)>);
pub(super) type Refused = (PartitionId, i64, RejectReason);

pub(super) const CORRECT_WITHIN_MS: i64 = 60_000;
/// Short, so that silence is skipped often.
pub(super) const EMPTY_TICKS_MAX_S: i64 = 90;
const SECOND_MS: i64 = 1_000;

fn ms(duration: std::time::Duration) -> i64 {
    duration.as_millis() as i64
}

/// What the slow implementation knows of one partition.
struct Judged {
    /// Record and the earliest tick by watermark, in seconds.
    believed: Vec<(Record, i64)>,
    held: Vec<Record>,
    /// Contradicted records, and the tick that the contradiction belongs to.
    future: Vec<(Record, i64)>,
    longest_ms: i64,
    last_ms: i64,
    since: usize,
}

impl Judged {
    fn max(&self) -> Option<i64> {
        self.believed.iter().map(|(record, _)| record.at_ms).max()
    }

    fn believe(&mut self, reorder_ms: i64, ahead_ms: i64, record: Record) {
        let max = self.max();
        let earliest = max.map_or(i64::MIN, |max| (max - reorder_ms).div_euclid(SECOND_MS));
        self.believed.push((record, earliest));
        self.since += 1;
        if max.is_some_and(|max| record.at_ms - max > ahead_ms) {
            self.last_ms = record.at_ms - max.unwrap();
            self.longest_ms = self.longest_ms.max(self.last_ms);
            self.since = 0;
        }
    }

    /// Believes the earliest held record for as long as `until` allows it.
    fn believe_while(
        &mut self,
        reorder_ms: i64,
        ahead_ms: i64,
        until: impl Fn(&Judged) -> Option<i64>,
    ) {
        loop {
            let limit = until(self);
            let first = self.held.iter().copied().min_by_key(|held| (held.at_ms, held.offset));
            let Some(first) = first.filter(|first| limit.is_some_and(|at| first.at_ms <= at))
            else {
                return;
            };
            self.held.retain(|held| held.offset != first.offset);
            self.believe(reorder_ms, ahead_ms, first);
        }
    }

    fn contradict(&mut self, reorder_ms: i64, record: Record) {
        let tick = (self.max().unwrap() - reorder_ms).div_euclid(SECOND_MS);
        self.future.push((record, tick));
    }

    fn reach(&self, ahead_ms: i64) -> Option<i64> {
        let jump_ms = if self.since <= 8 { 2 * self.last_ms } else { 0 };
        self.max().map(|max| max + ahead_ms.max(jump_ms))
    }

    fn begin(&mut self, reorder_ms: i64, ahead_ms: i64) {
        let mut times: Vec<i64> = self.held.iter().map(|held| held.at_ms).collect();
        times.sort();
        let limit = times[(times.len() - 1) / 2] + ahead_ms;
        self.believe_while(reorder_ms, ahead_ms, |_| Some(limit));
        // A record is contradicted by one that came after it and was near the median.
        let last = self.believed.iter().map(|(record, _)| record.offset).max().unwrap();
        self.believe_while(reorder_ms, ahead_ms, |judged| judged.reach(ahead_ms));
        let (future, held): (Vec<_>, _) = self.held.iter().partition(|held| held.offset < last);
        self.held = held;
        future.into_iter().for_each(|record| self.contradict(reorder_ms, record));
    }
}

fn judge(content: &Content) -> Judged {
    let (reorder_ms, ahead_ms) = (ms(content.settings.reorder), ms(content.settings.max_ahead));
    let mut judged = Judged {
        believed: vec![],
        held: vec![],
        future: vec![],
        longest_ms: 0,
        last_ms: 0,
        since: 0,
    };
    for record in &content.records {
        match judged.reach(ahead_ms) {
            None => {
                judged.held.push(*record);
                if judged.held.len() == 3 {
                    judged.begin(reorder_ms, ahead_ms);
                }
            }
            Some(reach) if record.at_ms <= reach => {
                judged.believe(reorder_ms, ahead_ms, *record);
                judged.believe_while(reorder_ms, ahead_ms, |judged| judged.reach(ahead_ms));
                let contradicted = std::mem::take(&mut judged.held);
                contradicted.into_iter().for_each(|record| judged.contradict(reorder_ms, record));
            }
            Some(_) => {
                while judged.held.first().is_some_and(|held| record.at_ms < held.at_ms - ahead_ms) {
                    let contradicted = judged.held.remove(0);
                    judged.contradict(reorder_ms, contradicted);
                }
                judged.held.push(*record);
                if judged.held.len() == 3 {
                    judged.believe_while(reorder_ms, ahead_ms, |_| Some(i64::MAX));
                }
            }
        }
    }
    if judged.believed.is_empty() && !judged.held.is_empty() {
        judged.begin(reorder_ms, ahead_ms);
    }
    judged.believe_while(reorder_ms, ahead_ms, |judged| {
        judged.max().map(|max| max + 2 * judged.longest_ms)
    });
    judged
}

/// The ticks and rejects of whole files.
fn plain(contents: &[Content]) -> (Vec<Plain>, Vec<Refused>) {
    let mut judged: Vec<Judged> = contents.iter().map(judge).collect();
    let any_leads = contents.iter().any(|c| !c.settings.context && !c.records.is_empty());
    let leads = |content: &Content| !(any_leads && content.settings.context);
    let reorder_ms =
        contents.iter().filter(|c| leads(c)).map(|c| ms(c.settings.reorder)).max().unwrap();
    let end_of = |judged: &[Judged]| {
        let pairs = contents.iter().zip(judged).filter(|(content, _)| leads(content));
        pairs.filter_map(|(_, judged)| judged.max()).max().map(|at| (at + reorder_ms) / SECOND_MS)
    };
    // The clock that goes on may come near a held record, which then moves its end.
    loop {
        let end = end_of(&judged);
        for (content, judged) in contents.iter().zip(&mut judged) {
            let ahead_ms = ms(content.settings.max_ahead);
            let limit = end.map(|end| (end + 1) * SECOND_MS + ahead_ms);
            judged.believe_while(ms(content.settings.reorder), ahead_ms, |_| limit);
        }
        if end == end_of(&judged) {
            break;
        }
    }
    let end = end_of(&judged);
    let mut refused = vec![];
    // (tick, time, partition, offset, row, leads)
    let mut rows = vec![];
    // (tick, leads) of rejects that belong to a tick.
    let mut refused_ticks = vec![];
    for (content, judged) in contents.iter().zip(&judged) {
        let mut place = |record: &Record, tick: i64| {
            if tick * SECOND_MS - record.at_ms > CORRECT_WITHIN_MS {
                if record.rows > 0 {
                    refused.push((content.id, record.offset, RejectReason::Late));
                    refused_ticks.push((tick, !content.settings.context));
                }
            } else {
                for row in 0..record.rows as u32 {
                    let leads = !content.settings.context;
                    rows.push((tick, record.at_ms, content.id, record.offset, row, leads));
                }
            }
        };
        if content.settings.context {
            // Believed or not, a context record is applied at its own time or the watermark that
            // the records before it had made.
            for (place_in_file, record) in content.records.iter().enumerate() {
                let before = Content {
                    records: content.records[..place_in_file].to_vec(),
                    ..content.clone()
                };
                let reorder_ms = ms(content.settings.reorder);
                let earliest = unfinished_max(&before)
                    .map_or(i64::MIN, |max| (max - reorder_ms).div_euclid(SECOND_MS));
                place(record, (record.at_ms / SECOND_MS).max(earliest));
            }
            continue;
        }
        for (record, earliest) in &judged.believed {
            place(record, (record.at_ms / SECOND_MS).max(*earliest));
        }
        let contradicted = judged.future.iter().filter(|(record, _)| record.rows > 0);
        refused_ticks.extend(contradicted.map(|(_, tick)| (*tick, true)));
        let future = judged.future.iter().map(|(record, _)| record).chain(&judged.held);
        for record in future.filter(|record| record.rows > 0) {
            refused.push((content.id, record.offset, RejectReason::Future));
        }
    }
    let ticks_of = rows.iter().map(|row| (row.0, row.5)).chain(refused_ticks);
    let (leading, context): (Vec<_>, Vec<_>) = ticks_of.partition(|(_, leads)| *leads);
    let start = leading.iter().min().or(context.iter().min()).map(|(tick, _)| *tick);
    let mut ticks: BTreeMap<i64, Vec<_>> = BTreeMap::new();
    if let (Some(start), Some(end)) = (start, end.filter(|end| start.is_some_and(|at| at <= *end)))
    {
        ticks.entry(start).or_default();
        for (tick, at_ms, id, offset, row, _) in rows {
            if tick > end {
                refused.push((id, offset, RejectReason::Future));
            } else {
                ticks.entry(tick.max(start)).or_default().push((at_ms, id, offset, row));
            }
        }
        let with_rows: Vec<i64> = ticks.keys().copied().collect();
        for last in with_rows {
            for tick in last..=end.min(last + EMPTY_TICKS_MAX_S) {
                ticks.entry(tick).or_default();
            }
        }
    } else {
        refused.extend(rows.iter().map(|row| (row.2, row.3, RejectReason::Future)));
    }
    let mut ticks: Vec<Plain> = ticks.into_iter().collect();
    ticks.iter_mut().for_each(|(_, rows)| rows.sort());
    refused.sort();
    refused.dedup();
    (ticks, refused)
}

/// The largest believed time while more may follow.
fn unfinished_max(content: &Content) -> Option<i64> {
    let mut open = content.clone();
    // Records without an end: judge what is there, without the rules for the end of a file.
    let (reorder_ms, ahead_ms) = (ms(open.settings.reorder), ms(open.settings.max_ahead));
    if open.records.len() < 3 {
        return None;
    }
    let rest = open.records.split_off(3);
    let mut judged = Judged {
        believed: vec![],
        held: open.records,
        future: vec![],
        longest_ms: 0,
        last_ms: 0,
        since: 0,
    };
    judged.begin(reorder_ms, ahead_ms);
    for record in rest {
        let reach = judged.reach(ahead_ms).unwrap();
        if record.at_ms <= reach {
            judged.believe(reorder_ms, ahead_ms, record);
            judged.believe_while(reorder_ms, ahead_ms, |judged| judged.reach(ahead_ms));
            judged.held.clear();
        } else {
            while judged.held.first().is_some_and(|held| record.at_ms < held.at_ms - ahead_ms) {
                judged.held.remove(0);
            }
            judged.held.push(record);
            if judged.held.len() == 3 {
                judged.believe_while(reorder_ms, ahead_ms, |_| Some(i64::MAX));
            }
        }
    }
    judged.max()
}

/// Steps in milliseconds: mostly small, sometimes a pause, sometimes a wild or a late time that
/// the next record does not follow.
#[derive(Clone, Copy, Debug)]
enum Step {
    On(i64),
    Wild(i64),
    Late(i64),
}

fn settings_of(reorder_ms: u64, context: bool) -> PartitionSettings {
    let max_ahead = std::time::Duration::from_secs(30);
    PartitionSettings { max_ahead, context, ..settings(reorder_ms) }
}

pub(super) fn content(id: PartitionId, records_max: usize) -> impl Strategy<Value = Content> {
    let step = prop_oneof![
        12 => (0..3_000i64).prop_map(Step::On),
        2 => (20_000..130_000i64).prop_map(Step::On),
        1 => prop_oneof![28_000..200_000i64, Just(40_000_000_000)].prop_map(Step::Wild),
        1 => (0..100_000i64).prop_map(Step::Late),
    ];
    let record = (step, 0..1_000i64, 0..3usize);
    let settings = (prop_oneof![Just(0u64), Just(2_000), Just(10_000)], prop::bool::weighted(0.2));
    (settings, 0..20_000i64, prop::collection::vec(record, 0..records_max)).prop_map(
        move |((reorder_ms, context), start_ms, steps)| {
            let mut at_ms = 200_000 + start_ms;
            let mut records = vec![];
            for (offset, (step, shuffle, rows)) in (0..).zip(steps) {
                let at_ms = match step {
                    Step::On(ms) => {
                        at_ms += ms;
                        at_ms - shuffle * reorder_ms as i64 / 1_000
                    }
                    Step::Wild(ms) => at_ms + ms,
                    Step::Late(ms) => at_ms - ms,
                };
                // Offsets have gaps.
                records.push(Record { offset: 2 * offset, at_ms, rows });
            }
            Content { id, settings: settings_of(reorder_ms, context), records }
        },
    )
}

pub(super) fn contents(records_max: usize) -> impl Strategy<Value = Vec<Content>> {
    let ids =
        [(0, 0), (0, 1), (1, 0)].map(|(source, partition)| PartitionId::new(source, partition));
    (1..=3usize).prop_flat_map(move |count| {
        ids[..count].iter().map(|id| content(*id, records_max)).collect::<Vec<_>>()
    })
}

pub(super) fn plain_of(tick: &Tick) -> Plain {
    let mut rows = vec![];
    for row in &tick.rows {
        let sessions = &tick.batch(row).sessions;
        assert_eq!(sessions.offset(row.index as usize), row.offset);
        let at_ms = row.time.as_micros() / 1_000 - DAY_S * 1_000;
        let same = |known: &&(i64, PartitionId, i64, u32)| {
            (known.1, known.2) == (row.partition, row.offset)
        };
        let place = rows.iter().rev().take_while(same).count() as u32;
        rows.push((at_ms, row.partition, row.offset, place));
    }
    (tick.second.0 - DAY_S, rows)
}

pub(super) fn refused_of(merge: &mut Merge) -> Vec<Refused> {
    let kept = merge.take_rejects().kept;
    kept.iter().map(|reject| (reject.partition, reject.offset, reject.reason)).collect()
}

/// Reads `contents` as `choices` say: which partition, how many records, whether to save and
/// restore.
fn merged(contents: &[Content], choices: &[(usize, usize, u8)]) -> (Vec<Plain>, Vec<Refused>) {
    let correct_within = std::time::Duration::from_millis(CORRECT_WITHIN_MS as u64);
    let settings: BTreeMap<_, _> = contents.iter().map(|c| (c.id, c.settings)).collect();
    let mut merge = Merge::new(correct_within);
    merge.pending_rows_max = 3;
    merge.empty_ticks_max_s = EMPTY_TICKS_MAX_S;
    for content in contents {
        merge.add(content.id, content.settings, 0);
    }
    let mut read: BTreeMap<PartitionId, usize> = contents.iter().map(|c| (c.id, 0)).collect();
    let (mut ticks, mut refused) = (vec![], vec![]);
    let mut choices = choices.iter().cycle();
    for round in 0.. {
        if merge.is_done() {
            break;
        }
        assert!(round < 5_000, "the merge never ends");
        let (which, count, what) = *choices.next().unwrap();
        let open: Vec<&Content> = contents
            .iter()
            .filter(|c| read[&c.id] <= c.records.len() && merge.has_room(c.id))
            .collect();
        if let Some(content) = open.get(which % open.len().max(1)) {
            let at = read[&content.id];
            let until = (at + count).min(content.records.len());
            if at < content.records.len() {
                merge.push(batch(content.id, &content.records[at..until]));
                read.insert(content.id, until);
            } else {
                merge.finish(content.id);
                read.insert(content.id, at + 1);
            }
        }
        let got: Vec<Plain> = if open.is_empty() || what % 3 != 0 {
            std::iter::from_fn(|| merge.next_tick()).map(|tick| plain_of(&tick)).collect()
        } else {
            merge.next_tick().iter().map(plain_of).collect()
        };
        // Who gets no tick may read on, or is done.
        if got.is_empty() {
            let can_go_on = |c: &Content| read[&c.id] <= c.records.len() && merge.has_room(c.id);
            assert!(merge.is_done() || contents.iter().any(can_go_on), "the merge is stuck");
        }
        ticks.extend(got);
        refused.extend(refused_of(&mut merge));
        if what == 1 && round < 40 && !merge.is_done() {
            let saved = serde_json::to_string(&merge.save()).unwrap();
            let state = serde_json::from_str(&saved).unwrap();
            merge = Merge::restore(state, correct_within, &settings);
            merge.pending_rows_max = 3;
            merge.empty_ticks_max_s = EMPTY_TICKS_MAX_S;
            for content in contents {
                let resume = merge.resume_offset(content.id).unwrap();
                let at = content.records.partition_point(|record| record.offset < resume);
                read.insert(content.id, at);
            }
        }
    }
    refused.sort();
    (ticks, refused)
}

/// These partitions of one source, read as `choices` say, against the plain implementation.
#[track_caller]
fn check_read(partitions: &[(u64, &[(i64, usize)])], choices: &[(usize, usize, u8)]) {
    check_contents(&contents_of(partitions), choices);
}

#[track_caller]
fn check_contents(contents: &[Content], choices: &[(usize, usize, u8)]) {
    let (expected_ticks, expected_refused) = plain(contents);
    let (ticks, refused) = merged(contents, choices);
    assert_eq!(refused, expected_refused);
    assert_eq!(ticks, expected_ticks);
}

/// One partition in short: `reorder` in ms, and its records as (ms, rows).
type Short<'a> = (u64, &'a [(i64, usize)]);

/// Partitions of one source.
pub(super) fn contents_of(partitions: &[Short<'_>]) -> Vec<Content> {
    let content = |(partition, &(reorder_ms, records)): (u16, &Short<'_>)| Content {
        id: PartitionId::new(0, partition.into()),
        settings: settings_of(reorder_ms, false),
        records: records_with_rows(records),
    };
    (0..).zip(partitions).map(content).collect()
}

#[test]
fn the_end_of_a_file_that_is_seen_again_confirms_nothing_more() {
    let p0: &[(i64, usize)] = &[
        (229844, 2),
        (231915, 1),
        (233632, 0),
        (234605, 1),
        (236415, 1),
        (237791, 0),
        (239023, 1),
        (242000, 1),
    ];
    let p1: &[(i64, usize)] = &[
        (217874, 2),
        (218138, 2),
        (221273, 2),
        (222493, 0),
        (223741, 2),
        (227223, 2),
        (373717, 0),
        (228078, 0),
        (40000229156, 2),
        (229803, 2),
        (426194, 2),
        (292237, 2),
        (231526, 0),
        (231541, 2),
        (233603, 1),
        (233471, 2),
        (271467, 0),
        (320731, 0),
    ];
    let choices = [
        (0, 2, 8),
        (1, 1, 6),
        (1, 1, 8),
        (0, 1, 4),
        (1, 2, 2),
        (1, 1, 4),
        (1, 2, 6),
        (0, 4, 11),
        (1, 5, 1),
        (2, 5, 5),
        (0, 2, 10),
        (2, 2, 9),
        (2, 3, 8),
        (0, 4, 1),
        (1, 2, 11),
        (1, 2, 10),
        (0, 4, 4),
        (2, 2, 7),
        (0, 5, 2),
        (2, 1, 5),
        (1, 5, 1),
        (0, 1, 6),
        (2, 2, 9),
    ];
    check_read(&[(0, p0), (2000, p1)], &choices);
}

#[test]
fn skipped_ticks_make_room_too() {
    let p0: &[(i64, usize)] = &[
        (211283, 0),
        (212851, 0),
        (214360, 0),
        (214360, 0),
        (242391, 2),
        (208481, 0),
        (211496, 1),
        (217449, 0),
        (215076, 1),
        (40000220836, 1),
        (220094, 1),
        (215723, 0),
        (347700, 0),
        (348390, 2),
        (346877, 0),
        (448063, 0),
        (443275, 2),
        (355391, 1),
        (443088, 0),
        (446554, 2),
        (446625, 1),
        (452898, 2),
    ];
    let p1: &[(i64, usize)] = &[(148226, 2), (203271, 0), (203729, 2), (204871, 0)];
    let choices = [
        (0, 4, 9),
        (1, 5, 7),
        (1, 4, 0),
        (0, 1, 2),
        (0, 1, 6),
        (2, 4, 7),
        (1, 2, 8),
        (1, 3, 5),
        (0, 4, 10),
        (2, 4, 9),
    ];
    check_read(&[(10000, p0), (0, p1)], &choices);
}

#[test]
fn the_end_confirms_a_held_record_although_no_row_came_before() {
    check_read(&[(2_000, &[(172_252, 0), (202_637, 1)])], &[(0, 4, 11)]);
}

#[test]
fn context_does_not_start_the_clock_before_what_the_end_confirms() {
    let context: [&[(i64, usize)]; 2] =
        [&[(200_000, 1)], &[(200_000, 0), (200_000, 1), (201_000, 0)]];
    for records in context {
        let mut contents = contents_of(&[(0, records), (2_000, &[(201_000, 0), (232_649, 1)])]);
        contents[0].settings.context = true;
        check_contents(&contents, &[(0, 4, 11)]);
        check_contents(&contents, &[(1, 4, 11)]);
    }
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn files_become_the_same_ticks_however_they_are_read(
        contents in contents(24),
        choices in prop::collection::vec((0..3usize, 1..6usize, 0..12u8), 1..40),
    ) {
        let (expected_ticks, expected_refused) = plain(&contents);
        let (ticks, refused) = merged(&contents, &choices);
        prop_assert_eq!(refused, expected_refused);
        prop_assert_eq!(ticks, expected_ticks);
    }
}
