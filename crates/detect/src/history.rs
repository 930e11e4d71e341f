//! The histories of one resource and its holders, read as stretches.

use plimsoll_model::Dimension;
use serde::{Deserialize, Serialize};

use crate::groups::{Group, Groups};
use crate::levels::{BUCKET_S, DAILY, Levels, SCALES};
use crate::trend::Stretch;
use crate::view::{HolderLevel, ResourceView};

/// How many buckets of each scale are kept.
const DEPTH: u16 = 20;
/// How many buckets of the next scale stand before those of a scale.
const COARSE: i64 = 15;

/// How many buckets are kept of the scale by which days are compared: two days, less an hour.
const DAYS_DEPTH: u16 = 80;
/// So many of its buckets, and 3/16 of one, are a day.
const DAY: i64 = 42;

/// The history of one holder: at most 3.4 KiB after two days, 2 KiB after an hour.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HolderHistory {
    /// Units held.
    pub held: Levels,
    /// Units opened so far, as a level.
    pub opened: Levels,
}

/// The histories of everybody.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct History {
    /// The first second of which anything is known.
    pub known_from_s: i64,
    /// Units held by everybody.
    pub held: Levels,
    /// The square of it.
    pub square: Levels,
    holders: Vec<HolderHistory>,
    #[serde(skip)]
    groups: Groups,
}

impl History {
    /// A history that begins with the resource.
    pub fn new(known_from_s: i64) -> History {
        History {
            known_from_s,
            held: Levels::with_days(known_from_s, DEPTH, DAYS_DEPTH),
            square: Levels::new(known_from_s, DEPTH),
            holders: Vec::new(),
            groups: Groups::default(),
        }
    }

    /// Takes over what changed in the tick that ended at `now_s`. A group of holders is lively
    /// while it holds more than `quiet` units.
    pub fn observe(&mut self, now_s: i64, view: &ResourceView<'_>, quiet: Option<u64>) {
        self.held.set(now_s, view.held);
        self.square.set(now_s, view.held.saturating_mul(view.held));
        if self.groups.quiet() != quiet {
            self.groups = Groups::new(quiet);
        }
        let known = self.holders.len();
        for &index in view.changed {
            self.observe_holder(now_s, index as usize, &view.holders[index as usize]);
        }
        for index in self.groups.len()..self.holders.len() {
            // A holder that was known before, but not in its groups, comes out of a saved state.
            let lively_until_s = if index < known { now_s } else { i64::MIN };
            self.groups.join(now_s, lively_until_s, view.holders, &self.holders);
        }
    }

    fn observe_holder(&mut self, now_s: i64, index: usize, holder: &HolderLevel) {
        while self.holders.len() <= index {
            let held = Levels::with_days(now_s, DEPTH, DAYS_DEPTH);
            self.holders.push(HolderHistory { held, opened: Levels::new(now_s, DEPTH) });
        }
        let history = &mut self.holders[index];
        if index < self.groups.len() {
            self.groups.change(index, now_s, history.held.value(), holder.held);
        }
        history.held.set(now_s, holder.held);
        history.opened.set(now_s, holder.opened);
    }

    /// The histories of the holders, by index. The newest holders may have none yet: nothing has
    /// changed in their accounts.
    pub fn histories(&self) -> &[HolderHistory] {
        &self.holders
    }

    /// The holders with a history, by the values that they share.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Units that those with `value` in `dimension` hold now.
    pub fn held_by(&self, dimension: Dimension, value: &str, view: &ResourceView<'_>) -> u64 {
        let group = self.groups.find(dimension, value, view.holders);
        let others = view.holders[self.groups.len()..].iter();
        let others = others.filter(|level| level.holder.get(dimension) == Some(value));
        group.map_or(0, Group::held) + others.map(|level| level.held).sum::<u64>()
    }

    /// The bytes that the histories take.
    pub fn bytes(&self) -> usize {
        let of = |holder: &HolderHistory| holder.held.bytes() + holder.opened.bytes();
        let holders: usize = self.holders.iter().map(of).sum();
        self.held.bytes() + self.square.bytes() + holders + self.groups.bytes()
    }
}

/// The stretches of time that one scale looks at: its own newest buckets and, before them, the
/// newest of the next scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    scale: usize,
    coarse_first: i64,
    coarse: usize,
    fine_first: i64,
    /// How many stretches are of the scale's own width.
    pub fine: usize,
    /// Whether what is read is not the level, but how much higher it is than a day before.
    daily: bool,
}

impl Grid {
    /// The stretches of `scale` up to `now_s`, of which nothing before `known_from_s` is known.
    pub fn new(scale: usize, now_s: i64, known_from_s: i64) -> Grid {
        let width = BUCKET_S[scale];
        let newest = now_s.div_euclid(width);
        // The first bucket is complete only if the history was there when it began.
        let known = (known_from_s + width - 1).div_euclid(width);
        let oldest = newest - i64::from(DEPTH);
        if known >= oldest || scale + 1 == SCALES {
            let fine_first = known.max(oldest);
            let fine = (newest - fine_first).max(0) as usize;
            return Grid { scale, coarse_first: 0, coarse: 0, fine_first, fine, daily: false };
        }
        let coarse_end = oldest.div_euclid(4) + 1;
        let wide = BUCKET_S[scale + 1];
        let coarse_known = (known_from_s + wide - 1).div_euclid(wide);
        let coarse_first = (coarse_end - COARSE).max(coarse_known).min(coarse_end);
        let fine_first = coarse_end * 4;
        let fine = (newest - fine_first).max(0) as usize;
        let coarse = (coarse_end - coarse_first) as usize;
        Grid { scale, coarse_first, coarse, fine_first, fine, daily: false }
    }

    /// The stretches up to `now_s` that can be compared with those a day before.
    pub fn daily(now_s: i64, known_from_s: i64) -> Grid {
        let width = BUCKET_S[DAILY];
        let newest = now_s.div_euclid(width);
        let known = (known_from_s + width - 1).div_euclid(width);
        let fine_first = known.max(newest - i64::from(DAYS_DEPTH)) + DAY + 1;
        let fine = (newest - fine_first).max(0) as usize;
        Grid { scale: DAILY, coarse_first: 0, coarse: 0, fine_first, fine, daily: true }
    }

    /// The level itself up to `now_s` at the next finer scale, if there is one.
    pub fn finer(&self, now_s: i64, known_from_s: i64) -> Option<Grid> {
        Some(Grid::new(self.scale.checked_sub(1)?, now_s, known_from_s))
    }

    /// Whether differences from the day before are read.
    pub fn is_daily(&self) -> bool {
        self.daily
    }

    /// The same stretches, and the level itself.
    pub fn plain(&self) -> Grid {
        Grid { daily: false, ..*self }
    }

    /// How many stretches there are.
    pub fn len(&self) -> usize {
        self.coarse + self.fine
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The width of the newest stretches, in seconds.
    pub fn width_s(&self) -> i64 {
        BUCKET_S[self.scale]
    }

    /// The first and the last second of a stretch.
    pub fn span(&self, place: usize) -> (i64, i64) {
        let (first, width, place) = match place.checked_sub(self.coarse) {
            Some(fine) => (self.fine_first, BUCKET_S[self.scale], fine),
            None => (self.coarse_first, BUCKET_S[self.scale + 1], place),
        };
        let from_s = (first + place as i64) * width;
        (from_s, from_s + width)
    }

    /// Adds the integrals of `levels` over the stretches to `sums`; of differences, sixteen times
    /// as much, modulo 2⁶⁴.
    pub fn add(&self, levels: &Levels, sums: &mut [u64]) {
        if self.daily {
            let mut now = vec![0_u64; self.fine];
            let mut before = vec![0_u64; self.fine + 1];
            levels.add_to(self.scale, self.fine_first, &mut now);
            levels.add_to(self.scale, self.fine_first - DAY - 1, &mut before);
            for (place, sum) in sums.iter_mut().enumerate() {
                // A day before, a stretch covers 3/16 of one bucket and 13/16 of the next.
                let usual = 3_u64.wrapping_mul(before[place]);
                let usual = usual.wrapping_add(13_u64.wrapping_mul(before[place + 1]));
                let more = 16_u64.wrapping_mul(now[place]).wrapping_sub(usual);
                *sum = sum.wrapping_add(more);
            }
            return;
        }
        let (coarse, fine) = sums.split_at_mut(self.coarse);
        if self.coarse > 0 {
            levels.add_to(self.scale + 1, self.coarse_first, coarse);
        }
        levels.add_to(self.scale, self.fine_first, fine);
    }

    /// What [`Grid::add`] added up, in units times seconds.
    pub fn integral(&self, sum: u64) -> f64 {
        if self.daily { sum as i64 as f64 / 16.0 } else { sum as f64 }
    }

    /// Integrals as means over the stretches.
    pub fn stretches(&self, sums: &[u64]) -> Vec<Stretch> {
        let stretch = |(place, &sum): (usize, &u64)| {
            let (from_s, to_s) = self.span(place);
            let integral = self.integral(sum);
            Stretch { from_s, to_s, mean: integral / (to_s - from_s) as f64 }
        };
        sums.iter().enumerate().map(stretch).collect()
    }

    /// One history as means over the stretches.
    pub fn read(&self, levels: &Levels) -> Vec<Stretch> {
        let mut sums = vec![0; self.len()];
        self.add(levels, &mut sums);
        self.stretches(&sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_follow_each_other_and_end_now() {
        for now_s in [1_000_000, 1_000_002, 1_000_006, 1_000_014] {
            let grid = Grid::new(0, now_s, 0);
            assert!((16..=20).contains(&grid.fine), "{grid:?}");
            for place in 1..grid.len() {
                assert_eq!(grid.span(place - 1).1, grid.span(place).0);
            }
            assert_eq!(grid.span(grid.len() - 1).1, now_s);
        }
    }

    // By hand: 10 units, and 6 more for the newest fifth of a day; before that nothing differs.
    #[test]
    fn days_are_compared_at_the_same_time_of_the_clock() {
        let width = BUCKET_S[DAILY];
        let mut levels = Levels::with_days(0, DEPTH, DAYS_DEPTH);
        levels.set(0, 10);
        levels.set(52 * width, 16);
        levels.extend(60 * width);
        let grid = Grid::daily(60 * width, 0);
        let read = grid.read(&levels);
        assert_eq!((read[0].from_s, read.len()), (43 * width, 17));
        assert!(read.iter().all(|s| s.mean == if s.from_s < 52 * width { 0.0 } else { 6.0 }));
        levels.extend(96 * width);
        let read = Grid::daily(96 * width, 0).read(&levels);
        let newest: Vec<f64> = read[read.len() - 3..].iter().map(|s| s.mean).collect();
        // A day before the bucket 94 lie 3/16 of bucket 51 and 13/16 of bucket 52.
        assert_eq!(newest, [6.0, 6.0 * 3.0 / 16.0, 0.0]);
    }

    #[test]
    fn a_young_history_has_no_stretch_before_it_began() {
        let grid = Grid::new(0, 1_010, 1_001);
        assert_eq!((grid.len(), grid.span(0)), (4, (1_002, 1_004)));
    }

    #[test]
    fn a_steady_level_reads_the_same_everywhere() {
        let mut levels = Levels::new(0, DEPTH);
        levels.set(0, 7);
        levels.extend(100_000);
        let grid = Grid::new(2, 100_000, 0);
        assert!(grid.read(&levels).iter().all(|stretch| stretch.mean == 7.0));
    }
}
