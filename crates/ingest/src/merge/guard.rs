//! The robust maximum of one partition's event time: one wild timestamp cannot move it.
//!
//! It is a function of the partition's records, and of the floors that the journal keeps.
//!
//! * The *reference* is the largest believed time, or the floor if that is later: where a floor
//!   was set, the pipeline's time had come to it.
//! * A record at most `ahead` beyond the reference is believed at once.
//! * A record further ahead is *held*. It is believed when [`AGREEING`] records in a row agree
//!   (none of them more than `ahead` before the first one), or when a believed record brings the
//!   reference near it. It is rejected by a record that lies in the old time, or that lies
//!   between: nothing far ahead is true while records still come from before it.
//! * Sources that speak hourly jump with every record. A jump at most twice as long as the last
//!   believed one is believed at once, if that was no more than [`JUMP_MEMORY_RECORDS`] ago.
//! * The first records have no reference. [`AGREEING`] of them are held, and the median is the
//!   reference that they are judged by.
//! * While the partition does not hold the clock, a held record is believed when the clock comes
//!   within `ahead` of it. At the end of a file it is believed if the jump is at most twice the
//!   longest one believed so far.
//!
//! Records that are believed together are believed in the order of their times.

use plimsoll_model::{Second, Time};
use serde::{Deserialize, Serialize};

/// So many records in a row make a jump ahead believable: two wild lines do not suffice.
pub(super) const AGREEING: usize = 3;

/// For how many records a believed jump makes another one believable at once.
pub(super) const JUMP_MEMORY_RECORDS: u32 = 8;

/// The limits of one partition, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How far a record may lie behind an earlier one and still be in time.
    pub reorder_us: i64,
    /// How far a record may lie ahead of the reference.
    pub ahead_us: i64,
}

/// One record's place and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub offset: i64,
    pub time: Time,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fate {
    /// It is applied at this tick or at its own, whichever is later.
    Believed(Second),
    /// It was contradicted; the contradiction belongs to this tick.
    Future(Second),
}

impl Fate {
    /// The first tick at which it can be.
    pub fn tick(self) -> Second {
        match self {
            Fate::Believed(tick) | Fate::Future(tick) => tick,
        }
    }
}

/// Fates in the order in which they were decided.
pub(super) type Fates = Vec<(Stamp, Fate)>;

/// The watermark state of one partition: everything that decides where a later record goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Guard {
    max: Option<Time>,
    floor: Option<Second>,
    held: Vec<Stamp>,
    jump_us: i64,
    records_since_jump: u32,
    longest_jump_us: i64,
    /// Whether the end was seen: what was not believed then waits for the clock, also when the end
    /// is seen again after a restart.
    ended: bool,
}

impl Guard {
    /// The largest believed time.
    pub fn max(&self) -> Option<Time> {
        self.max
    }

    /// The moment before which the partition is complete.
    pub fn watermark(&self, limits: Limits) -> Option<Time> {
        self.max.map(|max| back(max, limits.reorder_us))
    }

    /// The first tick that the next believed record could be applied at.
    pub fn earliest(&self, limits: Limits) -> Second {
        let watermark = self.watermark(limits).map_or(Second(i64::MIN), Time::second);
        self.floor.map_or(watermark, |floor| floor.max(watermark))
    }

    /// The earliest time among the held records.
    pub fn first_held(&self) -> Option<Time> {
        self.held.iter().map(|stamp| stamp.time).min()
    }

    /// Whether the record at `offset` is held.
    pub fn is_held(&self, offset: i64) -> bool {
        self.held.iter().any(|stamp| stamp.offset == offset)
    }

    /// Looks at the next record. What is decided by it, about itself or about held records, is
    /// appended to `fates`.
    #[inline]
    pub fn observe(&mut self, limits: Limits, stamp: Stamp, fates: &mut Fates) {
        self.ended = false;
        match self.reach(limits) {
            Some(reach) if stamp.time <= reach => {
                self.believe(limits, stamp, fates);
                if !self.held.is_empty() {
                    self.believe_what_came_near(limits, fates);
                    self.reject_held(limits, i64::MAX, fates);
                }
            }
            Some(_) => self.hold(limits, stamp, fates),
            None => {
                self.held.push(stamp);
                if self.held.len() == AGREEING {
                    self.begin(limits, fates);
                }
            }
        }
    }

    /// The clock came to `tick` without the partition.
    pub fn reach_clock(&mut self, limits: Limits, tick: Second, fates: &mut Fates) {
        self.believe_held(limits, ahead(tick.end(), limits.ahead_us), fates);
    }

    /// The partition delivers again after the clock had come to `floor` without it.
    pub fn rejoin(&mut self, limits: Limits, floor: Second, fates: &mut Fates) {
        self.reach_clock(limits, floor, fates);
        self.floor = self.floor.max(Some(floor));
    }

    /// No record will follow. What is still held afterwards waits for the clock.
    pub fn finish(&mut self, limits: Limits, fates: &mut Fates) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if self.reference().is_none() && !self.held.is_empty() {
            self.begin(limits, fates);
        }
        while let Some(reference) = self.reference() {
            let reach = ahead(reference, self.longest_jump_us.saturating_mul(2));
            if self.believe_held(limits, reach, fates).is_none() {
                break;
            }
        }
    }

    /// The clock has stopped for good: what is still held was never confirmed.
    pub fn give_up(&mut self, tick: Second, fates: &mut Fates) {
        fates.extend(self.held.drain(..).map(|stamp| (stamp, Fate::Future(tick))));
    }

    fn reference(&self) -> Option<Time> {
        self.max.max(self.floor.map(Second::start))
    }

    /// The latest time that is believed at once.
    fn reach(&self, limits: Limits) -> Option<Time> {
        let jump_us = match self.records_since_jump {
            0..=JUMP_MEMORY_RECORDS => self.jump_us.saturating_mul(2),
            _ => 0,
        };
        self.reference().map(|reference| ahead(reference, limits.ahead_us.max(jump_us)))
    }

    fn believe(&mut self, limits: Limits, stamp: Stamp, fates: &mut Fates) {
        fates.push((stamp, Fate::Believed(self.earliest(limits))));
        self.records_since_jump = self.records_since_jump.saturating_add(1);
        if let Some(reference) = self.reference() {
            let jump_us = stamp.time.micros_since(reference);
            if jump_us > limits.ahead_us {
                self.jump_us = jump_us;
                self.records_since_jump = 0;
                self.longest_jump_us = self.longest_jump_us.max(jump_us);
            }
        }
        self.max = self.max.max(Some(stamp.time));
    }

    /// Believes held records up to `until`, earliest first; the last offset among them.
    fn believe_held(&mut self, limits: Limits, until: Time, fates: &mut Fates) -> Option<i64> {
        let mut last = None;
        self.held.sort_unstable_by_key(|stamp| (stamp.time, stamp.offset));
        while let Some(stamp) = self.held.first().copied().filter(|stamp| stamp.time <= until) {
            self.held.remove(0);
            self.believe(limits, stamp, fates);
            last = last.max(Some(stamp.offset));
        }
        self.held.sort_unstable_by_key(|stamp| stamp.offset);
        last
    }

    fn believe_what_came_near(&mut self, limits: Limits, fates: &mut Fates) {
        while let Some(reach) = self.reach(limits) {
            if self.believe_held(limits, reach, fates).is_none() {
                break;
            }
        }
    }

    /// Rejects the held records before `offset`.
    fn reject_held(&mut self, limits: Limits, offset: i64, fates: &mut Fates) {
        let tick = self.earliest(limits);
        self.held.retain(|stamp| {
            let stays = stamp.offset >= offset;
            if !stays {
                fates.push((*stamp, Fate::Future(tick)));
            }
            stays
        });
    }

    fn hold(&mut self, limits: Limits, stamp: Stamp, fates: &mut Fates) {
        while let Some(first) = self.held.first().copied() {
            if stamp.time >= back(first.time, limits.ahead_us) {
                break;
            }
            self.held.remove(0);
            fates.push((first, Fate::Future(self.earliest(limits))));
        }
        self.held.push(stamp);
        if self.held.len() == AGREEING {
            self.believe_held(limits, Time::LATEST, fates);
        }
    }

    /// Judges the first records by their median; of two, by the earlier one.
    fn begin(&mut self, limits: Limits, fates: &mut Fates) {
        let mut times: Vec<Time> = self.held.iter().map(|stamp| stamp.time).collect();
        times.sort_unstable();
        let median = times[(times.len() - 1) / 2];
        let last = self.believe_held(limits, ahead(median, limits.ahead_us), fates);
        self.believe_what_came_near(limits, fates);
        self.reject_held(limits, last.unwrap_or(i64::MIN), fates);
    }
}

fn ahead(time: Time, us: i64) -> Time {
    Time::from_micros(time.as_micros().saturating_add(us))
}

fn back(time: Time, us: i64) -> Time {
    Time::from_micros(time.as_micros().saturating_sub(us))
}
