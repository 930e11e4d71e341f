//! Merge: the batches of all partitions become ticks of rows, in event time.
//!
//! The result is a function of what stands in the partitions and of the marks, never of how
//! reading was cut into batches, how partitions interleaved, when the program ran, or how often it
//! died; see `docs/decisions/0001-time.md`. The merge knows no clock: who calls it says when a partition is
//! idle, and writes the [`Mark`]s to the journal.

mod buckets;
mod guard;
mod partition;
mod rejects;
mod segment;
mod state;
#[cfg(test)]
mod tests;
mod verdicts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_model::{Batch, Mark, PartitionId, Second, Tick, Time};

use partition::{Clock, Partition};
pub use rejects::{REJECTS_MAX, Rejects};
pub use state::MergeState;

/// How many rows of one partition may wait for their tick before the merge asks that it be read
/// no further; see [`Merge::has_room`].
pub const PENDING_ROWS_MAX: usize = 131_072;

/// For how long ticks without rows are handed out after the last row. After that, silence is no
/// news: ticks are skipped until the next row.
pub const EMPTY_TICKS_MAX_S: i64 = 24 * 3_600;

/// How late a record may be unless the configuration says otherwise.
pub const CORRECT_WITHIN: Duration = Duration::from_secs(600);

/// What the merge must know about a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionSettings {
    /// How far a record may lie behind an earlier one and still be in time.
    pub reorder: Duration,
    /// How far a record may lie ahead of the others before it must be confirmed.
    pub max_ahead: Duration,
    /// Rare events that explain others. They are applied at their own time without being confirmed,
    /// and do not start the clock.
    pub context: bool,
}

impl Default for PartitionSettings {
    fn default() -> Self {
        let (reorder, max_ahead) = (Duration::from_secs(2), Duration::from_secs(300));
        PartitionSettings { reorder, max_ahead, context: false }
    }
}

/// Merges the batches of all partitions of one pipeline into ticks.
#[derive(Debug)]
pub struct Merge {
    correct_within_us: i64,
    pending_rows_max: usize,
    empty_ticks_max_s: i64,
    partitions: BTreeMap<PartitionId, Partition>,
    /// The first tick that is not closed; `None` before the first.
    open: Option<Second>,
    /// The last tick that had rows.
    last_row: Option<Second>,
    /// Ticks through this one close while nobody holds the clock.
    advanced: Option<Second>,
    /// Where the clock starts if it is advanced before any row came.
    starts_at: Option<Second>,
    marks: Vec<Mark>,
    rejects: Rejects,
}

impl Merge {
    /// A merge without partitions. Records later than `correct_within` are rejected.
    pub fn new(correct_within: Duration) -> Merge {
        Merge {
            correct_within_us: i64::try_from(correct_within.as_micros()).unwrap_or(i64::MAX),
            pending_rows_max: PENDING_ROWS_MAX,
            empty_ticks_max_s: EMPTY_TICKS_MAX_S,
            partitions: BTreeMap::new(),
            open: None,
            last_row: None,
            advanced: None,
            starts_at: None,
            marks: Vec::new(),
            rejects: Rejects::default(),
        }
    }

    /// Adds a partition that will be read from `start_offset`.
    ///
    /// It holds the clock until it is idle or finished, unless ticks have closed already: then it
    /// is like an idle one, and joins with its first record.
    pub fn add(&mut self, id: PartitionId, settings: PartitionSettings, start_offset: i64) {
        let mut partition = Partition::new(id, settings, start_offset);
        partition.away = self.open.is_some();
        self.partitions.entry(id).or_insert(partition);
    }

    /// Takes the next batch of a partition.
    ///
    /// Batches of one partition come in the order of their offsets. If the partition was idle, it
    /// rejoins, and [`Merge::take_marks`] says so. Panics if the partition was never added.
    pub fn push(&mut self, batch: impl Into<Arc<Batch>>) {
        let batch = batch.into();
        let clock = self.clock();
        let partition = self.partitions.get_mut(&batch.partition);
        let partition = partition.expect("a partition is added before it delivers");
        partition.push(clock, batch, &mut self.marks);
    }

    /// Nothing follows in this partition: it no longer holds the clock.
    pub fn finish(&mut self, id: PartitionId) {
        let clock = self.clock();
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.finish(clock);
        }
    }

    /// The next closed tick, with or without rows; `None` while it cannot close.
    pub fn next_tick(&mut self) -> Option<Tick> {
        loop {
            let Some(limit) = self.limit() else {
                self.give_up_if_done(None);
                return None;
            };
            if self.open.is_none() {
                self.open = self.start(limit);
                // A record that was believed only now may have moved the end.
                if self.open.is_some() || self.limit() != Some(limit) {
                    continue;
                }
            }
            let Some(open) = self.open.filter(|open| *open <= limit) else {
                self.give_up_if_done(Some(limit));
                return None;
            };
            let tick = self.close(open);
            if !tick.rows.is_empty() || self.last_row.is_none() {
                self.last_row = Some(open);
            }
            let is_quiet =
                self.last_row.is_none_or(|last| open.since(last) > self.empty_ticks_max_s);
            self.open = Some(if is_quiet { self.skip(open, limit) } else { open.next() });
            if !is_quiet {
                return Some(tick);
            }
        }
    }

    /// The first tick that is not closed; `None` before the first row.
    pub fn next_open(&self) -> Option<Second> {
        self.open
    }

    /// Whether the partition should be read further.
    ///
    /// A partition that the clock waits for always has room, so reading on whenever there is room
    /// always brings the next tick.
    pub fn has_room(&self, id: PartitionId) -> bool {
        self.partitions.get(&id).is_some_and(|partition| {
            partition.waiting_rows() < self.pending_rows_max || self.is_waiting_for(partition)
        })
    }

    /// How many rows wait for their tick to close.
    pub fn pending_rows(&self) -> usize {
        self.partitions.values().map(Partition::waiting_rows).sum()
    }

    /// How far in event time the partition has come; `None` before its first record.
    pub fn watermark(&self, id: PartitionId) -> Option<Time> {
        self.partitions.get(&id)?.watermark()
    }

    /// The partitions that must deliver, or be declared idle, before the next tick can close.
    pub fn waiting_for(&self) -> Vec<PartitionId> {
        let waiting = self.partitions.values().filter(|partition| self.is_waiting_for(partition));
        waiting.map(|partition| partition.id).collect()
    }

    /// The partition stands at its end and has been silent: it no longer holds the clock.
    /// `None` if it does not hold it anyway.
    pub fn idle(&mut self, id: PartitionId) -> Option<Mark> {
        let clock = self.clock();
        let partition = self.partitions.get_mut(&id)?;
        let next_offset = partition.read_to;
        partition.leave(clock).then_some(Mark::Idle { partition: id, next_offset })
    }

    /// The partition has unread records but no progress: it no longer holds the clock.
    /// `None` if it does not hold it anyway.
    pub fn set_aside(&mut self, id: PartitionId) -> Option<Mark> {
        let clock = self.clock();
        let partition = self.partitions.get_mut(&id)?;
        let next_offset = partition.read_to;
        partition.leave(clock).then_some(Mark::SetAside { partition: id, next_offset })
    }

    /// Closes ticks through `until` although nothing was read, so that silence can be seen.
    /// `None` while a partition holds the clock, or if they are closed already.
    pub fn advance(&mut self, until: Second) -> Option<Mark> {
        let is_held = self.partitions.values().any(Partition::holds);
        let is_closed = self.open.is_some_and(|open| until < open)
            || self.advanced.is_some_and(|advanced| until <= advanced);
        if is_held || is_closed {
            return None;
        }
        if self.open.is_none() {
            self.starts_at = self.starts_at.or(Some(until));
        }
        self.advanced = self.advanced.max(Some(until));
        Some(Mark::Advance { until })
    }

    /// The marks of partitions that rejoined since the last call.
    pub fn take_marks(&mut self) -> Vec<Mark> {
        std::mem::take(&mut self.marks)
    }

    /// The records that were refused because of their time, in the ticks closed since the last
    /// call.
    pub fn take_rejects(&mut self) -> Rejects {
        std::mem::take(&mut self.rejects)
    }

    /// Where the partition must be read again from if the state is saved now; `None` if it was
    /// never added.
    pub fn resume_offset(&self, id: PartitionId) -> Option<i64> {
        self.partitions.get(&id).map(Partition::resume_offset)
    }

    /// Whether anything of the partition was read, in this life of the program or in one that
    /// left a state: if not, it may be read from wherever one likes.
    pub fn was_read(&self, id: PartitionId) -> bool {
        self.partitions.get(&id).is_some_and(|partition| partition.judged_to > 0)
    }

    /// Whether every partition is finished and every tick was handed out.
    pub fn is_done(&self) -> bool {
        let is_done = |partition: &Partition| {
            partition.is_finished()
                && partition.buckets.first().is_none()
                && partition.guard.first_held().is_none()
        };
        let end = self.end();
        self.partitions.values().all(is_done)
            && end.is_none_or(|end| self.open.is_none_or(|open| open > end))
    }

    fn clock(&self) -> Clock {
        Clock { open: self.open, correct_within_us: self.correct_within_us }
    }

    /// The last tick that may close now.
    fn limit(&self) -> Option<Second> {
        let holding = || self.partitions.values().filter(|partition| partition.holds());
        if holding().next().is_some() {
            let watermarks = holding().map(|partition| partition.watermark().map(last_before));
            let complete = watermarks.min().flatten()?;
            // Context alone does not lead the clock beyond the end of everything else.
            return Some(match self.dated_end() {
                Some(end) => complete.min(end),
                None => complete,
            });
        }
        if self.partitions.values().all(Partition::is_finished) {
            return self.end();
        }
        self.advanced
    }

    /// Where the clock stops when everything was read: the last event plus the largest `reorder`.
    fn end(&self) -> Option<Second> {
        self.dated_end().or_else(|| end_of(self.partitions.values()))
    }

    /// The end of everything that is not context, once all of it is finished and had a time.
    fn dated_end(&self) -> Option<Second> {
        let leading = || self.partitions.values().filter(|partition| !partition.settings.context);
        leading().all(Partition::is_finished).then(|| end_of(leading()))?
    }

    /// The first tick, once it is certain that no earlier row follows.
    fn start(&mut self, limit: Second) -> Option<Second> {
        let starts_at = self.starts_at.filter(|at| *at <= limit);
        if let Some(at) = starts_at {
            self.reach_clock(at);
        }
        let is_over = self.partitions.values().all(Partition::is_finished);
        if let Some(end) = if is_over { Some(limit) } else { self.dated_end() } {
            // The end comes near what is held, also where nothing but context was before it.
            self.reach_clock(end);
        } else if let Some(first) = self.first().filter(|first| *first <= limit) {
            // What an idle partition holds back may be what comes first.
            self.reach_clock(first);
        }
        let first = self.first().filter(|first| *first <= limit);
        [first, starts_at].into_iter().flatten().min()
    }

    /// The first tick that has anything; context starts the clock only when it is alone.
    fn first(&self) -> Option<Second> {
        let first_of = |context: bool| {
            let partitions = self.partitions.values();
            let such = partitions.filter(|partition| partition.settings.context == context);
            such.filter_map(|partition| partition.buckets.first()).min()
        };
        let mut holding = self.partitions.values().filter(|partition| partition.holds());
        match first_of(false) {
            None if holding.all(|partition| partition.settings.context) => first_of(true),
            first => first,
        }
    }

    fn reach_clock(&mut self, tick: Second) {
        let clock = self.clock();
        for partition in self.partitions.values_mut() {
            partition.reach_clock(clock, tick);
        }
    }

    fn close(&mut self, second: Second) -> Tick {
        self.reach_clock(second);
        let mut tick = Tick::empty(second);
        for partition in self.partitions.values_mut() {
            partition.take_through(second, &mut tick, &mut self.rejects);
        }
        tick.rows
            .sort_unstable_by_key(|row| (row.time, row.partition, row.offset, row.kind, row.index));
        tick
    }

    /// The next tick that has anything, at most the first that cannot close yet.
    fn skip(&self, closed: Second, limit: Second) -> Second {
        let mut next = limit.next();
        for partition in self.partitions.values() {
            let stops = [partition.buckets.first(), partition.first_held()];
            next = stops.into_iter().flatten().min().map_or(next, |stop| stop.min(next));
        }
        next.max(closed.next())
    }

    fn is_waiting_for(&self, partition: &Partition) -> bool {
        let target = self.open.or_else(|| self.first());
        let is_behind = |watermark: Time| target.is_none_or(|tick| last_before(watermark) < tick);
        // Behind the end of everything else, context is read only to be finished.
        let is_over = || self.dated_end().is_some_and(|end| target.is_none_or(|tick| tick > end));
        partition.holds() && (partition.watermark().is_none_or(is_behind) || is_over())
    }

    fn give_up_if_done(&mut self, end: Option<Second>) {
        if self.partitions.values().all(Partition::is_finished) {
            let (clock, last) = (self.clock(), end.unwrap_or_default());
            for partition in self.partitions.values_mut() {
                partition.give_up(clock, last, &mut self.rejects);
            }
        }
    }
}

/// The last event of `partitions` plus their largest `reorder`.
fn end_of<'a>(partitions: impl Iterator<Item = &'a Partition> + Clone) -> Option<Second> {
    let reorder = partitions.clone().map(|partition| partition.settings.reorder).max()?;
    let last = partitions.filter_map(|partition| partition.guard.max()).max()?;
    Some(last.plus(reorder).second())
}

/// The last tick that is wholly before `watermark`.
fn last_before(watermark: Time) -> Second {
    Second(watermark.second().0.saturating_sub(1))
}
