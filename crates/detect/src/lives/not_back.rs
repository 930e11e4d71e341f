//! Dead and not coming back: an instance ended or fell silent, and nobody takes its place.
//!
//! `docs/detectors.md`, "Dead and not coming back".

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use plimsoll_model::detail::NotBack as Absence;
use plimsoll_model::lives::EndCause;
use plimsoll_model::{Detail, Dimension, Finding, Kind, Owner, Severity, Time};
use serde::{Deserialize, Serialize};

use super::ledger::{DEPLOY_S, INSTANCES_MAX, Instance, Ledger};
use super::{Place, owner_of};

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
    /// Those of which it was said by their own names.
    named: BTreeSet<u32>,
    /// Nothing can change before, unless a row says so.
    wake: Time,
}

impl NotBack {
    /// Looks at every instance, if anything can have changed. `turned` tells that a life began or
    /// ended, or that a deploy was told; `sampled` that there are samples. Tells whether anybody
    /// is newly missed or not missed any more.
    pub fn look(&mut self, ledger: &mut Ledger, now: Time, turned: bool, sampled: bool) -> bool {
        if now < self.wake && !turned && (self.absent.is_empty() || !sampled) {
            return false;
        }
        let before = self.absent.clone();
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
        self.absent != before
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
        let has_died = cause.is_some_and(is_death);
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

    /// What is to be said of each instance that is absent, and of each program of which nobody is
    /// left. Who goes with the program is not named again; a program has the numbers after those
    /// of all instances.
    pub fn findings(
        &mut self,
        settings: &NotBackSettings,
        place: &Place<'_>,
        ledger: &Ledger,
    ) -> Vec<(u32, Finding)> {
        let gone = self.gone(ledger);
        let absent = &self.absent;
        self.named.retain(|instance| absent.contains(instance));
        let mut found = Vec::new();
        for instance in absent {
            let own = &ledger.instances[*instance as usize];
            if gone.contains_key(&own.service) && !self.named.contains(instance) {
                continue;
            }
            let name = |dimension| own.holder.get(dimension).map(|name| (dimension, name));
            let named = name(Dimension::ServiceInstanceId)
                .or_else(|| name(Dimension::HostName))
                .or_else(|| name(Dimension::ServiceName));
            let Some((dimension, value)) = named else { continue };
            let owner = Owner::Holder { dimension, value: value.to_owned() };
            if let Some(finding) = finding(settings, place, ledger, *instance, owner, 1) {
                self.named.insert(*instance);
                found.push((*instance, finding));
            }
        }
        for (service, (last, instances)) in gone {
            let name = ledger.services[service as usize].name.as_deref();
            let owner = owner_of(name, &ledger.instances[last as usize].holder);
            if let Some(finding) = finding(settings, place, ledger, last, owner, instances) {
                found.push((INSTANCES_MAX as u32 + service, finding));
            }
        }
        found
    }

    /// Programs of which several instances died, none is back and none is left: who died last, and
    /// how many.
    fn gone(&self, ledger: &Ledger) -> BTreeMap<u32, (u32, u32)> {
        let mut gone: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
        let died = |instance: u32| {
            let end = ledger.instances[instance as usize].end.as_ref();
            end.filter(|end| end.told && is_death(end.cause)).map(|end| end.at)
        };
        for instance in &self.absent {
            let own = &ledger.instances[*instance as usize];
            let is_named = ledger.services[own.service as usize].name.is_some();
            if own.life.is_none() && is_named && died(*instance).is_some() {
                let (last, count) = gone.entry(own.service).or_insert((*instance, 0));
                *count += 1;
                if died(*instance) > died(*last) {
                    *last = *instance;
                }
            }
        }
        // Who lives, or has just died and may still come back, is left.
        let is_left = |instance: u32, own: &Instance| {
            let is_due = own.end.as_ref().is_some_and(|end| !end.replaced && is_death(end.cause));
            own.life.is_some() || (is_due && !self.absent.contains(&instance))
        };
        for (instance, own) in (0_u32..).zip(&ledger.instances) {
            if gone.contains_key(&own.service) && is_left(instance, own) {
                gone.remove(&own.service);
            }
        }
        gone.retain(|_, (_, instances)| *instances > 1);
        gone
    }
}

fn is_death(cause: EndCause) -> bool {
    matches!(cause, EndCause::OutOfMemory | EndCause::Crash)
}

/// That `instance` is absent, of which is said by the name of `owner`.
fn finding(
    settings: &NotBackSettings,
    place: &Place<'_>,
    ledger: &Ledger,
    instance: u32,
    owner: Owner,
    instances: u32,
) -> Option<Finding> {
    let own = &ledger.instances[instance as usize];
    let service = &ledger.services[own.service as usize];
    let (last, cause) = last_seen(own)?;
    let (level, started, start_known, forecast) = match (&own.life, &own.end) {
        (Some(life), _) => (life.level, life.started, life.start_known, life.forecast),
        (None, Some(end)) => (end.level, end.started, end.start_known, end.forecast),
        (None, None) => return None,
    };
    Some(Finding {
        kind: Kind::NotBack,
        resource: place.resource.to_owned(),
        unit: "bytes".to_owned(),
        owner,
        severity: settings.severity,
        since: last.second(),
        level: level as u64,
        usable: ledger.limit_of(instance, place.limit).map(|limit| limit as u64),
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
            instances,
        })),
    })
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
