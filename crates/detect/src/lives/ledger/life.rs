//! One life: what is kept of it while it goes on, and what when it is over.

use std::time::Duration;

use plimsoll_model::lives::EndCause;
use plimsoll_model::{Dimension, Interval, OwnedHolder, Time};
use serde::{Deserialize, Serialize};

use super::Service;
use crate::lives::floors::{Curve, Floors, Point};

/// How many sizes of falls are told apart.
pub(super) const FALLS: usize = 20;

/// A fall of so much of what was gained is one.
const FALL: f64 = 0.25;

/// One life that goes on: 3.8 KB at most.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Life {
    pub started: Time,
    pub start_known: bool,
    /// Its newest sample.
    pub last: Time,
    /// The newest sample of what is judged.
    pub(super) judged: Time,
    /// Bytes in use then.
    pub level: f64,
    /// Which metric is judged: the larger, the better.
    pub kind: u8,
    pub floors: Floors,
    pub curve: Curve,
    /// The least in use.
    pub base: f64,
    /// The most in use since the last fall.
    pub high: f64,
    /// The highest level that it came down from by and by.
    pub safe: f64,
    /// When it last fell at once by at least 2^(20 + place) bytes: seconds since 1970.
    pub(super) falls: [u32; FALLS],
    /// When memory would run out, as last forecast.
    pub forecast: Option<Interval>,
}

/// How a life ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct End {
    pub at: Time,
    /// Whether a row said so; else it is the last sign of life.
    pub told: bool,
    pub cause: EndCause,
    pub level: f64,
    pub started: Time,
    pub start_known: bool,
    pub forecast: Option<Interval>,
    /// Another instance has taken its place.
    pub replaced: bool,
}

/// A life that is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Past {
    pub holder: OwnedHolder,
    pub started: Time,
    pub start_known: bool,
    pub ended: Time,
    pub cause: EndCause,
    /// Its floors: seconds since 1970 and bytes.
    pub floors: Vec<(f64, f32)>,
    /// How far the peaks stand above them, on average.
    pub spread: f32,
}

impl Past {
    pub fn uptime_s(&self) -> f64 {
        self.ended.micros_since(self.started) as f64 / 1e6
    }

    pub fn points(&self) -> Vec<Point> {
        let point = |(at_s, low): &(f64, f32)| Point {
            at_s: *at_s,
            low: f64::from(*low),
            high: f64::from(*low),
        };
        self.floors.iter().map(point).collect()
    }

    pub fn release(&self) -> Option<&str> {
        self.holder.get(Dimension::ServiceVersion)
    }
}

/// The share of a climb that its beginning is found by.
const CLIMB_BEGUN: f64 = 0.1;

impl Life {
    /// When it began to climb to its level from its lowest floor, and how far that is, bytes. A
    /// straight climb has a tenth of its way behind it when it has a tenth of its time.
    pub fn climb(&self) -> (Time, f64) {
        let points = self.curve.points(0.0);
        let least = points.iter().map(|point| point.low).fold(self.level, f64::min);
        let climbed = self.level - least;
        let begun = points.iter().rev().find(|point| point.low <= least + CLIMB_BEGUN * climbed);
        let Some(begun) = begun else { return (self.started, climbed) };
        let begun = Time::from_micros((begun.at_s * 1e6) as i64);
        let before_us = self.last.micros_since(begun) as f64 * CLIMB_BEGUN / (1.0 - CLIMB_BEGUN);
        let onset = begun.minus(Duration::from_micros(before_us.max(0.0) as u64));
        let first = points.first().map_or(self.started, |first| {
            Time::from_micros((first.at_s * 1e6) as i64).min(self.started)
        });
        (onset.max(first), climbed)
    }

    /// Since when it has not fallen at once by about `bytes`.
    pub fn unfallen_since(&self, bytes: f64) -> Time {
        let fall = size_of(bytes).map_or(0, |size| self.falls[size]);
        Time::from_seconds(fall.into()).max(self.started)
    }

    /// What fell at once was collected: such falls, and the time between them, are known by size.
    pub(super) fn note_fall(&mut self, service: &mut Service, time: Time, value: f64) {
        let Some(largest) = size_of(self.level - value) else { return };
        let now = u32::try_from(time.second().0).unwrap_or(u32::MAX);
        let started = u32::try_from(self.started.second().0).unwrap_or(0);
        for size in 0..=largest {
            let since = self.falls[size].max(started);
            let cycle_s = now.saturating_sub(since) as f32;
            service.cycles_s[size] = (0.95 * service.cycles_s[size]).max(cycle_s);
            self.falls[size] = now;
        }
    }

    /// Takes a value; tells which scales have a new complete stretch.
    pub(super) fn take(&mut self, time: Time, value: f64) -> u8 {
        let before = self.level;
        if time >= self.last {
            self.last = time;
            self.level = value;
        }
        self.base = self.base.min(value);
        self.high = self.high.max(value);
        let gained = self.high - self.base;
        if self.high - value >= FALL * gained && gained > 0.02 * self.high {
            // What falls at once was collected; it says nothing of how high is safe.
            if before - value < FALL * gained {
                self.safe = self.safe.max(self.high);
            }
            self.high = value;
        }
        self.curve.take(time, value);
        self.floors.take(time, value)
    }
}

/// The class of a fall: 0 from 1 MiB on, each class twice as much as the one before.
pub(super) fn size_of(bytes: f64) -> Option<usize> {
    let class = (bytes / 1_048_576.0).log2();
    (class >= 0.0).then(|| (class as usize).min(FALLS - 1))
}
