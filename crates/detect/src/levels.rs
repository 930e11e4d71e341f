//! The history of a level at several time scales, bounded whatever happens.
//!
//! A level is a step function of time. What is kept of it are its integrals (units times seconds)
//! over buckets of a fixed grid: integers, so that they do not depend on when they were added up.
//! `docs/detectors.md`, "Growth to the limit", says why these scales.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// The widths of the buckets, in seconds. Each is four times the one before.
pub const BUCKET_S: [i64; SCALES] = [2, 8, 32, 128, 512, 2_048, 8_192];

/// A bucket's number is its first second, shifted: the widths are powers of two.
const SHIFT: [u32; SCALES] = [1, 3, 5, 7, 9, 11, 13];

/// How many scales there are: from seconds to days.
pub const SCALES: usize = 7;

/// The scale by which days are compared.
pub const DAILY: usize = 5;

/// The integrals of one step function over the newest buckets of each scale.
///
/// Buckets stand on the grid of absolute event time, so two histories can be added bucket by
/// bucket. Before its first change a level counts as zero. At most `depth` buckets are kept at
/// each scale; older ones are forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Levels {
    value: u64,
    until_s: i64,
    /// The integral over all time, modulo 2⁶⁴: only differences are read.
    sum: u64,
    depth: u16,
    /// How many are kept at the scale [`DAILY`].
    daily_depth: u16,
    scales: [Scale; SCALES],
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Scale {
    /// `sum` where the bucket that is not complete yet began.
    begun: u64,
    /// The integrals over complete buckets, oldest first.
    closed: VecDeque<u64>,
}

impl Levels {
    /// A level that is zero until `now_s`, of which `depth` buckets are kept at each scale.
    pub fn new(now_s: i64, depth: u16) -> Levels {
        let scales = Default::default();
        Levels { value: 0, until_s: now_s, sum: 0, depth, daily_depth: depth, scales }
    }

    /// The same, of which `daily_depth` buckets are kept at the scale [`DAILY`].
    pub fn with_days(now_s: i64, depth: u16, daily_depth: u16) -> Levels {
        Levels { daily_depth, ..Levels::new(now_s, depth) }
    }

    /// The level now.
    pub fn value(&self) -> u64 {
        self.value
    }

    /// Says that the level was unchanged until `now_s` and is `value` from there on.
    ///
    /// A `now_s` before the newest one changes only the value. Costs a few operations, plus one
    /// for each bucket completed, of which at most `depth` at each scale.
    pub fn set(&mut self, now_s: i64, value: u64) {
        self.extend(now_s);
        self.value = value;
    }

    /// Says that the level was unchanged until `now_s`.
    pub fn extend(&mut self, now_s: i64) {
        if now_s <= self.until_s {
            return;
        }
        let area = |from_s: i64, to_s: i64| self.value.wrapping_mul((to_s - from_s) as u64);
        for (place, (scale, shift)) in self.scales.iter_mut().zip(SHIFT).enumerate() {
            let depth = if place == DAILY { self.daily_depth } else { self.depth };
            let (from, to) = (self.until_s >> shift, now_s >> shift);
            if from == to {
                // The buckets of coarser scales have the same boundaries, only fewer.
                break;
            }
            let first_end = self.sum.wrapping_add(area(self.until_s, (from + 1) << shift));
            scale.push(first_end.wrapping_sub(scale.begun), 1, depth);
            // Of the buckets in between only the newest `depth` would be kept.
            let between = (to - from - 1).min(i64::from(depth)) as usize;
            scale.push(self.value << shift, between, depth);
            scale.begun = self.sum.wrapping_add(area(self.until_s, to << shift));
        }
        self.sum = self.sum.wrapping_add(area(self.until_s, now_s));
        self.until_s = now_s;
    }

    /// Says that the level was unchanged until `now_s`, and adds `other`, which was unchanged
    /// until then too.
    pub fn absorb(&mut self, now_s: i64, other: &Levels) {
        let mut other = other.clone();
        other.extend(now_s);
        self.extend(now_s);
        debug_assert_eq!((self.until_s, self.depth), (other.until_s, other.depth));
        self.value += other.value;
        self.sum = self.sum.wrapping_add(other.sum);
        for (scale, mut other) in self.scales.iter_mut().zip(other.scales) {
            scale.begun = scale.begun.wrapping_add(other.begun);
            if other.closed.len() > scale.closed.len() {
                std::mem::swap(&mut scale.closed, &mut other.closed);
            }
            // Both end now; before its first bucket the shorter one was zero.
            for (sum, integral) in scale.closed.iter_mut().rev().zip(other.closed.iter().rev()) {
                *sum += integral;
            }
        }
    }

    /// Adds the integrals over the buckets `first..first + into.len()` of `scale` to `into`.
    ///
    /// Bucket `i` covers the seconds `[i * width, (i + 1) * width)`. Buckets that are forgotten,
    /// or before the first change, add nothing. After its newest change the level is taken to be
    /// unchanged for as long as is asked.
    pub fn add_to(&self, scale: usize, first: i64, into: &mut [u64]) {
        let shift = SHIFT[scale];
        let Scale { begun, closed } = &self.scales[scale];
        let open = self.until_s >> shift;
        let oldest = open - closed.len() as i64;
        let skip = (first - oldest).max(0) as usize;
        let place = (oldest - first).max(0) as usize;
        for (sum, integral) in into.iter_mut().skip(place).zip(closed.iter().skip(skip)) {
            *sum += integral;
        }
        if let Some(sum) = usize::try_from(open - first).ok().and_then(|at| into.get_mut(at)) {
            let rest = self.value.wrapping_mul((((open + 1) << shift) - self.until_s) as u64);
            *sum += self.sum.wrapping_add(rest).wrapping_sub(*begun);
        }
        let later = (open + 1 - first).max(0) as usize;
        if self.value > 0 {
            into.iter_mut().skip(later).for_each(|sum| *sum += self.value << shift);
        }
    }

    /// The bytes that the history takes, without what the allocator adds.
    pub fn bytes(&self) -> usize {
        let buckets: usize = self.scales.iter().map(|scale| scale.closed.capacity()).sum();
        size_of::<Levels>() + buckets * size_of::<u64>()
    }
}

impl Scale {
    /// Appends `count` buckets, at most `depth` of them.
    fn push(&mut self, integral: u64, count: usize, depth: u16) {
        let depth = usize::from(depth);
        let beyond = (self.closed.len() + count).saturating_sub(depth);
        self.closed.drain(..beyond);
        if self.closed.len() + count > self.closed.capacity() {
            // Doubling would hold twelve unused buckets at each of twenty.
            let needed = (self.closed.len() + count).next_multiple_of(4).min(depth);
            self.closed.reserve_exact(needed - self.closed.len());
        }
        self.closed.extend(std::iter::repeat_n(integral, count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets the level at the given seconds, then reads buckets of `scale` from `first` on.
    #[track_caller]
    fn check(changes: &[(i64, u64)], now_s: i64, scale: usize, first: i64, expected: &[u64]) {
        let mut levels = Levels::new(changes[0].0, 4);
        for &(at, value) in changes {
            levels.set(at, value);
        }
        levels.extend(now_s);
        let mut sums = vec![0; expected.len()];
        levels.add_to(scale, first, &mut sums);
        assert_eq!(sums, expected);
    }

    #[test]
    fn a_history_of_days_stays_small() {
        let mut levels = Levels::new(0, 20);
        (0..500_000).step_by(1_000).for_each(|second| levels.set(second, second as u64 % 7));
        assert!(levels.bytes() <= 1_500, "{}", levels.bytes());
    }
    #[test]
    fn widths_and_shifts_agree() {
        assert_eq!(SHIFT.map(|shift| 1 << shift), BUCKET_S);
    }
    #[test]
    fn buckets_hold_units_times_seconds() {
        check(&[(100, 3), (101, 5)], 104, 0, 50, &[8, 10]);
    }
    #[test]
    fn a_level_begins_in_the_middle_of_a_bucket() {
        check(&[(101, 3)], 104, 0, 49, &[0, 3, 6]);
    }
    #[test]
    fn after_its_newest_change_a_level_is_unchanged() {
        check(&[(100, 3), (103, 1)], 103, 0, 50, &[6, 4, 2, 2]);
    }
    #[test]
    fn two_levels_added_are_the_level_of_both() {
        let (mut one, mut other) = (Levels::new(100, 4), Levels::new(103, 4));
        let mut both = Levels::new(100, 4);
        let changes = [(100, 3, 0), (103, 3, 2), (109, 1, 2), (122, 1, 0), (123, 4, 7)];
        for (at, first, second) in changes {
            one.set(at, first);
            if at >= 103 {
                other.set(at, second);
            }
            both.set(at, first + second);
        }
        other.absorb(140, &one);
        one = other;
        both.extend(140);
        for (scale, first) in [(0, 66), (1, 13), (2, 0)] {
            let (mut sums, mut expected) = ([0; 4], [0; 4]);
            one.add_to(scale, first, &mut sums);
            both.add_to(scale, first, &mut expected);
            assert_eq!(sums, expected);
        }
    }
    #[test]
    fn the_scale_of_days_may_be_deeper() {
        let mut levels = Levels::with_days(0, 4, 6);
        levels.set(0, 1);
        levels.extend(100 * BUCKET_S[DAILY]);
        let mut sums = [0; 7];
        levels.add_to(DAILY, 93, &mut sums);
        assert_eq!(sums, [0, 2_048, 2_048, 2_048, 2_048, 2_048, 2_048]);
    }
    #[test]
    fn old_buckets_are_forgotten() {
        check(&[(100, 1)], 114, 0, 50, &[0, 0, 0, 2, 2, 2, 2]);
    }
    #[test]
    fn a_long_silence_continues_the_level() {
        check(&[(100, 1), (110, 2)], 1_000_000, 1, 124_996, &[16, 16, 16, 16]);
    }

    #[test]
    fn it_does_not_matter_how_often_the_level_is_extended() {
        let mut seldom = Levels::new(90, 20);
        let mut often = seldom.clone();
        for second in 91..20_000 {
            if second % 17 == 0 {
                seldom.set(second, second as u64 % 23);
                often.set(second, second as u64 % 23);
            }
            often.extend(second);
        }
        seldom.extend(19_999);
        assert_eq!(seldom, often);
    }
}
