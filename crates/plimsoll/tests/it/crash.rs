//! Nothing lost, nothing twice: the engine with its real store dies before and after every step
//! that touches the world, goes on, and ends as if nothing had happened.
//!
//! The steps (writes and syncs of the store, renames, sends, answers) are counted by a run that
//! is not disturbed.

mod outside;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use plimsoll::engine::{Definition, Engine, SharedStore, locked};
use plimsoll::outbox;
use plimsoll::plan::{CLICKHOUSE, Planner, Route};
use plimsoll_model::{
    Batch, Delivery, DeliveryState, Outcome, PartitionId, Payload, Reject, Severity, Time,
    Transition,
};
use plimsoll_store::simulation::{Death, Fate, Side, SimulatedDisk, World};
use plimsoll_store::{Options, Ordered, Store};

use outside::Outside;

use crate::scenario::{Line, Plan, START, generate};
use crate::topics::{Partition, partitions, settings};

const PAGER: &str = "oncall";

/// A receiver that is down from the first page until after the last: its deliveries queue up.
const LATE_PAGER: &str = "backup";
const LATE_PAGER_FROM_S: i64 = 360;

/// Seconds of event time that arrive in one round.
const ROUND_S: i64 = 40;

/// This partition of the server's log falls silent and delivers later what is older than the
/// clock.
const SILENT: PartitionId = PartitionId::new(0, 2);
const SILENT_FROM_S: i64 = 110;
const SILENT_UNTIL_S: i64 = 180;

/// Rounds before this one are a backlog: their pages are withheld until it is judged.
const BACKLOG_UNTIL_S: i64 = 140;

/// When the first partition has a line that cannot be read.
const BROKEN_LINES_S: [i64; 3] = [30, 150, 290];

/// What is said to whom, and what became of it; without the moments, which deaths move.
fn told(ordered: &Ordered) -> String {
    let Ordered { tick, delivery, state } = ordered;
    let what = match &delivery.payload {
        Payload::Page { action, transition, .. } => format!("{action:?} {}", transition.sequence),
        Payload::Rows { .. } => "rows".to_owned(),
    };
    format!("{} {tick} {} {} {what} {state}", delivery.sequence, delivery.sink, delivery.key)
}

/// Everything that a run leaves behind.
#[derive(Debug, PartialEq)]
struct Left {
    alerts: BTreeMap<String, (bool, u32, u32)>,
    rows: BTreeSet<(String, u32)>,
    /// Deliveries and rejects as the tables show them.
    told: Vec<String>,
    rejects: Vec<Reject>,
    transitions: Vec<Transition>,
    undelivered: usize,
    evidence_rows: usize,
    violations: Vec<String>,
}

/// A round of parsed records, by partition, with the offset after its last.
struct Estate {
    partitions: Vec<Partition>,
    rounds: i64,
    /// Parsed records by partition, first and next offset: parsing is most of a run's time.
    parsed: RefCell<BTreeMap<(usize, usize, usize), Batch>>,
}

impl Estate {
    fn new(seed: u64) -> Estate {
        let plan =
            Plan { seed, start: START, leak_from: 60, leak_every: 1.0, leak_until: 200, end: 400 };
        let mut partitions = partitions(&generate(plan));
        let records = &mut partitions[0].records;
        for at_s in BROKEN_LINES_S {
            let place = records.partition_point(|line| line.at_ms < at_s * 1000);
            records.insert(place, Line { at_ms: at_s * 1000, text: "{\"cut".to_owned() });
        }
        Estate { partitions, rounds: plan.end / ROUND_S + 1, parsed: RefCell::default() }
    }

    /// How many records have arrived by the end of `round`.
    fn end(&self, at: usize, round: i64) -> usize {
        let partition = &self.partitions[at];
        let mut until_s = (round + 1) * ROUND_S;
        if partition.id == SILENT && (SILENT_FROM_S..SILENT_UNTIL_S).contains(&until_s) {
            until_s = SILENT_FROM_S;
        }
        partition.records.partition_point(|line| line.at_ms < until_s * 1000)
    }

    /// Whether nothing new arrived in `round`.
    fn is_silent(&self, at: usize, round: i64) -> bool {
        self.end(at, round) == self.end(at, round - 1)
    }

    /// The records from `offset` on that have arrived by the end of `round`.
    fn arrived(&self, at: usize, offset: i64, round: i64) -> Option<Batch> {
        let partition = &self.partitions[at];
        let to = self.end(at, round);
        (to as i64 > offset).then(|| {
            let from = offset as usize;
            let mut parsed = self.parsed.borrow_mut();
            parsed.entry((at, from, to)).or_insert_with(|| partition.batch(from, to)).clone()
        })
    }
}

/// One machine that dies at `deaths`, and what is outside of it.
struct Machine {
    world: World,
    disk: SimulatedDisk,
    outside: Rc<RefCell<Outside>>,
    round: i64,
}

impl Machine {
    fn new(deaths: &[Death]) -> Machine {
        let world = World::new(deaths.iter().copied());
        let disk = SimulatedDisk::new(world.clone());
        let machine = Machine { world, disk, outside: Rc::default(), round: 0 };
        #[cfg(feature = "planted-faults")]
        planted::send_early(&machine);
        machine
    }

    /// Runs until nothing is left to do, through every death; says how many steps the first life
    /// took.
    fn run(&mut self, estate: &Estate, fate: Fate) -> (Left, usize) {
        let mut first_life = None;
        for _ in 0..20 {
            let ended = self.live(estate);
            first_life.get_or_insert(self.world.trace().len());
            match ended {
                Ok(left) => return (left, first_life.unwrap()),
                Err(error) => assert!(self.world.is_dead(), "died of something else: {error:#}"),
            }
            self.disk.restart(fate);
            self.world.revive();
        }
        panic!("the machine did not come to an end in 20 lives");
    }

    fn live(&mut self, estate: &Estate) -> anyhow::Result<Left> {
        let options = Options { ballast_bytes: 0, ..Options::new("payments") };
        let mut store = Store::open_on(Arc::new(self.disk.clone()), options)?;
        store.remember_changes(1)?;
        let store: SharedStore = Arc::new(Mutex::new(store));
        let route = |to: &str| Route { severity: Severity::Ticket, receiver: to.to_owned() };
        let routes = vec![route(PAGER), route(LATE_PAGER)];
        let planner = Planner::new(routes, true);
        let definition = Definition {
            settings: settings(),
            partitions: estate.partitions.iter().map(|it| (it.id, it.settings())).collect(),
            retention: std::time::Duration::from_secs(86_400),
            build: "test".to_owned(),
            config_hash: "test".to_owned(),
        };
        let mut engine = Engine::open(definition, Arc::clone(&store), planner, self.now())?;
        let mut read: Vec<i64> =
            estate.partitions.iter().map(|it| engine.resume_offset(it.id).unwrap_or(0)).collect();
        loop {
            for (at, partition) in estate.partitions.iter().enumerate() {
                if let Some(batch) = estate.arrived(at, read[at], self.round) {
                    read[at] = batch.next_offset;
                    engine.push(batch);
                    if partition.id == SILENT && estate.is_silent(at, self.round - 1) {
                        // It is back, and its first tick is not closed yet.
                        engine.checkpoint(self.now())?;
                    }
                }
                let may_be_idle = partition.id == SILENT || partition.source == "deploys";
                if may_be_idle && estate.is_silent(at, self.round) {
                    engine.idle(partition.id);
                }
                if self.round >= estate.rounds {
                    engine.finish(partition.id);
                }
            }
            let caught_up = self.round * ROUND_S >= BACKLOG_UNTIL_S;
            engine.step(self.now(), caught_up)?;
            engine.checkpoint(self.now())?;
            self.copy(&store, || {
                self.deliver(&store, PAGER)?;
                self.deliver(&store, LATE_PAGER)
            })?;
            self.deliver(&store, CLICKHOUSE)?;
            if self.round >= estate.rounds {
                break;
            }
            self.round += 1;
        }
        while self.copy(&store, || Ok(()))? {}
        self.left(&store)
    }

    /// The wall clock: far ahead of the records while they are a backlog.
    fn now(&self) -> Time {
        let attempts = self.outside.borrow().attempts as i64;
        Time::from_seconds(START + 1_000 + self.round * ROUND_S + attempts)
    }

    fn deliver(&self, store: &SharedStore, sink: &str) -> anyhow::Result<()> {
        for _ in 0..200 {
            let Some((delivery, attempts)) = outbox::next(&mut locked(store), sink)? else {
                return Ok(());
            };
            if let Payload::Rows { segments, .. } = &delivery.payload
                && outbox::evidence(&locked(store), &delivery)?.len() < segments.len()
            {
                self.outside.borrow_mut().violations.push(format!("{segments:?} is missing"));
            }
            let is_down = sink == LATE_PAGER && self.round * ROUND_S < LATE_PAGER_FROM_S;
            let outcome = if is_down { self.knock()? } else { self.send(&delivery)? };
            outbox::record(&mut locked(store), &delivery, attempts, outcome, self.now(), 0)?;
            if is_down {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Copies what has changed; `meanwhile` the receivers of pages are told. Whether there was
    /// anything to copy.
    fn copy(
        &self,
        store: &SharedStore,
        meanwhile: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        let changes = outbox::changes(&mut locked(store))?;
        meanwhile()?;
        let Some((_, changes)) = changes else { return Ok(false) };
        let mut is_heard = false;
        self.world.act("copy", || is_heard = self.outside.borrow_mut().take_copy(&changes))?;
        self.world.step("copied")?;
        if is_heard {
            outbox::copied(&mut locked(store), &changes)?;
        }
        Ok(true)
    }

    /// Sends to a receiver that is down.
    fn knock(&self) -> anyhow::Result<Outcome> {
        self.world.step("knock")?;
        Ok(Outcome::Later { after: None, error: "connection refused".to_owned() })
    }

    /// Sends, and hears the answer unless it is lost: every third one is.
    fn send(&self, delivery: &Delivery) -> anyhow::Result<Outcome> {
        self.world.act("send", || {
            let mut outside = self.outside.borrow_mut();
            outside.attempts += 1;
            outside.take(&delivery.sink, &delivery.key, &delivery.payload);
        })?;
        self.world.step("answer")?;
        Ok(if self.outside.borrow().attempts.is_multiple_of(3) {
            Outcome::Later { after: None, error: "the answer was lost".to_owned() }
        } else {
            Outcome::Accepted { answer: "202".to_owned() }
        })
    }

    fn left(&self, store: &SharedStore) -> anyhow::Result<Left> {
        let snapshot = locked(store).snapshot()?;
        let deliveries = snapshot.deliveries()?;
        let is_open = |state: &DeliveryState| !matches!(state, DeliveryState::Accepted { .. });
        let mut evidence_rows = 0;
        for (name, _) in snapshot.segments()? {
            evidence_rows += snapshot.segment(&name)?.map_or(0, |rows| rows.num_rows());
        }
        let outside = self.outside.borrow();
        let (shown, rejects) = (outside.deliveries(), outside.rejects());
        let mut violations = outside.violations.clone();
        if shown != deliveries || rejects != snapshot.rejects()? {
            violations.push("the tables show other deliveries or rejects than the store".into());
        }
        Ok(Left {
            alerts: outside.alerts.clone(),
            rows: outside.rows.clone(),
            told: shown.iter().map(told).collect(),
            rejects,
            transitions: snapshot.transitions()?.into_iter().map(|it| it.transition).collect(),
            undelivered: deliveries.iter().filter(|ordered| is_open(&ordered.state)).count(),
            evidence_rows,
            violations,
        })
    }
}

const FATES: [Fate; 3] = [Fate::Keep, Fate::Drop, Fate::Tear(0x5EED)];

/// Neighbouring steps seldom differ in what they spoil: every so many-th comes first.
const STRIDE: usize = 16;

/// Dies before and after every step, and at pairs of them. The first difference from the
/// undisturbed run, if there is one.
fn first_difference(estate: &Estate) -> Option<String> {
    let (expected, steps) = Machine::new(&[]).run(estate, Fate::Keep);
    println!("{steps} steps");
    if let Some(problem) = unsound(&expected) {
        return Some(format!("undisturbed: {problem}"));
    }
    let spread = (0..STRIDE).flat_map(|first| (first..steps).step_by(STRIDE));
    for (number, step) in spread.enumerate() {
        for (deaths, fate) in lives(number, step) {
            let (left, _) = Machine::new(&deaths).run(estate, fate);
            if left != expected {
                return Some(format!("{deaths:?} {fate:?}: {}", difference(&left, &expected)));
            }
        }
    }
    None
}

/// The deaths around `step`, the `number`-th of those that are tried.
fn lives(number: usize, step: usize) -> Vec<(Vec<Death>, Fate)> {
    let fate = |more: usize| FATES[(number + more) % FATES.len()];
    let (before, after) = (Death { step, side: Side::Before }, Death { step, side: Side::After });
    let mut lives = vec![(vec![before], fate(0)), (vec![after], fate(1))];
    if number.is_multiple_of(8) {
        // The second death comes while the first is being recovered from.
        let second = Death { step: number % 40, side: Side::After };
        lives.push((vec![after, second], fate(2)));
    }
    lives
}

/// What is wrong with a run whatever it is compared with.
fn unsound(left: &Left) -> Option<String> {
    if !left.violations.is_empty() || left.undelivered > 0 {
        return Some(format!("{:?}, {} undelivered", left.violations, left.undelivered));
    }
    if left.rejects.len() < BROKEN_LINES_S.len() {
        return Some(format!("{:?} are all rejects", left.rejects));
    }
    let once = left.alerts.values().all(|alert| *alert == (false, 1, 1));
    if !once || left.alerts.is_empty() {
        return Some(format!("alerts {:?} were not opened and resolved once", left.alerts));
    }
    None
}

fn difference(left: &Left, expected: &Left) -> String {
    let names = |it: &Left| -> Vec<String> {
        let name = |it: &Transition| format!("{} {} {}", it.incident, it.sequence, it.as_of);
        it.transitions.iter().map(name).collect()
    };
    format!(
        "alerts {:?} not {:?}; {} rows not {}; told {:?} not {:?}; rejects {:?} not {:?}; \
         transitions {:?} not {:?}; {} undelivered; {} evidence rows not {}; {:?}",
        left.alerts,
        expected.alerts,
        left.rows.len(),
        expected.rows.len(),
        left.told,
        expected.told,
        left.rejects,
        expected.rejects,
        names(left),
        names(expected),
        left.undelivered,
        left.evidence_rows,
        expected.evidence_rows,
        left.violations,
    )
}

#[test]
fn dies_at_every_step_and_pages_once() {
    assert_eq!(first_difference(&Estate::new(11)), None);
}

#[cfg(feature = "planted-faults")]
mod planted {
    use plimsoll::fault::{Fault, plant, set_early_sender};

    use super::*;

    /// Lets a planted fault send orders from inside the engine.
    pub(super) fn send_early(machine: &Machine) {
        let (world, outside) = (machine.world.clone(), Rc::clone(&machine.outside));
        set_early_sender(Some(Box::new(move |order| {
            if order.sink == LATE_PAGER {
                // It is down when its pages are ordered.
                return;
            }
            // Who is dead sends nothing; the engine dies of its own next step.
            let _ = world.act("send", || {
                let mut outside = outside.borrow_mut();
                outside.attempts += 1;
                outside.take(&order.sink, &order.key, &order.payload);
            });
        })));
    }

    /// The planted fault turns the crash test red.
    #[track_caller]
    fn check_noticed(fault: Fault) {
        plant(Some(fault));
        let estate = Estate::new(11);
        // A machine that dies of something else than its planned death panics: that is noticed too.
        let run = std::panic::AssertUnwindSafe(|| first_difference(&estate));
        let seen = std::panic::catch_unwind(run)
            .unwrap_or_else(|_| Some("the machine could not go on".to_owned()));
        plant(None);
        set_early_sender(None);
        let Some(seen) = seen else { panic!("{fault:?} is not noticed") };
        println!("{fault:?} is noticed: {seen}");
    }

    #[test]
    fn send_before_commit() {
        check_noticed(Fault::SendBeforeCommit);
    }

    #[test]
    fn offset_first() {
        check_noticed(Fault::OffsetFirst);
    }

    #[test]
    fn state_first() {
        check_noticed(Fault::StateFirst);
    }

    #[test]
    fn mark_not_journaled() {
        check_noticed(Fault::MarkNotJournaled);
    }

    #[test]
    fn id_from_arrival() {
        check_noticed(Fault::IdFromArrival);
    }

    #[test]
    fn resolve_first() {
        check_noticed(Fault::ResolveFirst);
    }

    #[test]
    fn accepted_before_sent() {
        check_noticed(Fault::AcceptedBeforeSent);
    }

    #[test]
    fn key_per_attempt() {
        check_noticed(Fault::KeyPerAttempt);
    }

    #[test]
    fn pending_rows_forgotten() {
        check_noticed(Fault::PendingRowsForgotten);
    }

    #[test]
    fn withheld_forgotten() {
        check_noticed(Fault::WithheldForgotten);
    }

    #[test]
    fn lost_answer_is_refusal() {
        check_noticed(Fault::LostAnswerIsRefusal);
    }

    #[test]
    fn copied_before_sent() {
        check_noticed(Fault::CopiedBeforeSent);
    }

    #[test]
    fn later_change_forgotten() {
        check_noticed(Fault::LaterChangeForgotten);
    }
}
