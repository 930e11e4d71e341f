//! One partition inside the merge.

use std::collections::VecDeque;
use std::sync::Arc;

use plimsoll_model::{Batch, Mark, PartitionId, RejectReason, Row, Second, Tick, Time};

use super::PartitionSettings;
use super::buckets::{Buckets, Refused};
use super::gate::{Before, Gate, not_yet_applied};
use super::guard::{Fate, Fates, Guard, Limits, Stamp};
use super::rejects::Rejects;
use super::segment::Segments;

/// What the clock looks like to a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// The first tick that is not closed; `None` before the first.
    pub open: Option<Second>,
    /// Ticks through this one were decided in an earlier life of the program.
    pub decided_through: Option<Second>,
    pub correct_within_us: i64,
}

impl Clock {
    /// Whether ticks are still being done again that were decided before a restart.
    pub fn is_recovering(&self) -> bool {
        match (self.decided_through, self.open) {
            (Some(decided), Some(open)) => open <= decided,
            (decided, _) => decided.is_some(),
        }
    }

    /// Whether a partition that rejoined at `floor` can do so now.
    fn has_reached(&self, floor: Second) -> bool {
        floor <= NO_TICK_CLOSED || self.open.is_some_and(|open| floor <= open)
    }
}

/// The floor of a partition that rejoined before any tick had closed: no floor at all.
pub(super) const NO_TICK_CLOSED: Second = Time::EARLIEST.second();

#[derive(Debug)]
pub(super) struct Partition {
    pub id: PartitionId,
    pub settings: PartitionSettings,
    limits: Limits,
    pub guard: Guard,
    /// The first offset that was not yet delivered.
    pub read_to: i64,
    /// The same in any life of the program.
    pub seen_to: i64,
    /// Does not hold the clock.
    pub away: bool,
    /// The tick at which it will hold the clock again, if the journal says so.
    rejoins_at: Option<Second>,
    pub ended: bool,
    finished: bool,
    /// What the journal says about offsets not yet come to.
    pub script: VecDeque<Gate>,
    /// What was passed, as long as reading could begin again before it.
    passed: Vec<Gate>,
    /// A floor that the guard gets at an offset still to come: until then it judges as it did
    /// before a restart.
    floor_at: Option<(i64, Second)>,
    segments: Segments,
    pub buckets: Buckets,
    /// Rows of held records.
    held: Vec<Row>,
    /// Rows in batches that were not yet looked at.
    unread_rows: usize,
    fates: Fates,
}

impl Partition {
    pub fn new(id: PartitionId, settings: PartitionSettings, guard: Guard, offset: i64) -> Self {
        let us = |duration: std::time::Duration| {
            i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
        };
        let limits = Limits { reorder_us: us(settings.reorder), ahead_us: us(settings.max_ahead) };
        Partition {
            id,
            settings,
            limits,
            guard,
            read_to: offset,
            seen_to: offset,
            away: false,
            rejoins_at: None,
            ended: false,
            finished: false,
            script: VecDeque::new(),
            passed: Vec::new(),
            floor_at: None,
            segments: Segments::default(),
            buckets: Buckets::default(),
            held: Vec::new(),
            unread_rows: 0,
            fates: Fates::new(),
        }
    }

    /// Whether ticks must wait for it.
    pub fn holds(&self) -> bool {
        !self.away && !self.ended
    }

    /// Whether the end of its input was reached and everything was looked at.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    pub fn watermark(&self) -> Option<Time> {
        self.guard.watermark(self.limits)
    }

    /// Rows that are kept for it.
    pub fn waiting_rows(&self) -> usize {
        self.buckets.rows() + self.held.len() + self.unread_rows
    }

    /// The tick at which the journal says it rejoins, if it waits for that.
    pub fn rejoins_at(&self) -> Option<Second> {
        self.rejoins_at.filter(|_| self.away)
    }

    pub fn push(&mut self, batch: Arc<Batch>) {
        debug_assert!(batch.first_offset >= self.read_to, "batches come in order");
        self.read_to = batch.next_offset;
        self.seen_to = self.seen_to.max(self.read_to);
        if !batch.times.is_empty() || batch.rows() > 0 {
            self.unread_rows += batch.rows();
            self.segments.push(batch);
        }
    }

    /// Looks at everything that may be looked at now.
    pub fn catch_up(&mut self, clock: Clock, marks: &mut Vec<Mark>) {
        loop {
            let unread = self.segments.first_unread();
            if self.away {
                match self.rejoins_at {
                    Some(floor) if clock.has_reached(floor) => self.rejoin(clock, floor),
                    None if unread.is_some() && !clock.is_recovering() => {
                        let floor = clock.open.unwrap_or(NO_TICK_CLOSED);
                        let next_offset = self.next_unread(unread);
                        if let Some(gate) = self.passed.last_mut() {
                            gate.floor = Some(floor);
                        }
                        self.rejoin(clock, floor);
                        marks.push(Mark::Rejoined { partition: self.id, next_offset, floor });
                    }
                    _ => return self.finish_if_ended(clock, unread),
                }
            }
            let next = self.next_unread(unread);
            let gate = self.script.front().copied().filter(|gate| gate.offset <= next);
            // A gate of the same stretch as the last one defers the guard's floor further.
            if gate.is_none_or(|gate| gate.before.is_none()) {
                self.reach_floor(clock, next);
            }
            if let Some(gate) = gate {
                self.script.pop_front();
                self.pass(gate);
                continue;
            }
            match unread {
                Some(number) => self.read(clock, number),
                None => return self.finish_if_ended(clock, unread),
            }
        }
    }

    /// Stops holding the clock; `false` if it does not hold it.
    pub fn leave(&mut self, clock: Clock) -> bool {
        let leaves = self.holds();
        if leaves {
            let held_from = self.held.iter().map(|row| row.offset).min();
            let held_from = held_from.unwrap_or(self.read_to);
            // What the clock had not waited for before a restart was not applied then.
            let not_waited_for = self.script.iter().find(|gate| gate.floor.is_none());
            let applied_to = not_waited_for.map_or(self.seen_to, Gate::from);
            let judged_to = not_waited_for.map_or(self.seen_to, Gate::end);
            let through = clock.open.map(|open| Second(open.0.saturating_sub(1)));
            let through = through.filter(|_| judged_to > self.read_to);
            let before =
                through.map(|through| Before { held_from, applied_to, through, judged_to });
            self.pass(Gate { before, ..Gate::new(self.read_to, None) });
        }
        leaves
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
        let held = self.guard.first_held().map(Time::second);
        held.filter(|_| !self.holds() && !self.is_behind())
    }

    /// Whether the guard stands where it stood in an earlier life of the program, while the clock
    /// went on.
    fn is_behind(&self) -> bool {
        let left = self.passed.last().filter(|gate| self.away && gate.end() > self.read_to);
        !self.finished && (left.is_some() || self.floor_at.is_some())
    }

    /// The clock has stopped for good: nothing that is left will ever be applied.
    pub fn give_up(&mut self, last: Second, rejects: &mut Rejects) {
        self.guard.give_up();
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
        }
    }

    /// Where reading must begin again, and the guard just before that record.
    pub fn resume(&self) -> (i64, &Guard) {
        match self.segments.front() {
            Some(segment) => (segment.first_offset, segment.before.as_ref().unwrap_or(&self.guard)),
            None => (self.read_to, &self.guard),
        }
    }

    /// The gates that reading from [`Partition::resume`] would come to again, oldest first.
    pub fn gates(&self) -> Vec<Gate> {
        let (resume_offset, _) = self.resume();
        let mut gates = self.passed.clone();
        gates.retain(|gate| gate.is_needed(resume_offset));
        // The gate that it stands at is needed even if no record has its offset.
        if gates.is_empty() && self.away {
            gates.extend(self.passed.last());
        }
        gates.extend(&self.script);
        gates
    }

    fn pass(&mut self, gate: Gate) {
        let (resume_offset, _) = self.resume();
        self.passed.retain(|gate| gate.is_needed(resume_offset));
        self.passed.push(gate);
        self.away = true;
        self.rejoins_at = gate.floor;
    }

    fn next_unread(&mut self, unread: Option<u32>) -> i64 {
        let Some(number) = unread else { return self.read_to };
        let segment = self.segments.get(number);
        let batch = segment.batch.as_ref().expect("an unread segment keeps its batch");
        segment.cursor.peek(batch).map_or(segment.first_offset, |stamp| stamp.offset)
    }

    fn rejoin(&mut self, clock: Clock, floor: Second) {
        self.away = false;
        self.rejoins_at = None;
        let at = self.passed.last().filter(|gate| gate.before.is_some()).map(Gate::end);
        match (at, self.floor_at) {
            (Some(at), before) => {
                let known = before.unwrap_or((at, floor));
                self.floor_at = Some((known.0.max(at), known.1.max(floor)));
            }
            // In the course of what was there before a restart.
            (None, _) => self.set_floor(clock, floor),
        }
    }

    /// The guard gets the floor that waits for `next`, if there is one.
    fn reach_floor(&mut self, clock: Clock, next: i64) {
        if let Some((_, floor)) = self.floor_at.take_if(|(at, _)| *at <= next) {
            self.set_floor(clock, floor);
        }
    }

    fn set_floor(&mut self, clock: Clock, floor: Second) {
        if floor > NO_TICK_CLOSED {
            let mut fates = std::mem::take(&mut self.fates);
            self.guard.rejoin(self.limits, floor, &mut fates);
            self.settle(clock, fates);
        }
    }

    fn finish_if_ended(&mut self, clock: Clock, unread: Option<u32>) {
        let waits = unread.is_some() || self.rejoins_at().is_some();
        if self.ended && !self.finished && !waits {
            self.finished = true;
            self.reach_floor(clock, i64::MAX);
            // After a restart, what the clock had confirmed before the end was seen comes first.
            if let Some(open) = clock.open.filter(|_| self.away) {
                self.reach_clock(clock, Second(open.0.saturating_sub(1)));
            }
            let mut fates = std::mem::take(&mut self.fates);
            self.guard.finish(self.limits, &mut fates);
            self.settle(clock, fates);
        }
    }

    /// Looks at the records of segment `number` up to the next gate.
    fn read(&mut self, clock: Clock, number: u32) {
        let gate = self.script.front().map_or(i64::MAX, |gate| gate.offset);
        let stop = self.floor_at.map_or(gate, |(at, _)| at.min(gate));
        let segment = self.segments.get(number);
        segment.before.get_or_insert_with(|| self.guard.clone());
        let batch = segment.batch.clone().expect("an unread segment keeps its batch");
        let mut cursor = segment.cursor;
        let mut fates = std::mem::take(&mut self.fates);
        let mut rows = Vec::new();
        let mut done = true;
        while let Some(stamp) = cursor.peek(&batch) {
            if stamp.offset >= stop {
                done = false;
                break;
            }
            cursor.take(&batch, stamp.offset, |kind, index, time| {
                let index = u32::try_from(index).expect("a batch has fewer than 2^32 rows");
                let (partition, offset) = (self.id, stamp.offset);
                rows.push(Row { time, partition, offset, batch: number, kind, index });
            });
            self.unread_rows -= rows.len();
            let earliest = self.guard.earliest(self.limits);
            self.guard.observe(self.limits, stamp, &mut fates);
            if self.settings.context {
                self.apply(clock, Fate::Believed(earliest), stamp, &mut rows);
                fates.clear();
                continue;
            }
            // The usual case: the record itself was decided, and nothing else.
            if let [(decided, fate)] = fates.as_slice()
                && *decided == stamp
            {
                self.apply(clock, *fate, stamp, &mut rows);
                fates.clear();
                continue;
            }
            self.segments.get(number).open += rows.len();
            self.held.append(&mut rows);
            fates = self.settle_with(clock, fates);
        }
        self.fates = fates;
        let segment = self.segments.get(number);
        segment.cursor = cursor;
        segment.read = done;
        self.segments.trim(number);
    }

    fn settle(&mut self, clock: Clock, fates: Fates) {
        self.fates = self.settle_with(clock, fates);
    }

    /// Applies `fates` to the rows of held records; gives the emptied list back.
    fn settle_with(&mut self, clock: Clock, mut fates: Fates) -> Fates {
        for (stamp, fate) in fates.drain(..) {
            let (mut rows, held): (Vec<Row>, Vec<Row>) =
                self.held.iter().partition(|row| row.offset == stamp.offset);
            self.held = held;
            for row in &rows {
                self.segments.get(row.batch).open -= 1;
            }
            let segments: Vec<u32> = rows.iter().map(|row| row.batch).collect();
            self.apply(clock, fate, stamp, &mut rows);
            for number in segments.into_iter().take(1) {
                self.segments.trim(number);
            }
        }
        fates
    }

    /// Gives the rows of one record their tick.
    fn apply(&mut self, clock: Clock, fate: Fate, stamp: Stamp, rows: &mut Vec<Row>) {
        let is_applied = |tick| clock.open.is_some_and(|open| tick < open);
        let mut refused = None;
        for row in rows.drain(..) {
            let judged_at = match fate {
                Fate::Future(tick) => tick,
                Fate::Believed(earliest) => row.time.second().max(earliest),
            };
            let Some(tick) = not_yet_applied(&self.passed, row.offset, judged_at) else { continue };
            let reason = match fate {
                Fate::Future(_) => Some(RejectReason::Future),
                Fate::Believed(_) => {
                    let late_us = tick.start().micros_since(row.time);
                    (late_us > clock.correct_within_us).then_some(RejectReason::Late)
                }
            };
            match reason {
                _ if is_applied(tick) => {}
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
