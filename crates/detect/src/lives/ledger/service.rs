//! One program: what its instances have in common.

use std::collections::VecDeque;

use plimsoll_model::Time;
use serde::{Deserialize, Serialize};

use super::life::{FALLS, Past, size_of};
use super::{DEPLOY_S, median, push};

/// From so many of the newest gaps the usual time between samples is known.
const GAPS_KEPT: usize = 5;

/// How long an instance may be silent while that is not known, in seconds.
const NOT_KNOWN_S: i64 = 900;

/// One program: the instances that share a service name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Service {
    pub name: Option<String>,
    pub first_seen: Time,
    /// Ended lives that were long enough to tell, in the order of their ends.
    pub past: VecDeque<Past>,
    /// How many were forgotten.
    pub past_before: u64,
    /// Deploys: when, and of which release.
    pub deploys: VecDeque<(Time, Option<String>)>,
    /// Scalings: when, and to how many.
    pub scales: VecDeque<(Time, Option<f64>)>,
    /// How long instances took to come back, in seconds.
    pub(super) returns: VecDeque<f64>,
    /// Instances that appeared and took nobody's place yet.
    pub(super) newcomers: VecDeque<(Time, u32)>,
    /// Names that went silently and for good while others came: names are not kept over lives.
    pub vanished: u32,
    /// Whether any name came back.
    pub keeps_names: bool,
    /// The highest level that a life came down from, or stayed at.
    pub safe: f64,
    /// The longest time between two falls at once of one life, by their size as in its life;
    /// slowly forgotten.
    pub(super) cycles_s: [f32; FALLS],
    /// The last gaps between samples, in seconds.
    gaps: VecDeque<f64>,
    samples: u64,
    missed: u64,
}

impl Service {
    /// A program of which nothing is known but its name.
    pub(super) fn new(name: Option<&str>, first_seen: Time) -> Service {
        Service {
            name: name.map(str::to_owned),
            first_seen,
            past: VecDeque::new(),
            past_before: 0,
            deploys: VecDeque::new(),
            scales: VecDeque::new(),
            returns: VecDeque::new(),
            newcomers: VecDeque::new(),
            vanished: 0,
            keeps_names: false,
            safe: 0.0,
            cycles_s: [0.0; FALLS],
            gaps: VecDeque::new(),
            samples: 0,
            missed: 0,
        }
    }

    /// The usual time between two samples of one instance, in seconds.
    pub fn interval_s(&self) -> f64 {
        median(self.gaps.iter().copied())
    }

    /// How long an instance takes to come back, in seconds, if one ever did.
    pub fn usual_return_s(&self) -> Option<f64> {
        (!self.returns.is_empty()).then(|| median(self.returns.iter().copied()))
    }

    /// How long an instance that was said to have ended may be gone, in seconds: a minute, or
    /// three times the usual return.
    pub fn return_s(&self) -> i64 {
        (3.0 * self.usual_return_s().unwrap_or(0.0)).max(60.0).ceil() as i64
    }

    /// How long an instance may be silent, in seconds: [`Service::return_s`], and until three
    /// samples are missed, or so many that as many are missed in a row once in ten million times.
    /// A sample may come a tenth of its interval late.
    pub fn bound_s(&self) -> i64 {
        if self.gaps.len() < GAPS_KEPT {
            return NOT_KNOWN_S.max(self.return_s());
        }
        let share = (self.missed as f64 + 0.5) / ((self.samples + self.missed) as f64 + 20.0);
        let in_a_row = (1e-7_f64.ln() / share.ln()).ceil().clamp(3.0, 100.0);
        let silence = (in_a_row + 0.1) * self.interval_s() + 1.0;
        (silence.ceil() as i64).max(self.return_s())
    }

    pub(super) fn take_gap(&mut self, gap_s: f64) {
        let usual = self.interval_s();
        self.samples += 1;
        if usual > 0.0 && gap_s > 1.6 * usual {
            self.missed += ((gap_s / usual).round() as u64).saturating_sub(1).min(10);
        }
        push(&mut self.gaps, gap_s, GAPS_KEPT);
    }

    /// The longest time between two falls of at least about `bytes`, in seconds; 0 if none is known.
    pub fn cycle_s(&self, bytes: f64) -> f64 {
        size_of(bytes).map_or(0.0, |size| f64::from(self.cycles_s[size]))
    }

    /// Whether a deploy may still be, or have been, the reason of an end at `end`.
    pub fn is_deploying(&self, end: Time, now: Time) -> bool {
        self.deploys.iter().any(|(at, _)| {
            at.micros_since(end).abs() <= DEPLOY_S * 1_000_000
                && now.micros_since(*at) <= DEPLOY_S * 1_000_000
        })
    }
}
