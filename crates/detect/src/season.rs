//! What was usual at this clock time on earlier days.

use serde::{Deserialize, Serialize};

use crate::faults::Faults;

/// The width of a slot of the day, in seconds.
const SLOT_S: i64 = 600;
const SLOTS: i64 = 86_400 / SLOT_S;
/// How many days are remembered: a week, so that a Monday knows the last one.
const DAYS: i64 = 7;

/// The highest level and the mean level of every ten minutes of the last seven days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Season {
    first_slot: i64,
    newest_slot: i64,
    highest: Vec<u64>,
    /// Units times seconds.
    integral: Vec<u64>,
    until_s: i64,
}

impl Season {
    /// A season of which nothing is known before `now_s`.
    pub fn new(now_s: i64) -> Season {
        let slot = now_s.div_euclid(SLOT_S);
        let slots = (SLOTS * DAYS) as usize;
        let (highest, integral) = (vec![0; slots], vec![0; slots]);
        Season { first_slot: slot, newest_slot: slot, highest, integral, until_s: now_s }
    }

    /// Says that the level was `before` until `now_s` and is `value` from there on.
    pub fn observe(&mut self, now_s: i64, before: u64, value: u64) {
        let slot = now_s.div_euclid(SLOT_S);
        if slot - self.newest_slot > SLOTS * DAYS {
            *self = Season::new(now_s);
        }
        while self.newest_slot < slot {
            let end_s = (self.newest_slot + 1) * SLOT_S;
            self.integral[place(self.newest_slot)] += before * (end_s - self.until_s) as u64;
            self.newest_slot += 1;
            self.highest[place(self.newest_slot)] = before;
            self.integral[place(self.newest_slot)] = 0;
            self.until_s = end_s;
        }
        self.integral[place(slot)] += before * (now_s - self.until_s).max(0) as u64;
        self.until_s = now_s.max(self.until_s);
        let highest = &mut self.highest[place(slot)];
        *highest = (*highest).max(value);
    }

    /// The highest of the earlier days' means over the same hours of the clock as `from_s` to
    /// `to_s`, widened to whole slots, or `None` if no earlier day was seen.
    pub fn usual_mean(&self, from_s: i64, to_s: i64, faults: &Faults) -> Option<f64> {
        let (from, to) = (from_s.div_euclid(SLOT_S), (to_s - 1).div_euclid(SLOT_S));
        let mut highest: Option<f64> = None;
        for day in 1..=DAYS {
            let (from, to) = (from - day * SLOTS, to - day * SLOTS);
            // The first slot of all was not seen from its beginning.
            let spoilt = faults.filled(from * SLOT_S, (to + 1) * SLOT_S);
            if from > self.first_slot && from > self.newest_slot - SLOTS * DAYS && !spoilt {
                let sum: u64 = (from..=to).map(|slot| self.integral[place(slot)]).sum();
                let mean = sum as f64 / ((to - from + 1) * SLOT_S) as f64;
                highest = Some(highest.map_or(mean, |other| other.max(mean)));
            }
        }
        highest
    }

    /// The highest level within twenty minutes of this clock time on the earlier days that were
    /// seen, or `None` if none was. What a fault filled does not count.
    pub fn usual_peak(&self, now_s: i64, faults: &Faults) -> Option<u64> {
        let slot = now_s.div_euclid(SLOT_S);
        let seen = |&slot: &i64| {
            slot >= self.first_slot
                && slot > self.newest_slot - SLOTS * DAYS
                && !faults.filled(slot * SLOT_S, (slot + 1) * SLOT_S)
        };
        let days = (1..=DAYS).map(|day| slot - day * SLOTS);
        let slots = days.flat_map(|slot| slot - 2..=slot + 2).filter(seen);
        slots.map(|slot| self.highest[place(slot)]).max()
    }
}

fn place(slot: i64) -> usize {
    slot.rem_euclid(SLOTS * DAYS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: i64 = 86_400;

    #[test]
    fn the_first_day_knows_nothing() {
        let mut season = Season::new(0);
        season.observe(3_600, 0, 5);
        assert_eq!(season.usual_peak(DAY_S - 7_200, &Faults::default()), None);
    }

    #[test]
    fn yesterdays_peak_is_usual_at_the_same_time_and_not_at_another() {
        let mut season = Season::new(0);
        season.observe(10 * SLOT_S, 3, 50);
        season.observe(11 * SLOT_S, 50, 3);
        season.observe(DAY_S + 10 * SLOT_S, 3, 3);
        assert_eq!(season.usual_peak(DAY_S + 11 * SLOT_S, &Faults::default()), Some(50));
        assert_eq!(season.usual_peak(DAY_S + 20 * SLOT_S, &Faults::default()), Some(3));
    }

    #[test]
    fn means_are_of_the_same_hours() {
        let mut season = Season::new(0);
        season.observe(10 * SLOT_S, 3, 50);
        season.observe(11 * SLOT_S, 50, 3);
        season.observe(DAY_S, 3, 3);
        let usual = |from, to| {
            season.usual_mean(DAY_S + from * SLOT_S, DAY_S + to * SLOT_S, &Faults::default())
        };
        assert_eq!(usual(10, 11), Some(50.0));
        assert_eq!(usual(9, 11), Some(26.5));
        assert_eq!(usual(0, 1), None);
    }
}
