//! The histories of one resource and its holders, read as stretches.

use plimsoll_model::Dimension;
use serde::{Deserialize, Serialize};

use crate::groups::{Group, Groups};
use crate::levels::{BUCKET_S, Levels, SCALES};
use crate::trend::Stretch;
use crate::view::{HolderLevel, ResourceView};

/// How many buckets of each scale are kept.
const DEPTH: u16 = 20;
/// How many buckets of the next scale stand before those of a scale.
const COARSE: i64 = 15;

/// The history of one holder: at most 2.9 KiB after two days, 2 KiB after an hour.
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
            held: Levels::new(known_from_s, DEPTH),
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
            let empty = Levels::new(now_s, DEPTH);
            self.holders.push(HolderHistory { held: empty.clone(), opened: empty });
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
            return Grid { scale, coarse_first: 0, coarse: 0, fine_first, fine };
        }
        let coarse_end = oldest.div_euclid(4) + 1;
        let wide = BUCKET_S[scale + 1];
        let coarse_known = (known_from_s + wide - 1).div_euclid(wide);
        let coarse_first = (coarse_end - COARSE).max(coarse_known).min(coarse_end);
        let fine_first = coarse_end * 4;
        let fine = (newest - fine_first).max(0) as usize;
        let coarse = (coarse_end - coarse_first) as usize;
        Grid { scale, coarse_first, coarse, fine_first, fine }
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

    /// Adds the integrals of `levels` over the stretches to `sums`.
    pub fn add(&self, levels: &Levels, sums: &mut [u64]) {
        let (coarse, fine) = sums.split_at_mut(self.coarse);
        if self.coarse > 0 {
            levels.add_to(self.scale + 1, self.coarse_first, coarse);
        }
        levels.add_to(self.scale, self.fine_first, fine);
    }

    /// Integrals as means over the stretches.
    pub fn stretches(&self, sums: &[u64]) -> Vec<Stretch> {
        let stretch = |(place, &sum): (usize, &u64)| {
            let (from_s, to_s) = self.span(place);
            Stretch { from_s, to_s, mean: sum as f64 / (to_s - from_s) as f64 }
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
