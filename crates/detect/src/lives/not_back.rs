//! Dead and not coming back: an instance ended or fell silent, and nobody takes its place.
//!
//! `docs/detectors.md`, "Dead and not coming back".

use std::collections::BTreeSet;
use std::time::Duration;

use plimsoll_model::detail::NotBack as Absence;
use plimsoll_model::lives::EndCause;
use plimsoll_model::{Detail, Dimension, Finding, Kind, Owner, Severity, Time};
use serde::{Deserialize, Serialize};

use super::Place;
use super::ledger::{DEPLOY_S, Instance, Ledger};

/// How long an absence is spoken of, in seconds: seven days.
const FORGET_S: i64 = 7 * 86_400;

/// An absence that is older when it is first noticed is no news, in seconds.
const NEWS_S: i64 = 86_400;

/// How often what holds an absence back is looked at again, in seconds.
const AGAIN_S: u64 = 10;

/// So many names that went for good while others came show that names are not kept.
const VANISHED_MAX: u32 = 2;

/// What the user sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotBackSettings {
    /// How loudly to speak.
    pub severity: Severity,
}

impl Default for NotBackSettings {
    fn default() -> NotBackSettings {
        NotBackSettings { severity: Severity::Page }
    }
}

/// What the detector remembers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct NotBack {
    absent: BTreeSet<u32>,
    /// Nothing can change before, unless a row says so.
    wake: Time,
}

impl NotBack {
    /// Looks at every instance, if anything can have changed. `turned` tells that a life began or
    /// ended, or that a deploy was told; `sampled` that there are samples.
    pub fn look(&mut self, ledger: &mut Ledger, now: Time, turned: bool, sampled: bool) {
        if now < self.wake && !turned && (self.absent.is_empty() || !sampled) {
            return;
        }
        if now >= self.wake {
            ledger.forget_silent(now);
        }
        self.wake = now.plus(Duration::from_secs(3_600));
        let crowd = Crowd::of(ledger, now);
        for instance in 0..ledger.instances.len() as u32 {
            match self.is_absent(ledger, &crowd, instance, now) {
                Ok(true) => {
                    self.absent.insert(instance);
                }
                Ok(false) => {
                    self.absent.remove(&instance);
                }
                Err(until) => {
                    self.absent.remove(&instance);
                    self.wake = self.wake.min(until);
                }
            }
        }
    }

    /// Whether an instance is gone for good, as far as can be told, or until when that is open.
    fn is_absent(
        &self,
        ledger: &mut Ledger,
        crowd: &Crowd,
        instance: u32,
        now: Time,
    ) -> Result<bool, Time> {
        let own = &ledger.instances[instance as usize];
        let service = &ledger.services[own.service as usize];
        let bound = Duration::from_secs(service.bound_s().unsigned_abs());
        let Some((last, cause)) = last_seen(own) else { return Ok(false) };
        let bound = match cause {
            None => bound,
            Some(_) => Duration::from_secs(service.return_s().unsigned_abs()),
        };
        if own.life.is_none() && own.end.as_ref().is_some_and(|end| end.replaced) {
            return Ok(false);
        }
        let due = last.plus(bound).max(match cause {
            None => ledger.resumed.plus(bound),
            Some(_) => Time::default(),
        });
        if now < due {
            return Err(due);
        }
        let gone_s = now.micros_since(last) / 1_000_000;
        let was_told = self.absent.contains(&instance);
        if gone_s > FORGET_S || (gone_s > NEWS_S && !was_told) {
            return Ok(false);
        }
        let has_died = matches!(cause, Some(EndCause::OutOfMemory | EndCause::Crash));
        let again = now.plus(Duration::from_secs(AGAIN_S));
        if !has_died && !was_told && crowd.is_gap(last, bound) {
            return Err(again);
        }
        if cause != Some(EndCause::OutOfMemory) && service.is_deploying(last, now) {
            return Err(again);
        }
        let was_deployed = service
            .deploys
            .iter()
            .any(|(at, _)| at.micros_since(last).abs() <= DEPLOY_S * 1_000_000);
        if cause == Some(EndCause::Stopped) && !was_deployed {
            return Ok(false);
        }
        let before = last.minus(Duration::from_secs(DEPLOY_S.unsigned_abs()));
        let alive = crowd.alive_of(own.service);
        let is_wanted_less = service.scales.iter().any(|(at, number)| {
            *at >= before && number.is_none_or(|number| alive as f64 >= number)
        });
        if is_wanted_less && !has_died {
            return Ok(false);
        }
        if !has_died && !service.keeps_names && service.vanished >= VANISHED_MAX {
            return Ok(false);
        }
        if ledger.has_successor(instance, last) {
            ledger.end(instance, last, EndCause::Unknown, false);
            if let Some(end) = &mut ledger.instances[instance as usize].end {
                end.replaced = true;
            }
            return Ok(false);
        }
        Ok(true)
    }

    /// What is to be said of each instance that is absent.
    pub fn findings(
        &self,
        settings: &NotBackSettings,
        place: &Place<'_>,
        ledger: &Ledger,
    ) -> Vec<(u32, Finding)> {
        let found = self.absent.iter().filter_map(|instance| {
            let own = &ledger.instances[*instance as usize];
            let service = &ledger.services[own.service as usize];
            let (last, cause) = last_seen(own)?;
            let (level, started, start_known, forecast) = match (&own.life, &own.end) {
                (Some(life), _) => (life.level, life.started, life.start_known, life.forecast),
                (None, Some(end)) => (end.level, end.started, end.start_known, end.forecast),
                (None, None) => return None,
            };
            let name = |dimension| own.holder.get(dimension).map(|name| (dimension, name));
            let (dimension, value) = name(Dimension::ServiceInstanceId)
                .or_else(|| name(Dimension::HostName))
                .or_else(|| name(Dimension::ServiceName))?;
            let finding = Finding {
                kind: Kind::NotBack,
                resource: place.resource.to_owned(),
                unit: "bytes".to_owned(),
                owner: Owner::Holder { dimension, value: value.to_owned() },
                severity: settings.severity,
                since: last.second(),
                level: level as u64,
                usable: ledger.limit_of(*instance, place.limit).map(|limit| limit as u64),
                owner_level: Some(level as u64),
                owner_level_before: None,
                growth_per_minute: None,
                exhaustion: None,
                release: None,
                refused: 0,
                doubts: Vec::new(),
                detail: Some(Detail::NotBack(Absence {
                    last_seen: last,
                    cause: cause.map_or("silent", EndCause::name).to_owned(),
                    usual_return_s: service.usual_return_s(),
                    started_at: start_known.then(|| started.second()),
                    forecast,
                })),
            };
            Some((*instance, finding))
        });
        found.collect()
    }
}

/// When an instance was last alive, and why it ended if a row said so.
fn last_seen(instance: &Instance) -> Option<(Time, Option<EndCause>)> {
    match (&instance.life, &instance.end) {
        (Some(life), _) => Some((life.last, None)),
        (None, Some(end)) => Some((end.at, end.told.then_some(end.cause))),
        (None, None) => None,
    }
}

/// Who of a resource is alive, and who fell silent when.
struct Crowd {
    alive: usize,
    by_service: Vec<usize>,
    silent_since: Vec<Time>,
}

impl Crowd {
    fn of(ledger: &Ledger, now: Time) -> Crowd {
        let mut crowd = Crowd {
            alive: 0,
            by_service: vec![0; ledger.services.len()],
            silent_since: Vec::new(),
        };
        for (place, own) in (0_u32..).zip(&ledger.instances) {
            if ledger.is_alive(place, now) {
                crowd.alive += 1;
                crowd.by_service[own.service as usize] += 1;
            } else if let Some(life) = &own.life {
                crowd.silent_since.push(life.last);
            }
        }
        crowd
    }

    fn alive_of(&self, service: u32) -> usize {
        self.by_service[service as usize]
    }

    /// Whether more fell silent together at `last` than go on: the rows are missing, not the
    /// instances.
    fn is_gap(&self, last: Time, bound: Duration) -> bool {
        let together = self
            .silent_since
            .iter()
            .filter(|since| since.micros_since(last).unsigned_abs() <= bound.as_micros() as u64);
        self.alive == 0 || together.count() > self.alive
    }
}
