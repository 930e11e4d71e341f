//! A leak that outlives the life that showed it: the next life is expected to grow as well.
//!
//! `docs/detectors.md`, "Growth within a life".

use std::time::Duration;

use plimsoll_model::{Finding, Reason, Severity, Time};
use serde::{Deserialize, Serialize};

use super::Place;
use super::floors::Point;
use super::ledger::{Instance, Ledger, Life};
use super::rise::Rise;
use super::urgency::us;
use super::within::has_stopped;

/// What has not been seen again for so many times as long as it was seen is forgotten.
const FORGET_SPANS: i64 = 4;

/// The scale whose stretches are hours, 24 of which are more than two days.
const HOURS: usize = 5;

/// So many of them are compared with the day before.
const NEWEST: usize = 4;

const DAY_S: f64 = 86_400.0;

/// A rise is the known one if its speed lies within this factor of it.
const ALIKE: f64 = 2.0;

/// Growth that was told, and the end of the life that showed it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Known {
    /// What was said last.
    pub finding: Finding,
    pub severity: Severity,
    pub rise: Rise,
    /// When that life ended.
    pub ended: Time,
}

impl Known {
    /// Whether `life` is a later one.
    pub fn is_before(&self, life: &Life) -> bool {
        life.started >= self.ended
    }

    /// Whether `rise` is as fast.
    pub fn is_like(&self, rise: &Rise) -> bool {
        let times = rise.slope / self.rise.slope;
        (ALIKE.recip()..=ALIKE).contains(&times)
    }

    /// Why it is over for program `service`, if it is: every later life is old enough to show it
    /// and shows that it does not grow; nobody has come back; or it was not seen for long.
    pub fn end(
        &self,
        place: &Place<'_>,
        ledger: &Ledger,
        service: u32,
        now: Time,
    ) -> Option<Reason> {
        let span_us = (self.rise.span_s() * 1e6) as i64;
        let since_us = now.micros_since(self.ended);
        let response_us = us(place.response_time);
        if since_us > FORGET_SPANS * span_us.max(response_us) {
            return Some(Reason::GrowthEnded);
        }
        let of_service = |own: &&Instance| own.service == service;
        let lives = ledger.instances.iter().filter(of_service).filter_map(|own| own.life.as_ref());
        let mut later = lives.filter(|life| self.is_before(life)).peekable();
        if later.peek().is_none() {
            return (since_us > response_us).then_some(Reason::LifeEnded);
        }
        let old = Duration::from_micros((span_us / 4).max(response_us).unsigned_abs());
        let is_steady = |life: &Life| {
            let is_old = life.last >= life.started.plus(old);
            is_old && has_stopped(&self.rise, life) && self.is_no_day(life)
        };
        later.all(is_steady).then_some(Reason::GrowthEnded)
    }

    /// Whether no night is taken for the end: the newest hours lie less than half of what the rise
    /// brings in a day above the same hours of the day before.
    fn is_no_day(&self, life: &Life) -> bool {
        if self.rise.span_s() < DAY_S / 4.0 {
            return true;
        }
        let points = life.floors.points(HOURS);
        let before = |at_s: f64| {
            let later = points.iter().position(|point| point.at_s > at_s)?;
            let (a, b) = (points.get(later.checked_sub(1)?)?, points[later]);
            Some(a.low + (b.low - a.low) * (at_s - a.at_s) / (b.at_s - a.at_s))
        };
        let gained = |point: &Point| before(point.at_s - DAY_S).map(|before| point.low - before);
        let newest: Option<Vec<f64>> = points.iter().rev().take(NEWEST).map(gained).collect();
        newest.is_some_and(|newest| {
            let mean = newest.iter().sum::<f64>() / NEWEST as f64;
            newest.len() == NEWEST && mean < 0.5 * self.rise.slope * DAY_S
        })
    }
}
