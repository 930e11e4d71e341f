//! Floors: the least and the most that was in use in each stretch of time, at many time scales.

use std::collections::VecDeque;

use plimsoll_model::Time;
use serde::{Deserialize, Serialize};

/// The width of the finest scale's stretches, in seconds; each scale is four times as wide as the
/// one before.
const FINEST_S: i64 = 8;

/// How many scales there are: windows of three minutes, 13 minutes, 51 minutes, 3.4 hours,
/// 14 hours, 2.3 days, 9 days and 36 days.
pub const SCALES: usize = 8;

/// How many stretches a scale keeps.
pub const FLOORS_MAX: usize = 24;

/// How many stretches the curve of a whole life keeps at most; it has at least half as many once
/// the life is old enough.
pub const CURVE_MAX: usize = 32;

/// The width of a young curve's stretches, in seconds.
const CURVE_FINEST_S: i64 = 2;

/// One stretch of time: its number on the grid of its width, the least and the most in use.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Floor {
    number: u32,
    low: f32,
    high: f32,
}

/// A point of a fit: seconds since 1970 at the middle of a stretch, its floor and its peak, bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The middle of the stretch.
    pub at_s: f64,
    /// The least in use.
    pub low: f64,
    /// The most in use.
    pub high: f64,
}

/// The floors of one life: at most 8 × 32 places of 12 bytes, 3.1 KB.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Floors {
    scales: [VecDeque<Floor>; SCALES],
}

/// The width of the stretches of scale `scale`, in seconds.
pub const fn width_s(scale: usize) -> i64 {
    FINEST_S << (2 * scale)
}

impl Floors {
    /// Takes a value; tells which scales have a new complete stretch, as a set of bits.
    pub fn take(&mut self, time: Time, value: f64) -> u8 {
        let second = time.second().0.max(0);
        let mut complete = 0;
        for (scale, floors) in self.scales.iter_mut().enumerate() {
            let number = u32::try_from(second / width_s(scale)).unwrap_or(u32::MAX);
            let value = value as f32;
            match floors.back() {
                Some(newest) if number > newest.number => complete |= 1 << scale,
                _ => {}
            }
            match floors.binary_search_by_key(&number, |floor| floor.number) {
                Ok(place) => {
                    let floor = &mut floors[place];
                    floor.low = floor.low.min(value);
                    floor.high = floor.high.max(value);
                }
                Err(place) => floors.insert(place, Floor { number, low: value, high: value }),
            }
            if floors.len() > FLOORS_MAX + 1 {
                floors.pop_front();
            }
        }
        complete
    }

    /// The complete stretches of a scale, oldest first; not the one in which the life began, which
    /// is short.
    pub fn points(&self, scale: usize) -> Vec<Point> {
        let floors = &self.scales[scale];
        let skipped = usize::from(floors.len() <= FLOORS_MAX);
        let complete = floors.iter().take(floors.len().saturating_sub(1)).skip(skipped);
        complete
            .map(|floor| point(i64::from(floor.number), width_s(scale), floor.low, floor.high))
            .collect()
    }
}

fn point(number: i64, width_s: i64, low: f32, high: f32) -> Point {
    Point {
        at_s: (number as f64 + 0.5) * width_s as f64,
        low: f64::from(low),
        high: f64::from(high),
    }
}

/// The floors of a whole life at one width, which doubles as the life grows: at most 384 bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Curve {
    width_s: i64,
    floors: VecDeque<Floor>,
}

impl Default for Curve {
    fn default() -> Curve {
        Curve { width_s: CURVE_FINEST_S, floors: VecDeque::new() }
    }
}

impl Curve {
    /// Takes a value; a value from before its first stretch is none of it.
    pub fn take(&mut self, time: Time, value: f64) {
        let second = time.second().0.max(0);
        let value = value as f32;
        let number = |width_s| u32::try_from(second / width_s).unwrap_or(u32::MAX);
        // The number of stretches counts those without a value, so that the width follows the age.
        while let Some(first) = self.floors.front()
            && number(self.width_s).saturating_sub(first.number) as usize >= CURVE_MAX
        {
            self.double();
        }
        let number = number(self.width_s);
        match self.floors.binary_search_by_key(&number, |floor| floor.number) {
            Ok(place) => {
                let floor = &mut self.floors[place];
                floor.low = floor.low.min(value);
                floor.high = floor.high.max(value);
            }
            Err(place) if place > 0 || self.floors.is_empty() => {
                self.floors.insert(place, Floor { number, low: value, high: value });
            }
            Err(_) => {}
        }
    }

    fn double(&mut self) {
        self.width_s *= 2;
        let mut merged: VecDeque<Floor> = VecDeque::with_capacity(CURVE_MAX);
        for floor in &self.floors {
            let number = floor.number / 2;
            match merged.back_mut() {
                Some(last) if last.number == number => {
                    last.low = last.low.min(floor.low);
                    last.high = last.high.max(floor.high);
                }
                _ => merged.push_back(Floor { number, ..*floor }),
            }
        }
        self.floors = merged;
    }

    /// The stretches without the first and the last, which may be short, and without the first
    /// `skip` share of the life.
    pub fn points(&self, skip: f64) -> Vec<Point> {
        let (Some(first), Some(last)) = (self.floors.front(), self.floors.back()) else {
            return Vec::new();
        };
        let begin = f64::from(first.number) + skip * f64::from(last.number - first.number);
        let inner = |floor: &&Floor| {
            floor.number > first.number
                && floor.number < last.number
                && f64::from(floor.number) >= begin
        };
        let points = self.floors.iter().filter(inner);
        points
            .map(|floor| point(i64::from(floor.number), self.width_s, floor.low, floor.high))
            .collect()
    }

    /// The width of a stretch, in seconds.
    pub fn width_s(&self) -> i64 {
        self.width_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_has_its_least_and_its_most() {
        let mut floors = Floors::default();
        let at = |second: i64| Time::from_seconds(1_700_000_000 + second);
        assert_eq!(1_700_000_000 % width_s(0), 0);
        // The life begins within a stretch, which is none.
        assert_eq!(floors.take(at(-1), 1.0), 0);
        assert_eq!(floors.take(at(0), 5.0) & 1, 1);
        assert_eq!(floors.take(at(7), 3.0), 0);
        assert_eq!(floors.take(at(8), 9.0) & 1, 1);
        // A late value counts in its own stretch.
        floors.take(at(3), 7.0);
        let expected = Point { at_s: 1_700_000_004.0, low: 3.0, high: 7.0 };
        assert_eq!(floors.points(0), [expected]);
    }

    #[test]
    fn a_curve_covers_the_whole_life_with_a_bounded_number_of_stretches() {
        let mut curve = Curve::default();
        for second in 0..100_000 {
            curve.take(Time::from_seconds(1_700_000_000 + second), second as f64);
        }
        let points = curve.points(0.0);
        assert!((CURVE_MAX / 2 - 2..CURVE_MAX).contains(&points.len()), "{}", points.len());
        // The floor of a rising line is its value where the stretch begins.
        for point in &points {
            let begin = point.at_s - 1_700_000_000.0 - curve.width_s() as f64 / 2.0;
            assert!((point.low - begin).abs() <= 1.0, "{point:?}");
        }
    }
}
