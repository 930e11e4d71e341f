//! One partition inside the merge.

use std::sync::Arc;

use plimsoll_model::{Batch, Mark, PartitionId, RejectReason, Row, Second, Tick, Time};

use super::PartitionSettings;
use super::buckets::{Buckets, Refused};
use super::guard::{Fate, Fates, Guard, Limits, Stamp};
use super::rejects::Rejects;
use super::segment::{Cursor, Segments};
use super::verdicts::Verdicts;

/// What the clock looks like to a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// The first tick that is not closed; `None` before the first.
    pub open: Option<Second>,
    pub correct_within_us: i64,
}

impl Clock {
    /// The same fate, at no tick that is closed.
    fn not_closed(&self, fate: Fate) -> Fate {
        match fate {
            Fate::Believed(tick) => Fate::Believed(tick.max(self.floor())),
            Fate::Future(tick) => Fate::Future(tick.max(self.floor())),
        }
    }

    /// The floor of a partition that rejoins now.
    pub fn floor(&self) -> Second {
        self.open.unwrap_or(NO_TICK_CLOSED)
    }
}

/// The floor of a partition that rejoined before any tick had closed: no floor at all.
const NO_TICK_CLOSED: Second = Time::EARLIEST.second();

#[derive(Debug)]
pub(super) struct Partition {
    pub id: PartitionId,
    pub settings: PartitionSettings,
    limits: Limits,
    pub guard: Guard,
    /// The first offset that was not yet delivered.
    pub read_to: i64,
    /// Records before this offset are judged already: after a restart it lies behind `read_to`.
    pub judged_to: i64,
    /// The clock does not wait for records that are not yet judged.
    pub away: bool,
    /// Nor for those that must be read again.
    lost: bool,
    finished: bool,
    pub verdicts: Verdicts,
    segments: Segments,
    pub buckets: Buckets,
    /// Rows of held records.
    held: Vec<Row>,
    fates: Fates,
}

impl Partition {
    pub fn new(id: PartitionId, settings: PartitionSettings, offset: i64) -> Self {
        let us = |duration: std::time::Duration| {
            i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
        };
        let limits = Limits { reorder_us: us(settings.reorder), ahead_us: us(settings.max_ahead) };
        Partition {
            id,
            settings,
            limits,
            guard: Guard::default(),
            read_to: offset,
            judged_to: offset,
            away: false,
            lost: false,
            finished: false,
            verdicts: Verdicts::default(),
            segments: Segments::default(),
            buckets: Buckets::default(),
            held: Vec::new(),
            fates: Fates::new(),
        }
    }

    /// Whether ticks must wait for it.
    pub fn holds(&self) -> bool {
        let is_left = if self.is_read_again() { self.lost } else { self.away };
        !is_left && !self.finished
    }

    /// Whether records are still to come that were judged before a restart.
    pub fn is_read_again(&self) -> bool {
        self.read_to < self.judged_to
    }

    /// Whether the end of its input was reached.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// The moment before which everything was read; `None` before the first, and until what was
    /// judged before a restart is here again.
    pub fn watermark(&self) -> Option<Time> {
        self.guard.watermark(self.limits).filter(|_| !self.is_read_again())
    }

    /// Rows that are kept for it.
    pub fn waiting_rows(&self) -> usize {
        self.buckets.rows() + self.held.len()
    }

    /// Looks at the records of the next batch.
    pub fn push(&mut self, clock: Clock, batch: Arc<Batch>, marks: &mut Vec<Mark>) {
        debug_assert!(batch.first_offset >= self.read_to, "batches come in order");
        if !batch.times.is_empty() || batch.rows() > 0 {
            self.read(clock, &batch, marks);
        }
        self.read_to = batch.next_offset;
        self.judged_to = self.judged_to.max(self.read_to);
        self.forget();
    }

    /// Stops holding the clock; `false` if it does not hold it.
    pub fn leave(&mut self, clock: Clock) -> bool {
        let leaves = self.holds();
        if leaves {
            self.lost = self.is_read_again();
            if self.lost {
                self.verdicts.leave(self.read_to, self.judged_to, clock.open);
            }
            self.away = true;
        }
        leaves
    }

    /// Nothing follows: it no longer holds the clock.
    pub fn finish(&mut self, clock: Clock) {
        // A file that has become shorter is missing what must be read again.
        if self.is_read_again() {
            self.leave(clock);
        }
        if !std::mem::replace(&mut self.finished, true) {
            let mut fates = std::mem::take(&mut self.fates);
            self.guard.finish(self.limits, &mut fates);
            self.settle(clock, fates);
        }
    }

    /// The clock is about to close `tick`.
    pub fn reach_clock(&mut self, clock: Clock, tick: Second) {
        if self.first_held().is_some() {
            let mut fates = std::mem::take(&mut self.fates);
            self.guard.reach_clock(self.limits, tick, &mut fates);
            self.settle(clock, fates);
        }
    }

    /// The earliest record that is held and that the clock may come to.
    pub fn first_held(&self) -> Option<Second> {
        self.guard.first_held().map(Time::second).filter(|_| !self.holds())
    }

    /// The clock has stopped for good: nothing that is left will ever be applied.
    pub fn give_up(&mut self, clock: Clock, last: Second, rejects: &mut Rejects) {
        self.guard.give_up(clock.floor(), &mut self.fates);
        for (stamp, fate) in self.fates.drain(..) {
            self.verdicts.decided_later(stamp.offset, fate);
        }
        for row in self.held.drain(..) {
            rejects.future(self.id, row.offset, row.time, last.end());
            self.segments.close(row.batch, 1);
        }
        while let Some(bucket) = self.buckets.pop_through(Second(i64::MAX)) {
            for row in &bucket.rows {
                rejects.future(self.id, row.offset, row.time, last.end());
                self.segments.close(row.batch, 1);
            }
            for refused in &bucket.refused {
                rejects.refused(self.id, refused);
                self.segments.close(refused.segment, 1);
            }
        }
        self.forget();
    }

    /// Moves what is applied through `tick` there.
    pub fn take_through(&mut self, tick: Second, into: &mut Tick, rejects: &mut Rejects) {
        while let Some(bucket) = self.buckets.pop_through(tick) {
            for refused in &bucket.refused {
                rejects.refused(self.id, refused);
                self.segments.close(refused.segment, 1);
            }
            let mut at = 0;
            while let Some(first) = bucket.rows.get(at) {
                let number = first.batch;
                let run = bucket.rows[at..].iter().take_while(|row| row.batch == number).count();
                let place = self.place_of(number, into);
                into.rows.extend(
                    bucket.rows[at..at + run].iter().map(|row| Row { batch: place, ..*row }),
                );
                self.segments.close(number, run);
                at += run;
            }
            self.forget();
        }
    }

    /// Where reading must begin again: the batch of the first row or reject that is not yet applied.
    pub fn resume_offset(&self) -> i64 {
        self.segments.front().map_or(self.read_to, |segment| segment.first_offset)
    }

    fn forget(&mut self) {
        self.verdicts.forget_before(self.resume_offset());
    }

    fn read(&mut self, clock: Clock, batch: &Arc<Batch>, marks: &mut Vec<Mark>) {
        let number = self.segments.push(Arc::clone(batch));
        let mut cursor = Cursor::default();
        let mut fates = std::mem::take(&mut self.fates);
        let mut rows = Vec::new();
        while let Some(stamp) = cursor.peek(batch) {
            let is_new = stamp.offset >= self.judged_to;
            if self.lost || (self.away && is_new) {
                self.rejoin(clock, stamp.offset, marks);
            }
            cursor.take(batch, stamp.offset, |kind, index, time| {
                let index = u32::try_from(index).expect("a batch has fewer than 2^32 rows");
                let (partition, offset) = (self.id, stamp.offset);
                rows.push(Row { time, partition, offset, batch: number, kind, index });
            });
            if !is_new {
                self.apply_again(clock, stamp, &mut rows);
                continue;
            }
            let mut earliest = self.guard.earliest(self.limits);
            self.guard.observe(self.limits, stamp, &mut fates);
            // The usual case: the record itself was decided, and nothing else.
            let mut is_believed = self.settings.context;
            if let [(decided, Fate::Believed(at))] = fates.as_slice()
                && *decided == stamp
            {
                (earliest, is_believed) = (*at, true);
            }
            if is_believed {
                let fate = clock.not_closed(Fate::Believed(earliest));
                self.verdicts.believed(stamp.offset, fate.tick());
                self.apply(clock, fate, stamp, &mut rows);
                fates.clear();
                continue;
            }
            self.hold(&mut rows);
            fates = self.settle_with(clock, fates);
        }
        self.fates = fates;
        self.segments.close(number, 1);
    }

    /// The clock waits for it again.
    fn rejoin(&mut self, clock: Clock, next_offset: i64, marks: &mut Vec<Mark>) {
        (self.away, self.lost) = (false, false);
        let floor = clock.floor();
        self.verdicts.rejoin(floor);
        if clock.open.is_some() {
            let mut fates = std::mem::take(&mut self.fates);
            self.guard.rejoin(self.limits, floor, &mut fates);
            self.settle(clock, fates);
        }
        marks.push(Mark::Rejoined { partition: self.id, next_offset, floor });
    }

    /// A record that was judged before a restart.
    fn apply_again(&mut self, clock: Clock, stamp: Stamp, rows: &mut Vec<Row>) {
        if self.guard.is_held(stamp.offset) && !self.settings.context {
            self.hold(rows);
        } else if let Some(fate) = self.verdicts.fate(stamp.offset) {
            self.apply(clock, fate, stamp, rows);
        }
        rows.clear();
    }

    fn hold(&mut self, rows: &mut Vec<Row>) {
        if let Some(row) = rows.first() {
            self.segments.get(row.batch).open += rows.len();
            self.held.append(rows);
        }
    }

    fn settle(&mut self, clock: Clock, fates: Fates) {
        self.fates = self.settle_with(clock, fates);
    }

    /// Applies `fates` to the rows of held records; gives the emptied list back.
    fn settle_with(&mut self, clock: Clock, mut fates: Fates) -> Fates {
        for (stamp, fate) in fates.drain(..) {
            if self.settings.context {
                continue;
            }
            let fate = clock.not_closed(fate);
            self.verdicts.decided_later(stamp.offset, fate);
            let (mut rows, held): (Vec<Row>, Vec<Row>) =
                self.held.iter().partition(|row| row.offset == stamp.offset);
            self.held = held;
            let of = rows.first().map(|row| (row.batch, rows.len()));
            self.apply(clock, fate, stamp, &mut rows);
            if let Some((number, count)) = of {
                self.segments.close(number, count);
            }
        }
        fates
    }

    /// Gives the rows of one record their tick, unless they were applied before a restart.
    fn apply(&mut self, clock: Clock, fate: Fate, stamp: Stamp, rows: &mut Vec<Row>) {
        let is_applied = |tick| clock.open.is_some_and(|open| tick < open);
        let mut refused = None;
        for row in rows.drain(..) {
            let judged_at = match fate {
                Fate::Future(tick) => tick,
                Fate::Believed(earliest) => row.time.second().max(earliest),
            };
            let tick = self.verdicts.behind_gaps(row.offset, judged_at);
            let Some(tick) = tick.filter(|tick| !is_applied(*tick)) else { continue };
            let reason = match fate {
                Fate::Future(_) => Some(RejectReason::Future),
                Fate::Believed(_) => {
                    let late_us = tick.start().micros_since(row.time);
                    (late_us > clock.correct_within_us).then_some(RejectReason::Late)
                }
            };
            match reason {
                None => {
                    self.segments.get(row.batch).open += 1;
                    self.buckets.push(tick, row);
                }
                Some(reason) => {
                    let Stamp { offset, time } = stamp;
                    refused = Some((tick, Refused { offset, time, reason, segment: row.batch }));
                }
            }
        }
        // One reject a record, however many rows it gave.
        if let Some((tick, refused)) = refused {
            self.segments.get(refused.segment).open += 1;
            self.buckets.refuse(tick, refused);
        }
    }

    /// The place of segment `number`'s batch in `tick`.
    fn place_of(&mut self, number: u32, tick: &mut Tick) -> u32 {
        let batch = self.segments.get(number).batch.as_ref();
        let batch = batch.expect("a segment with open rows keeps its batch");
        let known = tick.batches.iter().rposition(|known| Arc::ptr_eq(known, batch));
        let place = known.unwrap_or_else(|| {
            tick.batches.push(Arc::clone(batch));
            tick.batches.len() - 1
        });
        u32::try_from(place).expect("a tick has fewer than 2^32 batches")
    }
}
