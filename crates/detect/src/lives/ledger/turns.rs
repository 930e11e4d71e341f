//! How lives begin and end.

use std::time::Duration;

use plimsoll_model::lives::EndCause;
use plimsoll_model::{Dimension, Time};

use super::life::{End, FALLS, Life, Past};
use super::{DEPLOY_S, Ledger, MARKS_MAX, PAST_MAX, Service, push};
use crate::lives::floors::{Curve, Floors};
use crate::lives::{across, fit};

/// Two tellings of one start differ by less, in seconds: uptimes are rounded.
const START_TOLERANCE_S: i64 = 5;

/// A life is over without a word after so long a silence, in bounds of [`Service::bound_s`].
const FORGET_BOUNDS: i64 = 20;

impl Ledger {
    pub(super) fn tell_start(&mut self, instance: u32, started: Time, now: Time) {
        let place = instance as usize;
        self.instances[place].tells_start = true;
        let tolerance = Duration::from_secs(START_TOLERANCE_S.unsigned_abs());
        match &mut self.instances[place].life {
            None => {
                let ended = self.instances[place].end.as_ref().map(|end| end.at);
                if ended.is_none_or(|ended| started.plus(tolerance) >= ended) {
                    self.begin(instance, started, true, now);
                }
            }
            Some(life) if started > life.started.plus(tolerance) => {
                let last = life.last;
                if life.start_known || started > last {
                    if started.plus(tolerance) >= last {
                        self.end(instance, last.min(started), EndCause::Unknown, false);
                        self.begin(instance, started, true, now);
                    }
                } else {
                    (life.started, life.start_known) = (started, true);
                }
            }
            Some(life) if !life.start_known => {
                (life.started, life.start_known) = (started, true);
            }
            Some(_) => {}
        }
    }

    /// A row says that the instance started.
    pub(super) fn start(&mut self, instance: u32, time: Time, known: bool) {
        let tolerance = Duration::from_secs(START_TOLERANCE_S.unsigned_abs());
        if let Some(life) = &self.instances[instance as usize].life {
            if time <= life.started.plus(tolerance) {
                return;
            }
            let last = life.last;
            self.end(instance, last.min(time), EndCause::Unknown, false);
        }
        self.begin(instance, time, known, time);
    }

    pub(super) fn begin(&mut self, instance: u32, started: Time, start_known: bool, now: Time) {
        let place = instance as usize;
        let service = &mut self.services[self.instances[place].service as usize];
        if let Some(end) = &mut self.instances[place].end
            && !end.replaced
        {
            let gone_s = started.micros_since(end.at) as f64 / 1e6;
            if (0.0..86_400.0).contains(&gone_s) {
                push(&mut service.returns, gone_s, MARKS_MAX);
            }
            end.replaced = true;
            service.keeps_names = true;
        }
        self.news.turned.push(instance);
        self.instances[place].life = Some(Life {
            started,
            start_known,
            last: now,
            judged: now,
            level: 0.0,
            kind: 0,
            floors: Floors::default(),
            curve: Curve::default(),
            base: f64::INFINITY,
            high: 0.0,
            safe: 0.0,
            falls: [0; FALLS],
            forecast: None,
        });
    }

    /// The life of `instance` ended. What a row tells later of an end that was inferred counts.
    pub fn end(&mut self, instance: u32, at: Time, cause: EndCause, told: bool) {
        let place = instance as usize;
        let service_place = self.instances[place].service;
        let Some(life) = &self.instances[place].life else {
            if let Some(end) = &mut self.instances[place].end
                && told
                && !end.told
                && at >= end.at
            {
                (end.at, end.cause, end.told) = (at, cause, true);
                self.news.turned.push(instance);
            }
            return;
        };
        if at < life.started {
            return;
        }
        let life = self.instances[place].life.take().expect("it was looked at");
        let service = &mut self.services[service_place as usize];
        let points = life.curve.points(across::WARM_UP);
        let stays = fit::second_half(&life.curve.points(0.0)).is_some_and(|ratio| ratio < 0.3);
        service.safe = service.safe.max(life.safe);
        if stays && cause != EndCause::OutOfMemory {
            service.safe = service.safe.max(life.high);
        }
        if points.len() >= fit::POINTS_MIN {
            if service.past.len() >= PAST_MAX {
                service.past.pop_front();
                service.past_before += 1;
            }
            service.past.push_back(Past {
                holder: self.instances[place].holder.clone(),
                started: life.started,
                start_known: life.start_known,
                ended: at,
                cause,
                floors: points.iter().map(|point| (point.at_s, point.low as f32)).collect(),
                spread: (points.iter().map(|point| point.high - point.low).sum::<f64>()
                    / points.len() as f64) as f32,
            });
            self.news.ended.push(service_place);
        }
        self.news.turned.push(instance);
        self.instances[place].end = Some(End {
            at,
            told,
            cause,
            level: life.level,
            started: life.started,
            start_known: life.start_known,
            forecast: life.forecast,
            replaced: false,
        });
    }

    /// `instance` started in the place of the one that is called `predecessor`.
    pub(super) fn replace(&mut self, instance: u32, predecessor: &str) {
        let service = self.instances[instance as usize].service;
        let newcomers = &mut self.services[service as usize].newcomers;
        newcomers.retain(|(_, newcomer)| *newcomer != instance);
        let before = self.instances.iter_mut().find(|other| {
            other.service == service
                && other.holder.get(Dimension::ServiceInstanceId) == Some(predecessor)
        });
        if let Some(end) = before.and_then(|other| other.end.as_mut()) {
            end.replaced = true;
        }
    }

    pub(super) fn memory(&mut self, instance: u32, time: Time, kind: u8, value: f64) {
        let place = instance as usize;
        if let Some(end) = &self.instances[place].end
            && self.instances[place].life.is_none()
            && time <= end.at
        {
            return;
        }
        let service = &mut self.services[self.instances[place].service as usize];
        let usual_s = service.interval_s();
        if let Some(life) = &self.instances[place].life {
            let gap_s = time.micros_since(life.judged) as f64 / 1e6;
            let is_cut = !self.instances[place].tells_start
                && kind == life.kind
                && life.level > 0.0
                && is_restart(service, life, time, value, gap_s > 2.5 * usual_s.max(1.0));
            if gap_s > 0.0 && kind >= life.kind {
                service.take_gap(gap_s);
            }
            if is_cut {
                let last = life.last;
                self.end(instance, last, EndCause::Unknown, false);
            }
        }
        if self.instances[place].life.is_none() {
            self.begin(instance, time, false, time);
        }
        let service_place = self.instances[place].service as usize;
        let Some(life) = &mut self.instances[place].life else { return };
        if kind < life.kind {
            life.last = life.last.max(time);
            return;
        }
        if kind > life.kind {
            let (floors, curve) = (Floors::default(), Curve::default());
            *life = Life { kind, floors, curve, base: f64::INFINITY, high: 0.0, ..life.clone() };
        }
        life.judged = life.judged.max(time);
        let service = &mut self.services[service_place];
        life.note_fall(service, time, value);
        let complete = life.take(time, value);
        if time.micros_since(self.newest) > 1_000_000 * service.bound_s() / 2 {
            self.resumed = time;
        }
        self.newest = self.newest.max(time);
        self.news.sampled.push((instance, complete));
    }

    /// Whether another instance has taken the place of `instance`, which was last seen at `last`.
    /// One newcomer takes one place.
    pub fn has_successor(&mut self, instance: u32, last: Time) -> bool {
        let own = &self.instances[instance as usize];
        let (place, first_seen) = (own.service as usize, own.first_seen);
        let from = last.minus(Duration::from_secs(DEPLOY_S.unsigned_abs()));
        let later_s = (2.0 * self.services[place].interval_s()).max(60.0) as u64;
        let apart = first_seen.plus(Duration::from_secs(later_s));
        let newcomers = &mut self.services[place].newcomers;
        let found = newcomers
            .iter()
            .position(|(at, newcomer)| *newcomer != instance && *at >= from && *at > apart);
        let Some(found) = found else { return false };
        newcomers.remove(found);
        if !self.services[place].keeps_names {
            self.services[place].vanished += 1;
        }
        true
    }

    /// Ends lives that have been silent for so long that they are over.
    pub fn forget_silent(&mut self, now: Time) {
        for instance in 0..self.instances.len() as u32 {
            let own = &self.instances[instance as usize];
            let Some(life) = &own.life else { continue };
            let bound_s = self.services[own.service as usize].bound_s();
            let silent_s = now.micros_since(life.last) / 1_000_000;
            if silent_s > (FORGET_BOUNDS * bound_s).max(3_600) {
                let last = life.last;
                self.end(instance, last, EndCause::Unknown, false);
            }
        }
    }
}

/// Whether the level tells of a restart that no row tells of: it fell after a silence, or after a
/// deploy of the program.
fn is_restart(service: &Service, life: &Life, time: Time, value: f64, was_silent: bool) -> bool {
    let is_deployed = service.deploys.iter().any(|(at, _)| {
        *at > life.started && (0..=DEPLOY_S * 1_000_000).contains(&time.micros_since(*at))
    });
    (was_silent && value < 0.7 * life.level) || (is_deployed && value < 0.85 * life.level)
}
