//! The result is a function of what stands in the partitions: not of how reading was cut into
//! batches, how partitions interleaved, or when the program stopped.

use std::collections::BTreeMap;

use plimsoll_detect::Judge;
use plimsoll_ingest::merge::Merge;
use plimsoll_model::{Batch, Change, Row, RowKind, Second, Tick, Time, Transition};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::scenario::{LEAKING, Plan, generate};
use crate::topics::{Partition, partitions, settings, shuffle};

/// The plain way: take every row of every partition, work out where it is applied, sort
/// everything, go through it second by second.
fn slow(partitions: &[Partition]) -> Vec<Transition> {
    let mut batches = Vec::new();
    let mut placed: Vec<(Second, Row)> = Vec::new();
    let mut newest = Time::EARLIEST;
    for partition in partitions {
        let batch = partition.batch(0, partition.records.len());
        let reorder = partition.config.reorder;
        let mut robust_max = Time::EARLIEST;
        let mut watermarks = BTreeMap::new();
        for (offset, time) in &batch.times {
            watermarks.insert(*offset, robust_max.minus(reorder));
            robust_max = robust_max.max(*time);
        }
        newest = newest.max(robust_max.plus(reorder));
        let number = batches.len() as u32;
        for row in rows(&batch, number) {
            let applied = row.time.max(watermarks[&row.offset]).second();
            placed.push((applied, row));
        }
        batches.push(std::sync::Arc::new(batch));
    }
    placed.sort_by_key(|(applied, row)| {
        (*applied, row.time, row.partition, row.offset, row.kind, row.index)
    });
    let mut judge = Judge::new(settings());
    let mut transitions = Vec::new();
    let first = placed.iter().filter(|(_, row)| row.partition.source.0 != 1).map(|it| it.0).min();
    let mut waiting = placed.into_iter().peekable();
    for second in first.unwrap().0..=newest.second().0 {
        let mut tick = Tick { second: Second(second), batches: batches.clone(), rows: Vec::new() };
        while let Some((_, row)) = waiting.next_if(|(applied, _)| applied.0 <= second) {
            tick.rows.push(row);
        }
        transitions.extend(judge.step(&tick).transitions);
    }
    transitions
}

fn rows(batch: &Batch, number: u32) -> Vec<Row> {
    let row = |kind, index: usize, time, offset| Row {
        time,
        partition: batch.partition,
        offset,
        batch: number,
        kind,
        index: index as u32,
    };
    let lives = &batch.lives;
    let samples = &batch.samples;
    let sessions = &batch.sessions;
    (0..lives.len())
        .map(|at| row(RowKind::Life, at, lives.time(at), lives.offset(at)))
        .chain(
            (0..samples.len())
                .map(|at| row(RowKind::Sample, at, samples.time(at), samples.offset(at))),
        )
        .chain(
            (0..sessions.len())
                .map(|at| row(RowKind::Session, at, sessions.time(at), sessions.offset(at))),
        )
        .collect()
}

/// The real merge and judge, fed in a random order, in random pieces, and stopped at random: what
/// was read and not judged is then read again.
fn fed_at_random(partitions: &[Partition], random: &mut StdRng) -> Vec<Transition> {
    let known: BTreeMap<_, _> = partitions.iter().map(|it| (it.id, it.settings())).collect();
    let mut merge = Merge::new(settings().correct_within);
    for (id, settings) in &known {
        merge.add(*id, *settings, 0);
    }
    let mut judge = Judge::new(settings());
    let mut read: Vec<usize> = vec![0; partitions.len()];
    let mut transitions = Vec::new();
    loop {
        let unread: Vec<_> =
            (0..partitions.len()).filter(|&at| read[at] <= partitions[at].records.len()).collect();
        let Some(&at) = unread.get(random.random_range(0..unread.len().max(1))) else { break };
        let partition = &partitions[at];
        let to = (read[at] + random.random_range(1..200)).min(partition.records.len());
        if read[at] == partition.records.len() {
            merge.finish(partition.id);
            read[at] += 1;
        } else {
            merge.push(partition.batch(read[at], to));
            read[at] = to;
        }
        while let Some(tick) = merge.next_tick() {
            transitions.extend(judge.step(&tick).transitions);
            if random.random_ratio(1, 200) {
                let saved = judge.save();
                judge = Judge::restore(settings(), &saved).unwrap();
                let correct_within = settings().correct_within;
                merge = Merge::restore(merge.save(), correct_within, &known);
                for (at, partition) in partitions.iter().enumerate() {
                    read[at] = merge.resume_offset(partition.id).unwrap() as usize;
                }
            }
        }
    }
    transitions
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn order_of_arrival_does_not_matter(seed in any::<u64>()) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut partitions = partitions(&generate(Plan::short(seed)));
        let in_order = slow(&partitions);
        shuffle(&mut partitions, 1_900, &mut random);
        let expected = slow(&partitions);
        prop_assert_eq!(bytes(&in_order), bytes(&expected), "shuffling inside `reorder`");
        let fed = fed_at_random(&partitions, &mut random);
        prop_assert_eq!(bytes(&fed), bytes(&expected), "reading in another order");
    }
}

fn bytes(transitions: &[Transition]) -> Vec<u8> {
    postcard::to_stdvec(transitions).unwrap()
}

#[test]
fn the_scenario_pages_before_the_first_refusal_and_resolves() {
    let scenario = generate(Plan::short(7));
    let transitions = slow(&partitions(&scenario));
    let first = &transitions[0];
    let refusal = crate::scenario::START + scenario.refusals[0] / 1000;
    assert!(first.as_of.0 < refusal, "{first:?} came after the refusal at {refusal}");
    assert_eq!(first.finding.owner.to_string(), format!("service.name {LEAKING}"));
    assert_eq!(transitions.last().unwrap().change, Change::Resolved);
}
