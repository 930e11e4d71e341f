//! The one readable loop: merge → observe → decide → commit.
//!
//! The engine is synchronous and deterministic: batches, marks and `now` go in, transactions come
//! out. Threads, timers and sockets stand around it (`run.rs`), or files (`replay.rs`), or a torn
//! disk (the crash test).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use plimsoll_detect::judge::{Judge, Step};
use plimsoll_detect::settings::Settings;
use plimsoll_ingest::merge::{Merge, MergeState, PartitionSettings};
use plimsoll_model::evidence::Evidence;
use plimsoll_model::{
    Batch, IncidentId, Mark, PartitionId, Payload, Reject, RejectReason, Second, Severity,
    SourceId, Time, Transition,
};
use plimsoll_store::{Checkpoint, Commit, NewDelivery, Pruned, RejectsBeyond, Store};

use crate::fault::{Fault, Planted, is_planted};
use crate::metric;
use crate::plan::{Planner, Silent};

/// How long state may stay undurable while nothing happens.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);

/// How many ticks one call of [`Engine::step`] judges at most, so that its caller stays responsive.
/// A call that stops there makes them durable.
pub const TICKS_PER_STEP_MAX: usize = 4_096;

/// How many rows at most may be judged and not durable: a program that dies again and again, each
/// time sooner than [`CHECKPOINT_EVERY`], goes forward all the same.
pub const ROWS_UNDURABLE_MAX: usize = 1 << 19;

/// A tick this far behind the wall clock belongs to a backlog, while unread records follow it.
pub const BACKLOG_AFTER: Duration = Duration::from_secs(120);

/// How long a commit that found no space waits for its first repetition. Each further one waits
/// twice as long, up to [`FULL_RETRY_MAX`].
pub const FULL_RETRY: Duration = Duration::from_millis(250);

/// See [`FULL_RETRY`].
pub const FULL_RETRY_MAX: Duration = Duration::from_secs(5);

/// How many ticks apart what is over and old is removed from the store.
pub const PRUNE_EVERY: i64 = 3_600;

/// The store, shared by the engine and the sinks' loops. Each holds it for one transaction.
pub type SharedStore = Arc<Mutex<Store>>;

/// Locks the store. A thread that panicked inside a transaction has left it rolled back, so the
/// lock's poison means nothing here; the store has its own.
pub fn locked(store: &SharedStore) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The program ends, and the last decisions could not be stored.
#[derive(Debug, thiserror::Error)]
#[error(
    "what was decided last is not durable and will be decided again from the same records: {error}"
)]
pub struct NotDurable {
    /// What the store said.
    pub error: String,
}

/// What a pipeline is, as far as its engine needs to know.
#[derive(Clone, Debug)]
pub struct Definition {
    /// For the ledgers, detectors and incidents.
    pub settings: Settings,
    /// How each partition is merged.
    pub partitions: BTreeMap<PartitionId, PartitionSettings>,
    /// How long the store keeps what is over.
    pub retention: Duration,
    /// Which build judges: a change is recorded with the checkpoint.
    pub build: String,
    /// The hash of the effective configuration.
    pub config_hash: String,
}

/// One pipeline's judge with its merge and its store.
pub struct Engine {
    merge: Merge,
    judge: Judge,
    store: SharedStore,
    planner: Planner,
    definition: Definition,
    marks: Vec<Mark>,
    rejects: Vec<Reject>,
    rejects_beyond: Vec<RejectsBeyond>,
    /// What was decided and is not durable, because the disk is full. Nothing more is judged until
    /// it is.
    unsaved: Option<Unsaved>,
    committed_at: Time,
    /// How many rows were judged since the last commit.
    rows_undurable: usize,
    last_tick: Option<Second>,
    /// The newest judged tick when the store was last rid of what is old.
    pruned_at: Option<Second>,
    dirty: bool,
    totals: Totals,
    planted: Planted,
}

/// A commit that failed.
#[derive(Debug)]
struct Unsaved {
    commit: Commit,
    attempts: u32,
    retry_at: Time,
    error: String,
}

impl Unsaved {
    /// Whether its next repetition is still to come. A clock that was set back does not delay it.
    fn waits(&self, now: Time) -> bool {
        let wait_us = self.retry_at.micros_since(now);
        wait_us > 0 && wait_us <= FULL_RETRY_MAX.as_micros() as i64
    }
}

/// What the engine has counted since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// What was read, by source.
    pub sources: BTreeMap<SourceId, SourceTotals>,
    /// Late and future records beyond those whose source is known.
    pub late_beyond: u64,
    /// Ticks judged.
    pub ticks: u64,
    /// Transactions committed.
    pub commits: u64,
    /// Attempts to commit that failed.
    pub commit_failures: u64,
    /// Transitions committed: opened, updated, resolved.
    pub transitions: [u64; 3],
    /// Segments of evidence that went before their time, because they took too much space.
    pub segments_shed: u64,
}

/// What was read of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceTotals {
    /// Records of every kind.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records that mean nothing here.
    pub irrelevant: u64,
    /// Rejects by reason, in the order of [`RejectReason::ALL`].
    pub rejects: [u64; RejectReason::ALL.len()],
}

impl SourceTotals {
    /// Records that became rows.
    pub fn used(&self) -> u64 {
        self.records.saturating_sub(self.irrelevant + self.rejects.iter().sum::<u64>())
    }

    fn reject(&mut self, kept: &[Reject], beyond: [u64; RejectReason::ALL.len()]) {
        for reject in kept {
            self.rejects[reject.reason as usize] += 1;
        }
        for (total, beyond) in self.rejects.iter_mut().zip(beyond) {
            *total += beyond;
        }
    }
}

/// What one call of [`Engine::step`] did.
#[derive(Debug, Default)]
pub struct Stepped {
    /// The transitions that are durable now.
    pub transitions: Vec<(Transition, Time)>,
    /// Whether deliveries were ordered.
    pub ordered: bool,
    /// Whether more ticks are ready.
    pub more: bool,
    /// What a backlog kept silent, once it is over.
    pub silent: Silent,
}

impl Engine {
    /// The engine as the store left it: recovered from its last checkpoint, or new.
    ///
    /// Partitions read on from [`Engine::resume_offset`].
    pub fn open(
        definition: Definition,
        store: SharedStore,
        mut planner: Planner,
        now: Time,
    ) -> anyhow::Result<Engine> {
        let recovered = locked(&store).recover()?;
        let (mut merge, judge) = match recovered.checkpoint {
            Some(checkpoint) => {
                let state = MergeState::from_bytes(&checkpoint.merge)?;
                let correct_within = definition.settings.correct_within;
                let merge = Merge::restore(state, correct_within, &definition.partitions);
                (merge, Judge::restore(definition.settings.clone(), &checkpoint.judge)?)
            }
            None => {
                let merge = Merge::new(definition.settings.correct_within);
                (merge, Judge::new(definition.settings.clone()))
            }
        };
        for (&partition, &settings) in &definition.partitions {
            if merge.resume_offset(partition).is_none() {
                merge.add(partition, settings, 0);
            }
        }
        if !is_planted(Fault::WithheldForgotten) {
            withhold_untold(&judge, &store, &mut planner, now)?;
        }
        Ok(Engine {
            last_tick: recovered.decided_through,
            merge,
            judge,
            store,
            planner,
            definition,
            marks: Vec::new(),
            rejects: Vec::new(),
            rejects_beyond: Vec::new(),
            unsaved: None,
            committed_at: now,
            rows_undurable: 0,
            pruned_at: None,
            dirty: false,
            totals: Totals::default(),
            planted: Default::default(),
        })
    }

    /// Takes in parsed records. Batches of one partition come in the order of their offsets.
    pub fn push(&mut self, batch: Batch) {
        let totals = self.totals.sources.entry(batch.partition.source).or_default();
        totals.records += batch.records;
        totals.bytes += batch.bytes;
        totals.irrelevant += batch.irrelevant;
        totals.reject(&batch.rejects, batch.rejects_beyond);
        self.take_rejects(&batch);
        self.dirty = true;
        self.planted.pushed(&batch);
        self.merge.push(batch);
    }

    /// Keeps the batch's rejects for the next commit.
    fn take_rejects(&mut self, batch: &Batch) {
        self.rejects.extend(batch.rejects.iter().cloned());
        if batch.rejects_beyond.iter().any(|&count| count > 0) {
            self.rejects_beyond.push(RejectsBeyond {
                partition: batch.partition,
                first_offset: batch.first_offset,
                next_offset: batch.next_offset,
                counts: batch.rejects_beyond,
            });
        }
    }

    /// The same for records that the merge refused because of their time.
    fn take_late_rejects(&mut self) {
        let rejects = self.merge.take_rejects();
        for reject in &rejects.kept {
            let source = reject.partition.source;
            let totals = self.totals.sources.entry(source).or_default();
            totals.reject(std::slice::from_ref(reject), Default::default());
        }
        self.totals.late_beyond += rejects.beyond.iter().sum::<u64>();
        self.rejects.extend(rejects.kept);
    }

    /// Judges the ticks that are closed, and commits what they decide.
    ///
    /// `caught_up` says that every partition stands at its end. On a full disk nothing is judged:
    /// what is decided and not durable is kept and committed again, at growing intervals.
    pub fn step(&mut self, now: Time, caught_up: bool) -> anyhow::Result<Stepped> {
        let mut stepped = Stepped::default();
        if self.unsaved.as_ref().is_some_and(|unsaved| unsaved.waits(now)) {
            return Ok(stepped);
        }
        self.save_unsaved(now, &mut stepped)?;
        if self.unsaved.is_some() {
            return Ok(stepped);
        }
        for judged in 0.. {
            stepped.more =
                judged == TICKS_PER_STEP_MAX || self.rows_undurable >= ROWS_UNDURABLE_MAX;
            if stepped.more {
                break;
            }
            let Some(tick) = self.merge.next_tick() else { break };
            let step = self.judge.step(&tick);
            self.totals.ticks += 1;
            self.rows_undurable += tick.rows.len();
            self.last_tick = Some(tick.second);
            self.dirty = true;
            if !step.transitions.is_empty() {
                let behind = now.micros_since(tick.second.end());
                let backlog = !caught_up && behind > BACKLOG_AFTER.as_micros() as i64;
                self.commit_step(step, now, backlog, &mut stepped)?;
                if self.unsaved.is_some() {
                    return Ok(stepped);
                }
            }
        }
        self.take_late_rejects();
        if caught_up && !stepped.more && self.planner.has_withheld() {
            let (orders, silent) = self.planner.release();
            stepped.silent = silent;
            self.commit(Vec::new(), orders, Evidence::default(), now, &mut stepped)?;
        }
        let is_due = now.micros_since(self.committed_at) >= CHECKPOINT_EVERY.as_micros() as i64;
        if self.dirty && self.unsaved.is_none() && (is_due || stepped.more) {
            self.commit(Vec::new(), Vec::new(), Evidence::default(), now, &mut stepped)?;
        }
        self.prune()?;
        Ok(stepped)
    }

    /// Once in a while, and never before what was decided is durable: removes what is over and old.
    fn prune(&mut self) -> anyhow::Result<()> {
        let Some(tick) = self.last_tick.filter(|_| self.unsaved.is_none()) else { return Ok(()) };
        if self.pruned_at.is_some_and(|last| tick.0 < last.0 + PRUNE_EVERY) {
            return Ok(());
        }
        self.pruned_at = Some(tick);
        let before = Second(tick.0 - self.definition.retention.as_secs() as i64);
        match locked(&self.store).prune(before) {
            Ok(Pruned { shed, .. }) => self.totals.segments_shed += shed as u64,
            // The next commit finds the same, and says so.
            Err(plimsoll_store::Error::Full { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn commit_step(
        &mut self,
        step: Step,
        now: Time,
        backlog: bool,
        stepped: &mut Stepped,
    ) -> anyhow::Result<()> {
        let mut transitions: Vec<_> = step.transitions.into_iter().map(|it| (it, now)).collect();
        self.planted.rename(&mut transitions);
        let orders = self.planner.plan(&transitions, backlog, !step.evidence.is_empty());
        self.commit(transitions, orders, step.evidence, now, stepped)
    }

    /// Makes everything judged so far durable, or fails.
    pub fn checkpoint(&mut self, now: Time) -> anyhow::Result<()> {
        let mut stepped = Stepped::default();
        self.save_unsaved(now, &mut stepped)?;
        if self.unsaved.is_none() {
            self.commit(Vec::new(), Vec::new(), Evidence::default(), now, &mut stepped)?;
        }
        match &self.unsaved {
            None => Ok(()),
            Some(unsaved) => Err(NotDurable { error: unsaved.error.clone() }.into()),
        }
    }

    /// Why what was decided is not durable yet, if it is not.
    pub fn unsaved(&self) -> Option<&str> {
        self.unsaved.as_ref().map(|unsaved| unsaved.error.as_str())
    }

    fn commit(
        &mut self,
        transitions: Vec<(Transition, Time)>,
        deliveries: Vec<NewDelivery>,
        evidence: Evidence,
        now: Time,
        stepped: &mut Stepped,
    ) -> anyhow::Result<()> {
        let Some(tick) = self.last_tick else { return Ok(()) };
        self.marks.extend(self.merge.take_marks());
        let mut merge = self.merge.save();
        self.planted.spoil(&mut merge);
        let checkpoint = Checkpoint {
            tick,
            build: self.definition.build.clone(),
            config_hash: self.definition.config_hash.clone(),
            judge: self.judge.save(),
            merge: merge.to_bytes(),
        };
        self.planted.commit_early(&self.store, &checkpoint, &deliveries)?;
        let commit = Commit {
            tick,
            transitions,
            deliveries,
            marks: std::mem::take(&mut self.marks),
            checkpoint: Some(checkpoint),
            evidence,
            rejects: std::mem::take(&mut self.rejects),
            rejects_beyond: std::mem::take(&mut self.rejects_beyond),
            ..Commit::default()
        };
        self.dirty = false;
        self.rows_undurable = 0;
        self.unsaved = Some(Unsaved { commit, attempts: 0, retry_at: now, error: String::new() });
        self.save_unsaved(now, stepped)
    }

    /// Commits what is not durable. On a full disk it stays as it is, for the next time; any other
    /// failure ends the engine.
    fn save_unsaved(&mut self, now: Time, stepped: &mut Stepped) -> anyhow::Result<()> {
        let Some(unsaved) = &mut self.unsaved else { return Ok(()) };
        let started = std::time::Instant::now();
        let committed = save(&mut locked(&self.store), &unsaved.commit);
        metrics::histogram!(metric::COMMIT_SECONDS.name).record(started.elapsed());
        if let Err(error) = committed {
            self.totals.commit_failures += 1;
            let wait = FULL_RETRY.saturating_mul(1 << unsaved.attempts.min(8)).min(FULL_RETRY_MAX);
            unsaved.attempts += 1;
            unsaved.retry_at = now.plus(wait);
            unsaved.error = error.to_string();
            let is_full = matches!(error, plimsoll_store::Error::Full { .. });
            return if is_full { Ok(()) } else { Err(error.into()) };
        }
        self.totals.commits += 1;
        self.committed_at = now;
        let commit = self.unsaved.take().expect("it was there above").commit;
        stepped.ordered |= !commit.deliveries.is_empty();
        for (transition, _) in &commit.transitions {
            self.totals.transitions[transition.change as usize] += 1;
        }
        stepped.transitions.extend(commit.transitions);
        Ok(())
    }

    /// The offset from which `partition` must be read on; `None` if nothing of it was ever read.
    pub fn resume_offset(&self, partition: PartitionId) -> Option<i64> {
        self.merge.resume_offset(partition).filter(|_| self.merge.was_read(partition))
    }

    /// The merge, for those who decide about idleness and back-pressure.
    pub fn merge(&self) -> &Merge {
        &self.merge
    }

    /// `partition` is silent at its end: it no longer holds the clock.
    pub fn idle(&mut self, partition: PartitionId) {
        self.marks.extend(self.merge.idle(partition));
    }

    /// `partition` makes no progress: it no longer holds the clock.
    pub fn set_aside(&mut self, partition: PartitionId) {
        self.marks.extend(self.merge.set_aside(partition));
    }

    /// `partition` came into being while the program runs. It is read from its beginning, and like
    /// one that was idle it holds the clock from its first record on.
    pub fn join(&mut self, partition: PartitionId, settings: PartitionSettings) {
        self.merge.add(partition, settings, 0);
        self.definition.partitions.insert(partition, settings);
        self.idle(partition);
    }

    /// Everything is silent: ticks through `until` close.
    pub fn advance(&mut self, until: Second) {
        self.marks.extend(self.merge.advance(until));
    }

    /// `partition` has ended for good (a file).
    pub fn finish(&mut self, partition: PartitionId) {
        self.merge.finish(partition);
    }

    /// The newest judged tick.
    pub fn last_tick(&self) -> Option<Second> {
        self.last_tick
    }

    /// What was counted since the start.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The judge, for gauges.
    pub fn judge(&self) -> &Judge {
        &self.judge
    }

    /// How many incidents are open, by severity peak: notify, ticket, page.
    pub fn open_by_severity(&self) -> [u64; 3] {
        let mut counts = [0; 3];
        for transition in self.judge.open_incidents() {
            counts[match transition.severity_peak {
                Severity::Notify => 0,
                Severity::Ticket => 1,
                Severity::Page => 2,
            }] += 1;
        }
        counts
    }
}

/// The commit; on a full disk once more, with the space that was set aside for that.
fn save(store: &mut Store, commit: &Commit) -> Result<(), plimsoll_store::Error> {
    match store.commit(commit) {
        Err(plimsoll_store::Error::Full { source }) => {
            if !store.release_ballast()? {
                return Err(plimsoll_store::Error::Full { source });
            }
            tracing::error!(
                "the disk of the data directory is full; the space set aside for this is in use: free some"
            );
            store.commit(commit)
        }
        result => result,
    }
}

/// Open incidents that a route wants and that no receiver was told of: a crash came while they
/// were withheld.
fn withhold_untold(
    judge: &Judge,
    store: &SharedStore,
    planner: &mut Planner,
    now: Time,
) -> anyhow::Result<()> {
    let ordered = locked(store).snapshot()?.deliveries()?;
    let told: BTreeSet<IncidentId> = ordered
        .into_iter()
        .filter_map(|ordered| match ordered.delivery.payload {
            Payload::Page { transition, .. } => Some(transition.incident),
            Payload::Rows { .. } => None,
        })
        .collect();
    for transition in judge.open_incidents() {
        if planner.is_routed(transition) && !told.contains(&transition.incident) {
            planner.withhold(transition.clone(), now);
        }
    }
    Ok(())
}
