//! The store dies before and after every step, once and again while it recovers, and ends with
//! the same tables as the undisturbed run.

use std::collections::BTreeSet;
use std::sync::Arc;

use plimsoll_model::{
    Change, Delivery, DeliveryState, Mark, PartitionId, Reject, RejectReason, Second,
};
use plimsoll_store::simulation::{Death, Fate, Fault, Side, SimulatedDisk, World};
use plimsoll_store::{
    Commit, Decided, Disk, Error, Options, Ordered, Recovered, RejectsBeyond, SegmentEntry, Store,
};

use crate::script::{checkpoint, decided_at, evidence, options, page, rows, transition};

/// Every tenth second one commit.
const TICKS: [i64; 8] = [10, 20, 30, 40, 50, 60, 70, 80];

/// What a judge decides at `tick`: two incidents, one of which ends.
fn commit_of(tick: i64) -> Commit {
    let transitions = match tick {
        10 => vec![transition(1, 1, Change::Opened, 10)],
        30 => vec![transition(1, 2, Change::Updated, 30), transition(2, 1, Change::Opened, 30)],
        50 => vec![transition(2, 2, Change::Resolved, 50)],
        70 => vec![transition(1, 3, Change::Updated, 70)],
        80 => vec![transition(1, 4, Change::Resolved, 80)],
        _ => Vec::new(),
    };
    let partition = PartitionId::new(0, 1);
    let mut commit = Commit {
        tick: Second(tick),
        deliveries: transitions.iter().map(page).collect(),
        marks: match tick {
            20 | 40 | 60 | 70 => vec![Mark::Advance { until: Second(tick - 1) }],
            _ => Vec::new(),
        },
        checkpoint: [20, 50, 60].contains(&tick).then(|| checkpoint(tick)),
        rejects: vec![Reject {
            partition,
            offset: tick,
            reason: RejectReason::Malformed,
            detail: "not JSON".into(),
            excerpt: "{".into(),
        }],
        rejects_beyond: vec![RejectsBeyond {
            partition,
            first_offset: tick,
            next_offset: tick + 10,
            counts: [1; RejectReason::ALL.len()],
        }],
        ..Commit::default()
    };
    if !transitions.is_empty() {
        commit.deliveries.push(rows(tick, &transitions));
        commit.evidence = evidence(1, &[tick, tick + 10]);
    }
    commit.transitions = transitions.into_iter().map(|t| (t, decided_at(tick))).collect();
    commit
}

/// What the processes of all lives have seen; it survives every crash.
#[derive(Debug, Default)]
struct Witness {
    decided_through: Option<Second>,
    recorded: BTreeSet<u64>,
    received: Vec<Delivery>,
    /// Whether a life has begun to remove what is over.
    prunes: bool,
}

/// What is over before this tick is removed at the end.
const PRUNED_BEFORE: Second = Second(55);

/// How many deliveries that removes.
fn pruned_deliveries() -> u64 {
    let pruned = TICKS.into_iter().filter(|tick| *tick < PRUNED_BEFORE.0);
    pruned.map(|tick| commit_of(tick).deliveries.len() as u64).sum()
}

/// All tables and files.
#[derive(Debug, PartialEq)]
struct Tables {
    recovered: Recovered,
    transitions: Vec<Decided>,
    deliveries: Vec<Ordered>,
    rejects: Vec<Reject>,
    reject_counts: Vec<(PartitionId, RejectReason, u64)>,
    segments: Vec<(String, SegmentEntry)>,
    files: Vec<String>,
}

/// Why a life ended early.
enum End {
    /// The power went.
    Dead,
    /// The store broke a promise.
    Broken(String),
}

impl From<Error> for End {
    fn from(error: Error) -> End {
        End::Broken(error.to_string())
    }
}

macro_rules! hold {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            return Err(End::Broken(format!($($message)*)));
        }
    };
}

/// One life: open, recover, judge again from the checkpoint, go on to the end, send.
fn live(
    disk: &SimulatedDisk,
    world: &World,
    fault: Option<Fault>,
    seen: &mut Witness,
) -> Result<Tables, End> {
    let mut store = Store::open_on(Arc::new(disk.clone()), Options { fault, ..options() })?;
    let recovered = store.recover()?;
    let decided = recovered.decided_through;
    hold!(decided >= seen.decided_through, "{decided:?} after {:?}", seen.decided_through);
    check_promises(&store, &recovered, seen)?;
    check_files(&store, disk)?;
    let from = recovered.checkpoint.as_ref().map_or(i64::MIN, |checkpoint| checkpoint.tick.0);
    for (number, tick) in TICKS.into_iter().filter(|tick| *tick > from).enumerate() {
        let mut commit = commit_of(tick);
        if Some(Second(tick)) <= decided {
            // Marks of these ticks come from the journal; the wall clock shows another time.
            commit.marks.clear();
            commit.transitions.iter_mut().for_each(|(_, at)| *at = decided_at(tick + 500));
            // Checkpoints follow the wall clock, so they come at other ticks than before.
            if number == 0 && tick < 60 {
                commit.checkpoint = Some(checkpoint(tick));
            }
        }
        store.commit(&commit)?;
        if Some(Second(tick)) <= decided {
            check_promises(&store, &store.recover()?, seen)?;
        }
        seen.decided_through = seen.decided_through.max(Some(Second(tick)));
        send(&mut store, world, seen)?;
    }
    send(&mut store, world, seen)?;
    seen.prunes = true;
    store.prune(PRUNED_BEFORE)?;
    read_all(&store, disk)
}

/// Everything that an earlier life was told is durable is there, and what judging again must
/// give is what the commits of those ticks gave.
fn check_promises(store: &Store, recovered: &Recovered, seen: &Witness) -> Result<(), End> {
    let decided = recovered.decided_through.unwrap_or(Second(i64::MIN));
    let from = recovered.checkpoint.as_ref().map_or(Second(i64::MIN), |checkpoint| checkpoint.tick);
    let since = TICKS.into_iter().map(Second).filter(|tick| (from.next()..=decided).contains(tick));
    let commits: Vec<Commit> = since.map(|tick| commit_of(tick.0)).collect();
    let marks: Vec<Mark> = commits.iter().flat_map(|commit| commit.marks.clone()).collect();
    hold!(recovered.marks == marks, "journal {:?} must be {marks:?}", recovered.marks);
    let transitions: Vec<_> = commits
        .iter()
        .flat_map(|commit| &commit.transitions)
        .map(|(t, _)| (t.incident, t.sequence, t.as_of))
        .collect();
    let regenerated = &recovered.transitions_since_checkpoint;
    hold!(*regenerated == transitions, "to regenerate {regenerated:?}, not {transitions:?}");
    let deliveries = store.snapshot()?.deliveries()?;
    let kept_from = if seen.prunes { pruned_deliveries() } else { 0 };
    for sent in seen.received.iter().filter(|sent| sent.sequence >= kept_from) {
        let ordered = deliveries.iter().any(|ordered| ordered.delivery == *sent);
        hold!(ordered, "{} was sent without a durable order", sent.sequence);
    }
    for sequence in seen.recorded.iter().filter(|sequence| **sequence >= kept_from) {
        let of_sequence = |ordered: &&Ordered| ordered.delivery.sequence == *sequence;
        let state = deliveries.iter().find(of_sequence).map(|ordered| &ordered.state);
        let accepted = matches!(state, Some(DeliveryState::Accepted { .. }));
        hold!(accepted, "the acceptance of {sequence} was forgotten: {state:?}");
    }
    for (name, _) in store.snapshot()?.segments()? {
        hold!(store.segment(&name)?.is_some(), "segment {name} is gone");
    }
    Ok(())
}

/// Every segment file is registered, and nothing unfinished lies about.
fn check_files(store: &Store, disk: &SimulatedDisk) -> Result<(), End> {
    let segments = store.snapshot()?.segments()?;
    for name in disk.list().map_err(Error::from)? {
        let known = ["format", "plimsoll.redb"].contains(&name.as_str());
        let registered = segments.iter().any(|(segment, _)| *segment == name);
        hold!(known || registered, "file {name} was left behind");
    }
    Ok(())
}

fn send(store: &mut Store, world: &World, seen: &mut Witness) -> Result<(), End> {
    for sink in ["oncall", "clickhouse"] {
        for Ordered { delivery, .. } in store.next_deliveries(sink, 100)? {
            let sequence = delivery.sequence;
            world.act("send", || seen.received.push(delivery)).map_err(|_| End::Dead)?;
            let accepted = DeliveryState::Accepted { at: decided_at(0), answer: "ok".into() };
            store.record(sequence, &accepted)?;
            seen.recorded.insert(sequence);
        }
    }
    Ok(())
}

fn read_all(store: &Store, disk: &SimulatedDisk) -> Result<Tables, End> {
    let snapshot = store.snapshot()?;
    let segments = snapshot.segments()?;
    for (name, entry) in &segments {
        let rows = snapshot.segment(name)?.map(|batch| batch.num_rows() as u64);
        hold!(rows == Some(entry.rows), "segment {name} has {rows:?} rows");
    }
    Ok(Tables {
        recovered: snapshot.recover()?,
        transitions: snapshot.transitions()?,
        deliveries: snapshot.deliveries()?,
        rejects: snapshot.rejects()?,
        reject_counts: snapshot.reject_counts()?,
        segments,
        files: disk.list().map_err(Error::from)?,
    })
}

/// The tables at the end of a story, and how many steps its last life had.
fn run(deaths: &[Death], fate: Fate, fault: Option<Fault>) -> Result<(Tables, usize), String> {
    let world = World::new(deaths.iter().copied());
    let disk = SimulatedDisk::new(world.clone());
    let mut seen = Witness::default();
    for life in 0.. {
        match live(&disk, &world, fault, &mut seen) {
            Ok(tables) if !world.is_dead() => {
                return Ok((tables, world.trace().len()));
            }
            Err(End::Broken(error)) if !world.is_dead() => {
                return Err(format!("life {life} after {deaths:?}, {fate:?}: {error}"));
            }
            _ => {}
        }
        disk.restart(fate);
        world.revive();
    }
    unreachable!("the life after the last death ends")
}

fn compare(
    expected: &Tables,
    deaths: &[Death],
    fate: Fate,
    fault: Option<Fault>,
) -> Result<(), String> {
    let (tables, _) = run(deaths, fate, fault)?;
    if tables == *expected {
        return Ok(());
    }
    Err(format!("after {deaths:?}, {fate:?}: {tables:#?} must be {expected:#?}"))
}

fn fate(number: usize) -> Fate {
    [Fate::Keep, Fate::Drop, Fate::Tear(number as u64)][number % 3]
}

/// Every step with every fate; the other side of the step with one of them, because the disk
/// after a step is the disk before the next.
fn stories(steps: usize) -> Vec<(Death, Fate)> {
    let mut stories = Vec::new();
    for step in 0..steps {
        for turn in 0..3 {
            stories.push((Death { step, side: Side::After }, fate(step + turn)));
        }
        stories.push((Death { step, side: Side::Before }, fate(step)));
    }
    stories
}

#[test]
fn any_single_death_leaves_the_tables_of_the_undisturbed_run() {
    let (expected, steps) = run(&[], Fate::Keep, None).unwrap();
    assert!(steps > 200, "only {steps} steps");
    let stories = stories(steps);
    std::thread::scope(|scope| {
        for half in stories.chunks(stories.len().div_ceil(2)) {
            let expected = &expected;
            scope.spawn(move || {
                for (death, fate) in half {
                    compare(expected, &[*death], *fate, None).unwrap();
                }
            });
        }
    });
}

#[test]
fn a_death_while_recovering_from_a_death_changes_nothing_either() {
    let (expected, steps) = run(&[], Fate::Keep, None).unwrap();
    // 37 and 7 divide nothing of the script's rhythm, so the pairs fall on all kinds of steps.
    for (number, (first, _)) in stories(steps).into_iter().step_by(37).enumerate() {
        for (second, _) in stories(40).into_iter().skip(number % 7).step_by(4 * 7 + 1) {
            compare(&expected, &[first, second], fate(number + second.step), None).unwrap();
        }
    }
}

/// The tests above are worth something only if they fail for a store that is wrong.
#[test]
fn every_planted_fault_is_seen() {
    let (expected, steps) = run(&[], Fate::Keep, None).unwrap();
    let stories = stories(steps);
    for fault in Fault::ALL {
        // The same stories in another order, which meets every part of the script early.
        let order = (0..stories.len()).map(|number| stories[number * 101 % stories.len()]);
        let seen = order.enumerate().find_map(|(number, (death, fate))| {
            Some((number, compare(&expected, &[death], fate, Some(fault)).err()?))
        });
        let (number, error) = seen.unwrap_or_else(|| panic!("{fault:?} was not seen"));
        println!("{fault:?}, story {number}: {}", error.lines().next().unwrap_or_default());
    }
}
