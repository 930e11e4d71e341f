//! Growth within a life: the floors of one instance rise towards its limit.
//!
//! `docs/detectors.md`, "Growth within a life".

use std::collections::BTreeMap;

use plimsoll_model::detail::WithinLife;
use plimsoll_model::{Detail, Finding, Interval, Kind, Reason, Release, Severity, Time};
use serde::{Deserialize, Serialize};

use super::floors::{FLOORS_MAX, Point, SCALES, width_s};
use super::known::Known;
use super::ledger::{Ledger, Life};
use super::rise::{Rise, Shape, Window};
use super::urgency::{Case, best, us};
use super::{Place, name_of, owner_of};

/// The scale after the last: the curve of the whole life.
const WHOLE_LIFE: u8 = SCALES as u8;

const DAY_S: f64 = 86_400.0;

/// What the user sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WithinSettings {
    /// The loudest severity that may be used.
    pub severity: Severity,
    /// A page is due when the limit may come within so many response times: two days if the
    /// response time is 30 minutes.
    pub horizon: u32,
    /// A ticket is due when the limit may come within so many response times: four weeks.
    pub ticket_horizon: u32,
}

impl Default for WithinSettings {
    fn default() -> WithinSettings {
        WithinSettings { severity: Severity::Page, horizon: 96, ticket_horizon: 1_344 }
    }
}

/// What is said of an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Told {
    severity: Severity,
    /// The rise that is spoken of, as it is now.
    rise: Rise,
    /// When there was last a reason.
    at: Time,
    /// The release before it.
    release: Option<Release>,
}

/// What the detector remembers: the rises that it sees.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Within {
    rises: BTreeMap<(u32, u8), (Rise, Shape)>,
    /// Instances that it speaks of.
    told: BTreeMap<u32, Told>,
    /// What was said last of each program of which it speaks.
    said: BTreeMap<u32, Finding>,
    /// Programs whose next life is expected to grow.
    known: BTreeMap<u32, Known>,
    /// Programs of an instance that it does not speak of any more, and why.
    ended: Vec<(u32, Reason)>,
}

impl Within {
    /// The life of `instance`, which is one of `service`, began, or ended at `ended`: no window
    /// crosses that. A restart cures no leak: the next life is expected to grow.
    pub fn forget(&mut self, instance: u32, service: u32, ended: Time) {
        self.rises.retain(|(of, _), _| *of != instance);
        let Some(Told { severity, rise, .. }) = self.told.remove(&instance) else { return };
        match self.said.get(&service).cloned() {
            Some(said) => {
                // When the next life fills up is not known yet.
                let finding = Finding { exhaustion: None, ..said };
                self.known.insert(service, Known { finding, severity, rise, ended });
            }
            None => self.ended.push((service, Reason::LifeEnded)),
        }
    }

    /// Programs whose next life does not grow, or does not come.
    pub fn settle(&mut self, place: &Place<'_>, ledger: &Ledger, now: Time) {
        let over = |(service, known): (&u32, &Known)| {
            let why = known.end(place, ledger, *service, now)?;
            self.speaks_of(ledger, *service).is_none().then_some((*service, why))
        };
        let over: Vec<(u32, Reason)> = self.known.iter().filter_map(over).collect();
        for (service, why) in over {
            self.known.remove(&service);
            self.ended.push((service, why));
        }
    }

    /// Programs of an instance that it does not speak of any more, and why; once.
    pub fn take_ended(&mut self) -> Vec<(u32, Reason)> {
        std::mem::take(&mut self.ended)
    }

    /// `instance` has a new sample; `complete` are the scales with a new complete stretch.
    pub fn look(
        &mut self,
        settings: &WithinSettings,
        place: &Place<'_>,
        ledger: &mut Ledger,
        instance: u32,
        complete: u8,
    ) {
        let Some(case) = Case::new(settings, place, ledger, instance) else { return };
        let limit = ledger.limit_of(instance, place.limit);
        for scale in 0..=WHOLE_LIFE {
            let is_complete = match scale {
                WHOLE_LIFE => complete != 0,
                scale => complete & 1 << scale != 0,
            };
            if is_complete {
                let window = window(case.life, scale);
                let measured =
                    limit.and_then(|limit| Rise::measure(&window, case.service, case.life, limit));
                self.note((instance, scale), measured);
            }
        }
        self.judge(&case, instance, ledger.instances[instance as usize].service);
        let forecast = self.going_on(case.life, instance).map(|rise| rise.interval);
        if let Some(life) = &mut ledger.instances[instance as usize].life {
            life.forecast = forecast;
        }
    }

    /// What one window shows now.
    fn note(&mut self, key: (u32, u8), measured: Option<(Rise, Shape)>) {
        let told = self.told.get_mut(&key.0).filter(|told| told.rise.scale == key.1);
        if let (Some(told), Some((rise, _))) = (told, &measured) {
            told.rise = rise.clone();
        }
        match measured.filter(|(_, shape)| *shape != Shape::Harmless) {
            Some(seen) => self.rises.insert(key, seen),
            None => self.rises.remove(&key),
        };
    }

    fn judge(&mut self, case: &Case<'_>, instance: u32, service: u32) {
        let life = case.life;
        let known = self.known.get(&service).filter(|known| known.is_before(life));
        let told = self.told.get(&instance).map(|told| told.severity);
        let told = told.max(known.map(|known| known.severity));
        let is_known = |rise: &Rise| known.is_some_and(|known| known.is_like(rise));
        let urgency = |rise: &Rise| match is_known(rise) && case.is_again(rise) {
            true => told,
            false => case.urgency(rise, told),
        };
        let going_on =
            |rise: &Rise, shape| shape == Shape::Straight && rise.goes_on(life.level, life.last);
        // Only the rise that is known best may page: a short one may be part of something else.
        let paging = best(self.of(instance), going_on)
            .filter(|rise| urgency(rise) == Some(Severity::Page))
            .filter(|rise| !has_stopped(rise, life));
        let found = paging.map(|rise| (rise, Severity::Page)).or_else(|| {
            let is_ticket = |rise: &Rise, shape| {
                going_on(rise, shape) && urgency(rise).is_some() && !has_stopped(rise, life)
            };
            best(self.of(instance), is_ticket).map(|rise| (rise, Severity::Ticket))
        });
        if let Some((rise, severity)) = found {
            let severity = told.map_or(severity, |told| told.max(severity));
            let release = case.release();
            let told = Told { severity, rise: rise.clone(), at: life.last, release };
            self.told.insert(instance, told);
        } else if let Some(told) = self.told.get(&instance) {
            let patience_us = us(case.place.response_time).max(patience_us(&told.rise, life));
            if life.last.micros_since(told.at) > patience_us {
                self.told.remove(&instance);
                // What is known from the life before is over when `settle` says so.
                if !self.known.contains_key(&service) {
                    self.ended.push((service, Reason::GrowthEnded));
                }
            }
        }
    }

    /// Somebody asks now: what grows is said, however short its history.
    pub fn conclude(
        &mut self,
        settings: &WithinSettings,
        place: &Place<'_>,
        ledger: &Ledger,
        now: Time,
    ) {
        for instance in 0..ledger.instances.len() as u32 {
            if self.told.contains_key(&instance) || !ledger.is_alive(instance, now) {
                continue;
            }
            let Some(case) = Case::new(settings, place, ledger, instance) else { continue };
            let life = case.life;
            let asked = |rise: &Rise, _: Shape| {
                rise.goes_on(life.level, life.last) && case.is_worth_a_look(rise)
            };
            if let Some(rise) = best(self.of(instance), asked) {
                let (severity, rise) = (Severity::Ticket, rise.clone());
                let told = Told { severity, rise, at: life.last, release: case.release() };
                self.told.insert(instance, told);
            }
        }
    }

    fn of(&self, instance: u32) -> impl Iterator<Item = &(Rise, Shape)> {
        self.rises.range((instance, 0)..=(instance, WHOLE_LIFE)).map(|(_, seen)| seen)
    }

    /// The rise that is known best, of those that the newest level has not left.
    fn going_on(&self, life: &Life, instance: u32) -> Option<&Rise> {
        best(self.of(instance), |rise, shape| {
            shape == Shape::Straight && rise.goes_on(life.level, life.last)
        })
    }

    /// What is to be said of each program: the instance whose limit comes first, of those that are
    /// spoken of most loudly; or what was said before its life ended.
    pub fn findings(
        &mut self,
        settings: &WithinSettings,
        place: &Place<'_>,
        ledger: &Ledger,
    ) -> BTreeMap<u32, Finding> {
        let mut findings = BTreeMap::new();
        for service in 0..ledger.services.len() as u32 {
            let Some(instance) = self.speaks_of(ledger, service) else { continue };
            let own = &ledger.instances[instance as usize];
            let (Some(life), Some(Told { severity, rise, release, .. })) =
                (&own.life, self.told.get(&instance))
            else {
                continue;
            };
            let name = ledger.services[service as usize].name.as_deref();
            let finding = Finding {
                kind: Kind::GrowthWithinLife,
                resource: place.resource.to_owned(),
                unit: "bytes".to_owned(),
                owner: owner_of(name, &own.holder),
                severity: (*severity).min(settings.severity),
                since: rise.since.second(),
                level: life.level as u64,
                usable: Some(rise.limit as u64),
                owner_level: Some(life.level as u64),
                owner_level_before: Some((rise.level - rise.gained).max(0.0) as u64),
                growth_per_minute: Some(rise.slope * 60.0),
                // While growth pauses nobody knows.
                exhaustion: rise
                    .goes_on(life.level, life.last)
                    .then(|| ahead(rise.interval, life.last)),
                release: release.clone(),
                refused: 0,
                doubts: Vec::new(),
                detail: Some(Detail::WithinLife(WithinLife {
                    instance: name_of(&own.holder).to_owned(),
                    since: rise.since.second(),
                    floors: floors_name(&window(life, rise.scale)),
                    across: None,
                })),
            };
            findings.insert(service, finding);
        }
        self.said.clone_from(&findings);
        for (service, known) in &self.known {
            findings.entry(*service).or_insert_with(|| known.finding.clone());
        }
        findings
    }

    /// The instance that [`Within::findings`] speaks of for a program.
    pub fn speaks_of(&self, ledger: &Ledger, service: u32) -> Option<u32> {
        let of_service = self
            .told
            .iter()
            .filter(|(place, _)| ledger.instances[**place as usize].service == service);
        let first = of_service
            .min_by_key(|(_, told)| (std::cmp::Reverse(told.severity), told.rise.interval.from));
        first.map(|(instance, _)| *instance)
    }

    /// The floors through which the line of `instance` goes that is spoken of, with the name of
    /// their metric: `memory_floor_2048s` says the width of a stretch.
    pub fn window(&self, life: &Life, instance: u32) -> Option<(String, Vec<Point>)> {
        let window = window(life, self.told.get(&instance)?.rise.scale);
        Some((floors_name(&window), window.points))
    }
}

/// How long growth may pause, in microseconds. What fell at once, or has lost all that it gained,
/// is over; what rises less for a while may go on; what falls by and by may do so every night.
fn patience_us(rise: &Rise, life: &Life) -> i64 {
    let span_s = rise.span_s();
    let has_left = !rise.goes_on(life.level, life.last);
    let is_lost = life.level <= rise.level - rise.gained;
    let has_fallen = life.unfallen_since(rise.gained / 4.0) > rise.at;
    if is_lost || (has_left && has_fallen) {
        return 0;
    }
    let pause_s = if has_left { 0.0 } else { span_s / 4.0 };
    let night_s = if span_s >= DAY_S / 4.0 { DAY_S } else { 0.0 };
    (pause_s.max(night_s) * 1e6) as i64
}

fn window(life: &Life, scale: u8) -> Window {
    let (width_s, points) = match scale {
        WHOLE_LIFE => (life.curve.width_s(), life.curve.points(super::across::WARM_UP)),
        scale => (width_s(scale.into()), life.floors.points(scale.into())),
    };
    Window { scale, points, width_s: width_s as f64 }
}

/// Whether the window that is a quarter as long does not rise any more.
pub(crate) fn has_stopped(rise: &Rise, life: &Life) -> bool {
    is_slower(rise, life, 4.0, 0.5)
}

/// Whether the window that is a `part`th as long rises less than `share` times as fast.
pub(crate) fn is_slower(rise: &Rise, life: &Life, part: f64, share: f64) -> bool {
    let part_s = rise.span_s() / part;
    let scale = (0..WHOLE_LIFE).rfind(|scale| {
        let span_s = width_s((*scale).into()) * (FLOORS_MAX as i64 - 1);
        span_s as f64 <= 1.5 * part_s
    });
    scale.is_some_and(|scale| rise.is_slower_in(&window(life, scale).points, share))
}

/// Nothing runs out in the past.
fn ahead(interval: Interval, now: Time) -> Interval {
    Interval { from: interval.from.max(now), to: interval.to.map(|to| to.max(now)) }
}

fn floors_name(window: &Window) -> String {
    format!("memory_floor_{}s", window.width_s)
}
